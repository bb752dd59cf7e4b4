"""Constrained lumping of a file beside a forward equivalence that keeps the same variable.

Whole commands, with starting Python, reading, checking and printing; and the lumping alone, of a system that
was just read. Seconds of the processor.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from symlump.bench.speed.rows import seconds_of_children
from symlump.errors import FailureError


@dataclass(frozen=True)
class BesideForward:
    """One file; seconds of the processor.

    Parameters
    ----------
    file, observable : str
    variables, terms, rows : int
    reading, lumping, forward : float
        To read the file; to lump the system; to find the forward equivalence and its quotient.
    command, forward_command : float
        ``symlump lump FILE --method constrained --observable NAME``, and
        ``symlump lump FILE --method forward --keep NAME``.
    """

    file: str
    observable: str
    variables: int
    terms: int
    rows: int
    reading: float
    lumping: float
    forward: float
    command: float
    forward_command: float

    @property
    def ratio(self) -> float:
        """How many times as long the command takes."""
        return self.command / self.forward_command


def beside_forward(cases: Sequence[tuple[str, str]], tries: int = 2) -> list[BesideForward]:
    """Measure files, each with a variable to keep; the smallest of a few runs.

    Raises
    ------
    FailureError
        If a command fails.
    """
    return [_beside_forward(file, observable, tries) for file, observable in cases]


def _beside_forward(file: str, observable: str, tries: int) -> BesideForward:
    from symlump.formats import read
    from symlump.lumping.forward import Forward
    from symlump.lumping.linear.constrained import Constrained
    from symlump.lumping.lump import lump

    times: list[tuple[float, ...]] = []
    for _ in range(tries):
        marks = [time.process_time()]
        ode = read(file).ode
        marks.append(time.process_time())
        lumping = lump(ode, Constrained(observable))
        marks.append(time.process_time())
        ode = read(file).ode
        begun = time.process_time()
        lump(ode, Forward(), [[observable]]).quotient  # noqa: B018
        forward = time.process_time() - begun
        constrained = _command(file, "constrained", "--observable", observable)
        other = _command(file, "forward", "--keep", observable)
        reading, alone = marks[1] - marks[0], marks[2] - marks[1]
        times.append((reading, alone, forward, constrained, other))
    sizes = len(ode), ode.terms, len(lumping)
    return BesideForward(file, observable, *sizes, *map(min, zip(*times, strict=True)))


def _command(file: str, method: str, *more: str) -> float:
    """Seconds of the processor that a command takes."""
    arguments = [sys.executable, "-m", "symlump", "lump", file, "--method", method, *more]
    seconds, done = seconds_of_children(
        lambda: subprocess.run(arguments, capture_output=True, text=True, check=False)
    )
    if done.returncode:
        raise FailureError(f"{' '.join(arguments[2:])} failed: {done.stderr.strip()}")
    return seconds
