"""A chain of dense layers, and the same network as a graph: every method gives the same blocks and weights."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_merging import on_a_grid

import symlump as sl
from symlump.errors import FailureError
from symlump.network.nodes import Combine

METHODS = {
    "exact": lambda x: sl.AFDE(eps=0),
    "functions": lambda x: sl.AFDE(retain=0.6),
    "functions, data": lambda x: sl.AFDE(retain=0.6, inputs=x),
    "sums": lambda x: sl.AFDE(retain=0.6, refit=False),
    "coefficients": lambda x: sl.AFDE(retain=0.6, distance="coefficients"),
    "symmetric": lambda x: sl.Symmetric(),
    "symmetric, nearly": lambda x: sl.Symmetric(eps=0.4),
    "symmetric, by size": lambda x: sl.Symmetric(retain=0.7),
    "dependence": lambda x: sl.Dependence(retain=0.6),
    "dependence, data": lambda x: sl.Dependence(eps=0.05, inputs=x),
    "hierarchical": lambda x: sl.Hierarchical(eps=0.2, leaf_size=2),
    "hierarchical, data": lambda x: sl.Hierarchical(eps=0.2, leaf_size=2, inputs=x),
    "svd": lambda x: sl.TruncatedSVD(retain=0.8),
    "bits": lambda x: sl.Quantize(5),
    "bits, by size": lambda x: sl.Quantize(retain=0.3),
    "magnitude": lambda x: sl.Magnitude(0.6),
    "layerwise": lambda x: sl.Magnitude(0.6, scope="layerwise"),
    "wanda": lambda x: sl.Wanda(0.6, inputs=x),
    "magnitude, refit": lambda x: sl.Magnitude(0.6, refit=True),
    "wanda, refit": lambda x: sl.Wanda(0.6, inputs=x, refit=True),
    "second order": lambda x: sl.SecondOrder(0.6, inputs=x),
    "combined": lambda x: sl.Combined(retain=0.6),
}


def with_branches(net):
    """The same dense layers in a graph that is no chain: half of the last outputs is added to itself."""
    last = net.outputs[0]
    half = [replace(net.named[last], name=name, weight=net.named[last].weight / 2) for name in "ab"]
    if half[0].bias is not None:
        half = [replace(layer, bias=layer.bias / 2) for layer in half]
    rest = tuple(node for node in net.nodes if node.name != last)
    return sl.Network((*rest, *half, Combine("sum", ("a", "b"), "add")), ("sum",))


@st.composite
def networks(draw):
    """Dense layers; some units are multiples of others, as the activation allows."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    phi = draw(st.sampled_from(["tanh", "relu", "gelu", "sigmoid", "abs"]))
    widths = [3, *draw(st.lists(st.integers(2, 9), min_size=1, max_size=3)), 2]
    factor = {"relu": 2.0, "gelu": 1.0, "abs": -3.0}.get(phi, -1.0)
    special = draw(st.sampled_from(["", "constant", "unread"]))
    weights, biases = [], []
    for before, width in zip(widths, widths[1:], strict=False):
        w, b = rng.normal(size=(width, before)), rng.normal(size=width)
        if width > 3:
            w[-1], b[-1] = factor * w[0], factor * b[0]
            w[-2] *= special != "constant"
        if before > 3:
            w[:, 1] *= special != "unread"
        weights.append(w)
        biases.append(b)
    return sl.Network.dense(weights, biases, phi)


@pytest.mark.parametrize("name", METHODS)
@settings(max_examples=4)
@given(net=networks(), seed=st.integers(0, 99))
def test_a_chain_and_its_graph_give_the_same(name, net, seed):
    if name.startswith("hierarchical"):  # is for dense layers
        graph = with_branches(net)
        graph = sl.Network(graph.nodes, ("sum",))
    else:
        graph = on_a_grid(net)
    assert graph.chain is None and net.chain is not None
    x = np.random.default_rng(seed).normal(size=(60, 3))
    method = METHODS[name](x)
    try:
        a = sl.compress(net, method)
    except FailureError as error:  # the size is out of reach: of both
        with pytest.raises(FailureError, match=re.escape(str(error))):
            sl.compress(graph, method)
        return
    b = sl.compress(graph, method)
    hidden = len(net.hidden)
    assert [m.tolist() for m in a.unit_maps] == [m.tolist() for m in b.unit_maps][:hidden]
    if name.startswith("hierarchical"):
        pairs = zip(a.network.layers[:hidden], b.network.layers[:hidden], strict=True)
    else:
        assert a.retained_parameters == b.retained_parameters
        pairs = zip(a.network.layers, b.network.layers, strict=True)
    for one, other in pairs:
        size = max(1.0, np.abs(one.weight).max())
        assert other.weight.reshape(one.weight.shape) == pytest.approx(one.weight, abs=1e-7 * size)
        assert (one.bias is None) == (other.bias is None)
        if one.bias is not None:
            assert other.bias == pytest.approx(one.bias, abs=1e-7 * size)


def test_every_method_is_here():
    used = {type(make(np.zeros((1, 3)))).__name__ for make in METHODS.values()}
    methods = {
        name
        for name in sl.__all__
        if isinstance(kind := getattr(sl, name), type)
        and issubclass(kind, sl.compression.reduction.CompressionMethod)
    }
    assert methods - {"CompressionMethod"} == used
