"""Rounding of weights to few bits, a baseline."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from symlump.compression.reduction import CompressionMethod, NetworkPlan, Reduction, own_units
from symlump.errors import FailureError, MethodError
from symlump.network.network import Network
from symlump.network.precision import PRECISIONS
from symlump.network.shared import holders
from symlump.ode.exact import FloatArray
from symlump.plain_numbers import is_whole
from symlump.plan import Plan, check_wish

_FEWEST, _MOST = 2, 16


@dataclass(frozen=True)
class Quantize(CompressionMethod):
    """Round weights symmetrically to multiples k·s with ``|k| < 2^(bits − 1)``; biases stay.

    The step s of a row, or of a whole matrix, is its largest absolute weight / (2^(bits − 1) − 1), rounded up
    to the network's own precision: whole numbers and steps are what a packed file holds
    (:meth:`symlump.Compression.write`).

    Storage is counted in parameters of the network's own precision, w bits each (32 for float32, 64 for
    float64): a weight counts bits/w, a step and a bias 1, rounded up to a whole number in each layer.
    ``retained_parameters`` therefore compares storage with methods that remove parameters.

    Parameters
    ----------
    bits : int, optional
        2 to 16.
    steps : {"row", "matrix"}
        What shares a step.
    eps : float, optional
        Instead of ``bits``: how far a weight may move, relative to the largest that shares its step. The fewest
        bits that are certain to keep it; below what 16 bits keep, weights stay as they are.
    retain : float, optional
        Instead: the share of the storage to keep. The most bits that keep no more.

    Raises
    ------
    MethodError
        If an option is out of range, or not exactly one of ``bits``, ``eps`` and ``retain`` is given.

    References
    ----------
    Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only
    inference", arXiv:1712.05877 (its symmetric scheme, without training).

    Examples
    --------
    >>> from symlump import Network, compress
    >>> net = Network.dense([[[1.0, 0.34], [-6.0, 1.9]]], dtype="float32")
    >>> small = compress(net, Quantize(bits=3))
    >>> small.network.layers[0].weight.round(6).tolist(), small.retained_parameters
    ([[1.0, 0.333333], [-6.0, 2.0]], 3)
    """

    bits: int | None = None
    steps: str = "row"
    eps: float | None = None
    retain: float | None = None

    def __post_init__(self) -> None:
        check_wish(self, bits=self.bits, eps=self.eps, retain=self.retain)
        if self.bits is not None and not (is_whole(self.bits, _FEWEST) and self.bits <= _MOST):
            raise MethodError(f"bits={self.bits!r}: weights are rounded to 2 to 16 bits")
        if self.steps not in ("row", "matrix"):
            raise MethodError(f"steps={self.steps!r} is unknown; choose 'row' or 'matrix'")

    @property
    def label(self) -> str:
        """Name of the method with its options, as tables print it."""
        bits = "" if self.bits is None else f"{self.bits} bits, "
        return f"quantised ({bits}a step per {self.steps})"

    def plan(self, network: Network) -> _Rounding:
        """Analyse a network, once for all tolerances; see :class:`symlump.plan.Method`.

        Parameters
        ----------
        network : Network

        Returns
        -------
        Plan

        Examples
        --------
        >>> from symlump import Network
        >>> Quantize(bits=3).plan(Network.dense([[[1.0, 0.34], [-6.0, 1.9]]])).whole
        4
        """
        return _Rounding(network, self.steps == "row")

    def settle(self, plan: Plan[Reduction]) -> Reduction:
        """What a plan gives for the tolerance or share of the method; see :class:`symlump.plan.Method`.

        Parameters
        ----------
        plan : Plan
            One that the method has made.

        Returns
        -------
        Reduction

        Raises
        ------
        FailureError
            If not even 2 bits keep the share.

        Examples
        --------
        >>> from symlump import Network
        >>> method = Quantize(bits=3)
        >>> plan = method.plan(Network.dense([[[1.0, 0.34], [-6.0, 1.9]]]))
        >>> method.settle(plan).network.layers[0].weight.round(6).tolist()
        [[1.0, 0.333333], [-6.0, 2.0]]
        """
        if self.bits is None:
            return super().settle(plan)
        assert isinstance(plan, _Rounding)
        return plan.rounded(self.bits)

    def within(self, eps: float) -> Quantize:
        """The method with another tolerance; see :class:`symlump.plan.Method`.

        Parameters
        ----------
        eps : float
            How far a weight may move, relative to the largest that shares its step.

        Returns
        -------
        Quantize

        Examples
        --------
        >>> Quantize(bits=3, steps="matrix").within(0.1)
        Quantize(bits=None, steps='matrix', eps=0.1, retain=None)
        """
        return Quantize(steps=self.steps, eps=eps)


@dataclass(frozen=True, eq=False)
class _Rounding(NetworkPlan):
    """A network at any number of bits; with as few as a tolerance allows."""

    network: Network
    by_row: bool

    def at(self, eps: float) -> Reduction:
        """See :class:`symlump.plan.Plan`."""
        bits = _bits(eps)
        note = "not rounded" if bits is None else f"{bits} bits"
        return replace(self.rounded(bits), eps=eps, note=note)

    def size(self, eps: float) -> int:
        """Numbers that are stored, in words of the network's precision."""
        return self.network.other_parameters + sum(self._stored(_bits(eps)))

    def tolerance(self, target: int) -> float:
        """Of the most bits that fit.

        Raises
        ------
        FailureError
            If not even 2 do.
        """
        for eps in (0.0, *(_error(bits) for bits in range(_MOST, _FEWEST - 1, -1))):
            if self.size(eps) <= target:
                return eps
        raise FailureError(
            f"{_FEWEST} bits a weight store as much as {self.size(_error(_FEWEST))} parameters, more than "
            f"the requested {target}; ask for a larger share, or another method"
        )

    def rounded(self, bits: int | None) -> Reduction:
        """The network with weights of so many bits; as it is without a number."""
        network, shares = self.network, "row" if self.by_row else "matrix"
        layers = tuple(
            layer if bits is None else replace(layer, weight=self._rounded(layer.weight, bits))
            for layer in network.layers
        )
        stored = self._stored(bits)
        change = np.concatenate(
            [
                (layers[n].weight - network.layers[n].weight).ravel()
                for n in sorted({*holders(network.layers)})
            ]
        )
        return Reduction(
            network.with_layers(layers),
            own_units(network),
            sum(stored) + network.other_parameters,
            0.0 if bits is None else _error(bits),
            float(np.linalg.norm(change)),
            stored=stored,
            measure=f"ε is how far a weight may move, relative to the largest of its {shares}",
        )

    def _rounded(self, weight: FloatArray, bits: int) -> FloatArray:
        axes = tuple(range(1, weight.ndim)) if self.by_row else None
        largest = np.abs(weight).max(axis=axes, keepdims=True)
        precision = PRECISIONS[self.network.dtype]
        # In the network's own precision, so that whole numbers and steps are what a file holds.
        step = precision.above(np.where(largest > 0, largest, 1.0) / (2 ** (bits - 1) - 1))
        step = np.maximum(step, precision.smallest)
        return precision.nearest(np.rint(weight / step) * step + 0.0, "weight")

    def _stored(self, bits: int | None) -> tuple[int, ...]:
        """Numbers stored for each layer; shared weights are those of the first."""
        if bits is None:
            return self.network.held
        return stored_numbers(self.network, bits, "row" if self.by_row else "matrix")


