"""Magnitude pruning, the baseline: the smallest weights become zero."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import hypot

import numpy as np
import numpy.typing as npt

from symlump.compression.reduction import Reduction
from symlump.compression.shares import check_share, share_of
from symlump.errors import MethodError
from symlump.network.network import Network
from symlump.network.nodes import Affine
from symlump.ode.exact import FloatArray


@dataclass(frozen=True)
class Magnitude:
    """Keep the weights of largest absolute value; biases are always kept and counted.

    Parameters
    ----------
    keep : float
        Share of the parameters to keep, in (0, 1].
    scope : {"global", "layerwise"}
        Compare weights over the whole network, or keep the same share in each layer.

    References
    ----------
    Han, Pool, Tran, Dally, "Learning both weights and connections for efficient neural networks",
    arXiv:1506.02626.

    Examples
    --------
    >>> from symlump import Network, compress
    >>> net = Network.dense([[[1.0, 2.0], [3.0, 4.0]], [[0.5, 6.0]]])
    >>> compress(net, Magnitude(keep=0.5)).network.layers[0].weight.tolist()
    [[0.0, 0.0], [3.0, 4.0]]
    """

    keep: float
    scope: str = "global"

    def __post_init__(self) -> None:
        check_share(self.keep, "keep")
        if self.scope not in ("global", "layerwise"):
            raise MethodError(f"scope={self.scope!r} is unknown; choose 'global' or 'layerwise'")

    @property
    def label(self) -> str:
        """Name for tables."""
        return f"magnitude ({self.scope})"

    def reduce(self, network: Network) -> Reduction:
        """Prune a network; see :func:`symlump.compress`."""
        scores = [np.abs(layer.weight) for layer in network.layers]
        if self.scope == "layerwise":
            masks = [
                largest(score, weight_budget(layer, self.keep))
                for layer, score in zip(network.layers, scores, strict=True)
            ]
        else:
            biases = sum(0 if layer.bias is None else layer.bias.size for layer in network.layers)
            budget = share_of(network.parameters, self.keep) - int(biases)
            if budget < 0:
                raise MethodError(
                    f"keep={self.keep} leaves {share_of(network.parameters, self.keep)} parameters, fewer "
                    f"than the {biases} biases"
                )
            chosen = largest(np.concatenate([s.ravel() for s in scores]), budget)
            ends = np.cumsum([s.size for s in scores])[:-1]
            masks = [
                part.reshape(score.shape)
                for part, score in zip(np.split(chosen, ends), scores, strict=True)
            ]
        return masked(network, masks)


def weight_budget(layer: Affine, keep: float) -> int:
    """How many weights a layer may keep beside its biases.

    Raises
    ------
    MethodError
        If not even the biases fit.
    """
    budget = share_of(layer.parameters, keep) - (0 if layer.bias is None else int(layer.bias.size))
    if budget < 0:
        raise MethodError(
            f"keep={keep} leaves {share_of(layer.parameters, keep)} parameters in a layer of "
            f"{layer.units} units, fewer than its biases"
        )
    return budget


def largest(scores: FloatArray, count: int) -> npt.NDArray[np.bool_]:
    """Mask of the ``count`` largest scores; ties are broken by position."""
    mask = np.zeros(scores.size, dtype=bool)
    mask[np.argsort(-scores.ravel(), kind="stable")[:count]] = True
    return mask.reshape(scores.shape)


def masked(network: Network, masks: list[npt.NDArray[np.bool_]]) -> Reduction:
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
