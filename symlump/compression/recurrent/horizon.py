"""What is certified of a smaller recurrent network over some steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

import numpy as np

from symlump.enclosures.wording import at_most
from symlump.errors import MethodError
from symlump.ode.exact import FloatArray

_ALONG = "both cells enclosed together along the sequence"
_STEPS = "each step enclosed by itself"
_WHOLE = "cells without gates also over all steps at once"


@dataclass(frozen=True, eq=False, repr=False)
class RecurrentBound:
    """A bound of what states and the layers that read them are off by, for all inputs of a box at every step.

    Certified: every number comes from interval or ball arithmetic, rounded outward. It is about the weights
    that both models hold, and the real numbers that these give; states begin at 0, or where the cell says.

    Parameters
    ----------
    steps : int
        How long a sequence is, at most.
    box : ndarray, shape (inputs, 2)
        Where what comes from outside is at every step, cell by cell.
    cells : dict
        By cell, bounds of \\|h_i − ĥ_B\\| for unit i in block B after each step that the cell takes; shape
        (steps, units). A cell that reads backward takes its first step at the end of the sequence.
    readers : dict
        By dense layer, bounds of what its outputs are off by at any step; shape (outputs,).
    arithmetic : str
    spread : dict, optional
        By dense layer, or where there is none by cell, how far the original's values are apart on sequences
        drawn from the box; shape (outputs,). A bound that is not smaller says nothing, and is called vacuous.
    """

    steps: int
    box: FloatArray
    cells: dict[str, FloatArray]
    readers: dict[str, FloatArray]
    arithmetic: str
    spread: dict[str, FloatArray] = field(default_factory=dict)

    @property
    def vacuous(self) -> bool:
        """True if for some output the bound is not below the spread of its values."""
        return bool(self.remarks)

    @property
    def remarks(self) -> list[str]:
        """Where the bound says nothing, both numbers, in words."""
        found: list[tuple[float, str]] = []
        what = "output" if self.readers else "unit"
        for name, bounds in (self.readers or self.cells).items():
            bound, spread = np.atleast_2d(bounds).max(axis=0), self.spread.get(name)
            if spread is None:
                continue
            over = np.where(bound > 0, bound - spread, -1.0)
            at = int(np.argmax(over))
            if over[at] >= 0:
                said = (
                    f"vacuous: {what} {at + 1} of {name} has the bound {at_most(float(bound[at]))}"
                )
                seen = f"its values are only {spread[at]:.4g} apart on drawn sequences"
                found.append((float(over[at]), f"{said}, and {seen}"))
        return [max(found)[1]] if found else []

    @property
    def value(self) -> float:
        """The largest of what dense layers give; where there is none, of the states."""
        parts = self.readers or self.cells
        return max((float(part.max(initial=0.0)) for part in parts.values()), default=0.0)

    def __getitem__(self, name: object) -> float:
        """The bound of a cell or a layer by its name, or of y1, y2, …, what layers give one after another."""
        key = str(name)
        for part in (self.readers.get(key), self.cells.get(key), self._numbered.get(key)):
            if part is not None:
                return float(part.max(initial=0.0))
        known = [*self.readers, *self.cells]
        raise MethodError(
            f"{key!r} is none of {', '.join(known)}, nor one of their numbers as in y1 or h1"
        )

    @property
    def _numbered(self) -> dict[str, FloatArray]:
        given = [part for readers in self.readers.values() for part in readers.tolist()]
        found = {f"y{k + 1}": np.array([part]) for k, part in enumerate(given)}
        if len(self.cells) == 1:
            (states,) = self.cells.values()
            found |= {f"h{i + 1}": part for i, part in enumerate(states.T)}
        return found

    def headline(self) -> str:
        """One line: what is bounded, by how much, for how long."""
        what = "what dense layers read is" if self.readers else "states are"
        known = (
            f"certified: {what} off by at most {at_most(self.value)} in {self.steps} steps, for every input "
            "of the box at every step, evaluated exactly (what floats of torch add comes on top)"
        )
        return "; ".join([known, *self.remarks])

    def __str__(self) -> str:
        parts = [*self.cells.items(), *self.readers.items()]
        width = max(len(name) for name, _ in parts)
        lines = [
            f"{name:<{width}}  {at_most(float(part.max(initial=0.0))):>10}" for name, part in parts
        ]
        how = _ALONG if self.arithmetic.startswith("float64") else _STEPS
        return "\n".join([self.headline(), *lines, f"{self.arithmetic}; {how}, {_WHOLE}"])

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"

    def __repr__(self) -> str:
        return f"<RecurrentBound: {self.headline()}>"
