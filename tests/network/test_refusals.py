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
    "the network that was read does not give the module's values": "nothing single is at fault",
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
    "it is no JSON": "the file is named around it",
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


def one_node(
    path: Path, operator: str, initializers: Any = (), samples: Any = "n", **attributes: Any
) -> None:
    """Tokens in, a dense layer, one operator, and another dense layer."""
    onnx: Any = pytest.importorskip("onnx")
    from onnx import helper

    held = {
        "W": np.ones((4, 8), np.float32),
        "V": np.ones((8, 3), np.float32),
        **dict(initializers),
    }
    nodes = [
        helper.make_node("MatMul", ["tokens.1", "W"], ["h"], name="fc1"),
        helper.make_node(operator, ["h", *dict(initializers)], ["k"], name="odd", **attributes),
        helper.make_node("MatMul", ["k", "V"], ["y"], name="fc2"),
    ]
    x = helper.make_tensor_value_info("tokens.1", 1, [samples, 4])
    y = helper.make_tensor_value_info("y", 1, [None, 3])
    tensors = [
        onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in held.items()
    ]
    graph = helper.make_graph(nodes, "g", [x], [y], tensors)
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)


ONE = [("i", np.array([0]))]
WHERE_IT_STANDS: dict[str, Any] = {
    "CumSum": (
        [("i", np.array(1))],
        {},
        r"read_onnx\(path, leave_untouched=True\), or --leave-untouched$",
    ),
    "Sinh": ((), {}, r"read_onnx\(path, leave_untouched=True\), or --leave-untouched$"),
    "NonZero": ((), {}, r"extract_model\(path, 'part.onnx', \['tokens.1'\], \['h'\]\)$"),
    "Bernoulli": ((), {}, r"random numbers.*after model.eval\(\)$"),
    "RandomNormalLike": ((), {}, r"random numbers.*after model.eval\(\)$"),
    "QuantizeLinear": (
        [("s", np.float32(0.5))],
        {},
        "quantized network.*real numbers that it was made from",
    ),
    "SplitToSequence": ((), {"axis": 1}, "lists of tensors are not read.*torch.split"),
    "ReduceMean": ((), {"axes": [0]}, "runs over the samples; what is read.*What stands before it"),
    "Gather": (ONE, {"axis": 0}, "takes some of the samples; .*keep axis 0 for the samples"),
    "ReduceSum": ((), {}, "runs over the samples; .*keep axis 0 for the samples"),
    "Softmax": ((), {"axis": 0}, "runs over the samples; .*keep axis 0 for the samples"),
    "LayerNormalization": (
        [("s", np.ones(8, np.float32))],
        {"axis": 0},
        "runs over the samples; .*keep axis 0 for the samples",
    ),
    "Expand": ([("s", np.array([3, 8]))], {}, "spread along axis 0; .*keep axis 0 for the samples"),
    "Tile": ([("s", np.array([3, 1]))], {}, "repeats the samples; .*keep axis 0 for the samples"),
    "Pad": ([("s", np.array([1, 0, 0, 0]))], {}, "adds samples, .*keep axis 0 for the samples"),
    "Slice": (
        [("a", np.array([-1])), ("b", np.array([-9])), ("c", np.array([0])), ("d", np.array([-1]))],
        {},
        "takes some of the samples; .*keep axis 0 for the samples",
    ),
    "Concat": ([("s", np.ones((1, 8), np.float32))], {"axis": 0}, "joins values along axis 0; "),
    "ReduceL2": ((), {"axes": [0]}, r"each sample \(axis 0\) by itself"),
}
#: What gives as many rows as there are samples, which are not made of one sample each.
MIXED: dict[str, Any] = {
    "CumSum along samples": ([("i", np.array(0))], {}),
    "ReverseSequence": ([("i", np.full(8, 2))], {"batch_axis": 1, "time_axis": 0}),
    "LpNormalization": ((), {"axis": 0}),
}


@pytest.mark.parametrize("operator", WHERE_IT_STANDS)
def test_what_would_work_instead_of_an_operator_is_true(operator: str, tmp_path: Path) -> None:
    """Leaving it untouched is offered where the file is then read, and nowhere else."""
    initializers, attributes, said = WHERE_IT_STANDS[operator]
    one_node(tmp_path / "n.onnx", operator, initializers, **attributes)
    with pytest.raises(NetworkError, match=rf"node 'odd' \({operator}\).*{said}"):
        sl.read_onnx(tmp_path / "n.onnx")
    if "leave_untouched" in said:
        assert len(sl.read_onnx(tmp_path / "n.onnx", leave_untouched=True).untouched) == 1
    else:
        with pytest.raises(NetworkError, match=rf"node 'odd' \({operator}\).*{said}"):
            sl.read_onnx(tmp_path / "n.onnx", leave_untouched=True)


@pytest.mark.parametrize("samples", [1, "n"])
@pytest.mark.parametrize("operator", [*WHERE_IT_STANDS, *MIXED])
def test_no_operator_reaches_other_samples(operator: str, samples: Any, tmp_path: Path) -> None:
    """Whatever the file says of their number, what is read gives each sample what it gives it alone."""
    name, _, _ = operator.partition(" ")
    initializers, attributes, *said = (WHERE_IT_STANDS | MIXED)[operator]
    told = said[0] if said and "the samples" in said[0] else None
    one_node(tmp_path / "n.onnx", name, initializers, samples, **attributes)
    if operator in ("CumSum", "Sinh"):
        net = sl.read_onnx(tmp_path / "n.onnx", leave_untouched=True)
        x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
        assert np.allclose(net(x), np.concatenate([net(x[k : k + 1]) for k in range(3)]))
        return
    with pytest.raises(NetworkError, match=told):
        sl.read_onnx(tmp_path / "n.onnx", leave_untouched=True)


