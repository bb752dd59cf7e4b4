"""``symlump convert``: a model file in, a folder of Parquet files out."""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symlump.cli.answer import Answer
from symlump.cli.arguments import declare_files
from symlump.cli.reading import READ, add_reading, note_lines, read_model
from symlump.files import STANDARD, check_new_folder
from symlump.formats import SUFFIXES
from symlump.formats.source import MAX_BYTES, file_size
from symlump.memory import size_text
from symlump.progress import working

if TYPE_CHECKING:
    from symlump.store.store import Store

_DESCRIPTION = """\
Write the system of a model file into a folder of Parquet files, which symlump lump takes when it does not fit
in memory. Markov chains (.tra, without labels, states or rewards) and the reactions or equations of .ode and
.net files are read piece by piece, however many there are; every other file is read whole. The folder holds
polynomials (exactly), names, initial values and the initial partition; views and notes are left out, and
functions and events refused.
"""

_EXAMPLES = """\
examples:
  symlump convert chain.tra chain
  symlump lump chain --method forward --memory 2GB -o small

exit codes: 0 done, 1 the folder cannot be written, 2 the input cannot be used
"""


def fill(parser: argparse.ArgumentParser) -> None:
    """Describe the command, and add its arguments."""
    parser.description = _DESCRIPTION
    parser.epilog = _EXAMPLES
    parser.set_defaults(run=run)
    add_reading(parser)
    parser.add_argument("output", metavar="DIR", help="the folder, which must not exist")
    parser.add_argument(
        "--memory",
        default="1GB",
        metavar="SIZE",
        help="memory for writing, beside that of the file (default: 1GB)",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    declare_files(parser, reads=READ)


def run(options: argparse.Namespace) -> Answer:
    """Run the command."""
    from symlump.errors import NotPolynomialError
    from symlump.formats.polynomials import NotInPiecesError
    from symlump.store.chains import convert_chain
    from symlump.store.networks import convert_network
    from symlump.store.writing import write_store

    check_new_folder(options.output)
    in_pieces = _format_in_pieces(options)
    if in_pieces == "mrmc":
        with working(f"converting {options.file}"):
            store, notes = convert_chain(
                options.file, options.output, chain=options.chain, memory=options.memory
            )
        return _answer(options, store, notes, [f"note: {note}" for note in notes])
    model = None
    if in_pieces is not None:
        # What functions leave behind may be a polynomial all the same: reading it whole decides.
        whole = (NotInPiecesError, NotPolynomialError)
        too_large = file_size(options.file) > MAX_BYTES
        with suppress(*() if too_large else whole), working(f"converting {options.file}"):
            store, model = convert_network(
                options.file,
                options.output,
                parameters=options.parameters,
                format=options.format,
                memory=options.memory,
            )
    if model is None:
        model = read_model(options)
        with working(f"writing {options.output}"):
            store = write_store(options.output, model, memory=options.memory)
    lines = note_lines(model)
    left_out = [*model.observables, *model.other_views]
    if left_out:
        more = ", …" if len(left_out) > 8 else ""
        lines.append(f"views left out: {', '.join(left_out[:8])}{more}")
    return _answer(options, store, list(model.notes), lines)


def _format_in_pieces(options: argparse.Namespace) -> str | None:
    """The format of a file that may be read piece by piece; None if it, or an option, needs all of it."""
    if options.labels or options.states or options.rewards or options.file == STANDARD:
        return None
    if options.constants != "keep":
        return None
    chosen: str | None = options.format or SUFFIXES.get(Path(options.file).suffix.lower())
    if chosen == "mrmc":
        return chosen if options.parameters == "values" else None
    return chosen if chosen in ("erode", "bionetgen") and not options.chain else None


def _answer(
    options: argparse.Namespace, store: Store, notes: list[str], lines: list[str]
) -> Answer:
    report: dict[str, Any] = {
        "file": options.file,
        "output": options.output,
        "kind": "map" if store.discrete else "ode",
        "variables": store.variables,
        "monomials": store.monomials,
        "terms": store.terms,
        "bytes": store.size,
        "memory_estimate": store.memory_needed,
        "notes": notes,
    }

    def text() -> str:
        said = f"{store}; to lump it in memory takes about {size_text(store.memory_needed)}"
        return "\n".join([said, *lines])

    return Answer(lambda: report, text)
