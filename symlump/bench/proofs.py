"""What certificates cost: multisite phosphorylation with up to 9 sites, and chains that split one by one.

The yardstick is what Python's own JSON reader takes for the same file, in the same process, without the
garbage collector; the peak of memory is that of the process in which the stand-alone checker ran.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from symlump.bench.kept.table import KeptTable

_CHECK = """
import gc, json, runpy, sys, time
checker, path = sys.argv[1:]
gc.disable()
start = time.process_time()
with open(path, encoding="utf-8") as file:
    json.load(file)
loaded = time.process_time()
main = runpy.run_path(checker)["main"]
begun = time.process_time()
code = main([path])
seconds = time.process_time() - begun
from symlump.memory import peak_memory  # not before: the checker runs alone
print(json.dumps([code, loaded - start, seconds, peak_memory()]))
"""


@dataclass(frozen=True)
class ProofRow:
    """One certificate: its size, and what writing and checking it cost (seconds of the processor)."""

    system: str
    variables: int
    terms: int
    blocks: int
    records: int
    megabytes: float
    seconds_to_write: float
    seconds_to_check: float
    seconds_to_load: float
    peak_megabytes: float
    coarsest: bool

    @property
    def times_loading(self) -> float:
        """Checking against reading the JSON: constant where the cost is linear."""
        return self.seconds_to_check / self.seconds_to_load


def systems(quick: bool) -> list[tuple[str, int]]:
    """What is measured: the family and its size."""
    sites, lengths = ((2, 3, 4), (1000,)) if quick else ((3, 5, 7, 9), (1000, 10_000, 100_000))
    return [("phosphorylation", n) for n in sites] + [("chain", n) for n in lengths]


def measure(family: str, size: int) -> ProofRow:
    """Write the certificate of a coarsest equivalence, and have it checked in a process of its own."""
    from symlump.datasets.systems import chain, multisite_phosphorylation
    from symlump.lumping.backward import Backward
    from symlump.lumping.forward import Forward
    from symlump.lumping.lump import lump
    from symlump.proof import check as checker

    if family == "chain":
        lumping, name = lump(chain(size), Backward()), f"chain of {size}"
    else:
        lumping, name = lump(multisite_phosphorylation(size), Forward()), f"{size} sites"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "certificate.json"
        start = time.process_time()
        lumping.certificate().write(path)
        written = time.process_time() - start
        command = [sys.executable, "-c", _CHECK, str(checker.__file__), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        megabytes = path.stat().st_size / 1e6
    answer, figures = done.stdout.splitlines()
    code, loaded, checked, peak = json.loads(figures)
    return ProofRow(
        name,
        len(lumping.ode),
        lumping.ode.terms,
        len(lumping.partition),
        sum(map(len, lumping.splits)),
        megabytes,
        written,
        checked,
        loaded,
        peak / 1e6,
        code == 0 and "the coarsest" in answer,
    )


def cells(row: ProofRow) -> tuple[str, ...]:
    """A row of the printed table."""
    return (
        row.system,
        str(row.variables),
        str(row.terms),
        str(row.blocks),
        str(row.records),
        f"{row.megabytes:.3g}",
        f"{row.seconds_to_write:.3g}",
        f"{row.seconds_to_check:.3g}",
        f"{row.times_loading:.1f}",
        f"{row.peak_megabytes:.0f}",
        "yes" if row.coarsest else "no",
    )


HEADER = (
    "system",
    "variables",
    "terms",
    "blocks",
    "records",
    "MB",
    "write,s",
    "check,s",
    "/ json",
    "peak MB",
    "coarsest",
)

TABLE = KeptTable("proofs", ProofRow, HEADER, cells, ("system",))
