"""Trees that grow as far as they are asked for, and units of distances told apart without their networks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster import hierarchy

import symlump as sl
from symlump.compression.merging.means import loss_with_means, mean_matrix
from symlump.compression.merging.merge import Merging
from symlump.compression.merging.ward import cut_to, merge_tree, trees_from
from symlump.compression.moments import Normal
from symlump.lumping.tolerance.linkage import Linkage


def by_hand(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Heights of Ward's linkage with weights: the nearest two groups merge, from their means, one by one."""
    means, weights, heights = rows.copy(), weights.copy(), []
    while len(means) > 1:
        squares = ((means[:, None] - means) ** 2).sum(axis=2)
        squares *= 2 * np.multiply.outer(weights, weights) / np.add.outer(weights, weights)
        np.fill_diagonal(squares, np.inf)
        a, b = np.unravel_index(squares.argmin(), squares.shape)
        heights.append(np.sqrt(squares[a, b]))
        means[b] = (weights[a] * means[a] + weights[b] * means[b]) / (weights[a] + weights[b])
        weights[b] += weights[a]
        means, weights = np.delete(means, a, axis=0), np.delete(weights, a)
    return np.array(heights)


@pytest.mark.parametrize(("count", "seeds"), [(12, 60), (140, 20)])
@pytest.mark.parametrize("kind", ["corners", "equally far", "weightless"])
def test_a_merge_comes_after_those_of_its_groups(kind: str, count: int, seeds: int) -> None:
    """Where distances are equal, rounding or weights of 0 do not put a merge before what it joins."""
    for seed in range(seeds):
        generator = np.random.default_rng(seed)
        rows, weights = (
            np.eye(count) * generator.uniform(0.1, 3.0),
            generator.choice([0.3, 0.7], count),
        )
        if kind != "equally far":
            rows = generator.integers(0, 2, (count, 6)) * 0.1
        if kind == "weightless":
            weights *= generator.integers(0, 3, count)
        tree = merge_tree(rows.copy(), weights, Linkage.VARIANCE)
        assert hierarchy.is_valid_linkage(tree, throw=True)
        assert tree[-1, 3] == count and (np.diff(tree[:, 2]) >= 0).all()
        about = (
            rows - weights @ rows / weights.sum()
        )  # half the squares add up to the whole variation
        assert (tree[:, 2] ** 2).sum() / 2 == pytest.approx(weights @ (about**2).sum(axis=1))


@pytest.mark.parametrize("unit", [1.0, 3.0])
def test_a_tree_grows_as_far_as_it_is_asked_for(unit: float) -> None:
    """Whatever the steps, its merges are those of the whole one, and of merging the nearest two by hand."""
    generator = np.random.default_rng(0)
    rows, weights = generator.normal(size=(150, 3)), 0.1 + generator.random(150)
    rows[140:] = rows[:10]  # the same, at height 0
    squares = ((rows[:, None] - rows) ** 2).sum(axis=2)
    expected = by_hand(rows, weights) / unit
    whole = merge_tree(rows.copy(), weights, Linkage.VARIANCE)
    np.testing.assert_allclose(whole[:, 2], expected * unit, rtol=1e-9, atol=1e-7)
    (tree,) = trees_from(squares, [weights], Linkage.VARIANCE)
    tree = tree.divided(unit)
    heights, found, eps = [], [], 0.0
    while eps < np.inf:
        further = tree.further(eps)
        assert further > eps
        eps = further
        heights.append(eps)
        found.append(tree.heights(eps).size)
        assert found[-1] == np.count_nonzero(expected <= eps)
        assert tree.left(eps) == 150 - found[-1]
        assert int(tree.cut(150 - found[-1]).max()) + 1 == 150 - found[-1]
    assert len(heights) > 3 and 10 <= found[0] < 149 == found[-1]  # in several steps
    np.testing.assert_array_equal(tree.whole[:, :2], whole[:, :2])
    np.testing.assert_allclose(tree.whole[:, 2], expected, rtol=1e-9, atol=1e-7)
    assert tree.last(20) == pytest.approx(expected[129])
    for left in (149, 75, 20, 2):  # by where groups stay, and by the numbers that scipy gives them
        np.testing.assert_array_equal(tree.cut(left), cut_to(whole, left))


