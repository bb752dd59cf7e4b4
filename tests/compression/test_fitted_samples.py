"""What fits of networks on grids take: fewer samples, and of the original each value once."""

import tracemalloc

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.cluster import hierarchy
from torch.nn import functional

import symlump as sl
from symlump.compression.merging import values as held
from symlump.compression.merging.effect import outputs_on, read_effects
from symlump.compression.merging.merge import Merging
from symlump.compression.merging.refit import fit_members
from symlump.compression.merging.values import SampledValues
from symlump.compression.merging.ward import cut_to, merge_tree, squares_from
from symlump.compression.moments import Normal
from symlump.lumping.partition import Partition
from symlump.lumping.tolerance.linkage import Linkage
from symlump.network import evaluate as evaluation
from symlump.network.activations.table import activation
from symlump.network.evaluate import evaluate
from symlump.network.nodes import Affine, Apply, Flatten, Input
from symlump.network.ties import find_ties, regroup


def convolutional(width=12, size=16, seed=0):
    """Two convolutions, the second of which has nearly equal pairs of channels, and a dense layer."""
    generator = np.random.default_rng(seed)
    first = generator.normal(size=(width, 1, 3, 3)) / 3
    second = np.repeat(generator.normal(size=(width, width, 3, 3)), 2, axis=0) / np.sqrt(9 * width)
    second += 0.1 * generator.normal(size=second.shape) / np.sqrt(9 * width)
    head = generator.normal(size=(3, 2 * width * (size // 2) ** 2)) / size
    relu = sl.Network.dense([[[1.0]], [[1.0]]], activation="relu").chain.layers[0].activation
    nodes = (
        Input("x", (), (1, size, size)),
        Affine("a", ("x",), first, generator.normal(size=width) / 10, (1, 1), (1, 1), (1, 1)),
        Apply("p", ("a",), relu),
        Affine("b", ("p",), second, generator.normal(size=2 * width) / 10, (2, 2), (1, 1), (1, 1)),
        Apply("q", ("b",), relu),
        Flatten("f", ("q",)),
        Affine("c", ("f",), head),
    )
    return sl.Network(nodes, ("c",))


@pytest.fixture
def net():
    return convolutional()


def test_fewer_samples_fit_as_well(net, monkeypatch):
    x = np.random.default_rng(1).normal(size=(400, 1, 16, 16))

    def error(share):
        small = sl.compress(net, sl.AFDE(retain=share, relative_to="output")).network
        return np.mean((small(x) - net(x)) ** 2) / net(x).var()

    few = [error(share) for share in (0.6, 0.3)]
    (merging,) = Merging.of(net, Normal(), Linkage.VARIANCE)
    assert len(merging.samples[0]) > 8 * len(merging.values.samples[0])
    monkeypatch.setattr(held, "_FEWEST", 1 << 20)
    (merging,) = Merging.of(net, Normal(), Linkage.VARIANCE)
    assert merging.values.samples[0] is merging.samples[0]
    for found, all_of_them in zip(few, [error(share) for share in (0.6, 0.3)], strict=True):
        assert all_of_them > 0 and found < 1.1 * all_of_them


@pytest.mark.parametrize("most", [1 << 30, 1 << 26])
def test_a_sweep_computes_the_original_once(net, monkeypatch, most):
    """Also where the values of all samples, more than those that fits use, would take too much memory."""
    monkeypatch.setattr(held, "_REMEMBERED", most)
    if most == 1 << 26:
        assert held.memory_for(net, SampledValues((np.empty((1 << 11, 1, 16, 16)),))) is None
    seen = []
    after = SampledValues.after

    def counted(self, node, given):
        seen.append((node, len(given[0])))
        return after(self, node, given)

    monkeypatch.setattr(SampledValues, "after", counted)
    table = sl.sweep(net, np.linspace(0, 2, 12), sl.AFDE(eps=0, relative_to="output"))
    assert len({row.parameters for row in table.rows}) > 4
    for node in (node for node in net.nodes if isinstance(node, Affine) and node.name != "c"):
        counts = [count for found, count in seen if found is node]
        assert (
            1 <= len(counts) == len(set(counts)) <= 2
        )  # at most once for distances, once for fits


@pytest.mark.parametrize("depthwise", [False, True])
def test_a_convolution_a_few_samples_at_a_time(monkeypatch, depthwise):
    generator = np.random.default_rng(2)
    x = generator.normal(size=(11, 4, 9, 7))
    weight = generator.normal(size=(8, 1 if depthwise else 4, 3, 2))
    bias = generator.normal(size=8)
    node = Affine("a", ("x",), weight, bias, (2, 1), (1, 0), (1, 2), depthwise=depthwise)
    given = (torch.from_numpy(part) for part in (x, weight, bias))
    expected = functional.conv2d(*given, (2, 1), (1, 0), (1, 2), 4 if depthwise else 1).numpy()
    for held_at_once in (1, 4 * 9 * 7 * 3 * 3, 1 << 30):  # a sample, a few with one left over, all
        monkeypatch.setattr(evaluation, "_WINDOWS", held_at_once)
        np.testing.assert_allclose(evaluate(node, x), expected, rtol=1e-13, atol=1e-13)
    assert evaluate(node, x[:0]).shape == (0, *expected.shape[1:])


def wide(dtype, width=256, bias=True):
    """Two hidden layers, each with nearly equal pairs of units, and weights that single precision holds."""
    generator = np.random.default_rng(3)
    shapes = ((width, 6), (width, width), (3, width))
    weights = [generator.normal(size=shape) / np.sqrt(shape[1]) for shape in shapes]
    for weight in weights[:2]:
        half = weight[: width // 2]
        weight[width // 2 :] = half + 0.01 * generator.normal(size=half.shape) * np.abs(half).mean()
    weights = [weight.astype(np.float32).astype(float) for weight in weights]
    biases = [np.full(len(weight), 0.1, dtype=np.float32) if bias else None for weight in weights]
    return sl.Network.dense(weights, biases, "tanh", dtype=dtype)


@pytest.mark.parametrize("bias", [True, False])
def test_wide_networks_are_analysed_in_their_own_precision(bias):
    """Values in single precision give the same blocks, and as good a fit, as in double precision."""
    x = np.random.default_rng(4).normal(size=(500, 6))
    for method in (sl.AFDE(retain=0.3), sl.AFDE(retain=0.6), sl.AFDE(eps=0.02)):
        small = {
            dtype: sl.compress(wide(dtype, bias=bias), method) for dtype in ("float32", "float64")
        }
        one, other = small["float32"], small["float64"]
        assert one.retained < 0.7 and one.network.dtype == "float32"
        for found, expected in zip(one.unit_maps, other.unit_maps, strict=True):
            assert np.array_equal(found, expected)
        before = wide("float64", bias=bias)(x)
        errors = [np.mean((result.network(x) - before) ** 2) for result in (one, other)]
        assert 0 < errors[0] == pytest.approx(errors[1], rel=1e-3)
        assert one.defect == pytest.approx(other.defect, rel=1e-3)


def test_values_keep_the_precision_of_the_samples():
    generator = np.random.default_rng(5)
    for dtype in (np.float32, np.float64):
        samples = SampledValues((generator.normal(size=(7, 4)).astype(dtype),))
        node = Affine("a", ("x",), generator.normal(size=(3, 4)), np.ones(3))
        given = samples.inputs()
        z = samples.after(node, given)
        for name in ("tanh", "relu", "gelu", "mish", "polynomial:0,1,2"):
            phi = activation(name)
            assert phi(z).dtype == phi.slope(z).dtype == dtype
            np.testing.assert_allclose(phi(z), phi(np.float64(z)), rtol=1e-5, atol=1e-6)
        assert z.dtype == dtype and samples.moments.mean(z).dtype == np.float64
        np.testing.assert_allclose(z, given[0] @ node.weight.T + 1, rtol=1e-5, atol=1e-6)
        gram, _ = samples.moments.products(z, z[:, :0], None)
        np.testing.assert_allclose(gram, np.float64(z).T @ np.float64(z) / 7, rtol=1e-12)


def test_distances_from_second_moments():
    """As from the differences themselves, also of units that are nearly equal, and far from 0."""
    generator = np.random.default_rng(6)
    h = generator.normal(size=(900, 80)) + 50 * generator.normal(size=80)
    h[:, 1] = h[:, 0] + 1e-9 * generator.normal(size=900)
    h[:, 3] = h[:, 2] + 1e-5
    h[:, 5] = h[:, 4]
    means = h.mean(axis=0)
    found = squares_from(np.cov(h.T, bias=True), means, lambda i, j: (h[:, i] - h[:, j]).T, len(h))
    expected = ((h[:, :, None] - h[:, None, :]) ** 2).mean(axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=0)
    assert found[4, 5] == 0 < found[0, 1]


def test_units_of_distances_that_merge_alike_are_fitted_once(monkeypatch):
    """Each unit of either hidden layer holds as many parameters, so two of the three units merge the same."""
    generator = np.random.default_rng(7)
    net = sl.Network.dense([generator.normal(size=(24, 24)) / 5 for _ in range(3)])
    merge, seen = Merging.merge, []

    def counted(self, groups, refit):
        seen.append(groups.tobytes())
        return merge(self, groups, refit)

    monkeypatch.setattr(Merging, "merge", counted)
    found = {
        unit: sl.compress(net, sl.AFDE(retain=0.5, relative_to=unit, distance="function"))
        for unit in ("output", "parameters", "layer")
    }
    alone = len(seen)
    seen.clear()
    best = sl.compress(net, sl.AFDE(retain=0.5))
    assert alone == 3 and len(seen) == len(set(seen)) == 2
    expected = found[best.method.relative_to]
    for one, other in zip(best.network.layers, expected.network.layers, strict=True):
        assert np.array_equal(one.weight, other.weight)


def test_wide_networks_take_little_memory(monkeypatch):
    """Samples in single precision, once; second moments of a few rows at a time; values are let go."""
    monkeypatch.setattr(held, "_REMEMBERED", 1 << 26)
    generator = np.random.default_rng(8)
    weights = [(generator.normal(size=(1024, 1024)) / 32).astype(np.float32) for _ in range(3)]
    net = sl.Network.dense(weights, dtype="float32")
    method = sl.AFDE(retain=0.5, relative_to="output")
    plan = method.plan(net)
    tracemalloc.start()
    try:
        small = plan.retain(0.5)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert small.retained_parameters <= net.parameters / 2
    (samples,) = plan.merging.samples
    assert samples is plan.merging.values.samples[0] and samples.dtype == np.float32
    assert plan.merging.memory is None
    assert peak < 4.6 * sum(layer.weight.nbytes for layer in net.layers)


@pytest.mark.parametrize(("dtype", "keeps"), [("float32", True), ("float64", False)])
def test_values_of_wide_networks_are_kept_if_they_are_small(monkeypatch, dtype, keeps):
    """Of 2048 samples the values take half of the limit in single precision, and more in double."""
    net = wide(dtype)
    (merging,) = Merging.of(net, Normal(), Linkage.VARIANCE)
    numbers = len(merging.values.samples[0]) * (6 + 2 * 256 * 2 + 3)
    monkeypatch.setattr(held, "_REMEMBERED", 2 * 4 * numbers)
    (merging,) = Merging.of(net, Normal(), Linkage.VARIANCE)
    assert (merging.memory is not None) == keeps


@pytest.mark.parametrize("count", [4096, 4095])
def test_normal_numbers_in_single_precision(count):
    """As many of each size as a normal distribution has, and none like its neighbours."""
    x = Normal().sample(count, 65, 1, np.float32)
    assert x.dtype == np.float32 and x.shape == (count, 65)
    assert stats.kstest(x.ravel(), "norm").pvalue > 1e-3
    assert abs(float(np.mean(np.float64(x) ** 4)) - 3) < 0.1
    covariance = np.cov(np.float64(x).T)
    assert np.abs(covariance - np.eye(65)).max() < 6 / np.sqrt(count)
    y = Normal(np.full(65, 2.0), 4 * np.eye(65)).sample(count, 65, 1, np.float32)
    np.testing.assert_allclose(y, 2 + 2 * x, rtol=1e-5, atol=1e-5)


def test_directions_of_samples_are_orthogonal():
    """As many at a time as there are inputs; lengths, and each number, are as of a normal distribution."""
    x = np.float64(Normal().sample(1000, 96, 2, np.float32))
    lengths = np.linalg.norm(x, axis=1)
    assert stats.kstest(lengths**2, "chi2", args=(96,)).pvalue > 1e-3
    assert stats.kstest(x.ravel(), "norm").pvalue > 1e-3
    directions = x / lengths[:, None]
    for some in np.split(directions, range(96, 1000, 96)):
        np.testing.assert_allclose(some @ some.T, np.eye(len(some)), atol=1e-5)
    first, second = directions[:96], directions[96:192]
    assert np.abs(first @ second.T).max() < 0.7  # other directions than before
    few = np.float64(Normal().sample(1000, 8, 2, np.float32))
    few /= np.linalg.norm(few, axis=1, keepdims=True)
    assert np.abs(few[:8] @ few[:8].T - np.eye(8)).max() > 0.1


@pytest.mark.parametrize(
    ("inputs", "taken"), [(256, 768), (450, 900), (512, 1024), (513, 2048), (100, 2048)]
)
def test_few_samples_where_their_directions_are_orthogonal(inputs, taken):
    generator = np.random.default_rng(13)
    weights = [generator.normal(size=shape) / 16 for shape in ((256, inputs), (256, 256), (4, 256))]
    net = sl.Network.dense(weights, activation="relu", dtype="float32")
    (merging,) = Merging.of(net, Normal(), Linkage.VARIANCE)
    assert len(merging.values.samples[0]) == taken
    given = generator.normal(size=(3000, inputs))
    (merging,) = Merging.of(net, given, Linkage.VARIANCE)
    assert len(merging.values.samples[0]) == 2048


def test_fits_of_many_units_solve_the_normal_equations():
    """By an inverse, too, where as many columns are wanted as there are units."""
    generator = np.random.default_rng(14)
    h = generator.normal(size=(900, 80)) + 1
    for columns in (40, 120):
        wanted = np.tanh(h @ generator.normal(size=(80, columns)) / 9)
        none = np.zeros((columns, 80))
        matrix, constant = fit_members(SampledValues((h,)).moments, h, wanted, none, True)
        gap = h - h.mean(axis=0)
        gram = gap.T @ gap
        gram += 1e-6 * np.trace(gram) / 80 * np.eye(80)
        expected = np.linalg.solve(gram, gap.T @ wanted).T
        np.testing.assert_allclose(matrix, expected, rtol=0, atol=1e-10)
        np.testing.assert_allclose(
            constant, wanted.mean(axis=0) - matrix @ h.mean(axis=0), atol=1e-10
        )


def test_effects_of_the_last_units_are_exact_in_wide_networks():
    """Signs are orthogonal, so the mean over samples is the sum over outputs."""
    net = wide("float64")
    x = np.random.default_rng(9).normal(size=(256, 6))
    found = read_effects(net, [x])
    last = net.layers[-1].weight
    (name,) = (layer.inputs[0] for layer in net.layers[-1:])
    expected = (last**2).sum(axis=0) / net(x).var(axis=0).sum()
    np.testing.assert_allclose(found[name], expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_first_fits_are_as_those_that_remember(monkeypatch, dtype):
    net = wide(dtype)
    (merging,) = Merging.of(net, Normal(), Linkage.VARIANCE)
    groups = [
        merging.groups(merging.tolerance(int(share * net.parameters))) for share in (0.6, 0.4)
    ]
    first = [merging.merge(own, True).network for own in groups]
    assert not merging.memory.groups
    later = [merging.merge(own, True).network for own in groups]
    assert merging.memory.groups
    x = np.random.default_rng(10).normal(size=(300, 6))
    for one, other in zip(first, later, strict=True):
        assert np.abs(one(x) - net(x)).max() > 1e-3
        np.testing.assert_allclose(
            one(x), other(x), rtol=0, atol=2e-5 if dtype == "float32" else 1e-9
        )


def test_sizes_are_counted_as_those_of_groups():
    net, generator = wide("float64"), np.random.default_rng(11)
    ties = find_ties(net)
    for _ in range(5):
        labels = {
            axis: generator.integers(40, size=units.size) for axis, units in enumerate(ties.axes)
        }
        left = [np.unique(own).size for own in labels.values()]
        assert ties.parameters_left(net, left) == ties.parameters(net, regroup(ties, labels))
    assert find_ties(convolutional()).parameters_left(convolutional(), [5, 5]) is None


def test_trees_of_many_rows_are_those_of_scipy():
    """Also where rows that have gone are let go."""
    rows = np.random.default_rng(12).normal(size=(300, 5))
    found = merge_tree(rows.copy(), np.ones(300), Linkage.VARIANCE)
    expected = hierarchy.linkage(rows, "ward")
    np.testing.assert_allclose(found[:, 2], expected[:, 2], rtol=1e-9)
    for count in (150, 40, 7):
        by_scipy = hierarchy.fcluster(expected, count, "maxclust")
        assert np.array_equal(cut_to(found, count), Partition(by_scipy).labels)


def test_networks_are_compared_with_the_originals_outputs():
    plan = sl.AFDE(retain=0.5).plan(wide("float32"))
    plan.retain(0.5)
    known = plan._in_all_units()[0]._outputs
    np.testing.assert_allclose(known, outputs_on(plan.network, plan._seen), rtol=0, atol=1e-5)
    assert len(known) == 500
    fitted = plan.merging.samples[0]
    assert not np.isin(plan._seen[0], fitted).all(axis=1).any()  # fits do not know them
