"""``symlump bench all``: every experiment, one after the other."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from symlump.cli.answer import Answer
from symlump.cli.arguments import declare_files
from symlump.cli.arguments import names as comma_separated
from symlump.progress import bar

DESCRIPTION = """\
Run the experiments that fit one machine, one after the other, each in a process of its own; what it prints goes
to OUTPUT/NAME.txt, and the rows that pages show to OUTPUT/NAME (symlump bench pages PAGE.md --rows OUTPUT). An
interrupted run resumes: give the same command again. What failed is reported, and tried again next time; what
needs files that were not given is left out, and reported, too. At the end stand the seconds of all.

Beside the experiments of symlump bench these are the further tables of the evaluation, each a run of bench
trained (packed, digits) or afde (calibrated, ideas, options, fitted, tuned, polynomial, widths) with other
methods and networks; they are no part of --quick, which takes minutes where the whole takes hours.

examples:
  symlump bench all --quick
  symlump bench all --data UCI --networks onnx --digits mnist.npz --output results
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--quick", action="store_true", help="small sizes: minutes, not hours")
    parser.add_argument("--only", metavar="A,B,…", help="these experiments")
    parser.add_argument("--data", metavar="DIR", help="folder with the public sets, for afde")
    parser.add_argument("--networks", metavar="DIR", help="folder with ONNX files")
    parser.add_argument(
        "--digits", metavar="FILE.npz", help="images (n, 28, 28) of bytes, and labels, for trained"
    )
    parser.add_argument(
        "--output", default="symlump-bench", metavar="DIR", help="folder (default: symlump-bench)"
    )
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    declare_files(parser, reads=("digits",))


def run(options: argparse.Namespace) -> Answer:
    """Run the experiments.

    Raises
    ------
    MethodError
        If ``--only`` names none of them.
    """
    from symlump.bench.every import ENTRIES, run_every
    from symlump.errors import MethodError
    from symlump.files import make_folder
    from symlump.suggest import did_you_mean
    from symlump.tables import table_text

    known = [entry.name for entry in ENTRIES]
    only = [] if options.only is None else comma_separated(options.only)
    for name in only:
        if name not in known:
            raise MethodError(
                f"--only: there is no experiment {name!r}{did_you_mean(name, known, 'choose from ')}"
                f"{', '.join(known)}"
            )
    places = {name: getattr(options, name) for name in ("data", "networks", "digits")}
    with bar("experiments", len(only or known)) as step:
        runs = run_every(make_folder(options.output), options.quick, places, only, step)
    cells = [(r.name, r.state, f"{r.seconds:.0f}", f"{r.processor:.0f}", r.remark) for r in runs]
    took, processor = sum(r.seconds for r in runs), sum(r.processor for r in runs)
    cells.append(("all", "", f"{took:.0f}", f"{processor:.0f}", ""))
    header = ("experiment", "state", "seconds", "of the processor", "output, or why not")
    return Answer(
        lambda: [asdict(r) for r in runs],
        lambda: table_text(header, cells),
        code=int(any(r.state == "failed" for r in runs)),
    )
