"""``symlump bench sbml-suite``: what is read of SBML, against the results of its test suite."""

from __future__ import annotations

import argparse

from symlump.cli.answer import Answer
from symlump.progress import working

DESCRIPTION = """\
Read every case of the semantic test suite of SBML, simulate what is read, and compare it with the results
that come with the case, at its own tolerances. The suite: https://github.com/sbmlteam/sbml-test-suite. Exit
code 1 if a case that is read has other values.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("folder", metavar="FOLDER", help="cases/semantic of the suite")
    parser.add_argument(
        "--version",
        metavar="V",
        help="level and version of the files, such as l2v4 (default: the last one of each case)",
    )
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")


def run(options: argparse.Namespace) -> Answer:
    """Run the experiment."""
    from symlump.bench.sbml_suite import measure
    from symlump.tables import table_text

    with working("simulating the test suite"):
        result = measure(options.folder, options.version)
    refused = dict(result.refused.most_common())
    rows = [
        ("as the results say", result.right),
        ("the same, with views kept as text", result.partial),
        ("other values", len(result.wrong)),
        *((f"refused: {reason}", count) for reason, count in refused.items()),
    ]
    cells = [(what, str(count)) for what, count in rows]
    return Answer(
        lambda: {
            "right": result.right,
            "partial": result.partial,
            "wrong": result.wrong,
            "refused": refused,
        },
        lambda: "\n".join([table_text(("case", "count"), cells), *result.wrong]),
        1 if result.wrong else 0,
    )
