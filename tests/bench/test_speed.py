"""``symlump bench engine``, ``readers`` and ``growth``, at small sizes."""

import json
from importlib.util import find_spec

import pytest

from symlump.bench.speed.growth import TASKS
from symlump.cli.main import main

#: What tasks import that is not there without an extra.
EXTRAS = {
    "sbml": "libsbml",
    "store": "duckdb",
    "store-lump": "duckdb",
    "onnx": "onnx",
    "cell-onnx": "onnx",
}
EXTRAS |= {name: "matplotlib" for name in TASKS if name.startswith("draw")}


def run(capsys, *arguments):
    code = main(["bench", *arguments])
    return code, *capsys.readouterr()


def test_bench_engine_quick(capsys):
    code, out, _ = run(capsys, "engine", "--quick", "--rows", "forward,chain", "--json")
    assert code == 0
    forward, chain = json.loads(out)
    assert "→ 58 blocks" in forward["what"] and chain["ratio"] > 1
    assert forward["reached"] is chain["reached"] is None  # of a tiny size
    code, out, _ = run(capsys, "engine", "--quick", "--rows", "backward-memory")
    assert code == 0 and "found, peak memory" in out and " GB " in out and "≤" not in out
    assert out.rstrip().endswith("–: no target is meant for that size")
    code, _, err = run(capsys, "engine", "--rows", "sideways")
    assert code == 2 and "choose from forward" in err


def test_bench_readers_and_growth_quick(capsys):
    code, out, _ = run(
        capsys, "readers", "--quick", "--rows", "tra,tra-numbers,reactions", "--json"
    )
    tra, numbers, reactions = json.loads(out)
    assert numbers["unit"] == "×" and "numbers only" in numbers["what"]
    assert code == 0 and tra["unit"] == "×" and reactions["unit"] == "MB/s"
    assert tra["ratio"] > 0 and tra["peak_mb"] > 0 and tra["reached"] is None
    code, out, _ = run(capsys, "growth", "--quick", "--rows", "forward", "--json")
    rows = json.loads(out)
    assert code == 0 and [row["size"] for row in rows] == [1000, 2000, 4000, 8000]
    assert rows[0]["time_exponent"] is None and rows[3]["time_exponent"] < 2
    code, _, err = run(capsys, "growth", "--rows", "sideways")
    assert code == 2 and "choose from forward" in err


@pytest.mark.parametrize("name", [name for name in TASKS if name not in ("forward", "tra")])
def test_every_task_grows(name):
    """What is found is compared with what was planted inside the tasks."""
    if name in EXTRAS:
        pytest.importorskip(EXTRAS[name], reason="one of the extras")
    function, _, quick = TASKS[name]
    seconds, megabytes = function(quick // 2)
    assert seconds > 0 and megabytes >= 1


def test_bench_against_storm(capsys):
    """Where it is not installed that is said, and nothing is judged; where it is, blocks agree."""
    code, out, _ = run(capsys, "engine", "--quick", "--rows", "storm-10000,storm-memory", "--json")
    row, memory = json.loads(out)
    assert (row["reach"], memory["reach"]) == (1.0, 2.0)  # whether installed or not
    assert memory["ratio"] is None or "MB" in memory["yardstick"]
    assert code == 0 and "→ 100 blocks, exact comparison" in row["what"]
    installed = find_spec("stormpy") is not None
    assert (row["ratio"] is not None) == installed == ("not installed" not in row["yardstick"])
