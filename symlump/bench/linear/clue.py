"""symlump beside CLUE, on the same files in one process.

CLUE is no dependency: it is used where it can be imported, from https://github.com/Antonio-JP/CLUE.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

from symlump.errors import FileFormatError, MethodError


@dataclass(frozen=True)
class Beside:
    """One file and its observables; seconds of the processor, the smallest of a few, each of a new system.

    Parameters
    ----------
    file, observables : str
    variables, rows : int
    ours, theirs : float
        Seconds to lump.
    our_reading, their_reading : float
        Seconds to read the file.
    """

    file: str
    observables: str
    variables: int
    rows: int
    ours: float
    theirs: float
    our_reading: float
    their_reading: float

    @property
    def ratio(self) -> float:
        """How many times faster we lump."""
        return self.theirs / self.ours

    @property
    def whole_ratio(self) -> float:
        """How many times faster we read and lump."""
        return (self.theirs + self.their_reading) / (self.ours + self.our_reading)


def beside(cases: Sequence[tuple[str, str]], tries: int = 9) -> list[Beside]:
    """Lump each file with both, keeping observables that are separated by semicolons.

    Raises
    ------
    MethodError
        If CLUE is not installed, or the two disagree on the number of rows.
    """
    if find_spec("clue") is None:
        raise MethodError(
            "CLUE is not installed, so there is nothing to compare with; it is used where Python finds it "
            "(https://github.com/Antonio-JP/CLUE)"
        )
    # It logs to a file where it is imported.
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        clue = import_module("clue")
    logging.getLogger("clue").setLevel(logging.CRITICAL)
    return [_beside(clue, file, observables, tries) for file, observables in cases]


def _beside(clue: Any, file: str, observables: str, tries: int) -> Beside:
    from symlump.formats import read
    from symlump.lumping.linear.constrained import Constrained
    from symlump.lumping.lump import lump

    keep = [text.strip() for text in observables.split(";")]

    def theirs(system: Any) -> Any:
        forms = [
            clue.SparsePolynomial.from_string(text, system.variables, system.field) for text in keep
        ]
        with contextlib.redirect_stdout(io.StringIO()):
            return system.lumping(forms, print_system=False, print_reduction=False)

    def again() -> Any:  # without what the system remembers of the lumping before
        return clue.FODESystem(system.equations, variables=system.variables, name="again")

    their_reading, system = _timed(lambda _: clue.FODESystem(file=file), 1)
    constants = _reading(file, len(system.variables))
    our_reading, model = _timed(lambda _: read(file, parameters=constants), tries)
    ours, lumping = _timed(
        lambda ode: lump(ode, Constrained(keep)),
        tries,
        lambda: read(file, parameters=constants).ode,
    )
    their_time, other = _timed(theirs, tries, again)
    if other.size != len(lumping):
        raise MethodError(f"{file}: {len(lumping)} rows here, {other.size} in CLUE")
    sizes = len(model.ode), len(lumping)
    return Beside(file, observables, *sizes, ours, their_time, our_reading, their_reading)


def _reading(file: str, variables: int) -> Literal["values", "symbolic"]:
    """How constants are read: as values or, where CLUE counts them as variables, as symbols."""
    from symlump.formats import read

    try:
        return "values" if len(read(file).ode) >= variables else "symbolic"
    except FileFormatError:  # one has no value
        return "symbolic"


def _timed(
    run: Callable[[Any], Any], tries: int, prepare: Callable[[], Any] = lambda: None
) -> tuple[float, Any]:
    """The smallest time of the processor over a few runs, fewer of those that are long, and the last result."""
    best, spent, result = float("inf"), 0.0, None
    for _ in range(tries):
        given = prepare()
        start = time.process_time()
        result = run(given)
        seconds = time.process_time() - start
        best, spent = min(best, seconds), spent + seconds
        if spent > 2:
            break
    return best, result
