"""Networks as right-hand sides: every step of a network on polynomials in symbols, exactly.

A value is one polynomial for each unit, in variables and in functions such as tanh(…). A layer is a linear
combination with its weights as the rationals they are; an activation is its own formula
(:mod:`symlump.network.activations.table`), evaluated in symbols as it is elsewhere on floats and on intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NoReturn

from symlump.enclosures.functions import Functions
from symlump.errors import NetworkError
from symlump.network.activations.activation import Activation
from symlump.network.network import Network
from symlump.network.nodes import Affine, Apply, Combine, Concatenate, Input, Node, Select
from symlump.ode.exact import FloatArray
from symlump.ode.functions.algebra import Polynomial, add_to, constant, scale, total
from symlump.ode.functions.symbols import SymbolTable

_HALF = Fraction(1, 2)


def outputs_of(
    network: Network, table: SymbolTable, inputs: dict[str, list[Polynomial]]
) -> list[list[Polynomial]]:
    """The values of a network's outputs, a polynomial for each unit.

    Raises
    ------
    NetworkError
        If there is a step that is not written in symbols; the message names it.

    Examples
    --------
    >>> from symlump.ode.functions.algebra import symbol
    >>> net = Network.dense([[[1.0, 2.0]], [[-0.5]]])
    >>> outputs_of(net, SymbolTable(2), {net.inputs[0].name: [symbol(0), symbol(1)]})
    [[{((2, 1),): Fraction(-1, 2)}]]
    """
    values: dict[str, list[Polynomial]] = {}
    for node in network.nodes:
        given = [values[name] for name in node.inputs]
        values[node.name] = (
            inputs[node.name] if isinstance(node, Input) else _value(node, given, table)
        )
    return [values[name] for name in network.outputs]


def _value(node: Node, given: list[list[Polynomial]], table: SymbolTable) -> list[Polynomial]:
    match node:
        case Affine() if node.is_dense:
            biases = [0.0] * node.units if node.bias is None else node.bias.tolist()
            return [
                combination(row, given[0], bias)
                for row, bias in zip(node.weight, biases, strict=True)
            ]
        case Affine() if node.is_scale:
            biases = [0.0] * node.units if node.bias is None else node.bias.tolist()
            return [
                combination(row, [p], bias)
                for row, p, bias in zip(node.weight, given[0], biases, strict=True)
            ]
        case Apply():
            return [apply_activation(node.name, node.activation, z, table) for z in given[0]]
        case Combine(operation=operation):
            size = max(map(len, given))
            spread = [value * size if len(value) == 1 else value for value in given]  # one for all
            if operation == "add":
                return [total(parts) for parts in zip(*spread, strict=True)]
            found = spread[0]
            for other in spread[1:]:
                found = [table.multiply(p, q) for p, q in zip(found, other, strict=True)]
            return found
        case Concatenate():
            return [p for part in given for p in part]
        case Select():
            return [given[0][i] for i in node.index.tolist()]
    raise NetworkError(
        f"{node.name}: a {type(node).__name__} is not written in symbols; dense layers, activations, sums, "
        "products and joins are"
    )


def combination(weights: FloatArray, values: Sequence[Polynomial], bias: float = 0.0) -> Polynomial:
    """Σ w_j·p_j + b, exactly.

    Examples
    --------
    >>> import numpy as np
    >>> from symlump.ode.functions.algebra import symbol
    >>> combination(np.array([0.5, 0.25]), [symbol(0), symbol(0)], 1.0)
    {((0, 1),): Fraction(3, 4), (): Fraction(1, 1)}
    """
    found: Polynomial = {}
    for weight, value in zip(weights.ravel().tolist(), values, strict=True):
        if weight:
            add_to(found, value, Fraction(weight))
    if bias:
        add_to(found, constant(Fraction(float(bias))))
    return found


def logistic(z: Polynomial, table: SymbolTable) -> Polynomial:
    """σ(z) = (1 + tanh(z/2))/2 in symbols.

    Examples
    --------
    >>> from symlump.ode.functions.algebra import symbol
    >>> logistic(symbol(0), SymbolTable(1))
    {(): Fraction(1, 2), ((1, 1),): Fraction(1, 2)}
    """
    tanh = table.apply("tanh", [scale(z, _HALF)])
    return total([constant(_HALF), scale(tanh, _HALF)])


def apply_activation(
    name: str, activation: Activation, z: Polynomial, table: SymbolTable
) -> Polynomial:
    """φ(z) in symbols.

    Raises
    ------
    NetworkError
        If φ needs a function that systems do not have.

    Examples
    --------
    >>> from symlump.network.activations.table import activation
    >>> from symlump.ode.functions.algebra import symbol
    >>> table = SymbolTable(1)
    >>> apply_activation("act", activation("sigmoid"), symbol(0), table)
    {(): Fraction(1, 2), ((1, 1),): Fraction(1, 2)}
    >>> table.functions, table.arguments
    (['tanh'], [({((0, 1),): Fraction(1, 2)},)])
    """
    try:
        found = activation.formula(_functions(table), Expression(table, z))
    except _NotWritten as missing:
        raise NetworkError(
            f"{name}: {activation.name} is not written in symbols, as it takes {missing}; tanh, sigmoid, relu, "
            "softplus, silu, sin, exp and piecewise linear ones are"
        ) from None
    return found.polynomial if isinstance(found, Expression) else constant(Fraction(found))


class _NotWritten(Exception):
    """What a formula asked for."""


@dataclass(frozen=True, eq=False)
class Expression:
    """A polynomial in the symbols of a table, to calculate with."""

    table: SymbolTable
    polynomial: Polynomial

    def _of(self, other: Any) -> Polynomial:
        return other.polynomial if isinstance(other, Expression) else constant(Fraction(other))

    def __add__(self, other: Any) -> Expression:
        return Expression(self.table, total([self.polynomial, self._of(other)]))

    __radd__ = __add__

    def __neg__(self) -> Expression:
        return Expression(self.table, scale(self.polynomial, Fraction(-1)))

    def __sub__(self, other: Any) -> Expression:
        return self + Expression(self.table, scale(self._of(other), Fraction(-1)))

    def __rsub__(self, other: Any) -> Expression:
        return Expression(self.table, total([(-self).polynomial, self._of(other)]))

    def __mul__(self, other: Any) -> Expression:
        return Expression(self.table, self.table.multiply(self.polynomial, self._of(other)))

    __rmul__ = __mul__

    def __truediv__(self, other: float) -> Expression:
        return Expression(self.table, scale(self.polynomial, 1 / Fraction(other)))

    def __gt__(self, other: object) -> NoReturn:
        raise _NotWritten("cases")

    __lt__ = __ge__ = __le__ = __gt__


def _functions(table: SymbolTable) -> Functions:
    """The arithmetic in which formulas are evaluated."""

    def apply(name: str, *given: Any) -> Expression:
        first: Expression = given[0]
        return Expression(table, table.apply(name, [first._of(g) for g in given]))

    def refuse(what: str) -> Any:
        def refuse(*given: Any) -> NoReturn:
            raise _NotWritten(what)

        return refuse

    return Functions(
        exp=lambda z: apply("exp", z),
        expm1=lambda z: apply("exp", z) - 1,
        log1p=lambda z: apply("log", z + 1),
        tanh=lambda z: apply("tanh", z),
        sigmoid=lambda z: Expression(table, logistic(z.polynomial, table)),
        normal=refuse("the normal distribution's integral"),
        density=refuse("the normal density"),
        sin=lambda z: apply("sin", z),
        cos=lambda z: apply("cos", z),
        absolute=lambda z: apply("abs", z),
        maximum=lambda z, c: apply("max", z, c),
        minimum=lambda z, c: apply("min", z, c),
        where=refuse("cases"),
    )
