"""The semantic test suite of SBML: what is read must simulate to the results that come with each case.

The suite (https://github.com/sbmlteam/sbml-test-suite) is not part of this project; a folder that holds its
cases is named by whoever has it.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from symlump.errors import FailureError, InputError, NotPolynomialError
from symlump.formats.flat import FlatModel, evaluate
from symlump.formats.floats import FloatArithmetic, Floats
from symlump.formats.functional_model import functional_model
from symlump.formats.polynomial_model import polynomial_model, values_at_start
from symlump.formats.sbml.read import ModelSymbols, document_of
from symlump.formats.source import Source, quote


@dataclass
class SuiteResult:
    """How many cases ended how.

    Parameters
    ----------
    right, partial : int
        Cases that simulate to the results; those that do except for views kept as text.
    wrong : list of str
        Cases that do not, with the first variable that differs.
    refused : Counter of str
        Why the others were not read.
    """

    right: int = 0
    partial: int = 0
    wrong: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)


def measure(folder: str | Path, version: str | None = None) -> SuiteResult:
    """Read, simulate and compare every case.

    Parameters
    ----------
    folder : str or Path
        ``cases/semantic`` of the suite.
    version : str, optional
        A level and version such as ``l2v4``; by default the last one of each case.

    Raises
    ------
    InputError
        If there are no cases in the folder.
    """
    cases = sorted(path for path in Path(folder).glob("[0-9]*") if path.is_dir())
    if not cases:
        raise InputError(f"{folder} has no cases; give the folder cases/semantic of the suite")
    result = SuiteResult()
    for case in cases:
        files = sorted(case.glob(f"{case.name}-sbml-{version or '*'}.xml"))
        if not files:
            continue
        try:
            missing, different = _compare(case, files[-1])
        except (InputError, FailureError) as problem:
            result.refused[reason(str(problem))] += 1
            continue
        if different:
            result.wrong.append(f"{case.name}: {different}")
        elif missing:
            result.partial += 1
        else:
            result.right += 1
    return result


def reason(message: str) -> str:
    """A refusal without its place and without names of the file."""
    text = re.sub(r"^.*?:[0-9]+:[0-9]+: ", "", message).split(", in ")[0]
    words = text.split("'")
    return "'…'".join(words[::2])


def _compare(case: Path, path: Path) -> tuple[list[str], str]:
    """The variables of the results that there are no values of, and the first one that differs."""
    lines = (case / f"{case.name}-settings.txt").read_text().splitlines()
    settings = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)
    }
    with open(case / f"{case.name}-results.csv", newline="") as handle:
        head, *rows = (row for row in csv.reader(handle) if row)
    expected = np.array([[float(entry) for entry in row] for row in rows])
    columns = dict(zip((name.strip() for name in head[1:]), expected.T[1:], strict=True))
    symbols = ModelSymbols(document_of(Source.read(path)))
    flat = symbols.flat()
    found = _values(flat, expected[:, 0])
    absolute, relative = float(settings["absolute"]), float(settings["relative"])
    missing = []
    for name in _names(settings, "variables"):
        if name not in found:
            missing.append(name)
            continue
        value, right = found[name], columns[name]
        if symbols.kinds.get(name) == "species":
            # The results have amounts or concentrations, as the settings say.
            is_amount = symbols.is_amount(name)
            size = found.get(symbols.elements[name].get("compartment") or "")
            if size is not None and name in _names(settings, "amount") and not is_amount:
                value = value * size
            if size is not None and name in _names(settings, "concentration") and is_amount:
                value = value / size
        with np.errstate(invalid="ignore"):
            close = np.abs(value - right) <= absolute + relative * np.abs(right)
        same = close | (value == right) | (np.isnan(value) & np.isnan(right))
        if not same.all():
            return (
                missing,
                f"{quote(name)} is {value[~same][0]:.6g} where {right[~same][0]:.6g} is right",
            )
    return missing, ""


def _names(settings: dict[str, str], key: str) -> list[str]:
    return [name.strip() for name in settings.get(key, "").split(",") if name.strip()]


def _values(flat: FlatModel, times: Floats) -> dict[str, Floats]:
    """Every symbol at every time: states simulated as the system that is read, the others from their rules."""
    try:
        model = polynomial_model(flat, symbolic=False, folded=False)
    except NotPolynomialError:
        model = functional_model(flat, symbolic=False)
    arithmetic = FloatArithmetic(times)
    values = {
        name: arithmetic.number(value)
        for name, value in values_at_start(flat).items()
        if name not in flat.ruled
    }
    if len(model.ode):
        states = model.simulate(times).states
        values |= dict(zip(model.ode.variables, states, strict=True))
    for name in flat.in_order(flat.ruled, flat.ruled.get):
        if name in flat.ruled:
            with suppress(InputError):  # a delay, say: then nothing is said about its value
                values[name] = evaluate(flat.ruled[name], values, arithmetic)
    return values
