"""What floats round off, and what underflows, is in every bound of a network.

Each test fails when the term it names is deleted from the code: truth comes from rational arithmetic, and
the inputs are such that computed numbers fall on the wrong side.
"""

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest

from symlump.enclosures.affine import AffineMap
from symlump.enclosures.interval import Interval, gamma
from symlump.network.activations.table import activation
from symlump.network.bounds.bands import bent, slope_line, straight
from symlump.network.bounds.corners import Forms, over_corners
from symlump.network.bounds.curves import Table, curve
from symlump.network.bounds.evaluation import evaluation_error
from symlump.network.bounds.joint import Joint, Pairs
from symlump.network.network import Network

SMALLEST = 2.0**-1074
#: Where floats are dense, and where every product is rounded to a multiple of the smallest float.
SIZES = pytest.mark.parametrize("unit", [1.0, SMALLEST], ids=["rounding", "underflow"])


def exact(values):
    """Rationals, entry by entry."""
    return np.vectorize(Fraction, otypes=[object])(np.asarray(values, dtype=float))


def inside(interval, truth):
    return bool(((exact(interval.lower) <= truth) & (truth <= exact(interval.upper))).all())


def odd_numbers(unit, count, seed=0):
    """Positive numbers near the unit: random ones, or small multiples of the smallest float."""
    rng = np.random.default_rng(seed)
    if unit == SMALLEST:
        return SMALLEST * rng.integers(1, 8, count)
    return rng.uniform(0.5, 2.0, count)


@dataclass(frozen=True, eq=False)
class Drawn:
    """A curve of which everything is given: points, values there, slopes between."""

    points: np.ndarray
    at: Interval
    over: Interval

    def spaced(self, z):
        return self.points

    def along(self, points):
        return self.points, self.at, self.over


# Curves


@SIZES
def test_values_within_a_cell(unit):
    """The line a·z from 0 to a on one cell: its values are products, which floats round."""
    z = np.random.default_rng(1).uniform(0, 1, 20)
    for a in odd_numbers(unit, 10):
        for sign in (1.0, -1.0):
            ends, slope = np.array([-sign * a, sign * a]), np.array([sign * a])
            table = Table(np.array([-1.0, 1.0]), Interval.point(ends), Interval.point(slope))
            assert inside(table.values(Interval.point(z)), exact(z) * Fraction(sign * a))


@SIZES
def test_values_over_a_cell(unit):
    """A tent is highest where its sides meet: at a·b/(a + b), where it is 1 wide and 0 at both ends."""
    nodes, heights = np.array([-1.0, -0.5, 0.5, 1.0]), np.array([-1.0, 0.0, 0.0, -1.0])
    whole, middle = (Interval(np.array([-z]), np.array([z])) for z in (1.0, 0.25))
    for a, b in odd_numbers(unit, (30, 2)):
        top = Fraction(a) * Fraction(b) / (Fraction(a) + Fraction(b))
        least, most = np.array([2.0, -b, -2.0]), np.array([2.0, a, -2.0])
        tent = Table(nodes, Interval.point(heights), Interval(least, most))
        trough = Table(nodes, Interval.point(-heights), Interval(-most, -least))
        for z in (whole, middle):
            assert inside(tent.values(z), top)
            assert inside(trough.values(z), -top)


@SIZES
def test_values_of_a_piecewise_linear_activation(unit):
    z = -odd_numbers(unit, 20)
    _, at, _ = curve(activation("leaky_relu:0.3"), 2.0).along(np.sort(z)[:, None])
    truth = exact(np.sort(z)) * Fraction(0.3)
    known = at[:20, 0] if at.lower.shape[0] == 20 else Interval(at.lower[:20, 0], at.upper[:20, 0])
    assert inside(known, truth)


# Bands


