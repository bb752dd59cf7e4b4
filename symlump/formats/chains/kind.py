"""Whether the numbers of a chain are probabilities, rates or the whole matrix, by the sums of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from symlump.errors import FileFormatError
from symlump.formats.source import quote_names
from symlump.ode.exact import ExactArray
from symlump.ode.notation import number_text

Chain = Literal["dtmc", "ctmc"]
#: The third one is a matrix that holds its outflow, or nothing.
Kind = Literal["dtmc", "ctmc", "matrix"]
Ints = NDArray[np.int64]
_PARTS = 10_000  # printed probabilities are rounded to so many
_SHOWN = 8  # rows that a note names
_TINY, _HUGE = 1e-150, 1e150  # numbers whose sums floats hold, with their signs


def kind_of(
    names: Sequence[str], start: Ints, stop: Ints, values: ExactArray, chain: Chain | None
) -> tuple[Kind, str]:
    """What the numbers are, and the note on what nobody asked for.

    Raises
    ------
    FileFormatError
        If a number is negative, and the matrix is no generator.
    """
    if (values.numerators < 0).any():
        _check_generator(names, start, stop, values, chain)
        note = "the diagonal is negative: taken as the whole matrix, a generator with its outflow"
        return ("ctmc", "") if chain else ("matrix", note)
    if chain == "ctmc" or not (chain or len(start)):
        return chain or "matrix", ""
    sums = _row_sums(start, values, len(names))
    off = np.flatnonzero(np.abs(sums - 1) * _PARTS > 1)
    ask = 'if they are not, say chain="{0}" (on the command line: --chain {0})'
    if chain == "dtmc" and len(off):
        rows = [f"{names[k]} ({_text(sums[k])})" for k in off[:_SHOWN].tolist()]
        rows += [f"{len(off) - _SHOWN} more"] if len(off) > _SHOWN else []
        return chain, f"taken as probabilities, though some rows do not sum to 1: {', '.join(rows)}"
    if chain is not None:
        return chain, ""
    if not len(off):
        return (
            "dtmc",
            "all rows sum to 1: taken as probabilities, a chain in discrete time; "
            + ask.format("ctmc"),
        )
    # Absorbing states, which a file of either kind may leave out.
    if len(off) < len(names) and not sums[off].any():
        empty = quote_names(names[k] for k in off.tolist())
        return "ctmc", (
            f"rows sum to 1, except of states without transitions ({empty}): taken as rates, a chain in "
            f"continuous time; {ask.format('dtmc')}"
        )
    return "ctmc", (
        f"rows sum to {_text(sums.min())} … {_text(sums.max())}: taken as rates, a chain in continuous time; "
        + ask.format("dtmc")
    )


def _row_sums(start: Ints, values: ExactArray, count: int) -> NDArray[Any]:
    """The sum of each row: in floats, or where these are too narrow for the numbers, as Fractions."""
    size = floats = values.to_float()
    if (values.numerators < 0).any():
        size = np.abs(floats)
    tiny = size.min(initial=1) <= _TINY and size[values.numerators != 0].min(initial=1) <= _TINY
    if not tiny and size.max(initial=0) < _HUGE:
        return np.bincount(start, floats, count)
    sums = np.full(count, Fraction(0), dtype=object)
    for k, value in zip(start.tolist(), values, strict=True):
        sums[k] += value
    return sums


def _text(value: float | Fraction) -> str:
    """A sum for reading."""
    return number_text(value) if isinstance(value, Fraction) else f"{value:.6g}"


def _check_generator(
    names: Sequence[str], start: Ints, stop: Ints, values: ExactArray, chain: Chain | None
) -> None:
    """Negative numbers are the diagonal of a generator, whose rows sum to 0."""
    wrong = np.flatnonzero((values.numerators < 0) & ((start != stop) | (chain == "dtmc")))
    if len(wrong):
        k = int(wrong[0])
        what = "probability" if chain == "dtmc" else "rate"
        raise FileFormatError(
            f"the {what} from {names[start[k]]} to {names[stop[k]]} is negative, {number_text(values[k])}; "
            "only the diagonal of a generator may be negative, that of a chain "
            'in continuous time (chain="ctmc", on the command line: --chain ctmc)'
        )
    sums = _row_sums(start, values, len(names))
    sizes = _row_sums(start, ExactArray(np.abs(values.numerators), values.denominators), len(names))
    off = np.flatnonzero(np.abs(sums) * _PARTS > sizes)
    if len(off):
        k = int(off[0])
        raise FileFormatError(
            f"the diagonal is negative, as in a generator, but the row of {names[k]} sums to "
            f"{_text(sums[k])}, not 0"
        )
