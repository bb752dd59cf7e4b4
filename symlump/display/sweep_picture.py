"""The picture of a sweep: size on one axis, errors on the other, against ε."""

from __future__ import annotations

from math import floor, log10
from typing import TYPE_CHECKING

from symlump.colours import PLAIN_INK
from symlump.display.drawing import PALETTE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from symlump.tolerances.sweep import Sweep

_ERRORS = {
    "bound": ("certified bound", PALETTE[5], "s", "-"),
    "observed": ("observed error", PALETTE[2], "^", "--"),
    "loss": ("loss", PALETTE[6], "D", "-."),
    "misclassified": ("misclassified", PALETTE[3], "X", "-."),
    "defect": ("defect δ", PLAIN_INK, "v", ":"),
}


def draw_sweep(sweep: Sweep) -> Figure:
    """Blocks or the dimension (above) and errors (below) against ε; zeros stand at the lower edge.

    A value holds up to the next tolerance.

    Parameters
    ----------
    sweep : Sweep

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    figure = new_figure(7.0, 6.0)
    upper, lower = figure.subplots(2, 1, sharex=True)
    eps = [row.eps for row in sweep.rows]
    upper.step(
        eps,
        [row.blocks for row in sweep.rows],
        where="post",
        color=PALETTE[4],
        marker="o",
        linewidth=2.2,
    )
    upper.yaxis.get_major_locator().set_params(integer=True)  # a count
    upper.set_ylabel(sweep.counted)
    upper.set_ylim(bottom=0)
    upper.set_title(sweep.subject, fontsize=11)
    for name, (label, colour, marker, line) in _ERRORS.items():
        points = [(row.eps, getattr(row, name)) for row in sweep.rows]
        known = [(e, v) for e, v in points if v is not None]
        if known:
            x, y = zip(*known, strict=True)
            lower.step(x, y, line, where="post", label=label, color=colour, marker=marker)
    positive = [e for e in eps if e > 0]
    if positive:
        lower.set_xscale("symlog", linthresh=_decade(positive))
    errors = [
        value
        for row in sweep.rows
        for name in _ERRORS
        if (value := getattr(row, name)) is not None and value > 0
    ]
    if errors:
        # Where ε is 0 a bound is the rounding of the arithmetic; more decades would leave no room to the rest.
        shown = [max(error, 1e-8 * max(errors)) for error in errors]
        lower.set_yscale("symlog", linthresh=_decade(shown))
    lower.set_xlabel("ε")
    lower.set_ylabel("error")
    lower.legend(frameon=False)
    for axes in (upper, lower):
        axes.grid(True, which="major", alpha=0.25)
    return figure


def _decade(values: list[float]) -> float:
    """The power of ten below the smallest value."""
    return float(10.0 ** floor(log10(min(values))))
