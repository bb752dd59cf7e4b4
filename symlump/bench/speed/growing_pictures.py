"""Pictures, and what commands print of files, at growing sizes, for :mod:`symlump.bench.speed.growth`."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from symlump.bench.speed.growing_systems import lump_chain
from symlump.bench.speed.rows import Figures, Task, watch_task
from symlump.bench.speed.stored import backward_system, chain_with_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def tolerances_found(variables: int) -> Figures:
    """All tolerances at which variables with rates of their own merge: one for each but one."""
    from symlump.lumping.backward import Backward
    from symlump.lumping.tolerance.breakpoints import breakpoints
    from symlump.ode.system import ODE

    gaps = np.random.default_rng(0).permutation(variables) + 1  # no two are equal
    rates = np.cumsum(gaps).tolist()
    ode = ODE.from_text("; ".join(f"x{i}' = -{rate}*x{i}" for i, rate in enumerate(rates)))
    found: list[int] = []
    figures = watch_task(
        lambda: found.extend(int(step.eps) for step in breakpoints(ode, Backward())), repeated=False
    )
    assert found == [0, *sorted(gaps[1:].tolist())]
    return figures


def _drawn(draw: Callable[[], Figure]) -> Figures:
    """What a picture takes, until it is there."""
    return watch_task(lambda: draw().savefig(io.BytesIO(), format="png"), repeated=False)


def lumping_drawn(states: int) -> Figures:
    """The graph of a lumping of a planted chain."""
    from symlump.display.result_pictures import draw

    lumping = lump_chain(chain_with_label(states))
    return _drawn(lambda: draw(lumping))


def blocks_drawn(states: int) -> Figures:
    """Its dependences as a matrix."""
    from symlump.display.matrix_picture import draw_blocks

    lumping = lump_chain(chain_with_label(states))
    return _drawn(lambda: draw_blocks(lumping))


def rounds_drawn(length: int) -> Figures:
    """The rounds of refinement of a chain, of which each splits off one variable."""
    from symlump.datasets.systems import chain
    from symlump.display.refinement import draw_refinement
    from symlump.lumping.backward import Backward
    from symlump.lumping.lump import lump

    lumping = lump(chain(length), Backward())
    return _drawn(lambda: draw_refinement(lumping))


def trajectories_drawn(states: int) -> Figures:
    """Solutions of a planted chain and of its quotient."""
    from symlump.display.trajectory_picture import draw_trajectories

    lumping = lump_chain(chain_with_label(states))
    start = np.arange(states) % 3 / states
    return _drawn(lambda: draw_trajectories(lumping, start, np.linspace(0, 1e-3, 50)))


def _by_command(size: int, *words: str) -> Figures:
    """A command about a file with the quadratic system, without what is loaded once."""
    from symlump.cli.main import main
    from symlump.formats import write

    with tempfile.TemporaryDirectory() as folder:
        path, page = Path(folder) / "model.ode", Path(folder) / "page.html"
        write(backward_system(size)[0], path)
        given = [
            words[0],
            str(path),
            *words[1:],
            *(["-o", str(page)] if words[0] == "report" else []),
        ]

        def run() -> None:
            with redirect_stdout(io.StringIO()):
                assert main(given) == 0

        return watch_task(run, repeated=False)


def system_shown(variables: int) -> Figures:
    """``symlump show`` of an ``.ode`` file."""
    return _by_command(variables, "show")


def report_written(variables: int) -> Figures:
    """``symlump report`` of it, at three tolerances."""
    return _by_command(variables, "report", "--eps", "0,0.05,0.1")


#: By name; all sizes are measured in one process.
PICTURE_TASKS: Mapping[str, Task] = {
    "breakpoints": (tolerances_found, 35, 5),
    "draw": (lumping_drawn, 18, 20),
    "draw-blocks": (blocks_drawn, 250, 30),
    "draw-refinement": (rounds_drawn, 5, 4),
    "draw-trajectories": (trajectories_drawn, 250, 30),
    "show": (system_shown, 500, 50),
    "report": (report_written, 500, 20),
}
