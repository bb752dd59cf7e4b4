"""The evaluation at a small size: what is computed, kept, summarized and drawn."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import symlump as sl
from symlump.bench import afde as bench
from symlump.bench import tasks
from symlump.bench.compared.runs import errors_of
from symlump.bench.tables import Summary, TableCell, csv_text, errors, headline, markdown
from symlump.bench.train import multilayer, tune
from symlump.cli.main import main
from symlump.errors import FailureError, MethodError
from symlump.jobs import digest

PLAN = bench.Evaluation(
    datasets=("reaction", "circuit"),
    methods=(
        "AFDE",
        "truncated SVD",
        "quantized",
        "magnitude, global",
        "magnitude, layerwise",
        "Wanda",
    ),
    architectures=(("tanh", (12, 12)),),
    seeds=2,
    shares=(0.6, 0.1),
    samples=300,
    epochs=3,
    steps=5,
)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return bench.evaluate(PLAN, tmp_path_factory.mktemp("results"))


def test_every_row_is_there(rows):
    keys = [(r["dataset"], r["seed"], r["method"], r["share"]) for r in rows]
    assert len(set(keys)) == len(keys) == 2 * 2 * 6 * 2
    for row in rows:
        if row["mse"] is None:
            assert row["share"] == 0.1 and row["reason"]
        else:
            assert row["retained_parameters"] <= row["share"] * row["parameters"]
            assert row["mse"] >= 0 and row["seconds"] > 0 and row["mse_base"] > 0
            assert (row["mse_tuned"] is None) == (row["method"] == "quantized")


def test_a_row_is_what_the_library_gives(rows):
    """The same figure by hand, from the trained weights in the description's data."""
    description = tasks.training_description("reaction", None, "tanh", (12, 12), 1, 300, 3)
    trained = tasks.train_network(description)
    network = tasks.network_of(description, trained)
    training, test = tasks.prepare("reaction", 300, 1, None)
    wanted = {
        r["method"]: r
        for r in rows
        if (r["dataset"], r["seed"], r["share"]) == ("reaction", 1, 0.6)
    }
    for name, method in {
        "AFDE": sl.AFDE(retain=0.6),
        "Wanda": sl.Wanda(0.6, training.inputs),
    }.items():
        result = sl.compress(network, method)
        assert wanted[name]["mse"] == pytest.approx(
            result.mean_squared_error(test.inputs, test.targets)
        )
        assert wanted[name]["mse_base"] == pytest.approx(trained["mse"])
        assert wanted[name]["variance"] == pytest.approx(np.var(test.targets, axis=0).mean())


def test_a_killed_run_goes_on(tmp_path):
    """Whatever is missing or damaged is computed, nothing else is."""
    plan = replace(PLAN, datasets=("reaction",), seeds=1)
    whole = bench.evaluate(plan, tmp_path)
    files = sorted(tmp_path.iterdir())
    before = {path: path.stat().st_mtime_ns for path in files}
    files[0].unlink()
    files[1].write_text(files[1].read_text()[:-5])
    again = bench.evaluate(plan, tmp_path)
    for row, same in zip(whole, again, strict=True):
        assert row | {"seconds": 0} == same | {"seconds": 0}
    touched = [path for path in files if path.stat().st_mtime_ns != before[path]]
    assert touched == files[:2]


def test_wrong_results_on_disk_are_computed_again(tmp_path):
    plan = replace(PLAN, datasets=("reaction",), seeds=1, methods=("AFDE",))
    rows = bench.evaluate(plan, tmp_path)
    for path in tmp_path.iterdir():
        record = json.loads(path.read_text())
        if "layers" in record["result"]:
            record["result"]["mse"] *= 0.5
        else:
            record["result"]["retained_parameters"] += 1000
        path.write_text(json.dumps(record | {"digest": digest(record["result"])}))
        again = bench.evaluate(plan, tmp_path)
        for row, same in zip(rows, again, strict=True):
            assert row | {"seconds": 0} == same | {"seconds": 0}


def test_other_data_are_noticed(tmp_path):
    header = (
        "Sex,Length,Diameter,Height,Whole_weight,Shucked_weight,Viscera_weight,Shell_weight,Rings\n"
    )
    line = "M,0.455,0.365,0.095,0.514,0.2245,0.101,0.15,{}\n"
    (tmp_path / "abalone.csv").write_text(header + "".join(line.format(k) for k in range(40)))
    folder = str(tmp_path)
    description = tasks.training_description("abalone", folder, "relu", (4,), 0, 100, 1)
    trained = tasks.train_network(description, folder)
    (tmp_path / "abalone.csv").write_text(header + "".join(line.format(k) for k in range(41)))
    with pytest.raises(FailureError, match=r"abalone\.csv here differs"):
        tasks.check_trained(description, trained, folder)


@pytest.mark.parametrize("name", list(tasks.METHODS))
def test_every_method_keeps_its_share(name):
    if tasks.METHODS[name].structured:
        pytest.importorskip("torch_pruning")
    generator = np.random.default_rng(0)
    network = sl.Network.dense(
        [generator.normal(size=s) / 3 for s in ((20, 6), (20, 20), (2, 20))],
        [generator.normal(size=n) for n in (20, 20, 2)],
        dtype="float32",
    )
    method = tasks.METHODS[name].make(0.6, generator.normal(size=(50, 6)))
    result = sl.compress(network, method)
    assert 0 < result.retained_parameters <= 0.6 * network.parameters


