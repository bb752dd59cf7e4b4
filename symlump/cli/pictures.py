"""``--picture FILE``, for every command whose result can be drawn."""

from __future__ import annotations

import argparse
from typing import Any


def add_picture(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the option."""
    parser.add_argument(
        "--picture", metavar="FILE.svg", help=f"draw {what}, as .svg, .png or .pdf (extra plot)"
    )


def check_picture(options: argparse.Namespace) -> None:
    """Refuse before the work a picture that could not be drawn after it.

    Raises
    ------
    FileFormatError
        If the suffix names no format.
    MissingExtraError
        If matplotlib is not installed.
    """
    if options.picture is not None:
        from symlump.display.drawing import new_figure, picture_format

        picture_format(options.picture)
        new_figure(1, 1)


def draw_picture(options: argparse.Namespace, result: Any) -> None:
    """Draw a result, if that is asked for."""
    if options.picture is not None:
        from symlump.display.drawing import draw, save_picture

        save_picture(draw(result), options.picture)
