"""Tables of pages are those of the rows beside them, and every table of the evaluation has rows."""

import re
from pathlib import Path

import numpy as np
import pytest

from symlump.bench.compared.pages import files_of, old_pictures, write_tables
from symlump.bench.compared.ranks import mean_ranks
from symlump.bench.compared.runs import errors_csv, errors_of
from symlump.bench.hmatrix import KernelRow
from symlump.bench.kept.rows import csv_of
from symlump.bench.published.trained import TrainedRow
from symlump.cli.main import main
from symlump.errors import FileFormatError

LEARN = Path(__file__).resolve().parents[2] / "docs" / "learn"
PAGES = [page for page in sorted(LEARN.glob("*.md")) if files_of(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_page_has_the_tables_of_the_rows_beside_it(page):
    """``symlump bench pages docs/learn/*.md`` writes them."""
    text = page.read_text(encoding="utf-8")
    assert write_tables(text, LEARN) == text


def test_pictures_are_drawn_from_the_rows_beside_the_page():
    pytest.importorskip("PIL")
    asked = 0
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        asked += text.count("<!-- picture ")
        assert old_pictures(text, LEARN) == []
    assert asked >= 2


#: Tables of words.
WORDS = {
    "| data set | task | inputs → outputs | source |",
    "| tried | how |",
    "| asked | found | where |",
    "| | step | with $a = W u + b + V h + d$ |",
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_tables_of_results_have_rows_or_say_that_they_have_none(page):
    outside = re.sub(
        r"^<!-- table .*?^<!-- end -->$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S
    )
    for found in re.finditer(r"(.*)\n((?:^\|.*\n)+)", outside, re.M):
        header = found[2].splitlines()[0]
        assert header in WORDS or found[1].startswith("<!-- printed "), header


def test_every_file_of_rows_is_shown():
    shown = {name for page in PAGES for name in files_of(page.read_text(encoding="utf-8"))}
    assert shown == {path.name for path in LEARN.glob("*.csv")}


def rows(methods=("a", "b"), shares=(0.5, 0.1)):
    rng = np.random.default_rng(0)
    return [
        {
            "activation": "relu", "dataset": d, "seed": s, "share": share, "method": m, "mse_base": 0.1,
            "mse": None if (d, m, share) == ("x", "b", 0.1) else float(rng.random()),
        }
        for d in "xy" for s in range(3) for share in shares for m in methods
    ]  # fmt: skip


def test_errors_come_back_and_give_the_same_ranks():
    table = rows("abc")
    again, methods = errors_of(errors_csv(table, ["activation", "dataset"]))
    assert methods == list("abc")
    for share in (0.5, 0.1):
        assert mean_ranks(again, methods, share) == mean_ranks(table, methods, share)
    head = "dataset,seed,share,a\n"
    for wrong, said in (
        ("", "f.csv has no errors of paired runs: no column 'seed'"),
        ("dataset,seed\n", "f.csv has no errors of paired runs: no column 'share'"),
        (head, "f.csv has no errors of paired runs: there are no rows"),
        (head + "x,0,half,1\n", "f.csv, line 2, column 'share': 'half' is no number"),
        (head + "x,0,0.5,1\nx,0.5,0.5,1\n", "f.csv, line 3, column 'seed': '0.5' is no number"),
        (head + "x,0,0.5\n", "f.csv, line 2, column 'a': None is no number"),
    ):
        with pytest.raises(FileFormatError, match=re.escape(said)):
            errors_of(wrong, "f.csv")


def test_only_what_is_between_marks_is_written(tmp_path):
    (tmp_path / "r.csv").write_text(errors_csv(rows(), ["activation", "dataset"]))
    page = "| a | b |\n<!-- table r.csv ratios -->\nold\n<!-- end -->\nthe end\n"
    new = write_tables(page, tmp_path)
    assert new.startswith(
        "| a | b |\n<!-- table r.csv ratios -->\n| method | 50% | 10% |\n|---|---|---|\n"
    )
    assert new.endswith("|\n<!-- end -->\nthe end\n") and "old" not in new
    assert ", 3 of 6; " in new  # where one data set was not reached
    assert write_tables(new, tmp_path) == new
    one = write_tables(page.replace("ratios", 'ranks methods="b"'), tmp_path)
    assert "| b |" in one and "| a | **" not in one


def test_behind_says_who_is_first_and_by_how_much(tmp_path):
    errors = {
        ("x", 0.5): {"a": [1.0, 2.0, 3.0], "b": [2.0, 1.0, 2.0], "c": [9.0, 9.0, None]},
        ("x", 0.1): {"a": [1.0, 2.0, 3.0], "b": [1.0, 2.0, 3.0], "c": [9.0, 9.0, 9.0]},
        ("y", 0.5): {"a": [1.0, 1.0, None], "b": [2.0, 2.0, 2.0], "c": [2.0, 2.0, 2.0]},
        ("y", 0.1): {"a": [1.0, 1.0, 1.0], "b": [0.5, 2.0, 3.0], "c": [4.0, 4.0, None]},
        ("z", 0.5): {"a": [1.0, 2.0, 2.0], "b": [1.0, 0.5, 0.5], "c": [9.0, 9.0, 9.0]},
        ("z", 0.1): {"a": [1.0, 2.0, 2.0], "b": [1.0, 2.0, 2.0], "c": [9.0, 9.0, 9.0]},
    }
    table = [
        {"activation": "relu", "dataset": d, "seed": s, "share": share, "method": m, "mse": mse, "mse_base": 1}
        for (d, share), found in errors.items() for m, values in found.items() for s, mse in enumerate(values)
    ]  # fmt: skip
    (tmp_path / "r.csv").write_text(errors_csv(table, ["activation", "dataset"]))
    text = write_tables(
        '<!-- table r.csv behind of=a methods="a;b;c" -->\n<!-- end -->\n', tmp_path
    )
    assert text.splitlines()[1:-1] == [
        "| data set | 50% | 10% |",
        "|---|---|---|",
        "| x | b: 20 %, 2 of 3 | first |",
        "| y | – | first |",
        "| z | b: 150 %, 2 of 3 * | first |",
    ]


def test_against_and_means_say_how_sure_they_are(tmp_path):
    errors = {
        "reaction": {"AFDE": [1.0, 2.0], "Wanda": [2.0, 4.0], "magnitude, global": [4.0, 8.0]},
        "metro": {"AFDE": [4.0, 6.0], "Wanda": [2.0, 3.0], "magnitude, global": [9.0, 9.0]},
    }
    table = [
        {"activation": "relu", "dataset": d, "seed": s, "share": 0.5, "method": m, "mse": mse, "mse_base": 1}
        for d, found in errors.items() for m, values in found.items() for s, mse in enumerate(values)
    ]  # fmt: skip
    (tmp_path / "r.csv").write_text(errors_csv(table, ["activation", "dataset"]))
    page = "".join(
        f"<!-- table r.csv {kind} -->\n<!-- end -->\n" for kind in ("against", "means share=0.5")
    )
    lines = write_tables(page, tmp_path).splitlines()
    # The ratio is ½ on one set and 2 on the other, on either seed: 1, and ½ or 2 where one set is drawn twice.
    assert "| AFDE | 1, 1 of 2; 1 (0.5–2) |" in lines
    assert lines[6:-1] == [
        "| method | reaction network | Metro | mean rank, first |",
        "|---|---|---|---|",
        "| uncompressed | 1 ± 0 | 1 ± 0 |  |",
        "| AFDE | 1.5 ± 0.71* | 5 ± 1.4 | **1.5 (1.0–2.0), 50 %** |",
        "| magnitude, global | 6 ± 2.8 | 9 ± 0 | 3.0 (3.0–3.0), 0 % |",
        "| Wanda | 3 ± 1.4 | 2.5 ± 0.71* | **1.5 (1.0–2.0), 50 %** |",
    ]


def test_right_has_a_column_for_each_network(tmp_path):
    table = [
        row | {"mse": 10.0 + (row["method"] == "b"), "mse_base": 5.0} for row in rows(shares=(0.5,))
    ]
    (tmp_path / "r.csv").write_text(errors_csv(table, ["activation", "dataset"]))
    text = write_tables("<!-- table r.csv right -->\n<!-- end -->\n", tmp_path)
    assert text.splitlines()[1:-1] == [
        "| method | x 50% | y 50% |",
        "|---|---|---|",
        "| (uncompressed) | 95.00 ± 0.00 | 95.00 ± 0.00 |",
        "| a | **90.00 ± 0.00; 1.0 (1.0–1.0), 100 %** | **90.00 ± 0.00; 1.0 (1.0–1.0), 100 %** |",
        "| b | 89.00 ± 0.00; 2.0 (2.0–2.0), 0 % | 89.00 ± 0.00; 2.0 (2.0–2.0), 0 % |",
    ]


def test_rows_of_networks_of_others_and_of_kernels(tmp_path):
    kinds = {
        "trained": csv_of(
            TrainedRow,
            [
                TrainedRow("a", "(as it is)", 1.0, False, 0.99, None),
                TrainedRow("a", "AFDE", 0.5, False, 0.9, None),
                TrainedRow("a", "quantized", 0.5, False, 0.95, None),
                TrainedRow("a", "magnitude", 0.5, False, None, None, "not reached"),
                TrainedRow("a", "AFDE", 0.5, True, 0.8, None),
                TrainedRow("a", "Wanda", 0.5, True, 0.8, None),
                TrainedRow("b", "(as it is)", 1.0, False, None, 0.0),
                TrainedRow("b", "AFDE", 0.3, False, None, 0.3),
                TrainedRow("b", "magnitude", 0.3, False, None, 0.2),
            ],
        ),
        "hmatrix": csv_of(KernelRow, [KernelRow(4, 1, 16, 1.0, 0.5, 2.0, 0.0, 0.0, 1.5, 2.5)]),
    }
    page = ""
    for name, text in kinds.items():
        (tmp_path / f"{name}.csv").write_text(text)
        page += f"<!-- table {name}.csv {name} -->\n<!-- end -->\n"
    lines = write_tables(page, tmp_path).splitlines()
    assert [line for line in lines if line.startswith(("| a", "| b", "| 4"))] == [
        "| a | (as it is) | 99.00 | 99.00 | 99.00 |",
        "| a | AFDE | **90.00** | **80.00** |  |",
        "| a | quantized | 95.00 |  |  |",
        "| a | magnitude | – |  |  |",
        "| a | Wanda |  | **80.00** |  |",
        "| b (error) | AFDE |  |  | 0.3 |",
        "| b (error) | magnitude |  |  | **0.2** |",
        "| 4 | 1 | 16 | 1.0 | 0.5 | 2.00 | 0.00e+00 | 0.00e+00 | 1.5 | 2.5 |",
    ]


@pytest.mark.parametrize(
    "mark, says",
    [
        ("r.csv", "write a file, the kind of a table"),
        ("r.csv rank", "did you mean 'ranks'"),
        ("r.csv ranks share=0.5", "ranks has no option 'share'"),
        ("r.csv means share=0.7", "there are rows for"),
        ("r.csv against rivals=all", "choose plain or refitted"),
        ("r.csv ranks group=tanh", "say group=…, one of 'relu'"),
        ("r.csv ranks methods=c", "r.csv has no 'c'; there are a, b"),
        ("none.csv ranks", "cannot be read"),
        ("r.csv behind of=c", "of=c: say of which method, one of a, b"),
        ("r.csv trained group=relu", "trained has no option 'group'"),
        ("r.csv trained", "these are no rows of bench trained"),
    ],
)
def test_marks_that_ask_for_what_is_not_there(tmp_path, mark, says):
    (tmp_path / "r.csv").write_text(errors_csv(rows(), ["activation", "dataset"]))
    with pytest.raises(FileFormatError, match=re.escape(says)):
        write_tables(f"<!-- table {mark} -->\n<!-- end -->\n", tmp_path)


def test_on_the_command_line(tmp_path, capsys):
    page, out = tmp_path / "page.md", tmp_path / "run" / "inside"
    page.write_text("<!-- table r.csv ranks -->\n<!-- end -->\n")
    out.mkdir(parents=True)
    (out / "r.csv").write_text(errors_csv(rows(), ["activation", "dataset"]))
    assert main(["bench", "pages", str(page)]) == 2  # no rows yet
    assert "r.csv cannot be read" in capsys.readouterr().err
    assert main(["bench", "pages", str(page), "--rows", str(tmp_path / "run")]) == 0
    assert "page.md: written" in capsys.readouterr().out and "| a |" in page.read_text()
    assert main(["bench", "pages", str(page), "--check"]) == 0
    text = page.read_text()
    page.write_text(text.replace("| a |", "| c |"))
    assert main(["bench", "pages", str(page), "--check"]) == 1
    assert "page.md: differs" in capsys.readouterr().out and "| c |" in page.read_text()
    assert main(["bench", "pages", str(page), "--check", "--rows", "x"]) == 2
    (tmp_path / "run" / "r.csv").write_text("")
    assert main(["bench", "pages", str(page), "--rows", str(tmp_path / "run")]) == 2
    assert "r.csv twice" in capsys.readouterr().err
    # What bench afde --output FOLDER wrote is FOLDER.csv.
    (tmp_path / "all" / "r").mkdir(parents=True)
    (tmp_path / "all" / "other").mkdir()
    for name, methods in (("r", "ab"), ("other", "cd")):
        text = errors_csv(rows(methods), ["activation", "dataset"])
        (tmp_path / "all" / name / "errors.csv").write_text(text)
    (tmp_path / "r.csv").unlink()
    assert main(["bench", "pages", str(page), "--rows", str(tmp_path / "all")]) == 0
    assert (tmp_path / "r.csv").read_text() == (tmp_path / "all/r/errors.csv").read_text()


def test_ranks_are_printed_again(tmp_path, capsys):
    path = tmp_path / "errors.csv"
    path.write_text("activation,hidden,dataset,seed,share,a,b\ntanh,8,x,0,0.5,1.0,2.0\n")
    assert main(["bench", "afde", "--ranks", str(path)]) == 0
    out = capsys.readouterr().out
    assert "tanh, 8:" in out and "| a | **1.0 (1.0–1.0), 100 %** |" in out
    assert main(["bench", "afde", "--ranks", str(path), "--seeds", "2"]) == 2
    assert "--seeds is for networks" in capsys.readouterr().err
