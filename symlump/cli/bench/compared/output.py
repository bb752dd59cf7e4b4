"""What commands on paired runs share: where results are kept as they arrive, and what is written at the end."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from symlump.cli.answer import Answer
from symlump.errors import MethodError


def add_options(parser: argparse.ArgumentParser, seeds: str) -> None:
    """Add the options that they have in common; ``seeds`` says what a seed is of."""
    parser.add_argument("--seeds", type=int, metavar="N", help=seeds)
    parser.add_argument(
        "--output",
        metavar="DIR",
        help="folder for results as they arrive, so that an interrupted run resumes, and for the errors",
    )
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")


def seeds_of(options: argparse.Namespace, default: int) -> int:
    """How many.

    Raises
    ------
    MethodError
        If there are none.
    """
    seeds = default if options.seeds is None else int(options.seeds)
    if seeds < 1:
        raise MethodError(f"--seeds {seeds}: give 1 or more")
    return seeds


@contextmanager
def cache_of(options: argparse.Namespace) -> Iterator[Path]:
    """The folder for results as they arrive; one that is removed where no output is named."""
    if options.output is not None:
        yield Path(options.output) / "results"
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)


def answer(
    options: argparse.Namespace,
    rows: list[dict[str, Any]],
    keys: Sequence[str],
    text: Callable[[], str],
) -> Answer:
    """The rows and their tables, after the errors were written to ``OUTPUT/EXPERIMENT.csv``."""
    from symlump.bench.compared.runs import errors_csv
    from symlump.files import make_folder, write_text

    if options.output is not None:
        path = make_folder(options.output) / f"{options.experiment}.csv"
        write_text(path, errors_csv(rows, keys))
    return Answer(lambda: rows, text)
