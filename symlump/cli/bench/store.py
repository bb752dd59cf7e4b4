"""``symlump bench store``."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeVar

from symlump.cli.answer import Answer
from symlump.progress import bar

DESCRIPTION = """\
Write a Markov chain with planted blocks, chunk by chunk, look through it, lump it on disk, compare the blocks
with the planted ones, and sort its terms once with the same engine. Every step is a process of its own
under RLIMIT_DATA, a limit on all private memory that it asks for, touched or not, set before it starts.

With --workers the rounds are made by so many processes of a Dask cluster on this machine, each under the
limit as Dask keeps it, and one of them is killed in the second round.
"""
_SIZES = "1e6,1e7"

_Row = TypeVar("_Row")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--transitions",
        default=_SIZES,
        metavar="N,…",
        help=f"how many transitions, powers of ten from 1e4 (default: {_SIZES}; 1e8 takes 9 GB of disk)",
    )
    parser.add_argument("--memory", default="2GB", metavar="SIZE", help="the limit (default: 2GB)")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="on a cluster of so many processes, 2 or more"
    )
    parser.add_argument(
        "--engines",
        action="store_true",
        help="instead: DuckDB and Polars at one round's join and sums, and at one sort",
    )
    parser.add_argument(
        "--models",
        metavar="DIR",
        help="instead: lump every model below a folder in memory and on disk, and compare",
    )
    parser.add_argument(
        "--folder", metavar="DIR", help="where to work (default: a temporary folder)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the chain (default: 0)")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")


def run(options: argparse.Namespace) -> Answer:
    """Measure."""
    from symlump.bench.store.measure import measure
    from symlump.cli.arguments import names
    from symlump.errors import MethodError
    from symlump.memory import size_text
    from symlump.tables import table_text

    if options.models is not None:
        return _models(options)
    sizes = []
    for text in names(options.transitions):
        try:
            size = round(float(text))
        except (ValueError, OverflowError):
            size = 0
        if size < 10**4 or str(size).strip("0") != "1":
            raise MethodError(f"--transitions {text}: give powers of ten from 1e4 on")
        sizes.append(size)
    if options.engines:
        return _engines(options, sizes)
    if options.workers is not None:
        return _on_cluster(options, sizes)
    rows = _measured(options, sizes, measure)
    cells = [
        (
            _power(row.transitions),
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


def _measured(
    options: argparse.Namespace, sizes: list[int], measure: Callable[..., _Row]
) -> list[_Row]:
    """What is measured of each size, in a temporary folder inside the given one."""
    from symlump.files import make_folder

    rows: list[_Row] = []
    parent = make_folder(options.folder) if options.folder else None
    with bar("chains", len(sizes)) as step, tempfile.TemporaryDirectory(dir=parent) as folder:
        for size in sizes:
            step(len(rows), f"{size} transitions")
            rows.append(measure(size, Path(folder), options.memory, seed=options.seed))
    return rows


def _power(transitions: int) -> str:
    """A power of ten as it is given to --transitions."""
    return f"{transitions:.0e}".replace("e+0", "e")


def _on_cluster(options: argparse.Namespace, sizes: list[int]) -> Answer:
    """Measure on a cluster, of which a worker is killed."""
    from symlump.bench.store.killed import measure_cluster
    from symlump.errors import MethodError
    from symlump.tables import table_text

    if options.workers < 2:
        raise MethodError(f"--workers {options.workers}: one is killed, so give 2 or more")
    rows = _measured(options, sizes, partial(measure_cluster, workers=options.workers))
    header = (
        *("transitions", "blocks", "planted", "workers", "killed", "tasks", "done again"),
        *("rounds", "lump s"),
    )
    cells = [
        (
            _power(row.transitions),
            str(row.blocks),
            "yes" if row.planted else "no",
            str(row.workers),
            "1" if row.killed else "0",
            str(row.tasks),
            str(row.again),
            str(row.rounds),
            f"{row.lump:.1f}",
        )
        for row in rows
    ]
    return Answer(
        lambda: [asdict(row) for row in rows],
        lambda: table_text(header, cells),
        0 if all(row.planted and row.killed for row in rows) else 1,
    )


def _engines(options: argparse.Namespace, sizes: list[int]) -> Answer:
    """Measure DuckDB and Polars."""
    from symlump.bench.store.engines import measure_engines
    from symlump.memory import size_text
    from symlump.tables import table_text

    rows = list(chain.from_iterable(_measured(options, sizes, measure_engines)))
    cells = [
        (
            _power(row.transitions),
            row.task,
            row.engine,
            "–" if row.seconds is None else f"{row.seconds:.1f}",
            "–" if row.peak is None else size_text(row.peak),
            row.said or ("yes" if row.right else "no"),
        )
        for row in rows
    ]
    header = ("transitions", "task", "engine", "seconds", "peak memory", "right")
    return Answer(lambda: [asdict(row) for row in rows], lambda: table_text(header, cells))


def _models(options: argparse.Namespace) -> Answer:
    """Compare models lumped in memory and on disk; what is done stays in --folder, if there is one."""
    from symlump.bench.store.models import compare_models, summary
    from symlump.files import make_folder

    parent = make_folder(options.folder) if options.folder else None
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        rows = compare_models(Path(options.models), parent or Path(folder))
    good = all(row.get("same") or "error" in row for row in rows)
    return Answer(lambda: rows, lambda: summary(rows), 0 if good else 1)