def test_further_training_keeps_zeros_and_helps():
    training, test = tasks.prepare("reaction", 400, 0, None)
    model = multilayer(5, [16], 5)
    with torch.no_grad():
        model[0].weight[:, 2:] = 0.0
    before = model(torch.tensor(training.inputs).float()).detach()
    tune(model, training, 60)
    after = model(torch.tensor(training.inputs).float()).detach()
    targets = torch.tensor(training.targets).float()
    assert (model[0].weight[:, 2:] == 0).all() and (model[0].weight[:, :2] != 0).all()
    assert torch.mean((after - targets) ** 2) < torch.mean((before - targets) ** 2)


def made_up(method, dataset, share, values, base=0.1):
    return [
        {
            "dataset": dataset, "activation": "tanh", "hidden": "8", "seed": seed, "method": method,
            "share": share, "parameters": 100, "retained_parameters": 50, "mse": value, "mse_tuned": None,
            "mse_base": base, "variance": 2.0, "eps": None, "seconds": 1.0, "reason": "",
        }
        for seed, value in enumerate(values)
    ]  # fmt: skip


def test_counts_of_the_comparison():
    table = []
    for dataset, mine in (("reaction", 0.2), ("circuit", 0.5), ("abalone", 0.9)):
        table += made_up("AFDE", dataset, 0.3, [mine - 0.1, mine + 0.1])
        table += made_up("magnitude, global", dataset, 0.3, [0.7, 0.9])
        table += made_up(
            "magnitude, layerwise", dataset, 0.3, [None, 0.1]
        )  # not reached by all seeds
        table += made_up("Wanda", dataset, 0.3, [5.0, 5.0])
    summary = Summary(table)
    found = summary.against_pruning("AFDE", 0.3)
    assert found.ratios == pytest.approx({"reaction": 0.25, "circuit": 0.625, "abalone": 1.125})
    assert (found.lower, found.half, found.half_excess) == (2, 1, 1)
    assert found.excess["reaction"] == pytest.approx(1 / 7)
    assert "| AFDE | 30% | 2 of 3 | 1 of 3 | 1 of 3 |" in headline(summary)
    shown = errors(summary, 0.3)
    assert "| AFDE | 0.2 ± 0.14* | 0.5 ± 0.14* | 0.9 ± 0.14 |" in shown
    assert "| magnitude, layerwise |" not in shown
    assert str(TableCell.of([3.0])) == "3"


def test_the_csv_says_all(rows):
    table = list(csv.DictReader(csv_text(rows).splitlines()))
    assert len(table) == len(rows)
    for text, row in zip(table, rows, strict=True):
        assert text["method"] == row["method"]
        if row["mse"] is None:
            assert text["mse"] == text["r2"] == ""
        else:
            assert float(text["mse"]) == row["mse"]
            assert float(text["r2"]) == pytest.approx(1 - row["mse"] / row["variance"])
    assert "H-tree circuit" in markdown(rows) and "further training" in markdown(rows)


def test_bounds_hold(tmp_path):
    plan = replace(
        PLAN, datasets=("circuit",), seeds=1, methods=("AFDE", "Wanda"), steps=0, bound=True
    )
    table = bench.evaluate(plan, tmp_path)
    assert all(0 < r["observed"] <= r["bound"] for r in table if r["method"] == "AFDE")
    assert not any(r.get("bound") for r in table if r["method"] == "Wanda")
    assert "| AFDE | 60% | " in markdown(table).split("Certified bounds")[1]


def test_unknown_names_are_refused():
    for change in ({"datasets": ("iris",)}, {"methods": ("magic",)}, {"seeds": 0}):
        with pytest.raises(MethodError, match="unknown; choose from|nothing to evaluate"):
            replace(PLAN, **change)


def test_the_command(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(bench, "QUICK", replace(PLAN, seeds=1))
    folder = tmp_path / "out"
    command = ["bench", "afde", "--quick", "--datasets", "reaction", "--output", str(folder)]
    assert (
        main([*command, "--methods", "AFDE; magnitude, global", "--hidden", "8", "--seeds", "2"])
        == 0
    )
    assert "## tanh, hidden widths 8, 2 seeds" in capsys.readouterr().out
    assert {path.name for path in folder.iterdir()} == {
        "results", "results.csv", "errors.csv", "tuned.csv", "summary.md",
        "evaluation-tanh-8.png", "evaluation-tanh-8-tuned.png",
    }  # fmt: skip
    plain, tuned = (
        errors_of((folder / f"{name}.csv").read_text())[0] for name in ("errors", "tuned")
    )
    assert [row | {"mse": None} for row in plain] == [row | {"mse": None} for row in tuned]
    assert plain != tuned
    assert main([*command, "--no-tuning", "--activations", "relu;tanh", "--methods", "AFDE"]) == 0
    assert "## relu, hidden widths 12-12, 1 seed\n" in capsys.readouterr().out
    for wrong, says in (
        (["--methods", "magic"], "method 'magic' is unknown"),
        (["--hidden", "8;x,8"], "--hidden x,8: write widths as in"),
        (["--activations", "steps"], "activation 'steps' is unknown"),
        (["--jobs", "0"], "workers=0"),
    ):
        assert main([*command, *wrong]) == 2
        assert says in capsys.readouterr().err


def test_the_table_of_experiments(capsys):
    with pytest.raises(SystemExit) as done:
        main(["bench", "--help"])
    assert done.value.code == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("engine", "proofs", "afde"))
    assert main(["bench", "nothing"]) == 2
    assert "nothing" in capsys.readouterr().err
