"""How fast linear lumping is: wall time from a model to the quotient, reading included where a file is read.

Two published cases. Multisite phosphorylation with its rate constants as variables is generated here: 4^n
+ 2 species and six constants, while the two free enzymes are observed. The receptor model ``fceri_ji`` is
a file of other people: its row is measured where a folder is given that holds ``fceri_ji.ode``.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from symlump.bench.speed.rows import EngineRow, apart, with_peak

if TYPE_CHECKING:
    from symlump.ode.polynomial import PolynomialODE
    from symlump.ode.system import ODE

#: Condition of a site before and after, the enzyme that is taken (−1) or released (+1), and which.
_STEPS = ((0, 2, -1, 0), (2, 0, 1, 0), (2, 1, 1, 0), (1, 3, -1, 1), (3, 1, 1, 1), (3, 0, 1, 1))


def multisite_with_constants(sites: int) -> PolynomialODE:
    """Multisite phosphorylation with its six rate constants as variables that do not change.

    Examples
    --------
    >>> ode = multisite_with_constants(2)
    >>> len(ode), int(ode.monomials.degrees.max())
    (24, 3)
    """
    from symlump.ode.polynomial import PolynomialODE

    reactions = []
    for state in range(4**sites):
        for site in range(sites):
            for number, (old, new, taken, which) in enumerate(_STEPS):
                if (state >> (2 * site)) & 3 != old:
                    continue
                left = {f"S{state}": 1, f"k{number}": 1}
                right = {f"S{state + ((new - old) << (2 * site))}": 1, f"k{number}": 1}
                (left if taken < 0 else right)["EF"[which]] = 1
                reactions.append((left, right, 1))
    return PolynomialODE.from_reactions(reactions)


def multisite(sites: int) -> EngineRow:
    """From a file to the quotient that keeps both free enzymes."""
    from symlump.formats import read, write
    from symlump.lumping.linear.constrained import Constrained
    from symlump.lumping.lump import lump

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.ode"
        write(multisite_with_constants(sites), path)
        start = time.perf_counter()
        lumping = lump(read(path).ode, Constrained(["E", "F"]))
        seconds = time.perf_counter() - start
    assert len(lumping) == 12
    what = f"constrained, {4**sites + 8} variables → 12, file to quotient"
    return EngineRow(what, seconds, "", seconds, "s", 4.0, True)


def receptor(folder: str) -> EngineRow:
    """The smallest lumping of fceri_ji that keeps S7, with its quotient; reading not counted."""
    from symlump.formats import read
    from symlump.lumping.linear.constrained import Constrained
    from symlump.lumping.lump import lump

    ode = read(Path(folder) / "fceri_ji.ode").ode
    start = time.perf_counter()
    lumping = lump(ode, Constrained("S7"))
    seconds = time.perf_counter() - start
    assert len(lumping) == 120
    what = f"constrained, fceri_ji, {len(ode)} variables → 120, with quotient"
    return EngineRow(what, seconds, "", seconds, "s", 1.0, True)


def receptor_sweep(folder: str, observables: str) -> EngineRow:
    """Ten tolerances of fceri_ji, from the exact lumping to the observables alone, beside one exact lumping.

    Seconds of the processor, the smaller of two runs, each of a system newly read.
    """
    from symlump.formats import read
    from symlump.lumping.linear.constrained import Constrained
    from symlump.lumping.lump import lump
    from symlump.tolerances.sweep import sweep

    path, method = Path(folder) / "fceri_ji.ode", Constrained(observables.split(";"))
    every = method.plan(read(path).ode).tolerances()
    ten = [every[round(k * (len(every) - 1) / 9)] for k in range(10)]

    def timed(run: Callable[[ODE], object]) -> float:
        best = float("inf")
        for _ in range(2):
            ode = read(path).ode
            start = time.process_time()
            run(ode)
            best = min(best, time.process_time() - start)
        return best

    exact = timed(lambda ode: lump(ode, method))
    swept = timed(lambda ode: sweep(ode, ten, method))
    what = f"ten tolerances, fceri_ji, {observables}: beside one exact lumping"
    return EngineRow(what, swept, f"{exact:.3f} s exactly", swept / exact, "×", 3.0, True)


def measure(quick: bool = False, models: str | None = None) -> list[EngineRow]:
    """All rows, each in a fresh process."""
    rows = [apart(with_peak, multisite, 3 if quick else 6)]
    if models is not None:
        rows.append(apart(with_peak, receptor, models))
        for kept in ("S0", "S1", "S7", "S2;S178;S267;S77"):
            rows.append(apart(with_peak, receptor_sweep, models, kept))
    return rows
