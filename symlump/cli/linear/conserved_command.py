"""``symlump conserved``: which linear combinations of variables stay constant."""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symlump.cli.answer import Answer
from symlump.cli.arguments import declare_files
from symlump.cli.reading import (
    READ,
    add_reading,
    missed_notes,
    note_lines,
    read_model,
    sizes,
)
from symlump.ode.notation import count_text
from symlump.progress import working

if TYPE_CHECKING:
    from symlump.formats.model import Model
    from symlump.lumping.linear.linear_lumping import LinearLumping

_DESCRIPTION = """\
Find linear conserved quantities of a model: combinations of variables that stay constant, such as the
total amount of an enzyme, free and bound. They are a basis of the left kernel of the coefficient matrix over
the rationals, so all there are; with functions such as sin, which are taken as unknown, more may exist, and a
note says so. The result is proved; the values are those at the file's initial state.
"""

_EXAMPLES = """\
examples:
  symlump conserved MODEL.ode
  symlump conserved MODEL.net --json

exit codes: 0 done (also where nothing is conserved), 1 the result does not fit, 2 the file cannot be read
"""

_MISSED = "a conserved quantity"  # where functions are taken as unknown


def fill(parser: argparse.ArgumentParser) -> None:
    """Describe the command, and add its arguments."""
    parser.description = _DESCRIPTION
    parser.epilog = _EXAMPLES
    parser.set_defaults(run=run)
    add_reading(parser)
    parser.add_argument("--json", action="store_true", help="print the quantities as JSON")
    declare_files(parser, reads=READ)


def run(options: argparse.Namespace) -> Answer:
    """Run the command."""
    from symlump.lumping.linear.conserved import conserved

    model = read_model(options, partition=False)
    with working(f"combining {len(model.ode)} variables"):
        found = conserved(model.ode)
        exact = found.exact
    return Answer(
        lambda: _report(options, model, found, exact), lambda: _text(options, model, found, exact)
    )


def _moved(model: Model, row: dict[str, Fraction]) -> bool:
    """Whether an event sets a variable of the combination, so that it stays constant between events only."""
    return any(name in row for event in model.events for name in event.assignments)


def _value(model: Model, row: dict[str, Fraction]) -> Fraction:
    return sum((c * model.initial_values[name] for name, c in row.items()), Fraction(0))


def _report(
    options: argparse.Namespace, model: Model, found: LinearLumping, exact: bool
) -> dict[str, Any]:
    from symlump.formats.numerals import fraction_text

    return {
        "file": options.file,
        "parameters": options.parameters,
        "constants": options.constants,
        "variables": len(model.ode),
        "terms": model.ode.terms,
        "exact": exact,
        "quantities": [
            {
                "coefficients": {name: fraction_text(value) for name, value in row.items()},
                "value": fraction_text(_value(model, row)),
                "between_events": _moved(model, row),
            }
            for row in found.combinations.values()
        ],
        "notes": [*model.notes, *missed_notes(model, _MISSED)],
    }


def _text(options: argparse.Namespace, model: Model, found: LinearLumping, exact: bool) -> str:
    from symlump.formats.model import combination_text
    from symlump.formats.numerals import fraction_text
    from symlump.ode.functions.wording import with_unknown

    proved = ", exact, proof checked" if exact else ""
    count = count_text(len(found), "conserved quantity").replace("quantitys", "quantities")
    return "\n".join(
        [
            f"{Path(options.file).name}: {sizes(model)}",
            *note_lines(model),
            f"{count}{with_unknown(model.ode)}{proved}",
            *(
                f"  {combination_text(row)} = {fraction_text(_value(model, row))}"
                + (", until an event sets it" if _moved(model, row) else "")
                for row in found.combinations.values()
            ),
            *(f"note: {note}" for note in missed_notes(model, _MISSED)),
        ]
    )
