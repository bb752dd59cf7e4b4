"""Looks of blocks on web pages: hatches as SVG patterns and as CSS backgrounds."""

from __future__ import annotations

from symlump.colours import Look

#: Lines of each hatch in a square of 8: as an SVG path, and as a CSS gradient.
_LINES = "#0007"
_SVG = {
    "": "",
    "///": "M0 8L8 0",
    "\\\\\\": "M0 0L8 8",
    "...": "M3.2 4h1.6M0 0h1M7 8h1",
    "xxx": "M0 8L8 0M0 0L8 8",
    "---": "M0 4H8",
    "|||": "M4 0V8",
    "ooo": "M2 4a2 2 0 1 0 4 0a2 2 0 1 0 -4 0",
}
_CSS = {
    "///": ("135deg",),
    "\\\\\\": ("45deg",),
    "xxx": ("45deg", "135deg"),
    "---": ("180deg",),
    "|||": ("90deg",),
}


def svg_fill(number: int) -> tuple[str, str]:
    """What fills a node of a block, and the pattern that this needs in the defs of an SVG.

    Parameters
    ----------
    number : int
        Of the block's look.

    Returns
    -------
    (str, str)

    Examples
    --------
    >>> svg_fill(0)
    ('#44BB99', '')
    >>> svg_fill(8)[0]
    'url(#hatch8)'
    """
    look = Look.of(number)
    if not look.hatch:
        return look.fill, ""
    pattern = (
        f'<pattern id="hatch{number}" width="8" height="8" patternUnits="userSpaceOnUse">'
        f'<rect width="8" height="8" fill="{look.fill}"/>'
        f'<path d="{_SVG[look.hatch]}" fill="none" stroke="#000" stroke-opacity="0.55"/></pattern>'
    )
    return f"url(#hatch{number})", pattern


def css_background(number: int) -> str:
    """The hatch of a block as the background of a word in CSS.

    Parameters
    ----------
    number : int
        Of the block's look.

    Returns
    -------
    str
        A value of the property ``background``.

    Examples
    --------
    >>> css_background(0)
    '#44BB99'
    >>> css_background(8)
    'repeating-linear-gradient(135deg,#0007 0 1px,transparent 1px 5px),#44BB99'
    """
    look = Look.of(number)
    if look.hatch in ("...", "ooo"):
        inner = "1px" if look.hatch == "..." else "2px"
        return f"radial-gradient({_LINES} {inner},transparent {inner}) 0 0/6px 6px,{look.fill}"
    lines = [
        f"repeating-linear-gradient({angle},{_LINES} 0 1px,transparent 1px 5px)"
        for angle in _CSS.get(look.hatch, ())
    ]
    return ",".join([*lines, look.fill])
