"""Bounds by polynomials that are added up with their signs: each part against an independent computation."""

import numpy as np
import pytest

import symlump as sl
from symlump.enclosures.interval import Interval
from symlump.network.activations.table import ACTIVATIONS, activation
from symlump.network.bounds import difference
from symlump.network.bounds.curves import slope_curve
from symlump.network.bounds.difference import bound_difference
from symlump.network.bounds.expansion import CubicTerms, Expansion, monomials, powers
from symlump.network.bounds.inputs import box_of
from symlump.network.bounds.pairing import side_by_side
from symlump.network.bounds.signed import Signed, _largest_eigenvalue, _weighted_norm
from symlump.network.bounds.unrolled import unroll

SMOOTH = [name for name in ACTIVATIONS if not (activation(name).kinks or activation(name).pieces)]


def features(t):
    """What cubics are written in, after the linear ones, from their definitions."""
    n = t.shape[1]
    two, three = 2 * t**2 - 1, 4 * t**3 - 3 * t
    pairs = [t[:, j] * t[:, k] for j in range(n) for k in range(j + 1, n)]
    mixed = [two[:, j] * t[:, k] for j in range(n) for k in range(n) if j != k]
    triples = [
        t[:, i] * t[:, j] * t[:, k]
        for i in range(n)
        for j in range(i + 1, n)
        for k in range(j + 1, n)
    ]
    return np.column_stack([two, *pairs, three, *mixed, *triples])


