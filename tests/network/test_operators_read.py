"""Operators of ONNX and operations of torch, each read, computed, written again, and compared."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import symlump as sl
from symlump.errors import NetworkError
from symlump.network.exchange.onnx_constants import constant

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
node = onnx.helper.make_node
rng = np.random.default_rng(0)


def normal(*shape: int) -> Any:
    return rng.normal(size=shape).astype(np.float32)


def run(path: Path, x: Any) -> Any:
    """What another implementation makes of a file."""
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    return session.run(None, {given.name: x})[0]


def compare(path: Path, x: Any) -> sl.Network:
    """The network of a file, which gives what the file gives: here, written again, and as a module."""
    expected, network = run(path, x), sl.read_onnx(path)
    again = path.with_name("again.onnx")
    sl.write_onnx(network, again)
    module = sl.to_torch(network)(torch.from_numpy(x)).detach().numpy()
    for found in (network(x.astype(np.float64)), run(again, x), module):
        assert found.shape == expected.shape
        assert np.allclose(found, expected, rtol=1e-5, atol=1e-5)
    return network


def file_of(path: Path, operator: Any, weights: Any, shape: Any, opset: int = 20) -> Path:
    graph = onnx.helper.make_graph(
        [operator],
        "one",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", *shape])],
        [onnx.helper.make_empty_tensor_value_info("y")],
        [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opsets = [onnx.helper.make_opsetid("", opset)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("how", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
def test_pools_padded_to_the_same_size(kind: str, how: str, tmp_path: Path) -> None:
    for window, step, grid in [(2, 1, (4, 5)), (2, 2, (5, 6)), (3, 1, (4, 4)), (3, 2, (4, 5))]:
        sizes = {"kernel_shape": [window] * 2, "strides": [step] * 2}
        pool = node(kind, ["x"], ["y"], auto_pad=how, **sizes)
        compare(file_of(tmp_path / "pool.onnx", pool, {}, (2, *grid)), normal(3, 2, *grid))


@pytest.mark.parametrize("pads", [[0, 0, 1, 1], [1, 1, 0, 0], [0, 1, 1, 1]])
@pytest.mark.parametrize("counted", [0, 1])
def test_means_with_uneven_pads(pads: list[int], counted: int, tmp_path: Path) -> None:
    options = {"kernel_shape": [2, 2], "pads": pads, "count_include_pad": counted}
    pool = node("AveragePool", ["x"], ["y"], **options)
    compare(file_of(tmp_path / "pool.onnx", pool, {}, (2, 4, 5)), normal(3, 2, 4, 5))


@pytest.mark.parametrize("how", ["SAME_UPPER", "SAME_LOWER", "pads"])
def test_transposed_convolutions_cut_to_a_size(how: str, tmp_path: Path) -> None:
    for window, step in [(3, 2), (2, 2), (4, 1)]:
        more = {"pads": [0, 1, 1, 0]} if how == "pads" else {"auto_pad": how}
        layer = node("ConvTranspose", ["x", "w"], ["y"], strides=[step] * 2, **more)
        weights = {"w": normal(2, 3, window, window)}
        compare(file_of(tmp_path / "up.onnx", layer, weights, (2, 4, 5)), normal(3, 2, 4, 5))


_ROWS: dict[str, tuple[Any, dict[str, Any], tuple[int, ...], int]] = {
    "slopes": (node("PRelu", ["x", "s"], ["y"]), {"s": normal(3, 1, 1)}, (3, 4, 4), 20),
    "slopes of features": (node("PRelu", ["x", "s"], ["y"]), {"s": normal(5)}, (5,), 20),
    "larger": (node("Max", ["x", "s"], ["y"]), {"s": normal(5)}, (5,), 20),
    "smaller": (node("Min", ["s", "x"], ["y"]), {"s": normal(3, 1, 1)}, (3, 2, 2), 20),
    "groups": (
        node("GroupNormalization", ["x", "s", "b"], ["y"], num_groups=2),
        {"s": normal(4), "b": normal(4)},
        (4, 3, 3),
        21,
    ),
    "groups before": (
        node("GroupNormalization", ["x", "s", "b"], ["y"], num_groups=2),
        {"s": normal(2), "b": normal(2)},
        (4, 3, 3),
        18,
    ),
    "by column": (node("DepthToSpace", ["x"], ["y"], blocksize=2, mode="CRD"), {}, (8, 3, 2), 20),
    "by depth": (node("DepthToSpace", ["x"], ["y"], blocksize=2, mode="DCR"), {}, (8, 3, 2), 20),
    "coarser": (node("SpaceToDepth", ["x"], ["y"], blocksize=2), {}, (3, 4, 6), 20),
}


@pytest.mark.parametrize("row", list(_ROWS))
def test_operators(row: str, tmp_path: Path) -> None:
    operator, weights, shape, opset = _ROWS[row]
    if opset > 20:
        pytest.importorskip("onnxruntime", minversion="1.18")
    compare(file_of(tmp_path / "one.onnx", operator, weights, shape, opset), normal(3, *shape))


@pytest.mark.parametrize(
    ("operator", "told"),
    [
        (
            node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], auto_pad="SAME_ODD"),
            "auto_pad=SAME_ODD",
        ),
        (
            node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], strides=[2, 2], pads=[2, 2, 0, 0]),
            r"pads=\[2, 2, 0, 0\] is not read",
        ),
        (node("Selu", ["x"], ["y"], alpha=1.0, gamma=1.050701), "alpha=1.0 is not read of Selu"),
        (
            node("Resize", ["x", "", "", "z"], ["y"], nearest_mode="ceil"),
            r"nearest_mode=ceil is not read with the sizes \(10, 10\)",
        ),
        (node("Pad", ["x", "p"], ["y"], mode="reflect"), "mode=reflect is not read"),
        (
            node("GroupNormalization", ["x", "s", "s"], ["y"], num_groups=3),
            "num_groups=3 is not read for 4 channels",
        ),
    ],
)
def test_the_attribute_at_fault_is_named(operator: Any, told: str, tmp_path: Path) -> None:
    held = {"s": normal(4), "z": np.array([1, 4, 10, 10]), "p": np.array([0, 0, 1, 1] * 2)}
    held = {name: array for name, array in held.items() if name in operator.input}
    path = file_of(tmp_path / "odd.onnx", operator, held, (4, 5, 5), 21)
    with pytest.raises(NetworkError, match=told):
        sl.read_onnx(path)


class Causal(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.o = nn.Linear(8, 24), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> Any:
        q, k, v = self.q(x).view(x.shape[0], 5, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o(y.transpose(1, 2).flatten(2))


def _convolved(*others: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(2, 8, 3, padding=1), *others, nn.LazyConv2d(2, 1))


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(2, 3, 3), nn.ReLU()), (2, 4, 4)),
        (lambda: _convolved(nn.PixelShuffle(2)), (2, 4, 4)),
        (lambda: _convolved(nn.PixelUnshuffle(2)), (2, 4, 4)),
        (lambda: _convolved(nn.LocalResponseNorm(3)), (2, 4, 4)),
        (Causal, (5, 8)),
    ],
)
def test_exports_of_torch_with_constants_in_them(make: Any, shape: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, x = make().eval(), torch.randn(2, *shape)
    expected = model(x).detach().numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (x,), str(tmp_path / "net.onnx"), dynamo=False, opset_version=17)
    network = sl.read_onnx(tmp_path / "net.onnx")
    assert np.allclose(network(x.double().numpy()), expected, atol=1e-5)
    assert np.allclose(sl.from_torch(model, example=x)(x.double().numpy()), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("starts", "ends", "axes", "steps", "wanted"),
    [
        ([-1], [-(2**62)], [0], [-1], np.s_[::-1]),
        ([1, 0], [9, 2], [1, 0], [2, 1], np.s_[0:2, 1:9:2]),
        ([-100], [-1], [1], [1], np.s_[:, 0:-1]),
    ],
)
def test_constants_are_sliced(starts: Any, ends: Any, axes: Any, steps: Any, wanted: Any) -> None:
    x = np.arange(12).reshape(3, 4)
    given = [x, *map(np.array, (starts, ends, axes, steps))]
    assert np.array_equal(constant("Slice", given, {}), x[wanted])
    assert np.array_equal(constant("Trilu", [x, np.array(1)], {}), np.triu(x, 1))


_LIMITS = torch.tensor([-0.5, 0.25, 0.0, 1.0])
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "clip": lambda h: torch.clip(h, 0, 6),
    "from below": lambda h: torch.clip(h, 0.1),
    "from above": lambda h: torch.clip(h, max=0.3),
    "to one number": lambda h: torch.clamp(h, 0.3, 0.3),
    "by tensors": lambda h: torch.clamp(h, min=_LIMITS),
    "number": lambda h: torch.maximum(h, torch.tensor(0.2)),
    "vector": lambda h: torch.minimum(_LIMITS, h),
    "stretched": nn.Softplus(2.0),
    "slopes": lambda h: functional.prelu(h, _LIMITS),
}


@pytest.mark.parametrize("name", list(_FUNCTIONS))
def test_functions_of_torch_by_other_names(name: str) -> None:
    class Between(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> Any:
            return self.b(_FUNCTIONS[name](self.a(x)))

    torch.manual_seed(0)
    model, x = Between(), torch.randn(20, 3)
    result: Any = sl.compress(model, sl.AFDE(eps=0), example=x)
    assert torch.allclose(result.model(x), model(x), atol=1e-5)


@pytest.mark.parametrize("size", [4, 1])
@pytest.mark.parametrize("rows", [False, True])
def test_a_vector_goes_in_and_out_as_one(size: int, rows: bool, tmp_path: Path) -> None:
    """Without an axis of samples; and a file that adds one gives what it gave."""
    nodes = [
        node("MatMul", ["x", "w"], ["a"]),
        node("Relu", ["a"], ["b"]),
        node("MatMul", ["b", "v"], ["c" if rows else "y"]),
    ]
    weights = {"w": normal(size, 6), "v": normal(6, 2)}
    if rows:
        nodes.append(node("Reshape", ["c", "s"], ["y"]))
        weights["s"] = np.array([1, 2])
    shape = [1, 2] if rows else [2]
    graph = onnx.helper.make_graph(
        nodes,
        "vector",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [size])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, shape)],
        [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opsets = [onnx.helper.make_opsetid("", 20)]
    path, again = tmp_path / "a.onnx", tmp_path / "b.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    network: Any = sl.read_onnx(path)
    small: Any = sl.compress(network, sl.AFDE(eps=0)).network
    x = normal(size)
    expected = run(path, x)
    for net in (network, small):
        sl.write_onnx(net, again)
        onnx.checker.check_model(again, full_check=True)
        found = run(again, x)
        assert found.shape == expected.shape
        assert np.allclose(found, expected, atol=1e-5)
        sl.write_onnx(sl.read_onnx(again), again)  # once more
        assert np.array_equal(run(again, x), found)
