"""For which parameter values a partition is an equivalence: polynomial conditions on the parameters.

The signatures of the members of a block must agree as polynomials in the variables that are not
parameters. So each monomial in those variables gives one polynomial in the parameters that must vanish.
With quotients, the differences of signatures are multiplied by their denominators first. A function of
parameters alone, such as K^n, is one more number; one of variables, such as x^n or sin(x), is one more
variable. Since such functions may obey equations, as sin(x)² + cos(x)² = 1, or be particular ones for
particular parameters, the conditions then suffice, but other values might do, too. A single exponential,
logarithm or trigonometric function of variables obeys none, and the conditions are needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from symlump.errors import MethodError, SubjectError, VariableError
from symlump.lumping.elementary.explain import write_functions
from symlump.lumping.equivalence import Equivalence, check_system
from symlump.lumping.forward import Forward
from symlump.lumping.parameter_functions import in_sympy, with_meaning, without_value
from symlump.lumping.partition import Partition
from symlump.lumping.vanishing import Letters, Polynomial, Powers, add_term, vanishing, vanishing_of
from symlump.memory import memory_errors
from symlump.ode.functions.algebra import Budget, Monomial, symbols_of
from symlump.ode.functions.printing import function_text
from symlump.ode.functions.symbols import SymbolTable
from symlump.ode.notation import words_latex
from symlump.ode.polynomial import PolynomialODE
from symlump.ode.system import ODE

if TYPE_CHECKING:
    import sympy

_ONE = Fraction(1)
#: A Groebner basis is not attempted beyond this many terms: it could take forever.
MAX_BASIS_TERMS = 200


@dataclass(frozen=True, repr=False)
class Conditions:
    """The conditions under which a partition is an equivalence: all expressions must be zero.

    Parameters
    ----------
    direction : str
        "forward" or "backward".
    blocks : tuple of tuple of str
        The partition, without the parameters.
    parameters : tuple of str
        The symbols that may occur in the expressions.
    expressions : tuple of sympy expressions
        Linearly independent before they were factorized, primitive with a positive leading
        coefficient, square-free, and none a multiple of another. They may contain functions of parameters.
    unknown : tuple of str
        Functions of variables that are taken as unknown: with any of them the conditions suffice, and other
        values of the parameters might do, too.

    Examples
    --------
    >>> import symlump as sl
    >>> ode = sl.ODE.from_text("x' = -k*x; y' = -m*y", parameters=["k", "m"])
    >>> print(sl.conditions(ode, [["x", "y"]], sl.Forward()))
    forward equivalence iff  k - m = 0
    """

    direction: str
    blocks: tuple[tuple[str, ...], ...]
    parameters: tuple[str, ...]
    expressions: tuple[sympy.Expr, ...]
    unknown: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """True if nothing is required of the parameters."""
        return not self.expressions

    @property
    def impossible(self) -> bool:
        """True if one condition is a nonzero constant (with ``unknown`` functions: unless they happen to fit).

        False does not promise a solution: a² + 1 = 0 has no real one, and k = 0 perhaps no meaning.
        """
        return any(e.is_number and e.is_zero is False for e in self.expressions)

    def substitute(self, values: Mapping[Any, Any]) -> Conditions:
        """The conditions that remain when some parameters are replaced by numbers, or by other parameters.

        Parameters
        ----------
        values : mapping of name or symbol to number, name or expression
            Floats are the rationals that they denote.

        Returns
        -------
        Conditions

        Raises
        ------
        VariableError
            If a name is not a parameter.
        MethodError
            If a value is not a polynomial in the parameters with rational coefficients.

        Examples
        --------
        >>> import symlump as sl
        >>> ode = sl.ODE.from_text("a' = -k*a; b' = -m*b", parameters=["k", "m"])
        >>> found = sl.conditions(ode, [["a", "b"]])
        >>> print(found)
        forward equivalence iff  k - m = 0
        >>> print(found.substitute({"k": 2}))
        forward equivalence iff  m - 2 = 0
        """
        import sympy

        symbols = {name: sympy.Symbol(name) for name in self.parameters}
        given = {}
        for key, value in values.items():
            for name in [key, value] if isinstance(value, str) else [key]:
                if str(name) not in symbols:
                    raise VariableError(f"{str(name)!r} is not a parameter of these conditions")
            exact = Fraction(float(value)) if isinstance(value, float | np.floating) else value
            given[symbols[str(key)]] = (
                symbols[exact] if isinstance(exact, str) else sympy.sympify(exact)
            )
        left = []
        for expression in self.expressions:
            there = {k: given[k] for k in expression.free_symbols if k in given}
            left.append(expression.subs(there, simultaneous=True))
        return replace(self, expressions=vanishing_of(left, self.parameters))

    def basis(self) -> tuple[sympy.Expr, ...]:
        """A Groebner basis of the conditions; it is (1,) iff they have no common complex solution.

        Returns
        -------
        tuple of sympy expressions

        Raises
        ------
        MethodError
            If the conditions are too large for it (200 terms).

        Examples
        --------
        >>> import symlump as sl
        >>> ode = sl.ODE.from_text("a' = -k*a; b' = -m*b", parameters=["k", "m"])
        >>> sl.conditions(ode, [["a", "b"]]).basis()
        (k - m,)
        """
        import sympy

        if self.holds or self.impossible:
            return (sympy.Integer(1),) if self.impossible else ()
        letters = Letters()
        plain = [letters.put(e) for e in self.expressions]
        symbols = [*(sympy.Symbol(name) for name in self.parameters), *letters.meaning]
        polynomials = [sympy.Poly(e, *symbols, domain="QQ") for e in plain]
        terms = sum(len(p.terms()) for p in polynomials)
        if terms > MAX_BASIS_TERMS:
            raise SubjectError(
                f"a Groebner basis is computed for at most {MAX_BASIS_TERMS} terms; these conditions "
                f"have {terms}"
            )
        found = sympy.groebner(polynomials, *symbols, order="grevlex")
        return tuple(letters.back(p.primitive()[1].as_expr()) for p in found.polys)

    def __str__(self) -> str:
        if self.holds:
            return f"{self.direction} equivalence for all parameter values"
        if self.impossible and not self.unknown:
            return f"{self.direction} equivalence for no parameter values"
        if self.impossible:
            return f"no parameter values found for {self.direction} equivalence{self._note()}"
        return (
            f"{self.direction} equivalence {'if' if self.unknown else 'iff'}  "
            + ",  ".join(f"{expression} = 0" for expression in self.expressions)
            + self._note()
        )

    def _note(self) -> str:
        """What was taken as unknown, and what to do about it."""
        if not self.unknown:
            return ""
        shown = ", ".join(self.unknown[:4]) + (", …" if len(self.unknown) > 4 else "")
        them = "it" if len(self.unknown) == 1 else "them"
        return (
            f"  ({shown}: taken as unknown, so other values may do as well; values of parameters that stand in "
            f"{them} can be put into the system)"
        )

    def __repr__(self) -> str:
        return f"<Conditions: {self}>"

    def _repr_latex_(self) -> str:
        import sympy

        if self.holds or self.impossible:
            return rf"$\text{{{words_latex(str(self))}}}$"
        rows = r" \\ ".join(sympy.latex(e) + " &= 0" for e in self.expressions)
        word = "if" if self.unknown else "iff"
        return (
            rf"$\displaystyle \text{{{self.direction} equivalence {word} }}"
            rf"\begin{{aligned}} {rows} \end{{aligned}}$"
        )


@memory_errors()
def conditions(
    ode: ODE,
    partition: Partition | Iterable[Iterable[Any]],
    method: Equivalence | None = None,
) -> Conditions:
    """Find for which parameter values a partition of the other variables is an equivalence.

    Parameters
    ----------
    ode : ODE
        A system with symbolic ``parameters``; nothing is said of values for which a denominator is always 0.
        Without any, the answer is that the partition is an equivalence, or is impossible. Functions of
        variables between which equations may exist, and those in which parameters stand, such as x^n, are taken
        as unknown; then the conditions suffice.
    partition : Partition or blocks of names
        Variables that no block mentions form one more. Parameters always stand alone, mentioned or not.
    method : Forward() or Backward()
        Default: ``Forward()``.

    Returns
    -------
    Conditions

    Raises
    ------
    MethodError
        If ``method`` is no method or has a tolerance.
    PartitionError, VariableError
        If the partition does not fit the system.

    Examples
    --------
    >>> from symlump import Backward, Forward, ODE, PolynomialODE
    >>> binding = PolynomialODE.from_reactions([
    ...     ({"S": 1, "E": 1}, {"C": 1}, "k1"), ({"C": 1}, {"S": 1, "E": 1}, "km1"),
    ...     ({"C": 1}, {"E": 1, "P": 1}, "k2"), ({"E": 1, "P": 1}, {"C": 1}, "km2"),
    ... ], parameters=["k1", "km1", "k2", "km2"])
    >>> found = conditions(binding, [["S", "P"], ["E"], ["C"]], Forward())
    >>> print(found)
    forward equivalence iff  k1 - km2 = 0
    >>> print(found.substitute({"k1": 2, "km2": 2}))
    forward equivalence for all parameter values
    >>> rates = "x' = -k1*x^n/(K1^n + x^n); y' = -k2*y^n/(K2^n + y^n)"
    >>> hill = ODE.from_text(rates, ["k1", "k2", "K1", "K2", "n"])
    >>> found = conditions(hill, [["x", "y"]], Backward())
    >>> found.expressions, found.unknown
    ((k1 - k2, -K1**n*k2 + K2**n*k1), ('x^n',))
    """
    check_system(ode, "conditions")
    if method is None:
        method = Forward()
    if not isinstance(method, Equivalence) or not method.is_exact:
        raise MethodError(
            f"conditions are found for Forward() and Backward() without a tolerance; got {method!r}"
        )
    if not isinstance(partition, Partition):
        partition = Partition.from_names(ode, partition)
    alone = np.zeros(len(ode), dtype=np.int64)
    alone[[ode.index[name] for name in ode.parameters]] = np.arange(1, len(ode.parameters) + 1)
    partition = partition.meet(Partition(alone))
    shown = tuple(
        block
        for block in partition.named(ode.variables)
        if len(block) > 1 or block[0] not in ode.parameters
    )
    if not isinstance(ode, PolynomialODE):
        expressions, unknown = _of_functions(ode, partition, method)
        return Conditions(method.direction, shown, ode.parameters, expressions, unknown)
    found = _differences(ode, partition, method)
    return Conditions(method.direction, shown, ode.parameters, vanishing(found, ode.parameters))


def _differences(
    ode: PolynomialODE, partition: Partition, method: Equivalence
) -> Iterable[Polynomial]:
    """Each member's signature minus that of the first of its block, monomial by monomial."""
    labels = partition.labels
    terms = method.signature(ode, labels, None)
    # A key is a monomial of a table, before it a block where the signature has one part per block.
    if method.direction == "forward":
        table, variables = (
            ode.derivative.monomials,
            {name: ode.index[name] for name in ode.variables},
        )
    else:
        table, _ = ode.monomials.relabel(labels)
        variables = {name: int(labels[ode.index[name]]) for name in ode.variables}
    parameter = {variables[name]: k for k, name in enumerate(ode.parameters)}
    width = max(1, len(table))
    split: dict[int, tuple[tuple[tuple[int, int], ...], Powers]] = {}
    signatures: dict[int, dict[Any, Polynomial]] = {}
    for owner, key, value in zip(
        terms.owners.tolist(), terms.keys.tolist(), terms.values, strict=True
    ):
        block, monomial = divmod(key, width)
        if monomial not in split:
            factors = table.factors(monomial)
            split[monomial] = (
                tuple((v, e) for v, e in factors if v not in parameter),
                tuple(sorted((parameter[v], e) for v, e in factors if v in parameter)),
            )
        rest, powers = split[monomial]
        add_term(signatures.setdefault(owner, {}).setdefault((block, rest), {}), powers, value)
    for members in partition.blocks:
        first = signatures.get(int(members[0]), {})
        for member in members[1:].tolist():
            other = signatures.get(member, {})
            for place in first.keys() | other.keys():
                difference = dict(first.get(place, {}))
                for powers, value in other.get(place, {}).items():
                    add_term(difference, powers, -value)
                if difference:
                    yield difference


