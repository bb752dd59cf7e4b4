"""What bounds are made of: products of matrices, ranges and bands of activations, functions on boxes."""

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest

from symlump.enclosures.affine import AffineMap
from symlump.enclosures.interval import Interval
from symlump.network.activations.enclosure import enclose, enclose_slope
from symlump.network.activations.table import ACTIVATIONS, activation
from symlump.network.bounds.bands import bent, slope_line, straight
from symlump.network.bounds.corners import Forms, cube, over_corners, product
from symlump.network.bounds.curves import curve, difference_curve

EVERY = (*ACTIVATIONS, "leaky_relu:0.3", "elu:0.5", "polynomial:0.25,1,-0.5,0.1")


def test_intervals_of_matrix_products_are_outward():
    rng = np.random.default_rng(0)
    for _ in range(20):
        w, b = rng.normal(size=(3, 40)) * 10.0 ** rng.integers(-3, 4, (3, 40)), rng.normal(size=3)
        x = rng.normal(size=40)
        found = AffineMap.exactly(w, b)(Interval.point(x))
        for i in range(3):
            exact = Fraction(b[i]) + sum(
                Fraction(p) * Fraction(q) for p, q in zip(w[i], x, strict=True)
            )
            assert Fraction(found.lower[i]) <= exact <= Fraction(found.upper[i])


@pytest.mark.parametrize("name", EVERY)
def test_curves_and_bands_contain_the_activation(name):
    phi = activation(name)
    rng = np.random.default_rng(0)
    low = rng.uniform(-4, 4, 60)
    high = np.where(rng.random(60) < 0.1, low, low + rng.exponential(1.5, 60))
    low[:3], high[:3] = (0.0, -2.0, -1.0), (2.0, 0.0, 1.0)
    z = Interval(low, high)
    found = curve(phi, z.magnitude.max())
    values, slopes = found.values(z), found.slopes(z)
    centre = (low + high) / 2 + 0.01
    bands = straight(found, z), *(bent(found, z, centre, degree=k) for k in (2, 3))
    bands = *bands, bent(found, z, centre, degree=5, parts=48)
    tangent = slope_line(found, z, centre)
    for share in np.linspace(0, 1, 23):
        at = np.clip(low + share * (high - low), low, high)
        below, above = enclose(phi, at, at)
        assert ((values.lower <= above) & (below <= values.upper)).all()
        for band in bands:
            away = at - band.centre
            line = band.offset + (band.slope + (band.bend + band.twist * away) * away) * away
            line = line + sum(c * away**k for k, c in enumerate(band.higher, 4))
            slack = 1e-13 * (1 + np.abs(line) + np.abs(below))
            assert (np.maximum(line - above, below - line) <= band.radius + slack).all()
        inside = (low < at) & (at < high)
        below, above = enclose_slope(phi, at, at)
        assert ((slopes.lower <= above) & (below <= slopes.upper))[inside].all()
        line = tangent.offset + tangent.slope * (at - centre)
        slack = 1e-13 * (1 + np.abs(line) + np.abs(below))
        apart = np.maximum(line - above, below - line) - tangent.radius
        assert (apart <= slack)[inside].all()
    if not phi.kinks and phi.pieces is None:
        medians = [np.median(band.radius) for band in bands]
        assert medians[3] <= medians[2] <= medians[1] <= medians[0]


def test_difference_of_two_activations():
    one, two = activation("tanh"), activation("polynomial:0,1,0,-0.25")
    z = Interval(np.array([-0.5, 1.0]), np.array([0.5, 2.0]))
    found = difference_curve(one, two, 2.0).values(z)
    for share in np.linspace(0, 1, 50):
        at = z.lower + share * (z.upper - z.lower)
        gap = one(at) - two(at)
        assert ((found.lower <= gap) & (gap <= found.upper)).all()
    assert (found.upper - found.lower <= [0.06, 1.4]).all()


def features(t):
    """t_j, 2·t_j² − 1 and t_j·t_k, for rows of t."""
    j, k = np.triu_indices(t.shape[1], 1)
    return np.concatenate([t, 2 * t**2 - 1, t[:, j] * t[:, k]], axis=1)


def test_products_of_affine_functions():
    rng = np.random.default_rng(0)
    a, b, t = rng.normal(size=4), rng.normal(size=4), rng.uniform(-1, 1, (50, 4))
    constant, rest = product(a, b)
    assert np.allclose(constant + features(t)[:, 4:] @ rest, (t @ a) * (t @ b))


def test_cubes_of_affine_functions():
    rng = np.random.default_rng(0)
    for inputs in (1, 2, 4):
        a, t = rng.normal(size=inputs), rng.uniform(-1, 1, (50, inputs))
        first, rest = cube(a)
        j, k = np.nonzero(~np.eye(inputs, dtype=bool))
        three = [t[:, list(some)].prod(axis=1) for some in combinations(range(inputs), 3)]
        more = [*(4 * t**3 - 3 * t).T, *((2 * t[:, j] ** 2 - 1) * t[:, k]).T, *three]
        assert np.allclose(t @ first + np.stack(more, axis=1) @ rest, (t @ a) ** 3)
        assert np.isclose(np.abs(first).sum() + np.abs(rest).sum(), np.abs(a).sum() ** 3)


def test_ranges_of_forms_hold_and_are_exact_for_one_input():
    rng = np.random.default_rng(0)
    for inputs in (1, 3):
        count = inputs * (inputs + 3) // 2
        sides, middle = rng.normal(size=(1, 20, count)), rng.normal(size=(1, 20))
        found = Forms(middle, sides, np.zeros((1, 20)), 1, inputs).range()
        values = middle + features(rng.uniform(-1, 1, (20_000, inputs))) @ sides[0].T
        assert (found.lower <= values).all() and (values <= found.upper).all()
        if inputs == 1:
            assert np.abs(found.lower[0] - values.min(axis=0)).max() < 1e-3
            assert np.abs(found.upper[0] - values.max(axis=0)).max() < 1e-3


@pytest.mark.parametrize("inputs", [1, 4, 11])
def test_sums_of_absolute_values_over_corners(inputs):
    rng = np.random.default_rng(0)
    target = Forms(
        rng.normal(size=(1, 2)), rng.normal(size=(1, 2, inputs)), np.zeros((1, 2)), 1, inputs
    )
    q = Forms(rng.normal(size=(1, 5)), rng.normal(size=(1, 5, inputs)), np.zeros((1, 5)), 1, inputs)
    weight = rng.uniform(0, 1, (1, 2, 5))
    found = over_corners(target, [(weight, q)])
    t = np.concatenate(
        [rng.uniform(-1, 1, (5000, inputs)), rng.choice([-1.0, 1.0], (5000, inputs))]
    )
    spread = np.abs(q.middle + t @ q.sides[0].T) @ weight[0].T
    line = target.middle + t @ target.sides[0].T
    assert (found.lower[0] <= line - spread).all() and (line + spread <= found.upper[0]).all()
    plain = target.range().upper + (weight @ q.range().magnitude[..., None])[..., 0]
    assert (found.upper <= plain).all()
    if inputs <= 4:
        assert np.allclose(found.upper[0], (line + spread).max(axis=0))