def residual_fits(band, z, value):
    """Whether value − slope·(z − centre) − bend·(z − centre)² is within radius of the offset, exactly."""
    centre, offset, slope, bend, radius = (
        Fraction(getattr(band, name).item())
        for name in ("centre", "offset", "slope", "bend", "radius")
    )
    away = Fraction(z) - centre
    return abs(Fraction(value) - (slope + bend * away) * away - offset) <= radius


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_bands_around_values(sign):
    """The kink so near an end that the band is narrower than the rounding at the other end."""
    phi = curve(activation("relu"), 2.0)
    for width in odd_numbers(1.0, 40):
        ends = np.sort(sign * np.array([width, -1e-3 * width]))
        z = Interval(ends[:1], ends[1:])
        for band in (straight(phi, z), bent(phi, z, z.lower / 3)):
            assert all(residual_fits(band, t, max(t, 0.0)) for t in (*ends, 0.0))
        points, at, over = phi.along(ends[:, None])
        band = straight(Drawn(points, -at, -over), z)
        assert all(residual_fits(band, t, min(-t, 0.0)) for t in (*ends, 0.0))


def test_a_band_with_values_of_the_smallest_size():
    """A line through 0 and one smallest number: floats see no residual, though there is one."""
    third = np.array([[1 / 3]])
    points = SMALLEST * np.array([[0.0], [3.0]])
    at = Interval.point(SMALLEST * np.array([[0.0], [1.0]]))
    over = Interval(np.nextafter(third, 0), np.nextafter(third, 1))
    for sign, drawn in ((1, Drawn(points, at, over)), (-1, Drawn(points, -at, -over))):
        band = straight(drawn, Interval(points[0], points[1]))
        assert residual_fits(band, points[1].item(), sign * SMALLEST)


def test_bands_around_slopes():
    """Slopes far from the centre: the line is large there, the band is narrow."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        points = np.linspace(1000.0, 1001.0, 17)[:, None]
        slopes = rng.uniform(0.5, 2.0) * points[:-1] + rng.uniform(0, 1e-3, (16, 1))
        over = Interval.point(slopes)
        z = Interval(points[0], points[-1])
        band = slope_line(Drawn(points, over, over), z, np.array([0.1]))
        assert band.slope.item() != 0
        for start, end, slope in zip(points[:-1], points[1:], slopes, strict=True):
            assert residual_fits(band, start.item(), slope.item())
            assert residual_fits(band, end.item(), slope.item())


# Functions on boxes


def form(middle, sides, error=0.0, terms=1, inputs=None):
    sides = np.asarray(sides, dtype=float)
    count = sides.size if inputs is None else inputs
    return Forms(np.array([[middle]]), sides[None, None], np.array([[error]]), terms, count)


MANY = np.concatenate([[1.0], np.full(40_000, 2.0**-54)])  # floats sum up to less
#: A product that underflows.
LOST = 2.0**-540 * 2.0**-540, Fraction(2) ** -1080


def test_sums_of_sides_are_rounded_up():
    total = exact(MANY).sum()
    found = form(0.0, MANY)
    assert inside(found.range(), total) and inside(found.range(), -total)
    _, rest = form(0.0, np.concatenate([[3.0], MANY])).beyond(np.array([0]))
    assert Fraction(rest.item()) >= total


def test_underflow_before_a_form():
    lost, truth = LOST
    assert lost == 0
    found = form(0.0, [0.0], lost)
    assert inside(found.range(), truth) and inside(found.range(), -truth)
    _, rest = found.beyond(np.array([0]))
    assert Fraction(rest.item()) >= truth


def corner_sums(target, weights, parts, signs):
    """target ± Σ w·|q| at the corners, exactly."""
    middle, sides = exact(target.middle)[0, 0], exact(target.sides)[0, 0]
    line = middle + signs @ sides
    spread = 0
    for weight, q in zip(weights, parts, strict=True):
        values = exact(q.middle)[0][:, None] + exact(q.sides)[0] @ signs.T
        spread = spread + exact(weight)[0, 0] @ np.abs(values)
    return line - spread, line + spread


def all_signs(inputs):
    return np.array(np.meshgrid(*[[-1, 1]] * inputs)).reshape(inputs, -1).T.astype(object)


def test_corners_of_the_target_round():
    """The sum at a corner is much smaller than its terms."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        sides = rng.uniform(0.5, 2.0, 6)
        target = form(-sides.sum(), sides)
        low, high = corner_sums(target, [], [], all_signs(6))
        found = over_corners(target, [])
        assert inside(found[0], high.max()) and inside(found[0], low.min())


