"""One self-contained page about a sweep: equations, graph, a slider over ε. It needs no network."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import networkx as nx
import numpy as np

from symlump.display.mathml import system_mathml
from symlump.display.merged_units import Shown, shown_of
from symlump.errors import MethodError
from symlump.files import write_text
from symlump.network.equations.network_ode import NetworkODE
from symlump.ode.exact import FloatArray
from symlump.ode.system import ODE
from symlump.tables import table_html
from symlump.tolerances.sweep import Sweep, SweepRow

#: Colours of merged blocks: Okabe–Ito and darker mixes, all readable with black text.
COLOURS = ("#E69F00", "#56B4E9", "#3CB894", "#F0E442", "#7FA8D9", "#F08A4B", "#DDA0C4", "#BBBBBB")
_MAX_NODES = 400
_MAX_EDGES = 3000
_NAMED = 60
_EQUATIONS = 24


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
    def of(cls, sweep: Sweep, title: str) -> Report:
        """Make the page of a sweep.

        Parameters
        ----------
        sweep : Sweep
        title : str
            Heading of the page.

        Raises
        ------
        MethodError
            If the sweep is empty, or its results are linear lumpings.
        """
        shown = shown_of(sweep.rows)
        if not shown:
            raise MethodError("a report needs at least one tolerance")
        ode = shown[0].ode
        steps = [_step(row, what) for row, what in zip(sweep.rows, shown, strict=True)]
        header, rows = sweep._table()
        page = Template((Path(__file__).parent / "report.html").read_text(encoding="utf-8"))
        return cls(
            page.substitute(
                title=escape(title),
                subject=escape(sweep.subject),
                original=system_mathml(ode, _EQUATIONS),
                variables=len(ode),
                terms=ode.terms,
                graph=_graph(ode),
                curve=_curve(steps) + _key(steps),
                table=table_html(header, rows),
                last=len(steps) - 1,
                data=json.dumps(
                    {"steps": steps, "colours": COLOURS}, ensure_ascii=False, separators=(",", ":")
                ).replace("<", "\\u003c"),
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
        styles[place] = _highlight(COLOURS[number % len(COLOURS)])
    retained = getattr(row.result, "retained", None)  # of networks
    return {
        "eps": f"{row.eps:.4g}",
        "headline": row.result.headline(),
        "blocks": row.blocks,
        "size": row.parameters,
        "sizeName": "terms" if retained is None else "parameters",
        "retained": None if retained is None else f"{100 * retained:.1f} %",
        "defect": f"{row.defect:.4g}",
        "bound": None if row.bound is None else f"{row.bound:.4g}",
        "observed": None if row.observed is None else f"{row.observed:.4g}",
        "loss": None if row.loss is None else f"{row.loss:.4g}",
        "error": next((v for v in (row.loss, row.observed, row.defect) if v is not None), 0.0),
        "upper": row.bound,
        "colour": colour.tolist(),
        "members": [
            [quotient.variables[place], list(members[:12]), len(members), number]
            for number, (place, members) in enumerate(shown.merged)
        ][:60],
        "join": shown.join,
        "equations": system_mathml(quotient, _EQUATIONS, styles=styles),
    }


def _highlight(colour: str) -> str:
    """The shadow reaches over the letter, which stands out of its box in some browsers."""
    return f"background:{colour};box-shadow:0 -0.3em {colour}"


def _graph(ode: ODE) -> str:
    """The dependency graph as SVG; the script colours its nodes."""
    if len(ode) > _MAX_NODES:
        return f"<p>The graph of {len(ode)} variables is too large to be seen.</p>"
    place = _layout(ode)
    sources, targets = ode.edges
    pairs = [(i, j) for i, j in zip(sources.tolist(), targets.tolist(), strict=True) if i != j]
    dropped = max(0, len(pairs) - _MAX_EDGES)
    width, height = 760, 420
    # Long names stand under small nodes, in the dense columns of a network beside them.
    columns = isinstance(ode, NetworkODE)
    x = 30 + place[:, 0] * (width - (110 if columns else 60))
    y = 30 + place[:, 1] * (height - 60)
    radius = 14 if len(ode) <= 24 else (9 if len(ode) <= _NAMED else 5)
    beside, below = (radius + 18, 4) if columns else (0, 4 if len(ode) <= 24 else radius + 12)
    lines = ""
    for i, j in pairs[:_MAX_EDGES]:
        # An arrow ends where its node begins; in a network all point from one column to the next.
        length = float(np.hypot(x[j] - x[i], y[j] - y[i]))
        short = 0.0 if columns or length == 0 else (radius + 2) / length
        end = x[j] - short * (x[j] - x[i]), y[j] - short * (y[j] - y[i])
        lines += f'<line x1="{x[i]:.1f}" y1="{y[i]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}"/>'
    nodes = "".join(
        f'<g class="node"><circle cx="{x[v]:.1f}" cy="{y[v]:.1f}" r="{radius}"><title>{escape(name)}</title>'
        f"</circle>"
        + (
            f'<text x="{x[v] + beside:.1f}" y="{y[v] + below:.1f}">{escape(name)}</text>'
            if len(ode) <= _NAMED
            else ""
        )
        + "</g>"
        for v, name in enumerate(ode.variables)
    )
    note = f"<p>{dropped} of {len(pairs)} arrows are not drawn.</p>" if dropped else ""
    return (
        f'<svg id="graph" viewBox="0 0 {width} {height}" role="img" aria-label="dependency graph, '
        f'blocks in colour"><defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" '
        f'markerHeight="8" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>'
        f'<g class="edges{"" if columns else " directed"}">{lines}</g>{nodes}</svg>{note}'
    )


def _layout(ode: ODE) -> FloatArray:
    """Places in the unit square: layers from left to right for a network, springs for a system."""
    if isinstance(ode, NetworkODE):
        layers = ode.depths.copy()
        layers[ode.kinds == "one"] = -1
        place = np.zeros((len(ode), 2))
        for layer in np.unique(layers):
            inside = np.flatnonzero(layers == layer)
            place[inside, 0] = layer
            place[inside, 1] = (np.arange(inside.size) + 0.5) / inside.size
        place[layers == -1] = (0, 1.0)
    else:
        return _side_by_side(ode)
    return _unit_square(place)


def _side_by_side(ode: ODE) -> FloatArray:
    """Each connected part by springs in a strip of its own; single variables in a row at the bottom."""
    graph = ode.dependency_graph().to_undirected()
    place = np.zeros((len(ode), 2))
    parts = sorted(nx.connected_components(graph), key=lambda part: (-len(part), min(part)))
    single = sorted(ode.index[name] for part in parts if len(part) == 1 for name in part)
    parts = [part for part in parts if len(part) > 1]
    if single:
        place[single, 0] = (np.arange(len(single)) + 0.5) / len(single)
        place[single, 1] = 1.0 if parts else 0.5
    # Room by the root of the size: small parts need names and distances too.
    edges = np.cumsum([0.0, *(len(part) ** 0.5 for part in parts)])
    for part, left, right in zip(parts, edges[:-1], edges[1:], strict=True):
        inside = graph.subgraph(sorted(part, key=ode.index.__getitem__))
        found = nx.spring_layout(
            inside,
            pos=nx.circular_layout(inside),
            seed=0,
            iterations=120,
            k=2.2 / len(part) ** 0.5,
        )
        at = [ode.index[name] for name in inside]
        local = _unit_square(np.array([found[name] for name in inside]))
        gap = 0.0 if len(parts) == 1 else 0.06 * (right - left)
        place[at, 0] = (left + gap + (right - left - 2 * gap) * local[:, 0]) / edges[-1]
        place[at, 1] = local[:, 1] * (0.85 if single else 1.0)
    return place


def _unit_square(place: FloatArray) -> FloatArray:
    low, high = place.min(axis=0), place.max(axis=0)
    return np.asarray((place - low) / np.where(high > low, high - low, 1.0), dtype=np.float64)


def _key(steps: list[dict[str, Any]]) -> str:
    """What the lines of the curve mean, of those that are there."""
    errors = next((s for s in ("loss", "observed") if steps[0][s] is not None), "defect")
    names = {"loss": "loss", "observed": "observed error", "defect": "defect δ"}
    entries = [
        ("blocks", "solid", "#0072B2"),
        (f"{names[errors]} (logarithmic)", "dashed", "#D55E00"),
    ]
    if any(step["upper"] is not None for step in steps):
        entries.append(("certified bound (logarithmic)", "dotted", "#333"))
    shown = "".join(
        f'<span><i style="border-color:{colour};border-top-style:{style}"></i>{name}</span>'
        for name, style, colour in entries
    )
    return f'<p class="key">{shown}</p>'


def _curve(steps: list[dict[str, Any]]) -> str:
    """Blocks and error along the slider, as SVG with one place a step."""
    width, height, left = 760, 190, 50
    count = max(1, len(steps) - 1)
    x = [left + (width - left - 20) * i / count for i in range(len(steps))]
    blocks = np.array([step["blocks"] for step in steps], dtype=float)
    y = height - 30 - (height - 50) * blocks / max(blocks.max(), 1)
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y.tolist(), strict=True))
    marks = "".join(
        f'<circle class="mark" cx="{a:.1f}" cy="{b:.1f}" r="4"/>'
        for a, b in zip(x, y.tolist(), strict=True)
    )
    curves = ""
    for key, name in (("error", "error"), ("upper", "bound")):
        values = np.array([np.nan if s[key] is None else s[key] for s in steps], dtype=float)
        live = np.isfinite(values) & (values > 0)
        if live.sum() < 2:
            continue
        everything = [v for s in steps for v in (s["error"], s["upper"]) if v]
        low, high = np.log10(min(everything)), np.log10(max(everything))
        logs = (np.log10(values[live]) - low) / max(high - low, 1e-9)
        points = " ".join(
            f"{a:.1f},{height - 30 - (height - 50) * b:.1f}"
            for a, b in zip(np.array(x)[live].tolist(), logs.tolist(), strict=True)
        )
        curves += f'<polyline class="{name}" points="{points}"/>'
    return (
        f'<svg id="curve" viewBox="0 0 {width} {height}" role="img" aria-label="blocks and errors by '
        f'tolerance">{curves}<polyline class="blocks" points="{line}"/>{marks}'
        f'<line id="here" x1="{x[0]:.1f}" x2="{x[0]:.1f}" y1="10" y2="{height - 25}"/>'
        f'<text x="{left}" y="{height - 8}">ε = {escape(steps[0]["eps"])}</text>'
        f'<text class="end" x="{width - 20}" y="{height - 8}">ε = {escape(steps[-1]["eps"])}</text>'
        "</svg>"
    )
