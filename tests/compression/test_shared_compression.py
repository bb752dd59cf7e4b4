"""Every method on weights that layers share: they stay shared, and never count more than they did."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tied import Repeated, RepeatedConvolutions, planted

import symlump as sl
from symlump.errors import NetworkError

X = np.random.default_rng(0).normal(size=(50, 3))
METHODS = {
    "exact": sl.AFDE(eps=0),
    "functions": sl.AFDE(retain=0.6),
    "sums": sl.AFDE(retain=0.6, refit=False),
    "coefficients": sl.AFDE(retain=0.6, distance="coefficients"),
    "steps": sl.AFDE(retain=0.6, steps=5),
    "dependence": sl.Dependence(retain=0.6),
    "hierarchical": sl.Hierarchical(eps=0.3),
    "hierarchical, on inputs": sl.Hierarchical(eps=0.3, inputs=X),
    "magnitude": sl.Magnitude(0.6),
    "layerwise": sl.Magnitude(0.6, scope="layerwise"),
    "wanda": sl.Wanda(0.6, inputs=X),
    "svd": sl.TruncatedSVD(retain=0.6),
    "bits": sl.Quantize(6),
}


def count(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", METHODS)
def test_what_is_shared_stays_shared(name):
    torch.manual_seed(3)
    model = Repeated(12).double()
    result = sl.compress(model, METHODS[name])
    assert result.retained_parameters <= result.parameters == count(model)
    assert sum(row.parameters for row in result.layers) == result.parameters
    assert sum(row.retained_parameters for row in result.layers) == result.retained_parameters
    stored = result.retained_parameters if name.startswith("hier") else result.network.parameters
    assert count(result.model) == stored
    if not name.startswith(("exact", "bits", "hier")):
        assert result.retained <= 0.6
    users = result.network.sharing["again.weight" if name != "svd" else "again.weight, right"]
    assert len(users) == 3
    y = result.model(torch.from_numpy(X)).detach().numpy()
    assert y == pytest.approx(result.network(X), abs=1e-9)


@pytest.mark.parametrize("norms", [1, 2])
@pytest.mark.parametrize("name", ["exact", "functions", "coefficients", "dependence", "svd"])
def test_residual_steps_of_one_convolution(name, norms):
    torch.manual_seed(4)
    model = RepeatedConvolutions(8, norms).double().eval()
    x = torch.randn(30, 1, 5, 5, dtype=torch.float64)
    result = sl.compress(model, METHODS[name], example=x)
    assert result.retained_parameters <= result.parameters
    assert count(result.model) == result.network.parameters
    assert torch.allclose(result.model(x), torch.from_numpy(result.network(x.numpy())))


@settings(max_examples=12)
@given(
    st.integers(0, 9_999),
    st.integers(1, 6),
    st.sampled_from([torch.tanh, torch.relu]),
    st.sampled_from(["exact", "dependence"]),
)
def test_hidden_copies_of_tied_units_are_found(seed, width, phi, name):
    small, wide = planted(seed, width, phi)
    method = {"exact": sl.AFDE(eps=0), "dependence": sl.Dependence(eps=1e-9)}[name]
    result = sl.compress(wide, method, example=torch.zeros(1, 3).double())
    assert result.retained_parameters <= count(small) <= result.parameters == count(wide)
    assert result.exact == (name == "exact")
    x = np.random.default_rng(seed).normal(size=(20, 3))
    expected = wide(torch.from_numpy(x)).detach().numpy()
    if name == "dependence":  # what one input in thousands makes differ, samples do not show
        assume(expected.std(axis=0).min() > 1e-3)
    assert result.network(x) == pytest.approx(expected, abs=1e-7)


def test_one_fit_for_all_places_is_better_than_sums():
    torch.manual_seed(5)
    model = Repeated(30).double()
    x = np.random.default_rng(1).normal(size=(400, 3))
    y = model(torch.from_numpy(x)).detach().numpy()
    fitted, sums = (sl.compress(model, METHODS[name]) for name in ("functions", "sums"))
    errors = [np.mean((r.network(x) - y) ** 2) for r in (fitted, sums)]
    assert errors[0] < 0.5 * errors[1]


@pytest.mark.parametrize(
    "method", [sl.AFDE(retain=0.5, on="both"), sl.Symmetric(), sl.Dependence(inputs="exact")]
)
def test_methods_that_go_layer_by_layer_say_so(method):
    with pytest.raises(NetworkError, match="again, again_2, again_3 share their weights"):
        sl.compress(Repeated(4), method)


class TiedAutoencoder(torch.nn.Module):
    """One weight, read as it is and transposed."""

    def __init__(self, tied):
        super().__init__()
        torch.manual_seed(0)
        self.weight = torch.nn.Parameter(torch.randn(6, 4))
        self.back = None if tied else torch.nn.Parameter(self.weight.detach().T.clone())

    def forward(self, x):
        back = self.weight.t() if self.back is None else self.back
        hidden = torch.tanh(torch.nn.functional.linear(x, self.weight))
        return torch.nn.functional.linear(hidden, back)


@pytest.mark.parametrize("method", [sl.AFDE(eps=0), sl.AFDE(retain=0.6), sl.Magnitude(0.6)])
def test_a_weight_that_is_shared_transposed_is_refused_by_name(method):
    x = torch.zeros(2, 4)
    with pytest.raises(NetworkError, match="use one weight, .* transposed"):
        sl.compress(TiedAutoencoder(True), method, example=x)
    untied = sl.compress(TiedAutoencoder(False), method, example=x)
    assert untied.retained_parameters <= untied.parameters == 48


@pytest.mark.parametrize("kind", ["Gemm", "Transpose", "square", "stored twice", "shared"])
def test_an_array_of_a_file_that_is_used_in_two_arrangements_is_refused_by_name(kind, tmp_path):
    onnx = pytest.importorskip("onnx")
    from onnx import helper, numpy_helper

    width = 4 if kind in ("square", "shared") else 6
    w = np.random.default_rng(0).standard_normal((width, 4)).astype(np.float32)
    held = {"w": w, "b": np.ones(width, np.float32), "c": np.ones(4, np.float32)}
    turned = kind in ("Gemm", "square")
    back = helper.make_node("Gemm", ["h", "w", "c"], ["y"], "back", transB=0 if turned else 1)
    before = []
    if kind == "Transpose":
        before = [helper.make_node("Transpose", ["w"], ["wt"], perm=[1, 0])]
        back.input[1] = "wt"
    elif kind == "stored twice":  # two arrays, which may go ways of their own
        held["v"], back.input[1] = w.T.copy(), "v"
    nodes = [
        *before,
        helper.make_node("Gemm", ["x", "w", "b"], ["z"], "there", transB=1),
        helper.make_node("Tanh", ["z"], ["h"]),
        back,
    ]
    x, y = (helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, ["n", 4]) for n in "xy")
    arrays = [numpy_helper.from_array(a, name) for name, a in held.items()]
    graph = helper.make_graph(nodes, "g", [x], [y], arrays)
    file = tmp_path / "tied.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), file)
    net = sl.read_onnx(file)
    if kind in ("stored twice", "shared"):
        assert sl.compress(net, sl.AFDE(eps=0.1)).parameters == net.parameters
        return
    for subject in (net, replace(net, dtype="float64")):
        for act in (sl.compress, lambda n, m: sl.sweep(n, [0.1], m)):
            with pytest.raises(
                NetworkError, match="there and back use one weight, back transposed"
            ):
                act(subject, sl.AFDE(eps=0.1))
