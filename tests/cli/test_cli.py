"""The command line, as a user meets it."""

import csv
import json
import os
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import symlump as sl
from symlump.cli.main import main


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Linear(4, 20), nn.Tanh(), nn.Linear(20, 12), nn.Tanh(), nn.Linear(12, 1)
    )
    path = tmp_path / "model.safetensors"
    save_file(model.state_dict(), path)
    return path


def test_compress_writes_a_smaller_loadable_network(capsys, saved, tmp_path):
    small, tex = tmp_path / "small.safetensors", tmp_path / "equations.tex"
    code, out, _ = run(
        capsys,
        "compress",
        saved,
        "--activation",
        "tanh",
        "--retain",
        "0.5",
        "-o",
        small,
        "--equations",
        tex,
        "--json",
    )
    assert code == 0
    report = json.loads(out)
    keys = [
        "method",
        "eps",
        "parameters",
        "retained_parameters",
        "retained",
        "layers",
        "defect",
        "difference",
    ]
    assert set(keys) <= report.keys()
    first, second = (layer["blocks"] for layer in report["layers"][:2])
    plain = nn.Sequential(
        nn.Linear(4, first), nn.Tanh(), nn.Linear(first, second), nn.Tanh(), nn.Linear(second, 1)
    )
    plain.load_state_dict(load_file(small))
    assert sum(p.numel() for p in plain.parameters()) == report["retained_parameters"]
    assert tex.read_text().startswith(r"\documentclass") and r"\dot{u}_{1}" in tex.read_text()
    # A file that symlump wrote names its activation.
    code, out, _ = run(capsys, "compress", small, "--eps", "0")
    assert code == 0 and "exact, proof checked" in out


def test_eps_and_text_report(capsys, saved):
    code, out, _ = run(capsys, "compress", saved, "--activation", "tanh", "--eps", "0.05")
    assert code == 0
    assert (
        "AFDE (influence), ε = 0.05: 365 → " in out and "observed on 10000 standard normal" in out
    )


@pytest.mark.parametrize("method", ["magnitude", "magnitude-layerwise", "wanda"])
def test_baselines(capsys, saved, tmp_path, method):
    data = tmp_path / "data.csv"
    rows = np.random.default_rng(0).normal(size=(50, 5))
    np.savetxt(data, rows, delimiter=",", header="a,b,c,d,target", comments="")
    small = tmp_path / "pruned.pt"
    code, out, _ = run(
        capsys,
        "compress",
        saved,
        "--activation",
        "tanh",
        "--method",
        method,
        "--retain",
        "0.5",
        "--data",
        data,
        "-o",
        small,
        "--json",
    )
    assert code == 0
    report = json.loads(out)
    assert report["retained"] <= 0.5 and report["mean_squared_error"]["samples"] == 50
    assert set(torch.load(small, weights_only=True)) == set(load_file(saved))


def test_names_and_order_of_layers(capsys, tmp_path):
    tensors = {
        "output.weight": torch.randn(2, 5),
        "output.bias": torch.randn(2),
        "hidden.weight": torch.randn(5, 5),
        "hidden.bias": torch.randn(5),
        "other.weight": torch.randn(5, 5),
        "other.bias": torch.randn(5),
        "input.weight": torch.randn(5, 3),
        "input.bias": torch.randn(5),
    }
    path, small = tmp_path / "named.safetensors", tmp_path / "small.safetensors"
    save_file(tensors, path)
    arguments = ["compress", path, "--activation", "relu", "--eps", "0", "-o", small]
    code, _, err = run(capsys, *arguments)
    assert code == 2 and "--layers" in err and not small.exists()
    code, _, _ = run(capsys, *arguments, "--layers", "input,hidden,other,output")
    assert code == 0 and set(load_file(small)) == set(tensors)


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/symlump-was-here",)


