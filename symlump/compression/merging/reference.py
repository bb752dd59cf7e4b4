"""A network with merged units, and the exactly lumpable system whose quotient its equation is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import numpy as np
from scipy.sparse import csr_array

from symlump.errors import FailureError
from symlump.lumping.forward import Forward
from symlump.lumping.lumping import Lumping
from symlump.lumping.partition import Partition
from symlump.lumping.plan import block_names
from symlump.network.decode import decode, unit_maps
from symlump.network.encode import encode
from symlump.network.equations.network_ode import NetworkODE
from symlump.network.network import Network
from symlump.network.nodes import Affine
from symlump.network.rewrite import tidy
from symlump.ode.exact import IntArray
from symlump.ode.polynomial import PolynomialODE


@dataclass(frozen=True, eq=False)
class Merged:
    """A network with merged units.

    Parameters
    ----------
    original : Network
    written : Network
        As it was written, node by node.
    labels : dict of ndarray of int
        For each layer, sum and product, by name, the group of each unit.
    places : dict of ndarray of int
        For each layer the new channel of each channel that it reads.
    """

    original: Network
    written: Network
    labels: dict[str, IntArray]
    places: dict[str, IntArray]

    @cached_property
    def network(self) -> Network:
        """The small network."""
        return tidy(self.written)

    @property
    def unit_maps(self) -> tuple[IntArray, ...]:
        """For each hidden layer the new unit of each unit."""
        return tuple(self._blocks[layer.name] for layer in self.original.hidden)

    @cached_property
    def _blocks(self) -> dict[str, IntArray]:
        """The new unit of each unit of each layer."""
        return {
            layer.name: Partition(self.labels[layer.name]).labels for layer in self.original.layers
        }

    @cached_property
    def defect(self) -> float:
        """‖reference − original‖₂: a gap in the sum over a block is spread evenly over its members."""
        total = 0.0
        for layer in self.original.layers:
            other, places = self.written.named[layer.name], self.places[layer.name]
            assert isinstance(other, Affine)
            group = self._blocks[layer.name]
            sizes = np.bincount(places)
            if layer.depthwise:
                gap = layer.weight - other.weight[group]
                read = np.arange(layer.units) // (layer.units // places.size)
                share = sizes[places[read]].reshape(-1, *(1,) * (gap.ndim - 1))
                total += float(np.sum(gap**2 / share))
            else:
                weight = layer.weight.reshape(*layer.weight.shape[:2], -1)
                small = other.weight.reshape(*other.weight.shape[:2], -1)
                order = np.argsort(places, kind="stable")
                ends = np.append(0, np.cumsum(sizes))
                sums = csr_array((np.ones(order.size), order, ends))
                same = np.array_equal(order, np.arange(sizes.size))  # nothing that it reads merged
                for offset in range(weight.shape[2]):
                    own = weight[:, :, offset]
                    gap = small[group, :, offset]
                    gap -= own if same else (sums @ own.T).T
                    total += float(np.einsum("ij,ij->j", gap, gap) @ (1 / sizes))
            if layer.bias is not None and other.bias is not None:
                total += float(np.sum((layer.bias - other.bias[group]) ** 2))
        return sqrt(total)

    def lumping(self, ode: NetworkODE, method: Forward) -> Lumping:
        """The lumping of the influence form whose quotient is the small network's.

        It is exact for a reference system, which :attr:`Lumping.reference` spells out; its ``defect`` is that
        system's distance from the original.

        Raises
        ------
        FailureError
            If blocks and equation do not match, which has no likely explanation.
        """
        initial = ode.initial_labels("forward")
        blocks = np.arange(len(ode)) + int(initial.max(initial=0)) + 1
        for name, group in self.labels.items():
            units = ode.where(name)
            blocks[units] = units[Partition(group).representatives][Partition(group).labels]
        partition = Partition(blocks)
        # Both count units node by node, then the constant and the symbols; blocks by first members.
        small = encode(self.written)
        if len(small) != len(partition):
            raise FailureError(
                "the merged network has other units than blocks; please report the network"
            )
        names = block_names(ode, partition)
        quotient = PolynomialODE(
            names,
            small.monomials,
            small.rows,
            small.columns,
            small.coefficients,
            tuple(names[small.index[name]] for name in small.parameters),
        )
        return Lumping(ode, method, Partition(initial), partition, quotient, self.defect, 1)


@dataclass(frozen=True, eq=False)
class Part:
    """One merging of units: the network, the new unit of each; the defect and the equations on demand."""

    small: Network
    maps: tuple[IntArray, ...]
    defect: Callable[[], float]
    lumping: Callable[[], Lumping]

    @classmethod
    def of(cls, lumping: Lumping) -> Part:
        """That of a lumping."""
        return cls(decode(lumping), unit_maps(lumping), lambda: lumping.defect, lambda: lumping)


def compose(before: tuple[IntArray, ...], after: tuple[IntArray, ...]) -> tuple[IntArray, ...]:
    """The maps of units by one merging after another.

    Examples
    --------
    >>> [units.tolist() for units in compose((np.array([0, 1, 1]),), (np.array([0, 0]),))]
    [[0, 0, 0]]
    """
    return tuple(b[a] for a, b in zip(before, after, strict=True))
