"""``symlump export``: the statements of a certificate for another proof system."""

from __future__ import annotations

import argparse
from typing import Any

from symlump.cli.progress import working

_DESCRIPTION = """\
Write the claims of a certificate as a Coq file: one lemma per block, proved by ring over the rationals, and
the theorem that the partition is an equivalence with this quotient. coqc, which knows nothing of symlump,
then accepts it or does not.
"""

_EXAMPLES = """\
examples:
  symlump lump MODEL.ode --method forward --certificate CERT.json
  symlump export CERT.json --coq -o CERT.v
  coqc CERT.v
"""


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "export",
        help="a certificate as a Coq file",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("certificate", metavar="CERT.json")
    parser.add_argument(
        "--coq", action="store_true", required=True, help="write Coq (the one target so far)"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE.v", help="where to (default: standard output)"
    )


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from symlump.files import write_text
    from symlump.proof.certificate import Certificate

    with working("writing Coq"):
        text = Certificate.read(options.certificate).to_coq()
    if options.output is None:
        print(text, end="")
    else:
        write_text(options.output, text)
        print(f"Coq written to {options.output}; compile it with coqc {options.output}")
    return 0
