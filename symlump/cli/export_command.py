"""``symlump export``: the statements of a certificate for another proof system."""

from __future__ import annotations

import argparse
import shlex

from symlump.cli.answer import Answer
from symlump.cli.arguments import declare_files, readable
from symlump.progress import working

_DESCRIPTION = """\
Write a certificate as a Coq file: its data, and one line that has a checker compute the proof. That checker
was itself proved correct in Coq, so coqc, which knows nothing of symlump, is all there is to trust. The theorem
is the lumping with its quotient, and that nothing coarser (or smaller) will do where the certificate says so.

With --lemmas the file has one readable lemma per block instead, proved by ring over the rationals.
"""

_EXAMPLES = """\
examples:
  symlump lump MODEL.ode --method forward --certificate CERT.json
  symlump export CERT.json --coq -o CERT.v             # says how to call coqc
  symlump check CERT.json --coq                        # the same, and coqc is called
  symlump export CERT.json --coq --lemmas -o CERT.v && coqc CERT.v
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
        "--lemmas", action="store_true", help="one readable lemma per block, for small systems"
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
        text = Certificate.read(readable(options.certificate)).to_coq(lemmas=options.lemmas)
    write_text(options.output, text)

    def said() -> str:
        command, missing = ("coqc", "") if options.lemmas else _command()
        return (
            f"Coq written to {options.output}; compile it with {command} {options.output}{missing}"
        )

    return Answer(
        lambda: {"file": options.certificate, "output": options.output},
        lambda: "" if is_stdout(options.output) else said(),
    )


def _command() -> tuple[str, str]:
    """How to call coqc with the development, which is compiled for it; and why it was not."""
    from symlump.errors import MissingProgramError
    from symlump.proof.coq.development import compile_development

    try:
        with working("compiling the development, once"):
            folder = str(compile_development())
    except MissingProgramError as error:
        missing = f"\n(FOLDER is what symlump compiles and names where Coq is; here: {error})"
        return "coqc -Q FOLDER Symlump", missing
    return f"coqc -Q {shlex.quote(folder)} Symlump", ""