def stored_numbers(
    network: Network, bits: int, steps: str = "", zeros: str = "stored"
) -> tuple[int, ...]:
    """How many numbers of the network's own precision storing each layer takes.

    Shared weights are stored with the first layer that holds them. Bits of a layer are rounded up to whole
    numbers; biases are stored as they are.

    Parameters
    ----------
    network : Network
    bits : int
        Of a weight.
    steps : {"row", "matrix", ""}
        What has a step of its own, a number each; empty where weights are not rounded.
    zeros : {"stored", "marked", "gone"}
        Of weights that are 0: stored like others; a bit for each weight says where they are; not counted.

    Returns
    -------
    tuple of int

    Examples
    --------
    >>> net = Network.dense([[[1.0, 0.0], [0.0, 2.0]]], dtype="float32")
    >>> stored_numbers(net, 8, "row"), stored_numbers(net, 32, zeros="gone")
    ((3,), (2,))
    """
    word, first = PRECISIONS[network.dtype].bits, holders(network.layers)
    stored: list[int] = []
    for number, (layer, held) in enumerate(zip(network.layers, network.held, strict=True)):
        if first[number] == number:
            size = layer.weight.size
            kept = size if zeros == "stored" else int(np.count_nonzero(layer.weight))
            needed = kept * bits + size * (zeros == "marked")
            own = {"row": layer.units, "matrix": 1}.get(steps, 0)
            held += -(-needed // word) + own - size
        stored.append(held)
    return tuple(stored)


def _error(bits: int) -> float:
    """Half a step, relative to the largest weight."""
    return 0.5 / ((1 << (bits - 1)) - 1)


def _bits(eps: float) -> int | None:
    """The fewest bits that are certain to keep a tolerance; None if 16 are not."""
    enough = (bits for bits in range(_FEWEST, _MOST + 1) if _error(bits) <= eps * (1 + 1e-12))
    return next(enough, None)
