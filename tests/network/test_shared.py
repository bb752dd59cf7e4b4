"""Weights that several layers share: read as shared, counted once, merged alike, written once."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_model
from tied import Repeated, RepeatedConvolutions, planted
from torch import nn

import symlump as sl
from symlump.errors import MethodError, NetworkError
from symlump.network.exchange.onnx_io import read_onnx
from symlump.network.exchange.onnx_write import write_onnx
from symlump.network.nodes import Affine, Concatenate, Input, Select
from symlump.network.saved.writing import write_network
from symlump.network.state_dict import read_network
from symlump.network.ties import find_ties
from symlump.network.torch_io import read_back


def count(model):
    return sum(p.numel() for p in model.parameters())


def shared_with(network):
    return {tuple(layer.name for layer in users) for users in network.sharing.values()}


def test_a_module_used_three_times_is_one_set_of_parameters():
    torch.manual_seed(0)
    model = Repeated(5)
    network = sl.from_torch(model)
    assert network.parameters == count(model) == 62 and "62 parameters" in repr(network)
    assert network.held == (20, 30, 0, 0, 12)
    assert shared_with(network) == {("again", "again_2", "again_3")}
    assert find_ties(network).makers == (("first", "again", "again_2", "again_3"),)
    back = sl.to_torch(network)
    assert count(back) == 62 and back[2] is back[4] is back[6]
    x = torch.randn(4, 3)
    assert torch.allclose(back(x), model(x), atol=1e-6)
    with torch.no_grad():
        back[2].weight.zero_()
    assert not any(read_back(network, back).layers[i].weight.any() for i in (1, 2, 3))


@pytest.mark.parametrize("norms", [1, 2, 3])
def test_a_convolution_with_one_normalisation_or_several(norms):
    """One normalisation is folded into the shared weights; several are not, for that would make copies."""
    torch.manual_seed(0)
    model = RepeatedConvolutions(4, norms).eval()
    x = torch.randn(3, 1, 5, 5)
    network = sl.from_torch(model, x)
    assert network.parameters <= count(model) + (4 if norms == 1 else 0)
    assert ("again", "again_2", "again_3") in shared_with(network)
    back = sl.to_torch(network)
    assert count(back) == network.parameters
    assert torch.allclose(back(x), model(x), atol=1e-5)


def test_weights_alone_can_be_shared():
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
    model[2].weight = model[0].weight
    network = sl.from_torch(model)
    assert network.held == (12, 3, 12) and shared_with(network) == {("layers.0", "layers.1")}
    back = sl.to_torch(network)
    assert back[2].weight is back[0].weight and back[2] is not back[0] and count(back) == 27
    traced = sl.from_torch(nn.ModuleList([model])[0], torch.zeros(1, 3))
    assert traced.parameters == 27


def test_biases_alone_are_not():
    """Files hold equal arrays once, such as zeros; that is no tie."""
    a = Affine("a", ("x",), np.eye(2), np.zeros(2), weight_name="a", bias_name="zeros")
    b = replace(a, name="b", inputs=("a",), weight=np.ones((2, 2)), weight_name="b")
    network = sl.from_torch(sl.to_torch(sl.Network((Input("x", (), (2,)), a, b), ("b",))))
    assert not network.sharing and network.held == (6, 6)


def test_a_sequential_that_repeats_a_module_is_read_in_full():
    act, layers = nn.Tanh(), [nn.Linear(3, 3) for _ in range(3)]
    model = nn.Sequential(layers[0], act, layers[1], act, layers[2], act, layers[1])
    network, x = sl.from_torch(model), torch.randn(4, 3)
    assert network.widths == (3, 3, 3, 3, 3) and network.parameters == 36
    assert network(x.numpy()) == pytest.approx(model(x).detach().numpy(), abs=1e-6)


def test_what_is_shared_must_be_equal():
    a = Affine("a", ("x",), np.eye(2), weight_name="w")
    b = replace(a, name="b", inputs=("a",), weight=2 * np.eye(2))
    with pytest.raises(NetworkError, match="b: it shares its weight with a, but the two differ"):
        sl.Network((Input("x", (), (2,)), a, b), ("b",))


def test_onnx_writes_one_initializer(tmp_path):
    onnx = pytest.importorskip("onnx")
    for model, x in [
        (Repeated(4), torch.zeros(1, 3)),
        (RepeatedConvolutions(3, 2).eval(), torch.zeros(1, 1, 4, 4)),
    ]:
        network = sl.from_torch(model, x)
        write_onnx(network, tmp_path / "net.onnx")
        again = read_onnx(tmp_path / "net.onnx")
        assert again.held == network.held
        tensors = onnx.load(tmp_path / "net.onnx").graph.initializer
        assert sum(int(np.prod(t.dims)) for t in tensors) == network.parameters


def test_onnx_with_a_product_and_a_sum(tmp_path):
    """x·W + b as two nodes: the sum becomes a bias, shared or not."""
    onnx = pytest.importorskip("onnx")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    arrays = {"W": np.eye(2) * 0.5, "b": np.ones(2), "c": np.full(2, 3.0)}
    for last, held in (("b", (6, 0)), ("c", (6, 2))):
        nodes = [
            helper.make_node("MatMul", ["x", "W"], ["p"]),
            helper.make_node("Add", ["p", "b"], ["q"]),
            helper.make_node("MatMul", ["q", "W"], ["r"]),
            helper.make_node("Add", ["r", last], ["y"]),
        ]
        ends = [
            [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, ["n", 2])] for n in ("x", "y")
        ]
        weights = [numpy_helper.from_array(a.astype(np.float32), n) for n, a in arrays.items()]
        graph = helper.make_graph(nodes, "g", *ends, weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
        onnx.save(model, tmp_path / "net.onnx")
        network = read_onnx(tmp_path / "net.onnx")
        assert network.held == held and len(network.layers) == 2
        assert network([[1.0, 2.0]]).tolist() == [[0.75 + arrays[last][0], 1.0 + arrays[last][0]]]


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_state_dicts_hold_them_once(tmp_path, suffix):
    torch.manual_seed(1)
    network = sl.from_torch(Repeated(60))
    path = tmp_path / f"net{suffix}"
    write_network(path, network)
    assert path.stat().st_size < 4 * network.parameters + 5_000  # a copy is 14 000 more
    again = read_network(path, "tanh").network
    assert again.held == network.held
    x = np.random.default_rng(0).normal(size=(3, 3))
    assert np.array_equal(again(x), network(x))


def test_what_save_model_of_safetensors_writes_is_read(tmp_path):
    layer = nn.Linear(3, 3)
    model = nn.Sequential(layer, nn.Tanh(), layer, nn.Tanh(), nn.Linear(3, 1))
    save_model(model, str(tmp_path / "net.safetensors"))
    network, x = read_network(tmp_path / "net.safetensors", "tanh").network, torch.randn(2, 3)
    assert network.held == (12, 0, 4)
    assert network(x.numpy()) == pytest.approx(model(x).detach().numpy(), abs=1e-6)


def test_names_in_metadata_claim_no_memory(tmp_path):
    from safetensors.torch import save_file

    many = {f"{i}.weight": "0.weight" for i in range(1, 1000)}
    save_file({"0.weight": torch.zeros(200, 200)}, tmp_path / "net.safetensors", many)
    layers = read_network(tmp_path / "net.safetensors", "tanh").network.layers
    assert len(layers) == 1000 and len({id(layer.weight) for layer in layers}) == 1


def test_a_kernel_per_channel_that_reads_some_of_the_units():
    """Beside weights that are shared, which lumpings must respect."""
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(2, 2)).repeat(2, axis=0).repeat(2, axis=1)
    nodes = (
        Input("x", (), (2,)),
        Affine("h", ("x",), rng.normal(size=(2, 2)).repeat(2, axis=0)),
        Select("part", ("h",), np.array([0, 1, 2])),
        Affine("scale", ("part",), np.full((3, 1), 2.0), np.ones(3), depthwise=True),
        Affine("a", ("x",), rng.normal(size=(2, 2)).repeat(2, axis=0)),
        Affine("b", ("a",), shared, weight_name="w"),
        Affine("c", ("b",), shared, weight_name="w"),
        *(Affine(f"y{n}", (n,), np.ones((1, k))) for n, k in (("h", 4), ("scale", 3), ("c", 4))),
        Concatenate("y", ("yh", "yscale", "yc")),
    )
    network = sl.Network(nodes, ("y",))
    small = sl.compress(network, sl.AFDE(eps=0)).network
    assert [layer.units for layer in small.layers if layer.name in "habc"] == [2, 2, 2, 2]
    x = rng.normal(size=(7, 2))
    assert small(x) == pytest.approx(network(x))


def test_a_lumping_of_one_use_alone_is_no_network():
    """The first use sees equal inputs, the second does not: lump() splits what one weight cannot hold."""
    x = Input("x", (), (2,))
    w = np.array([[1.0, 0.0], [1.0, 0.0]])
    a = Affine("a", ("x",), w, weight_name="w")
    b = Affine("b", ("a",), w, weight_name="w")
    last = Affine("y", ("b",), np.array([[1.0, 3.0]]))
    network = sl.Network((x, a, b, last), ("y",))
    with pytest.raises(MethodError, match=r"shares its weight.*AFDE\(eps=0\)"):
        sl.decode(sl.lump(sl.encode(network), sl.Forward()))


@settings(max_examples=15)
@given(st.integers(0, 9_999), st.integers(1, 6), st.sampled_from([torch.tanh, torch.relu]))
def test_hidden_copies_of_tied_units_are_merged(seed, width, phi):
    """By distances of functions at nearly 0; the exact way and all others: test_shared_compression."""
    small, wide = planted(seed, width, phi)
    network = sl.from_torch(wide)
    result = sl.compress(network, sl.AFDE(eps=1e-6))
    assert result.retained_parameters <= count(small) <= result.parameters == count(wide)
    x = np.random.default_rng(seed).normal(size=(20, 3))
    assert result.network(x) == pytest.approx(network(x), abs=1e-5)


@pytest.mark.parametrize("uses", ["at", "ta", "aat", "ata", "taa", "tta", "att", "aatt"])
def test_a_weight_that_several_layers_use_either_way_counts_once(uses: str) -> None:
    """As it is (a) and transposed (t), whichever comes first and however often."""

    class Uses(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.o = (torch.nn.Linear(4, n, bias=False) for n in (4, 2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for use in uses:
                weight = self.a.weight.t() if use == "t" else self.a.weight
                x = torch.tanh(torch.nn.functional.linear(x, weight))
            return self.o(x)

    network = sl.from_torch(Uses(), example=torch.zeros(1, 4))
    assert network.held == (16, *(0,) * (len(uses) - 1), 8) and network.parameters == 24
