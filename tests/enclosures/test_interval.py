"""Intervals of arrays: each rounding and each underflow has an example that is wrong without it."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symlump.enclosures.interval import (
    TINY,
    UNIT,
    Interval,
    around,
    ball_product,
    down,
    gamma,
    grow,
    sum_up,
    up,
)

U = Fraction(1, 2**53)


def interval(lower, upper):
    return Interval(np.array([lower]), np.array([upper]))


def point(value):
    return Interval.point(np.array([value]))


def holds(found, exact):
    """True if an interval of one number contains a rational."""
    low, high = found.lower.item(), found.upper.item()
    return (low == -np.inf or Fraction(low) <= exact) and (
        high == np.inf or exact <= Fraction(high)
    )


def exact_product(a, b):
    return sum(Fraction(x) * Fraction(y) for x, y in zip(a, b, strict=True))


# Single operations


def test_ends_of_sums_are_moved_outward():
    tiny = Fraction(1, 2**60)
    above, below = point(1.0) + 2.0**-60, point(1.0) - 2.0**-60
    assert (above.lower.item(), above.upper.item()) == (1 - 2.0**-53, 1 + 2.0**-52)
    assert holds(above, 1 + tiny) and holds(below, 1 - tiny)
    assert holds(2.0**-60 - point(1.0), tiny - 1) and holds(2.0**-60 + point(1.0), tiny + 1)
    both = interval(1.0, 2.0) + interval(2.0**-60, 2.0**-60)
    assert holds(both, 2 + tiny) and holds(both, 1 + tiny)


def test_numbers_and_arrays_on_the_left():
    x = interval(1.0, 2.0)
    for found, low, high in (
        (5.0 - x, 3, 4),
        (5.0 + x, 6, 7),
        (3.0 * x, 3, 6),
        (np.array([-1.0]) * x, -2, -1),
    ):
        assert found.lower.item() == pytest.approx(low) and found.upper.item() == pytest.approx(
            high
        )
        assert isinstance(found, Interval)


def test_sums_that_are_zero_are_exact():
    zero = interval(-1.0, 5e-324) + interval(1.0, -5e-324)
    assert (zero.lower.item(), zero.upper.item()) == (0.0, 0.0)


def test_ends_of_products_are_moved_outward():
    for x, y in ((0.1, 0.1), (0.1, 0.3), (1 / 3, 3.0), (-0.7, 0.1)):
        found = point(x) * point(y)
        assert holds(found, Fraction(x) * Fraction(y))
        assert found.upper.item() == up(np.array(x * y)) and found.lower.item() == down(
            np.array(x * y)
        )


def test_products_that_underflow_are_not_zero():
    found = point(1e-200) * point(1e-200)
    assert found.lower.item() < 0 < found.upper.item() == 5e-324
    assert (point(1e-200) * point(-1e-200)).lower.item() == -5e-324
    assert holds(point(3e-160) * point(3e-160), Fraction(3e-160) ** 2)


def test_products_with_zero_are_zero():
    for a, b in product((point(0.0), point(-0.0)), (interval(-1e308, 3.0), interval(0.0, np.inf))):
        with np.errstate(invalid="ignore"):
            both = a * b, b * a
        for found in both:
            assert (found.lower.item(), found.upper.item()) == (0.0, 0.0)
    touching = interval(0.0, 2.0) * interval(1.0, 1.0)
    assert touching.lower.item() <= 0.0 and touching.upper.item() >= 2.0


@np.errstate(over="ignore")
def test_results_beyond_all_floats_stay_enclosed():
    high = point(1e308) * point(1e308)
    assert high.lower.item() == np.finfo(float).max and high.upper.item() == np.inf
    low = point(-1e308) + point(-1e308)
    assert low.upper.item() == -np.finfo(float).max and low.lower.item() == -np.inf


CORNERS = [-3.0, -0.1, 0.0, 0.3, 2.0]


@pytest.mark.parametrize("op", ["+", "-", "*"])
def test_operations_are_the_hull_of_their_corners(op):
    """Every sign of every end; and no wider than one float at each end."""
    do = {"+": lambda x, y: x + y, "-": lambda x, y: x - y, "*": lambda x, y: x * y}[op]
    pairs = [(a, b) for a, b in product(CORNERS, repeat=2) if a <= b]
    for (a, b), (c, d) in product(pairs, repeat=2):
        exact = [do(Fraction(x), Fraction(y)) for x in (a, b) for y in (c, d)]
        left = [interval(a, b), *([point(a)] if a == b else [])]
        right = [interval(c, d), *([point(c)] if c == d else [])]
        for found in (do(x, y) for x, y in product(left, right)):
            assert holds(found, min(exact)) and holds(found, max(exact))
            low, high = float(min(exact)), float(max(exact))
            assert down(down(np.array(low))) <= found.lower.item()
            assert found.upper.item() <= up(up(np.array(high)))


def test_hull_intersection_sign_and_size():
    a, b = interval(-2.0, 1.0), interval(0.5, 3.0)
    hull, common = a | b, a & b
    assert (hull.lower.item(), hull.upper.item()) == (-2.0, 3.0)
    assert (common.lower.item(), common.upper.item()) == (0.5, 1.0)
    assert ((-a).lower.item(), (-a).upper.item()) == (-1.0, 2.0)
    assert a.magnitude.item() == 2.0 and b.magnitude.item() == 3.0
    assert interval(-1.0, 4.0).magnitude.item() == 4.0


def test_points_stay_points():
    values = np.arange(6.0).reshape(2, 3)
    p = Interval.of(values)
    for q in (p, p.T, p[0], Interval.point(values), Interval.of(2.0), Interval.of(p)):
        assert q.lower is q.upper and not q.ball()[1].any()
    assert Interval.of(3).lower.dtype == np.float64
    assert p.T.shape == (3, 2) and p[1, 2].lower == 5.0 and p.shape == (2, 3)
    wide = Interval(values, values + 1)
    assert np.array_equal(wide.T.upper, wide.upper.T) and np.array_equal(
        wide[1].upper, wide.upper[1]
    )
    assert np.array_equal(wide.T.lower, wide.lower.T) and np.array_equal(
        wide[1].lower, wide.lower[1]
    )
    with pytest.raises(AttributeError):
        p.lower = values


# Balls


def test_radius_of_a_ball_is_rounded_up():
    """The centre of [−1, 2⁻⁶⁰] is rounded to −1/2, so the radius is more than 1/2."""
    for found in (interval(-1.0, 2.0**-60), interval(-(2.0**-60), 1.0)):
        centre, radius = (x.item() for x in found.ball())
        assert Fraction(centre) + Fraction(radius) >= Fraction(found.upper.item())
        assert Fraction(centre) - Fraction(radius) <= Fraction(found.lower.item())
        assert radius < 0.5 + 1e-15


@np.errstate(over="ignore")
def test_balls_of_extreme_intervals():
    most = np.finfo(float).max
    centre, radius = interval(-most, most).ball()
    assert centre.item() == 0 and radius.item() >= most
    centre, radius = interval(0.9 * most, most).ball()
    assert np.isfinite(centre).all() and 0 < radius.item() < 0.1 * most
    centre, radius = interval(5e-324, 5e-324).ball()  # half of it is 0
    assert centre.item() == 5e-324 and radius.item() == 0
    assert interval(1.0, 3.0).middle.item() == 2.0


@given(st.floats(-1e300, 1e300), st.floats(0, 1e300))
def test_balls_contain_their_intervals(low, width):
    found = interval(low, low + width)
    centre, radius = (Fraction(x.item()) for x in found.ball())
    assert centre - radius <= Fraction(found.lower.item())
    assert centre + radius >= Fraction(found.upper.item())


def test_around_a_ball_is_outward_and_keeps_points():
    found = around(np.array([1.0, -1.0, 0.1]), np.array([1e-20, 1e-20, 0.0]))
    assert found.upper.tolist() == [1 + 2.0**-52, -1 + 2.0**-53, 0.1]
    assert found.lower.tolist() == [1 - 2.0**-53, -1 - 2.0**-52, 0.1]


# Sums of many terms


@pytest.mark.parametrize("terms", [2, 3, 7])
def test_grow_and_sum_up_make_good_what_was_lost(terms):
    """In 1 + u + u + … each sum is rounded back to 1."""
    row = np.array([1.0] + [UNIT] * (terms - 1))
    lost = 1.0
    for x in row[1:]:
        lost += x
    assert lost == 1.0
    exact = 1 + (terms - 1) * U
    assert exact <= Fraction(grow(np.array(lost), terms).item()) < 1 + 20 * terms * U
    assert exact <= Fraction(sum_up(row[None, :]).item()) < 1 + 20 * terms * U
    assert Fraction(gamma(terms)) == terms * U
    assert sum_up(np.zeros((2, 3))).tolist() == [0.0, 0.0]
    assert sum_up(np.array([[1.0, 2.0], [4.0, 8.0]])).round(9).tolist() == [3.0, 12.0]


def test_grow_counts_products_that_were_lost():
    exact = Fraction(1e-200) ** 2
    assert exact <= Fraction(grow(np.array(1e-200 * 1e-200), 1).item()) < 1e-290
    assert 2.0**60 * 5e-324 < TINY < 1e-290  # for as many terms as fit a machine


# Products of matrices


def dot(a, b, a_radius=None, b_radius=None):
    """The product of a row and a column: middle and radius."""
    a, b = np.array([a]), np.array([b]).T
    a_radius = np.zeros_like(a) if a_radius is None else np.array([a_radius])
    b_radius = np.zeros_like(b) if b_radius is None else np.array([b_radius]).T
    middle, radius = ball_product(a, a_radius, b, b_radius)
    return Fraction(middle.item()), Fraction(radius.item())


def test_rounding_of_a_product_is_counted():
    """1 + 2⁻⁶⁰ is rounded to 1."""
    middle, radius = dot([1.0, 2.0**-30], [1.0, 2.0**-30])
    assert abs(1 + Fraction(1, 2**60) - middle) <= radius < 20 * U


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([1e-200, 1e-200], [1e-200, 1e-200]),  # every product is 0
        ([1.1e308, 1.0], [1e-320, 0.0]),  # u·|b| is 0, and |a| is large
        ([1e-320, 0.0], [1.1e308, 1.0]),
        ([3e-160, 3e-160], [3e-160, 7e-160]),  # subnormal
        ([1e200, 1e-200], [1e-320, 1e-200]),
        ([1e-200, 1e-200, 1.0], [1e-200, 1e-200, 0.0]),
    ],
)  # fmt: skip
def test_underflow_in_a_product_is_counted(a, b):
    middle, radius = dot(a, b)
    exact = exact_product(a, b)
    assert abs(exact - middle) <= radius
    assert radius < abs(exact) / 10**10 + Fraction(1, 10**300)
    found = np.array([a]) @ Interval.point(np.array([b]).T)
    assert holds(found, exact)


def test_rounding_grows_with_the_number_of_terms():
    """However a library adds: behind 64 ones, which fill its accumulators, 8000 terms are rounded away."""
    row = np.concatenate([np.ones(64), np.full(8000, 0.999 * UNIT)])
    middle, radius = dot(row.tolist(), [1.0] * row.size)
    lost = abs(exact_product(row, np.ones(row.size)) - middle)
    assert 1000 * U < lost <= radius
    stack, one = row[None, None, :], np.ones((1, row.size, 1))
    _, radius_of_stack = ball_product(stack, 0 * stack, one, 0 * one)
    assert Fraction(radius_of_stack.item()) >= lost


def test_radii_count_where_small_numbers_meet():
    middle, radius = dot([1.0, 1e-200], [1.0, 1e-200], b_radius=[0.5, 0.0])
    assert Fraction(1, 2) < radius < Fraction(1, 2) + 100 * U
    middle, radius = dot([1.0, 1e-200], [1.0, 1e-200], a_radius=[0.5, 0.0])
    assert Fraction(1, 2) < radius < Fraction(1, 2) + 100 * U


def test_radii_of_a_product():
    """(1 ± ½)·(1 ± ¼) reaches from 3/8 to 15/8; without the product of the radii to 14/8 only."""
    for a, b in ((0.5, 0.25), (0.25, 0.5)):
        middle, radius = dot([1.0], [1.0], [a], [b])
        assert middle + radius >= Fraction(15, 8) and middle - radius <= Fraction(3, 8)
        assert radius < Fraction(15, 8) - 1 + 30 * U
    for a, b in ((0.0, 0.25), (0.25, 0.0)):
        middle, radius = dot([-3.0], [3.0], [a], [b])
        assert Fraction(3, 4) <= radius < Fraction(3, 4) + 200 * U


def test_radii_that_underflow_are_counted():
    """0 ± 1e-200 times 0 ± 1e-200 reaches to 1e-400, and 1e-200 times it likewise."""
    for a, a_radius, b, b_radius in (
        (0.0, 1e-200, 0.0, 1e-200), (1e-200, 0.0, 0.0, 1e-200), (0.0, 1e-200, 1e-200, 0.0)
    ):  # fmt: skip
        middle, radius = dot([a], [b], [a_radius], [b_radius])
        reach = (Fraction(a) + Fraction(a_radius)) * (Fraction(b) + Fraction(b_radius))
        assert middle + radius >= reach > 0


def test_radii_are_summed_upward():
    """Whatever way 1, ½·u, … are added, the sum is rounded to 1."""
    small = 2.0**-54
    for place in ("a", "b"):
        radii = {f"{place}_radius": [1.0, small]}
        one, zero = [1.0, 1.0], [0.0, 0.0]
        values = (zero, one) if place == "a" else (one, zero)
        _, radius = dot(*values, **radii)
        assert radius >= 1 + Fraction(1, 2**54)


def test_products_with_zeros_are_exact():
    middle, radius = ball_product(
        np.zeros((2, 3)), np.zeros((2, 3)), np.ones((3, 1)), np.ones((3, 1))
    )
    assert not middle.any() and not radius.any()
    found = Interval.point(np.eye(2)) @ Interval.point(np.zeros((2, 2)))
    assert not found.lower.any() and not found.upper.any()
    nothing = Interval.point(np.ones((2, 0))) @ np.ones((0, 3))
    assert nothing.lower.tolist() == nothing.upper.tolist() == [[0.0] * 3] * 2


def test_products_of_stacks_are_those_of_their_parts():
    rng = np.random.default_rng(0)
    a = Interval(rng.normal(size=(4, 2, 3)), rng.normal(size=(4, 2, 3)) + 5)
    b = rng.normal(size=(3, 2))
    whole = a @ b
    for k in range(4):
        assert whole[k].lower == pytest.approx((a[k] @ b).lower, rel=1e-13)
        assert whole[k].upper == pytest.approx((a[k] @ b).upper, rel=1e-13)


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.sampled_from([0.0, 1e-12, 0.3]))
def test_products_contain_members_and_are_narrow(seed, terms, width):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(2, terms)) * 10.0 ** rng.integers(-9, 9, (2, terms))
    b = rng.normal(size=(terms, 2)) * 10.0 ** rng.integers(-9, 9, (terms, 2))
    left = Interval(a, a + width * np.abs(a)) if width else Interval.point(a)
    right = Interval(b - width * np.abs(b), b) if width else Interval.point(b)
    found = left @ right
    signs = rng.choice([0, 1], (2, 2, terms))
    for i, j in product(range(2), repeat=2):
        x = np.where(signs[0, i], left.lower[i], left.upper[i])
        y = np.where(signs[1, j], right.lower[:, j], right.upper[:, j])
        exact = exact_product(x, y)
        assert Fraction(found.lower[i, j]) <= exact <= Fraction(found.upper[i, j])
        size = float(np.abs(x) @ np.abs(y))
        reach = float(left.magnitude[i] @ right.magnitude[:, j])
        expected = 3 * width * reach + 10 * (terms + 4) * UNIT * size
        assert (
            found.upper[i, j] - found.lower[i, j] <= expected + 1e-13 * reach * (width > 0) + 1e-290
        )
