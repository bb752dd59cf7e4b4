"""The border with sympy where right-hand sides contain quotients and functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import sympy

from symlump.errors import InputError, NotPolynomialError, UndefinedError, VariableError
from symlump.ode.functions.algebra import (
    Budget,
    Polynomial,
    constant,
    constant_of,
    symbol,
    total,
)
from symlump.ode.functions.images import functions_of
from symlump.ode.functions.symbols import SymbolTable
from symlump.ode.notation import free_name
from symlump.ode.sympy_io import as_expression, as_symbol, float_value

if TYPE_CHECKING:
    from symlump.ode.system import ODE

_NAMES: dict[Any, str] = {
    sympy.log: "log",
    sympy.sin: "sin",
    sympy.cos: "cos",
    sympy.tan: "tan",
    sympy.sinh: "sinh",
    sympy.cosh: "cosh",
    sympy.tanh: "tanh",
    sympy.asin: "asin",
    sympy.acos: "acos",
    sympy.atan: "atan",
    sympy.asinh: "asinh",
    sympy.acosh: "acosh",
    sympy.atanh: "atanh",
    sympy.exp: "exp",
    sympy.Abs: "abs",
    sympy.sign: "sign",
    sympy.floor: "floor",
    sympy.ceiling: "ceil",
    sympy.factorial: "factorial",
    sympy.Min: "min",
    sympy.Max: "max",
    sympy.Mod: "mod",
    sympy.StrictLessThan: "lt",
    sympy.LessThan: "leq",
    sympy.StrictGreaterThan: "gt",
    sympy.GreaterThan: "geq",
    sympy.Equality: "eq",
    sympy.Unequality: "neq",
    sympy.And: "and",
    sympy.Or: "or",
    sympy.Xor: "xor",
    sympy.Not: "not",
}
_CLASSES: dict[str, Callable[..., Any]] = {name: kind for kind, name in _NAMES.items()} | {
    "inverse": lambda u: 1 / u,
    "power": sympy.Pow,
    "pi": lambda: sympy.pi,
}


def read_functions(
    equations: Mapping[Any, Any], parameters: Iterable[Any], time: Any = None
) -> tuple[list[str], list[Polynomial], SymbolTable, list[str], bool]:
    """What ``ODE.from_table`` makes a system of; see :meth:`symlump.ode.system.ODE.from_sympy`."""
    variables = [as_symbol(key) for key in equations]
    constants = [as_symbol(key) for key in parameters]
    known = {s: symbol(i) for i, s in enumerate([*variables, *constants])}
    table = SymbolTable(len(variables) + len(constants))
    if time is not None:
        if as_symbol(time) in known:
            raise VariableError(f"{time} is time, so it can be neither a variable nor a parameter")
        known[as_symbol(time)] = table.apply("time", [])
    reader = _Reader(table, known)
    rows: list[Polynomial] = [
        reader.equation(s, as_expression(s, e))
        for s, e in zip(variables, equations.values(), strict=True)
    ]
    rows += [{} for _ in constants]
    names = [s.name for s in [*variables, *constants]]
    floats = any(as_expression(s, e).has(sympy.Float) for s, e in equations.items())
    return names, rows, table, [s.name for s in constants], floats


class _Reader:
    def __init__(self, table: SymbolTable, known: dict[sympy.Symbol, Polynomial]) -> None:
        self._table, self._known = table, known
        self._done: dict[Any, Polynomial] = {}
        self._of = sympy.Symbol("")

    def equation(self, of: sympy.Symbol, expression: sympy.Expr) -> Polynomial:
        """One right-hand side."""
        self._of = of
        try:
            return dict(self._read(expression))
        except RecursionError:
            raise InputError(f"the equation of {of} is nested too deeply") from None
        except InputError as problem:
            if type(problem) is not InputError:
                raise
            raise InputError(f"the equation of {of}: {problem}") from None

    def _read(self, e: Any) -> Polynomial:
        found = self._done.get(e)
        if found is None:
            found = self._done[e] = self._new(e)
        return found

    def _new(self, e: Any) -> Polynomial:
        table = self._table
        if isinstance(e, sympy.Symbol):
            if e not in self._known:
                raise VariableError(
                    f"{e} occurs in the equation of {self._of} but has no equation; add one, or name "
                    f"it in parameters=[{e}] to keep it as a symbolic constant"
                )
            return self._known[e]
        if isinstance(e, sympy.Rational):
            return constant(Fraction(int(e.p), int(e.q)))
        if isinstance(e, sympy.Float):
            return constant(float_value(self._of, e))
        if isinstance(e, sympy.Add):
            return total(map(self._read, e.args))
        if isinstance(e, sympy.Mul):
            return self._product(e.args)
        if isinstance(e, sympy.exp):
            return table.apply("exp", [self._read(e.exp)])
        if isinstance(e, sympy.Pow):
            return self._power(e.base, e.exp)
        if e is sympy.pi:
            return table.apply("pi", [])
        if e is sympy.E:
            return table.apply("exp", [constant(1)])
        if e in (sympy.true, sympy.false):
            return constant(int(e is sympy.true))
        if isinstance(e, sympy.Piecewise) and e.args[0].expr == 1 and e.args[1:] == _ELSE_0:
            return self._read(e.args[0].cond)
        if isinstance(e, sympy.Piecewise):
            parts = [u for pair in e.args for u in pair.args]
            parts = parts[:-1] if parts[-1] is sympy.true else parts
            return table.apply("piecewise", list(map(self._read, parts)))
        name = _NAMES.get(e.func)
        if name is None:
            raise NotPolynomialError(
                f"the equation of {self._of} contains {e}, which is not among the known functions: "
                + ", ".join(sorted(_CLASSES))
            )
        return table.apply(name, [self._read(u) for u in e.args])

    def _product(self, factors: Iterable[Any]) -> Polynomial:
        result, budget = constant(1), Budget()
        for factor in sorted(map(self._read, factors), key=len):
            result = self._table.multiply(result, factor, budget)
        return result

    def _power(self, base: Any, exponent: Any) -> Polynomial:
        """A negative whole power is a power of an inverse: denominators stay factors as they are written."""
        below = constant_of(self._read(exponent))
        if below is not None and below.denominator == 1 and below < 0:
            factors = base.args if isinstance(base, sympy.Mul) else (base,)
            result = constant(1)
            for factor in factors:
                if isinstance(factor, sympy.Pow):
                    part = self._power(factor.base, -factor.exp)
                else:
                    part = self._table.inverse(self._read(factor))
                result = self._table.multiply(result, part)
            return self._table.power(result, constant(-below))
        return self._table.power(self._read(base), self._read(exponent))


def write_functions(ode: ODE) -> dict[sympy.Symbol, sympy.Expr]:
    """Turn a system into ``{Symbol: Expr}``; see :meth:`symlump.ode.system.ODE.to_sympy`."""
    symbols: list[Any] = [sympy.Symbol(name) for name in ode.variables]
    time = sympy.Symbol(free_name("t", ode.variables))
    for name, arguments in functions_of(ode):
        u = [in_symbols(p, symbols) for p in arguments]
        symbols.append(time if name == "time" else apply_function(name, u))
    return {symbols[i]: as_number(in_symbols(ode.equation(i), symbols)) for i in range(len(ode))}


#: What follows the value 1 of a condition where it is taken as a number.
_ELSE_0 = (sympy.functions.elementary.piecewise.ExprCondPair(0, True),)
_OF_CONDITIONS = ("and", "or", "xor", "not")


def apply_function(name: str, u: list[Any]) -> Any:
    """A function of expressions, evaluated where sympy knows how; of conditions and comparisons a condition.

    Raises
    ------
    UndefinedError
        If it has no value, as mod(k, 0).
    """
    if name == "piecewise":
        values, conditions = list(map(as_number, u[::2])), map(_as_condition, u[1::2])
        rest = [(values[-1], True)] if len(u) % 2 else []
        return sympy.Piecewise(*zip(values, conditions, strict=False), *rest)
    try:
        return _CLASSES[name](*map(_as_condition if name in _OF_CONDITIONS else as_number, u))
    except ZeroDivisionError:
        raise UndefinedError(f"{name}({', '.join(map(str, u))}) has no value") from None


def as_number(e: Any) -> Any:
    """A condition as 1 where it holds and 0 elsewhere; what is a number as it is.

    Examples
    --------
    >>> k = sympy.Symbol("k")
    >>> as_number(k < 2), as_number(sympy.true), as_number(k)
    (Piecewise((1, k < 2), (0, True)), 1, k)
    """
    is_condition = isinstance(e, sympy.logic.boolalg.Boolean) and not e.is_Symbol
    return sympy.Piecewise((1, e), (0, True)) if is_condition else e


def _as_condition(e: Any) -> Any:
    """A number as the condition that it is not 0."""
    is_condition = isinstance(e, sympy.logic.boolalg.Boolean) and not e.is_Symbol
    return e if is_condition else sympy.Ne(e, 0)


def in_symbols(p: Polynomial, symbols: Sequence[Any] | Mapping[int, Any]) -> Any:
    """A polynomial whose symbols are these expressions."""
    if len(p) == 1:
        ((monomial, value),) = p.items()
        if value == 1 and len(monomial) == 1 and monomial[0][1] == 1:
            return symbols[monomial[0][0]]  # also what is not a number, such as a comparison
    return sympy.Add(
        *(
            sympy.Mul(
                sympy.Rational(value.numerator, value.denominator),
                *(as_number(symbols[s]) ** k for s, k in monomial),
            )
            for monomial, value in p.items()
        )
    )
