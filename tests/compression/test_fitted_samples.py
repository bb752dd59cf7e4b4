"""What fits of networks on grids take: fewer samples, and of the original each value once."""

import numpy as np
import pytest
import torch
from torch.nn import functional

import symlump as sl
from symlump.compression.merging import values as held
from symlump.compression.merging.merge import Merging
from symlump.compression.merging.values import SampledValues
from symlump.compression.moments import Normal
from symlump.lumping.tolerance.linkage import Linkage
from symlump.network import evaluate as evaluation
from symlump.network.evaluate import evaluate
from symlump.network.nodes import Affine, Apply, Flatten, Input


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


@pytest.mark.parametrize("most", [1 << 27, 1 << 23])
def test_a_sweep_computes_the_original_once(net, monkeypatch, most):
    """Also where the values of all samples, more than those that fits use, would take too much memory."""
    monkeypatch.setattr(held, "_REMEMBERED", most)
    if most == 1 << 23:
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
