"""Numbers in place of variables that do not change."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import overload

import numpy as np

from symlump.errors import InputError, VariableError
from symlump.ode.exact import ExactArray, IntArray
from symlump.ode.functions.algebra import constant as constant_polynomial
from symlump.ode.functions.algebra import symbol
from symlump.ode.functions.symbols import SymbolTable
from symlump.ode.maps import in_time
from symlump.ode.monomials import Monomials
from symlump.ode.polynomial import PolynomialODE
from symlump.ode.system import ODE

#: Powers of values longer than this are refused.
MAX_BITS = 2**16


@overload
def substitute(ode: PolynomialODE, values: Mapping[str, Fraction | int]) -> PolynomialODE: ...
@overload
def substitute(ode: ODE, values: Mapping[str, Fraction | int]) -> ODE: ...
def substitute(ode: ODE, values: Mapping[str, Fraction | int]) -> ODE:
    """The system at given values of parameters, or of other variables with derivative 0, which it loses.

    Raises
    ------
    VariableError
        If a name is not a variable, or its derivative is not 0.
    InputError
        If a power of a value would be too long to compute.

    Examples
    --------
    >>> import sympy
    >>> x, k = sympy.symbols("x k")
    >>> ode = PolynomialODE.from_sympy({x: -k**2 * x}, parameters=[k])
    >>> print(substitute(ode, {"k": Fraction(1, 2)}))
    x' = -1/4*x
    """
    with_equation = set(ode.rows.tolist())
    for name in values:
        if ode.position(name) in with_equation:
            raise VariableError(f"{name} has an equation, so it cannot be replaced by a number")
    kept = [name for name in ode.variables if name not in values]
    if ode.generators is not None:
        return _with_functions(ode, values, kept)
    table = ode.monomials
    label = np.full(len(ode), -1, dtype=np.int64)
    label[[ode.index[name] for name in kept]] = np.arange(len(kept))
    constant = label[table.variables] < 0
    factor: dict[int, Fraction] = {}
    for position in np.flatnonzero(constant).tolist():
        owner, power = int(table.owners[position]), int(table.powers[position])
        name = ode.variables[int(table.variables[position])]
        factor[owner] = factor.get(owner, Fraction(1)) * _power(name, values[name], power)
    monomials, place = Monomials.from_factors(
        table.owners[~constant],
        label[table.variables[~constant]],
        table.powers[~constant],
        len(table),
    )
    # A network has few distinct values of its constants: the products are made once per value.
    distinct = {value: i for i, value in enumerate(dict.fromkeys(factor.values()), start=1)}
    kind = np.zeros(len(table), dtype=np.int64)
    for owner, value in factor.items():
        kind[owner] = distinct[value]
    coefficients = _scaled(ode.coefficients, kind[ode.columns], [Fraction(1), *distinct])
    parameters = [name for name in ode.parameters if name not in values]
    left = PolynomialODE.from_terms(
        kept, label[ode.rows], place[ode.columns], coefficients, monomials, parameters
    )
    return in_time(left, ode.discrete)


def _with_functions(ode: ODE, values: Mapping[str, Fraction | int], kept: list[str]) -> ODE:
    table, place = SymbolTable(len(kept)), {name: i for i, name in enumerate(kept)}
    images = [
        constant_polynomial(Fraction(values[name])) if name in values else symbol(place[name])
        for name in ode.variables
    ]
    equations, _ = ode.into(table, images)
    left = [p for name, p in zip(ode.variables, equations, strict=True) if name in place]
    parameters = [name for name in ode.parameters if name in place]
    found = ODE.from_table(kept, left, table, parameters, ode.coefficients.is_float)
    return in_time(found, ode.discrete)


def _power(name: str, value: Fraction | int, power: int) -> Fraction:
    value = Fraction(value)
    bits = max(value.numerator.bit_length(), value.denominator.bit_length())
    if power > 1 and value not in (0, 1, -1) and bits * power > MAX_BITS:
        raise InputError(f"{name}**{power} at {name}'s value has more than {MAX_BITS} bits")
    return value**power


def _scaled(coefficients: ExactArray, kind: IntArray, values: list[Fraction]) -> ExactArray:
    """Each coefficient times ``values[kind]``, exactly."""
    if not kind.any():
        return coefficients
    known: dict[tuple[Fraction, int], Fraction] = {}
    scaled = []
    for value, k in zip(coefficients, kind.tolist(), strict=True):
        key = (value, k)
        if key not in known:
            known[key] = value * values[k]
        scaled.append(known[key])
    return ExactArray.from_fractions(scaled)