def points(n, count=400, seed=0):
    rng = np.random.default_rng(seed)
    t = rng.uniform(-1, 1, (count, n))
    t[::2] = np.sign(t[::2])
    return t


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_powers_of_linear_functions(n):
    sides, t = np.random.default_rng(n).normal(size=(3, n)), points(n)
    for k, found in enumerate(powers(sides, 5)):
        rows = monomials(n, k)[:, None] // 7 ** np.arange(n) % 7
        values = np.prod(t[:, None, :] ** rows, axis=2) @ found.T
        assert np.allclose(values, (t @ sides.T) ** k, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_expansions_add_up_and_bound(n):
    rng, t = np.random.default_rng(n), points(n)
    p = Expansion(2, n)
    for kind in p.terms:
        p.terms[kind][:] = rng.normal(size=p.terms[kind].shape)
    levels = [np.prod(t[:, None, :] ** (monomials(n, k)[:, None] // 7 ** np.arange(n) % 7), 2)
              for k in range(4)]  # fmt: skip
    plain, chi = np.concatenate(levels, axis=1), features(t)
    middle, rest = p.bound()
    for k in range(2):
        some = {kind: value[k] for kind, value in p.terms.items()}
        total = plain @ some["plain"] + ((plain @ some["crossed"]) * chi).sum(axis=1)
        total += ((levels[2] @ some["fourth"]) * levels[2]).sum(axis=1)
        total += ((levels[2] @ some["fifth"]) * levels[3]).sum(axis=1)
        total += ((chi @ some["squares"]) * chi).sum(axis=1)
        assert (np.abs(total - middle[k]) <= rest[k] * (1 + 1e-12)).all()
    # the constant is the mean with Chebyshev's weight: T_e are orthogonal to 1
    nodes = np.cos(np.pi * (np.arange(8) + 0.5) / 8)
    grid = np.stack(np.meshgrid(*[nodes] * n), axis=-1).reshape(-1, n)
    levels = [np.prod(grid[:, None, :] ** (monomials(n, k)[:, None] // 7 ** np.arange(n) % 7), 2)
              for k in range(4)]  # fmt: skip
    only = Expansion(1, n)
    only.terms["fifth"][:] = p.terms["fifth"][:1]
    only.terms["crossed"][:] = p.terms["crossed"][:1]
    values = ((levels[2] @ only.terms["fifth"][0]) * levels[3]).sum(axis=1)
    values += ((np.concatenate(levels, 1) @ only.terms["crossed"][0]) * features(grid)).sum(axis=1)
    assert np.isclose(only.bound()[0][0], values.mean(), atol=1e-9)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_largest_values_at_corners(n):
    rng, t, some = np.random.default_rng(n), points(n), CubicTerms.of(n)
    rest = rng.normal(size=(6, features(t).shape[1]))
    sides = np.concatenate([rng.normal(size=(6, n)), rest], axis=1)
    values = np.concatenate([t, features(t)], axis=1) @ sides.T
    found = some.largest(sides)
    assert (np.abs(values) <= found[None] * (1 + 1e-12)).all()
    only = np.where(some.multilinear, sides, 0.0)
    corners = np.concatenate([t, features(t)], axis=1)[::2] @ only.T
    assert np.allclose(np.abs(corners).max(axis=0), some.largest(only), rtol=1e-9)  # attained
    weights = rng.random((2, 6))
    squares = (features(t) @ rest.T) ** 2 @ weights.T
    assert (squares <= some.squares(weights, rest)[None]).all()
    plain = np.where(some.multilinear[n:], rest, 0.0)
    if n > 1:
        attained = ((features(t)[::2] @ plain.T) ** 2 @ weights.T).max(axis=0)
        assert np.allclose(attained, some.squares(weights, plain), rtol=1e-9)


def test_largest_eigenvalues_are_not_below():
    rng = np.random.default_rng(0)
    for k in range(40):
        m = rng.normal(size=(rng.integers(1, 30), rng.integers(1, 30))) * 10.0 ** rng.integers(
            -3, 4
        )
        if k % 4 == 0:  # orthogonal to the first trial vector
            m -= m.mean(axis=1, keepdims=True)
        gram = m.T @ m
        true = np.linalg.norm(m, 2) ** 2
        found = _largest_eigenvalue(gram, max(m.shape))
        assert true * (1 - 1e-12) <= found <= true * 1.2 + 1e-9
        size, before = rng.random(len(m)), rng.uniform(0.5, 2, m.shape[1])
        true = np.linalg.norm(np.sqrt(size)[:, None] * m / before, 2)
        assert true * (1 - 1e-12) <= _weighted_norm(size, m, before) <= true * 1.1 + 1e-9
    assert _largest_eigenvalue(np.zeros((3, 3)), 3) < 1e-200
    assert _largest_eigenvalue(np.full((2, 2), np.inf), 2) == np.inf
    # numbers so small that 1.02 times them is rounded to themselves, and the method never comes to its end
    for weight in (2e-323, 8e-323):
        assert (
            _weighted_norm(np.full(4, weight), np.ones((4, 3)) - np.eye(4, 3), np.ones(3)) < 1e-150
        )


@pytest.mark.parametrize("name", SMOOTH)
def test_slopes_and_second_derivatives(name):
    mpmath = pytest.importorskip("mpmath")
    phi = activation(name)
    found = slope_curve(phi, 3.0)
    rng = np.random.default_rng(0)
    low = rng.uniform(-3, 2, 200)
    high = low + rng.exponential(0.2, 200)
    high = np.minimum(high, 3.0)
    values, bends = found.values(Interval(low, high)), found.slopes(Interval(low, high))
    z, h = low + 0.37 * (high - low), 1e-4
    slope = (phi(z + h) - phi(z - h)) / (2 * h)
    bend = (phi(z + h) - 2 * phi(z) + phi(z - h)) / h**2
    assert mpmath  # (the tables' arithmetic, where flint is not installed)
    assert ((values.lower - 1e-6 <= slope) & (slope <= values.upper + 1e-6)).all()
    assert ((bends.lower - 1e-5 <= bend) & (bend <= bends.upper + 1e-5)).all()


def random_pair(rng, name, n, widths, outputs, near):
    def layers(one, two):
        sizes = (n, one, two, outputs)
        return [
            (rng.normal(size=(b, a)) * rng.choice([0.3, 1.0, 2.0]) / np.sqrt(a),
             rng.normal(size=b) * rng.choice([0.0, 0.5]))
            for a, b in zip(sizes, sizes[1:], strict=False)
        ]  # fmt: skip

    one = layers(*widths[:2])
    two = (
        [(w + near * rng.normal(size=w.shape), b) for w, b in one] if near else layers(*widths[2:])
    )
    return [
        sl.Network.dense([w for w, _ in some], [b for _, b in some], activation=name)
        for some in (one, two)
    ]


def signed_of(f, g, box):
    return Signed.of(side_by_side(unroll(f), unroll(g), box_of(f, box)))


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "silu", "sin", "softplus", "gaussian"])
def test_no_difference_exceeds_the_bound(name):
    rng = np.random.default_rng(list(name.encode()))
    ratios = []
    for k in range(10):
        n, outputs = int(rng.integers(1, 5)), int(rng.integers(1, 4))
        near = 0.02 if k % 2 else 0.0
        f, g = random_pair(rng, name, n, rng.integers(1, 25, 4), outputs, near)
        centre, half = rng.uniform(-1, 1, n), rng.choice([0.03, 0.2, 1.0]) * rng.uniform(0.2, 1, n)
        box = (centre - half, centre + half)
        bound = signed_of(f, g, box)(box_of(f, box)[None, :])[0]
        x = centre + half * points(n, 4000, k)
        seen = np.abs(f(x) - g(x)).max(axis=0)
        assert (seen <= bound + 1e-13).all()
        ratios.append((bound / seen).min())
    assert np.median(ratios) < 4  # not by being useless


def test_bounds_improve_fast_on_smaller_boxes():
    rng = np.random.default_rng(3)
    f, g = random_pair(rng, "tanh", 3, (40, 40, 30, 30), 1, 0.0)
    x = np.full(3, 0.2)
    excess = []
    for half in (0.4, 0.2):
        box = (x - half, x + half)
        samples = x + half * points(3, 20_000)
        seen = np.abs(f(samples) - g(samples)).max()
        excess.append(signed_of(f, g, box)(box_of(f, box)[None, :])[0, 0] - seen)
    assert excess[1] < excess[0] / 4


def test_the_better_of_the_two_is_taken(monkeypatch):
    rng = np.random.default_rng(1)
    weights = [rng.normal(size=(b, a)) / np.sqrt(a) for a, b in ((4, 48), (48, 48), (48, 2))]
    small = sl.compress(sl.Network.dense(weights, activation="tanh"), sl.AFDE(retain=0.5))
    bound = small.bound((-1, 1), splits=63)
    assert bound.boxes == 64 and bound.methods == ("polynomials",) * 2
    assert "certified (polynomials in 64 parts; intervals" in str(bound)
    x = points(4, 20_000)
    assert (np.abs(small.original(x) - small.network(x)).max(axis=0) <= bound.values).all()
    monkeypatch.setattr(difference.Signed, "of", lambda stages: None)
    relaxed = small.bound((-1, 1), splits=63)
    assert bound.largest < 0.8 * relaxed.largest and "linear relaxation" in relaxed.methods
    monkeypatch.undo()
    # where units are merged exactly, differences cancel in the relaxation alone
    twice = [np.repeat(weights[0], 2, axis=0), np.repeat(weights[1], 2, axis=1) / 2, weights[2]]
    f, g = (sl.Network.dense(some, activation="tanh") for some in (twice, weights))
    assert bound_difference(f, g, (-1, 1), splits=3).largest < 1e-9


def test_cheap_networks_are_not_made_slower_or_looser_by_it(monkeypatch):
    """The relaxation cuts where it is bad, which polynomials on equal parts have to beat to be used."""
    rng = np.random.default_rng(0)
    f, g = random_pair(rng, "tanh", 4, (16, 16, 16, 16), 2, 0.0)
    calls = []
    on = Signed.__call__
    monkeypatch.setattr(
        Signed, "__call__", lambda self, box: calls.append(len(box.lower)) or on(self, box)
    )
    bound = bound_difference(f, g, (-1, 1))
    monkeypatch.setattr(difference.Signed, "of", lambda stages: None)
    assert bound.largest <= bound_difference(f, g, (-1, 1)).largest
    assert bound.methods == ("linear relaxation",) * 2 and 1 <= sum(calls) < 8


def test_degenerate_boxes_and_networks():
    rng = np.random.default_rng(5)
    for name in SMOOTH:
        f, g = random_pair(rng, name, 3, (5, 1, 1, 7), 16, 0.0)
        x = rng.normal(size=3)
        for half in (np.zeros(3), np.array([0.0, 1e-3, 0.0]), np.array([1e-70, 0.1, 1e-9])):
            box = (x - half, x + half)
            bound = signed_of(f, g, box)(box_of(f, box)[None, :])[0]
            t = x + half * points(3, 200)
            assert (np.abs(f(t) - g(t)).max(axis=0) <= bound + 1e-12).all()
        # equal networks cancel but for remainders, in one direction alone
        box = (x - np.array([0.0, 1e-3, 0.0]), x + np.array([0.0, 1e-3, 0.0]))
        assert signed_of(f, f, box)(box_of(f, box)[None, :]).max() < 1e-4


def test_nothing_is_said_where_numbers_are_out_of_proportion():
    """What underflows is counted for numbers of some size only."""
    for sizes in ((1e30, 1.0, 1.0), (1.0, 1e30, 1.0), (1.0, 1.0, 1e40)):
        f = sl.Network.dense([np.full((1, 1), size) for size in sizes], activation="softplus")
        assert np.isinf(signed_of(f, f, (-1, 1))(box_of(f, (-1, 1))[None, :])).all()
    nan = sl.Network.dense(
        [np.full((1, 1), 1e308), np.ones((2, 1)), np.ones((1, 2))], activation="sin"
    )
    assert np.isinf(signed_of(nan, nan, (-9, 9))(box_of(nan, (-9, 9))[None, :])).all()


def test_networks_that_are_left_to_the_relaxation():
    rng = np.random.default_rng(0)
    dense = [rng.normal(size=(b, a)) for a, b in ((9, 3), (3, 3), (3, 1))]
    wide, kinked = sl.Network.dense(dense, activation="tanh"), sl.Network.dense(
        [dense[0][:, :2], *dense[1:]], activation="relu"
    )  # fmt: skip
    assert signed_of(wide, wide, (-1, 1)) is None and signed_of(kinked, kinked, (-1, 1)) is None
    short = sl.Network.dense([dense[1], dense[2]], activation="tanh")
    assert signed_of(short, short, (-1, 1)) is None
    huge = sl.Network.dense([np.full((1, 1), 1e200), np.full((1, 1), 1e200), np.ones((1, 1))],
                            activation="softplus")  # fmt: skip
    found = signed_of(huge, huge, (-1, 1))(box_of(huge, (-1, 1))[None, :])
    assert np.isinf(found).all()
