"""What the report shows of one result: the system, the smaller one, and what stands for several variables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from symlump.compression.compression import Compression
from symlump.errors import MethodError
from symlump.lumping.linear.linear_lumping import LinearLumping
from symlump.lumping.lumping import Lumping
from symlump.network.encode import encode
from symlump.network.equations.network_ode import NetworkODE
from symlump.ode.system import ODE
from symlump.tolerances.sweep import SweepRow


@dataclass(frozen=True, eq=False)
class Shown:
    """One result.

    Parameters
    ----------
    ode, quotient : ODE
    merged : tuple of (int, tuple of str)
        What stands for several variables: its place among those of the quotient, and their names.
    join : str
        Between these names.
    """

    ode: ODE
    quotient: ODE
    merged: tuple[tuple[int, tuple[str, ...]], ...]
    join: str


def shown_of(rows: Sequence[SweepRow]) -> list[Shown]:
    """What the results of a sweep are shown as.

    Networks that a method reduces without a lumping are shown by their differential equations, and by the
    units that one unit stands for.

    Raises
    ------
    MethodError
        If results are linear lumpings.
    """
    found: list[Shown] = []
    whole: NetworkODE | None = None
    for row in rows:
        result = row.result
        if isinstance(result, LinearLumping):
            raise MethodError(
                "a report shows blocks, and a linear lumping has none; sweep it instead"
            )
        if isinstance(result, Lumping):
            found.append(_of_lumping(result))
        elif result.lumpings:
            found.append(_of_lumping(result.lumpings[0]))
        elif not isinstance(result, Compression):
            raise MethodError("a report shows equations; this result has none")
        else:
            whole = whole or encode(result.original)
            found.append(_of_units(whole, result))
    return found


def _of_lumping(lumping: Lumping) -> Shown:
    merged = tuple((b, tuple(block)) for b, block in enumerate(lumping.blocks) if len(block) > 1)
    join = " + " if lumping.method.direction == "forward" else " = "
    return Shown(lumping.ode, lumping.quotient, merged, join)


def _of_units(ode: NetworkODE, result: Compression) -> Shown:
    small, merged = encode(result.network), list[tuple[int, tuple[str, ...]]]()
    for layer, units in zip(result.original.hidden, result.unit_maps, strict=False):
        own, new = ode.where(layer.name), small.where(layer.name)
        for unit in np.flatnonzero(np.bincount(units[units >= 0]) > 1):
            names = tuple(ode.variables[v] for v in own[units == unit])
            merged.append((int(new[unit]), names))
    return Shown(ode, small, tuple(merged), ", ")
