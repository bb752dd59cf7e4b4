"""``symlump lump``: a model file in, its reduced model out."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symlump.cli.answer import Answer
from symlump.cli.arguments import (
    add_many,
    add_observable,
    check_linear,
    check_one,
    declare_files,
    names,
    refuse,
)
from symlump.cli.outputs import (
    add_picture,
    check_picture,
    output_format,
    output_lines,
    write_outputs,
)
from symlump.cli.reading import READ, add_reading, note_lines, read_model, sizes
from symlump.errors import MethodError
from symlump.memory import demand_memory
from symlump.ode.notation import count_text
from symlump.progress import working

if TYPE_CHECKING:
    from symlump.formats.model import Model
    from symlump.lumping.equivalence import Equivalence
    from symlump.lumping.lumping import Lumping

_DESCRIPTION = """\
Read a model, find the largest lumping, and write the reduced model.

forward   finds sums of variables that obey a system of their own, from any initial state.
backward  finds variables that stay equal once they are equal. The reduced model describes the file's
          own initial state only if variables that are merged start at the same value, so it is written
          only then; --initial values keeps variables with different initial values apart.
constrained  finds the fewest linear combinations of variables that obey a system of their own and
          determine the observables, given with --observable.

Without --eps the result is exact: it is called so only after an independent checker has verified it
(by itself up to 200000 terms; in larger ones the report says that it was not checked). With --eps the
coefficients may differ by a tolerance, and the report gives the defect: how far they are from exact.
"""

_EXAMPLES = """\
examples:
  sums of variables, with the partition that the file gives:
    symlump lump tree.ode --method forward
  variables that stay equal from the file's initial state, written as a smaller model:
    symlump lump tree.ode --method backward --initial values -o small.ode
  whatever the file's partition, but the view "total" and the variable x1 must remain:
    symlump lump tree.ode --method forward --initial one --keep total,x1
  for all values of the parameters at once:
    symlump lump tree.ode --method forward --parameters symbolic
  coefficients that differ by at most 0.01:
    symlump lump tree.ode --method backward --eps 0.01
  the smallest linear lumping that determines x1 and x2 + 2*x3:
    symlump lump tree.ode --method constrained --observable x1 --observable "x2 + 2*x3"
  a system on disk that is larger than memory (see symlump convert):
    symlump lump chain --method forward --memory 2GB -o small
  every model of a folder, in two processes:
    symlump lump models --method backward --table sizes.csv --jobs 2