def bad_inputs(folder, saved):
    """(file, extra arguments, what the message must name)"""
    good = load_file(saved)

    def tensors(name, content):
        path = folder / name
        save_file(content, path)
        return path

    nan = {k: v.clone() for k, v in good.items()}
    nan["2.weight"][3, 1] = float("nan")
    infinite = {k: v.clone() for k, v in good.items()}
    infinite["0.bias"][2] = float("inf")
    empty = folder / "empty.safetensors"
    empty.write_bytes(b"")
    garbage = folder / "garbage.safetensors"
    garbage.write_bytes(os.urandom(300))
    huge_header = folder / "header.safetensors"
    huge_header.write_bytes((2**62).to_bytes(8, "little") + b"{}")
    evil = folder / "evil.pt"
    evil.write_bytes(pickle.dumps({"w": Evil()}))
    evil_zip = folder / "evil2.pt"
    torch.save({"w": Evil()}, evil_zip)
    not_dict = folder / "list.pt"
    torch.save([torch.ones(2)], not_dict)
    text = folder / "model.pt"
    text.write_text("hello")
    tanh = ["--activation", "tanh", "--eps", "0.1"]
    return {
        "nan": (tensors("nan.safetensors", nan), tanh, "weight[3, 1] is nan"),
        "infinite": (tensors("inf.safetensors", infinite), tanh, "bias[2] is inf"),
        "shapes": (
            tensors("s.safetensors", {"0.weight": torch.ones(3, 2), "1.weight": torch.ones(1, 4)}),
            tanh,
            "layer 1 takes 4 inputs",
        ),
        "layer": (
            tensors("c.safetensors", {**good, "5.running_mean": torch.ones(3)}),
            tanh,
            "5.running_mean",
        ),
        "convolution": (
            tensors("conv.safetensors", {"0.weight": torch.ones(3, 2, 3, 3)}),
            tanh,
            "(3, 2, 3, 3)",
        ),
        "integers": (
            tensors("integers.safetensors", {"0.weight": torch.ones(3, 2).int()}),
            tanh,
            "int32",
        ),
        "activation": (saved, ["--activation", "gelo", "--eps", "0.1"], "'gelo' is unknown"),
        "no activation": (saved, ["--eps", "0.1"], "--activation"),
        "eps": (saved, ["--activation", "tanh", "--eps", "-1"], "eps=-1.0"),
        "eps nan": (saved, ["--activation", "tanh", "--eps", "nan"], "eps=nan"),
        "retain": (saved, ["--activation", "tanh", "--retain", "7"], "retain=7.0"),
        "missing": (folder / "nothing.safetensors", tanh, "does not exist"),
        "folder": (folder, tanh, "is a folder"),
        "empty": (empty, tanh, "is empty"),
        "garbage": (garbage, tanh, "not a valid safetensors file"),
        "header": (huge_header, tanh, "not a valid safetensors file"),
        "pickle": (evil, tanh, "can run code"),
        "pickle in zip": (evil_zip, tanh, "can run code"),
        "list": (not_dict, tanh, "holds a list"),
        "text": (text, tanh, "model.pt"),
        "wanda": (saved, ["--activation", "tanh", "--method", "wanda", "--retain", ".5"], "--data"),
    }


CASES = (
    "nan infinite shapes layer convolution integers activation,no activation,eps,eps nan,retain,missing,"
    "folder,empty,garbage,header,pickle,pickle in zip,list,text,wanda"
)
NAMES = CASES.split(",")
NAMES = NAMES[0].split() + NAMES[1:]


@pytest.mark.parametrize("case", NAMES)
def test_bad_input_is_one_clear_message(capsys, saved, tmp_path, case):
    path, arguments, says = bad_inputs(tmp_path, saved)[case]
    output = tmp_path / "out.safetensors"
    output.write_bytes(b"precious")
    before = sorted(p.name for p in tmp_path.iterdir())
    code, out, err = run(capsys, "compress", path, *arguments, "-o", output)
    assert code == 2 and out == ""
    assert err.startswith("symlump: ") and err.count("\n") == 1 and says in err
    assert output.read_bytes() == b"precious"
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    assert not os.path.exists("/tmp/symlump-was-here")