def test_corners_of_the_parts_round():
    rng = np.random.default_rng(0)
    for _ in range(20):
        sides = rng.uniform(0.5, 2.0, 6)
        q = form(-sides.sum(), sides)
        # against the target the largest sum is where q nearly cancels
        target = form(0.0, -3 * sides)
        weight = np.ones((1, 1, 1))
        low, high = corner_sums(target, [weight], [q], all_signs(6))
        found = over_corners(target, [(weight, q)])
        assert inside(found[0], high.max()) and inside(found[0], low.min())


def test_sums_over_parts_are_rounded_up():
    q = Forms(MANY[None], np.zeros((1, MANY.size, 1)), np.zeros((1, MANY.size)), 1, 1)
    weight = np.ones((1, 1, MANY.size))
    found = over_corners(form(0.0, [0.0]), [(weight, q)])
    assert inside(found[0], exact(MANY).sum())


# Two networks side by side


def within(middle, radius, truth):
    return bool((np.abs(exact(middle) - truth) <= exact(radius)).all())


def random_map(rng, shape, radius=0.0):
    weight, bias = rng.normal(size=shape), rng.normal(size=shape[0])
    return AffineMap(weight, bias, radius * np.abs(weight), radius * np.abs(bias))


def smallest_map(rng, shape):
    weight, bias = (SMALLEST * rng.integers(1, 8, size) for size in (shape, shape[0]))
    return AffineMap.exactly(weight, bias)


def random_pairs(rng, units, partners):
    scales = rng.uniform(0.5, 2.0, (2, units))
    return Pairs(rng.integers(0, partners, units), *scales, rng.normal(size=units))


def moved(f, way):
    """Weights and biases at one end of their balls."""
    return (
        exact(f.weight) + way * exact(f.weight_radius),
        exact(f.bias) + way * exact(f.bias_radius),
    )


def assert_joint(one, two, before, pairs, way=1, size=1e3):
    """W·S − A·Ŵ_p and b + W·c − A·b̂_p; weights of the first move one way, those of the second the other.

    Below is W·S and b + W·c, of units with a row of their own.
    """
    joint, units, inner = Joint.of(one, two, before, pairs), *one.weight.shape
    (w, b), (v, c) = moved(one, way), moved(two, -way)
    a, p = exact(pairs.before), pairs.partner
    scales = np.zeros((inner, two.weight.shape[1]))
    scales[np.arange(inner), before.partner] = before.after
    whole = np.hstack([w, w @ exact(scales)])
    apart = np.hstack([w, w @ exact(scales) - a[:, None] * v[p]])
    constant = b + w @ exact(before.offset)
    for rows, weight, bias in (
        (slice(0, units), apart, constant - a * c[p]),
        (slice(-units, None), whole, constant),
    ):
        # at each of the unit vectors, and at 0; where nothing else is, and where all else is large
        for x in (
            *np.eye(weight.shape[1]),
            np.zeros(weight.shape[1]),
            np.full(weight.shape[1], size),
        ):
            truth = weight @ exact(x) + bias
            computed = exact(joint.written[rows]) @ exact(x) + exact(joint.bias[rows])
            assert (np.abs(computed - truth) <= exact(joint.error(x, 0.0)[rows])).all()


@pytest.mark.parametrize("radius", [0.0, 1e-3])
@pytest.mark.parametrize("way", [-1, 1])
def test_differences_of_two_networks(radius, way):
    rng = np.random.default_rng(0)
    for _ in range(5):
        one, two = random_map(rng, (3, 4), radius), random_map(rng, (2, 3), radius)
        before, pairs = random_pairs(rng, 4, 3), random_pairs(rng, 3, 2)
        assert_joint(one, two, before, pairs, way)


@pytest.mark.parametrize("sizes", [(1.0, 1e-8), (1e-8, 1.0)])
def test_differences_of_biases(sizes):
    """One of the two is all that is rounded."""
    rng = np.random.default_rng(0)
    for _ in range(10):
        one, two = random_map(rng, (3, 4)), random_map(rng, (2, 3))
        one, two = (replace(f, bias=f.bias * s) for f, s in zip((one, two), sizes, strict=True))
        before = replace(random_pairs(rng, 4, 3), offset=np.zeros(4))
        assert_joint(one, two, before, random_pairs(rng, 3, 2))


