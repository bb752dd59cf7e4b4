"""A figure beside its yardstick, measured in a process of its own.

Times of a shared machine wander; a ratio to something that is measured in the same process holds. Seconds are
those of the processor. Every row is measured several times, in a new process each time, so that its peak memory
is its own; the median is shown, and how far the largest is from the smallest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import ParamSpec, TypeVar

import numpy as np

from symlump.bench.kept.table import KeptTable
from symlump.memory import forget_peak, peak_memory

Asked = ParamSpec("Asked")
Result = TypeVar("Result")

#: Seconds, and megabytes.
Figures = tuple[float, float]
#: What measures at a size, the full size, and the quick one: those of the smallest of four.
Task = tuple[Callable[[int], Figures], int, int]

#: How often a row is measured, of which the median is shown.
REPETITIONS = 3


@dataclass(frozen=True)
class EngineRow:
    """One line of the table.

    Parameters
    ----------
    what : str
    seconds : float
    yardstick : str
    ratio : float or None
        Seconds over the yardstick's seconds, or a rate where ``unit`` says so; None without a yardstick.
    unit : str
    reach : float
        The target.
    at_most : bool
        On which side of it is good.
    peak_mb : int
        Of memory, of the process.
    spread : float
        The largest ratio of the repetitions over the smallest.
    judged : bool
        Whether the target is meant for this size.
    name : str
        Of the row, as ``--rows`` has it.
    """

    what: str
    seconds: float
    yardstick: str
    ratio: float | None
    unit: str
    reach: float
    at_most: bool = True
    peak_mb: int = 0
    spread: float = 1.0
    judged: bool = True
    name: str = ""

    @property
    def reached(self) -> bool | None:
        """True if the target is met; None where there is nothing to judge.

        Examples
        --------
        >>> row = EngineRow("a", 1.0, "b", 2.0, "×", 3.0)
        >>> row.reached, replace(row, at_most=False).reached, replace(row, judged=False).reached
        (True, False, None)
        """
        if self.ratio is None or not self.judged:
            return None
        return self.ratio <= self.reach if self.at_most else self.ratio >= self.reach


#: Name, function, full size, quick size.
Rows = Mapping[str, tuple[Callable[[int], EngineRow], int, int]]


def time_call(
    function: Callable[[], object], clock: Callable[[], float] = time.process_time
) -> float:
    """What a call takes."""
    start = clock()
    function()
    return clock() - start


def seconds_of_children(run: Callable[[], Result]) -> tuple[float, Result]:
    """Seconds of the processor that the processes took which a call started and waited for; and its result."""
    import resource  # not on Windows

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, result


def median_time(function: Callable[[], object]) -> float:
    """What a call takes, the median of several."""
    return median_times(function)[0]


def median_times(*functions: Callable[[], object]) -> list[float]:
    """What calls take that are made by turns, the median of three, or of up to a hundred in half a second.

    The first turn, in which may be loaded what is loaded once, does not count for that.
    """
    turns: list[list[float]] = []
    while len(turns) < 3 or (len(turns) < 100 and sum(map(sum, turns[1:])) < 0.5):
        turns.append([time_call(function) for function in functions])
    return [float(middle) for middle in np.median(turns, axis=0)]


def watch_task(task: Callable[[], object], repeated: bool = True) -> Figures:
    """Seconds of a task, and megabytes of memory that it adds to what was taken before, at least one."""
    forget_peak()
    before = peak_memory()
    seconds = median_time(task) if repeated else time_call(task)
    return seconds, max(1.0, (peak_memory() - before) / 2**20)


def sort_seconds(count: int) -> float:
    """The yardstick: the median of three sorts of random 64-bit integers.

    The stable sort: the other one takes a tenth of that on processors with AVX-512, and as long on others.
    """
    numbers = np.random.default_rng(0).integers(0, 2**62, size=count)
    return median_time(lambda: np.sort(numbers, kind="stable"))


def measure(rows: Rows, name: str, quick: bool = False) -> EngineRow:
    """Measure one row in fresh processes; a small size, once, is judged by no target."""
    function, full, small = rows[name]
    if quick:
        return replace(apart(with_peak, function, small), judged=False, name=name)
    found = [replace(apart(with_peak, function, full), name=name) for _ in range(REPETITIONS)]
    found.sort(key=lambda row: row.seconds if row.ratio is None else row.ratio)
    middle, least, most = found[len(found) // 2], found[0], found[-1]
    if least.ratio is None or most.ratio is None:
        return replace(middle, spread=most.seconds / least.seconds)
    return replace(middle, spread=most.ratio / least.ratio)


def apart(
    function: Callable[Asked, Result], *arguments: Asked.args, **options: Asked.kwargs
) -> Result:
    """The result of a call in a new process."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments, **options).result()


def with_peak(function: Callable[..., EngineRow], *arguments: object) -> EngineRow:
    """The row with the peak memory of this process."""
    row = function(*arguments)
    return replace(row, peak_mb=row.peak_mb or round(peak_memory() / 2**20))


HEADER = (
    "what",
    "seconds",
    "measured",
    "target",
    "reached",
    "max/min",
    "peak MB",
    "yardstick",
)


def cells(row: EngineRow) -> tuple[str, ...]:
    """One line of the table."""
    return (
        row.what,
        f"{row.seconds:.3g}",
        "–" if row.ratio is None else f"{row.ratio:.3g} {row.unit}",
        f"{'≤' if row.at_most else '≥'} {row.reach:.3g}" if row.judged else "–",
        {True: "yes", False: "no", None: "–"}[row.reached],
        f"{row.spread:.2f}",
        str(row.peak_mb),
        row.yardstick,
    )


ENGINE = KeptTable("engine", EngineRow, HEADER, cells, ("name",), ("reached",))
READERS = KeptTable("readers", EngineRow, HEADER, cells, ("name",), ("reached",))
