"""``symlump bench linear``: linear lumping, from a model to its quotient."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from symlump.cli.answer import Answer
from symlump.progress import working

if TYPE_CHECKING:
    from symlump.bench.linear.clue import Beside
    from symlump.bench.linear.forward import BesideForward
    from symlump.bench.linear.growth import Growth
    from symlump.bench.speed.rows import EngineRow

DESCRIPTION = """\
Measure the smallest linear lumping that keeps given observables, in seconds. One model is generated; the
other is a file, fceri_ji.ode, measured where --models names the folder that it is in. --growth adds random
systems of growing size, --compare files that CLUE reads and lumps in the same process, where it is installed,
--forward files whose forward equivalence is measured beside.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--quick", action="store_true", help="a small size")
    parser.add_argument("--models", metavar="FOLDER", help="the folder that holds fceri_ji.ode")
    parser.add_argument("--growth", action="store_true", help="random systems of growing size")
    parser.add_argument(
        "--compare",
        nargs=2,
        action="append",
        default=[],
        metavar=("FILE", "OBSERVABLES"),
        help='compare with CLUE on a model, with observables such as "S0; S1 + S2" (repeatable)',
    )
    parser.add_argument(
        "--forward",
        nargs=2,
        action="append",
        default=[],
        metavar=("FILE", "NAME"),
        help="compare with the forward equivalence that keeps a variable, as commands and alone (repeatable)",
    )
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")


def run(options: argparse.Namespace) -> Answer:
    """Run the experiment."""
    from symlump.bench.linear.clue import beside
    from symlump.bench.linear.forward import beside_forward
    from symlump.bench.linear.growth import growth
    from symlump.bench.linear.measure import measure

    only = bool(options.growth or options.compare or options.forward) and options.models is None
    with working("measuring"):
        cases = [(file, keep) for file, keep in options.compare]
        compared = beside(cases) if cases else []
        rows = [] if only else measure(options.quick, options.models)
        grown = growth(options.quick) if options.growth else []
        others = beside_forward([(file, name) for file, name in options.forward])
    return Answer(
        lambda: _data(rows, grown, compared, others),
        lambda: "\n\n".join(_tables(rows, grown, compared, others)),
    )


def _data(
    rows: list[EngineRow],
    grown: list[Growth],
    compared: list[Beside],
    others: list[BesideForward],
) -> Any:
    measured = [asdict(row) | {"reached": row.reached} for row in rows]
    if not (grown or compared or others):
        return measured
    return {
        "rows": measured,
        "growth": [asdict(row) for row in grown],
        "beside_clue": [asdict(row) for row in compared],
        "beside_forward": [asdict(row) for row in others],
    }


def _tables(
    rows: list[EngineRow],
    grown: list[Growth],
    compared: list[Beside],
    others: list[BesideForward],
) -> list[str]:
    from symlump.tables import table_text

    tables = []
    if rows:
        heads = ("what", "seconds", "measured", "target", "reached", "peak MB")
        tables.append(table_text(heads, [_measured(row) for row in rows]))
    if grown:
        grew = ("what", "variables", "rows", "seconds", "ns / (variables²·rows)", "proof")
        tables.append(table_text(grew, [_grown(row) for row in grown]))
    if compared:
        both = ("file", "keeps", "variables", "rows", "ms", "CLUE ms", "ratio", "with reading")
        tables.append(table_text(both, [_compared(row) for row in compared]))
    if others:
        sizes = ("file", "keeps", "variables", "terms", "rows")
        alone = ("reading", "constrained", "forward")
        whole = ("its command", "command of forward", "ratio")
        lines = [_beside_forward(row) for row in others]
        tables.append(table_text((*sizes, *alone, *whole), lines))
    return tables


def _measured(row: EngineRow) -> tuple[str, ...]:
    reached = "yes" if row.reached else "no"
    times = f"{row.seconds:.2f}", f"{row.ratio:.2f} {row.unit}", f"≤ {row.reach:g}"
    return row.what, *times, reached, str(row.peak_mb)


def _grown(row: Growth) -> tuple[str, ...]:
    proof = {True: "accepted", False: "refused", None: "–"}[row.checked]
    sizes = row.what, str(row.variables), str(row.rows)
    return *sizes, f"{row.seconds:.2f}", f"{row.per_unit:.0f}", proof


def _compared(row: Beside) -> tuple[str, ...]:
    sizes = row.file.rsplit("/", 1)[-1], row.observables, str(row.variables), str(row.rows)
    times = f"{1e3 * row.ours:.2f}", f"{1e3 * row.theirs:.2f}"
    return *sizes, *times, f"{row.ratio:.1f}", f"{row.whole_ratio:.1f}"


def _beside_forward(row: BesideForward) -> tuple[str, ...]:
    sizes = str(row.variables), str(row.terms), str(row.rows)
    times = row.reading, row.lumping, row.forward, row.command, row.forward_command
    seconds = (f"{value:.2f}" for value in times)
    return row.file.rsplit("/", 1)[-1], row.observable, *sizes, *seconds, f"{row.ratio:.1f}"
