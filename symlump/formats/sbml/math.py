"""The mathematics of SBML, trees of libsbml nodes, turned into polynomials without recursion."""

from __future__ import annotations

import math
from collections import ChainMap
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from symlump.errors import FileFormatError, InputError, MissingExtraError, NotPolynomialError
from symlump.formats import algebra
from symlump.formats.algebra import Budget, Polynomial
from symlump.formats.source import shown

MAX_NODES = 250_000

Names = Mapping[str, Polynomial]


def load_libsbml() -> Any:
    """The module libsbml, or an error that names the extra which brings it."""
    try:
        import libsbml
    except ImportError:
        raise MissingExtraError(
            "reading SBML needs python-libsbml: pip install 'symlump[sbml]'"
        ) from None
    return libsbml


def exact(value: float) -> Fraction:
    """The shortest decimal that denotes a double, exactly.

    Examples
    --------
    >>> exact(0.1)
    Fraction(1, 10)
    """
    if not math.isfinite(value):
        raise FileFormatError(f"the number {value} is not finite")
    return Fraction(repr(value))


class MathReader:
    """Reads the mathematics of SBML elements.

    Parameters
    ----------
    path : str
        For error messages.
    functions : mapping of str to FunctionDefinition
        They are followed, with a bound on the total number of nodes.
    """

    def __init__(self, path: str, functions: Mapping[str, Any]) -> None:
        self.path, self.functions = path, functions
        self.libsbml = load_libsbml()
        types = vars(self.libsbml)
        self.operators = {
            types["AST_PLUS"]: "+",
            types["AST_MINUS"]: "-",
            types["AST_TIMES"]: "*",
            types["AST_DIVIDE"]: "/",
            types["AST_POWER"]: "^",
            types["AST_FUNCTION_POWER"]: "^",
        }

    def read(self, element: Any, names: Names) -> Polynomial:
        """The polynomial that the ``math`` of an element is."""
        root = element.getMath()
        where = f"{self.path}:{element.getLine()}:{element.getColumn()}"
        if root is None:
            raise FileFormatError(f"{where}: the element has no mathematics")
        try:
            return self._value(root, names)
        except InputError as problem:
            formula = shown(self.libsbml.formulaToL3String(root) or "", 80)
            raise type(problem)(f"{where}: {problem}, in {formula}") from None

    def _value(self, root: Any, names: Names) -> Polynomial:
        budget, nodes = Budget(), MAX_NODES
        values: list[Polynomial] = []
        # A task is a node to visit in a scope, or an operation on the topmost values.
        tasks: list[tuple[Any, Names | None]] = [(root, names)]
        while tasks:
            node, scope = tasks.pop()
            nodes -= 1
            if nodes < 0:
                raise FileFormatError(f"an expression has more than {MAX_NODES} parts")
            children = node.getNumChildren()
            kind = node.getType()
            called = self.functions.get(node.getName()) if node.isFunction() else None
            if scope is not None:
                if kind in self.operators or called is not None:
                    tasks.append((node, None))
                    tasks += [(node.getChild(k), scope) for k in reversed(range(children))]
                else:
                    values.append(self._leaf(node, scope))
                continue
            arguments = values[len(values) - children :]
            del values[len(values) - children :]
            if called is not None:
                tasks.append((called.getBody(), self._bind(called, arguments)))
            else:
                values.append(self._combine(self.operators[kind], arguments, budget))
        return values[0]

    def _bind(self, function: Any, arguments: list[Polynomial]) -> Names:
        if function.getNumArguments() != len(arguments) or function.getBody() is None:
            raise FileFormatError(f"the function {shown(function.getId())} has other arguments")
        given = (function.getArgument(k).getName() for k in range(len(arguments)))
        return ChainMap(dict(zip(given, arguments, strict=True)))

    def _combine(self, symbol: str, arguments: list[Polynomial], budget: Budget) -> Polynomial:
        """Apply an operator; plus and times take any number of arguments."""
        if symbol == "+" or symbol == "*":
            total = algebra.constant(Fraction(symbol == "*"))
            for argument in arguments:
                if symbol == "+":
                    total = algebra.add(total, argument)
                else:
                    total = algebra.multiply(total, argument, budget)
            return total
        if symbol == "-" and len(arguments) == 1:
            return algebra.negate(arguments[0])
        if len(arguments) != 2:
            raise FileFormatError(f"the operator {symbol!r} has {len(arguments)} arguments")
        left, right = arguments
        if symbol == "-":
            return algebra.add(left, algebra.negate(right))
        if symbol == "/":
            return algebra.divide(left, right)
        return algebra.power(left, right, budget)

    def _leaf(self, node: Any, scope: Names) -> Polynomial:
        kind, sbml = node.getType(), self.libsbml
        if kind == sbml.AST_NAME:
            name = node.getName()
            if name not in scope:
                raise FileFormatError(f"the name {shown(name)} is not defined or has no value")
            return scope[name].copy()
        if kind == sbml.AST_INTEGER:
            return algebra.constant(Fraction(node.getInteger()))
        if kind == sbml.AST_REAL:
            return algebra.constant(exact(node.getReal()))
        if kind == sbml.AST_REAL_E:
            mantissa, power = exact(node.getMantissa()), node.getExponent()
            if abs(power) > algebra.MAX_EXPONENT_OF_TEN:
                raise FileFormatError("the exponent of a number is beyond ±10000")
            return algebra.constant(mantissa * Fraction(10) ** power)
        if kind == sbml.AST_RATIONAL:
            if not node.getDenominator():
                raise NotPolynomialError("division by zero")
            return algebra.constant(Fraction(node.getNumerator(), node.getDenominator()))
        name = node.getName() or node.getOperatorName() or f"node {kind}"
        raise NotPolynomialError(
            f"the function {shown(name)} is not polynomial; symlump cannot reduce it"
        )
