"""What pruning methods share: how many weights a share of the parameters leaves, and the masked network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import hypot
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from symlump.compression.reduction import Reduction
from symlump.errors import MethodError
from symlump.network.network import Network
from symlump.network.nodes import Affine
from symlump.ode.exact import FloatArray
from symlump.plan import Plan, share_of

Mask: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Part:
    """Parameters of which one share is kept: a layer's, or all.

    Parameters
    ----------
    name : str
        For errors.
    parameters : int
    fixed : int
        How many of them always stay, such as biases.
    rows : int
        Each keeps as many weights as any other.
    """

    name: str
    parameters: int
    fixed: int
    rows: int = 1

    @classmethod
    def of_network(cls, network: Network) -> Part:
        """All parameters."""
        weights = sum(layer.weight.size for layer in network.layers)
        return cls("the network", network.parameters, network.parameters - weights)

    @classmethod
    def of_layer(cls, layer: Affine) -> Part:
        """A layer's."""
        return cls(f"layer {layer.name!r}", layer.parameters, layer.parameters - layer.weight.size)

    def budget(self, share: float) -> int:
        """How many weights a share leaves; below 0 where it is less than what is fixed."""
        return (share_of(self.parameters, share) - self.fixed) // self.rows * self.rows


@dataclass(frozen=True, eq=False)
class Pruning(Plan[Reduction]):
    """Weights that become zero; ε is the share of the parameters that go.

    Parameters
    ----------
    network : Network
    parts : tuple of Part
    choose : callable
        The masks of the weights that stay, by layer, from how many stay in each part.
    """

    network: Network
    parts: tuple[Part, ...]
    choose: Callable[[tuple[int, ...]], list[Mask]]

    @property
    def whole(self) -> int:
        """All parameters."""
        return int(self.network.parameters)

    def at(self, eps: float) -> Reduction:
        """See :class:`symlump.plan.Plan`."""
        return masked(self.network, self.choose(self._budgets(eps)))

    def size(self, eps: float) -> int:
        """Weights that are not masked, and what always stays."""
        others = self.whole - sum(part.parameters - part.fixed for part in self.parts)
        return others + sum(self._budgets(eps))

    def tolerance(self, target: int) -> float:
        """Without a search: the share that goes."""
        return max(0.0, 1 - target / self.whole)

    def reach(self, target: int) -> Reduction:
        """See :class:`symlump.plan.Plan`."""
        return self.retain(target / self.whole)

    def retain(self, share: float) -> Reduction:
        """The share of each part.

        Raises
        ------
        MethodError
            If not even what always stays fits.
        """
        for part in self.parts:
            if part.budget(share) < 0:
                raise MethodError(
                    f"retain={share:.6g} leaves {share_of(part.parameters, share)} parameters of {part.name}, "
                    f"fewer than the {part.fixed} biases"
                )
        return self.at(1 - share)

    def _budgets(self, eps: float) -> tuple[int, ...]:
        return tuple(max(0, part.budget(max(0.0, 1 - eps))) for part in self.parts)


def largest(scores: FloatArray, count: int) -> Mask:
    """Mask of the ``count`` largest scores; ties are broken by position."""
    mask = np.zeros(scores.size, dtype=bool)
    mask[np.argsort(-scores.ravel(), kind="stable")[:count]] = True
    return mask.reshape(scores.shape)


def masked(network: Network, masks: list[Mask]) -> Reduction:
    """The network with all other weights set to zero."""
    pairs = list(zip(network.layers, masks, strict=True))
    layers = [replace(layer, weight=np.where(mask, layer.weight, 0.0)) for layer, mask in pairs]
    retained = sum(
        int(mask.sum()) + (0 if layer.bias is None else layer.bias.size) for layer, mask in pairs
    )
    retained += sum(node.parameters for node in network.untouched)
    removed = hypot(*(float(np.linalg.norm(layer.weight[~mask])) for layer, mask in pairs))
    maps = tuple(np.arange(layer.units) for layer in network.hidden)
    return Reduction(network.with_layers(layers), maps, retained, None, removed)