def _of_functions(
    ode: ODE, partition: Partition, method: Equivalence
) -> tuple[tuple[sympy.Expr, ...], tuple[str, ...]]:
    """The conditions where there are quotients and functions: a difference is 0 iff its numerator is.

    Returns
    -------
    expressions : tuple of sympy expressions
    unknown : tuple of str
        The functions of variables in what had to vanish, where equations between them may exist.
    """
    labels = partition.labels
    terms = method.signature(ode, labels, np.arange(len(ode)))
    assert terms.table is not None
    table = terms.table()
    forward = method.direction == "forward"
    places = [ode.index[name] for name in ode.parameters]
    parameter = {(v if forward else int(labels[v])): k for k, v in enumerate(places)}
    of_parameters, moving = _kinds(table, parameter)
    numbers = parameter | {s: len(places) + k for k, s in enumerate(of_parameters)}
    met: dict[int, None] = {}
    found: list[Polynomial] = []
    signatures: dict[int, dict[int | None, Polynomial]] = {}
    for owner, key, value in zip(*(part for part in terms.collect()), strict=True):
        target, monomial = terms.describe(int(key))
        add_term(signatures.setdefault(int(owner), {}).setdefault(target, {}), monomial, value)
    for members in partition.blocks:
        first = signatures.get(int(members[0]), {})
        for member in members[1:].tolist():
            other = signatures.get(member, {})
            for target in first.keys() | other.keys():
                difference = dict(first.get(target, {}))
                for monomial, value in other.get(target, {}).items():
                    add_term(difference, monomial, -value)
                above, _ = table.clear_denominators(difference, Budget())
                split: dict[Powers, Polynomial] = {}
                for monomial, value in above.items():
                    rest = tuple((s, e) for s, e in monomial if s not in numbers)
                    powers = sorted((numbers[s], e) for s, e in monomial if s in numbers)
                    add_term(split.setdefault(rest, {}), tuple(powers), value)
                    met |= dict.fromkeys(s for s, _ in rest if s in moving)
                found += [polynomial for polynomial in split.values() if polynomial]
    symbols = in_sympy(table, parameter, ode.parameters)
    letters = [f"\0{k}" for k in range(len(of_parameters))]  # no name has this character
    meant = dict(zip(letters, (symbols[s] for s in of_parameters), strict=True))
    expressions = vanishing(found, [*ode.parameters, *letters])
    named = list(ode.variables)
    if not forward:
        named = [ode.variables[k] for k in partition.representatives.tolist()]
    lost = without_value(expressions, meant)
    if lost:
        text = function_text(named, table, of_parameters[letters.index(lost)])
        raise SubjectError(f"{text} has no real value, so this system has no conditions")
    expressions = with_meaning(expressions, meant, ode.parameters)
    if len(met) == 1 and all(moving[s] for s in met):
        met = {}  # a transcendental function of the variables fulfils no equation, so all conditions are needed
    shown: list[dict[Monomial, Fraction]] = [{((s, 1),): _ONE} for s in met]
    texts = [text for text, _ in write_functions(named, table, *shown)]
    return expressions, tuple(dict.fromkeys(texts))


