"""Functions of numbers: exact where the value is rational and known to be, else in float64, and said so."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from fractions import Fraction

from symlump.errors import FileFormatError, NotPolynomialError
from symlump.formats.numerals import number
from symlump.ode.functions.algebra import MAX_BITS

_MAX_FACTORIAL = 1000

#: Functions whose value at rationals is rational: computed exactly.
EXACT: dict[str, Callable[..., Fraction | int | bool]] = {
    "abs": abs,
    "floor": math.floor,
    "ceil": math.ceil,
    "min": lambda *x: min(x),
    "max": lambda *x: max(x),
    "sign": lambda x: (x > 0) - (x < 0),
    "sqr": lambda x: x * x,
    "quotient": lambda x, y: math.trunc(x / y),
    "rem": lambda x, y: x - y * math.trunc(x / y),
    "mod": lambda x, y: x - y * math.floor(x / y),
    "<": lambda *x: all(map(operator.lt, x, x[1:])),
    ">": lambda *x: all(map(operator.gt, x, x[1:])),
    "<=": lambda *x: all(map(operator.le, x, x[1:])),
    ">=": lambda *x: all(map(operator.ge, x, x[1:])),
    "==": lambda *x: all(map(operator.eq, x, x[1:])),
    "!=": operator.ne,
    "and": lambda *x: all(x),
    "or": lambda *x: any(x),
    "xor": lambda *x: sum(map(bool, x)) % 2,
    "not": lambda x: not x,
    "implies": lambda x, y: bool(y or not x),
}

_FLOAT: dict[str, Callable[..., float]] = {
    "pi": lambda: math.pi,
    "exp": math.exp,
    "ln": math.log,
    "log2": math.log2,
    "log10": math.log10,
    "log": lambda base, x: math.log(x) / math.log(base),
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "sec": lambda x: 1 / math.cos(x),
    "csc": lambda x: 1 / math.sin(x),
    "cot": lambda x: 1 / math.tan(x),
    "asin": math.asin,
    "acos": math.acos,
    "atan": math.atan,
    "asec": lambda x: math.acos(1 / x),
    "acsc": lambda x: math.asin(1 / x),
    "acot": lambda x: math.atan(1 / x) if x else math.pi / 2,
    "sinh": math.sinh,
    "cosh": math.cosh,
    "tanh": math.tanh,
    "sech": lambda x: 1 / math.cosh(x),
    "csch": lambda x: 1 / math.sinh(x),
    "coth": lambda x: 1 / math.tanh(x),
    "asinh": math.asinh,
    "acosh": math.acosh,
    "atanh": math.atanh,
    "asech": lambda x: math.acosh(1 / x),
    "acsch": lambda x: math.asinh(1 / x),
    "acoth": lambda x: math.atanh(1 / x),
}
_AT: dict[tuple[str, Fraction], int] = {
    (name, Fraction(at)): value
    for names, at, value in (
        ("exp cos cosh sec sech", 0, 1),
        ("sin tan sinh tanh asin atan asinh atanh", 0, 0),
        ("ln log2 log10 acos acosh asec asech", 1, 0),
    )
    for name in names.split()
}

#: What can be computed where all arguments are numbers.
KNOWN = frozenset({*EXACT, *_FLOAT, "sqrt", "root", "factorial", "piecewise"})


def not_read(name: str, why: str = "is not known here") -> str:
    """What is said of a function that cannot be computed with.

    Examples
    --------
    >>> not_read("wonder"), not_read("delay")
    ("the function 'wonder' is not known here", 'delayed values are not supported')
    """
    return "delayed values are not supported" if name == "delay" else f"the function {name!r} {why}"


def at_numbers(name: str, arguments: Sequence[Fraction]) -> tuple[Fraction, bool]:
    """The value of a function at numbers, and whether it is exact.

    Raises
    ------
    NotPolynomialError
        If the function is not known, or has no real value there.
    FileFormatError
        If the value is too large, or the number of arguments is wrong.

    Examples
    --------
    >>> at_numbers("log10", [Fraction(100)]), at_numbers("ln", [Fraction(2)])
    ((Fraction(2, 1), True), (Fraction(6931471805599453, 10000000000000000), False))
    """
    try:
        if name in EXACT:
            return Fraction(EXACT[name](*arguments)), True
        if name == "piecewise":
            return _piecewise(arguments), True
        if name == "factorial":
            return _factorial(*arguments), True
        if name == "sqrt":
            return power(arguments[0], Fraction(1, 2))
        if name == "root":
            degree, value = arguments
            return power(value, 1 / degree)
        if len(arguments) == 1 and (name, arguments[0]) in _AT:
            return Fraction(_AT[name, arguments[0]]), True
        bases = {"log10": 10, "log2": 2}
        base = Fraction(bases[name]) if name in bases else arguments[0] if name == "log" else None
        if base is not None and (whole := _whole_logarithm(base, arguments[-1])) is not None:
            return Fraction(whole), True
        return _nearest(_FLOAT[name](*map(float, arguments))), False
    except KeyError:
        raise NotPolynomialError(not_read(name)) from None
    except OverflowError:
        raise FileFormatError(f"the value of {name} is too large") from None
    except ZeroDivisionError:
        raise NotPolynomialError("division by zero") from None
    except ValueError as problem:
        if isinstance(problem, FileFormatError | NotPolynomialError):
            raise
        raise NotPolynomialError(f"{name} has no real value here") from None
    except (TypeError, IndexError):
        raise FileFormatError(f"{name} with {len(arguments)} arguments") from None


def power(base: Fraction, exponent: Fraction) -> tuple[Fraction, bool]:
    """A power of numbers whose exponent is not an integer, and whether it is exact.

    Examples
    --------
    >>> power(Fraction(4, 9), Fraction(3, 2))
    (Fraction(8, 27), True)
    """
    if base < 0:
        raise NotPolynomialError("a fractional power of a negative number has no real value")
    if not base:
        if exponent < 0:
            raise NotPolynomialError("division by zero")
        return Fraction(0), True
    root = exponent.denominator
    if root <= 64 and abs(exponent.numerator) <= 64:
        roots = _whole_root(base.numerator, root), _whole_root(base.denominator, root)
        if roots[0] is not None and roots[1] is not None:
            return Fraction(roots[0], roots[1]) ** exponent.numerator, True
    try:
        return _nearest(float(base) ** float(exponent)), False
    except OverflowError:
        raise FileFormatError("the value of a power is too large") from None


def _nearest(value: float) -> Fraction:
    if not math.isfinite(value):
        raise OverflowError
    size = number(repr(abs(value)))
    return -size if value < 0 else size


def _whole_root(value: int, degree: int) -> int | None:
    """The integer whose power a positive integer is, if there is one."""
    low, high = 1, 1 << (value.bit_length() // degree + 1)
    while low < high:
        middle = (low + high) // 2
        if middle**degree < value:
            low = middle + 1
        else:
            high = middle
    return low if low**degree == value else None


def _whole_logarithm(base: Fraction, value: Fraction) -> int | None:
    """The integer n with base**n = value, if there is one."""
    if base <= 1 or base.denominator != 1 or value <= 0:
        return None
    up = value if value >= 1 else 1 / value
    if up.denominator != 1 or up.numerator.bit_length() > MAX_BITS:
        return None
    n, rest = 0, up.numerator
    while rest % base.numerator == 0:
        rest //= base.numerator
        n += 1
    return (n if value >= 1 else -n) if rest == 1 else None


def _factorial(value: Fraction) -> Fraction:
    if value.denominator != 1 or not 0 <= value <= _MAX_FACTORIAL:
        raise FileFormatError(f"a factorial of something other than 0 … {_MAX_FACTORIAL}")
    return Fraction(math.factorial(value.numerator))


def _piecewise(arguments: Sequence[Fraction]) -> Fraction:
    """Values and conditions in turn, then perhaps the value where no condition holds."""
    for value, condition in zip(arguments[::2], arguments[1::2], strict=False):
        if condition:
            return value
    if len(arguments) % 2:
        return arguments[-1]
    raise NotPolynomialError("piecewise has no value here")
