"""Transposed convolutions merge as others do, and stay one layer wherever they are written."""

import numpy as np
import pytest
import torch
from torch import nn

import symlump as sl
from symlump.network.torch_io import read_back
from symlump.network.torch_module import graph_module

CASES = {
    "stride": (nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1), 2),
    "uneven": (nn.ConvTranspose2d(4, 6, 4, stride=(2, 3), padding=(1, 0)), 2),
    "dilation": (nn.ConvTranspose1d(4, 6, 3, dilation=2, stride=2), 1),
    "no stride": (nn.ConvTranspose2d(4, 6, 3), 2),
}


def model_of(case):
    torch.manual_seed(0)
    layer, rank = CASES[case]
    layer.reset_parameters()
    first, last = (
        (nn.Conv1d, nn.Conv2d)[rank - 1](1, 4, 3),
        (nn.Conv1d, nn.Conv2d)[rank - 1](6, 1, 1),
    )
    with torch.no_grad():  # one copy in front, one behind
        for weight, bias in (
            (first.weight, first.bias),
            (layer.weight.transpose(0, 1), layer.bias),
        ):
            weight[1], bias[1] = weight[0].clone(), bias[0].clone()
    model = nn.Sequential(first, nn.ReLU(), layer, nn.ReLU(), last)
    return model.float().eval(), torch.randn(3, 1, *(8,) * rank)


@pytest.mark.parametrize("case", CASES)
def test_planted_copies_are_restored_exactly(case, tmp_path):
    model, x = model_of(case)
    result = sl.compress(model, sl.AFDE(eps=0), example=x)
    assert result.exact and [layer.units for layer in result.network.layers] == [3, 5, 1]
    kinds = [type(module).__name__ for module in result.model.children()]
    transposed = case != "no stride"  # that is a convolution with its kernel turned round
    assert any(kind.startswith("ConvTranspose") for kind in kinds) == transposed
    with torch.no_grad():
        expected = model(x).numpy()
        assert np.allclose(result.model(x).numpy(), expected, atol=1e-6)
    assert np.allclose(result.network(x.numpy()), expected, atol=1e-6)
    back = read_back(result.network, graph_module(result.network))
    assert all(
        np.allclose(a.weight, b.weight)
        for a, b in zip(back.layers, result.network.layers, strict=True)
    )
    ort = pytest.importorskip("onnxruntime")
    sl.write_onnx(result.network, tmp_path / "net.onnx")
    session = ort.InferenceSession(tmp_path / "net.onnx")
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    assert np.allclose(found, expected, atol=1e-5)
    again = sl.read_onnx(tmp_path / "net.onnx")
    assert again.parameters == result.network.parameters
    assert np.allclose(again(x.numpy()), expected, atol=1e-5)


def test_zeros_that_two_read_are_a_step_of_their_own(tmp_path):
    from symlump.network.nodes import Affine, Combine, Input
    from symlump.network.step_nodes import Operation

    rng = np.random.default_rng(0)
    zeros = Operation("zeros", ("x",), "dilate", {"steps": (2, 3), "size": (6, 7)})
    layers = [
        Affine(name, ("zeros",), rng.normal(size=(2, 1, 2, 2)), None, (1, 1), (1, 1), (1, 1))
        for name in "ab"
    ]
    net = sl.Network(
        (Input("x", (), (1, 3, 3)), zeros, *layers, Combine("y", ("a", "b"), "add")),
        ("y",), "float32",
    )  # fmt: skip
    x = rng.normal(size=(2, 1, 3, 3))
    spread = np.zeros((2, 1, 6, 7))
    spread[:, :, ::2, ::3] = x
    weights = torch.from_numpy(layers[0].weight + layers[1].weight)
    expected = nn.functional.conv2d(torch.from_numpy(spread), weights, padding=1).numpy()
    assert np.allclose(net(x), expected)
    module = graph_module(net)
    assert np.allclose(module(torch.from_numpy(x).float()).detach(), expected, atol=1e-5)
    ort = pytest.importorskip("onnxruntime")
    sl.write_onnx(net, tmp_path / "net.onnx")
    session = ort.InferenceSession(tmp_path / "net.onnx")
    assert np.allclose(session.run(None, {"x": x.astype(np.float32)})[0], expected, atol=1e-5)