def test_every_bad_case_is_tested(saved, tmp_path):
    assert set(bad_inputs(tmp_path, saved)) == set(NAMES)


def test_unreachable_size_is_a_failure(capsys, saved):
    asked = ("compress", saved, "--activation", "tanh", "--retain")
    code, _, err = run(capsys, *asked, "0.01", "--method", "afde")
    assert code == 1 and "smallest reachable size" in err
    code, _, err = run(capsys, *asked, "0.001")
    assert code == 1 and "at most 0 parameters was found (merging or pruning alone reaches" in err


@pytest.mark.parametrize(
    ("name", "expected"), [("out.txt", 2), ("no/such/folder/out.safetensors", 1)]
)
def test_bad_output(capsys, saved, tmp_path, name, expected):
    code, _, err = run(
        capsys, "compress", saved, "--activation", "tanh", "--eps", "0.1", "-o", tmp_path / name
    )
    assert code == expected and "out." in err
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_bad_data(capsys, saved, tmp_path):
    data = tmp_path / "data.csv"
    for content, says in (
        ("1,2\n", "2 columns"),
        ("a,b\nx,y\n", "table of numbers"),
        ("", "numbers"),
    ):
        data.write_text(content)
        code, _, err = run(
            capsys, "compress", saved, "--activation", "tanh", "--eps", "0", "--data", data
        )
        assert code == 2 and says in err


def test_alone_it_shows_what_to_try(capsys):
    code, out, _ = run(capsys)
    assert code == 0 and "symlump demo" in out


@pytest.mark.parametrize("arguments", [["--help"], ["compress", "--help"], ["demo", "--help"]])
def test_help_teaches(capsys, arguments):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 0
    assert "symlump" in capsys.readouterr().out


def test_wrong_usage_exits_with_2(capsys):
    for arguments in (["compress"], ["compress", "x"], ["nonsense"]):
        assert main(arguments) == 2


def test_demo(capsys, tmp_path):
    folder = tmp_path / "demo"
    code, out, _ = run(capsys, "demo", "--out", folder)
    assert code == 0
    assert {p.name for p in folder.iterdir()} == {
        "reduced.safetensors",
        "equations.tex",
        "table.csv",
        "tradeoff.png",
    }
    rows = list(csv.DictReader((folder / "table.csv").read_text().splitlines()))
    for row in rows:
        errors = {k: float(v) for k, v in row.items() if k[0] in "AmW"}
        merged, alone = errors["AFDE"], errors["AFDE, no refit"]
        if float(row["retained"]) <= 0.6:  # each against what has the same refit, or none
            assert alone < errors["magnitude"] and alone < errors["Wanda"]
        if float(row["retained"]) <= 0.45:
            assert merged < errors["magnitude, refitted"] and merged < errors["Wanda, refitted"]
        assert errors["magnitude, refitted"] < errors["magnitude"]
        assert row["retained_parameters"] in out
    assert (folder / "tradeoff.png").read_bytes()[:4] == b"\x89PNG"
    from symlump.network.state_dict import read_network

    assert isinstance(read_network(folder / "reduced.safetensors").network, sl.Network)


