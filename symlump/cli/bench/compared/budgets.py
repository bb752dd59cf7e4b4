"""``symlump bench budgets``: equal parameters, equal bytes, equal time."""

from __future__ import annotations

import argparse
from functools import cache
from pathlib import Path
from typing import Any

from symlump.cli.answer import Answer
from symlump.cli.arguments import declare_files, names, refuse
from symlump.cli.bench.compared import output
from symlump.errors import MethodError
from symlump.progress import bar

DESCRIPTION = """\
Train dense networks, compress them by every method, and compare them at 50, 25 and 10 % of the parameters, of
the bytes of the file that is written (packed, with its header), and of the time of a forward pass in torch on
one thread (2 000 inputs, medians of 60 in turns; sizes are chosen on the first network of its kind).

--digits: ReLU networks 196-64-32-10 on images of 14 × 14; the first half trains, the second is tested on.
--datasets: networks of hidden widths 64, 64 on the sets of bench afde, or some of them. 1 000 inputs of the
training calibrate. Torch-Pruning is measured where it is installed (pip install torch-pruning).

Results are kept in OUTPUT/results as they arrive, so an interrupted run resumes: give the same command again.
Writes OUTPUT/budgets.csv and budgets.md; --table prints the tables of such a file again.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument(
        "--digits", metavar="FILE.npz", help="images (n, 28, 28) of bytes, and labels"
    )
    parser.add_argument("--datasets", metavar="A,B,…", help="these sets of bench afde, or all")
    parser.add_argument("--data", metavar="DIR", help="folder with the public ones among them")
    parser.add_argument(
        "--activations", metavar="A,B", help="of the networks for --datasets (default: tanh,relu)"
    )
    parser.add_argument("--tables", metavar="A,B,…", help="of parameters, bytes, time")
    parser.add_argument("--methods", metavar="A;B;…", help="only these, separated by semicolons")
    parser.add_argument("--seeds", type=int, metavar="N", help="networks (default: 5)")
    parser.add_argument("--quick", action="store_true", help="one network, four methods")
    parser.add_argument("--table", metavar="FILE.csv", help="only print the tables of these rows")
    parser.add_argument("--output", metavar="DIR", help="folder for the rows and the tables")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    declare_files(parser, reads=("digits", "table"))


def run(options: argparse.Namespace) -> Answer:
    """Run the experiment.

    Raises
    ------
    MethodError
        If there is nothing to train networks on, or no networks.
    """
    from symlump.bench.compared.runs import errors_of
    from symlump.bench.equal.measure import KEYS
    from symlump.bench.equal.tables import markdown
    from symlump.datasets.fetch import read_text
    from symlump.files import write_text

    sources = (options.digits, options.datasets)
    if (sources == (None, None)) == (options.table is None):
        raise MethodError("give --digits FILE.npz or --datasets all, or else --table FILE.csv")
    if options.table is not None:
        others: dict[str, Any] = dict.fromkeys(
            ("seeds", "data", "activations", "tables", "methods")
        )
        refuse(
            options, others | {"quick": False}, "is for networks that are trained, not for --table"
        )
        rows = errors_of(read_text(Path(options.table)), options.table)[0]
    else:
        rows = _measured(options)
    tables = cache(lambda: markdown(rows))
    answer = output.answer(options, rows, KEYS, lambda: tables().rstrip())
    if options.output is not None:
        write_text(Path(options.output) / "budgets.md", tables())
    return answer


def _measured(options: argparse.Namespace) -> list[dict[str, Any]]:
    from symlump.bench.equal.measure import BudgetPlan, measure
    from symlump.bench.equal.methods import QUICK
    from symlump.bench.tasks import SOURCES
    from symlump.network.activations.table import activation

    seeds = output.seeds_of(options, 1 if options.quick else 5)
    chosen: dict[str, Any] = {"digits": options.digits, "seeds": seeds}
    if options.datasets is not None:
        sets = names(options.datasets)
        chosen["datasets"] = tuple(SOURCES) if sets == ["all"] else tuple(sets)
    if options.activations is not None:
        chosen["activations"] = tuple(names(options.activations))
        for name in chosen["activations"]:
            activation(name)
    if options.tables is not None:
        chosen["tables"] = tuple(names(options.tables))
    if options.methods is not None:
        chosen["methods"] = tuple(part.strip() for part in options.methods.split(";"))
    elif options.quick:
        chosen["methods"] = QUICK
    plan = BudgetPlan(**chosen)
    with output.cache_of(options) as kept, bar("compressing", 1000) as step:
        return measure(
            plan,
            kept,
            options.data,
            lambda done, total, remark: step(1000 * done // total, remark),
        )
