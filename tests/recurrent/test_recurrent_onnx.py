"""Recurrent operators of ONNX files: read, compressed, written back, and compared with onnxruntime."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recurrent_planted import Tagger, on_grid, tagger_with_copies
from torch import nn

import symlump as sl
from symlump.cli.main import main
from symlump.compression.recurrent.units import lumped_units
from symlump.errors import MethodError, NetworkError
from symlump.network.recurrent.cells import GATES, Cell
from symlump.network.recurrent.equations import cell_map
from symlump.network.recurrent.onnx_cells import operands

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
helper, TensorProto = onnx.helper, onnx.TensorProto

KINDS: dict[str, Any] = {"RNN": nn.RNN, "GRU": nn.GRU, "LSTM": nn.LSTM}


def run(path: Path, *arrays: Any) -> list[Any]:
    session = ort.InferenceSession(str(path))
    fed = dict(zip((i.name for i in session.get_inputs()), arrays, strict=True))
    return list(session.run(None, fed))


def exported(model: nn.Module, x: Any, path: Path, samples: int = 0) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(),
            x,
            str(path),
            dynamo=False,
            input_names=["x"],
            dynamic_axes={"x": {samples: "samples"}},
        )
    return path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("layers", "both"), [(1, False), (2, True)])
def test_copies_in_exports_of_torch_are_merged(
    kind: str, layers: int, both: bool, tmp_path: Path
) -> None:
    generator = torch.Generator().manual_seed(3)
    rnn = KINDS[kind](2, 3, num_layers=layers, bidirectional=both, batch_first=True)
    small = Tagger(on_grid(rnn, generator), nn.Linear(3 * (1 + both), 2))
    on_grid(small.head, generator)
    large = tagger_with_copies(small, [2, 1, 3])
    path = exported(large, torch.zeros(2, 7, 2), tmp_path / "large.onnx")
    network = sl.read_recurrent_onnx(path)
    assert len(network.cells) == layers * (1 + both)
    assert network.parameters == sum(p.numel() for p in large.parameters())
    result = sl.compress(network, sl.AFDE(eps=0))
    assert result.exact and all(len(set(m.tolist())) == 3 for m in result.unit_maps)
    sl.write_onnx(result.model, tmp_path / "small.onnx")
    onnx.checker.check_model(str(tmp_path / "small.onnx"), full_check=True)
    assert (tmp_path / "small.onnx").stat().st_size < path.stat().st_size
    x = np.random.default_rng(0).normal(size=(5, 7, 2)).astype(np.float32) / 2
    (old,), (new,) = run(path, x), run(tmp_path / "small.onnx", x)
    assert np.allclose(old, new, atol=1e-5)
    again = sl.read_recurrent_onnx(tmp_path / "small.onnx")
    assert [node.cell.units for node in again.cells] == [3] * len(again.cells)


class Several(nn.Module):
    """States go in and out, and all layers are read."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(2, 5, num_layers=2)
        self.all, self.mean = nn.Linear(5, 2), nn.Linear(10, 1)

    def forward(self, x: torch.Tensor, start: torch.Tensor) -> Any:
        out, h = self.gru(x, start)
        joined = torch.cat([h[0], h[-1]], dim=1)
        return self.all(out), self.mean(torch.tanh(joined)), h


