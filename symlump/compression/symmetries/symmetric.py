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

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from symlump.compression.merging.effect import layer_effects
from symlump.compression.reduction import CompressionMethod, Reduction
from symlump.compression.symmetries.exact_rows import Lift, Rows, aggregated
from symlump.compression.symmetries.near_units import aggregated_floats, merge_near
from symlump.compression.symmetries.proof import certificates
from symlump.compression.symmetries.unit_merge import UnitMerge, merge_units, pieces_on_box
from symlump.enclosures.boxes import as_box
from symlump.errors import MethodError
from symlump.network.chain import Chain, Layer
from symlump.network.encode import encode
from symlump.network.equations.network_ode import NetworkODE
from symlump.network.network import Network
from symlump.network.shared import refuse_shared
from symlump.ode.exact import IntArray
from symlump.plan import Plan, check_share, check_tolerance
from symlump.proof.certificate import Certificate

#: Up to this many parameters certificates are made unasked.
_PROVED = 50_000

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
        if self.retain is not None:
            check_share(self.retain)
            if self.eps != 0:
                raise MethodError(
                    "Symmetric takes a tolerance, as in Symmetric(eps=0.1), or a share of the parameters, as "
                    "in Symmetric(retain=0.4), not both"
                )

    @property
    def label(self) -> str:
        """Name for tables."""
        return "symmetric" if self.box is None else "symmetric on a box"

    def plan(self, network: Network) -> Plan[Reduction]:
        """See :class:`symlump.plan.Method`.

        Raises
        ------
        MethodError
            If a box is given, and the network is no chain of dense layers.
        NetworkError
            If layers share their weights.
        """
        refuse_shared(network.layers, "Symmetric")
        if network.chain is None and self.box is not None:
            raise MethodError(_CHAINS)
        chain = None if network.chain is None else network.dense_chain("Symmetric")
        pieces: Sequence[IntArray | None] = [None] * len(network.hidden)
        if chain is not None and self.box is not None:
            pieces = pieces_on_box(chain, as_box(self.box, chain.inputs))
        wanted = network.parameters <= _PROVED if self.proof is None else self.proof
        return _Symmetries(network, chain, pieces, wanted)


@dataclass(frozen=True, eq=False)
class _Symmetries(Plan[Reduction]):
    """A network, and the pieces of their activations on which its units stay."""

    network: Network
    chain: Chain | None
    pieces: Sequence[IntArray | None]
    proof: bool

    @property
    def whole(self) -> int:
        """All parameters."""
        return int(self.network.parameters)

    @cached_property
    def ode(self) -> NetworkODE:
        """The differential equation of a graph."""
        return encode(self.network)

    def at(self, eps: float) -> Reduction:
        """See :class:`symlump.plan.Plan`."""
        if self.chain is None:
            from symlump.compression.symmetries.graph import symmetric_reduction

            return symmetric_reduction(self.ode, self.proof, eps)
        reduction = _Merged.of(self.chain, self.pieces, eps).reduction(eps, self.proof)
        small = reduction.network.dense_chain("Symmetric")
        return replace(reduction, network=self.network.with_chain(small))

    def size(self, eps: float) -> int:
        """See :class:`symlump.plan.Plan`."""
        if self.chain is None:
            from symlump.compression.symmetries.graph import symmetric_reduction

            return symmetric_reduction(self.ode, False, eps).retained_parameters
        return int(_Merged.of(self.chain, self.pieces, eps).chain().parameters)


@dataclass(frozen=True, eq=False)
class _Merged:
    """A network with the merges of all its hidden layers, and the rows of the last one."""

    original: Chain
    merges: tuple[UnitMerge, ...]
    last: Rows

    @classmethod
    def of(cls, network: Chain, pieces: Sequence[IntArray | None], eps: float) -> _Merged:
        lift = Lift.identity(network.inputs)
        rows_of = aggregated if eps == 0 else aggregated_floats
        effects = [*layer_effects(Network.from_chain(network)).values()] if eps else []
        merges: list[UnitMerge] = []
        for number, (layer, own) in enumerate(zip(network.hidden, pieces, strict=True)):
            rows = rows_of(layer.weight, layer.bias, lift)
            if eps == 0:
                merges.append(merge_units(rows, layer.activation, own))
            else:
                counts = np.sum(network.layers[number + 1].weight ** 2, axis=0)
                effect = effects[number]
                merges.append(merge_near(rows, layer.activation, own, eps, effect, counts))
            lift = merges[-1].lift
        last = network.layers[-1]
        return cls(network, tuple(merges), rows_of(last.weight, last.bias, lift))

    @cached_property
    def live(self) -> list[IntArray]:
        """For each hidden layer the blocks that something reads, found from the outputs backwards."""
        live: list[IntArray] = []
        readers = self.last
        for merge in reversed(self.merges):
            live.insert(0, np.flatnonzero(readers.nonzero()[:, :-1].any(axis=0)))
            readers = merge.kept.take(live[0])
        return live

    def chain(self) -> Chain:
        """The smaller network; a layer of which nothing is left keeps one unit that computes nothing."""
        layers: list[Layer] = []
        columns = np.arange(self.original.inputs)
        rows_of_layers = [*(merge.kept for merge in self.merges), self.last]
        for number, (old, rows) in enumerate(
            zip(self.original.layers, rows_of_layers, strict=True)
        ):
            units = self.live[number] if number < len(self.live) else np.arange(old.units)
            floats = rows.take(units).nearest()
            weight, bias = floats[:, columns], floats[:, -1]
            if not columns.size:
                weight = np.zeros((len(floats), 1))
            if not units.size:
                weight, bias = np.zeros((1, weight.shape[1])), np.zeros(1)
            needed = old.bias is not None or bool(bias.any())
            layers.append(Layer(weight, bias if needed else None, old.activation))
            columns = units
        return Chain(tuple(layers), self.original.dtype)

    def unit_maps(self) -> tuple[IntArray, ...]:
        """For each hidden layer the new unit of each old one; −1 if it is constant or nothing reads it."""
        maps = []
        for merge, live in zip(self.merges, self.live, strict=True):
            place = np.full(merge.kept.floats.shape[0] + 1, -1)
            place[live] = np.arange(live.size)
            maps.append(place[merge.lift.block])  # block −1 is the last place
        return tuple(maps)

    def reduction(self, eps: float, proof: bool) -> Reduction:
        small = Network.from_chain(self.chain())
        rounded = sum(merge.rounded for merge in self.merges)
        facts = sorted(set().union(*(merge.facts for merge in self.merges)))
        notes = ["uses: " + "; ".join(facts)] if facts else []
        if rounded:
            notes.insert(0, f"constants φ(b) rounded to floats: {rounded}")
        proofs: tuple[Certificate, ...] = ()
        if eps == 0 and not proof:
            notes.insert(0, "proof not made")
        elif eps == 0 and not rounded:
            proofs = certificates(self.original, self.merges, self.last, self.live)
        defect = float(np.sqrt(sum(merge.square for merge in self.merges)))
        stored = tuple(layer.parameters for layer in small.layers)
        return Reduction(
            small,
            self.unit_maps(),
            small.parameters,
            eps,
            defect,
            stored=stored,
            certificates=proofs,
            note="; ".join(notes),
        )
