"""Every method of ``symlump compress``, and the sizes it takes."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import symlump as sl
from symlump.cli.main import main
from symlump.cli.networks.compress_methods import METHODS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("methods")
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, 2)
    )
    save_file(model.state_dict(), path / "net.safetensors")
    x = np.random.default_rng(0).normal(size=(100, 3))
    np.savetxt(path / "data.csv", np.hstack([x, sl.from_torch(model)(x)]), delimiter=",")
    return path


def compress(capsys, folder, *arguments):
    command = ["compress", folder / "net.safetensors", "--activation", "tanh", *arguments]
    code = main([str(part) for part in command])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("name", METHODS)
def test_every_method_reaches_its_size_and_its_change_is_certified(capsys, folder, name):
    small = folder / f"{name}.safetensors"
    size = ["--bits", "6"] if name == "quantize" else ["--retain", "0.6"]
    code, out, err = compress(
        capsys, folder, "--method", name, *size, "--data", folder / "data.csv", "--box", "-1", "1",
        "-o", small, "--json",
    )  # fmt: skip
    assert code == 0, err
    report = json.loads(out)
    assert report["retained"] <= 0.6
    assert report["mean_squared_error"]["before"] < 1e-12 < report["mean_squared_error"]["after"]
    before, after = (
        sl.network.state_dict.read_network(str(path), activation).network
        for path, activation in ((folder / "net.safetensors", "tanh"), (small, None))
    )
    x = np.random.default_rng(1).uniform(-1, 1, (2000, 3))
    change = np.abs(before(x) - after(x)).max()
    # the file holds float32
    assert 0 < change <= report["bound"]["largest"] + 1e-5 < 100 * change


def test_a_bound_that_says_nothing_is_called_vacuous(capsys, folder):
    """With both numbers; and it is printed rounded up."""
    asked = ("--method", "magnitude", "--retain", "0.3", "--box", "-1", "1")
    code, out, _ = compress(capsys, folder, *asked, "--json")
    bound = json.loads(out)["bound"]
    assert code == 0 and bound["vacuous"] is True and "vacuous: output" in bound["remarks"][0]
    code, out, _ = compress(capsys, folder, *asked)
    line = next(line for line in out.splitlines() if line.startswith("certified"))
    printed = float(line.split("by more than ")[1].split(";")[0])
    assert bound["largest"] <= printed <= 1.001 * bound["largest"]
    assert line.endswith(bound["remarks"][0]) and " apart on 1000 samples" in line


def test_a_wish_instead_of_a_tolerance(capsys, folder):
    data = ["--data", folder / "data.csv"]
    code, out, _ = compress(capsys, folder, "--max-loss", "0.01", *data, "--json")
    report = json.loads(out)
    assert code == 0 and report["mean_squared_error"]["after"] <= 0.01 and report["retained"] < 0.5
    code, out, _ = compress(capsys, folder, "--max-bound", "0.3", "--box", "-1", "1", "--json")
    report = json.loads(out)
    assert code == 0 and report["bound"]["largest"] <= 0.3 and report["retained"] < 0.9
    # With a wish that everything fulfils, ε is the least that merges everything.
    code, out, _ = compress(capsys, folder, "--max-bound", "100", "--box", "-1", "1", "--json")
    report = json.loads(out)
    assert [row["blocks"] for row in report["layers"]] == [1, 1, 2] and report["eps"] < 5


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--method", "svd", "--bits", "8"], "give --eps or --retain"),
        (["--method", "svd", "--eps", "0", "--steps", "5"], "--steps is for afde and dependence"),
        (["--method", "svd", "--eps", "0", "--on", "state"], "--on is for afde, not"),
        (["--method", "quantize", "--eps", "0", "--linkage", "closure"], "--linkage is for afde"),
        (
            ["--method", "magnitude", "--eps", "0", "--relative-to", "output"],
            "--relative-to is for afde and dependence and svd",
        ),
        (["--method", "dependence", "--eps", "0", "--relative-to", "layer"], "choose 'output' or"),
        (["--method", "svd", "--eps", "0", "--count", "bytes"], "--count is for combined, not"),
        (["--method", "afde", "--eps", "0", "--refit"], "--refit is for magnitude and magnitude-"),
        (
            ["--retain", "0.5", "--refit"],
            "not for combined, the default here; add --method magnitude",
        ),
        (["--eps", "0.1", "--count", "bytes"], "the default here; add --method combined"),
        (["--max-loss", "1"], "give --data FILE.csv"),
        (["--max-bound", "1"], "give --box LOW HIGH"),
        (["--method", "svd", "--retain", "0.5", "--equations", "x.tex"], "truncated SVD has none"),
    ],
)
def test_what_does_not_go_together(capsys, folder, arguments, says):
    code, out, err = compress(capsys, folder, *arguments)
    assert code == 2 and out == "" and says in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["--retain", "0.5"], "combined"),
        (["--retain", "0.5", "--count", "bytes"], "combined"),
        (["--eps", "0.1"], "afde"),
        (["--max-loss", "0.01", "--data", "data.csv"], "afde"),
        (["--max-bound", "1", "--box", "-1", "1"], "afde"),
        (["--retain", "0.5", "--steps", "3"], "afde"),
        (["--retain", "0.5", "--linkage", "diameter"], "afde"),
        (["--retain", "0.5", "--relative-to", "output"], "afde"),
        (["--retain", "0.5", "--equations", "equations.tex"], "afde"),
        (["--bits", "8"], "quantize"),
    ],
)
def test_what_is_taken_where_no_method_is_named(capsys, folder, monkeypatch, arguments, name):
    """The same as by its name; where several were tried for a size, that is said with the way to one."""
    monkeypatch.chdir(folder)
    reports = []
    for method in ((), ("--method", name)):
        code, out, err = compress(capsys, folder, *arguments, *method, "--force", "--json")
        assert code == 0, err
        reports.append(json.loads(out))
    assert reports[0] == reports[1]
    _, out, _ = compress(capsys, folder, *arguments, "--force")
    assert ("--method afde" in out) == (name == "combined")
    assert ("the best of" in out) == (name == "combined")
    _, out, _ = compress(capsys, folder, *arguments, "--method", name, "--force")
    assert "no --method" not in out


@pytest.mark.parametrize("name", METHODS)
def test_data_without_targets_serves_methods_that_look_at_inputs(capsys, folder, name):
    """As a table and as an array; the others say that it tells them nothing."""
    x = 3 * np.loadtxt(folder / "data.csv", delimiter=",")[:, :3]
    np.savetxt(folder / "x.csv", x, delimiter=",")
    np.save(folder / "x.npy", x.reshape(100, 1, 3).astype(np.float32))
    asked, found = ("--method", name, "--retain", "0.7", "--json"), []
    for file in ("x.csv", "x.npy"):
        code, out, err = compress(capsys, folder, *asked, "--data", folder / file)
        if name in ("afde", "dependence", "hierarchical", "wanda", "second-order", "combined"):
            assert code == 0 and "mean_squared_error" not in out, err
            found.append(round(json.loads(out)["difference"]["root_mean_square"], 4))
        else:
            assert code == 2 and "with these options does not use inputs" in err
    assert len(set(found)) <= 1
    code, _, err = compress(capsys, folder, "--max-loss", "1", "--data", folder / "x.csv")
    assert code == 2 and "data with targets" in err


def test_a_number_that_is_not_finite_is_named_by_its_place(capsys, folder):
    table = np.loadtxt(folder / "data.csv", delimiter=",")
    table[3, 1] = np.nan
    np.savetxt(folder / "hole.csv", table, delimiter=",")
    code, _, err = compress(capsys, folder, "--retain", "0.5", "--data", folder / "hole.csv")
    assert code == 2 and "hole.csv: nan in column 2 of sample 4" in err


def test_a_row_of_another_length_is_named(capsys, folder):
    (folder / "ragged.csv").write_text("a,b,c,d\n1,2,3,4\n1,2,3,4\n1,2,3\n")
    code, _, err = compress(capsys, folder, "--retain", "0.5", "--data", folder / "ragged.csv")
    assert code == 2 and "ragged.csv cannot be read" in err
    assert "row 3 has 3 columns, the rows before it 4" in err


def test_what_is_no_array_of_samples(capsys, folder):
    np.save(folder / "odd.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(folder / "flat.npy", np.zeros(6))
    np.save(folder / "nan.npy", np.full((2, 3), np.nan))
    (folder / "cut.npy").write_bytes((folder / "flat.npy").read_bytes()[:-8])
    (folder / "text.npy").write_text("1,2,3")
    for name in ("odd", "flat", "nan", "cut", "text", "absent"):
        code, out, err = compress(
            capsys, folder, "--retain", ".5", "--data", folder / f"{name}.npy"
        )
        assert code == 2 and not out and f"{name}.npy" in err and err.count("\n") == 1


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_searched_and_swept(capsys, folder, name):
    data = ["--data", str(folder / "data.csv")]
    asked = ("--method", name, "--max-loss", "0.02", *data, "--json")
    code, out, err = compress(capsys, folder, *asked)
    assert code == 0, err
    assert json.loads(out)["mean_squared_error"]["after"] <= 0.02
    command = ["sweep", str(folder / "net.safetensors"), "--activation", "tanh", "--method", name]
    code = main([*command, *data, "--eps", "0,0.1,0.5", "--json"])
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert code == 0 and [row["eps"] for row in rows] == [0, 0.1, 0.5]
    assert rows[0]["loss"] < 1e-12 and rows[-1]["parameters"] <= rows[0]["parameters"]


@pytest.mark.parametrize(
    ("name", "eps", "units"),
    [("dependence", 0.3, ("output", "parameters")), ("svd", 0.7, ("layer", "output"))],
)
def test_the_unit_of_a_tolerance_is_said_of_every_method_that_has_one(
    capsys, folder, name, eps, units
):
    sizes = []
    for unit in units:
        wish = ("--method", name, "--eps", eps, "--relative-to", unit, "--json")
        code, out, err = compress(capsys, folder, *wish)
        assert code == 0, err
        method = {"dependence": sl.Dependence, "svd": sl.TruncatedSVD}[name](eps, relative_to=unit)
        net = sl.network.state_dict.read_network(str(folder / "net.safetensors"), "tanh").network
        sizes.append(json.loads(out)["retained_parameters"])
        assert sizes[-1] == sl.compress(net, method).retained_parameters
    assert sizes[0] != sizes[1]


def test_a_sweep_with_options_of_another_method(capsys, folder):
    command = ["sweep", str(folder / "net.safetensors"), "--activation", "tanh", "--method", "svd"]
    assert main([*command, "--linkage", "closure"]) == 2
    assert "--linkage is for afde" in capsys.readouterr().err


def test_a_file_that_is_no_smaller_says_so(capsys, folder):
    small = folder / "rounded.safetensors"
    _, out, _ = compress(capsys, folder, "--method", "quantize", "--bits", "8", "-o", small)
    assert "holds every weight in full" in out


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pt2", ".onnx"])
def test_the_way_to_fewer_bytes_is_one_that_leads_there(capsys, folder, suffix):
    if suffix == ".onnx":
        pytest.importorskip("onnx")
    few = "--method", "magnitude", "--retain", "0.3", "--force"
    to = "-o", folder / f"small{suffix}"
    code, out, err = compress(capsys, folder, *few, *to)
    assert code == 0, err
    said = out.split("sparse format stores it; ")[1].split(" writes one")[0]
    again = said.replace("NAME", str(folder / "small")).split()
    code, out, err = compress(capsys, folder, *few, *(again if "-o" in again else [*again, *to]))
    assert code == 0 and "packed in" in out, err
    held = load_file(folder / "small.safetensors")
    assert any(name.endswith(".places") for name in held)  # zeros take a bit


@pytest.mark.parametrize("option", [("--count", "bytes"), ("--refit",), ("--on", "both")])
def test_no_option_is_ignored_where_there_are_recurrent_cells(capsys, tmp_path, option):
    save_file(nn.GRU(2, 4).state_dict(), tmp_path / "gru.safetensors")
    code = main(["compress", str(tmp_path / "gru.safetensors"), "--retain", "0.7", *option])
    assert code == 2
    assert f"{option[0]} is for networks without recurrence" in capsys.readouterr().err


@pytest.mark.parametrize("data", [False, True])
def test_what_the_default_chose_is_in_json_and_in_tables(capsys, folder, data):
    given = ["--data", folder / "data.csv"] if data else []
    code, out, err = compress(capsys, folder, "--retain", "0.5", *given)
    code, told, err = compress(capsys, folder, "--retain", "0.5", *given, "--json")
    note = json.loads(told)["note"]
    assert code == 0 and "the best of" in note and note in out, err
    table = folder / "t.csv"
    assert compress(capsys, folder, "--retain", "0.5", *given, "--table", table)[0] == 0
    assert note in table.read_text(encoding="utf-8")
    code, told, err = compress(capsys, folder, "--eps", "0", "--json")
    assert json.loads(told)["note"] == "", err


def test_proofs_are_written_and_accepted(capsys, folder):
    torch.manual_seed(1)
    layer = nn.Linear(3, 12)
    layer.weight.data = torch.sign(layer.weight.data)  # ternary, so copies up to sign are likely
    layer.bias.data.zero_()
    model = nn.Sequential(layer, nn.Tanh(), nn.Linear(12, 1))
    save_file(model.state_dict(), folder / "signs.safetensors")
    command = ["compress", folder / "signs.safetensors", "--activation", "tanh", "--eps", "0"]
    proofs = folder / "proofs"
    options = ["--method", "symmetric", "--certificates", proofs]
    assert main([str(part) for part in command + options]) == 0
    out = capsys.readouterr().out
    assert "exact, proof checked" in out and "written" in out
    files = sorted(proofs.iterdir())
    assert files
    for file in files:
        assert main(["check", str(file)]) == 0
        assert "accepted" in capsys.readouterr().out
    code, _, err = compress(
        capsys, folder, "--method", "svd", "--retain", "0.6", "--certificates", proofs
    )
    assert code == 2 and "truncated SVD has none" in err


def test_steps_come_closer(capsys, folder):
    errors = []
    for steps in ("0", "30"):
        _, out, _ = compress(
            capsys, folder, "--method", "afde", "--retain", "0.5", "--steps", steps, "--json"
        )
        errors.append(json.loads(out)["difference"]["root_mean_square"])
    assert errors[1] < 0.7 * errors[0]


@pytest.mark.parametrize("name", ["magnitude", "magnitude-layerwise", "wanda"])
def test_a_refit_of_what_is_pruned_comes_closer(capsys, folder, name):
    errors = []
    for more in ([], ["--refit"]):
        asked = [
            "--method",
            name,
            "--retain",
            "0.5",
            "--data",
            folder / "data.csv",
            *more,
            "--json",
        ]
        _, out, _ = compress(capsys, folder, *asked)
        errors.append(json.loads(out)["mean_squared_error"]["after"])
    assert errors[1] < 0.3 * errors[0]


def test_bytes_are_counted_where_they_are_asked_for(capsys, folder):
    asked = ["--method", "combined", "--retain", "0.4", "--count", "bytes", "-o"]
    code, out, _ = compress(capsys, folder, *asked, folder / "packed.safetensors")
    assert code == 0 and "bits; the best of" in out and "combined (bytes)" in out
