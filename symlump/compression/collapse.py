"""Whether outputs of a smaller network still depend on its inputs, and what keeps a method from losing that.

A layer whose units all became one that stands still, such as a mean of ReLU units that is negative for every
input, makes the outputs constant. No size that is asked for gives such a network while the method has another
of that size: see :meth:`symlump.compression.reduction.NetworkPlan.reach`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from math import inf, isnan, prod
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from symlump.compression.inputs import Inputs, assume_inputs, samples_of
from symlump.compression.merging.effect import forward, outputs_on
from symlump.compression.merging.values import columns
from symlump.network.network import Network
from symlump.network.ties import Ties
from symlump.ode.exact import FloatArray

if TYPE_CHECKING:
    from symlump.compression.merging.reference import Merged

#: Inputs on which it is seen whether outputs depend on them: so many at most and at least, and numbers in all.
_TRIED, _LEAST, _NUMBERS = 4096, 64, 1 << 18

#: Shares of their units that layers are made to keep, one after the other, where outputs would stand still.
FLOORS = (1 / 8, 1 / 4, 1 / 2)

#: Outputs whose spread is less than this share of the original's stand still, except for rare inputs.
STILL = 0.05
#: Outputs that are apart by less than this share of their size are the same up to rounding, or may be.
_ROUNDING, _ROUNDING_SINGLE = 1e-13, 1e-4

#: What is said where the original's own outputs stand still.
BLIND = "the original's outputs are the same for all inputs that were stated or drawn: give inputs that differ"
#: Above this share few inputs are enough to say that they do not.
_CLEARLY = 4 * STILL


@dataclass(frozen=True, eq=False)
class OutputWatch:
    """Whether the outputs of networks move with the inputs, where those of the original do.

    Parameters
    ----------
    network : Network
        The original.
    samples : tuple of ndarray
        Of its inputs; a few of them are used.
    outputs : ndarray, optional
        Of the first samples, in single precision, if they are at hand: a first glance is in that, then.
    dtype : dtype
        The precision in which outputs are computed.

    Examples
    --------
    >>> net = Network.dense([[[1.0]], [[1.0]]], activation="relu")
    >>> watch = OutputWatch(net, (np.array([[1.0], [2.0]]),))
    >>> watch.moves(net), watch.moves(Network.dense([[[-1.0]], [[1.0]]], activation="relu"))
    (True, False)
    """

    network: Network
    samples: tuple[FloatArray, ...]
    outputs: FloatArray | None = field(default=None, repr=False)
    dtype: npt.DTypeLike = np.float64

    @classmethod
    def of(cls, network: Network, inputs: Inputs = None) -> OutputWatch:
        """On inputs as they are stated or, by default, as they are taken to be."""
        assumed = assume_inputs(network) if inputs is None else inputs
        return cls(network, samples_of(assumed, network, _tried(network)))

    @cached_property
    def _few(self) -> tuple[FloatArray, ...]:
        tried = _tried(self.network)
        step = max(1, len(self.samples[0]) // tried)
        return tuple(x[::step][:tried].astype(self.dtype, copy=False) for x in self.samples)

    @cached_property
    def _own(self) -> FloatArray:
        return self._given_by(self.network)

    def _given_by(self, network: Network) -> FloatArray:
        with np.errstate(all="ignore"):
            return outputs_on(network, self._few)

    @cached_property
    def _spread(self) -> float:
        return _spread_of(self._own)

    @cached_property
    def is_blind(self) -> bool:
        """Whether not even the original's outputs move: then these inputs tell nothing apart.

        Examples
        --------
        >>> net = Network.dense([[[1.0]], [[1.0]]])
        >>> [OutputWatch(net, (np.array([[1.0], [x]]),)).is_blind for x in (1.0, 2.0)]
        [True, False]
        """
        return self._glance._stands_still and self._stands_still

    @cached_property
    def _stands_still(self) -> bool:
        y = self._own
        rounding = _ROUNDING if y.dtype == np.float64 else _ROUNDING_SINGLE
        return bool((np.ptp(y, axis=0) <= rounding * np.abs(y).max(axis=0)).all())

    def moves(self, network: Network) -> bool:
        """Whether the outputs of a smaller network depend on the inputs, if the original's do."""
        glance = self._glance
        seen = not glance._stands_still and glance.share(network) > _CLEARLY
        return seen or self.share(network) > STILL

    @cached_property
    def _glance(self) -> OutputWatch:
        """On the fewest inputs, in the precision that is fast, where most networks are seen to move."""
        if self.outputs is None or len(self.outputs) < _LEAST:
            return OutputWatch(self.network, tuple(x[:_LEAST] for x in self._few))
        evenly = slice(None, len(self.outputs), len(self.outputs) // _LEAST)
        few = tuple(x[evenly][:_LEAST] for x in self.samples)
        glance = OutputWatch(self.network, few, dtype=np.float32)
        vars(glance).update(_own=self.outputs[evenly][:_LEAST])
        return glance

    def share(self, network: Network) -> float:
        """How far the outputs of a smaller network move, as a share of how far the original's do."""
        return self._latest_share(network)

    @cached_property
    def _latest_share(self) -> Callable[[Network], float]:
        """The shares of a few networks, remembered: near tolerances give the same network."""

        @lru_cache(maxsize=4)
        def share(network: Network) -> float:
            if self._stands_still or not self._spread > 0:  # what is left is rounding
                return 1.0
            share = _spread_of(self._given_by(network)) / self._spread
            return inf if isnan(share) else share  # what overflows does not stand still

        return share

    def liveliness(self, ties: Ties, merged: Merged | None = None) -> FloatArray:
        """What units count in means that must not stand still.

        A mean of live units and many dead ones may be dead. With a high power of their variances the unit that
        varies most makes nearly all of the mean, which then varies as it does; units that vary alike still
        count alike.

        Parameters
        ----------
        merged : Merged, optional
            In which the units are seen: the original with some of its units merged; by default none.

        Returns
        -------
        ndarray, shape (units,)
            The 48th power of the variance of what layers read of the unit, over that of the unit of its axis
            that varies most.
        """
        found = np.zeros(ties.count)
        network = self.network if merged is None else merged.written
        with np.errstate(all="ignore"):
            values = forward(network, self._few)
            for layer in self.network.layers:
                if layer.depthwise:
                    continue  # it passes units on
                seen = columns(values[network.named[layer.name].inputs[0]]).var(axis=0)
                own = seen if merged is None else seen[merged.places[layer.name]]
                np.maximum.at(found, ties.units[layer.inputs[0]], own)
        found = np.nan_to_num(found, nan=0.0, posinf=0.0)
        for units in ties.axes:
            found[units] /= found[units].max(initial=0.0) or 1.0
        return np.asarray(np.minimum(found, 1.0) ** 48)


def _spread_of(y: FloatArray) -> float:
    """The mean distance from the median of the output that varies most: rare inputs hardly count."""
    with np.errstate(all="ignore"):
        ordered, middle = np.sort(y, axis=0), len(y) // 2  # takes less than np.median
        median = (ordered[middle] + ordered[(len(y) - 1) // 2]) / 2
        return float(np.abs(y - median).mean(axis=0).max())


def _tried(network: Network) -> int:
    """On how many inputs outputs are watched."""
    numbers = sum(prod(shape) for shape in network.shapes.values())
    return int(np.clip(_NUMBERS // max(1, numbers), _LEAST, _TRIED))
