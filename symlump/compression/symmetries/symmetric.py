"""Compression by the symmetries of activations: units that are multiples of one another become one.

A unit with twice the incoming weights of another computes twice its output under ReLU; one with the
opposite weights computes the opposite under tanh, and 1 minus it under the sigmoid. No data is needed, and
at ε = 0 the outputs do not change beyond float rounding.

References
----------
Ressi, Romanello, Piazza, Rossi, arXiv:2209.07475 (lumping of ReLU units with proportional weights), here
for all symmetries of the table of activations, for sums over blocks, and with proofs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from symlump.compression.merging.effect import layer_effects
from symlump.compression.reduction import CompressionMethod, NetworkPlan, Reduction
from symlump.compression.symmetries.proof import certificates
from symlump.compression.symmetries.unit_merge import pieces_on_box
from symlump.compression.symmetries.walk import SymmetryWalk
from symlump.compression.symmetries.written import Written
from symlump.enclosures.boxes import as_box
from symlump.errors import MethodError, SubjectError
from symlump.network.network import Network
from symlump.network.shared import refuse_shared
from symlump.network.ties import find_ties
from symlump.ode.exact import FloatArray, IntArray
from symlump.plan import Plan, check_share, check_tolerance
from symlump.proof.certificate import Certificate

#: Up to this many parameters certificates are made unasked.
_PROVED = 50_000

_MEASURE = (
    "ε compares rows up to their factors, as a share of the outputs' spread; weights are added up"
)

_CHAINS = (
    "Symmetric(box=…) is for chains of dense layers; a network with convolutions or branches is reduced for "
    "all inputs: leave box out"
)


@dataclass(frozen=True, eq=False)
class Symmetric(CompressionMethod):
    """Merge units whose incoming weights are multiples, by factors their activation commutes with.

    Layer by layer: rows are aggregated over what was merged before; a unit whose row is a multiple of
    another's is expressed by it; units without incoming weights are constants and go into the next bias;
    units that nothing reads are dropped.

    Parameters
    ----------
    eps : float
        The tolerance; 0 compares exactly, as rationals.
    retain : float, optional
        Instead of ``eps``: the share of parameters to keep. The smallest ε found that keeps no more is used.
    box : (low, high) or ndarray of shape (inputs, 2), optional
        Inputs for which the result holds. A unit of a piecewise linear activation that stays on one piece
        there is constant, or linear: constants are folded, and linear units merge whenever their weights
        are proportional, by any factor and whatever their biases. (A single linear unit stays: to drop
        it the next layer would have to read the inputs of this one.)
    proof : bool, optional
        Make certificates at ε = 0; by default up to 50 000 parameters (about half a second per 10 000).

    Raises
    ------
    MethodError
        If an option is out of range.

    Examples
    --------
    >>> from symlump import Network, compress
    >>> net = Network.dense([[[1, 2], [1, 2], [-1, -2]], [[0.5, 0.25, 1.0]]], activation="tanh")
    >>> result = compress(net, Symmetric())
    >>> print(result.headline())
    symmetric, ε = 0: 9 → 3 parameters (33.3 % retained), exact, proof checked; uses: tanh(−z) = −tanh(z)
    >>> [layer.weight.tolist() for layer in result.network.layers]
    [[[1.0, 2.0]], [[-0.25]]]
    """

    eps: float = 0.0
    retain: float | None = None
    box: Any = field(default=None, repr=False)
    proof: bool | None = None

    def __post_init__(self) -> None:
        check_tolerance(self.eps)
        if self.proof and self.eps:
            raise MethodError(f"proof=True needs eps=0; within eps={self.eps:g} there is no proof")
        if self.retain is not None:
            check_share(self.retain)
            if self.eps != 0:
                raise MethodError(
                    "Symmetric takes a tolerance, as in Symmetric(eps=0.1), or a share of the parameters, as "
                    "in Symmetric(retain=0.4), not both"
                )

    @property
    def label(self) -> str:
        """Name of the method with its options, as tables print it."""
        return "symmetric" if self.box is None else "symmetric on a box"

    def plan(self, network: Network) -> Plan[Reduction]:
        """Analyse a network, once for all tolerances; see :class:`symlump.plan.Method`.

        Parameters
        ----------
        network : Network

        Returns
        -------
        Plan

        Raises
        ------
        MethodError
            If a box is given, and the network is not a chain of dense layers.
        NetworkError
            If layers share their weights, or sum their units in groups.

        Examples
        --------
        >>> net = Network.dense([[[1, 2], [2, 4]], [[0.5, 0.25]]], activation="relu")
        >>> Symmetric().plan(net).size(0.0)
        3
        """
        refuse_shared(network.layers, "Symmetric")
        if network.chain is None and self.box is not None:
            raise SubjectError(_CHAINS)
        if network.chain is not None:
            network.dense_chain("Symmetric")
        pieces: dict[str, IntArray] = {}
        if self.box is not None:
            chain = network.dense_chain("Symmetric")
            found = pieces_on_box(chain, as_box(self.box, chain.inputs))
            names = [layer.name for layer in network.layers]
            pieces = dict(zip(names, found, strict=False))
        wanted = network.parameters <= _PROVED if self.proof is None else self.proof
        return _Symmetries(network, pieces, wanted)


@dataclass(frozen=True, eq=False)
class _Symmetries(NetworkPlan):
    """A network, and the pieces of their activations on which its units stay."""

    network: Network
    pieces: dict[str, IntArray]
    proof: bool
    floor: float = 0.0
    counts: dict[str, FloatArray] | None = None

    @cached_property
    def _effects(self) -> dict[str, float]:
        return layer_effects(self.network)

    @cached_property
    def _lively(self) -> dict[str, FloatArray]:
        """For each layer what its units count in means that must not stand still."""
        ties = find_ties(self.network)
        counts = self.watch.liveliness(ties)
        return {layer.name: counts[ties.units[layer.name]] for layer in self.network.layers}

    def _written(self, eps: float) -> tuple[SymmetryWalk, Written]:
        effects = self._effects if eps else None
        walk = SymmetryWalk(self.network, self.pieces, eps, effects, self.floor, self.counts)
        return walk, Written(self.network, walk)

    def guarded(self, floor: float, lively: bool) -> _Symmetries:
        """See :class:`symlump.compression.reduction.NetworkPlan`."""
        return replace(self, floor=floor, counts=self._lively if lively else None)

    def size(self, eps: float) -> int:
        """See :class:`symlump.plan.Plan`."""
        return int(self._written(eps)[1].network.parameters)

    def at(self, eps: float) -> Reduction:
        """See :class:`symlump.plan.Plan`."""
        walk, written = self._written(eps)
        small = written.network
        merges = [step.merge for step in walk.steps.values()]
        rounded = sum(merge.rounded for merge in merges)
        notes = ["uses: " + "; ".join(sorted(walk.facts))] if walk.facts else []
        if rounded:
            notes.insert(0, f"constants φ(b) rounded to floats: {rounded}")
        proofs: tuple[Certificate, ...] = ()
        if eps == 0 and not self.proof:
            notes.insert(0, "proof not made")
        elif eps == 0 and not rounded:
            proofs = certificates(walk, written.live)
        return Reduction(
            small,
            written.unit_maps(),
            small.parameters,
            eps,
            float(np.sqrt(sum(merge.square for merge in merges))),
            stored=small.held,
            certificates=proofs,
            note="; ".join(notes),
            measure=_MEASURE,
        )
