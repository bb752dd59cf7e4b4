"""What a command answers, and where that is printed."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TextIO


@dataclass(frozen=True)
class Answer:
    """The answer of a command, as data and as text; only the one that is asked for is made.

    Parameters
    ----------
    data : callable
        Returns plain data, for ``--json``.
    text : callable
        Returns the same for people.
    code : int
        The exit code.
    """

    data: Callable[[], Any]
    text: Callable[[], str]
    code: int = 0

    def show(self, as_json: bool, stream: TextIO) -> None:
        """Print it."""
        text = json_text(self.data(), stream.encoding) if as_json else self.text()
        if text:
            print(text, file=stream)


def json_text(data: Any, encoding: str | None) -> str:
    r"""JSON that a stream can show: what its encoding lacks is escaped, so nothing is lost.

    Examples
    --------
    >>> print(json_text({"ε": 0}, "ascii"))
    {
      "\u03b5": 0
    }
    """
    data = _finite(data)
    text = json.dumps(data, indent=2, ensure_ascii=False)
    try:
        text.encode(encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(data, indent=2, ensure_ascii=True)
    return text


def _finite(data: Any) -> Any:
    """Plain data in which None stands for floats that JSON does not have: inf and nan."""
    match data:
        case float():
            return data if math.isfinite(data) else None
        case dict():
            return {key: _finite(value) for key, value in data.items()}
        case list() | tuple():
            return [_finite(value) for value in data]
    return data


#: Letters and signs of symlump's own texts, for where they cannot be shown.
_PLAIN = {
    "→": "->",
    "–": "-",
    "−": "-",
    "…": "...",
    "ε": "eps",
    "δ": "delta",
    "≤": "<=",
    "≥": ">=",
    "×": "x",
    "·": "*",
    "±": "+-",
    "‖": "||",
    "⟨": "<",
    "⟩": ">",
    "’": "'",
    "“": '"',
    "”": '"',
}


def _replaced(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    part = error.object[error.start : error.end]
    return "".join(_PLAIN.get(letter, "?") for letter in part), error.end


def show_anything() -> None:
    """Let standard output and error take any text: what their encoding lacks is written in ASCII, or as ``?``.

    A stream that was closed before symlump began takes everything and keeps nothing.
    """
    import codecs
    import io
    import os

    codecs.register_error("symlump", _replaced)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="symlump")
