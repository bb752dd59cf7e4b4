"""One block, one look: the colours and hatches of merged blocks, the same in equations, pictures and reports.

The fills are Paul Tol's light scheme without its two least distinct members, with a lavender: black text
reads on all of them, and they stay apart with the common colour deficiencies
(https://personal.sron.nl/~pault/). A line or a letter takes the darker colour of the same hue, which has a
contrast of at least 4.5 on white.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_FILLS = ("#44BB99", "#EE8866", "#BBCC33", "#FFAABB", "#77AADD", "#EEDD88", "#99DDFF", "#C5A8E8")
_INKS = ("#007055", "#B8431A", "#5A6B00", "#B0305C", "#1F5FA8", "#7A6000", "#0A6B8F", "#6B3FA0")
#: The nearest colours that TeX (package xcolor) and browsers call by the same name.
_NAMES = ("teal", "red", "olive", "magenta", "blue")
#: In matplotlib's language; the report draws the same.
HATCHES = ("", "///", "\\\\\\", "...", "xxx", "---", "|||", "ooo")
#: What is in no merged block, and merged blocks beyond the last look.
PLAIN_FILL, PLAIN_INK = "#F2F2F2", "#444444"
_DASHES = ("--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))


@dataclass(frozen=True)
class Look:
    """How one block is drawn.

    Parameters
    ----------
    fill : str
        Colour of a node, under black text.
    ink : str
        Colour of a letter or a line, on white.
    hatch : str
        Pattern over the fill; the first eight blocks have none.
    dash : str or tuple
        Line style, in matplotlib's language.
    """

    fill: str
    ink: str
    hatch: str
    dash: str | tuple[int, tuple[int, ...]]

    @classmethod
    def of(cls, number: int) -> Look:
        """The look of the block with this number, counted from 0; no two of the first 64 are the same.

        Parameters
        ----------
        number : int

        Returns
        -------
        Look

        Examples
        --------
        >>> Look.of(0).fill, Look.of(0).hatch
        ('#44BB99', '')
        >>> Look.of(8).fill, Look.of(8).hatch
        ('#44BB99', '///')
        >>> len({(Look.of(k).fill, Look.of(k).hatch) for k in range(64)})
        64
        """
        hue, pattern = number % len(_FILLS), number // len(_FILLS)
        dash = _DASHES[number % len(_DASHES)]
        if pattern >= len(HATCHES):
            return cls(PLAIN_FILL, PLAIN_INK, "", dash)
        return cls(_FILLS[hue], _INKS[hue], HATCHES[pattern], dash)


def ink_name(number: int) -> str | None:
    """The colour of a merged block's letters in LaTeX; None where there is no other one.

    The five names are understood by MathJax, KaTeX and, with the package xcolor, by TeX; a colour in
    hexadecimal digits is not.

    Parameters
    ----------
    number : int
        Counted from 0, as :func:`block_numbers` counts.

    Returns
    -------
    str or None

    Examples
    --------
    >>> ink_name(0), ink_name(5)
    ('teal', None)
    """
    return _NAMES[number] if number < len(_NAMES) else None


def block_numbers(sizes: Sequence[int]) -> list[int]:
    """The number of each block's look: merged blocks first, in their order, then single variables.

    Parameters
    ----------
    sizes : sequence of int
        Members of each block.

    Returns
    -------
    list of int

    Examples
    --------
    >>> block_numbers([1, 3, 1, 2])
    [2, 0, 3, 1]
    """
    order = sorted(range(len(sizes)), key=lambda b: (sizes[b] < 2, b))
    numbers = [0] * len(sizes)
    for number, b in enumerate(order):
        numbers[b] = number
    return numbers
