"""Wanda pruning, the baseline: weights by magnitude times the norm of what they multiply."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from symlump.compression.baselines.magnitude import masked, weight_budget
from symlump.compression.reduction import Reduction
from symlump.compression.shares import check_share
from symlump.errors import MethodError
from symlump.network.network import Network


@dataclass(frozen=True, eq=False)
class Wanda:
    """In each row keep the weights with the largest ``|W_ij|·‖x_j‖₂``; biases are kept and counted.

    Layer by layer: the inputs of a layer are computed with the layers before it already pruned.

    Parameters
    ----------
    keep : float
        Share of the parameters to keep, in (0, 1].
    inputs : array_like, shape (samples, inputs)
        Calibration inputs.

    References
    ----------
    Sun, Liu, Bair, Kolter, "A simple and effective pruning approach for large language models",
    arXiv:2306.11695.

    Examples
    --------
    >>> from symlump import Network, compress
    >>> net = Network.dense([[[1.0, 2.0], [3.0, 4.0]], [[0.5, 6.0]]])
    >>> wanda = Wanda(keep=0.5, inputs=[[10.0, 1.0]])
    >>> compress(net, wanda).network.layers[0].weight.tolist()
    [[1.0, 0.0], [3.0, 0.0]]
    """

    keep: float
    inputs: npt.ArrayLike = field(repr=False)

    def __post_init__(self) -> None:
        check_share(self.keep, "keep")

    @property
    def label(self) -> str:
        """Name for tables."""
        return "Wanda"

    def reduce(self, network: Network) -> Reduction:
        """Prune a network; see :func:`symlump.compress`."""
        chain = network.dense_chain(self.label)
        h = np.asarray(self.inputs, dtype=np.float64)
        if h.ndim != 2 or h.shape[1] != chain.inputs or not h.shape[0]:
            raise MethodError(
                f"Wanda needs inputs of shape (samples, {chain.inputs}); got {h.shape}"
            )
        masks: list[npt.NDArray[np.bool_]] = []
        for layer in chain.layers:
            score = np.abs(layer.weight) * np.linalg.norm(h, axis=0)
            per_row = weight_budget(layer, self.keep) // layer.units
            order = np.argsort(-score, axis=1, kind="stable")[:, :per_row]
            mask = np.zeros(score.shape, dtype=bool)
            np.put_along_axis(mask, order, True, axis=1)
            masks.append(mask)
            h = replace(layer, weight=np.where(mask, layer.weight, 0.0))(h)
        return masked(network, chain, masks)