def test_states_that_go_in_and_out_come_smaller(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Several()
    x, start = torch.randn(6, 3, 2), torch.zeros(2, 3, 5)
    path = exported(model, (x, start), tmp_path / "net.onnx", 1)
    network = sl.read_recurrent_onnx(path)
    assert network.shown and {node.module for node in network.cells} == {network.cells[0].name}
    with torch.no_grad():  # the last unit of each layer becomes a copy of the first
        for p in model.gru.parameters():
            rows = p.view(3, 5, -1)
            rows[:, 4] = rows[:, 0]
    path = exported(model, (x, start), tmp_path / "net.onnx", 1)
    result = sl.compress(sl.read_recurrent_onnx(path), sl.AFDE(eps=0))
    sl.write_onnx(result.model, tmp_path / "small.onnx")
    old = run(path, x.numpy(), start.numpy())
    new = run(tmp_path / "small.onnx", x.numpy(), start.numpy()[..., :4])
    assert all(np.allclose(a, b, atol=1e-5) for a, b in zip(old[:2], new[:2], strict=True))
    lifted = [
        result.lift(h, node.name) for h, node in zip(new[2], result.network.cells, strict=True)
    ]
    assert np.allclose(old[2], np.stack(lifted), atol=1e-5)


def cell_model(
    operator: str,
    cells: list[Cell],
    nodes: Any = (),
    extra: dict[str, Any] | None = None,
    starts: tuple[Any, ...] = (),
    **attributes: Any,
) -> Any:
    """A model of one operator, with a dense layer on its last output and further nodes."""
    w, r, b = operands(cells)
    names = ["x", "W", "R", "" if b is None else "B", "", *(f"s{k}" for k in range(len(starts)))]
    held = {"W": w, "R": r, "B": b, **{f"s{k}": s for k, s in enumerate(starts)}, **(extra or {})}
    first = bool(attributes.get("layout"))
    made = [
        helper.make_node(
            operator, names, ["y", "last"], "cell", hidden_size=cells[0].units, **attributes
        ),
        *nodes,
    ]
    if not nodes:
        d = len(cells)
        held["V"] = np.random.default_rng(5).normal(size=(d * cells[0].units, 2))
        held["wide"] = np.array([0, -1])
        order = [0, 1, 2] if first else [1, 0, 2]
        made += [
            helper.make_node("Transpose", ["last"], ["turned"], perm=order),
            helper.make_node("Reshape", ["turned", "wide"], ["flat"]),
            helper.make_node("MatMul", ["flat", "V"], ["out"], "head"),
        ]
    tensors = [
        onnx.numpy_helper.from_array(
            np.asarray(a, dtype=np.int64 if np.asarray(a).dtype.kind == "i" else np.float32), name
        )
        for name, a in held.items()
        if a is not None
    ]
    shape = ["n", 6, cells[0].inputs] if first else [6, "n", cells[0].inputs]
    graph = helper.make_graph(
        made,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def random_cell(kind: Any, units: int, copies: bool, seed: int = 0, **options: Any) -> Cell:
    """Of the grid, half of the units copies of the others if asked."""
    rng = np.random.default_rng(seed)
    g = len(GATES[kind])
    own = units // 2 if copies else units
    w, v, b, d = (
        rng.integers(-64, 65, size) / 64.0
        for size in ((g, own, 2), (g, own, own), (g, own), (g, own))
    )
    if copies:
        w, b, d = (np.concatenate([a, a], axis=1) for a in (w, b, d))
        part = rng.integers(-64, 65, v.shape) / 64.0
        v = np.concatenate([np.concatenate([v - part, part], 2)] * 2, axis=1)
    return Cell(kind, w, v, b, d, **options)


OPERATORS = {
    "tanh": ("RNN", {}),
    "relu": ("RNN", {"activations": ["Relu"]}),
    "gru": ("GRU", {"linear_before_reset": 1}),
    "gru_reset_first": ("GRU", {}),
    "lstm": ("LSTM", {}),
}


@pytest.mark.parametrize("kind", OPERATORS)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_operators_step_as_onnxruntime_does_and_copies_are_merged(
    kind: str, direction: str, tmp_path: Path
) -> None:
    operator, a = OPERATORS[kind]
    ways = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[direction]
    cells = [random_cell(kind, 6, True, seed, backward=b) for seed, b in enumerate(ways)]
    if direction == "bidirectional" and "activations" in a:
        a = {"activations": a["activations"] * 2}
    path = tmp_path / "net.onnx"
    onnx.save(cell_model(operator, cells, direction=direction, **a), path)
    network = sl.read_recurrent_onnx(path)
    x = np.random.default_rng(1).normal(size=(6, 4, 2)).astype(np.float32) / 4
    states = [node.cell.run(x.swapaxes(0, 1))[0] for node in network.cells]
    ends = [s[:, 0] if b else s[:, -1] for s, b in zip(states, ways, strict=True)]
    (out,) = run(path, x)
    head = network.readers[0].weight
    assert np.allclose(np.concatenate(ends, axis=1) @ head.T, out, rtol=1e-4, atol=1e-4)
    result = sl.compress(network, sl.AFDE(eps=0))
    assert result.exact and all(node.cell.units == 3 for node in result.network.cells)
    sl.write_onnx(result.model, tmp_path / "small.onnx")
    (small,) = run(tmp_path / "small.onnx", x)
    assert np.allclose(out, small, rtol=1e-5, atol=1e-5)


def test_a_reset_gate_that_differs_keeps_units_apart() -> None:
    """h is equal whatever r is, where nothing else differs; but other units look through r."""
    w, v = np.zeros((3, 2, 1)), np.zeros((3, 2, 2))
    w[0] = [[1.0], [2.0]]
    w[2] = 0.5
    v[2] = 0.25
    labels, lumping = lumped_units(Cell("gru_reset_first", w, v))
    assert labels.tolist() == [0, 1] and lumping.exact
    w[0] = 1.0
    assert lumped_units(Cell("gru_reset_first", w, v))[0].tolist() == [0, 0]


def test_the_map_of_a_gru_that_resets_first_is_the_cell() -> None:
    cell = random_cell("gru_reset_first", 4, False)
    x = np.random.default_rng(0).normal(size=(1, 20, 2)) / 4
    system = cell_map(cell)
    inputs = {"u1": x[0, :, 0], "u2": x[0, :, 1]}
    found = sl.simulate(system, np.zeros(len(system)), range(21), inputs=inputs).states[:4, 1:]
    assert np.allclose(found, cell.run(x)[0][0].T, atol=1e-11)


@pytest.mark.parametrize("operator", ["GRU", "LSTM"])
def test_units_that_start_apart_stay_apart(operator: str, tmp_path: Path) -> None:
    kind: Any = operator.lower()
    a = {"linear_before_reset": 1} if operator == "GRU" else {}
    cell = random_cell(kind, 6, True)
    starts = np.tile([0.5, 0.0, -0.25], 2)
    starts[3] = 0.125  # the copy of unit 0 starts elsewhere
    given = [starts.reshape(1, 1, 6), np.zeros((1, 1, 6))][: len(cell.states)]
    path = tmp_path / "net.onnx"
    onnx.save(cell_model(operator, [cell], starts=tuple(given), **a), path)
    result = sl.compress(sl.read_recurrent_onnx(path), sl.AFDE(eps=0))
    assert result.exact
    (labels,) = result.unit_maps
    assert labels[0] != labels[3] and labels[2] == labels[5]
    sl.write_onnx(result.model, tmp_path / "small.onnx")
    x = np.random.default_rng(1).normal(size=(6, 1, 2)).astype(np.float32)
    (old,), (new,) = run(path, x), run(tmp_path / "small.onnx", x)
    assert np.allclose(old, new, atol=1e-5)
    moved: Any = sl.compress(sl.read_recurrent_onnx(path), sl.AFDE(eps=0.8, refit=False))
    bound = moved.bound(2, (-0.5, 0.5))
    sequences = {moved.original.cells[0].module: np.clip(x.transpose(1, 0, 2)[:, :2], -0.5, 0.5)}
    old, new = (next(iter(net.run(sequences).values()))[0] for net in (moved.original, moved.held))
    (off,) = bound.cells.values()
    (labels,) = moved.unit_maps
    assert labels.max() < 5 and np.all(np.abs(old - new[..., labels])[0] <= off + 1e-14)


@pytest.mark.skipif(
    onnx.__version__.startswith("1.16."), reason="onnx 1.16 evaluates another layout"
)
def test_layout_with_samples_first(tmp_path: Path) -> None:
    """onnxruntime does not run it; onnx's reference implementation does."""
    from onnx.reference import ReferenceEvaluator

    cell = random_cell("lstm", 4, True)
    model = cell_model("LSTM", [cell], layout=1)
    onnx.save(model, tmp_path / "net.onnx")
    result = sl.compress(sl.read_recurrent_onnx(tmp_path / "net.onnx"), sl.AFDE(eps=0))
    assert result.network.cells[0].cell.units == 2
    sl.write_onnx(result.model, tmp_path / "small.onnx")
    x = np.random.default_rng(1).normal(size=(3, 6, 2)).astype(np.float32) / 4
    old, new = (
        ReferenceEvaluator(str(tmp_path / name)).run(None, {"x": x})[0]
        for name in ("net.onnx", "small.onnx")
    )
    assert np.allclose(old, new, atol=1e-5)


def test_within_a_tolerance_on_the_models_own_inputs(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Tagger(nn.GRU(2, 12, batch_first=True), nn.Linear(12, 1)).eval()
    path = exported(model, torch.zeros(1, 9, 2), tmp_path / "net.onnx")
    x = torch.randn(40, 9, 2) / 3 + 1
    network = sl.read_recurrent_onnx(path)
    of_file = sl.compress(network, sl.AFDE(retain=0.5, inputs=x))
    of_module = sl.compress(model, sl.AFDE(retain=0.5, inputs=x))
    assert [m.tolist() for m in of_file.unit_maps] == [m.tolist() for m in of_module.unit_maps]
    sl.write_onnx(of_file.model, tmp_path / "small.onnx")
    with torch.no_grad():
        wanted = of_module.model.eval()(x).numpy()
    assert np.allclose(run(tmp_path / "small.onnx", x.numpy())[0], wanted, atol=1e-4)
    with pytest.raises(MethodError, match="does not take"):
        sl.compress(network, sl.AFDE(retain=0.5, inputs=torch.randn(3, 4)))


@pytest.mark.parametrize(
    ("attributes", "inputs", "named"),
    [
        ({"clip": 2.0}, {}, "clip"),
        ({"input_forget": 1}, {}, "input_forget"),
        ({"activations": ["Sigmoid", "Relu", "Tanh"]}, {}, "Sigmoid, Relu, Tanh"),
        ({}, {4: np.array([3])}, "sequence_lens"),
        ({}, {7: np.ones((1, 12))}, "peepholes"),
        ({"direction": "sideways"}, {}, "sideways"),
    ],
)
def test_what_a_cell_here_has_not_is_refused_by_name(
    attributes: dict[str, Any], inputs: dict[int, Any], named: str, tmp_path: Path
) -> None:
    model = cell_model("LSTM", [random_cell("lstm", 4, False)], **attributes)
    node = model.graph.node[0]
    for place, array in inputs.items():
        node.input.extend([""] * (place + 1 - len(node.input)))
        node.input[place] = "further"
        kind = np.int32 if place == 4 else np.float32
        model.graph.initializer.append(onnx.numpy_helper.from_array(array.astype(kind), "further"))
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(NetworkError, match=rf"node 'cell' \(LSTM\): .*{named}"):
        sl.read_recurrent_onnx(tmp_path / "net.onnx")


@pytest.mark.parametrize(
    ("nodes", "named"),
    [
        (
            [helper.make_node("Softmax", ["y"], ["out"], "soft")],
            r"node 'soft' \(Softmax\).*units of cell\.",
        ),
        ([helper.make_node("Mul", ["y", "y"], ["out"], "square")], r"node 'square' \(Mul\)"),
        ([helper.make_node("Squeeze", ["y"], ["out"], "sq")], r"node 'sq' \(Squeeze\)"),
    ],
)
def test_steps_that_could_tell_units_apart_are_refused(
    nodes: list[Any], named: str, tmp_path: Path
) -> None:
    model = cell_model("GRU", [random_cell("gru", 4, False)], nodes, linear_before_reset=1)
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(NetworkError, match=named):
        sl.read_recurrent_onnx(tmp_path / "net.onnx")


def test_other_verbs_say_what_reads_such_files(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(cell_model("GRU", [random_cell("gru", 4, False)], linear_before_reset=1), path)
    with pytest.raises(NetworkError, match=r"node 'cell' \(GRU\).*read_recurrent_onnx"):
        sl.read_onnx(path)
    sl.write_onnx(sl.Network.dense([[[1.0]]]), tmp_path / "dense.onnx")
    with pytest.raises(NetworkError, match="read_onnx reads networks without"):
        sl.read_recurrent_onnx(tmp_path / "dense.onnx")
    torch_only = sl.compress(nn.GRU(2, 3), sl.AFDE(eps=0)).network
    with pytest.raises(NetworkError, match="not read from an ONNX file"):
        sl.write_onnx(torch_only, tmp_path / "other.onnx")


def test_the_command_line_reads_and_writes_them(tmp_path: Path, capsys: Any) -> None:
    path, small = tmp_path / "net.onnx", tmp_path / "small.onnx"
    onnx.save(cell_model("LSTM", [random_cell("lstm", 6, True)]), path)
    assert main(["show", str(path)]) == 0
    assert "cell  lstm" in capsys.readouterr().out.replace("   ", " ").replace("  ", " ").replace(
        "cell lstm", "cell  lstm"
    )
    assert main(["compress", str(path), "--eps", "0", "-o", str(small)]) == 0
    assert "exact, proof checked" in capsys.readouterr().out
    x = np.random.default_rng(1).normal(size=(6, 2, 2)).astype(np.float32)
    assert np.allclose(run(path, x)[0], run(small, x)[0], atol=1e-5)
    assert main(["compress", str(path), "--retain", "0.2", "--steps", "5", "-o", str(small)]) == 0
    assert "in 5 steps" in capsys.readouterr().out
    assert main(["compress", str(path), "--eps", "0", "-o", str(tmp_path / "small.pt")]) == 2
    assert "ONNX" in capsys.readouterr().err
