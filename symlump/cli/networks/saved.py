"""What is said of an ONNX file on the command line: sizes that it leaves open."""

from __future__ import annotations

import argparse
import re

from symlump.errors import MethodError


def add_shape(parser: argparse.ArgumentParser) -> None:
    """Add ``--shape``."""
    parser.add_argument(
        "--shape",
        action="append",
        default=[],
        metavar="NAME=1,3,48,192",
        help="an ONNX network: the shape of an input that the file leaves open, samples first; once per input",
    )


def shapes_of(options: argparse.Namespace) -> dict[str, tuple[int, ...]]:
    """The shapes that were given, by the names of the inputs.

    Raises
    ------
    MethodError
        If one is no name with whole numbers.

    Examples
    --------
    >>> shapes_of(argparse.Namespace(shape=["x=1,3,48,192"]))
    {'x': (1, 3, 48, 192)}
    """
    found: dict[str, tuple[int, ...]] = {}
    for text in options.shape:
        name, _, numbers = text.rpartition("=")
        if not name or not re.fullmatch(r"[0-9]{1,9}(,[0-9]{1,9})*", numbers):
            raise MethodError(
                f"--shape {text}: give the name of an input and its sizes, as in --shape x=1,3,48,192"
            )
        found[name] = tuple(int(n) for n in numbers.split(","))
    return found