exit codes: 0 done, 1 the checker refused a result, a file cannot be written, or a row of a table is an error,
2 the input cannot be used
"""

#: Up to this many variables the JSON report holds the partition without being asked.
_LISTED = 2000
#: What a table of many models has of each.
_COLUMNS = (
    "method",
    "variables",
    "terms",
    "blocks",
    "rows",
    "quotient_terms",
    "exact",
    "eps",
    "defect",
    "seconds",
)
#: Bytes that lumping takes for a term, beside the system itself: about half of 324 to 534 in all.
_A_TERM = 200
#: Options that are for one model, when they are not given.
_OF_ONE = {
    **dict.fromkeys(("output", "memory", "certificate", "picture", "labels", "states", "rewards")),
    **dict.fromkeys(("partition", "by_digest"), False),
}


def fill(parser: argparse.ArgumentParser) -> None:
    """Describe the command, and add its arguments."""
    parser.description = _DESCRIPTION
    parser.epilog = _EXAMPLES
    parser.set_defaults(run=run)
    add_reading(parser)
    add_many(parser)
    parser.add_argument(
        "--method",
        required=True,
        choices=("forward", "backward", "constrained"),
        help="which equivalence; constrained: a linear lumping that keeps observables",
    )
    add_observable(parser, "the reduced model must determine")
    parser.add_argument(
        "--initial",
        default="file",
        choices=("one", "file", "values"),
        help="what may merge: everything; what the file's partition has in one block (everything, "
        "if it has none); what has equal initial values (default: file)",
    )
    parser.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="NAME,…",
        help="variables that stay alone, and views that the reduced model must still show; may be "
        "given several times",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--eps", type=float, default=0.0, metavar="E", help="a tolerance; 0 is exact (default: 0)"
    )
    size.add_argument(
        "--retain",
        type=float,
        metavar="SHARE",
        help="find the tolerance that keeps this share of the variables",
    )
    parser.add_argument(
        "--linkage",
        default="closure",
        choices=("closure", "diameter", "variance"),
        help="how the tolerance groups variables (default: closure)",
    )
    parser.add_argument(
        "--relative", action="store_true", help="measure the tolerance relative to the coefficients"
    )
    parser.add_argument(
        "--erode",
        action="store_true",
        help="forward: measure by the published substitution norm, for comparison (three times ours on linear "
        "systems)",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write the reduced model here, in the format of the suffix; from a folder: to a folder",
    )
    parser.add_argument(
        "--memory",
        metavar="SIZE",
        help="for a folder written by symlump convert: the memory to use, such as 2GB (default: all that is "
        "free); a system that does not fit is lumped on disk",
    )
    parser.add_argument(
        "--partition",
        action="store_true",
        help=f"list all blocks (the JSON report does so up to {_LISTED} variables anyway)",
    )
    parser.add_argument(
        "--certificate",
        metavar="CERT.json",
        help="write a certificate that `symlump check` verifies; it also proves that nothing coarser exists",
    )
    parser.add_argument(
        "--by-digest",
        action="store_true",
        help="the certificate names the system by its digest instead of holding it",
    )
    add_picture(parser, "the blocks and the quotient")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    declare_files(
        parser, reads=(*READ, "others"), writes=("output", "certificate", "picture", "table")
    )


def run(options: argparse.Namespace) -> Answer:
    """Run the command."""
    from symlump.lumping.lump import lump

    if options.table is not None:
        from symlump.cli.many import Many, run_many
        from symlump.formats import IN_FOLDERS

        if options.method == "constrained":
            check_linear(options, ())
        else:
            _method(options)
        return run_many(options, Many(__name__, _COLUMNS, IN_FOLDERS, _OF_ONE, stores=True))
    is_folder = Path(options.file).is_dir()
    check_one(options, cluster=is_folder)
    store = model = None
    if is_folder:
        from symlump.cli.store.lump_folder import open_folder, run_folder, small_model

        store = open_folder(options)
        model = small_model(options, store)
        if model is None:
            return run_folder(options, store, _method(options))
    else:
        refuse(options, {"memory": None}, "is for folders that symlump convert has written")
    if options.output is not None:
        output_format(options)
    check_picture(options)
    if options.by_digest and options.certificate is None:
        raise MethodError("--by-digest says how a certificate names its system; add --certificate")
    if options.method == "constrained":
        from symlump.cli.linear.lump_linear import run_linear

        return run_linear(options, model)
    method = _method(options)
    model = model or read_model(options)
    keep = [name for given in options.keep for name in names(given)]
    initial = model.initial_partition(options.initial, observables=keep)
    demand_memory(
        _A_TERM * model.ode.terms,
        f"lumping {count_text(model.ode.terms, 'term')} in memory",
        "symlump convert FILE DIR writes polynomials to a folder, which symlump lump DIR takes on disk",
    )
    with working(f"lumping {len(model.ode)} variables"):
        start = time.perf_counter()
        lumping = lump(model.ode, method, initial)
        seconds = time.perf_counter() - start
    with working("checking the result"):
        report = _report(lumping, options, keep, seconds)
        report["notes"] = [*model.notes, *([] if lumping.note is None else [lumping.note])]
    write_outputs(options, model, lumping, lumping.certificate, report)
    return Answer(lambda: report, lambda: _text(model, lumping, report, options))


def _method(options: argparse.Namespace) -> Equivalence:
    """The method, if the options go with it."""
    from symlump.lumping.backward import Backward
    from symlump.lumping.forward import Forward

    if options.observable:
        raise MethodError("--observable needs --method constrained; for this method use --keep")
    kind = Forward if options.method == "forward" else Backward
    if not options.eps and options.retain is None:
        unset = {"relative": False, "linkage": "closure", "erode": False}
        refuse(options, unset, "says how a tolerance is measured: add --eps or --retain")
    given = {
        "eps": options.eps,
        "retain": options.retain,
        "linkage": options.linkage,
        "relative": options.relative,
    }
    if options.erode:
        if kind is Backward:
            raise MethodError(
                "--erode is a norm of forward equivalence; backward has only one norm"
            )
        given["erode"] = True
    return kind(**given)


def _report(
    lumping: Lumping, options: argparse.Namespace, keep: list[str], seconds: float
) -> dict[str, Any]:
    exact = None if lumping.method.is_exact and not lumping.exact else lumping.exact
    report: dict[str, Any] = {
        "file": options.file,
        "method": options.method,
        "initial": options.initial,
        "keep": keep,
        "parameters": options.parameters,
        "constants": options.constants,
        "eps": lumping.method.eps,
        "linkage": options.linkage,
        "relative": options.relative,
        "variables": len(lumping.ode),
        "terms": lumping.ode.terms,
        "initial_blocks": len(lumping.initial),
        "blocks": len(lumping.partition),
        "quotient_terms": lumping.quotient.terms,
        "exact": exact,
        "checked": bool(exact),
        "not_checked": lumping.not_checked,
        "defect": lumping.defect,
        "rounds": lumping.rounds,
        "seconds": seconds,
    }
    if options.partition or len(lumping.ode) <= _LISTED:
        report["partition"] = [list(block) for block in lumping.blocks]
    return report


def _text(
    model: Model,
    lumping: Lumping,
    report: dict[str, Any],
    options: argparse.Namespace,
) -> str:
    lines = [
        f"{Path(options.file).name}: {sizes(model)}, lumped from "
        f"{count_text(report['initial_blocks'], 'initial block')} in {report['seconds']:.3g} s "
        f"({count_text(lumping.rounds, 'round')})",
        *note_lines(model),
        str(lumping),
    ]
    if options.partition:
        lines += ["blocks:", *("  {" + ", ".join(block) + "}" for block in lumping.blocks)]
    return "\n".join(lines + output_lines(report, "blocks", "--keep"))