def test_differences_with_small_weights_in_the_first():
    """What the other network's weights times scales round is all there is."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        one, two = random_map(rng, (3, 4)), random_map(rng, (2, 3))
        one = AffineMap.exactly(1e-20 * one.weight, 1e-20 * one.bias)
        two = AffineMap.exactly(two.weight, 0 * two.bias)
        before = replace(random_pairs(rng, 4, 3), offset=np.zeros(4))
        assert_joint(one, two, before, random_pairs(rng, 3, 2))


def test_differences_where_large_weights_meet_small_numbers():
    rng = np.random.default_rng(0)
    for scale in (1.7, 0.4):
        one, two = random_map(rng, (2, 1)), random_map(rng, (2, 1))
        one = AffineMap.exactly(2.0**900 * one.weight, 0 * one.bias)
        before = Pairs(np.zeros(1, int), np.full(1, scale), np.full(1, scale), np.zeros(1))
        pairs = Pairs(np.arange(2), *(np.full(2, 2.0**-1000) for _ in "as"), np.zeros(2))
        two = AffineMap.exactly(two.weight, 0 * two.bias)
        assert_joint(one, two, before, pairs, size=2.0**-1040)
    # and in a first layer, where only the other network's are multiplied
    nothing, two = (AffineMap.exactly(w * np.ones((2, 1)), None) for w in (0.0, 1.1 * 2.0**900))
    joint = Joint.of(nothing, two, None, replace(pairs, before=np.full(2, 0.7)))
    off = exact(joint.difference) + exact(joint.pairs.before)[:, None] * exact(two.weight)
    error = exact(joint.error(np.full(1, 2.0**-1040), 0.0)[:2])
    assert (np.abs(off[:, 0]) * Fraction(2) ** -1040 <= error).all()


def test_differences_of_many_radii():
    """Floats sum the radii up to less."""
    nothing = np.zeros((1, MANY.size))
    one = AffineMap(nothing, np.zeros(1), MANY[None], np.zeros(1))
    two = AffineMap.exactly(nothing, None)
    pairs = Pairs(np.zeros(1, int), np.ones(1), np.ones(1), np.zeros(1))
    error = Joint.of(one, two, None, pairs).error(np.ones(MANY.size), 0.0)
    assert all(exact(error)[[0, 2]] >= exact(MANY).sum())


def test_sums_of_differences():
    """Of δh alone, for which nothing else pays: by intervals, and row by row."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        one, two = random_map(rng, (3, 9)), random_map(rng, (2, 3))
        one, two = (AffineMap.exactly(f.weight, None) for f in (one, two))
        before = replace(random_pairs(rng, 9, 3), offset=np.zeros(9))
        joint = Joint.of(one, two, before, random_pairs(rng, 3, 2))
        x = np.concatenate([rng.uniform(-1, 1, 9), np.zeros(3)])
        truth = exact(joint.written) @ exact(x)
        assert inside(joint(Interval.point(x)), truth[:5])
        off = np.abs(exact(joint.written @ x) - truth)
        assert (off <= exact(joint.error(np.abs(x), gamma(x.size)))).all()


def test_differences_of_the_smallest_numbers():
    rng = np.random.default_rng(0)
    for _ in range(5):
        one, two = smallest_map(rng, (3, 4)), smallest_map(rng, (2, 3))
        before, pairs = random_pairs(rng, 4, 3), random_pairs(rng, 3, 2)
        assert_joint(one, two, before, pairs)
        assert_joint(one, two, before, pairs, size=2.0**1000)


# Evaluation


def test_evaluation_of_a_dense_layer():
    """Sums of products in floats against rationals, at points."""
    rng = np.random.default_rng(0)
    for _ in range(10):
        weight, x = rng.uniform(-1, 1, (2, 5)), rng.uniform(-1, 1, 5)
        net = Network.dense([weight])
        computed = exact(net(x[None])[0])
        error = exact(evaluation_error(net, Interval.point(x)))
        assert (np.abs(computed - exact(weight) @ exact(x)) <= error).all()


def test_underflow_of_an_evaluation():
    """In float32 a third of its smallest number is nothing."""
    weight, x = np.full((1, 1), np.float32(1 / 3)), np.full(1, np.float32(2.0**-149))
    assert weight[0, 0] * x[0] == 0
    net = Network.dense([weight.astype(float)])
    error = evaluation_error(net, Interval.point(x.astype(float)), "float32")
    assert Fraction(error.item()) >= Fraction(float(weight[0, 0])) * Fraction(float(x[0]))
