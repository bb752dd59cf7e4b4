"""The arithmetic of the readers: polynomials, and new constants for what is none of constants.

A quotient such as (a + 1)/(k*T) of constant symbols is no polynomial. It is a number all the same, so a
symbol of its own may stand for 1/(k*T): a lumping that holds whatever the value of that symbol holds for
this one, too. (That the symbol and k determine each other is known here only where k*(1/k) is 1.)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ParamSpec

from symlump.errors import InputError, NotPolynomialError
from symlump.formats import numerals
from symlump.formats.constant_functions import KNOWN, at_numbers, not_read, power
from symlump.formats.flows import Flows
from symlump.ode.functions import algebra
from symlump.ode.functions.algebra import Budget, Monomial, Polynomial
from symlump.ode.polynomial import PolynomialODE
from symlump.ode.reactions import FlowArrays
from symlump.ode.substitute import substitute

Given = ParamSpec("Given")

RATIONAL = "rational rate: not polynomial; it divides by an expression that is not constant"
_SHOWN = 60
_MINUS = Fraction(-1)


@dataclass(frozen=True)
class NewConstant:
    """A symbol that stands for an expression of constants."""

    name: str
    text: str
    value: Fraction
    needs: frozenset[int]
    problem: NotPolynomialError
    place: Hashable


class PolynomialArithmetic:
    """Polynomials in numbered variables; what they cannot hold is refused.

    Attributes
    ----------
    names : list of str
        The names of the variables; new constants are added at its end.
    constants : dict of int to Fraction
        Variables of which other than polynomial expressions may be made, with their values.
    new : list of NewConstant
        The symbols that were added.
    notes : dict of str
        What was done that a user should know (the values mean nothing).
    exact : bool
        Refuse functions of numbers whose value is not rational, instead of taking their float64 values.

    Examples
    --------
    >>> arithmetic = PolynomialArithmetic(["x", "k"], {1: Fraction(4)})
    >>> x, k = algebra.symbol(0), algebra.symbol(1)
    >>> arithmetic.apply("/", [x, k])
    {((0, 1), (2, 1)): Fraction(1, 1)}
    >>> [(new.name, new.text, new.value) for new in arithmetic.new]
    [('inv_k', '1/k', Fraction(1, 4))]
    """

    def __init__(
        self,
        names: list[str] | None = None,
        constants: dict[int, Fraction] | None = None,
        exact: bool = False,
    ) -> None:
        self.exact = exact
        self.names = [] if names is None else names
        self.constants = {} if constants is None else constants
        self.new: list[NewConstant] = []
        self.notes: dict[str, None] = {}
        self._known: dict[Hashable, Polynomial] = {}
        self._inverse: dict[int, int] = {}
        self._budget = Budget()

    def begin(self) -> None:
        """Start an expression: the bound on its cost is counted anew."""
        self._budget = Budget()

    def number(self, value: Fraction) -> Polynomial:
        """The constant polynomial."""
        return algebra.constant(value)

    def copy(self, value: Polynomial) -> Polynomial:
        """A polynomial that an operation may use up."""
        return value.copy()

    def truth(self, value: Polynomial) -> bool | None:
        """Whether a condition holds, if it is a number."""
        number = algebra.constant_of(value)
        return None if number is None else bool(number)

    def apply(
        self, operator: str, arguments: Sequence[Polynomial], place: Hashable = None
    ) -> Polynomial:
        """The result of an operation.

        Raises
        ------
        NotPolynomialError
            If it is neither a polynomial nor an expression of constants.
        FileFormatError
            If it costs more than is allowed.
        """
        if operator == "+" or operator == "*":  # of any number of arguments
            if not arguments:
                return algebra.constant(Fraction(operator == "*"))
            total = arguments[0]
            for argument in arguments[1:]:
                plus = operator == "+"
                total = algebra.add(total, argument) if plus else self._product(total, argument)
            return total
        if operator == "-":
            if len(arguments) == 1:
                return algebra.scale(arguments[0], _MINUS)
            return algebra.add(arguments[0], algebra.scale(arguments[1], _MINUS))
        if operator == "/":
            top, bottom = arguments
            if bottom and algebra.constant_of(bottom) is None and self._are_constant([bottom]):
                return self._product(top, self._inverse_of(bottom, place))
            return _divided(top, bottom)
        if operator == "^":
            base, exponent = arguments
            return self._power(base, exponent, place)
        return self._function(operator, arguments, place)

    def _product(self, p: Polynomial, q: Polynomial) -> Polynomial:
        product = _multiplied_out(algebra.multiply, p, q, self._budget)
        if not self._inverse:
            return product
        result: Polynomial = {}
        for monomial, value in product.items():
            result = algebra.add(result, {self._cancelled(monomial): value})
        return result

    def _cancelled(self, monomial: Monomial) -> Monomial:
        """The monomial with k*(1/k) = 1."""
        powers = dict(monomial)
        for variable in list(powers):
            other = self._inverse.get(variable)
            if other in powers and variable in powers:
                common = min(powers[variable], powers[other])
                for which in (variable, other):
                    powers[which] -= common
                    if not powers[which]:
                        del powers[which]
        return tuple(sorted(powers.items()))

    def _power(self, base: Polynomial, exponent: Polynomial, place: Hashable) -> Polynomial:
        low, high = algebra.constant_of(base), algebra.constant_of(exponent)
        if low is not None and high is not None and high.denominator != 1:
            value, exact = power(low, high)
            self._say(value, exact, f"({low})^({high})")
            return algebra.constant(value)
        if low is None and high is not None and high < 0 and high.denominator == 1:
            if not self._are_constant([base]):
                raise NotPolynomialError("negative exponent: a rational rate, not polynomial")
            return algebra.power(self._inverse_of(base, place), int(-high), self._budget)
        if (high is None or high.denominator != 1) and self._are_constant([base, exponent]):
            kind = "symbolic" if high is None else "fractional"
            return self._function("^", [base, exponent], place, f"{kind} exponent: not polynomial")
        return self._raised(base, high)

    def _raised(self, base: Polynomial, exponent: Fraction | None) -> Polynomial:
        """base^exponent for a nonnegative integer, or any integer if the base is constant."""
        if exponent is None:
            raise NotPolynomialError(
                "symbolic exponent: not polynomial; an exponent must be a number"
            )
        if exponent.denominator != 1:
            raise NotPolynomialError("fractional exponent: not polynomial")
        low = algebra.constant_of(base)
        if low is not None:
            return algebra.constant(_power_of_number(low, int(exponent)))
        return _multiplied_out(algebra.power, base, int(exponent), self._budget)

    def _function(
        self,
        name: str,
        arguments: Sequence[Polynomial],
        place: Hashable,
        problem: str = "",
    ) -> Polynomial:
        if name == "time":
            raise NotPolynomialError("the time occurs: not polynomial")
        problem = problem or not_read(name, "is not polynomial")
        numbers = [algebra.constant_of(argument) for argument in arguments]
        if all(value is not None for value in numbers) and (numbers or name in KNOWN):
            given = [value for value in numbers if value is not None]
            value, exact = at_numbers(name, given)
            self._say(value, exact, f"{name}({', '.join(map(str, given))})" if given else name)
            return algebra.constant(value)
        if name not in KNOWN and name != "^" or not self._are_constant(arguments):
            raise NotPolynomialError(problem)
        at = [self._value(argument) for argument in arguments]
        text = f"{name}({', '.join(self._text(argument) for argument in arguments)})"
        if name == "^":
            text = f"({self._text(arguments[0])})^({self._text(arguments[1])})"
            whole = at[1].denominator == 1
            value = _power_of_number(at[0], int(at[1])) if whole else power(*at)[0]
        else:
            value = at_numbers(name, at)[0]
        return self._constant(
            (name, *map(_key, arguments)), name, text, value, arguments, problem, place
        )

    def _say(self, value: Fraction, exact: bool, text: str) -> None:
        if not exact and self.exact:
            raise NotPolynomialError(f"{text} is not rational")
        if not exact and len(self.notes) < 1000:
            self.notes[f"{text} taken as {float(value)!r}, its float64 value"] = None

    def _are_constant(self, polynomials: Sequence[Polynomial]) -> bool:
        return bool(self.constants) and all(
            variable in self.constants
            for polynomial in polynomials
            for monomial in polynomial
            for variable, _ in monomial
        )

    def _value(self, polynomial: Polynomial) -> Fraction:
        total = Fraction(0)
        for monomial, value in polynomial.items():
            for variable, exponent in monomial:
                value *= _power_of_number(self.constants[variable], exponent)
            total += value
        return total

    def _inverse_of(self, bottom: Polynomial, place: Hashable) -> Polynomial:
        """1/q as a polynomial: inverses of variables where q is one term, else one new constant."""
        if len(bottom) == 1:
            ((monomial, value),) = bottom.items()
            powers: Polynomial = {(): 1 / value}
            for variable, exponent in monomial:
                inverse = self._inverse_of_variable(variable, place)
                powers = self._product(powers, {((inverse, exponent),): Fraction(1)})
            return powers
        shared = dict(next(iter(bottom)))
        for monomial in bottom:
            powers_here = dict(monomial)
            shared = {v: min(k, powers_here.get(v, 0)) for v, k in shared.items()}
        shared = {v: k for v, k in shared.items() if k}
        if shared:  # k*m + k^2 is k times m + k
            rest = {
                tuple((v, k - shared.get(v, 0)) for v, k in monomial if k > shared.get(v, 0)): value
                for monomial, value in bottom.items()
            }
            whole = self._inverse_of({tuple(sorted(shared.items())): Fraction(1)}, place)
            return self._product(whole, self._inverse_of(rest, place))
        lead = bottom[min(bottom)]
        monic = {monomial: value / lead for monomial, value in bottom.items()}
        value = self._value(monic)
        if not value:
            raise NotPolynomialError(f"division by zero: {self._text(bottom)} is 0")
        symbol = self._constant(
            ("/", _key(monic)),
            "inv",
            f"1/({self._text(monic)})",
            1 / value,
            [monic],
            RATIONAL,
            place,
        )
        return {monomial: value / lead for monomial, value in symbol.items()}

    def _inverse_of_variable(self, variable: int, place: Hashable) -> int:
        if variable not in self._inverse:
            value, name = self.constants[variable], self.names[variable]
            if not value:
                raise NotPolynomialError(f"division by zero: {name} is 0, or has no value")
            p = algebra.symbol(variable)
            symbol = self._constant(
                ("/", _key(p)), "inv", f"1/{name}", 1 / value, [p], RATIONAL, place
            )
            ((((inverse, _),), _),) = symbol.items()
            self._inverse[variable], self._inverse[inverse] = inverse, variable
        return self._inverse[variable]

    def _constant(
        self,
        key: Hashable,
        word: str,
        text: str,
        value: Fraction,
        arguments: Sequence[Polynomial],
        problem: str,
        place: Hashable,
    ) -> Polynomial:
        if key not in self._known:
            needs = {v for p in arguments for monomial in p for v, _ in monomial}
            old = len(self.names) - len(self.new)
            needs = {v for v in needs if v < old} | {
                v for n in needs if n >= old for v in self.new[n - old].needs
            }
            first = word if word.isidentifier() else "pow"
            stem = "_".join([first, *(self.names[v] for v in sorted(needs)[:3])])
            name, number = stem, 1
            while name in self.names:
                number += 1
                name = f"{stem}_{number}"
            if len(text) > _SHOWN:
                text = text[:_SHOWN] + "…"
            self.new.append(
                NewConstant(name, text, value, frozenset(needs), NotPolynomialError(problem), place)
            )
            self._known[key] = algebra.symbol(len(self.names))
            self.constants[len(self.names)] = value
            self.names.append(name)
        return self._known[key].copy()

    def _text(self, polynomial: Polynomial) -> str:
        terms = []
        for monomial, value in polynomial.items():
            factors = [
                self.names[v] + (f"^{exponent}" if exponent > 1 else "") for v, exponent in monomial
            ]
            if abs(value) != 1 or not factors:
                factors.insert(0, numerals.fraction_text(abs(value)))
            terms.append(("-" if value < 0 else "") + "*".join(factors))
        return " + ".join(terms).replace("+ -", "- ")


def _multiplied_out(
    operation: Callable[Given, Polynomial], *given: Given.args, **options: Given.kwargs
) -> Polynomial:
    """The result of an operation; what is too large to be multiplied out may stand below a line."""
    try:
        return operation(*given, **options)
    except InputError as problem:
        raise NotPolynomialError(str(problem)) from None


def _divided(p: Polynomial, q: Polynomial) -> Polynomial:
    """p/q for a constant q other than zero."""
    divisor = algebra.constant_of(q)
    if divisor is None:
        raise NotPolynomialError(RATIONAL)
    if not divisor:
        raise NotPolynomialError("division by zero")
    return {monomial: algebra.check_number(value / divisor) for monomial, value in p.items()}


def _power_of_number(base: Fraction, exponent: int) -> Fraction:
    if not base and exponent < 0:
        raise NotPolynomialError("division by zero")
    return algebra.power_of_number(base, exponent)


def _key(polynomial: Polynomial) -> Hashable:
    return frozenset(polynomial.items())


def settle(
    arithmetic: PolynomialArithmetic,
    flows: Flows,
    parameters: Collection[str],
    refuse: Callable[[NewConstant], InputError],
) -> tuple[PolynomialODE, dict[str, Fraction]]:
    """The system that the flows make, and its symbolic parameters of ours with their values.

    A new constant that needs symbolic parameters becomes one; any other is a number.

    Parameters
    ----------
    arithmetic : PolynomialArithmetic
        Its names are the variables of the flows.
    flows : Flows
    parameters : collection of str
        The symbolic parameters of the file.
    refuse : callable
        Makes the error that a new constant is not one: it needs a variable that moves.
    """
    names = arithmetic.names
    if not arithmetic.new:
        return flows.build(names, parameters), {}
    symbolic = {i for i, name in enumerate(names) if name in parameters}
    candidates = [new for new in arithmetic.new if not new.needs.isdisjoint(symbolic)]
    ode = flows.build(names, (*parameters, *(new.name for new in candidates)))
    moving, used = set(ode.rows.tolist()), set(ode.monomials.variables.tolist())
    for new in arithmetic.new:
        if not new.needs.isdisjoint(moving):
            raise refuse(new)
    letters = {new.name: new.value for new in candidates if ode.index[new.name] in used}
    for new in candidates:
        if new.name in letters:
            note = f"{new.name} is a new symbolic parameter that stands for {new.text}"
            arithmetic.notes[note] = None
    return substitute(
        ode, {new.name: new.value for new in arithmetic.new if new.name not in letters}
    ), letters


def take_settled(arithmetic: object, flows: Flows) -> FlowArrays:
    """The flows so far, which are taken away, of a file that is read in pieces.

    Raises
    ------
    NotInPiecesError
        If there are new constants: what they are is known once all flows are.
    """
    if not isinstance(arithmetic, PolynomialArithmetic) or arithmetic.new:
        raise NotInPiecesError("a quotient of constants is settled once the whole file is read")
    return flows.take()


class NotInPiecesError(InputError):
    """A file that has to be read as a whole."""
