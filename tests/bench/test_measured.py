"""Rows of experiments are kept beside a page, and its tables are theirs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from symlump.bench.bounds.crown import CrownRow
from symlump.bench.kept.table import Origin
from symlump.bench.measured.page import MISSES, TABLES, page
from symlump.bench.networks import WideRow
from symlump.bench.proofs import ProofRow
from symlump.bench.rational import RationalRow
from symlump.bench.speed.growth import TASKS
from symlump.bench.speed.rows import EngineRow
from symlump.cli.main import main
from symlump.errors import FileFormatError

DOCS = Path(__file__).resolve().parents[2] / "docs"
HERE = Origin("symlump bench engine --rows a,b", 0.25)


def engine_row(name, ratio, **changes):
    return EngineRow(f"task {name}", 1.5, "a sort", ratio, "×", 1.0, name=name, **changes)


@pytest.mark.parametrize("name", ["look-up/measured.md", "learn/bounds-networks.md"])
def test_pages_have_the_tables_of_the_rows_beside_them(name):
    """``symlump bench measured PAGE --from docs/look-up/measured`` writes them anew."""
    text = (DOCS / name).read_text(encoding="utf-8")
    assert "<!-- measured " in text
    assert page(DOCS / "look-up" / "measured", text) == text


def test_every_table_is_on_the_page():
    text = (DOCS / "look-up" / "measured.md").read_text(encoding="utf-8")
    for name in (MISSES, *TABLES):
        assert text.count(f"<!-- measured {name} -->\n") == 1, name


def test_rows_that_the_page_has_to_show_are_kept():
    """What a table has to show is not left out of it."""
    folder = DOCS / "look-up" / "measured"
    kept = {name: [row for _, row in table.kept(folder)] for name, table in TABLES.items()}
    engine = {"forward", "forward-proved", "backward", "markov", "chain", "tolerance"}
    storm = {"storm-10000", "storm-100000", "storm-400000", "storm-quotient", "storm-memory"}
    assert engine | storm <= {row.name for row in kept["engine"]}
    assert {row.width for row in kept["networks"]} == {256, 512, 1024, 2048}
    assert {row.width for row in kept["bounds"]} == {64, 256, 1024}
    assert len(kept["start"]) == 4 and len(kept["readers"]) >= 5
    assert {row.task for row in kept["growth"]} == set(TASKS)
    for task in TASKS:
        sizes = [row.size for row in kept["growth"] if row.task == task]
        assert [size / sizes[0] for size in sizes] == [1, 2, 4, 8]
    assert all(row.judged for row in kept["engine"] + kept["readers"])


#: Rows that have to be judged, and by which column, with the targets as they are shown.
JUDGED = {
    "engine": {
        "storm-10000": "≤ 1",
        "storm-100000": "≤ 1",
        "storm-400000": "≤ 1",
        "storm-memory-10000": "≤ 2",
        "storm-memory-100000": "≤ 2",
        "storm-memory": "≤ 2",
        "markov": "≤ 3",
        "backward": "≤ 2",
        "backward-memory": "≤ 1.5",
        "forward-proved": "≤ 4",
        "chain": "≤ 2.1",
    },
    "readers": {"tra": "≤ 1", "tra-decimals": "≤ 1", "reactions": "≥ 8.36", "sbml": "≤ 1.7"},
    "networks": {
        f"{task} {width}": target
        for task, target, most in (
            ("AFDE, 40 %, one unit", "≤ 1.5", 2048),
            ("AFDE, 40 %, three units", "≤ 1.5", 2048),
            ("Dependence, 40 %", "≤ 5", 1024),
            ("Hierarchical, ε = 0.1", "≤ 5", 1024),
        )
        for width in (256, 512, 1024, 2048)
        if width <= most
    },
    "bounds": {str(width): "≤ 3" for width in (64, 256, 1024)},
    "start": {
        "symlump lump small.ode": "≤ 12 ×",
        "symlump --help": "≤ 4 ×",
        "first compress of a chain": "≤ +1 s",
    },
}


@pytest.mark.parametrize("name", JUDGED)
def test_every_target_is_judged_by_a_row(name):
    """By the row, not by the reader; with spread and peak memory beside it."""
    table = TABLES[name]
    rows = [row for _, row in table.kept(DOCS / "look-up" / "measured")]
    shown = {}
    for row in rows:
        place = " ".join(str(getattr(row, part)) for part in table.key)
        shown[place] = dict(zip(table.header, table.cells(row), strict=True))
    for place, target in JUDGED[name].items():
        said = shown[place]
        assert (said["target"], said["reached"] in ("yes", "no")) == (target, True), place
        assert float(said["max/min"]) >= 1
        assert float(next(said[head] for head in said if head.startswith("peak"))) > 0


def test_sizes_without_a_target_are_judged_by_none():
    few = engine_row("small", 9.0, judged=False)
    wide = WideRow("encode", 64, 1.0, 1.0, "a copy", 99.0, 20.0, 2.0)
    beside = CrownRow(32, 9.0, 1.0, 9.0, 0.01, 1.0, 9.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    for name, row in (("engine", few), ("networks", wide), ("bounds", beside)):
        cells = TABLES[name].cells(row)
        assert not {"yes", "no"} & set(cells), name
        assert cells[TABLES[name].header.index("target")] == "–"
        larger = replace(row, judged=True) if name == "engine" else replace(row, width=256)
        assert "no" in TABLES[name].cells(larger)


def test_a_bound_is_looser_if_it_is_looser_than_either_reference():
    table = TABLES["bounds"]
    column = table.header.index("never looser")
    row = CrownRow(64, 1.0, 4.0, 3.0, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0)
    assert table.cells(row)[column] == "yes"
    for value, said in ((2.0, "no"), (3.5, "yes")):
        found = replace(row, lirpa=value, lirpa_seconds=1.0, lirpa_made=1.0)
        assert table.cells(found)[column] == said
    assert table.cells(replace(row, crown=2.0))[column] == "no"


def test_a_missed_bound_is_listed_with_its_figures(tmp_path):
    row = CrownRow(64, 60.0, 70.0, 65.0, 0.5, 1.0, 8.0, 2.0, 1.0, 1.0)
    TABLES["bounds"].keep(tmp_path, row, HERE)
    text = page(tmp_path)
    assert "- `bounds`, 64: time / CROWN 4.0 ×, target ≤ 3\n" in text
    assert "- `bounds`, 64: ≤ 100 ×: no\n" in text and "2 of 3 targets are missed." in text


def test_a_row_takes_the_place_of_the_one_before(tmp_path):
    table = TABLES["engine"]
    for name, ratio in (("a", 0.5), ("b", 3.0), ("a", 0.25), ("c", None)):
        table.keep(tmp_path, engine_row(name, ratio, at_most=name != "b"), HERE)
    (a, b, c) = table.kept(tmp_path)
    assert (a[0], a[1]) == (HERE, engine_row("a", 0.25))
    assert b[1] == engine_row("b", 3.0, at_most=False) and c[1].ratio is None


def test_numbers_texts_and_dicts_come_back(tmp_path):
    rational = RationalRow("back, ward", 3, 4, 5, {"find": 0.5, "load": 2.0}, {"find": 0.25})
    proof = ProofRow("3 sites", 1, 2, 3, 4, 0.5, 1.5, 2.5, 3.5, 20.0, False)
    for name, row in (("rational", rational), ("proofs", proof)):
        TABLES[name].keep(tmp_path, row, Origin("x", None))
        assert TABLES[name].kept(tmp_path) == [(Origin("x", None), row)]


def test_misses_are_marked_and_listed(tmp_path):
    table = TABLES["engine"]
    judged = {"small": {"judged": False}, "slow": {}, "fast": {}, "rate": {"at_most": False}}
    for name, ratio in (("fast", 0.5), ("slow", 3.0), ("small", 9.0), ("rate", 0.5)):
        table.keep(tmp_path, engine_row(name, ratio, **judged[name]), HERE)
    text = page(tmp_path)
    lines = {line.split()[1]: line for line in text.splitlines() if line.startswith("task ")}
    marked = {name for name, line in lines.items() if line.endswith("← missed")}
    assert set(lines) == set(judged) and marked == {"slow", "rate"}
    assert "- `engine`, slow: 3 ×, target ≤ 1\n" in text and "≥ 1\n" in text
    assert "2 of 3 targets are missed." in text
    assert "By `symlump bench engine --rows a,b`; load of the machine 0.2 to 0.2." in text
    assert page(tmp_path, text) == text
    old = text.replace("slow", "other").replace("## Engine", "Words stay.")
    assert "Words stay." in page(tmp_path, old) and "other" not in page(tmp_path, old)


def test_what_does_not_fit_is_said(tmp_path):
    with pytest.raises(FileFormatError, match="has no rows"):
        page(tmp_path)
    TABLES["engine"].keep(tmp_path, engine_row("a", 1.0), HERE)
    place = "<!-- measured {} -->\n<!-- end -->\n"
    with pytest.raises(FileFormatError, match="'engin'; there are misses, engine"):
        page(tmp_path, place.format("engin"))
    with pytest.raises(FileFormatError, match="symlump bench readers --output"):
        page(tmp_path, place.format("readers"))
    with pytest.raises(FileFormatError, match=r"no place for .*engine\.csv: add"):
        page(tmp_path, place.format("misses"))
    assert "task a" in page(tmp_path, place.format("engine"))
    (tmp_path / "engine.csv").write_text("command,load,what\nx,,y\n")
    with pytest.raises(FileFormatError, match=r"no rows of bench engine, as .*engine\.csv"):
        page(tmp_path)


def test_on_the_command_line(tmp_path, capsys):
    folder = tmp_path / "measured"
    command = ["bench", "bounds", "--crown", "--width", "8"]
    assert main([*command, "--output", str(folder), "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    ((origin, row),) = TABLES["bounds"].kept(folder)
    assert origin.command == "symlump bench bounds --crown --width 8"
    assert row.width == 8 and row.bound == pytest.approx(shown["bound"], rel=1e-5)
    name = str(tmp_path / "measured.md")
    assert main(["bench", "measured", name]) == 0
    text = Path(name).read_text(encoding="utf-8")
    assert text == page(folder) and "## Bounds" in text
    assert main(["bench", "measured", name, "--from", str(tmp_path)]) == 2
    assert Path(name).read_text(encoding="utf-8") == text
    for wrong, says in (
        (["bench", "growth", "--quick", "-o", str(folder)], "--quick is a first impression"),
        (["bench", "bounds", "-o", str(folder)], "--output is for --crown"),
        (["bench", "proofs", "--coq", "-o", str(folder)], "--output is for"),
    ):
        capsys.readouterr()
        assert main(wrong) == 2
        assert says in capsys.readouterr().err
