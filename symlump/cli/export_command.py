"""``symlump export``: the statements of a certificate for another proof system."""

from __future__ import annotations

import argparse

from symlump.cli.answer import Answer
from symlump.cli.arguments import declare_files, readable
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


def fill(parser: argparse.ArgumentParser) -> None:
    """Describe the command, and add its arguments."""
    parser.description = _DESCRIPTION
    parser.epilog = _EXAMPLES
    parser.set_defaults(run=run)
    parser.add_argument("certificate", metavar="CERT.json")
    parser.add_argument(
        "--coq", action="store_true", required=True, help="write Coq (the one target so far)"
    )
    parser.add_argument(
        "-o",
        "--output",
        default="-",
        metavar="FILE.v",
        help="where to (default: -, standard output)",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    declare_files(parser, reads=("certificate",), writes=("output",))


def run(options: argparse.Namespace) -> Answer:
    """Run the command."""
    from symlump.files import is_stdout, write_text
    from symlump.proof.certificate import Certificate

    with working("writing Coq"):
        text = Certificate.read(readable(options.certificate)).to_coq()
    write_text(options.output, text)
    said = f"Coq written to {options.output}; compile it with coqc {options.output}"
    return Answer(
        lambda: {"file": options.certificate, "output": options.output},
        lambda: "" if is_stdout(options.output) else said,
    )
