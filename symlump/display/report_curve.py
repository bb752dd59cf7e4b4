"""The curves of the report: sizes and errors as step functions of ε, with both their axes, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil, floor, isfinite, log10
from typing import Any

_WIDTH, _HEIGHT = 760, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 70, 26, 42
#: More decades than this below the largest error leave no room to the rest.
_DECADES = 7


def curve_svg(steps: Sequence[dict[str, Any]]) -> str:
    """Blocks (left axis) and errors (right axis, logarithmic) against ε, and what the lines mean.

    Parameters
    ----------
    steps : sequence of dict
        What the slider shows, with ``tolerance``, ``blocks``, ``error``, ``upper``.

    Returns
    -------
    str
        SVG and HTML.
    """
    tolerances = [step["tolerance"] for step in steps]
    x = _places(tolerances)
    parts = [_tolerance_axis(tolerances)]
    most = max(step["blocks"] for step in steps)
    unit = _whole_unit(most)
    top = unit * max(1, ceil(most / unit))
    for value in range(0, top + 1, unit):
        y = _y(value / top)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="end" x="{_LEFT - 6}" y="{y + 4}">{value}</text>')
    parts.append(f'<text class="end" x="{_LEFT - 6}" y="{_TOP - 12}">blocks</text>')
    parts += _errors(steps, x)
    heights = [_y(step["blocks"] / top) for step in steps]
    parts.append(f'<path class="blocks" d="{_stairs(x, heights)}"/>')
    parts += [
        f'<circle class="mark" cx="{a:.1f}" cy="{b:.1f}" r="4"/>'
        for a, b in zip(x, heights, strict=True)
    ]
    here = f'<line id="here" x1="{x[0]:.1f}" x2="{x[0]:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>'
    return (
        f'<svg id="curve" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="blocks and errors as step '
        f'functions of the tolerance">{"".join(parts)}{here}</svg>' + _key(steps)
    )


def _y(share: float) -> float:
    """A height between the axes, from 0 (below) to 1."""
    return round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM), 1)


def _places(tolerances: Sequence[float]) -> list[float]:
    """Tolerances on a logarithmic axis; 0 stands at its left end, apart."""
    positive = [t for t in tolerances if t > 0]
    width = _WIDTH - _LEFT - _RIGHT
    gap = 50 if len(positive) < len(tolerances) and positive else 0
    if not positive:
        return [float(_LEFT)] * len(tolerances)
    low, high = log10(positive[0]), log10(positive[-1])
    room = width - gap - 20  # the last step goes on for a little
    return [
        float(_LEFT)
        if t <= 0
        else _LEFT + gap + (room * (log10(t) - low) / (high - low) if high > low else room / 2)
        for t in tolerances
    ]


def _tolerance_axis(tolerances: Sequence[float]) -> str:
    """Powers of ten where there are several, else the tolerances at the ends."""
    positive = [t for t in tolerances if t > 0]
    base, text = _HEIGHT - _BOTTOM, []
    if len(positive) < len(tolerances):
        text.append((float(_LEFT), "0"))
    if positive:
        low, high = log10(positive[0]), log10(positive[-1])
        powers = list(range(ceil(low), floor(high) + 1))
        if len(powers) >= 2:
            shown = [10.0**p for p in powers[:: max(1, -(-len(powers) // 7))]]
        else:
            shown = sorted({positive[0], positive[-1]})
        with_ends = [t for t in tolerances if t <= 0][:1] + [positive[0], *shown, positive[-1]]
        places = dict(zip(with_ends, _places(with_ends), strict=True))
        text += [(places[t], _power(t) if len(powers) >= 2 else f"{t:.3g}") for t in shown]
    line = f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{base}" y2="{base}"/>'
    ticks = "".join(
        f'<line class="axis" x1="{a:.1f}" x2="{a:.1f}" y1="{base}" y2="{base + 5}"/>'
        f'<text class="mid" x="{a:.1f}" y="{base + 18}">{escape(word)}</text>'
        for a, word in text
    )
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    scale = " (logarithmic, 0 apart)" if positive else ""
    return (
        f'{line}{ticks}<text class="mid" x="{middle}" y="{_HEIGHT - 6}">tolerance ε{scale}</text>'
    )


def _power(value: float) -> str:
    """A power of ten; between 0.01 and 100 written out."""
    return f"{value:g}" if 0.005 < value < 200 else f"1e{round(log10(value))}"


def _whole_unit(most: int) -> int:
    """Between ticks of an axis of counts: 1, 2 or 5 times a power of ten, for at most six of them."""
    unit = 1
    while most > 6 * unit:
        unit = unit * 5 // 2 if str(unit)[0] == "2" else unit * 2
    return unit


def _errors(steps: Sequence[dict[str, Any]], x: Sequence[float]) -> list[str]:
    """The right axis and its lines; zeros have no logarithm and are left out of them."""
    everything = [
        v
        for s in steps
        for v in (s["error"], s["upper"])
        if v is not None and isfinite(v) and v > 0
    ]
    if not everything:
        return []
    high = ceil(log10(max(everything)) + 1e-12)
    low = min(high - 1, max(floor(log10(min(everything))), high - _DECADES))
    parts = []
    for power in range(low, high + 1, max(1, -(-(high - low) // 5))):
        y, edge = _y((power - low) / (high - low)), _WIDTH - _RIGHT
        parts.append(f'<line class="axis" x1="{edge}" x2="{edge + 5}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="start" x="{edge + 8}" y="{y + 4}">{_power(10.0**power)}</text>')
    parts.append(f'<text class="start" x="{_WIDTH - _RIGHT + 8}" y="{_TOP - 12}">error</text>')
    for key, name in (("error", "error"), ("upper", "bound")):
        pieces, run = [], list[tuple[float, float]]()
        for k, step in enumerate(steps):
            value = step[key]
            live = value is not None and isfinite(value) and value > 0
            if live:
                run.append((x[k], _y(max(0.0, (log10(value) - low) / (high - low)))))
            if run and (not live or k + 1 == len(steps)):
                end = x[k] if not live else None
                pieces.append(_stairs([a for a, _ in run], [b for _, b in run], end))
                run = []
        if pieces:
            parts.append(f'<path class="{name}" d="{" ".join(pieces)}"/>')
    return parts


def _stairs(x: Sequence[float], y: Sequence[float], end: float | None = None) -> str:
    """A step function: a value holds from its tolerance up to the next one."""
    path = f"M{x[0]:.1f} {y[0]:.1f}"
    for a, b in zip(x[1:], y[1:], strict=True):
        path += f"H{a:.1f}V{b:.1f}"
    return path + f"H{_WIDTH - _RIGHT if end is None else end:.1f}"


def _key(steps: Sequence[dict[str, Any]]) -> str:
    """What the lines mean, of those that are there."""
    names = {"accuracy": "misclassified", "loss": "loss", "observed": "observed error"}
    error = next((said for s, said in names.items() if steps[0].get(s) is not None), "defect δ")
    entries = [("blocks", "blocks"), ("error", error)]
    if any(step["upper"] is not None for step in steps):
        entries.append(("bound", "certified bound"))
    shown = "".join(f'<span><i class="{line}"></i>{name}</span>' for line, name in entries)
    return f'<p class="key">{shown}</p>'
