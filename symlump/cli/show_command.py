"""``symlump show``: what is in a model file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symlump.cli.answer import Answer
from symlump.cli.progress import working
from symlump.errors import FileFormatError, MethodError

if TYPE_CHECKING:
    from symlump.formats.model import Model

_DESCRIPTION = """\
Read a model file and say what is in it: how many variables, symbolic parameters, terms and distinct
monomials, of which degree; the initial partition and the views that its author gave; what was done while
reading that the file does not say; the first equations. Reading is exact: 0.1 in a file is 1/10. (In
Python a float is the rational that it denotes.)

Formats: ERODE (.ode), BioNetGen (.net), MRMC Markov chains (.tra), SBML (.xml, .sbml; with submodels it needs
the extra sbml). Rates must be polynomials. An ONNX network (.onnx; needs the extra onnx) is shown node by
node, with the equations of its influence form.
"""

_EXAMPLES = """\
examples:
  symlump show tree.ode
  parameters as letters in place of their numbers:
    symlump show tree.ode --parameters symbolic
  the layers of a network:
    symlump show net.onnx
  only the counts; all equations as LaTeX:
    symlump show tree.ode --equations 0
    symlump show tree.ode --equations 1000 --terms 1000 --latex

exit codes: 0 done, 2 the file cannot be read
"""

#: Suffixes of saved networks.
NETWORKS = {".safetensors", ".pt", ".pth", ".onnx"}
_VIEWS = 12
_WIDTH = 100


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "show",
        help="what is in a model file",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    add_reading(parser, "a model: .ode, .net, .tra, .xml, .sbml; or a network: .onnx")
    parser.add_argument(
        "--equations", type=int, default=8, metavar="N", help="how many to show (default: 8)"
    )
    parser.add_argument(
        "--terms", type=int, default=12, metavar="N", help="of each equation (default: 12)"
    )
    parser.add_argument(
        "--leave-untouched",
        action="store_true",
        help="an ONNX network: show operators that symlump does not know as they are, instead of refusing it",
    )
    parser.add_argument("--latex", action="store_true", help="print the equations as LaTeX, alone")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def add_reading(
    parser: argparse.ArgumentParser, files: str = "a model: .ode, .net, .tra, .xml, .sbml"
) -> None:
    """The arguments that say which file to read and how."""
    parser.add_argument("file", metavar="FILE", help=files)
    parser.add_argument(
        "--parameters",
        default="values",
        choices=("values", "symbolic"),
        help="replace parameters by their values, or keep them as letters, which makes the result "
        "valid for all values (default: values)",
    )
    parser.add_argument(
        "--constants",
        default="keep",
        choices=("keep", "values"),
        help="species that never change: keep as variables, or replace by their initial values "
        "(default: keep)",
    )
    parser.add_argument(
        "--chain",
        choices=("dtmc", "ctmc"),
        help="a .tra file: its numbers are probabilities (dtmc) or rates (ctmc); by default the sums of the "
        "rows decide, and the report says so",
    )
    parser.add_argument(
        "--format",
        metavar="NAME",
        help="erode, bionetgen, mrmc or sbml (default: the suffix decides)",
    )


def read_model(options: argparse.Namespace) -> Model:
    """Read the file as the options say."""
    from symlump import formats

    if Path(options.file).suffix.lower() in NETWORKS:
        raise FileFormatError(
            f"{options.file} is a network, and this takes model files; for networks there are symlump "
            "compress, symlump sweep, symlump report, and symlump show for .onnx"
        )
    with working(f"reading {options.file}"):
        return formats.read(
            options.file,
            parameters=options.parameters,
            constants=options.constants,
            chain=options.chain,
            format=options.format,
        )


def run(options: argparse.Namespace) -> Answer:
    """Run the command."""
    if options.equations < 0 or options.terms < 1:
        raise MethodError(
            f"--equations {options.equations} --terms {options.terms}: give at least 0 equations "
            "and 1 term"
        )
    if options.latex and options.json:
        raise MethodError("--latex prints equations alone and --json a report; give one of them")
    if Path(options.file).suffix.lower() == ".onnx":
        from symlump.cli.show_network import run_network

        for option, given in (
            ("--parameters", options.parameters != "values"),
            ("--constants", options.constants != "keep"),
            ("--chain", options.chain is not None),
            ("--format", options.format is not None),
        ):
            if given:
                raise MethodError(
                    f"{option} is for differential equations; {options.file} is a network"
                )
        return run_network(options)
    if options.leave_untouched:
        raise MethodError(f"--leave-untouched is for ONNX networks; {options.file} is none")
    model = read_model(options)
    return Answer(
        lambda: _report(model, options),
        lambda: (
            model.ode.to_latex(options.equations, options.terms)
            if options.latex
            else _text(model, options)
        ),
    )


def _report(model: Model, options: argparse.Namespace) -> dict[str, Any]:
    from symlump.formats.algebra import fraction_text
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
        f"{sizes(model)}, {counted(len(ode.monomials), 'monomial')}, degree {_degree(model)}",
    ]
    if model.partition is None:
        lines.append("initial partition: none in the file")
    else:
        shown = [_cut("{" + ", ".join(block) + "}") for block in model.partition[:_VIEWS]]
        lines.append(f"initial partition: {counted(len(model.partition), 'block')}")
        lines += _indented(shown, len(model.partition), "blocks")
    different = len(set(model.initial_values.values()))
    lines.append(f"initial values: {different} different")
    views = [(name, combination_text(view)) for name, view in model.observables.items()]
    for title, listed in (("observables", views), ("other views", [*model.other_views.items()])):
        if listed:
            lines.append(f"{title}: {len(listed)}")
            shown = [_cut(f"{name} = {text}") for name, text in listed[:_VIEWS]]
            lines += _indented(shown, len(listed), title)
    if model.dropped:
        lines.append(f"constants replaced by their values: {_cut(', '.join(model.dropped))}")
    lines += note_lines(model)
    if options.equations:
        lines += ["", ode.to_text(options.equations, options.terms)]
    return "\n".join(lines)


def note_lines(model: Model) -> list[str]:
    """What was done while reading the model, a line each."""
    if not model.notes:
        return []
    return ["while reading:", *_indented(list(model.notes[:_VIEWS]), len(model.notes), "notes")]


def sizes(model: Model) -> str:
    """Variables, symbolic parameters where there are any, and terms.

    Examples
    --------
    >>> import sympy
    >>> from symlump import PolynomialODE
    >>> from symlump.formats import Model
    >>> x, k = sympy.symbols("x k")
    >>> sizes(Model("m", PolynomialODE.from_sympy({x: 1 - k*x}, [k]), {}))
    '2 variables, 1 of them a symbolic parameter, 2 terms'
    """
    parts = [counted(len(model.ode), "variable")]
    symbolic = len(model.ode.parameters)
    if symbolic:
        what = "a symbolic parameter" if symbolic == 1 else "symbolic parameters"
        parts.append(f"{symbolic} of them {what}")
    return ", ".join([*parts, counted(model.ode.terms, "term")])


def counted(number: int, what: str) -> str:
    """A number with its noun.

    Examples
    --------
    >>> counted(1, "block"), counted(3, "block")
    ('1 block', '3 blocks')
    """
    return f"{number} {what}" + ("" if number == 1 else "s")


def _degree(model: Model) -> int:
    return int(model.ode.monomials.degrees.max(initial=0))


def _indented(lines: list[str], count: int, what: str) -> list[str]:
    more = [f"… {count - len(lines)} more {what}"] if count > len(lines) else []
    return [f"  {line}" for line in [*lines, *more]]


def _cut(text: str) -> str:
    return text if len(text) <= _WIDTH else text[:_WIDTH].rstrip() + " …"
