"""``symlump show``: what is in a model file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symlump.cli.answer import Answer
from symlump.cli.arguments import declare_files, refuse
from symlump.cli.networks.saved import OF_ONNX, add_shape
from symlump.cli.outputs import add_picture, check_picture, draw_picture
from symlump.cli.reading import (
    NETWORKS,
    READ,
    add_reading,
    indent_lines,
    note_lines,
    read_model,
    refuse_options_of_models,
    sizes,
)
from symlump.errors import MethodError
from symlump.ode.notation import count_text, cut_text

if TYPE_CHECKING:
    from symlump.formats.model import Model

_DESCRIPTION = """\
Read a model file and say what is in it: how many variables, symbolic parameters, terms and distinct
monomials, of which degree; the initial partition and the views that its author gave; what was done while
reading that the file does not say; the first equations. Reading is exact: 0.1 in a file is 1/10. (In
Python a float is the rational that it denotes.)

Formats: ERODE (.ode), BioNetGen (.net), Markov chains (.tra of MRMC, PRISM, Storm), SBML (.xml, .sbml; with
submodels it needs the extra sbml). A network is shown layer by layer, with the equations of its
influence form: a saved state dict (.safetensors, .pt) or ONNX (.onnx; needs the extra onnx).
"""

_EXAMPLES = """\
examples:
  symlump show tree.ode
  parameters as letters in place of their numbers:
    symlump show tree.ode --parameters symbolic
  the layers of a network:
    symlump show net.onnx
    symlump show net.safetensors --activation tanh
  only the counts; all equations as LaTeX:
    symlump show tree.ode --equations 0
    symlump show tree.ode --equations 1000 --terms 1000 --latex

exit codes: 0 done, 2 the file cannot be read
"""

_VIEWS = 12
_WIDTH = 100


def fill(parser: argparse.ArgumentParser) -> None:
    """Describe the command, and add its arguments."""
    parser.description = _DESCRIPTION
    parser.epilog = _EXAMPLES
    parser.set_defaults(run=run)
    add_reading(
        parser,
        "a model: .ode, .net, .tra, .xml, .sbml, .txt; or a network: .safetensors, .pt, .onnx",
    )
    parser.add_argument(
        "--equations",
        type=int,
        default=8,
        metavar="N",
        help="how many equations to show (default: 8)",
    )
    parser.add_argument(
        "--terms",
        type=int,
        default=12,
        metavar="N",
        help="how many terms of each to show (default: 12)",
    )
    parser.add_argument(
        "--leave-untouched",
        action="store_true",
        help="an ONNX network: show operators that symlump does not know as they are, instead of refusing it",
    )
    add_shape(parser)
    parser.add_argument("--latex", action="store_true", help="print the equations as LaTeX, alone")
    parser.add_argument(
        "--activation",
        metavar="NAME",
        help="a saved state dict: the activation of its hidden layers, which is needed for equations",
    )
    add_picture(parser, "the dependency graph of a model")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    declare_files(parser, reads=READ, writes=("picture",))


def run(options: argparse.Namespace) -> Answer:
    """Run the command."""
    if options.equations < 0 or options.terms < 1:
        raise MethodError(
            f"--equations {options.equations} --terms {options.terms}: give at least 0 equations "
            "and 1 term"
        )
    if options.latex and options.json:
        raise MethodError("--latex prints equations alone and --json a report; give one of them")
    check_picture(options)
    if Path(options.file).suffix.lower() in NETWORKS:
        from symlump.cli.networks.show_network import run_network

        refuse_options_of_models(options)
        return run_network(options)
    refuse(options, OF_ONNX, f"is for ONNX networks; {options.file} is not one")
    refuse(options, {"activation": None}, f"is for saved networks; {options.file} is not one")
    model = read_model(options)
    draw_picture(options, model.ode)
    return Answer(
        lambda: _report(model, options),
        lambda: (
            model.ode.to_latex(options.equations, options.terms)
            if options.latex
            else _text(model, options)
        ),
    )


def _report(model: Model, options: argparse.Namespace) -> dict[str, Any]:
    from symlump.formats.numerals import fraction_text
    from symlump.ode.printing import equation_text

    ode = model.ode
    return {
        "file": options.file,
        "name": model.name,
        "variables": len(ode),
        "parameters": list(ode.parameters),
        "terms": ode.terms,
        "monomials": len(ode.monomials),
        "degree": _degree(model),
        "partition": None if model.partition is None else [list(b) for b in model.partition],
        "observables": {
            name: {variable: fraction_text(value) for variable, value in view.items()}
            for name, view in model.observables.items()
        },
        "other_views": model.other_views,
        "dropped": {name: fraction_text(value) for name, value in model.dropped.items()},
        "events": [
            {"name": event.name, "text": str(event), "variables": list(event.variables)}
            for event in model.events
        ],
        "notes": list(model.notes),
        "equations": [
            {
                "variable": ode.variables[i],
                "initial_value": fraction_text(model.initial_values[ode.variables[i]]),
                "derivative": equation_text(ode, i, options.terms),
            }
            for i in range(min(options.equations, len(ode)))
        ],
    }


def _text(model: Model, options: argparse.Namespace) -> str:
    from symlump.formats.model import combination_text

    ode = model.ode
    lines = [
        f"{Path(options.file).name}: model {model.name}",
        f"{sizes(model)}, {count_text(len(ode.monomials), 'monomial')}, degree {_degree(model)}",
    ]
    if model.partition is None:
        lines.append("initial partition: none in the file")
    else:
        shown = [
            cut_text("{" + ", ".join(block) + "}", _WIDTH) for block in model.partition[:_VIEWS]
        ]
        lines.append(f"initial partition: {count_text(len(model.partition), 'block')}")
        lines += indent_lines(shown, len(model.partition), "blocks")
    different = len(set(model.initial_values.values()))
    lines.append(f"initial values: {different} different")
    views = [(name, combination_text(view)) for name, view in model.observables.items()]
    for title, listed in (("observables", views), ("other views", [*model.other_views.items()])):
        if listed:
            lines.append(f"{title}: {len(listed)}")
            shown = [cut_text(f"{name} = {text}", _WIDTH) for name, text in listed[:_VIEWS]]
            lines += indent_lines(shown, len(listed), title)
    if model.events:
        lines.append(f"events: {len(model.events)}")
        shown = [cut_text(str(event), _WIDTH) for event in model.events[:_VIEWS]]
        lines += indent_lines(shown, len(model.events), "events")
    if model.dropped:
        lines.append(
            f"constants replaced by their values: {cut_text(', '.join(model.dropped), _WIDTH)}"
        )
    lines += note_lines(model)
    if options.equations:
        lines += ["", ode.to_text(options.equations, options.terms)]
    return "\n".join(lines)


def _degree(model: Model) -> int:
    return int(model.ode.monomials.degrees.max(initial=0))
