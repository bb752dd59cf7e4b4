"""``symlump bench afde``: the evaluation of network compression."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symlump.cli.answer import Answer
from symlump.cli.arguments import declare_files, refuse, shares
from symlump.cli.arguments import names as comma_separated
from symlump.errors import MethodError
from symlump.progress import bar

if TYPE_CHECKING:
    from symlump.bench.afde import Evaluation

DESCRIPTION = """\
Train networks on eight data sets (four generated, four public), compress each by every method at 90 to 10 % of
its parameters, without and with further training, and compare test errors over seeds.

Results are kept in OUTPUT/results as they arrive, so an interrupted run resumes: give the same
command again. Writes OUTPUT/results.csv, errors.csv (tuned.csv after further training), summary.md and, with
matplotlib, pictures.

examples:
  symlump bench afde --quick
  symlump bench afde --data ~/uci --jobs 2 --output evaluation
  symlump bench afde --datasets glycolysis,circuit --methods "AFDE;Wanda" --activations tanh --seeds 2
"""

_GENERATED = "reaction,circuit,polymerization,glycolysis"
#: Methods that the pictures show: as many as have distinct colours.
_SHOWN = (
    "AFDE",
    "AFDE, sums",
    "AFDE, fitted",
    "dependence",
    "truncated SVD",
    "magnitude, global",
    "magnitude, layerwise",
    "Wanda",
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="folder with the public sets (default: $SYMLUMP_DATA, else they are downloaded)",
    )
    parser.add_argument(
        "--datasets", metavar="A,B,…", help=f"only these; generated ones: {_GENERATED}"
    )
    parser.add_argument("--methods", metavar="A;B;…", help="only these, separated by semicolons")
    parser.add_argument(
        "--activations",
        metavar="A;B;…",
        help="separated by semicolons (default: tanh;relu;polynomial:0,1,0.2)",
    )
    parser.add_argument(
        "--hidden",
        metavar="M,N;…",
        help="hidden widths, several choices separated by semicolons (default: 64,64)",
    )
    parser.add_argument(
        "--shares",
        metavar="A,B,…",
        help="of the parameters to keep (default: 0.9,0.8,0.6,0.4,0.3,0.2,0.1)",
    )
    parser.add_argument("--seeds", type=int, metavar="N", help="how many (default: 5)")
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="processes on this machine (default: 1)"
    )
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="of a Dask cluster, instead of --jobs"
    )
    parser.add_argument("--quick", action="store_true", help="a small version: minutes")
    parser.add_argument("--no-tuning", action="store_true", help="no training after compression")
    parser.add_argument(
        "--bounds", action="store_true", help="certified bounds too, which take time"
    )
    parser.add_argument(
        "--output", default="symlump-afde", metavar="DIR", help="folder (default: symlump-afde)"
    )
    parser.add_argument(
        "--ranks", metavar="FILE.csv", help="only print the mean ranks of the errors.csv of a run"
    )
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    declare_files(parser, reads=("ranks",))


def run(options: argparse.Namespace) -> Answer:
    """Run the experiment."""
    if options.ranks is not None:
        return _ranks(options)
    from symlump.bench.afde import evaluate
    from symlump.bench.tables import markdown
    from symlump.files import make_folder

    plan = _plan(options)
    folder = make_folder(options.output)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the processes to come: one core each
    with _bars() as step:
        rows = evaluate(
            plan,
            folder / "results",
            options.data,
            options.jobs,
            options.scheduler,
            step,
        )
    _write(rows, folder)
    return Answer(
        lambda: rows,
        lambda: (
            f"{markdown(rows)}\nwritten to {folder}: results.csv, errors.csv, summary.md, pictures"
        ),
    )


def _ranks(options: argparse.Namespace) -> Answer:
    from symlump.bench.compared.ranks import ranks_tables
    from symlump.bench.compared.runs import errors_of
    from symlump.datasets.fetch import read_text

    others: dict[str, Any] = {"quick": False, "no_tuning": False, "bounds": False, "jobs": 1}
    others |= dict.fromkeys(
        ("data", "datasets", "methods", "activations", "hidden", "shares", "seeds", "scheduler")
    )
    refuse(options, others, "is for networks that are trained, not for --ranks")
    text = read_text(Path(options.ranks))
    return Answer(
        lambda: errors_of(text, options.ranks)[0],
        lambda: ranks_tables(text, options.ranks).rstrip(),
    )


def _plan(options: argparse.Namespace) -> Evaluation:
    from symlump.bench.afde import QUICK, Evaluation
    from symlump.network.activations.table import activation

    plan = QUICK if options.quick else Evaluation()
    changes: dict[str, Any] = {}
    if options.datasets is not None:
        changes["datasets"] = tuple(comma_separated(options.datasets))
    if options.methods is not None:
        changes["methods"] = tuple(part.strip() for part in options.methods.split(";"))
    if options.shares is not None:
        changes["shares"] = shares(options.shares)
    if options.seeds is not None:
        changes["seeds"] = options.seeds
    if options.no_tuning:
        changes["steps"] = 0
    if options.bounds:
        changes["bound"] = True
    widths = [plan.architectures[0][1]]
    if options.hidden is not None:
        widths = [_widths(part) for part in options.hidden.split(";")]
    names = [name for name, _ in plan.architectures]
    if options.activations is not None:
        names = [part.strip() for part in options.activations.split(";")]
    for name in names:
        activation(name)
    changes["architectures"] = tuple((name, hidden) for hidden in widths for name in names)
    return replace(plan, **changes)


def _widths(text: str) -> tuple[int, ...]:
    try:
        widths = tuple(int(part) for part in text.split(","))
    except ValueError:
        widths = ()
    if not widths or min(widths) < 1:
        raise MethodError(f"--hidden {text}: write widths as in 64,64")
    return widths


@contextmanager
def _bars() -> Iterator[Callable[[str, int, int, str], None]]:
    """One progress bar for each phase."""
    steps: dict[str, Callable[[int, str], None]] = {}
    with ExitStack() as open_bar:

        def step(phase: str, done: int, total: int, remark: str) -> None:
            if phase not in steps:
                open_bar.close()
                steps[phase] = open_bar.enter_context(bar(phase, total))
            steps[phase](done, remark)

        yield step


def _write(rows: list[dict[str, Any]], folder: Path) -> None:
    from symlump.bench.compared.runs import errors_csv
    from symlump.bench.tables import by_architecture, csv_text, markdown, picture
    from symlump.display.drawing import save_picture
    from symlump.errors import MissingExtraError
    from symlump.files import write_text

    write_text(folder / "results.csv", csv_text(rows))
    keys = ("activation", "hidden", "dataset")
    write_text(folder / "errors.csv", errors_csv(rows, keys))
    if any(row.get("mse_tuned") is not None for row in rows):
        write_text(folder / "tuned.csv", errors_csv(rows, keys, "mse_tuned"))
    write_text(folder / "summary.md", markdown(rows))
    for (activation, hidden), summary in by_architecture(rows).items():
        short = activation.split(":")[0]
        methods = [name for name in _SHOWN if name in summary.methods]
        tuned = any(row.get("mse_tuned") is not None for row in summary.rows)
        for what, suffix, said in (
            ("mse", "", "no retraining"),
            ("mse_tuned", "-tuned", "after equally much further training"),
        ):
            if what == "mse_tuned" and not tuned:
                continue
            title = f"{activation}, hidden widths {hidden}, {summary.seeds_text}, {said}"
            try:
                figure = picture(summary, title, methods, what)
            except MissingExtraError:
                print(
                    "no pictures: they need matplotlib (pip install 'symlump[plot]')",
                    file=sys.stderr,
                )
                return
            save_picture(figure, folder / f"evaluation-{short}-{hidden}{suffix}.png")
