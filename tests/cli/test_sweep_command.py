"""The tolerances of a model file on the command line: what does not fit is said before the work."""

import csv

import pytest
import torch
from test_lump_command import TREE, UNWRITABLE

import symlump as sl
from symlump.cli.main import main

ROWS = ["--method", "constrained", "--observable", "x1"]
BAD = {
    "no numbers": (["--eps", "1,x"], "not a list of numbers"),
    "negative": (["--eps", "-1"], "eps=-1.0"),
    "not a number": (["--eps", "nan"], "eps=nan"),
    "twice": (["--eps", "1", "--breakpoints"], "leave --eps out"),
    "breakpoints of a diameter": (["--breakpoints", "--linkage", "diameter"], "closure"),
    "horizon": (["--horizon", "-1"], "horizon=-1.0"),
    "share without a horizon": (["--spread", "0.1"], "--horizon"),
    "negative share": (["--spread", "-1", "--horizon", "1"], "--spread -1.0"),
    "share that is no number": (["--spread", "nan", "--horizon", "1"], "--spread nan"),
    "inputs of a network": (["--box", "0", "1"], "--box belongs to networks"),
    "data of a network": (["--data", "{folder}/m.ode"], "--data belongs to networks"),
    "a method of networks": (["--method", "svd"], "--method svd is for networks"),
    "rows without observables": (["--method", "constrained"], "at least one --observable"),
    "observables of blocks": (["--observable", "x1"], "--method constrained"),
    "rows with breakpoints": ([*ROWS, "--breakpoints"], "the dimension changes"),
    "rows with a linkage": ([*ROWS, "--linkage", "closure"], "--linkage is for partitions"),
    "rows with a share only": ([*ROWS, "--spread", "0.1"], "--horizon"),
    "rows until never": ([*ROWS, "--horizon", "-1"], "horizon=-1.0"),
    "rows of an unknown name": ([*ROWS, "--observable", "x9"], "x9"),
    "no folder": (["--csv", "{folder}/no/s.csv"], "there is no folder"),
    "folder": (["--csv", "{folder}"], "is a folder"),
    "another picture": (["--picture", "{folder}/s.tex"], ".png"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_message(capsys, tmp_path, case):
    arguments, says = BAD[case]
    (tmp_path / "m.ode").write_text(TREE)
    arguments = [argument.format(folder=tmp_path) for argument in arguments]
    assert main(["sweep", str(tmp_path / "m.ode"), *arguments]) == (1 if says in UNWRITABLE else 2)
    captured = capsys.readouterr()
    assert captured.out == "" and says in captured.err
    assert captured.err.startswith("symlump: ") and captured.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["m.ode"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--breakpoints"],
        ["--spread", "1"],
        ["--relative"],
        ["--method", "backward"],
        ["--initial", "one"],
        ["--observable", "x"],
    ],
)
def test_what_belongs_to_systems_is_refused_for_networks(capsys, tmp_path, arguments):
    path = tmp_path / "net.safetensors"
    path.write_bytes(b"")
    assert main(["sweep", str(path), *arguments]) == 2
    assert f"{arguments[0]} belongs to systems" in capsys.readouterr().err


def test_a_horizon_is_refused_for_networks_without_recurrence(capsys, tmp_path):
    path = tmp_path / "net.pt"
    torch.save(torch.nn.Linear(2, 1).state_dict(), path)
    assert main(["sweep", str(path), "--activation", "tanh", "--horizon", "1"]) == 2
    assert "--horizon belongs to systems and recurrent cells" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--parameters", "symbolic"], ["--chain", "dtmc"]])
def test_how_models_are_read_is_refused_for_networks(capsys, tmp_path, arguments):
    path = tmp_path / "net.safetensors"
    path.write_bytes(b"")
    assert main(["sweep", str(path), *arguments]) == 2
    assert f"{arguments[0]} is for differential equations" in capsys.readouterr().err


def test_linear_lumpings_of_a_file(capsys, tmp_path):
    (tmp_path / "m.ode").write_text(TREE)
    command = ["sweep", str(tmp_path / "m.ode"), "--method", "constrained"]
    table, picture = tmp_path / "t.csv", tmp_path / "p.png"
    assert main([*command, "--observable", "total", "--csv", str(table)]) == 0
    assert "dimension" in capsys.readouterr().out
    rows = list(csv.DictReader(table.read_text().splitlines()))
    model = sl.read(tmp_path / "m.ode")
    view = sl.Constrained([model.observables["total"]])
    assert int(rows[0]["blocks"]) == len(sl.lump(model.ode, view)) == 2
    assert int(rows[-1]["blocks"]) == 1
    two = ["--observable", "x1, x2 + 2*x3", "--eps", "0,10", "--picture", str(picture)]
    assert main([*command, *two]) == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()[2:]] == ["3", "2"]
    assert picture.read_bytes()[1:4] == b"PNG"
    certified = ["--observable", "x1", "--horizon", "0.5", "--spread", "0.1", "--csv", str(table)]
    assert main([*command, *certified]) == 0
    assert "certified bound" in capsys.readouterr().out
    rows = list(csv.DictReader(table.read_text().splitlines()))
    box = {n: (float(v) * 0.9, float(v) * 1.1) for n, v in model.initial_values.items()}
    coarsest = sl.lump(model.ode, sl.Constrained("x1", eps=float(rows[-1]["eps"])))
    bound = coarsest.bound(0.5, box, samples=0).value
    assert float(rows[-1]["bound"]) == pytest.approx(bound, rel=1e-6) and bound > 0
    assert float(rows[-1]["observed"]) <= bound


def test_a_graph_of_a_file(capsys, tmp_path):
    """An ONNX file with a branch, by sweep and by report; its suffix in capital letters."""
    pytest.importorskip("onnx")
    torch = pytest.importorskip("torch")
    from symlump.network.torch_io import from_torch

    torch.manual_seed(0)
    layers = torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(16, 2)
    graph = from_torch(torch.nn.Sequential(*layers).eval(), torch.zeros(1, 1, 4, 4))
    path = tmp_path / "net.onnx"
    sl.write_onnx(graph, path)
    path = path.rename(tmp_path / "net.ONNX")
    assert main(["sweep", str(path), "--eps", "0,1e6"]) == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()[2:]] == ["4", "1"]
    assert main(["report", str(path), "--eps", "0,1e6", "-o", str(tmp_path / "r.html")]) == 0
    assert "</html>" in (tmp_path / "r.html").read_text(encoding="utf-8")
    capsys.readouterr()
    assert main(["sweep", str(path), "--activation", "tanh"]) == 2
    assert "itself says what its activations are" in capsys.readouterr().err
    assert main(["sweep", str(path), "--eps", "0.5", "--box", "0", "1"]) == 0
    assert "certified bound" in capsys.readouterr().out
