"""For which parameter values a partition is an equivalence: polynomial conditions on the parameters.

The signatures of the members of a block must agree as polynomials in the variables that are not
parameters. So each monomial in those variables gives one polynomial in the parameters that must vanish.
With quotients, the differences of signatures are multiplied by their denominators first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from symlump.errors import MethodError, VariableError
from symlump.lumping.equivalence import Equivalence, check_system
from symlump.lumping.forward import Forward
from symlump.lumping.partition import Partition
from symlump.lumping.vanishing import Polynomial, Powers, add_term, from_sympy, vanishing
from symlump.memory import memory_errors
from symlump.ode.functions.algebra import Budget, symbols_of
from symlump.ode.functions.images import functions_of
from symlump.ode.functions.printing import symbol_text
from symlump.ode.polynomial import PolynomialODE
from symlump.ode.system import ODE

if TYPE_CHECKING:
    import sympy

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
        coefficient, square-free, and none a multiple of another.
    """

    direction: str
    blocks: tuple[tuple[str, ...], ...]
    parameters: tuple[str, ...]
    expressions: tuple[sympy.Expr, ...]

    @property
    def holds(self) -> bool:
        """True if nothing is required of the parameters."""
        return not self.expressions

    @property
    def impossible(self) -> bool:
        """True if one condition is a nonzero constant.

        False does not promise a solution: a² + 1 = 0 has no real one, and k = 0 perhaps no meaning.
        """
        return any(expression.is_number for expression in self.expressions)

    def substitute(self, values: Mapping[Any, Any]) -> Conditions:
        """What remains to be required when some parameters are given numbers, or other parameters.

        Parameters
        ----------
        values : mapping of name or symbol to number, name or expression
            Floats are the rationals that they denote.

        Raises
        ------
        VariableError
            If a name is not a parameter.
        MethodError
            If a value is not a polynomial in the parameters with rational coefficients.
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
        left = [
            from_sympy(expression.subs(given, simultaneous=True), self.parameters)
            for expression in self.expressions
        ]
        return replace(self, expressions=vanishing(left, self.parameters))

    def basis(self) -> tuple[sympy.Expr, ...]:
        """A Groebner basis of the conditions; it is (1,) iff they have no common complex solution.

        Raises
        ------
        MethodError
            If the conditions are too large for it (200 terms).
        """
        import sympy

        if self.holds or self.impossible:
            return (sympy.Integer(1),) if self.impossible else ()
        symbols = [sympy.Symbol(name) for name in self.parameters]
        polynomials = [sympy.Poly(e, *symbols, domain="QQ") for e in self.expressions]
        terms = sum(len(p.terms()) for p in polynomials)
        if terms > MAX_BASIS_TERMS:
            raise MethodError(
                f"a Groebner basis is computed for at most {MAX_BASIS_TERMS} terms; these conditions "
                f"have {terms}"
            )
        found = sympy.groebner(polynomials, *symbols, order="grevlex")
        return tuple(p.primitive()[1].as_expr() for p in found.polys)

    def __str__(self) -> str:
        if self.holds:
            return f"{self.direction} equivalence for all parameter values"
        if self.impossible:
            return f"{self.direction} equivalence for no parameter values"
        return f"{self.direction} equivalence iff  " + ",  ".join(
            f"{expression} = 0" for expression in self.expressions
        )

    def __repr__(self) -> str:
        return f"<Conditions: {self}>"

    def _repr_latex_(self) -> str:
        import sympy

        if self.holds or self.impossible:
            return rf"$\text{{{self}}}$"
        rows = r" \\ ".join(sympy.latex(e) + " &= 0" for e in self.expressions)
        return (
            rf"$\displaystyle \text{{{self.direction} equivalence iff }}"
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
        A system with symbolic ``parameters``; those in the arguments of functions other than quotients are
        refused, and nothing is said of values for which a denominator is always 0. Without any, the answer is
        that the partition is an equivalence, or is impossible.
    partition : Partition or blocks of names
        Variables that no block mentions form one more. Parameters always stand alone, mentioned or not.
    method : Forward() or Backward()
        Default: ``Forward()``.

    Raises
    ------
    MethodError
        If ``method`` is no method or has a tolerance.
    PartitionError, VariableError
        If the partition does not fit the system.

    Examples
    --------
    >>> from symlump import Forward, PolynomialODE
    >>> binding = PolynomialODE.from_reactions([
    ...     ({"S": 1, "E": 1}, {"C": 1}, "k1"), ({"C": 1}, {"S": 1, "E": 1}, "km1"),
    ...     ({"C": 1}, {"E": 1, "P": 1}, "k2"), ({"E": 1, "P": 1}, {"C": 1}, "km2"),
    ... ], parameters=["k1", "km1", "k2", "km2"])
    >>> found = conditions(binding, [["S", "P"], ["E"], ["C"]], Forward())
    >>> print(found)
    forward equivalence iff  k1 - km2 = 0
    >>> print(found.substitute({"k1": 2, "km2": 2}))
    forward equivalence for all parameter values
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
    if isinstance(ode, PolynomialODE):
        found = _differences(ode, partition, method)
    else:
        found = _numerators(ode, partition, method)
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


def _numerators(ode: ODE, partition: Partition, method: Equivalence) -> Iterable[Polynomial]:
    """The same where there are quotients: a difference is 0 iff its numerator is.

    Raises
    ------
    MethodError
        If a parameter is in the argument of another function: f(k·x) and f(m·x) may be equal for some k and m.
    """
    _parameters_outside(ode)
    labels = partition.labels
    terms = method.signature(ode, labels, np.arange(len(ode)))
    assert terms.table is not None
    table = terms.table()
    forward = method.direction == "forward"
    places = [ode.index[name] for name in ode.parameters]
    parameter = {(v if forward else int(labels[v])): k for k, v in enumerate(places)}
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
                    rest = tuple((s, e) for s, e in monomial if s not in parameter)
                    powers = sorted((parameter[s], e) for s, e in monomial if s in parameter)
                    add_term(split.setdefault(rest, {}), tuple(powers), value)
                yield from (polynomial for polynomial in split.values() if polynomial)


def _parameters_outside(ode: ODE) -> None:
    holds = [name in ode.parameters for name in ode.variables]  # a parameter, for each symbol
    for k, (name, arguments) in enumerate(functions_of(ode)):
        inside = {s for u in arguments for s in symbols_of(u)}
        holds.append(any(holds[s] for s in inside))
        if holds[-1] and name != "inverse":
            raise MethodError(
                "conditions are found for quotients, and for functions without parameters in their arguments; "
                f"this system contains {symbol_text(ode, len(ode) + k)}"
            )
