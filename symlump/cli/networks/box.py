"""``--box``: how far the outputs of two networks differ, certified."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from symlump.enclosures.wording import at_most
from symlump.progress import working

if TYPE_CHECKING:
    from symlump.compression.compression import Compression
    from symlump.compression.relaxed.explanation import ReductionExplanation


def add_box(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the option."""
    parser.add_argument("--box", nargs=2, type=float, metavar=("LOW", "HIGH"), help=what)


def certify(result: Compression | ReductionExplanation, box: list[float]) -> dict[str, Any]:
    """The certified bound on a range of inputs, as plain data."""
    with working("certifying the difference"):
        bound = result.bound(tuple(box))
    return {
        "box": box,
        "largest": bound.largest,
        "vacuous": bound.vacuous,
        "remarks": bound.remarks,
    }


def certified_line(bound: dict[str, Any], what: str) -> str:
    """The certified bound in a line for people.

    Examples
    --------
    >>> bound = {"box": [-1.0, 1.0], "largest": 0.25, "remarks": ()}
    >>> print(certified_line(bound, "no output moves"))
    certified: for all inputs in [-1, 1] no output moves by more than 0.25
    """
    low, high = bound["box"]
    most = "; ".join([at_most(bound["largest"]), *bound["remarks"]])
    return f"certified: for all inputs in [{low:g}, {high:g}] {what} by more than {most}"
