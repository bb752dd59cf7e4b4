"""Affine maps known up to radii: values, compositions, and what their radii come to."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symlump.enclosures.affine import AffineMap
from symlump.enclosures.boxes import as_box, ensure_finite, samples_of
from symlump.enclosures.interval import Interval
from symlump.errors import FailureError, MethodError


def exact(matrix):
    return [[Fraction(x) for x in row] for row in np.atleast_2d(matrix)]


def random_map(rng, units, inputs, width):
    weight, bias = rng.normal(size=(units, inputs)), rng.normal(size=units)
    return AffineMap(weight, bias, width * np.abs(weight), width * np.abs(bias))


def member(rng, f):
    """A map of floats within the radii, at their ends as far as floats allow."""
    signs = rng.choice([-1, 1], f.weight.shape), rng.choice([-1, 1], f.bias.shape)
    shrink = 1 - 2.0**-40
    return f.weight + shrink * signs[0] * f.weight_radius, f.bias + shrink * signs[
        1
    ] * f.bias_radius


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1e-9, 0.2]))
def test_values_contain_those_of_members(seed, width):
    rng = np.random.default_rng(seed)
    f = random_map(rng, 2, 3, width)
    low = rng.normal(size=(4, 3))
    x = Interval(low, low + rng.exponential(size=(4, 3)) * rng.integers(0, 2, (4, 3)))
    found = f(x)
    size = x.magnitude @ np.abs(f.weight).T + np.abs(f.bias)
    spread = (x.upper - x.lower) @ np.abs(f.weight).T
    assert (found.upper - found.lower <= (1 + width) * spread + 2.01 * (width + 1e-14) * size).all()
    for _ in range(4):
        weight, bias = member(rng, f)
        w, b = exact(weight), [Fraction(c) for c in bias]
        at = np.where(rng.integers(0, 2, low.shape), x.lower, x.upper)
        for k, i in product(range(4), range(2)):
            value = b[i] + sum(p * Fraction(q) for p, q in zip(w[i], at[k], strict=True))
            assert Fraction(found.lower[k, i]) <= value <= Fraction(found.upper[k, i])


def test_bias_is_added_outward():
    f = AffineMap.exactly(np.array([[1.0]]), np.array([2.0**-60]))
    found = f(Interval.point(np.array([1.0])))
    assert found.lower.item() <= 1 < 1 + Fraction(1, 2**60) <= Fraction(found.upper.item())
    wide = AffineMap(np.array([[1.0]]), np.array([0.5]), np.zeros((1, 1)), np.array([0.25]))
    found = wide(Interval.point(np.array([1.0])))
    assert found.lower.item() <= 1.25 and 1.75 <= found.upper.item() < 1.7501
    nothing = AffineMap.exactly(np.zeros((2, 1)), None)
    assert (
        nothing.bias.tolist() == [0.0, 0.0] and not nothing(Interval.point(np.ones(1))).upper.any()
    )


def test_error_is_at_least_what_it_says():
    rng = np.random.default_rng(0)
    for width, relative in product((0.0, 1e-9, 0.5), (0.0, 1e-15, 0.1)):
        f, size = random_map(rng, 3, 5, width), np.abs(rng.normal(size=(2, 5)))
        found = f.error(size, relative)
        for k, i in product(range(2), range(3)):
            r = Fraction(relative)
            terms = [(r * abs(Fraction(w)) + Fraction(d)) * Fraction(s)
                     for w, d, s in zip(f.weight[i], f.weight_radius[i], size[k], strict=True)]  # fmt: skip
            least = sum(terms) + r * abs(Fraction(f.bias[i])) + Fraction(f.bias_radius[i])
            assert least <= Fraction(found[k, i]) <= least * Fraction(1 + 1e-14) + Fraction(1e-290)
    lost = AffineMap.exactly(np.array([[1e-200]]), None).error(np.array([1e-200]), 1.0)
    assert Fraction(lost.item()) >= Fraction(1e-200) ** 2
    # a part of a small weight, times something large
    least = AffineMap.exactly(np.array([[2.0**-1070]]), None).error(np.array([2.0**1000]), 2.0**-10)
    assert Fraction(least.item()) >= Fraction(2) ** -80


def test_error_counts_every_rounding_of_a_single_input():
    """d·x + c + r·(w·x + b), the worst of 400 000 random ones: its roundings lose more than 2 units."""
    numbers = (float.fromhex(f"0x1.{digits}p0") for digits in (
        "a3fe550786503", "1a13c7a1f450c", "8cc119c70bbf0", "84392ac40392c", "536d78713f54f", "4fc516d1f751e"
    ))  # fmt: skip
    w, d, x, b, c, r = numbers
    f = AffineMap(np.array([[w]]), np.array([b]), np.array([[d]]), np.array([c]))
    found, computed = f.error(np.array([x]), r).item(), (d * x + c) + r * (w * x + b)
    w, d, x, b, c, r = map(Fraction, (w, d, x, b, c, r))
    exact = (r * w + d) * x + (r * b + c)
    assert Fraction(computed) < exact * (1 - Fraction(2, 2**53))
    assert exact <= Fraction(found) <= exact * (1 + Fraction(1, 2**47))


def test_boxes_as_people_write_them():
    for box in (
        (-1, 1),
        ([-1, -1, -1], 1),
        np.array([[-1, 1]] * 3),
        [(-1, 1)] * 3,
        (np.full(3, -1), np.ones(3)),
    ):
        found = as_box(box, 3)
        assert found.lower.tolist() == [-1.0] * 3 and found.upper.tolist() == [1.0] * 3
    assert as_box(np.array([[0, 1], [2, 3]]), 2).lower.tolist() == [0.0, 2.0]
    assert as_box((np.array([0, 1]), np.array([2, 3])), 2).lower.tolist() == [0.0, 1.0]
    assert as_box((0, 0), 1).upper.tolist() == [0.0]
    with pytest.raises(MethodError, match="this list of two pairs can be read in two ways"):
        as_box([[0, 1], [2, 3]], 2)
    assert as_box(((0, 1), (2, 3)), 2).lower.tolist() == [0.0, 1.0]
    with pytest.raises(
        MethodError, match=r"a box is \(low, high\), each a number or 2 .*\(2, 2\); got"
    ):
        as_box((0, 1, 2), 2)
    for wrong in ((1, 0), (0, np.inf), (-np.inf, 0), (np.nan, 0), (0, np.nan)):
        with pytest.raises(MethodError, match="with finite low ≤ high; got"):
            as_box(wrong, 2)
    for whole in (np.array([[0, 1], [2, 3]]), (0, np.array([1, 2]))):  # integers become floats
        found = as_box(whole, 2)
        assert found.lower.dtype == found.upper.dtype == np.float64
    for wrong in ((0, 10**400), (0, 1j), (0, "one"), [(0, 1), (0, 1), (0, None)]):
        with pytest.raises(MethodError, match="^a box is "):
            as_box(wrong, 3)
    own = np.zeros(2)
    as_box((own, 1), 2).lower[0] = 5.0
    assert own[0] == 0.0  # a copy


def test_samples_fill_a_box():
    box = as_box(np.array([[-2, -1], [3, 3], [-1e308, 1e308]]), 3)
    x = samples_of(box, 500, np.random.default_rng(0))
    assert x.shape == (500, 3) and ((x >= box.lower) & (x <= box.upper)).all()
    assert x[:, 0].min() < -1.98 and x[:, 0].max() > -1.02 and abs(x[:, 0].mean() + 1.5) < 0.05
    assert np.quantile(x[:, 0], [0.25, 0.75]) == pytest.approx([-1.75, -1.25], abs=0.06)
    assert (x[:, 1] == 3).all() and np.isfinite(x).all() and np.abs(x[:, 2]).max() > 9e307


def test_what_overflows_is_named():
    ensure_finite(Interval(np.array([-1e308]), np.array([1e308])), "sums")
    for low, high in ((-np.inf, 0.0), (0.0, np.inf), (np.nan, 0.0)):
        with pytest.raises(
            FailureError, match="^sums overflow float64 on this box, so nothing can be certified"
        ):
            ensure_finite(Interval(np.array([low]), np.array([high])), "sums")