def test_abalone_through_the_command_line(capsys, tmp_path, shared):
    """Rings from 8 features, sex one-hot; the reduced file loads in a plain nn.Sequential."""
    from symlump.bench.train import multilayer, train
    from symlump.datasets.dataset import Dataset

    with (shared / "data" / "abalone.csv").open() as file:
        table = list(csv.reader(file))[1:]
    inputs = np.array(
        [[row[0] == s for s in "MFI"] + [float(v) for v in row[1:8]] for row in table], dtype=float
    )
    targets = np.array([[float(row[8])] for row in table])
    names = tuple(f"x{i}" for i in range(inputs.shape[1]))
    training, test = Dataset("abalone", inputs, targets, names, ("Rings",)).split(seed=0)
    model = train(multilayer(10, [32, 32], 1, "tanh"), training, epochs=25)
    path, small = tmp_path / "abalone.safetensors", tmp_path / "small.safetensors"
    save_file(model.state_dict(), path)
    data = tmp_path / "test.csv"
    np.savetxt(data, np.hstack([test.inputs, test.targets]), delimiter=",")
    code, out, _ = run(
        capsys,
        "compress",
        path,
        "--activation",
        "tanh",
        "--retain",
        "0.4",
        "-o",
        small,
        "--data",
        data,
        "--json",
    )
    assert code == 0
    report = json.loads(out)
    a, b = (layer["blocks"] for layer in report["layers"][:2])
    plain = nn.Sequential(nn.Linear(10, a), nn.Tanh(), nn.Linear(a, b), nn.Tanh(), nn.Linear(b, 1))
    plain.load_state_dict(load_file(small))
    with torch.no_grad():
        predicted = plain(torch.as_tensor(test.inputs, dtype=torch.float32)).numpy()
    error = float(np.mean((predicted - test.targets) ** 2))
    assert error == pytest.approx(report["mean_squared_error"]["after"], rel=1e-4)
    assert report["mean_squared_error"]["before"] < 0.6  # it has learnt something


def test_a_network_where_a_model_is_meant(tmp_path, capsys):
    file = tmp_path / "net.PT"
    file.write_bytes(b"")
    for command in (["conserved"], ["lump", "--method", "forward"]):
        assert main([command[0], str(file), *command[1:]]) == 2
        assert "is a network, and this takes model files" in capsys.readouterr().err


def test_bench_sweeps_quick(capsys):
    code, out, _ = run(capsys, "bench", "sweeps", "--quick", "--json")
    rows = json.loads(out)
    assert code == 0 and len(rows) == 22 and all(row["ratio"] > 0 for row in rows)
    subjects = {"4–32–32–1, tanh", "4, 8, 8 channels", "H-tree of 5 levels"}
    assert {row["subject"] for row in rows} == subjects


def test_bench_bounds_beside_crown(capsys):
    code, out, _ = run(capsys, "bench", "bounds", "--crown", "--width", "16", "--json")
    (row,) = json.loads(out)
    assert code == 0 and row["sampled"] <= row["bound"] <= row["uncut"]
    assert row["sampled"] <= row["bound"] <= row["uncut"] <= row["crown"]
    code, out, _ = run(capsys, "bench", "bounds", "--crown", "--width", "8")
    assert code == 0 and "never looser" in out
    code, out, _ = run(capsys, "bench", "bounds", "--crown", "--quick", "--json")
    assert code == 0 and [row["width"] for row in json.loads(out)] == [64]
    code, out, _ = run(capsys, "bench", "bounds", "--quick", "--json")
    assert code == 0 and json.loads(out)["bounds"] == 15  # five models in three precisions
    code, _, err = run(capsys, "bench", "bounds", "--crown", "--models", "3")
    assert code == 2 and "--crown takes neither" in err
    code, _, err = run(capsys, "bench", "bounds", "--width", "3")
    assert code == 2 and "--width is for --crown" in err


def test_bench_networks_quick(capsys):
    code, out, _ = run(capsys, "bench", "networks", "--width", "32", "--json")
    assert code == 0
    rows = json.loads(out)
    assert [row["what"] for row in rows] == [
        "encode",
        "AFDE, 40 %, one unit",
        "AFDE, 40 %, three units",
        "Dependence, 40 %",
        "Hierarchical, ε = 0.1",
    ]
    assert all(row["ratio"] > 0 and row["peak"] >= 0 and row["spread"] >= 1 for row in rows)
    assert all(row["reached"] is None for row in rows)  # of a narrow network
    code, _, err = run(capsys, "bench", "networks", "--retain", "0")
    assert code == 2 and "--retain 0: a share is above 0" in err
    code, _, err = run(capsys, "bench", "networks", "--width", "1")
    assert code == 2 and "give 2 or more" in err
