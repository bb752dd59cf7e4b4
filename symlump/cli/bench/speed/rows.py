"""``symlump bench engine`` and ``readers``: rows beside their yardsticks."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from symlump.cli.answer import Answer
from symlump.cli.arguments import names as comma_separated
from symlump.cli.bench.speed.measured import Measured, add_output
from symlump.progress import bar
from symlump.suggest import did_you_mean

if TYPE_CHECKING:
    from symlump.bench.kept.table import KeptTable
    from symlump.bench.speed.rows import EngineRow, Rows


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``symlump bench engine``."""
    _add_options(parser, "forward, forward-proved, backward, markov, storm-10000, chain, …")


def add_readers_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``symlump bench readers``."""
    _add_options(parser, "tra, tra-numbers, tra-decimals, reactions, equations, sbml")


def _add_options(parser: argparse.ArgumentParser, names: str) -> None:
    parser.add_argument(
        "--quick",
        action="store_true",
        help="small sizes, measured once, which no target is meant for: seconds, not minutes",
    )
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--rows", metavar="A,B,…", help=f"only these rows: {names}")
    add_output(parser)


def run_engine(options: argparse.Namespace) -> Answer:
    """Measure the engine."""
    from symlump.bench.speed.engine import ROWS
    from symlump.bench.speed.rows import ENGINE

    return _run(options, ROWS, ENGINE)


def run_readers(options: argparse.Namespace) -> Answer:
    """Measure the readers."""
    from symlump.bench.speed.readers import ROWS
    from symlump.bench.speed.rows import READERS

    return _run(options, ROWS, READERS)


def _run(options: argparse.Namespace, all_rows: Rows, table: KeptTable[EngineRow]) -> Answer:
    from symlump.bench.speed.rows import measure

    names = choose_rows(options.rows, all_rows)
    measured = Measured(options, table)
    with bar("measuring", len(names)) as step:
        for done, name in enumerate(names):
            step(done, name)
            measured.add(measure(all_rows, name, options.quick))
    return measured.answer()


def choose_rows(asked: str | None, known: Mapping[str, object]) -> list[str]:
    """The names of some rows, comma-separated; by default all.

    Raises
    ------
    MethodError
        If there is no such row.
    """
    from symlump.errors import MethodError

    names = list(known) if asked is None else comma_separated(asked)
    for name in names:
        if name not in known:
            meant = did_you_mean(name, known, "choose from ")
            raise MethodError(f"--rows: there is no row {name!r}{meant}{', '.join(known)}")
    return names