def test_inputs_of_other_types_and_of_unknown_shape_are_named(tmp_path: Path) -> None:
    onnx: Any = pytest.importorskip("onnx")
    from onnx import helper

    path, y = tmp_path / "n.onnx", helper.make_tensor_value_info("y", 1, ["n", 3])
    w = onnx.numpy_helper.from_array(np.ones((4, 3), np.float32), "w")
    for kind, said in (
        (9, "'x' is of type bool.*the mask as 0 and 1"),
        (16, "'x' is of type bfloat16"),
    ):
        x = helper.make_tensor_value_info("x", kind, ["n", 4])
        nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
        onnx.save(helper.make_model(helper.make_graph(nodes, "g", [x], [y], [w])), path)
        with pytest.raises(NetworkError, match=said):
            sl.read_onnx(path)
    x = helper.make_tensor_value_info("x", 1, None)
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", [x], [y], [w])), path)
    with pytest.raises(NetworkError, match=r"read_onnx\(path, shape=\{'x': \(1, 64\)\}\)"):
        sl.read_onnx(path)
    assert sl.read_onnx(path, shape={"x": (1, 4)}).parameters == 12


class Step(nn.Module):
    def __init__(self, step: Any) -> None:
        super().__init__()
        self.step, self.fc1, self.fc2 = step, nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.fc2(self.step(self.fc1(x)))
        return scores


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (torch.sinh, r"sinh in a Step at test_refusals.py:\d+ .*leave_untouched=True"),
        (lambda h: h.sort(1)[0], "sort in a Step.*no single tensor.*ends before it"),
        (lambda h: h + torch.randn_like(h), "randn_like in a Step.*draws random numbers"),
        (lambda h: h * torch.rand(8), "rand in a Step.*draws random numbers"),
        (lambda h: h - h.mean(0), "mean in a Step.*one part for each sample.*keep axis 0"),
        (lambda h: torch.cdist(h, h) @ h, "cdist in a Step.*one part for each sample.*keep axis 0"),
        (lambda h: h.softmax(0), "softmax: runs over the samples.*keep axis 0"),
        (lambda h: h.flip(0), "flip in a Step.*computes samples from one another.*keep axis 0"),
        (lambda h: h.cumsum(0), "cumsum in a Step.*samples from one another.*keep axis 0"),
        (lambda h: h * (h > 0), "gt in a Step.*gives torch.bool in a network of torch.float32"),
        (lambda h: h.double().float(), "to in a Step.*gives torch.float64 in a network of"),
        (lambda h: h if h.sum() > 0 else -h, "what a value is .*a module that takes one branch"),
    ],
)
def test_what_would_work_instead_of_an_operation_is_true(step: Any, said: str) -> None:
    model, x = Step(step), torch.randn(2, 4)
    with pytest.raises(NetworkError, match=said):
        sl.from_torch(model, x)
    if "leave_untouched" in said:
        assert len(sl.from_torch(model, x, leave_untouched=True).untouched) == 1
    else:
        with pytest.raises(NetworkError, match=said):
            sl.from_torch(model, x, leave_untouched=True)


def part_changed(h: torch.Tensor) -> torch.Tensor:
    h[:, :3].mul_(2)
    return h


def part_taken_before(h: torch.Tensor) -> torch.Tensor:
    part = h[:, :8]
    h.relu_()
    return part


def other_shape(h: torch.Tensor) -> torch.Tensor:
    h.view(-1, 2, 4).add_(1)
    return h


def after_dropout(h: torch.Tensor) -> torch.Tensor:
    nn.functional.dropout(h, training=False).relu_()
    return h


@pytest.mark.parametrize("step", [part_changed, part_taken_before, other_shape, after_dropout])
def test_what_changes_two_values_at_once_is_refused(step: Any) -> None:
    """An example where the change makes no difference shows nothing: it is seen in the program."""
    model = Step(step).eval()
    with torch.no_grad():
        model.fc1.weight.abs_()
        model.fc1.bias.abs_()
    with pytest.raises(NetworkError, match=r"in a Step at test_refusals.py:\d+ works in place"):
        sl.from_torch(model, torch.ones(2, 4))


def in_turn(h: torch.Tensor) -> torch.Tensor:
    h = h.view(-1, 2, 4)
    h.relu_()
    h += 1
    part = h[:, 0]
    return torch.cat([part, h[:, 1]], 1).mul_(2)


class Doubled(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mul_(2)


def test_values_that_nothing_else_reads_may_change_in_place() -> None:
    """Also what is given itself, which stays as it is here."""
    model = nn.Sequential(Doubled(), Step(in_turn)).double()
    x = torch.randn(3, 4).double()
    kept = x.clone()
    network = sl.from_torch(model, x)
    assert torch.equal(x, kept)
    np.testing.assert_allclose(network.flat(kept.numpy()), model(x).detach().numpy(), atol=1e-12)
