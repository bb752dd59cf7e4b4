"""``symlump bench``: the measurements of the documentation."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from symlump.cli.progress import bar

if TYPE_CHECKING:
    from symlump.bench.engine import Row

_DESCRIPTION = """\
Measure symlump on this machine. Figures are ratios to a yardstick measured beside them (a sort of as many
numbers as the system has terms, say), because times wander and ratios hold.

experiments:
  engine   the exact engine: forward and backward equivalence at millions of terms, the worst case,
           reading, export. The full size takes some minutes and 4 GB; --quick takes seconds.
  proofs   certificates of multisite phosphorylation with 2 to 6 sites: size, writing, checking.
"""


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "bench",
        help="measure symlump on this machine",
        description=_DESCRIPTION,
        epilog="example:\n  symlump bench engine --quick",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("experiment", choices=("engine", "proofs"), help="what to measure")
    parser.add_argument("--quick", action="store_true", help="small sizes: seconds, not minutes")
    parser.add_argument(
        "--rows",
        metavar="A,B,…",
        help="only these rows: forward, forward-proved, backward, chain, …",
    )
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    if options.experiment == "proofs":
        return _proofs(options)
    from symlump.bench.engine import ROWS, measure
    from symlump.errors import MethodError

    names = list(ROWS) if options.rows is None else options.rows.split(",")
    for name in names:
        if name not in ROWS:
            raise MethodError(f"--rows: there is no row {name!r}; choose from {', '.join(ROWS)}")
    rows: list[Row] = []
    with bar("measuring", len(names)) as step:
        for name in names:
            step(len(rows), name)
            rows.append(measure(name, options.quick))
    if options.json:
        print(json.dumps([asdict(row) | {"reached": row.reached} for row in rows], indent=2))
    else:
        print(_table(rows))
    return 0


def _proofs(options: argparse.Namespace) -> int:
    from symlump.bench.proofs import measure
    from symlump.display.tables import table_text

    sizes = range(2, 5 if options.quick else 7)
    rows = []
    with bar("certificates", len(sizes)) as step:
        for done, sites in enumerate(sizes, start=1):
            rows.append(measure(sites))
            step(done, f"{sites} sites")
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return 0
    cells = [
        (
            str(row.sites),
            str(row.variables),
            str(row.terms),
            str(row.blocks),
            str(row.records),
            f"{row.megabytes:.2f}",
            f"{row.seconds_to_write:.3f}",
            f"{row.seconds_to_check:.3f}",
            f"{row.per_megabyte:.2f}",
            "yes" if row.coarsest else "no",
        )
        for row in rows
    ]
    header = [
        "sites",
        "variables",
        "terms",
        "blocks",
        "records",
        "MB",
        "write,s",
        "check,s",
        "check,s/MB",
        "coarsest",
    ]
    print(table_text(header, cells))
    return 0


def _table(rows: list[Row]) -> str:
    from symlump.display.tables import table_text

    cells = [
        (
            row.what,
            f"{row.seconds:.2f}",
            f"{row.ratio:.3g} {row.unit}",
            f"{'≤' if row.at_most else '≥'} {row.reach:g}",
            "yes" if row.reached else "no",
            str(row.peak_mb),
            row.yardstick,
        )
        for row in rows
    ]
    header = ("what", "seconds", "measured", "target", "reached", "peak MB", "yardstick")
    return table_text(header, cells)
