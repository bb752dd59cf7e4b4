"""What is refused is named: the node, the operator or the tensor, and what would work instead."""

from __future__ import annotations

import ast
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import symlump as sl
from symlump.errors import FileFormatError, NetworkError
from symlump.network.state_dict import read_network

READERS = Path(sl.__file__).parent / "network"
FOLDERS = ("exchange", "recurrent", "saved")
FILES = ("state_dict.py", "torch_io.py", "torch_module.py", "torch_parts.py")
#: Refusals that name nothing of what was given, by how they begin, and why.
NAMELESS = {
    "reading modules other than nn.Sequential needs torch": "it is about torch",
    "what was read does not compute what the module does": "nothing single is at fault",
    "the graph has no input": "there is none to name",
    "the graph has no output": "there is none to name",
    "ONNX files are written in float32, float64 or float16": "it is about the whole network",
    "the network is larger than the 2 GB": "it is about the whole network",
    "a cell has two biases": "it is about arrays, which have no names",
    "input_forget=1": "the node is named around it",
    "sequence_lens": "the node is named around it",
    "peepholes": "the node is named around it",
    "its starting state": "the node is named around it",
    "it has no node RNN, GRU or LSTM": "there is none to name",
    "these cells were not read from an ONNX file": "it is about the whole network",
    "the number of states cannot be told": "it is about the whole field",
    "ONNX files need the extra onnx": "it is about what is installed",
    "the file does not say which activation": "the file is named around it",
}


def refusals() -> list[tuple[str, ast.expr]]:
    """Where readers raise, and what they say."""
    paths = [path for folder in FOLDERS for path in sorted((READERS / folder).glob("*.py"))]
    found = []
    for path in paths + [READERS / name for name in FILES]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            call = node.exc if isinstance(node, ast.Raise) else None
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.args):
                continue
            if call.func.id.endswith("Error"):
                found.append((f"{path.name}:{call.lineno}", call.args[0]))
    return found


def test_refusals_name_what_they_are_about() -> None:
    every = refusals()
    assert len(every) > 100
    used = set()
    for where, said in every:
        names = [part for part in ast.walk(said) if isinstance(part, ast.FormattedValue | ast.Call)]
        if names or isinstance(said, ast.Name):
            continue
        text = "".join(
            part.value
            for part in ast.walk(said)
            if isinstance(part, ast.Constant) and isinstance(part.value, str)
        )
        known = [begin for begin in NAMELESS if text.startswith(begin)]
        assert known, f"{where}: {text!r} names nothing of what was given"
        used.update(known)
    assert used == set(NAMELESS)  # none is listed that is no more


def loop_model(path: Path) -> None:
    onnx: Any = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    def value(name: str, kind: int, shape: list[Any]) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["going_on"]),
            helper.make_node("Tanh", ["h"], ["h_next"]),
        ],
        "body",
        [
            value("step", TensorProto.INT64, []),
            value("going", TensorProto.BOOL, []),
            value("h", 1, [1, 2]),
        ],
        [value("going_on", TensorProto.BOOL, []), value("h_next", 1, [1, 2])],
    )
    loop = helper.make_node("Loop", ["count", "", "x"], ["y"], name="rnn_loop", body=body)
    count = onnx.numpy_helper.from_array(np.array(3), "count")
    graph = helper.make_graph(
        [loop], "g", [value("x", 1, [1, 2])], [value("y", 1, [1, 2])], [count]
    )
    onnx.save(helper.make_model(graph), path)


def test_a_loop_is_named_with_what_to_export_instead(tmp_path: Path) -> None:
    path = tmp_path / "loop.onnx"
    loop_model(path)
    for read in (sl.read_onnx, sl.read_recurrent_onnx):
        with pytest.raises(NetworkError) as refused:
            read(path)
        said = str(refused.value)
        for part in ("'rnn_loop' (Loop)", "RNN, GRU and LSTM", "torch.nn.GRU", str(path)):
            assert part in said


def test_outputs_that_do_not_depend_on_inputs_are_named(tmp_path: Path) -> None:
    onnx: Any = pytest.importorskip("onnx")
    from onnx import helper

    y = [helper.make_tensor_value_info(name, 1, [1, 2]) for name in ("y", "held")]
    held = onnx.numpy_helper.from_array(np.zeros((1, 2), np.float32), "w")
    nodes = [helper.make_node("Tanh", ["x"], ["y"]), helper.make_node("Identity", ["w"], ["held"])]
    x = helper.make_tensor_value_info("x", 1, [1, 2])
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", [x], y, [held])), tmp_path / "n.onnx")
    with pytest.raises((NetworkError, FileFormatError), match="output 'held' does not depend on"):
        sl.read_onnx(tmp_path / "n.onnx")


def quantized(model: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: nn.Module = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, torch.qint8)
    return found


def test_state_dicts_of_quantized_models_name_what_is_no_tensor(tmp_path: Path) -> None:
    model = quantized(nn.Sequential(nn.Linear(2, 4), nn.Tanh()))
    torch.save(model.state_dict(), tmp_path / "net.pt")
    with pytest.raises(FileFormatError, match=r"packed_params.* is a .*that of the model before"):
        read_network(tmp_path / "net.pt", "tanh")


def test_operators_of_quantized_files_say_what_to_read_instead(tmp_path: Path) -> None:
    onnx: Any = pytest.importorskip("onnx")
    from onnx import helper

    x, y = (helper.make_tensor_value_info(name, 1, [1, 2]) for name in "xy")
    scale = onnx.numpy_helper.from_array(np.ones((), np.float32), "s")
    nodes = [helper.make_node("QuantizeLinear", ["x", "s"], ["q"], name="quantize")]
    nodes.append(helper.make_node("DequantizeLinear", ["q", "s"], ["y"]))
    onnx.save(
        helper.make_model(helper.make_graph(nodes, "g", [x], [y], [scale])), tmp_path / "n.onnx"
    )
    with pytest.raises(
        NetworkError, match=r"'quantize' \(QuantizeLinear\).*file with real numbers"
    ):
        sl.read_onnx(tmp_path / "n.onnx")


def test_what_torch_modules_are_not_read() -> None:
    chain = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    program = torch.export.export(chain, (torch.zeros(3, 2),))
    for given, said in (
        (nn.Sequential(nn.LazyLinear(3), nn.Tanh()), "'0.weight' has no shape yet; call the model"),
        (torch.jit.script(chain), "a program of torch.jit, which is not read; give the module"),
        (program, r"give its .module\(\)"),
        (nn.GRU(2, 3, device="meta"), "on the meta device, which holds no numbers; give it some"),
        (
            quantized(chain),
            r"0: a quantized Linear holds its weights packed.*quantize what comes back",
        ),
    ):
        with pytest.raises(NetworkError, match=said):
            sl.compress(given, sl.AFDE(eps=0))  # type: ignore[call-overload]
    x = torch.randn(3, 2)
    small = sl.compress(program.module(), sl.AFDE(eps=0), example=x)
    assert torch.allclose(small.model(x), chain(x), atol=1e-6)
