"""One verb, ``compress(model, method)``, and its report."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from symlump.display.tables import table_html, table_text
from symlump.errors import MethodError, NetworkError
from symlump.lumping.lumping import Lumping
from symlump.network.network import Network
from symlump.ode.exact import IntArray

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, eq=False)
class Reduction:
    """What a method makes of a network.

    Parameters
    ----------
    network : Network
        The reduced network.
    unit_maps : tuple of ndarray of int
        For each hidden layer, the new unit of each old unit.
    retained_parameters : int
        Weights and biases that remain (for pruning: those not masked).
    eps : float or None
        The tolerance used, where the method has one.
    defect : float
        2-norm of the change of coefficients: for AFDE the distance to the nearest exactly lumpable
        system, for pruning the norm of the removed weights.
    lumpings : tuple of Lumping
        The equations behind the reduction, where there are some.
    """

    network: Network
    unit_maps: tuple[IntArray, ...]
    retained_parameters: int
    eps: float | None
    defect: float
    lumpings: tuple[Lumping, ...] = ()


@runtime_checkable
class CompressionMethod(Protocol):
    """A method of ``compress``: a small frozen object with its options."""

    @property
    def label(self) -> str:
        """Name for tables."""

    def reduce(self, network: Network) -> Reduction:
        """Reduce a network."""


@dataclass(frozen=True)
class LayerReport:
    """One line of the per-layer table."""

    name: str
    units: int
    blocks: int
    parameters: int
    retained_parameters: int


@dataclass(frozen=True, eq=False, repr=False)
class Compression:
    """The report of one compression.

    Parameters
    ----------
    method : CompressionMethod
    original : Network
    reduction : Reduction
    model : Network or torch.nn.Sequential
        The reduced model, of the kind that was given.

    Examples
    --------
    >>> from symlump import AFDE, Network, compress
    >>> net = Network.dense([[[1.0, 2.0], [1.0, 2.0], [-1.0, -2.0]], [[0.5, 0.25, 1.0]]])
    >>> print(compress(net, AFDE(eps=0)))
    AFDE (influence), ε = 0: 9 → 6 parameters (66.7 % retained), exact, proof checked
    layer         units  blocks  parameters  retained
    1 (tanh)          3       2           6         4
    2 (identity)      1       1           3         2
    """

    method: CompressionMethod
    original: Network
    reduction: Reduction
    model: Any

    @property
    def network(self) -> Network:
        """The reduced network."""
        return self.reduction.network

    @property
    def unit_maps(self) -> tuple[IntArray, ...]:
        """For each hidden layer, the new unit of each old unit."""
        return self.reduction.unit_maps

    @property
    def lumpings(self) -> tuple[Lumping, ...]:
        """The lumpings behind the reduction: equations, blocks, proofs."""
        return self.reduction.lumpings

    @property
    def eps(self) -> float | None:
        """The tolerance that was used or found."""
        return self.reduction.eps

    @property
    def defect(self) -> float:
        """2-norm of the change of coefficients."""
        return self.reduction.defect

    @property
    def parameters(self) -> int:
        """Weights and biases before."""
        return self.original.parameters

    @property
    def retained_parameters(self) -> int:
        """Weights and biases that remain."""
        return self.reduction.retained_parameters

    @property
    def retained(self) -> float:
        """Share of the parameters that remain."""
        return self.retained_parameters / self.parameters

    @cached_property
    def exact(self) -> bool:
        """True if the independent checker accepted every lumping behind the reduction."""
        return bool(self.lumpings) and all(lumping.exact for lumping in self.lumpings)

    @cached_property
    def layers(self) -> tuple[LayerReport, ...]:
        """The per-layer table."""
        return tuple(
            LayerReport(
                f"{number} ({old.activation.name})",
                old.units,
                new.outputs,
                old.parameters,
                _retained(new, pruned=not self.lumpings),
            )
            for number, (old, new) in enumerate(
                zip(self.original.layers, self.network.layers, strict=True), start=1
            )
        )

    def mean_squared_error(self, inputs: npt.ArrayLike, targets: npt.ArrayLike) -> float:
        """Mean squared error of the reduced network.

        Parameters
        ----------
        inputs : array_like, shape (samples, inputs)
        targets : array_like, shape (samples, outputs)
        """
        return mean_squared_error(self.network, inputs, targets)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data, for JSON."""
        return {
            "method": self.method.label,
            "eps": self.eps,
            "parameters": self.parameters,
            "retained_parameters": self.retained_parameters,
            "retained": self.retained,
            "exact": self.exact,
            "layers": [
                {
                    "name": row.name,
                    "units": row.units,
                    "blocks": row.blocks,
                    "parameters": row.parameters,
                    "retained_parameters": row.retained_parameters,
                }
                for row in self.layers
            ],
            "defect": self.defect,
        }

    def headline(self) -> str:
        """One line: method, sizes, what is known of the result."""
        eps = "" if self.eps is None else f", ε = {self.eps:.6g}"
        if self.exact:
            known = "exact, proof checked"
        elif self.eps == 0:
            known = "defect 0, proof not checked (large)"
        else:
            known = f"defect δ = {self.defect:.4g}"
        return (
            f"{self.method.label}{eps}: {self.parameters} → {self.retained_parameters} parameters "
            f"({100 * self.retained:.1f} % retained), {known}"
        )

    def _table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Header and rows of the per-layer table."""
        return ("layer", "units", "blocks", "parameters", "retained"), [
            (r.name, str(r.units), str(r.blocks), str(r.parameters), str(r.retained_parameters))
            for r in self.layers
        ]

    def __str__(self) -> str:
        return self.headline() + "\n" + table_text(*self._table())

    def __repr__(self) -> str:
        return f"<Compression: {self.headline()}>"

    def _repr_html_(self) -> str:
        return f"<p>{self.headline()}</p>" + table_html(*self._table())


Model = TypeVar("Model", Network, "nn.Sequential")


def compress(model: Model, method: CompressionMethod) -> Compression:
    """Reduce a network by one of the methods of this package.

    Parameters
    ----------
    model : torch.nn.Sequential or Network
    method : AFDE, Magnitude, Wanda
        The method, with its options.

    Returns
    -------
    Compression
        Its ``model`` is of the kind that was given: torch in, torch out.

    Raises
    ------
    NetworkError
        If the model cannot be read.
    MethodError
        If an option does not fit the model.
    FailureError
        If a requested size cannot be reached.
    """
    if not isinstance(method, CompressionMethod):
        raise MethodError(
            f"compress(model, method) takes a method such as AFDE(eps=0.1); got {method!r}"
        )
    if isinstance(model, Network):
        reduction = method.reduce(model)
        return Compression(method, model, reduction, reduction.network)
    import torch

    from symlump.network.torch_io import from_torch, to_torch

    if not isinstance(model, torch.nn.Module):
        raise NetworkError(
            f"compress takes a torch.nn.Sequential or a symlump.Network; got a {type(model).__name__}"
        )
    network = from_torch(model)
    reduction = method.reduce(network)
    device = next(model.parameters()).device
    reduced = to_torch(reduction.network).to(device).train(model.training)
    return Compression(method, network, reduction, reduced)


def mean_squared_error(network: Network, inputs: npt.ArrayLike, targets: npt.ArrayLike) -> float:
    """Mean of (network(inputs) − targets)² over samples and outputs."""
    expected = np.asarray(targets, dtype=np.float64)
    predicted = network(inputs)
    if predicted.shape != expected.shape:
        raise MethodError(
            f"targets have shape {expected.shape}, the network gives {predicted.shape}"
        )
    return float(np.mean((predicted - expected) ** 2))


def _retained(layer: Any, pruned: bool) -> int:
    if not pruned:
        return int(layer.parameters)
    return int(np.count_nonzero(layer.weight)) + (0 if layer.bias is None else layer.bias.size)