#: Functions that no polynomial equation with their argument holds for.
_TRANSCENDENTAL = frozenset(("exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh"))


def _kinds(table: SymbolTable, parameter: Mapping[int, int]) -> tuple[list[int], dict[int, bool]]:
    """The functions of parameters and numbers alone, and those of variables, without 1/u.

    Of the latter also whether they are transcendental and no parameter stands in them. Derivatives by a
    parameter belong to its own row, and it stands alone, so these are compared with nothing.
    """
    moves = [s not in parameter for s in range(table.count)]
    set_by = [not moving for moving in moves]
    plain, simple = set(range(table.count)), [False] * table.count  # plain: variables, and the time
    for name, arguments in zip(table.functions, table.arguments, strict=True):
        inside = {s for u in arguments for s in symbols_of(u)}
        moves.append(name == "time" or any(moves[s] for s in inside))
        set_by.append(any(set_by[s] for s in inside))
        plain |= {len(moves) - 1} if name == "time" else set()
        simple.append(name in _TRANSCENDENTAL and inside <= plain)
    functions = range(table.count, table.count + len(table.functions))
    outer = [s for s in functions if not table.is_inverse(s)]
    called = {s: table.functions[s - table.count] for s in outer}
    moving = {s: simple[s] and not set_by[s] for s in outer if moves[s] and called[s] != "time"}
    return [s for s in outer if not moves[s] and "'" not in called[s]], moving
