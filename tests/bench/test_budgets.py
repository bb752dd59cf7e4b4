"""Three tables of the same methods, and that the documentation has those of the rows beside it."""

import re
from pathlib import Path

import numpy as np
import pytest

from symlump.bench import budgets
from symlump.bench.budgets import TABLES, BudgetRow, csv_of, markdown, measure, rows_of
from symlump.bench.ranks import errors_csv, errors_of, mean_ranks, ranks_tables
from symlump.cli.main import main
from symlump.errors import FileFormatError, MethodError

LEARN = Path(__file__).resolve().parents[2] / "docs" / "learn"


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


def test_rows_keep_their_budgets(digits, monkeypatch):
    monkeypatch.setattr(budgets, "EPOCHS", 8)
    # Times are those that are told: of a network that was made smaller, its share of the parameters.
    sizes = []

    def times(models, x, rounds):
        found = [float(sum(p.numel() for p in m.parameters())) for m in models]
        sizes.append(found)
        return found

    monkeypatch.setattr(budgets, "times_in_turns", times)
    methods = ("AFDE", "magnitude, refit", "second order", "quantized", "combined, bytes")
    rows = list(measure(digits, 2, methods=methods, budgets=(0.5, 0.2)))
    before = [row for row in rows if row.method == "(as it is)"]
    assert [row.seed for row in before] == [0, 1] and min(row.right for row in before) > 50
    found = {}
    for row in rows:
        if row.method != "(as it is)":
            assert row.right is None or row.share <= row.budget
            found.setdefault((row.table, row.method), []).append(row)
    assert {key: len(cells) for key, cells in found.items()} == {
        ("parameters", "AFDE"): 4, ("bytes", "AFDE"): 4, ("time", "AFDE"): 4,
        **{(t, m): 4 for t in ("parameters", "bytes") for m in ("magnitude, refit", "second order")},
        ("bytes", "quantized"): 4, ("bytes", "combined, bytes"): 4,
    }  # fmt: skip
    # Headers and places take their part, and more is not left.
    for row in found["bytes", "magnitude, refit"]:
        assert row.budget - 0.12 < row.share <= row.budget
    assert (
        len({row.share for row in found["time", "AFDE"] if row.budget == 0.5}) == 1
    )  # chosen once
    assert all(pair[0] < pair[1] for pair in sizes[:1])
    with pytest.raises(MethodError, match="no method 'magic'"):
        list(measure(digits, 1, methods=("magic",)))


def test_what_is_no_file_of_digits(tmp_path):
    path = tmp_path / "small.npz"
    np.savez(path, images=np.zeros((4, 8, 8), np.uint8), labels=np.zeros(4))
    with pytest.raises(FileFormatError, match="28 × 28"):
        list(measure(str(path)))


def test_tables_by_hand():
    rows = [
        BudgetRow("parameters", 1.0, "(as it is)", 0, 99.0, 1.0),
        *(BudgetRow("bytes", 0.5, "a", s, r, 0.49) for s, r in ((0, 90.0), (1, 92.0))),
        *(BudgetRow("bytes", 0.5, "b", s, r, 0.49) for s, r in ((0, 91.0), (1, None))),
    ]
    text = markdown(rows)
    assert "The networks before: 99.00 % right." in text and "Equal bytes" in text
    assert "| a | **91.00 ± 1.41**, rank 1.5" in text
    assert "| b | – |" in text  # one network did not get there
    assert rows_of(csv_of(rows)) == rows
    for wrong in ("", "a,b\n1,2\n", csv_of(rows).replace("90.0", "x")):
        if wrong:
            with pytest.raises(FileFormatError, match="no rows of bench budgets"):
                rows_of(wrong)


def test_on_the_command_line(digits, tmp_path, capsys):
    out = tmp_path / "o"
    rows = [BudgetRow(t, 0.5, "AFDE", s, 90.0 + s, 0.4) for t in TABLES for s in (0, 1)]
    (tmp_path / "rows.csv").write_text(csv_of(rows))
    command = ["bench", "budgets", "--table", str(tmp_path / "rows.csv")]
    assert main([*command, "--output", str(out)]) == 0
    assert capsys.readouterr().out.strip() == markdown(rows).strip()
    assert rows_of((out / "budgets.csv").read_text()) == rows
    for wrong in ([*command, "--seeds", "2"], ["bench", "budgets"], [*command, "--digits", digits]):
        assert main(wrong) == 2
        assert "--" in capsys.readouterr().err


def test_errors_come_back_and_give_the_same_ranks():
    rng = np.random.default_rng(0)
    rows = [
        {
            "activation": "relu", "hidden": "8-8", "dataset": d, "seed": s, "share": share,
            "method": m, "mse": None if (d, m, share) == ("x", "b", 0.1) else float(rng.random()),
        }
        for d in "xy" for s in range(3) for share in (0.5, 0.1) for m in "abc"
    ]  # fmt: skip
    again, methods = errors_of(errors_csv(rows, list("abc")))
    assert methods == list("abc")
    for share in (0.5, 0.1):
        assert mean_ranks(again, methods, share) == mean_ranks(rows, methods, share)
    for wrong in (
        "",
        "dataset,seed\n",
        "activation,hidden,dataset,seed,share,a\nrelu,8,x,0,half,1\n",
    ):
        with pytest.raises(FileFormatError, match="no errors of bench afde"):
            errors_of(wrong)


def test_ranks_are_printed_again(tmp_path, capsys):
    path = tmp_path / "errors.csv"
    path.write_text("activation,hidden,dataset,seed,share,a,b\ntanh,8,x,0,0.5,1.0,2.0\n")
    assert main(["bench", "afde", "--ranks", str(path)]) == 0
    out = capsys.readouterr().out
    assert "tanh, 8:" in out and "| a | **1.0 (1.0–1.0), 100 %** |" in out
    assert main(["bench", "afde", "--ranks", str(path), "--seeds", "2"]) == 2
    assert "--seeds is for networks" in capsys.readouterr().err


def tables(text):
    """The Markdown tables of a text, as lists of lines."""
    return re.findall(r"(?:^\|.*\n)+", text + "\n", re.MULTILINE)


@pytest.mark.parametrize(
    "file, render",
    [
        ("budgets.csv", lambda text: markdown(rows_of(text))),
        ("errors-tanh.csv", ranks_tables),
        ("errors-relu.csv", ranks_tables),
    ],
)
def test_the_page_has_the_tables_of_the_rows_beside_it(file, render):
    """``symlump bench budgets --table`` and ``symlump bench afde --ranks`` print them."""
    page = (LEARN / "combined.md").read_text(encoding="utf-8")
    found = tables(render((LEARN / file).read_text(encoding="utf-8")))
    assert found
    for table in found:
        assert table in page, table
