"""``symlump bench anneal``: annealing on handwritten digits."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace

from symlump.cli.answer import Answer
from symlump.cli.arguments import declare_files
from symlump.progress import bar

DESCRIPTION = """\
Train an over-parametrized ReLU network on the handwritten digits that come with scikit-learn, remove linearly
dependent units in steps with training between them until 1 % of the parameters are left, and compare with
removing them at once and with a small network trained from scratch. Some minutes; seconds with --quick.

example:
  symlump bench anneal --picture annealing.png
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.add_argument("--quick", action="store_true", help="a small version: seconds")
    parser.add_argument("--seeds", type=int, metavar="N", help="how many (default: 3, --quick: 1)")
    parser.add_argument(
        "--checkpoints",
        metavar="DIR",
        help="a folder, made if need be; an interrupted run resumes from there",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="processes that share the seeds (default: 1)",
    )
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="share them among the workers of a Dask cluster"
    )
    parser.add_argument("--picture", metavar="FILE", help="write the curve, as .png, .svg or .pdf")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    declare_files(parser, writes=("picture",))


def run(options: argparse.Namespace) -> Answer:
    """Run the experiment."""
    from symlump.bench.anneal import QUICK, AnnealExperiment, draw
    from symlump.bench.anneal import run as measure
    from symlump.display.drawing import picture_format, save_picture
    from symlump.errors import MethodError
    from symlump.tables import table_text

    if options.picture is not None:
        picture_format(options.picture)
    plan = QUICK if options.quick else AnnealExperiment()
    if options.seeds is not None:
        plan = replace(plan, seeds=tuple(range(options.seeds)))
    if not plan.seeds:
        raise MethodError(f"--seeds {options.seeds}: give 1 or more")
    with bar("seeds", len(plan.seeds)) as step:
        results = measure(
            plan,
            folder=options.checkpoints,
            each=step,
            workers=options.jobs,
            scheduler=options.scheduler,
        )
    rows = [result.row for result in results]
    if options.picture is not None:
        save_picture(draw(results), options.picture)
    header = (
        *("seed", "parameters", "retained", "widths", "whole network", "annealed", "points lost"),
        *("at once", "from scratch"),
    )
    cells = [
        (
            str(row.seed),
            str(row.parameters),
            f"{row.retained_parameters} ({100 * row.retained:.2f} %)",
            "–".join(map(str, row.widths)),
            f"{100 * row.accuracy:.2f} %",
            f"{100 * row.annealed:.2f} %",
            f"{row.points_lost:.2f}",
            f"{100 * row.at_once:.2f} %",
            f"{100 * row.from_scratch:.2f} %",
        )
        for row in rows
    ]
    return Answer(
        lambda: [asdict(row) | {"points_lost": row.points_lost} for row in rows],
        lambda: f"{results[0].text}\n\n{table_text(header, cells)}",
    )
