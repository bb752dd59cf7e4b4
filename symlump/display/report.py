"""One self-contained page about a sweep: equations, graph, a slider over ε. It needs no network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from symlump.colours import Look
from symlump.display.mathml import system_mathml
from symlump.display.merged_units import Shown, shown_of
from symlump.display.patterns import css_background, svg_fill
from symlump.display.report_curve import curve_svg
from symlump.display.report_graph import graph_svg
from symlump.display.report_paths import Paths
from symlump.errors import MethodError
from symlump.files import write_text
from symlump.ode.notation import count_text
from symlump.tables import table_html
from symlump.tolerances.rows import MEASURED, SweepRow
from symlump.tolerances.sweep import Sweep, measured_text

_EQUATIONS = 24
#: Where all of these agree, two tolerances are one stop of the slider.
_CHANGES = ("blocks", "size", "colour", *MEASURED, "equations")


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """A page of HTML.

    Parameters
    ----------
    html : str
        The whole page, with its styles, script and data.
    """

    html: str

    @classmethod
    def of(cls, sweep: Sweep, title: str, initial: Mapping[str, Any] | None = None) -> Report:
        """Make the page of a sweep.

        Parameters
        ----------
        sweep : Sweep
        title : str
            Heading of the page.
        initial : mapping of str to number, optional
            Where the trajectories of a system start, with a value for every variable; default: none are shown.

        Returns
        -------
        Report

        Raises
        ------
        MethodError
            If the sweep is empty, or its results are linear lumpings.

        Examples
        --------
        >>> import symlump as sl
        >>> ode = sl.ODE.from_text("a' = c - a; b' = c - 1.1*b; c' = -a - b")
        >>> Report.of(sl.sweep(ode, [0, 0.5], sl.Forward()), "three variables")  # doctest: +ELLIPSIS
        <Report: ... characters of HTML>
        """
        shown = shown_of(sweep.rows)
        if not shown:
            raise MethodError("a report needs at least one tolerance")
        ode = shown[0].ode
        paths = Paths(ode, initial)
        steps, stop_of_row = _distinct(
            [_step(row, what) for row, what in zip(sweep.rows, shown, strict=True)]
        )
        for step in steps:
            step["paths"] = paths.of(sweep.rows[step["row"]].result)
        looks = {number: svg_fill(number) for step in steps for number in _looks(step)}
        data = {
            "steps": steps,
            "stops": stop_of_row,
            "times": paths.times,
            "step": ode.discrete,
            "looks": {
                number: [fill, pattern, css_background(number), Look.of(number).ink]
                for number, (fill, pattern) in looks.items()
            },
        }
        header, rows = sweep._table()
        page = Template((Path(__file__).parent / "report.html").read_text(encoding="utf-8"))
        return cls(
            page.substitute(
                title=escape(title),
                subject=escape(sweep.subject),
                original=system_mathml(ode, _EQUATIONS),
                size=f"{count_text(len(ode), 'variable')}, {count_text(ode.terms, 'term')}",
                graph=graph_svg(ode),
                curve=curve_svg(steps),
                table=table_html(header, rows),
                last=len(steps) - 1,
                data=json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace(
                    "<", "\\u003c"
                ),
            )
        )

    def write(self, path: str | Path) -> None:
        """Write the page, whole or not at all."""
        write_text(path, self.html)

    def __repr__(self) -> str:
        return f"<Report: {len(self.html)} characters of HTML>"


def _step(row: SweepRow, shown: Shown) -> dict[str, Any]:
    """What the slider shows at one tolerance."""
    ode, quotient = shown.ode, shown.quotient
    colour, styles = np.full(len(ode), -1), [""] * len(quotient)
    for number, (place, members) in enumerate(shown.merged):
        colour[[ode.index[name] for name in members]] = number
        styles[place] = _highlight(css_background(number))
    retained = getattr(row.result, "retained", None)  # of networks
    size = "term" if retained is None else "parameter"
    return {
        "tolerance": row.eps,
        "eps": f"{row.eps:.4g}",
        "headline": row.result.headline(),
        "blocks": row.blocks,
        "blocksName": "block" if row.blocks == 1 else "blocks",
        "size": row.parameters,
        "sizeName": size if row.parameters == 1 else f"{size}s",
        "retained": None if retained is None else f"{100 * retained:.1f} %",
        **{
            name: None if (value := getattr(row, name)) is None else measured_text(value, name)
            for name in MEASURED
        },
        "error": next(
            v for v in (row.misclassified, row.loss, row.observed, row.defect) if v is not None
        ),
        "upper": row.bound,
        "colour": colour.tolist(),
        "members": [
            [quotient.variables[place], list(members[:12]), len(members), number]
            for number, (place, members) in enumerate(shown.merged)
        ][:60],
        "join": shown.join,
        "equations": system_mathml(quotient, _EQUATIONS, styles=styles),
    }


def _looks(step: dict[str, Any]) -> set[int]:
    """Numbers of the looks that a step needs."""
    curves = step["paths"]["curves"] if step["paths"] else []
    return {*range(max(step["colour"], default=-1) + 1), *(number for _, number, _, _ in curves)}


def _distinct(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[int]]:
    """The steps at which something changes, with the row of each; and for each row the step that shows it."""
    steps: list[dict[str, Any]] = []
    stop_of_row = []
    for number, row in enumerate(rows):
        if not steps or any(steps[-1][key] != row[key] for key in _CHANGES):
            steps.append(row | {"row": number})
        else:
            steps[-1]["until"] = row["eps"]
        stop_of_row.append(len(steps) - 1)
    return steps, stop_of_row


def _highlight(background: str) -> str:
    """Behind a letter, which is black in the dark theme, too."""
    return f"background:{background};color:#000;border-radius:3px;padding:0 2px"
