"""Affine forms with shared unknowns: no rounding, however unlucky, puts a real value outside."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from symlump.enclosures.interval import Interval
from symlump.enclosures.shared_forms import SharedForms, Unknowns, narrower, stack_forms


def scaled(rng: Any, *shape: int) -> Any:
    """Numbers of any size, row by row, and rows of 0: so that no term hides what another one leaves out."""
    scale = 10.0 ** rng.integers(-20, 3, shape[0]) * (rng.random(shape[0]) < 0.6)
    return (rng.normal(size=shape).T * scale).T


def drawn(rng: Any, rows: int, unknowns: int) -> SharedForms:
    return SharedForms(scaled(rng, rows), scaled(rng, rows, unknowns), np.abs(scaled(rng, rows)))


def value(x: SharedForms, t: list[Fraction], rest: list[int]) -> list[Fraction]:
    """Exactly, with each error taken at −1, 0 or 1 times its size."""
    return [
        Fraction(m) + sum(Fraction(s) * u for s, u in zip(row, t, strict=True)) + r * Fraction(e)
        for m, row, r, e in zip(x.middle, x.sides, rest, x.error, strict=True)
    ]


def holds(x: SharedForms, t: list[Fraction], exact: list[Fraction]) -> bool:
    """Whether the form with these unknowns holds the value, by no more than its error."""
    plain = value(x, t, [0] * x.error.size)
    return all(
        abs(a - b) <= Fraction(e) for a, b, e in zip(plain, exact, x.error, strict=True)
    ) and all(
        Fraction(low) <= b <= Fraction(high)
        for low, high, b in zip(x.range.lower, x.range.upper, exact, strict=True)
    )


@pytest.mark.parametrize("seed", range(120))
def test_every_operation_holds_the_real_value(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = drawn(rng, 4, 5), drawn(rng, 4, 5)
    t = [Fraction(int(k), 8) for k in rng.integers(-8, 9, 5)]
    rest = [[int(k) for k in rng.integers(-1, 2, 4)] for _ in range(2)]
    a, b = value(x, t, rest[0]), value(y, t, rest[1])
    assert holds(x + y, t, [p + q for p, q in zip(a, b, strict=True)])
    assert holds(x - y, t, [p - q for p, q in zip(a, b, strict=True)])
    assert holds(x * y, t, [p * q for p, q in zip(a, b, strict=True)])
    slope, offset, radius = scaled(rng, 4), scaled(rng, 4), np.abs(scaled(rng, 4))
    line = x.line(slope, offset, radius)
    for sign in (-1, 1):
        exact = [
            Fraction(s) * p + Fraction(o) + sign * Fraction(r)
            for s, p, o, r in zip(slope, a, offset, radius, strict=True)
        ]
        assert holds(line, t, exact)
    weight, bias = scaled(rng, 8, 3).T, scaled(rng, 3)
    exact = [
        sum((Fraction(w) * p for w, p in zip(row, [*a, *b], strict=True)), Fraction(c))
        for row, c in zip(weight, bias, strict=True)
    ]
    assert holds(stack_forms(x, y).through(weight, bias), t, exact)


def test_errors_become_unknowns_and_old_unknowns_errors() -> None:
    rng = np.random.default_rng(0)
    unknowns = Unknowns()
    x = unknowns.fresh(Interval(np.array([-1.0, 2.0]), np.array([1.0, 5.0])))
    y = unknowns.settle(x * x)
    assert unknowns.count == 4 and not y.error.any()
    # what is settled cancels, what is not does not
    assert (y - y).radius.max() < 1e-12 < (x * x - x * x).radius.min()
    z = y.through(rng.normal(size=(3, 2)))
    (shorter,) = unknowns.forget([z], 1)
    assert shorter.sides.shape == (3, 4) and unknowns.count == 4
    assert (shorter.radius >= z.radius * (1 - 1e-12)).all()
    assert np.allclose(shorter.radius, z.radius, rtol=1e-9)


def test_sums_of_sizes_and_what_is_forgotten_are_rounded_up() -> None:
    sides, error = np.random.default_rng(0).normal(size=(50, 300)), np.full(50, 0.1)
    x = SharedForms(np.zeros(50), sides, error)
    exact = [sum((abs(Fraction(s)) for s in row), Fraction(0.1)) for row in sides]
    assert all(Fraction(r) >= e for r, e in zip(x.radius, exact, strict=True))
    unknowns = Unknowns()
    unknowns.count = 300
    (left,) = unknowns.forget([x], 0)  # each row keeps one unknown of its own: all that it had
    assert left.sides.shape == (50, 50) and (left.sides == np.diag(np.diag(left.sides))).all()
    assert all(Fraction(r) >= e for r, e in zip(np.diag(left.sides), exact, strict=True))


def test_what_is_known_and_the_narrower_of_two() -> None:
    x = SharedForms(np.array([0.5, 0.0]), np.array([[0.25], [3.0]]), np.zeros(2))
    capped = x.within(1.0)
    assert capped.middle.tolist() == [0.5, 0.0] and capped.error.tolist() == [0.0, 1.0]
    assert capped.sides.tolist() == [[0.25], [0.0]]
    other = SharedForms(np.array([0.4, 0.0]), np.zeros((2, 3)), np.array([0.5, 0.5]))
    best = narrower(x, other)
    assert best.middle.tolist() == [0.5, 0.0] and best.error.tolist() == [0.0, 0.5]
