"""Reading a model file on the command line, and what every command says about it."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from symlump.cli.arguments import refuse
from symlump.errors import FileFormatError
from symlump.ode.notation import count_text
from symlump.progress import working

if TYPE_CHECKING:
    from symlump.formats.model import Model

#: The arguments of :func:`add_reading` that name files.
READ = ("file", "labels", "states", "rewards")
#: Suffixes of saved networks.
NETWORKS = {".safetensors", ".pt", ".pth", ".onnx"}
_NOTES = 12


def add_reading(
    parser: argparse.ArgumentParser, files: str = "a model: .ode, .net, .tra, .xml, .sbml, .txt"
) -> None:
    """The arguments that say which file to read and how."""
    parser.add_argument("file", metavar="FILE", help=files)
    parser.add_argument(
        "--parameters",
        default="values",
        choices=("values", "symbolic"),
        help="replace parameters by their values, or keep them as symbols, which makes the result "
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
        "--labels",
        metavar="FILE",
        help="a .tra file: labels of its states (.lab), which stay apart unless --initial one is given, and "
        "are views",
    )
    parser.add_argument(
        "--states", metavar="FILE", help="a .tra file: values of variables (.sta), which are views"
    )
    parser.add_argument(
        "--rewards",
        metavar="FILE",
        action="append",
        help="a .tra file: rewards of states or transitions, which are views; may be given several times",
    )
    parser.add_argument(
        "--format",
        metavar="NAME",
        help="erode, bionetgen, mrmc (.tra), sbml, antimony, bngl, or equations as text (default: the suffix "
        "decides, and of standard input the first line)",
    )


def refuse_options_of_models(options: argparse.Namespace) -> None:
    """Refuse what :func:`add_reading` offers, where the file is a network.

    Raises
    ------
    MethodError
        With the option that was given.
    """
    unset = {
        "parameters": "values",
        "constants": "keep",
        **dict.fromkeys(("chain", *READ[1:], "format")),
    }
    refuse(options, unset, f"is for differential equations; {options.file} is a network")


def read_model(options: argparse.Namespace, *, partition: bool = True) -> Model:
    """Read the file as the options say; its notes say of labels whether this command keeps them apart.

    Parameters
    ----------
    options : Namespace
    partition : bool
        Whether the command heeds the partition of the file.
    """
    from symlump import formats

    if Path(options.file).suffix.lower() in NETWORKS:
        raise FileFormatError(
            f"{options.file} is a network, and this takes model files; for networks there are symlump show, "
            "symlump compress, symlump sweep and symlump report"
        )
    with working(f"reading {options.file}"):
        model = formats.read(
            options.file,
            parameters=options.parameters,
            constants=options.constants,
            chain=options.chain,
            labels=options.labels,
            states=options.states,
            rewards=options.rewards or (),
            format=options.format,
        )
    if options.labels is None:
        return model
    if getattr(options, "method", None) == "constrained" or not partition:
        views = "labels are views only: this keeps no states apart"
    elif (initial := getattr(options, "initial", "file")) != "file":
        views = f"labels are views only: --initial {initial} says what stays apart"
    else:
        return model
    from symlump.formats.chains.states import APART

    notes = (views if note.startswith(APART) else note for note in model.notes)
    return replace(model, notes=tuple(notes))


def note_lines(model: Model) -> list[str]:
    """What was done while reading the model, a line each."""
    if not model.notes:
        return []
    return ["while reading:", *indent_lines(list(model.notes[:_NOTES]), len(model.notes), "notes")]


def missed_notes(model: Model, missed: str) -> list[str]:
    """The note on what could have been missed, where functions are taken as unknown.

    Examples
    --------
    >>> import symlump as sl
    >>> from symlump.formats import Model
    >>> missed_notes(Model("m", sl.ODE.from_text("x' = exp(x)"), {}), "a conserved quantity")
    ['exp is taken as an unknown function, so a conserved quantity that uses more of it may exist']
    """
    from symlump.ode.functions.wording import taken_as_unknown, unknown_note

    return [unknown_note(model.ode, missed)] if taken_as_unknown(model.ode) else []


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
    parts = [count_text(len(model.ode), "variable")]
    symbolic = len(model.ode.parameters)
    if symbolic:
        what = "a symbolic parameter" if symbolic == 1 else "symbolic parameters"
        parts.append(f"{symbolic} of them {what}")
    return ", ".join([*parts, count_text(model.ode.terms, "term")])


def indent_lines(lines: list[str], count: int, what: str) -> list[str]:
    """Lines of a list, with how many more there are."""
    more = [f"… {count - len(lines)} more {what}"] if count > len(lines) else []
    return [f"  {line}" for line in [*lines, *more]]