@pytest.mark.parametrize("linkage", ["variance", "diameter"])
def test_equal_shares_make_a_unit_of_distances_needless(linkage: str) -> None:
    """What merges as a share of the parameters is then what merges by the outputs, so it is not tried."""
    generator = np.random.default_rng(3)

    def dense(*sizes: int) -> sl.Network:
        pairs = zip(sizes, sizes[1:], strict=False)
        return sl.Network.dense([generator.normal(size=(b, a)) / np.sqrt(a) for a, b in pairs])

    for net, units in ((dense(9, 9, 9, 9), 2), (dense(9, 12, 9, 9), 3)):
        method = sl.AFDE(retain=0.5, linkage=linkage)
        tried = [plan.method.relative_to for plan in method.plan(net)._in_all_units()]
        assert tried == ["output", "parameters", "layer"][:: 4 - units]
        by_output, by_parameters = (
            sl.compress(net, sl.AFDE(retain=0.5, linkage=linkage, relative_to=unit)).unit_maps
            for unit in ("output", "parameters")
        )
        same = all(map(np.array_equal, by_output, by_parameters))
        assert same or units == 3


def test_what_means_leave_unexplained() -> None:
    generator = np.random.default_rng(1)
    x = generator.normal(size=(5000, 12)) @ generator.normal(size=(12, 12))
    x -= x.mean(axis=0)
    group = np.array([0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3])
    mean = mean_matrix(group, np.ones(12), 4)
    known = x @ mean.toarray().T
    rest = x - known @ np.linalg.lstsq(known, x, rcond=None)[0]
    weights = generator.normal(size=(12, 12))
    weights = weights @ weights.T
    expected = float(np.mean(np.einsum("ij,jk,ik->i", rest, weights, rest)))
    covariance = x.T @ x / len(x)
    for dtype, near in ((np.float64, 1e-4), (np.float32, 1e-3)):
        assert loss_with_means(covariance, mean, weights.astype(dtype)) == pytest.approx(
            expected, rel=near
        )


def uneven(outputs: int) -> sl.Network:
    """Units of which most hardly count, so that counting all the same is a bad idea."""
    generator = np.random.default_rng(2)
    shapes = ((256, 64), (256, 256), (outputs, 256))
    weights = [generator.normal(size=shape) / np.sqrt(shape[1]) for shape in shapes]
    for weight in weights[1:]:
        weight[:, 64:] *= 0.1
    return sl.Network.dense(weights, activation="tanh", dtype="float32")


@pytest.mark.parametrize(("outputs", "foreseen"), [(256, True), (4, False)])
def test_the_unit_of_distances_that_is_best_is_told_beforehand(
    outputs: int, foreseen: bool
) -> None:
    """Where outputs are many; else all three networks are made. Either way the best is returned."""
    net = uneven(outputs)
    units = ("output", "parameters", "layer")
    mergings = Merging.of(net, Normal(), Linkage.VARIANCE, units)
    assert [merging.is_foreseen for merging in mergings] == [foreseen] * 3
    x = np.random.default_rng(3).normal(size=(1000, 64))
    before = net(x)

    def error(**options: str) -> float:
        small = sl.compress(net, sl.AFDE(retain=0.4, **options)).network
        return float(np.mean((small(x) - before) ** 2))

    errors = [error(relative_to=unit) for unit in units]
    assert max(errors) > 1.2 * min(errors)
    assert error() <= 1.02 * min(errors)
    if foreseen:
        target = int(0.4 * net.parameters)
        expected = [m.with_floor().foreseen(m.with_floor().tolerance(target)) for m in mergings]
        assert np.argsort(expected).tolist() == np.argsort(errors).tolist()
