"""Whether quotients are defined anywhere: denominators with functions in them, tried at states.

Standard library only; ``check.py`` beside it runs this file. A denominator that is not the zero
polynomial in variables and symbols may be 0 for another reason, as sin(x)² + cos(x)² − 1 is. Then a quotient by
it has no value anywhere, and whatever is claimed of it is a claim about nothing.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from fractions import Fraction
from typing import Any

Monomial = tuple[tuple[str, int], ...]
Polynomial = dict[Monomial, Fraction]

#: Sizes of states; each is tried with all signs, and with positive values only.
SIZES = (1.0, 0.3, 3.0, 30.0, 1000.0)
TRIES = 4
#: Terms and factors that are evaluated, after which no more states are tried.
MAX_STEPS = 2_000_000
#: A sum that is a smaller share of its terms is rounding; so may the value of a function be, if it is smaller.
_ROUNDING, _SMALL = 1e-9, 1e-3
_LONGEST = 80

_VALUES: dict[str, Callable[..., float]] = {
    name: getattr(math, name)
    for name in (
        *("exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "asin", "acos", "atan"),
        *("asinh", "acosh", "atanh", "floor", "ceil"),
    )
} | {
    "abs": abs,
    "min": min,
    "max": max,
    "power": math.pow,
    "pi": lambda: math.pi,
    "sign": lambda u: (u > 0) - (u < 0),
    "mod": lambda u, v: u - v * math.floor(u / v),
}


def denominators(claim: Any) -> tuple[str, str]:
    """A denominator that is 0 at all states where it has a value, and one that has a value at none.

    Parameters
    ----------
    claim : Claim
        What ``check.py`` reads.

    Returns
    -------
    tuple of str
        Each as a formula, and empty where there is none.

    Examples
    --------
    >>> from symlump.proof.check import read_claim
    >>> x, s, c = ([["1", [[name, 1]]]] for name in "xsc")
    >>> below = [["1", [["s", 2]]], ["1", [["c", 2]]], ["-1", []]]
    >>> functions = {"s": ["sin", [x]], "c": ["cos", [x]], "i": ["inverse", [below]]}
    >>> system = {"x": [["1", [["i", 1]]]]}
    >>> data = {"format": "symlump certificate", "version": 3, "kind": "backward", "blocks": {"x": ["x"]},
    ...         "system": system, "quotient": system, "functions": functions, "quotient_functions": functions}
    >>> denominators(read_claim(data))
    ('sin(x)^2 + cos(x)^2 - 1', '')
    >>> below[-1][0] = "-2"
    >>> denominators(read_claim(data))
    ('', '')
    """
    sides = (
        (claim.functions, _suspects(claim.functions)),
        (claim.quotient_functions, _suspects(claim.quotient_functions)),
    )
    was_zero: set[tuple[int, str]] = set()
    rest = {(side, symbol) for side, (_, suspects) in enumerate(sides) for symbol in suspects}
    for states in _states(claim):
        for side, (functions, _) in enumerate(sides):
            looked_at = {symbol for at, symbol in rest if at == side}
            for symbol, share in _shares(functions, looked_at, dict(states[side])):
                if share > _ROUNDING:
                    rest.discard((side, symbol))
                else:
                    was_zero.add((side, symbol))
        if not rest:
            break
    shown = ["", ""]
    for side, (functions, suspects) in enumerate(sides):
        for symbol in suspects:
            if (side, symbol) in rest:
                kind = 0 if (side, symbol) in was_zero else 1
                shown[kind] = shown[kind] or _text(functions, functions[symbol].arguments[0])
    return shown[0], shown[1]


def _symbols_in(polynomials: Iterable[Polynomial]) -> set[str]:
    return {name for p in polynomials for m in p for name, _ in m}


def _suspects(functions: Any) -> list[str]:
    """Denominators with functions in them, other than quotients and the time."""
    unknown: set[str] = set()
    found = []
    for symbol, f in functions.items():
        holds = not unknown.isdisjoint(_symbols_in(f.arguments))
        if f.name == "inverse" and holds:
            found.append(symbol)
        if holds or f.name not in ("inverse", "time"):
            unknown.add(symbol)
    return found


def _states(claim: Any) -> Iterator[tuple[dict[str, float], dict[str, float]]]:
    """Values for the system and for its quotient, which go together."""
    blocks = {} if claim.kind == "linear" else claim.blocks
    rows = claim.matrix or {b: {((m, 1),): 1 for m in members} for b, members in blocks.items()}
    drawn = random.Random(0)
    functions = (*claim.functions.values(), *claim.quotient_functions.values())
    terms = sum(len(m) + 1 for f in functions for p in f.arguments for m in p)
    for number in range(min(TRIES * len(SIZES), 1 + MAX_STEPS // (1 + terms))):
        size, least = SIZES[number % len(SIZES)], -1.0 if number % 2 else 0.0

        def draw(
            names: Iterable[str], size: float = size, least: float = least
        ) -> dict[str, float]:
            return {name: size * drawn.uniform(least, 1.0) for name in names}

        time = draw(["time"])["time"]
        if claim.kind == "backward":
            small = draw(blocks)
            large = {m: small[b] for b, members in blocks.items() for m in members}
        else:
            large = draw(claim.system)
            small = {}
            for row, form in rows.items():
                try:
                    small[row] = _sum(form, large)[0]
                except OverflowError:
                    continue  # a weight beyond floats
        yield large | {"\udc00": time}, small | {"\udc00": time}


def _shares(functions: Any, wanted: set[str], at: dict[str, float]) -> Iterator[tuple[str, float]]:
    """Each denominator that has a value at a state, as a share of the sizes of its terms."""
    needed, inside = set(wanted), dict(functions)
    for symbol in reversed(inside):
        if symbol in needed:
            needed |= _symbols_in(inside[symbol].arguments)
    small: set[str] = set()
    for symbol, f in functions.items():
        if symbol not in needed:
            continue
        try:
            u = [_sum(p, at, small) for p in f.arguments]
            if f.name == "time" and not u:
                value = at["\udc00"]
            elif f.name != "inverse":
                value = _VALUES[f.name](*(total for total, _ in u))
            else:
                total, size = u[0]
                if symbol in wanted:
                    yield symbol, abs(total) / size if size else 0.0
                value = 1 / total
        except (ArithmeticError, ValueError, TypeError, LookupError):
            continue  # no value here, and none of what is made from it
        if math.isfinite(value):
            at[symbol] = value
            if f.name != "inverse" and abs(value) < _SMALL:
                small.add(symbol)


def _sum(
    p: Polynomial, at: Mapping[str, float], small: Set[str] = frozenset()
) -> tuple[float, float]:
    """A polynomial at a state, and the sum of the sizes of its terms; some symbols have a least size."""
    total, sizes = [], []
    for m, c in p.items():
        number = float(c)
        total.append(number * math.prod(at[v] ** e for v, e in m))
        factors = ((_SMALL if v in small else abs(at[v])) ** e for v, e in m)
        sizes.append(abs(number) * math.prod(factors) if small else abs(total[-1]))
    size = math.fsum(sizes)
    if not math.isfinite(size):
        raise OverflowError
    return math.fsum(total), size


def _text(functions: Any, p: Polynomial) -> str:
    """A polynomial in symbols, written out, or its beginning."""

    def symbol(name: str, room: int) -> str:
        f = functions.get(name)
        if f is None:
            return name
        u = [total(argument, room - 1) for argument in f.arguments]
        if f.name == "power" and len(u) == 2:
            return "^".join(v if v.isalnum() else f"({v})" for v in u)
        called = {"inverse": "1/", "log": "ln"}.get(f.name, f.name)
        return f"{called}({', '.join(u)})"

    def total(p: Polynomial, room: int) -> str:
        if not room:
            return "…"
        shown = ""
        for monomial, c in p.items():
            factors = [symbol(v, room) + (f"^{e}" if e > 1 else "") for v, e in monomial[:8]]
            number = [str(abs(c))] if abs(c) != 1 or not factors else []
            sign = "-" if c < 0 else "+"
            term = "*".join([*number, *factors])
            shown += f" {sign} {term}" if shown else ("-" if c < 0 else "") + term
            if len(shown) > _LONGEST:
                return shown[:_LONGEST] + "…"
        return shown or "0"

    return total(p, 4)
