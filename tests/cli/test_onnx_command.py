"""ONNX files on the command line."""

import json

import numpy as np
import pytest
from planted_graph import residual

import symlump as sl
from symlump.cli.main import main
from symlump.network.activations.table import activation
from symlump.network.nodes import Affine, Apply, Combine, Input

pytest.importorskip("onnx")


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


@pytest.fixture
def net(tmp_path):
    path = tmp_path / "net.onnx"
    sl.write_onnx(residual(0, True), path)
    return path


def test_compress_onnx(capsys, net, tmp_path):
    small, tex, data = (tmp_path / name for name in ("small.onnx", "equations.tex", "data.csv"))
    np.savetxt(data, np.random.default_rng(0).normal(size=(20, 72 + 2)), delimiter=",")
    code, out, _ = run(
        capsys, "compress", net, "--retain", "0.5", "-o", small, "--equations", tex, "--data", data,
        "--json",
    )  # fmt: skip
    assert code == 0
    report = json.loads(out)
    assert report["retained"] <= 0.5 and report["difference"]["largest"] >= 0
    assert report["mean_squared_error"]["samples"] == 20
    assert sl.read_onnx(small).parameters == report["retained_parameters"]
    assert r"\dot{" in tex.read_text()
    code, out, _ = run(capsys, "compress", net, "--eps", "0")
    assert code == 0 and "exact, proof checked" in out and "output" not in out.split("observed")[1]


@pytest.fixture
def ends(tmp_path):
    """Two inputs of 2 and 1 numbers, two outputs of 1 and 2; and samples of it."""
    rng = np.random.default_rng(0)
    net = sl.Network(
        (
            Input("x", (), (2,)), Input("y", (), (1,)),
            Affine("a", ("x",), rng.normal(size=(6, 2))), Affine("b", ("y",), rng.normal(size=(6, 1))),
            Combine("sum", ("a", "b"), "add"), Apply("t", ("sum",), activation("tanh")),
            Affine("c", ("t",), rng.normal(size=(1, 6))), Affine("d", ("t",), rng.normal(size=(2, 6))),
        ),
        ("c", "d"),
    )  # fmt: skip
    x, y = rng.normal(size=(20, 2)), rng.normal(size=(20, 1))
    sl.write_onnx(net, tmp_path / "ends.onnx")
    np.savetxt(tmp_path / "ends.csv", np.hstack([x, y, net.flat(x, y)]), delimiter=",")
    return tmp_path / "ends.onnx", tmp_path / "ends.csv"


@pytest.mark.parametrize("name", ["afde", "dependence", "wanda"])
def test_data_of_several_inputs_and_outputs_is_side_by_side(capsys, ends, name):
    net, data = ends
    asked = "--method", name, "--data", data
    code, out, err = run(capsys, "compress", net, "--retain", "0.6", *asked, "--json")
    assert code == 0, err
    report = json.loads(out)["mean_squared_error"]
    assert report["before"] < 1e-12 < report["after"] and report["samples"] == 20
    code, out, err = run(
        capsys, "sweep", net, "--eps", "0,0.3", *asked, "--box", "-1", "1", "--json"
    )
    assert code == 0, err
    first, last = json.loads(out)["rows"]
    assert first["loss"] < 1e-12 < last["loss"] and last["observed"] <= last["bound"]


def test_a_bound_of_a_graph_that_symmetries_reduced(capsys, net):
    """--box certifies; only in chains is it an option of the method, too."""
    exactly = "--method", "symmetric", "--eps", "0"
    code, out, err = run(capsys, "compress", net, *exactly, "--box", "-0.1", "0.1")
    assert code == 0 and "certified: for all inputs" in out, err


def test_only_what_is_stored_in_full_says_so(capsys, net, tmp_path):
    for name, full in (
        ("dependence", False),
        ("svd", False),
        ("magnitude", True),
        ("quantize", True),
    ):
        small = tmp_path / f"{name}.onnx"
        code, out, err = run(
            capsys, "compress", net, "--method", name, "--retain", "0.7", "-o", small
        )
        assert code == 0, err
        numbers = sl.read_onnx(small).parameters
        assert (f"holds every weight in full, {numbers} numbers" in out) == full


def test_chains_go_between_formats(capsys, tmp_path):
    onnx, tensors, back = (tmp_path / name for name in ("a.onnx", "b.safetensors", "c.onnx"))
    rng = np.random.default_rng(0)
    chain = sl.Network.dense([rng.normal(size=(8, 3)), rng.normal(size=(2, 8))], dtype="float32")
    sl.write_onnx(chain, onnx)
    code, out, _ = run(
        capsys, "compress", onnx, "--method", "magnitude", "--retain", "0.8", "-o", tensors
    )
    assert code == 0 and f"output written to {tensors}" in out
    code, _, _ = run(capsys, "compress", tensors, "--eps", "0", "-o", back)
    assert code == 0
    x = rng.normal(size=(4, 3))
    assert sl.read_onnx(back)(x).shape == chain(x).shape


def test_show_onnx(capsys, net):
    code, out, _ = run(capsys, "show", net, "--equations", "2", "--terms", "3")
    assert code == 0
    assert "\na graph\n" in out and "convolution 3×3" in out and "u1' = " in out
    code, out, _ = run(capsys, "show", net, "--json")
    report = json.loads(out)
    assert code == 0 and report["kind"] == "graph" and report["nodes"][0]["shape"] == [2, 6, 6]
    assert sum(node["parameters"] for node in report["nodes"]) == report["parameters"]
    code, out, _ = run(capsys, "show", net, "--latex", "--equations", "1")
    assert code == 0 and r"\begin" in out


