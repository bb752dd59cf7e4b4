"""How soon the command line and the library answer, against Python and torch alone.

Every program runs in a process of its own, several times in turn with its yardstick, after one run in which
Python compiles what is not compiled yet. What counts is the time of the processor, the smallest of the
repetitions: other work on the machine only ever adds to it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from symlump.bench.kept.table import KeptTable

MODEL = """\
begin model small
begin init
x1 = 1 x2 = 1 x3
end init
begin ODE
d(x1) = -3*x1 + x3
d(x2) = -3*x2 + x3
d(x3) = x1 + x2 - 2*x3
end ODE
end model
"""
_NETWORK = (
    "import symlump as sl, torch; from torch import nn; torch.manual_seed(0); "
    "sl.compress(nn.Sequential(nn.Linear(4, 20), nn.Tanh(), nn.Linear(20, 1)), sl.AFDE(eps=0.1))"
)
_GRAPH = """
import torch
from torch import nn

class Branch(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        return x + torch.tanh(self.fc(x))

"""
_EXPORTED = _GRAPH + "torch.export.export(Branch(), (torch.zeros(2, 4),), strict=False)"
_REDUCED = _GRAPH + "import symlump as sl; sl.compress(Branch(), sl.AFDE(eps=0.1))"
#: A process takes over the peak of the one that starts it, so that has to be a small one.
_START = """
import os, sys
started = os.spawnv(os.P_NOWAIT, sys.argv[2], sys.argv[2:])
_, status, used = os.wait4(started, 0)
with open(sys.argv[1], "w") as file:
    print(used.ru_utime + used.ru_stime, used.ru_maxrss, file=file)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@dataclass(frozen=True)
class StartRow:
    """One program beside its yardstick.

    Parameters
    ----------
    what, yardstick : str
    seconds, yardstick_seconds : float
        Of the processor, the smallest of the repetitions.
    spread : float
        The largest of the repetitions over the smallest.
    reach : float
        The target: a ratio, or with ``seconds_more`` how many seconds above the yardstick.
    seconds_more : bool
    peak : float
        Memory at its peak, in MB.
    """

    what: str
    seconds: float
    yardstick: str
    yardstick_seconds: float
    spread: float
    reach: float
    seconds_more: bool = False
    peak: float = 0.0

    @property
    def measured(self) -> float:
        """The ratio to the yardstick, or the seconds above it.

        Examples
        --------
        >>> [StartRow("a", 3.0, "b", 2.0, 1.0, 2.0, more).measured for more in (False, True)]
        [1.5, 1.0]
        """
        if self.seconds_more:
            return self.seconds - self.yardstick_seconds
        return self.seconds / self.yardstick_seconds

    @property
    def reached(self) -> bool:
        """True if the target is met."""
        return self.measured <= self.reach


def measure(quick: bool = False, step: Callable[[int, str], None] | None = None) -> list[StartRow]:
    """All rows.

    Parameters
    ----------
    quick : bool
        Three repetitions in place of nine.
    step : callable, optional
        Called with the number of rows done and the name of the next.
    """
    rows: list[StartRow] = []
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "small.ode"
        model.write_text(MODEL, encoding="utf-8")
        programs = (
            ("symlump --help", ["-m", "symlump", "--help"], "python -c pass", "pass", 4.0),
            (
                "symlump lump small.ode",
                ["-m", "symlump", "lump", str(model), "--method", "forward"],
                "python -c pass",
                "pass",
                12.0,
            ),
            ("first compress of a chain", ["-c", _NETWORK], "import torch", "import torch", 1.0),
            ("first compress of a graph", ["-c", _REDUCED], "torch.export of it", _EXPORTED, 1.0),
        )
        for number, (what, arguments, yardstick, alone, reach) in enumerate(programs):
            if step is not None:
                step(number, what)
            # What torch takes is given, and what symlump adds is a difference.
            more = "torch" in alone
            times: list[float] = []
            plain: list[float] = []
            for _ in range(4 if quick or more else 10):
                plain.append(_watched(["-c", alone])[0])
                seconds, peak = _watched(arguments)
                times.append(seconds)
            del plain[0], times[0]  # Python may have compiled something
            spread = max(times) / min(times)
            rows.append(
                StartRow(what, min(times), yardstick, min(plain), spread, reach, more, peak)
            )
    return rows


def _watched(arguments: list[str]) -> tuple[float, float]:
    """Seconds of the processor that a Python program takes, from its start to its end, and MB at its peak."""
    # Compiled files are kept, as where a package is installed.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told"
        command = [sys.executable, "-I", "-S", "-c", _START, str(told), sys.executable, *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
        seconds, peak = map(float, told.read_text().split())
    return seconds, peak * (1 if sys.platform == "darwin" else 1024) / 2**20


HEADER = ("what", "seconds", "measured", "target", "reached", "yardstick", "max/min", "peak MB")


def cells(row: StartRow) -> tuple[str, ...]:
    """One line of the table."""
    return (
        row.what,
        f"{row.seconds:.2f}",
        f"+{row.measured:.2f} s" if row.seconds_more else f"{row.measured:.1f} ×",
        f"≤ +{row.reach:g} s" if row.seconds_more else f"≤ {row.reach:g} ×",
        "yes" if row.reached else "no",
        f"{row.yardstick}, {row.yardstick_seconds:.3f} s",
        f"{row.spread:.2f}",
        f"{row.peak:.0f}",
    )


TABLE = KeptTable("start", StartRow, HEADER, cells, ("what",), ("measured", "reached"))
