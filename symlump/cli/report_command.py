"""``symlump report``: one page about a model, to be opened in a browser."""

from __future__ import annotations

import argparse
from pathlib import Path

from symlump.cli.answer import Answer
from symlump.cli.arguments import declare_files, shown_path
from symlump.cli.reading import READ
from symlump.cli.sweep_command import add_sweeping, run_sweep, sweep_report
from symlump.errors import FileFormatError
from symlump.files import is_stdout

_DESCRIPTION = """\
Write one self-contained HTML page about a model file or a saved network: its equations, its dependency graph
with the blocks in colour, and a slider over the tolerance that shows blocks, size, error and certified bound,
and of a model with initial values the trajectories beside those of the smaller system.
The page needs no network, works with the keyboard, and prints.
"""

_EXAMPLES = """\
examples:
  a model, at the exact tolerances where its blocks change:
    symlump report tree.ode --method backward --breakpoints -o report.html
  a network, with certified errors for inputs from -1 to 1:
    symlump report net.safetensors --activation tanh --box -1 1 -o report.html

exit codes: 0 done, 1 the request cannot be met or a file cannot be written, 2 the input cannot be used
"""

_PAGES = (".html", ".htm")


def fill(parser: argparse.ArgumentParser) -> None:
    """Describe the command, and add its arguments."""
    parser.description = _DESCRIPTION
    parser.epilog = _EXAMPLES
    parser.set_defaults(run=run)
    add_sweeping(parser)
    parser.add_argument(
        "-o", "--output", default="report.html", metavar="FILE.html", help="(default: report.html)"
    )
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    declare_files(parser, reads=(*READ, "data"), writes=("output",))


def run(options: argparse.Namespace) -> Answer:
    """Run the command."""
    from symlump.display.report import Report

    if not is_stdout(options.output) and Path(options.output).suffix.lower() not in _PAGES:
        raise FileFormatError(f"{options.output}: a report is a page, a file of .html")
    table, model = run_sweep(options)
    # Events change solutions beside the equations, so trajectories without them would be wrong.
    initial = None if model is None or model.events else model.initial_values
    Report.of(table, f"symlump: {Path(options.file).name}", initial).write(options.output)
    return Answer(
        lambda: sweep_report(options, table) | {"output": options.output},
        lambda: f"{table}\nreport written to {shown_path(options.output)}; open it in a browser",
    )
