"""``symlump check``: verify somebody's certificate."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from symlump.cli.answer import Answer
from symlump.cli.arguments import declare_files, readable
from symlump.errors import FailureError
from symlump.memory import memory_errors
from symlump.progress import working

if TYPE_CHECKING:
    from symlump.proof.certificate import Certificate
    from symlump.proof.check import Verdict

_DESCRIPTION = """\
Verify a certificate of a lumping with the independent checker: the partition, the quotient, and, where the
certificate says so, that nothing coarser will do. The checker re-derives everything from the definition in
exact rationals; it shares no code with the part of symlump that finds lumpings.

It is one file of standard Python, and runs without symlump:
  python symlump/proof/check.py CERT.json

There are two others, for those who want a proof that the checker is right. --verified asks a program extracted
from a checker that was proved correct in Coq; --coq has coqc itself compute the proof.

--explain walks through the proof of a small system in words and formulas, one block at a time.
"""

_EXAMPLES = """\
examples:
  symlump lump MODEL.ode --method forward --certificate CERT.json
  symlump check CERT.json
  symlump check CERT.json --verified      # needs Coq and OCaml (Debian: coq, ocaml)
  symlump check CERT.json --coq           # needs Coq
  symlump check CERT.json --explain
  symlump check CERT.json MODEL.ode       # the certificate names its system by digest, or must match it

exit codes: 0 accepted, 1 rejected (naming block, monomial and both values), 3 inconclusive, 2 unreadable
"""


def fill(parser: argparse.ArgumentParser) -> None:
    """Describe the command, and add its arguments."""
    parser.description = _DESCRIPTION
    parser.epilog = _EXAMPLES
    parser.set_defaults(run=run)
    parser.add_argument("certificate", metavar="CERT.json")
    parser.add_argument(
        "system", metavar="MODEL", nargs="?", help="the system's file, any known format"
    )
    parser.add_argument(
        "--parameters",
        choices=("symbolic", "values"),
        default="values",
        help="how MODEL is read: as when the certificate was made (default: values)",
    )
    parser.add_argument(
        "--constants",
        choices=("keep", "values"),
        default="keep",
        help="how MODEL is read: as when the certificate was made (default: keep)",
    )
    other = parser.add_mutually_exclusive_group()
    other.add_argument(
        "--verified", action="store_true", help="ask the program extracted from Coq instead"
    )
    other.add_argument("--coq", action="store_true", help="have coqc compute the proof")
    parser.add_argument(
        "--explain", action="store_true", help="also walk through the proof in words and formulas"
    )
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")
    declare_files(parser, reads=("certificate", "system"))


def run(options: argparse.Namespace) -> Answer:
    """Run the command."""
    from symlump.proof.certificate import Certificate
    from symlump.proof.check import EXIT_CODES, Verdict, one_line

    certificate = None
    try:
        with memory_errors(), working("checking"):
            certificate = Certificate.read(readable(options.certificate))
            verdict = _verdict(certificate, options)
    except FailureError as error:  # elsewhere exit code 1, which here is that of what is refuted
        verdict = Verdict("inconclusive", one_line(error))
    walk = certificate.explain() if options.explain and certificate is not None else None
    data = {"answer": verdict.answer, "reason": verdict.reason, "coarsest": verdict.coarsest}
    if walk is not None:
        data["proof"] = str(walk)
    said = f"{verdict.answer}: {verdict.reason}"
    return Answer(
        lambda: {"file": options.certificate, **data},
        lambda: said if walk is None else f"{walk}\n\n{said}",
        EXIT_CODES[verdict.answer],
    )


def _verdict(certificate: Certificate, options: argparse.Namespace) -> Verdict:
    system = None
    if options.system is not None:
        from symlump.formats import read

        system = read(
            options.system, parameters=options.parameters, constants=options.constants
        ).ode
    if options.verified or options.coq:
        return certificate.check_verified(system, coqc=options.coq)
    return certificate.check(system)
