"""Equal parameters, bytes and time: what is measured, kept and shown."""

from dataclasses import replace

import numpy as np
import pytest

import symlump as sl
from symlump.bench import structured
from symlump.bench.compared.runs import errors_csv, errors_of
from symlump.bench.equal import measure as equal
from symlump.bench.equal import trial
from symlump.bench.equal.in_turn import InTurn
from symlump.bench.equal.measure import KEYS, BudgetPlan, measure
from symlump.bench.equal.methods import METHODS, QUICK, methods_here
from symlump.bench.equal.tables import markdown
from symlump.cli.main import main
from symlump.errors import FailureError, FileFormatError, MethodError, MissingExtraError
from symlump.jobs import Job


@pytest.fixture
def digits(tmp_path):
    """Bars at ten heights, with noise: what can be learned from a few."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 400)
    images = rng.integers(0, 60, size=(400, 28, 28))
    for image, label in zip(images, labels, strict=True):
        image[2 * label + 2 : 2 * label + 6] += 150
    path = tmp_path / "digits.npz"
    np.savez(path, images=images.astype(np.uint8), labels=labels)
    return str(path)


@pytest.fixture
def told(monkeypatch):
    """Times are those that are told: of a network that was made smaller, its share of the parameters."""
    sizes = []

    def times(models, x, rounds):
        found = [float(sum(p.numel() for p in m.parameters())) for m in models]
        sizes.append(found)
        return found

    monkeypatch.setattr(trial, "times_in_turns", times)
    monkeypatch.setattr(equal, "EPOCHS", 8)
    return sizes


CHOSEN = ("AFDE", "magnitude, refit", "second order", "quantized", "combined, bytes")


def test_rows_keep_their_budgets(digits, told, tmp_path):
    plan = BudgetPlan(digits, seeds=2, methods=CHOSEN, budgets=(0.5, 0.2))
    rows = measure(plan, tmp_path / "cache")
    assert max(row["mse_base"] for row in rows) < 50
    found = {}
    for row in rows:
        found.setdefault((row["table"], row["method"]), []).append(row)
        assert row["mse"] is None or row["table"] == "time" or row["used"] <= row["share"]
    assert {key: len(cells) for key, cells in found.items()} == {
        ("parameters", "AFDE"): 4, ("bytes", "AFDE"): 4, ("time", "AFDE"): 4,
        **{(t, m): 4 for t in ("parameters", "bytes") for m in ("magnitude, refit", "second order")},
        ("bytes", "quantized"): 4, ("bytes", "combined, bytes"): 4,
    }  # fmt: skip
    # Headers and places take their part, and more is not left.
    for row in found["bytes", "magnitude, refit"]:
        assert row["share"] - 0.03 < row["used"] <= row["share"]
    used = [row["used"] for row in found["time", "AFDE"]]
    assert used == [0.5, 0.2] * 2  # the largest of those tried that keep the time; chosen once
    assert all(after < before for after, before in told)
    text = markdown(rows)
    assert all(f"Equal {table}, relu, 64-32:" in text for table in ("parameters", "bytes", "time"))
    assert errors_of(errors_csv(rows, KEYS))[1] == list(CHOSEN)
    asked = len(told)
    assert measure(plan, tmp_path / "cache") == rows and len(told) == asked  # it was kept
    more = measure(replace(plan, seeds=3), tmp_path / "cache")
    assert more[: len(rows)] == rows and len(more) == len(rows) * 3 // 2 and len(told) == asked


def test_on_data_sets(told, tmp_path):
    plan = BudgetPlan(
        datasets=("reaction", "circuit"), activations=("tanh",), seeds=1, methods=("AFDE", "quantized"),
        budgets=(0.5,), samples=300, epochs=3,
    )  # fmt: skip
    rows = measure(plan, tmp_path)
    assert {(row["dataset"], row["activation"]) for row in rows} == {
        ("reaction", "tanh"), ("circuit", "tanh"),
    }  # fmt: skip
    assert all(row["mse"] > 0 for row in rows)
    text = markdown(rows)
    assert "Equal bytes, tanh, 64-64:" in text and " ×; " in text


def test_rows_that_cannot_be_right_are_refused():
    job = Job(equal._measured, {"tables": ["bytes"], "budgets": [0.5]})
    row = {"table": "bytes", "share": 0.5, "mse": 1.0, "used": 0.4}
    equal._check(job, [row])
    equal._check(job, [row | {"mse": None, "used": None}])
    for wrong in ([], [row | {"used": 0.6}], [row | {"mse": -1.0}], [row | {"share": 0.4}]):
        with pytest.raises(FailureError, match="not what was requested"):
            equal._check(job, wrong)


def test_what_is_no_file_of_digits(tmp_path):
    path = tmp_path / "small.npz"
    np.savez(path, images=np.zeros((4, 8, 8), np.uint8), labels=np.zeros(4))
    with pytest.raises(FileFormatError, match="28 × 28"):
        measure(BudgetPlan(str(path)), tmp_path / "cache")


def test_unknown_names_are_refused():
    for wrong, says in (
        ({"methods": ("magic",)}, "no method 'magic'"),
        ({"datasets": ("iris",)}, "no data set 'iris'"),
        ({"tables": ("weight",)}, "no table 'weight'"),
    ):
        with pytest.raises(MethodError, match=says):
            BudgetPlan(**wrong)
    assert set(QUICK) <= set(METHODS)


def test_structured_pruning_is_left_out_where_it_is_not_installed(monkeypatch):
    for there in (True, False):
        monkeypatch.setattr("symlump.bench.equal.methods.is_installed", lambda there=there: there)
        assert ("Torch-Pruning, L2" in methods_here()) == there
    monkeypatch.setattr(structured, "is_installed", lambda: False)
    with pytest.raises(MissingExtraError, match="pip install torch-pruning"):
        structured.prune(None, 0.5, None)


def test_structured_pruning_takes_the_smallest_units():
    pytest.importorskip("torch_pruning")
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(8, 3)), rng.normal(size=(2, 8))
    first[[1, 4, 6]] *= 1e-3
    second[:, [1, 4, 6]] *= 1e-3
    net = sl.Network.dense([first, second], dtype="float32").rounded()
    small = sl.compress(net, structured.StructuredPruning(retain=5 / 8))
    assert small.unit_maps[0].tolist() == [0, -1, 1, 2, -1, 3, -1, 4]
    assert np.array_equal(small.network.layers[0].weight, net.layers[0].weight[[0, 2, 3, 5, 7]])
    with pytest.raises(FailureError, match="leaves at least 5 parameters, more than 2"):
        sl.compress(net, structured.StructuredPruning(retain=0.05))


def test_on_the_command_line(digits, tmp_path, capsys):
    out = tmp_path / "o"
    rows = [
        {
            "table": t, "activation": "relu", "hidden": "64-32", "dataset": "digits", "seed": s, "share": 0.5,
            "method": "AFDE", "mse": 10.0 + s, "mse_base": 5.0,
        }
        for t in ("parameters", "bytes") for s in (0, 1)
    ]  # fmt: skip
    (tmp_path / "rows.csv").write_text(errors_csv(rows, KEYS))
    command = ["bench", "budgets", "--table", str(tmp_path / "rows.csv")]
    assert main([*command, "--output", str(out)]) == 0
    printed = capsys.readouterr().out
    assert printed.strip() == markdown(rows).strip()
    assert "| (uncompressed) | 95.00 ± 0.00 |" in printed
    assert "| AFDE | **89.50 ± 0.71; 1.0 (1.0–1.0), 100 %** |" in printed
    assert errors_of((out / "budgets.csv").read_text())[0] == rows
    for wrong in (
        [*command, "--seeds", "2"], ["bench", "budgets"], [*command, "--digits", digits],
        ["bench", "budgets", "--datasets", "all", "--activations", "steps"],
    ):  # fmt: skip
        assert main(wrong) == 2
        assert "--" in capsys.readouterr().err or "steps" in wrong


@pytest.mark.parametrize("pruning", ["", "magnitude"])
@pytest.mark.parametrize("share", [0.5, 0.2])
def test_two_methods_in_turn_are_the_best_of_their_sizes(pruning, share):
    """Against both steps by hand: nothing by way of another size changes the outputs less."""
    rng = np.random.default_rng(0)
    few = rng.normal(size=(8, 6))
    first = np.repeat(few, 4, axis=0) + 0.05 * rng.normal(size=(32, 6))
    net = sl.Network.dense(
        [first, rng.normal(size=(20, 32)) / 6, rng.normal(size=(2, 20))], dtype="float32"
    )
    net, x = net.rounded(), rng.normal(size=(40, 6))  # of so few all fit, and all decide
    small = sl.compress(net, InTurn(retain=share, inputs=x, count="bytes", pruning=pruning))
    assert small.retained <= share and sum(small.network.widths[1:-1]) < 52
    assert small.reduction.note.startswith(f"AFDE, then {pruning or 'fewer bits'}")

    def change(found):
        return np.mean((found(x) - net(x)) ** 2)

    word = 32
    for more in (1.2, 1.5, 1.8, 2.5, 3.5, 5.0, 7.0):
        if more * share >= 1:
            continue
        merged = sl.compress(net, sl.AFDE(retain=more * share, inputs=x)).network
        target = int(share * net.parameters)
        if not pruning:
            by_hand = sl.compress(merged, sl.Quantize(retain=target / merged.parameters)).network
        else:  # a bit for each place; of each layer what is rounded up
            weights = sum(layer.weight.size for layer in merged.layers)
            fixed = merged.parameters - weights
            kept = ((target - fixed - 3) * word - weights) // word
            if not 0 < kept < weights:
                continue
            method = sl.Magnitude((kept + fixed) / merged.parameters, refit=True, inputs=x)
            by_hand = sl.compress(merged, method).network
        assert change(small.network) <= change(by_hand) * (1 + 1e-6), more
