"""The report of a compression of a model with recurrent cells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from symlump.compression.reduction import CompressionMethod
from symlump.compression.report import LayerReport, LayerwiseReport
from symlump.errors import MethodError
from symlump.lumping.lumping import Lumping
from symlump.network.recurrent.recurrent_network import RecurrentNetwork
from symlump.ode.exact import FloatArray, IntArray
from symlump.proof.certificate import Certificate

if TYPE_CHECKING:
    from symlump.compression.recurrent.horizon import RecurrentBound


#: On so many drawn sequences it is seen how far values are apart.
_SPREAD_SEQUENCES = 200


@dataclass(frozen=True, eq=False, repr=False)
class RecurrentCompression(LayerwiseReport):
    """What became of a model with recurrent cells.

    Parameters
    ----------
    method : CompressionMethod
    original, network : RecurrentNetwork
        Before and after, as they were read.
    model : torch.nn.Module or RecurrentNetwork
        The smaller model, of the class that was given.
    eps : float
        The tolerance.
    labels : dict
        By cell, the block of each unit.
    error : float
        Root mean square, over the sample sequences and all cells, of what the states are off by, as read
        from the merged units, over that of the states themselves; 0 for what is exact.
    rounding : float
        How far a weight is, at most, from the exact one.
    lumpings : tuple of Lumping
        Of the cells' maps, where the merge is exact: their equations, blocks and proofs.
    measure : str
        In words what ε compares.
    """

    method: CompressionMethod
    original: RecurrentNetwork
    network: RecurrentNetwork
    model: Any
    eps: float
    labels: dict[str, IntArray]
    error: float
    rounding: float
    lumpings: tuple[Lumping, ...]
    measure: str

    @property
    def _label(self) -> str:
        """Name of the method for tables."""
        return "AFDE"

    @property
    def unit_maps(self) -> tuple[IntArray, ...]:
        """For each cell, the new unit of each old one."""
        return tuple(self.labels.values())

    @property
    def named_unit_maps(self) -> dict[str, IntArray]:
        """For each cell by its name, the new unit of each old one."""
        return dict(self.labels)

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        """The proofs of the lumpings, cell by cell; each cell reads the merged units of those before it."""
        return tuple(lumping.certificate() for lumping in self.lumpings)

    @property
    def defect(self) -> float:
        """What the states are off by; see ``error``."""
        return self.error

    @property
    def retained_parameters(self) -> int:
        """Number of weights and biases that remain."""
        return self.network.parameters

    @cached_property
    def exact(self) -> bool:
        """True if the independent checker accepted the lumping of every cell."""
        return bool(self.lumpings) and all(lumping.exact for lumping in self.lumpings)

    def lift(self, states: npt.ArrayLike, cell: str | None = None) -> FloatArray:
        """States of the original's units from those of the smaller model.

        Parameters
        ----------
        states : array_like, shape (…, units)
            Of one cell; several layers or directions are several cells.
        cell : str, optional
            Its name; may be left out where there is one.

        Raises
        ------
        MethodError
            If there is no such cell, or the states are not its.
        """
        names = list(self.labels)
        if cell is None and len(names) == 1:
            cell = names[0]
        if cell not in self.labels:
            raise MethodError(f"lift(states, cell): the cells are {', '.join(names)}; got {cell!r}")
        given, units = np.asarray(states, dtype=np.float64), self.network.by_name[cell].cell.units
        if given.ndim < 1 or given.shape[-1] != units:
            raise MethodError(f"{cell} has {units} units; got states of shape {given.shape}")
        return np.asarray(given[..., self.labels[cell]])

    def bound(self, steps: int, box: Any, *, arithmetic: str = "float64") -> RecurrentBound:
        """A certified bound of \\|h − lifted ĥ\\|, and of what readers' outputs are off by, over some steps.

        States begin at 0, or where the cells say. It is about the weights that were read, and those that
        ``model`` holds now: they are read back from it, so training it changes the bound. The inputs may be
        anywhere in the box at every step. After a refit units are no copies of merged ones, so only what
        layers read of them is of interest.

        Parameters
        ----------
        steps : int
        box : (low, high) or ndarray, shape (inputs, 2)
            Of what comes from outside; where several modules read that, theirs one after another.
        arithmetic : {"float64", "flint", "mpmath"}
            With the first, both cells are enclosed together along the sequence; with the others each step is by
            itself, in balls of more digits: slower, and as a rule much wider.

        Raises
        ------
        MethodError
            If the box does not fit, or units that were added to fill a module up are no longer 0.
        FailureError
            If no enclosure was found.
        """
        from symlump.compression.recurrent.bound import bound_cells

        found = bound_cells(self.original, self.held, self.labels, steps, box, arithmetic)
        with np.errstate(all="ignore"):  # states may grow without end
            values, _ = self._drawn(found.steps, box, _SPREAD_SEQUENCES, 0)
        spread = {name: np.ptp(v.reshape(-1, v.shape[-1]), axis=0) for name, v in values.items()}
        return replace(found, spread=spread)

    def observed(self, steps: int, box: Any, samples: int, seed: int = 0) -> float:
        """The largest of what :meth:`bound` bounds over sequences with every input drawn from the box.

        Parameters
        ----------
        steps : int
        box : (low, high) or ndarray, shape (inputs, 2)
        samples : int
        """
        old, new = self._drawn(steps, box, samples, seed)
        return max(float(np.abs(old[name] - new[name]).max(initial=0.0)) for name in old)

    def _drawn(
        self, steps: int, box: Any, samples: int, seed: int
    ) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
        """What dense layers give on drawn sequences, before and after; where there is none, the states."""
        from symlump.compression.recurrent.bound import places_outside, read_box

        generator = np.random.default_rng(seed)
        places, count = places_outside(self.original)
        low, high = read_box(box, count).T
        drawn = generator.uniform(low, high, (samples, steps, count))
        sequences = {module: drawn[..., place] for module, place in places.items()}
        held = self.held
        states, merged = self.original.run(sequences), held.run(sequences)
        old, new = self.original.read(states), held.read(merged)
        if not old:
            old = {name: h[0] for name, h in states.items()}
            new = {name: merged[name][0][..., labels] for name, labels in self.labels.items()}
        return old, new

    def mean_squared_error(self, inputs: Any, targets: npt.ArrayLike) -> float:
        """Mean of (model(inputs) − targets)² over samples, steps and outputs; of several outputs, the first.

        Parameters
        ----------
        inputs : Tensor or array_like
            Laid out as the model takes them.
        targets : array_like
            In the shape of what it gives.

        Raises
        ------
        MethodError
            If the model is no torch module, or the shapes do not fit.
        """
        import torch

        from symlump.network.gradients import evaluating

        if not isinstance(self.model, torch.nn.Module):
            raise MethodError(
                "the loss needs a torch module; a network read from a file runs in its own library"
            )
        weight = next(self.model.parameters())
        given = torch.as_tensor(inputs, device=weight.device)
        if given.is_floating_point():
            given = given.to(weight.dtype)
        with torch.no_grad(), evaluating(self.model):
            found = self.model(given)
        predicted = (found[0] if isinstance(found, tuple) else found).double().cpu().numpy()
        expected = np.asarray(targets, dtype=np.float64)
        if expected.size != predicted.size:
            raise MethodError(
                f"targets have shape {expected.shape}, the model gives {predicted.shape}"
            )
        return float(np.mean((predicted - expected.reshape(predicted.shape)) ** 2))

    @property
    def held(self) -> RecurrentNetwork:
        """The smaller model as it is now: with the very weights it holds."""
        if isinstance(self.model, RecurrentNetwork):
            return self.model
        from symlump.network.recurrent.reading import read_recurrent

        return read_recurrent(self.model)

    def _known(self) -> str:
        """What is known of the result, in words."""
        if self.exact:
            known = self._known_exact()
        elif self.lumpings:
            known = "exact, proof not checked (large)"
        else:
            known = f"states off by {100 * self.error:.3g} % over sample sequences"
        if self.padded:
            known += (
                "; torch gives all cells of a module one size, so "
                f"{', '.join(self.padded)} keep units whose weights are 0"
            )
        return known

    @property
    def padded(self) -> tuple[str, ...]:
        """Cells with units that do nothing, so that a module has one size."""
        return tuple(
            name
            for name, labels in self.labels.items()
            if int(labels.max(initial=-1)) + 1 < self.network.by_name[name].cell.units
        )

    @property
    def layers(self) -> tuple[LayerReport, ...]:
        """The per-layer table: cells, then what reads them."""
        cells = [
            LayerReport(
                f"{node.name} ({node.cell.kind})",
                node.cell.units,
                self.network.by_name[node.name].cell.units,
                node.cell.parameters,
                self.network.by_name[node.name].cell.parameters,
            )
            for node in self.original.cells
        ]
        readers = [
            LayerReport(old.name, len(old.weight), len(old.weight), old.parameters, new.parameters)
            for old, new in zip(self.original.readers, self.network.readers, strict=True)
        ]
        return (*cells, *readers)
