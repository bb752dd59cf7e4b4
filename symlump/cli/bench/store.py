"""``symlump bench store``."""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path

from symlump.cli.answer import Answer
from symlump.progress import bar

DESCRIPTION = """\
Write a Markov chain with planted blocks, chunk by chunk, look through it, lump it on disk, compare the blocks
with the planted ones, and sort its terms once with the same engine. Every step is a process of its own
under RLIMIT_DATA, a limit on all private memory that it asks for, touched or not, set before it starts.
"""
_SIZES = "1e6,1e7"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--transitions",
        default=_SIZES,
        metavar="N,…",
        help=f"how many transitions, powers of ten from 1e4 (default: {_SIZES}; 1e8 takes 20 GB of disk)",
    )
    parser.add_argument("--memory", default="2GB", metavar="SIZE", help="the limit (default: 2GB)")
    parser.add_argument(
        "--folder", metavar="DIR", help="where to work (default: a temporary folder)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the chain (default: 0)")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")


def run(options: argparse.Namespace) -> Answer:
    """Measure."""
    from symlump.bench.store.measure import StoreRow, measure
    from symlump.cli.arguments import names
    from symlump.errors import MethodError
    from symlump.files import make_folder
    from symlump.memory import size_text
    from symlump.tables import table_text

    sizes = []
    for text in names(options.transitions):
        try:
            size = round(float(text))
        except (ValueError, OverflowError):
            size = 0
        if size < 10**4 or str(size).strip("0") != "1":
            raise MethodError(f"--transitions {text}: give powers of ten from 1e4 on")
        sizes.append(size)
    rows: list[StoreRow] = []
    parent = make_folder(options.folder) if options.folder else None
    with bar("chains", len(sizes)) as step, tempfile.TemporaryDirectory(dir=parent) as folder:
        for size in sizes:
            step(len(rows), f"{size} transitions")
            rows.append(measure(size, Path(folder), options.memory, options.seed))
    cells = [
        (
            f"{row.transitions:.0e}".replace("e+0", "e"),
            str(row.blocks),
            "yes" if row.planted else "no",
            size_text(row.store_bytes),
            size_text(row.disk_bytes),
            f"{row.write:.1f}",
            f"{row.read:.1f}",
            f"{row.lump:.1f}",
            str(row.rounds),
            size_text(row.peak),
            f"{row.sort:.1f}",
            f"{row.ratio:.2f} ×",
        )
        for row in rows
    ]
    header = (
        *("transitions", "blocks", "planted", "store", "beside it", "write s", "read s", "lump s"),
        *("rounds", "peak memory", "sort s", "lump/sort"),
    )
    return Answer(
        lambda: [asdict(row) | {"ratio": row.ratio, "reached": row.reached} for row in rows],
        lambda: table_text(header, cells),
        0 if all(row.planted for row in rows) else 1,
    )
