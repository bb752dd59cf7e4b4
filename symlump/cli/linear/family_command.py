"""``symlump family``: the smallest linear lumpings for all values of a parameter."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symlump.cli.answer import Answer
from symlump.cli.arguments import declare_files, named_forms, read_observables
from symlump.cli.reading import READ, add_reading, note_lines, read_model, sizes
from symlump.errors import MethodError
from symlump.progress import working

if TYPE_CHECKING:
    from symlump.formats.model import Model
    from symlump.lumping.linear.parametric import LumpingFamily, SpecialValue

_DESCRIPTION = """\
Find the smallest linear lumping that keeps observables, for every value of one parameter: that for almost all
values, and those for each of the finitely many values at which fewer rows will do. The parameter is one of the
file's, or a further name that stands in an observable, as k in "x + k*y". Irrational values are given by their
polynomial. It is meant for polynomial systems of up to some twenty variables.
"""

_EXAMPLES = """\
examples:
  symlump family MODEL.ode --parameter k --observable y
  symlump family MODEL.ode --parameter k --observable "x + k*y" --json

exit codes: 0 done (also where no value is special), 1 the request cannot be met, 2 the input cannot be used
"""


def fill(parser: argparse.ArgumentParser) -> None:
    """Describe the command, and add its arguments."""
    parser.description = _DESCRIPTION
    parser.epilog = _EXAMPLES
    parser.set_defaults(run=run)
    add_reading(parser)
    parser.add_argument(
        "--parameter",
        required=True,
        metavar="NAME",
        help="the parameter; with --parameters values the file's others have their values",
    )
    parser.add_argument(
        "--observable",
        action="append",
        default=[],
        metavar="NAME,…",
        help="what is kept: variables, views, linear combinations whose coefficients may be polynomials in the "
        'parameter, such as "x + k*y"; may be given several times',
    )
    parser.add_argument("--json", action="store_true", help="print the family as JSON")
    declare_files(parser, reads=READ)


def run(options: argparse.Namespace) -> Answer:
    """Run the command."""
    from symlump.lumping.linear.parametric import lump_family

    if not options.observable:
        raise MethodError('family needs at least one --observable, such as y or "x + k*y"')
    model = _read(options)
    with working(f"lumping {len(model.ode)} variables"):
        family = lump_family(model.ode, options.parameter, _kept(options, model).values())
    return Answer(
        lambda: _report(options, model, family),
        lambda: "\n".join(
            [
                f"{Path(options.file).name}: {sizes(model)}",
                *note_lines(model),
                family.to_text(),
            ]
        ),
    )


def _read(options: argparse.Namespace) -> Model:
    """The model with its parameter as a symbol, and the others as was asked.

    Values at the start play no role, but parameters that are to be replaced need theirs.
    """
    from symlump.formats.source import NO_VALUE, quote_names
    from symlump.ode.substitute import substitute

    asked = argparse.Namespace(**{**vars(options), "parameters": "symbolic"})
    model = read_model(asked, partition=False)
    absent = [note.removeprefix(NO_VALUE) for note in model.notes if note.startswith(NO_VALUE)]
    model = replace(model, notes=tuple(n for n in model.notes if not n.startswith(NO_VALUE)))
    if options.parameters == "symbolic":
        return model
    if absent and absent[0] != quote_names([options.parameter]):
        model.ode.position(options.parameter)  # a name that does not occur is the first mistake
        raise MethodError(
            f"parameters other than {options.parameter} need a value, or --parameters symbolic; without one: "
            f"{absent[0]}"
        )
    values = {
        name: model.initial_values[name]
        for name in model.ode.parameters
        if name != options.parameter
    }
    return replace(model, ode=substitute(model.ode, values)) if values else model


def _kept(options: argparse.Namespace, model: Model) -> dict[str, Any]:
    """What was named, views as their coefficients, and what events read or set, by its name."""
    from symlump.formats.events import names_in

    events = [name for name in names_in(model.events) if name in model.ode.index]
    named = zip(read_observables(options), named_forms(options, model), strict=True)
    return dict(named) | {name: name for name in events if name != options.parameter}


def _report(options: argparse.Namespace, model: Model, family: LumpingFamily) -> dict[str, Any]:
    return {
        "file": options.file,
        "parameters": options.parameters,
        "constants": options.constants,
        "variables": len(model.ode),
        "terms": model.ode.terms,
        "parameter": options.parameter,
        "observables": list(_kept(options, model)),
        "dimension": family.dimension,
        "combinations": [
            {name: str(value) for name, value in row.items()} for row in family.combinations
        ],
        "special": [_special(special) for special in family.special],
        "notes": list(model.notes),
    }


def _special(special: SpecialValue) -> dict[str, Any]:
    from symlump.formats.numerals import fraction_text

    lumping, value = special.lumping, special.value
    rows = lumping.combinations if lumping else {}
    return {
        "polynomial": list(special.polynomial),
        "value": None if value is None else fraction_text(value),
        "dimension": special.dimension,
        "exact": lumping.exact if lumping else None,
        "smallest": lumping.smallest if lumping else None,
        "combinations": {
            name: {variable: fraction_text(c) for variable, c in row.items()}
            for name, row in rows.items()
        },
    }
