"""The border with sympy: expressions in, expressions out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy
from sympy.core.add import _addsort

from symlump.errors import InputError, NotPolynomialError, VariableError
from symlump.ode.exact import ExactArray, IntArray

if TYPE_CHECKING:
    from symlump.ode.system import ODE


@dataclass(frozen=True)
class LooseTerms:
    """Terms as they were read, before equal monomials are merged."""

    variables: list[str]
    parameters: list[str]
    rows: list[int]
    owners: IntArray
    factor_variables: IntArray
    factor_powers: IntArray
    coefficients: ExactArray


def read_equations(equations: Mapping[Any, Any], parameters: Iterable[Any]) -> LooseTerms:
    """Turn ``{Symbol: Expr}`` into loose terms; see ``PolynomialODE.from_sympy``."""
    symbols = [as_symbol(key) for key in equations]
    constants = [as_symbol(key) for key in parameters]
    index = {symbol: i for i, symbol in enumerate(symbols + constants)}
    names = [symbol.name for symbol in symbols + constants]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise VariableError(f"{twice!r} is declared twice (the same name with other assumptions?)")

    rows: list[int] = []
    owners: list[int] = []
    factor_variables: list[int] = []
    factor_powers: list[int] = []
    values: list[Fraction] = []
    any_float = False
    for row, (symbol, expression) in enumerate(zip(symbols, equations.values(), strict=True)):
        expanded = as_expression(symbol, expression).expand(
            log=False, power_base=False, power_exp=False, basic=False
        )
        any_float = any_float or expanded.has(sympy.Float)
        for term in sympy.Add.make_args(expanded):
            value, factors = _split_term(symbol, term)
            if value == 0:
                continue
            for base, power in factors:
                if base not in index:
                    raise VariableError(
                        f"{base} occurs in the equation of {symbol} but has no equation; "
                        f"add one, or name it in parameters=[{base}] to keep it as a symbolic "
                        "constant"
                    )
                owners.append(len(rows))
                factor_variables.append(index[base])
                factor_powers.append(power)
            rows.append(row)
            values.append(value)
    return LooseTerms(
        names,
        [symbol.name for symbol in constants],
        rows,
        np.array(owners, dtype=np.int64),
        np.array(factor_variables, dtype=np.int64),
        np.array(factor_powers, dtype=np.int64),
        _pack(values, any_float),
    )


def write_equations(ode: ODE) -> dict[sympy.Symbol, sympy.Expr]:
    """Turn a system into ``{Symbol: Expr}``; see ``PolynomialODE.to_sympy``."""
    symbols = [sympy.Symbol(name) for name in ode.variables]
    monomials = [
        sympy.Mul(*(symbols[v] ** e for v, e in ode.monomials.factors(m)))
        for m in range(len(ode.monomials))
    ]
    exact = ode.coefficients.as_integers()
    numbers: dict[tuple[int, int], sympy.Rational] = {}
    terms: list[list[sympy.Expr]] = [[] for _ in symbols]
    for row, column, top, bottom in zip(
        ode.rows.tolist(),
        ode.columns.tolist(),
        exact.numerators.tolist(),
        [] if exact.denominators is None else exact.denominators.tolist(),
        strict=True,
    ):
        number = numbers.get((top, bottom))
        if number is None:
            number = numbers[top, bottom] = sympy.Rational(top, bottom)
        terms[row].append(_times(number, monomials[column]))
    return {symbol: _sum(parts) for symbol, parts in zip(symbols, terms, strict=True)}


# The terms of a system are collected already: its monomials are distinct and no coefficient is 0. Building
# sums and products directly in sympy's own normal form is several times faster than evaluating them again;
# the tests compare the two.


def _times(number: sympy.Rational, monomial: sympy.Expr) -> sympy.Expr:
    if number is sympy.S.One or monomial is sympy.S.One:
        return number if monomial is sympy.S.One else monomial
    factors = monomial.args if monomial.is_Mul else (monomial,)
    return sympy.Mul._from_args((number, *factors))


def _sum(terms: list[sympy.Expr]) -> sympy.Expr:
    if len(terms) < 2:
        return terms[0] if terms else sympy.S.Zero
    constant = [term for term in terms if term.is_Number]
    rest = [term for term in terms if not term.is_Number]
    _addsort(rest)
    return sympy.Add._from_args((*constant, *rest))


def _pack(values: list[Fraction], any_float: bool) -> ExactArray:
    """Floats where the user wrote floats and nothing is lost by it, rationals otherwise."""
    if any_float:
        try:
            floats = [float(value) for value in values]
        except OverflowError:
            floats = []
        if len(floats) == len(values) and all(
            Fraction(f) == v for f, v in zip(floats, values, strict=True)
        ):
            return ExactArray.from_floats(floats)
    return ExactArray.from_fractions(values)


def as_symbol(key: Any) -> sympy.Symbol:
    """The symbol that was given, or the plain one with the name that was given."""
    if isinstance(key, str):
        return sympy.Symbol(key)
    if isinstance(key, sympy.Symbol):
        return key
    raise VariableError(f"a variable is a sympy Symbol or its name; got {key!r}")


def as_expression(symbol: sympy.Symbol, expression: Any) -> sympy.Expr:
    """A right-hand side as sympy has it."""
    if isinstance(expression, str):
        raise InputError(
            f"the equation of {symbol} is text; symlump never evaluates text as Python. "
            "Build the expression with sympy symbols"
        )
    if isinstance(expression, Fraction):
        return sympy.Rational(expression.numerator, expression.denominator)
    value = sympy.sympify(expression)
    if not isinstance(value, sympy.Expr):
        raise NotPolynomialError(f"the equation of {symbol} is {value!r}, not an expression")
    return value


def _split_term(
    symbol: sympy.Symbol, term: sympy.Expr
) -> tuple[Fraction, list[tuple[sympy.Symbol, int]]]:
    """Coefficient and (symbol, power) pairs of one expanded term."""
    value = Fraction(1)
    factors: list[tuple[sympy.Symbol, int]] = []
    for factor in sympy.Mul.make_args(term):
        base, exponent = factor.as_base_exp()
        if isinstance(base, sympy.Symbol) and exponent.is_Integer and exponent > 0:
            factors.append((base, int(exponent)))
        elif isinstance(factor, sympy.Rational):
            value *= Fraction(int(factor.p), int(factor.q))
        elif isinstance(factor, sympy.Float):
            value *= float_value(symbol, factor)
        else:
            raise NotPolynomialError(
                f"the equation of {symbol} contains {factor}, so it is not a polynomial with "
                "rational coefficients; replace it, or add a variable for it with its own equation"
            )
    return value, factors


def float_value(symbol: sympy.Symbol, number: sympy.Float) -> Fraction:
    """The rational that a float denotes."""
    if not number.is_finite:
        raise InputError(f"the equation of {symbol} contains {number}; coefficients must be finite")
    sign, mantissa, exponent, _ = number._mpf_
    value = Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
    return -value if sign else value