def test_show_what_is_left_untouched(capsys, tmp_path):
    import onnx
    from onnx import helper

    kind = onnx.TensorProto.FLOAT
    weight = onnx.numpy_helper.from_array(np.eye(3, dtype=np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w"], ["h"]), helper.make_node("Shrink", ["h"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", kind, ["n", 3])],
        [helper.make_tensor_value_info("y", kind, ["n", 3])],
        [weight],
    )
    path = tmp_path / "shrink.onnx"
    opset = [helper.make_opsetid("", 17)]
    path.write_bytes(helper.make_model(graph, opset_imports=opset).SerializeToString())
    code, out, err = run(capsys, "show", path)
    assert code == 2 and not out and "node 1 (Shrink)" in err and "leave_untouched=True" in err
    code, out, _ = run(capsys, "show", path, "--leave-untouched")
    assert code == 0 and "Shrink, untouched" in out and "reads" in out
    code, out, _ = run(capsys, "show", path, "--leave-untouched", "--shape", "x=1,3")
    assert code == 0
    for shape, says in (("x=3", "whose shape in the file is (?, 3)"), ("y=1,3", "is not an input"),
                        ("x", "--shape x=1,3,48,192")):  # fmt: skip
        code, _, err = run(capsys, "show", path, "--leave-untouched", "--shape", shape)
        assert code == 2 and says in err
    (tmp_path / "m.ode").write_text("")
    code, _, err = run(capsys, "show", tmp_path / "m.ode", "--leave-untouched")
    assert code == 2 and "is for ONNX networks" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("compress", "nothing.onnx", "--eps", "0"), "nothing.onnx does not exist"),
        (("show", "nothing.onnx"), "nothing.onnx does not exist"),
        (("compress", "WRONG", "--eps", "0"), "is not an ONNX file"),
        (("show", "WRONG"), "is not an ONNX file"),
        (
            ("compress", "UNKNOWN", "--eps", "0"),
            "node 'strange' (Einsum): this operator is not known",
        ),
        (("compress", "NET", "--retain", "0.5", "-o", "small.pt"), "written as ONNX, -o NAME.onnx"),
        (
            ("compress", "NET", "--eps", "0", "--activation", "tanh"),
            "--activation is for state dicts",
        ),
        (("compress", "NET", "--eps", "0.1", "--on", "both"), "on='both') works on chains"),
        (("show", "NET", "--parameters", "symbolic"), "--parameters is for differential equations"),
        (("show", "NET", "--format", "erode"), "--format is for differential equations"),
    ],
)
def test_one_clear_line_and_exit_code_2(capsys, net, tmp_path, arguments, says):
    import onnx

    wrong, unknown = tmp_path / "wrong.onnx", tmp_path / "unknown.onnx"
    wrong.write_text("not a network")
    model = onnx.load(net)
    model.graph.node[3].op_type, model.graph.node[3].name = "Einsum", "strange"
    unknown.write_bytes(model.SerializeToString())
    places = {"NET": net, "WRONG": wrong, "UNKNOWN": unknown}
    code, out, err = run(capsys, *(places.get(a, a) for a in arguments))
    assert code == 2 and not out and says in err and err.count("\n") == 1


def test_what_merging_cannot_reach_is_said(capsys, tmp_path):
    """Two outputs, and a normalization that keeps the units before it alone."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)

    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.n = torch.nn.Linear(4, 6), torch.nn.LayerNorm(6)
            self.b, self.c = torch.nn.Linear(6, 8), torch.nn.Linear(8, 2)

        def forward(self, x):
            h = self.n(self.a(x))
            return self.c(torch.relu(self.b(h))), h

    sl.write_onnx(sl.from_torch(Two(), torch.zeros(1, 4)), tmp_path / "two.onnx")
    code, out, _ = run(capsys, "compress", tmp_path / "two.onnx", "--retain", "0.8")
    assert (
        code == 0 and "74 of 116 parameters are in layers whose units, or inputs, may merge" in out
    )
    code, out, _ = run(capsys, "compress", tmp_path / "two.onnx", "--retain", "0.8", "--json")
    assert code == 0 and json.loads(out)["reducible"] == 74


def test_a_result_is_written_as_a_program_of_torch(capsys, net, tmp_path):
    import torch

    path = tmp_path / "small.pt2"
    code, _, _ = run(capsys, "compress", net, "--retain", "0.7", "-o", path)
    assert code == 0
    (size,) = {node.size for node in sl.read_onnx(net).inputs}
    loaded = torch.export.load(path).module()
    assert loaded(torch.zeros(3, *size, dtype=torch.float64)).shape[0] == 3
    code, _, err = run(capsys, "compress", net, "--retain", "0.7", "-o", tmp_path / "small.pt")
    assert code == 2 and "-o NAME.pt2" in err


def test_a_sweep_is_told_open_sizes(capsys, net, tmp_path):
    (size,) = {node.size for node in sl.read_onnx(net).inputs}
    shape = "x=" + ",".join(map(str, (1, *size)))
    code, out, _ = run(capsys, "sweep", net, "--eps", "0", "--shape", shape)
    assert code == 0 and out
    code, _, err = run(capsys, "sweep", net, "--eps", "0", "--shape", "y=1,2")
    assert code == 2 and "is not an input" in err
    (tmp_path / "m.ode").write_text("begin model m\n begin init\n x = 1\n end init\n begin ODE\n"
                                    " d(x) = -x\n end ODE\nend model\n")  # fmt: skip
    code, _, err = run(capsys, "sweep", tmp_path / "m.ode", "--shape", "x=1,2")
    assert code == 2 and "--shape" in err
