"""``symlump bench pinn`` and ``symlump bench hmatrix``: hierarchical matrices."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from symlump.cli.answer import Answer
from symlump.cli.arguments import names, shares
from symlump.cli.bench.compared.output import cache_of
from symlump.errors import MethodError
from symlump.progress import bar

DESCRIPTION = """\
Train tanh networks on Poisson's, Burgers' and Helmholtz' equation, compress each to the same storage by
every method and some one after the other, compare loss, solution, tangent kernel and time with the original's,
and train each further in its compressed form. A weight counts 32 bits; positions of zeros are not counted.

With --output results are kept in OUTPUT/results as they arrive, so an interrupted run resumes: give the same
command again. Writes OUTPUT/pinn.csv.
"""

HMATRIX_DESCRIPTION = """\
Store the matrix 1/max(|x − y|, h) for points on a line as a hierarchical matrix, within a relative error of
10⁻³: storage against the dense matrix and one truncated SVD, growth with the number of points, time. With
--output writes OUTPUT/hmatrix.csv.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``bench pinn``."""
    parser.add_argument("--quick", action="store_true", help="one small network: a minute")
    parser.add_argument("--problems", metavar="A,B,…", help="poisson, burgers, helmholtz")
    parser.add_argument("--shares", metavar="A,B,…", help="of the storage (default: 0.5,0.25)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the first (default: 0)")
    parser.add_argument(
        "--seeds",
        type=int,
        default=1,
        metavar="N",
        help="how many; tables hold medians (default: 1)",
    )
    parser.add_argument("--methods", metavar="A;B;…", help="only these, separated by semicolons")
    parser.add_argument(
        "--evaluations",
        type=int,
        metavar="N",
        help="of the loss in the training after compression (default: 200)",
    )
    parser.add_argument("--output", metavar="DIR", help="folder for results as they arrive")
    _add_format(parser)


def run(options: argparse.Namespace) -> Answer:
    """Run ``bench pinn``."""
    from symlump.bench.physics_informed.experiment import (
        QUICK,
        PinnExperiment,
        PinnRow,
        markdown,
        text,
    )
    from symlump.bench.physics_informed.experiment import run as run_plan

    plan = replace(QUICK if options.quick else PinnExperiment(), seeds=_seeds(options))
    if options.problems is not None:
        plan = replace(plan, problems=tuple(names(options.problems)))
    if options.shares is not None:
        plan = replace(plan, shares=shares(options.shares))
    if options.methods is not None:
        plan = replace(plan, methods=tuple(part.strip() for part in options.methods.split(";")))
    if options.evaluations is not None:
        if options.evaluations < 1:
            raise MethodError(f"--evaluations {options.evaluations}: give 1 or more")
        plan = replace(plan, evaluations=options.evaluations)
    with cache_of(options) as cache, bar("physics-informed networks", 1000) as step:
        rows = run_plan(plan, cache, lambda done, total, said: step(1000 * done // total, said))
    return _answer(options, PinnRow, rows, text, markdown)


def add_hmatrix_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``bench hmatrix``."""
    parser.add_argument("--quick", action="store_true", help="up to 1024 points: seconds")
    parser.add_argument("--output", metavar="DIR", help="folder for the rows")
    _add_format(parser)


def run_hmatrix(options: argparse.Namespace) -> Answer:
    """Run ``bench hmatrix``."""
    from symlump.bench.hmatrix import KernelRow, markdown, measure, text

    sizes = (256, 512, 1024) if options.quick else (512, 1024, 2048, 4096)
    rows = []
    with bar("kernel matrices", len(sizes)) as step:
        for done, size in enumerate(sizes):
            step(done, f"{size} points")
            rows.append(measure(size))
    return _answer(options, KernelRow, rows, text, markdown)


def _answer(
    options: argparse.Namespace,
    kind: type[Any],
    rows: Sequence[Any],
    text: Callable[[Sequence[Any]], str],
    markdown: Callable[[Sequence[Any]], str],
) -> Answer:
    """The rows as ``--format`` says, after they were written to ``OUTPUT/EXPERIMENT.csv``."""
    from symlump.bench.kept.rows import csv_of
    from symlump.files import make_folder, write_text

    if options.output is not None:
        write_text(make_folder(options.output) / f"{options.experiment}.csv", csv_of(kind, rows))
    forms: dict[str, Callable[[Sequence[Any]], str]] = {
        "text": text,
        "csv": partial(csv_of, kind),
        "markdown": markdown,
    }
    shown = forms[options.format]
    return Answer(lambda: [asdict(row) for row in rows], lambda: shown(rows).rstrip())


def _add_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format", choices=("text", "csv", "markdown"), default="text", help="of the rows"
    )
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")


def _seeds(options: argparse.Namespace) -> tuple[int, ...]:
    if options.seeds < 1 or options.seed < 0:
        raise MethodError(
            f"--seed {options.seed} --seeds {options.seeds}: give a first seed from 0 up, and at least one"
        )
    return tuple(range(options.seed, options.seed + options.seeds))
