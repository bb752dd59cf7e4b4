"""A system's right-hand sides as expressions, for formats that write them down one operation at a time."""

from __future__ import annotations

from fractions import Fraction

from symlump.formats.flat import Call, Expression
from symlump.formats.flows import equations
from symlump.formats.symbolic import SAME
from symlump.ode.functions.algebra import Monomial, Polynomial
from symlump.ode.system import ODE

_OPERATORS = {name: operator for operator, name in SAME.items()} | {"power": "^"}


def right_sides(ode: ODE, only_functions: bool = False) -> list[Expression]:
    """The derivative of each variable as an expression in the names of variables.

    Functions that occur several times are shared. With ``only_functions`` the terms are left out that are
    monomials in the variables.

    Examples
    --------
    >>> from symlump.formats.flat import text
    >>> [text(e) for e in right_sides(ODE.from_text("x' = -2*x^2/(1 + x) + exp(-t); y' = 0"))]
    ['exp(-time()) + -2*x^2/(1 + x)', '0']
    """
    symbols: list[Expression] = list(ode.variables)
    below: dict[int, Expression] = {}  # of symbols that are 1/d: d
    if ode.generators is not None:
        for k in range(len(ode.generators.functions)):
            name = ode.generators.functions[k]
            arguments = tuple(_sum(p, symbols, below) for p in ode.generators.arguments_of(k))
            if name == "inverse":
                below[len(symbols)] = arguments[0]
                symbols.append(Call("/", (Fraction(1), arguments[0])))
            else:
                symbols.append(Call(_OPERATORS.get(name, name), arguments))
    return [
        _sum(
            {m: value for value, m in terms if not only_functions or has_functions(m, ode)},
            symbols,
            below,
        )
        for _, terms in equations(ode)
    ]


def has_functions(monomial: Monomial, ode: ODE) -> bool:
    """Whether a symbol in a monomial is no variable."""
    return any(s >= len(ode) for s, _ in monomial)


def _sum(p: Polynomial, symbols: list[Expression], below: dict[int, Expression]) -> Expression:
    terms = [_term(value, monomial, symbols, below) for monomial, value in p.items()]
    if not terms:
        return Fraction(0)
    return terms[0] if len(terms) == 1 else Call("+", tuple(terms))


def _term(
    value: Fraction, monomial: Monomial, symbols: list[Expression], below: dict[int, Expression]
) -> Expression:
    above = [_power(symbols[s], k) for s, k in monomial if s not in below]
    if value == -1 and above:
        above[0] = Call("-", (above[0],))
    elif value != 1 or not above:
        above.insert(0, value)
    result = above[0] if len(above) == 1 else Call("*", tuple(above))
    divisors = [_power(below[s], k) for s, k in monomial if s in below]
    if not divisors:
        return result
    divisor = divisors[0] if len(divisors) == 1 else Call("*", tuple(divisors))
    return Call("/", (result, divisor))


def _power(base: Expression, exponent: int) -> Expression:
    return base if exponent == 1 else Call("^", (base, Fraction(exponent)))
