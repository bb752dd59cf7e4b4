"""``symlump hierarchy``: a chain of exact linear lumpings, each inside the next."""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symlump.cli.answer import Answer
from symlump.cli.arguments import declare_files
from symlump.cli.outputs import add_picture, draw_picture
from symlump.cli.reading import READ, add_reading, missed_notes, note_lines, read_model, sizes
from symlump.progress import working

if TYPE_CHECKING:
    from symlump.formats.model import Model
    from symlump.lumping.linear.hierarchy import Hierarchy
    from symlump.lumping.linear.linear_lumping import LinearLumping

_DESCRIPTION = """\
Find a maximal chain of exact linear lumpings of a model: each has all combinations of the one before it and
some more, and none fits between two neighbours. The chain shows every level at which a model can be read, and
why there is nothing between two levels. It is meant for up to some hundred variables.
"""

_EXAMPLES = """\
examples:
  symlump hierarchy MODEL.ode
  symlump hierarchy MODEL.ode --picture chain.svg

exit codes: 0 done, 1 the request cannot be met or a file cannot be written, 2 the file cannot be read
"""


def fill(parser: argparse.ArgumentParser) -> None:
    """Describe the command, and add its arguments."""
    parser.description = _DESCRIPTION
    parser.epilog = _EXAMPLES
    parser.set_defaults(run=run)
    add_reading(parser)
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="which of several maximal chains is found (default: 0)",
    )
    add_picture(parser, "the dimensions of the chain")
    parser.add_argument("--json", action="store_true", help="print the chain as JSON")
    declare_files(parser, reads=READ, writes=("picture",))


def run(options: argparse.Namespace) -> Answer:
    """Run the command."""
    from symlump.lumping.linear.hierarchy import hierarchy

    model = read_model(options, partition=False)
    with working(f"lumping {len(model.ode)} variables"):
        chain = hierarchy(model.ode, options.seed)
    draw_picture(options, chain)
    return Answer(
        lambda: _report(options, model, chain),
        lambda: "\n".join(
            [
                f"{Path(options.file).name}: {sizes(model)}",
                *note_lines(model),
                chain.to_text(max_lines=1000),
                *_event_lines(model, chain),
            ]
        ),
    )


def _across_events(model: Model, lumping: LinearLumping) -> bool:
    """Whether a lumping has all that events read or set among its rows, and so holds across events."""
    from symlump.formats.events import names_in

    names = [name for name in names_in(model.events) if name in model.ode.index]
    return all(lumping.express({name: Fraction(1)}) is not None for name in names)


def _event_lines(model: Model, chain: Hierarchy) -> list[str]:
    """Which levels hold between events only."""
    between = [str(len(lumping)) for lumping in chain if not _across_events(model, lumping)]
    if not between:
        return []
    return [
        f"hold between events only, as they merge what events read or set: {', '.join(between)}"
    ]


def _report(options: argparse.Namespace, model: Model, chain: Hierarchy) -> dict[str, Any]:
    from symlump.formats.numerals import fraction_text

    missed = missed_notes(model, "a longer chain of lumpings") if chain.maximal else []
    return {
        "file": options.file,
        "parameters": options.parameters,
        "constants": options.constants,
        "variables": len(model.ode),
        "terms": model.ode.terms,
        "dimensions": list(chain.dimensions),
        "algebraic_dimensions": chain.algebraic_dimensions,
        "maximal": chain.maximal,
        "factors": [
            {
                "dimension": factor.dimension,
                "irreducible": factor.irreducible,
                "pieces": factor.pieces,
                "field": factor.field,
            }
            for factor in chain.factors
        ],
        "levels": [
            {
                "dimension": len(lumping),
                "exact": lumping.exact,
                "across_events": _across_events(model, lumping),
                "combinations": {
                    name: {variable: fraction_text(value) for variable, value in row.items()}
                    for name, row in lumping.combinations.items()
                },
            }
            for lumping in chain
        ],
        "notes": [*model.notes, *missed],
    }
