"""Every public verb has a row in the growth table, or a reason that stands below it."""

import csv
import inspect
from operator import attrgetter
from pathlib import Path

import symlump as sl
from symlump.bench.speed.growth import TASKS
from symlump.bench.speed.verbs import MEASURED, UNMEASURED
from symlump.cli.main import COMMANDS
from symlump.compression.reduction import CompressionMethod
from symlump.lumping.equivalence import LumpingMethod

DOCS = Path(__file__).resolve().parents[2] / "docs" / "look-up"


def verbs():
    """Functions, methods of lumping and of compression, and commands."""
    public = {name: getattr(sl, name) for name in sl.__all__}
    for name, found in public.items():
        method = inspect.isclass(found) and issubclass(found, CompressionMethod | LumpingMethod)
        if inspect.isfunction(found) or method:
            yield name
    yield from (f"symlump {name}" for name in COMMANDS)


def test_every_verb_has_a_row_or_a_reason():
    listed = {**MEASURED, **UNMEASURED}
    assert set(verbs()) <= set(listed), "say in symlump/bench/speed/verbs.py which rows measure it"
    assert not set(MEASURED) & set(UNMEASURED)
    for name in set(listed) - set(verbs()):
        assert callable(attrgetter(name)(sl))  # methods of results
    assert all(rows for rows in MEASURED.values()) and all(UNMEASURED.values())
    assert {row for rows in MEASURED.values() for row in rows} == set(TASKS)


def test_the_page_has_every_row_and_every_reason():
    with (DOCS / "measured" / "growth.csv").open(newline="") as file:
        kept = [row["task"] for row in csv.DictReader(file)]
    assert {name: kept.count(name) for name in TASKS} == dict.fromkeys(TASKS, 4)
    assert set(kept) == set(TASKS)
    page = " ".join((DOCS / "measured.md").read_text(encoding="utf-8").split())
    for name, reason in UNMEASURED.items():
        assert f"`{name}` {reason}" in page
