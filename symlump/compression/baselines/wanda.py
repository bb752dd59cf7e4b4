"""Wanda pruning, the baseline: weights by magnitude times the norm of what they multiply."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from symlump.compression.baselines.magnitude import masked, weight_budget
from symlump.compression.inputs import Inputs, samples_of
from symlump.compression.merging.values import columns
from symlump.compression.reduction import Reduction
from symlump.compression.shares import check_share
from symlump.network.evaluate import evaluated
from symlump.network.network import Network
from symlump.network.nodes import Affine, Input
from symlump.ode.exact import FloatArray

_MOST = 1 << 30


@dataclass(frozen=True, eq=False)
class Wanda:
    """In each row keep the weights with the largest ``|W_ij|·‖x_j‖₂``; biases are kept and counted.

    Layer by layer: the inputs of a layer are computed with the layers before it already pruned.

    Parameters
    ----------
    keep : float
        Share of the parameters to keep, in (0, 1].
    inputs : array, tensor or DataLoader
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
    inputs: Inputs = field(repr=False)

    def __post_init__(self) -> None:
        check_share(self.keep, "keep")

    @property
    def label(self) -> str:
        """Name for tables."""
        return "Wanda"

    def reduce(self, network: Network) -> Reduction:
        """Prune a network; see :func:`symlump.compress`."""
        count = None if any(len(shape) > 1 for shape in network.shapes.values()) else _MOST
        given = samples_of(self.inputs, network, count)
        values = dict(zip((node.name for node in network.inputs), given, strict=True))
        masks: list[npt.NDArray[np.bool_]] = []
        for node in network.nodes:
            if isinstance(node, Input):
                continue
            if isinstance(node, Affine):
                masks.append(self._mask(node, columns(values[node.inputs[0]])))
                node = replace(node, weight=np.where(masks[-1], node.weight, 0.0))
            values[node.name] = evaluated(node, *(values[name] for name in node.inputs))
        return masked(network, masks)

    def _mask(self, layer: Affine, h: FloatArray) -> npt.NDArray[np.bool_]:
        """The weights of a layer to keep; on a grid a channel's norm is that over all positions."""
        norms = np.linalg.norm(h, axis=0)[None]
        if layer.depthwise:
            norms = norms[0, np.arange(layer.units) // (layer.units // norms.size)][:, None]
        rows = np.abs(layer.weight) * norms.reshape(*norms.shape, *(1,) * len(layer.kernel))
        rows = rows.reshape(layer.units, -1)
        per_row = weight_budget(layer, self.keep) // layer.units
        order = np.argsort(-rows, axis=1, kind="stable")[:, :per_row]
        mask = np.zeros(rows.shape, dtype=bool)
        np.put_along_axis(mask, order, True, axis=1)
        return mask.reshape(layer.weight.shape)
