"""Wanda pruning, the baseline: weights by magnitude times the norm of what they multiply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from symlump.compression.baselines.masked_fit import Mask
from symlump.compression.baselines.pruning import (
    PrunedPart,
    Pruning,
    check_pruning,
    prune_in_order,
)
from symlump.compression.inputs import Inputs, check_inputs, refuse_overflow, samples_of
from symlump.compression.merging.values import columns
from symlump.compression.reduction import CompressionMethod
from symlump.errors import MethodError
from symlump.network.network import Network
from symlump.network.nodes import Affine
from symlump.network.shared import holding
from symlump.ode.exact import FloatArray
from symlump.old_names import accept_old_names


@accept_old_names(keep="retain")
@dataclass(frozen=True, eq=False)
class Wanda(CompressionMethod):
    """In each row keep the weights with the largest ``|W_ij|·‖x_j‖₂``; biases are kept and counted.

    Layer by layer: the inputs of a layer are computed with the layers before it already pruned. Weights that
    layers share are pruned once, by what all of these read in the network as it was.

    Parameters
    ----------
    retain : float, optional
        Share of the parameters to keep, in (0, 1].
    inputs : array, tensor or DataLoader
        Calibration inputs.
    eps : float, optional
        Instead of ``retain``: the share of the parameters that go, 1 − ``retain``; at most 1.
    refit : bool
        Fit the weights that are left, and the biases, to what the original's layers compute on ``inputs``; see
        :func:`symlump.compression.baselines.masked_fit.fit_masked`.

    Raises
    ------
    MethodError
        If an option is out of range, not exactly one of ``retain`` and ``eps`` is given, there are no inputs,
        or less is to be kept than the biases.

    References
    ----------
    Sun, Liu, Bair, Kolter, "A simple and effective pruning approach for large language models",
    arXiv:2306.11695.

    Examples
    --------
    >>> from symlump import Network, compress
    >>> net = Network.dense([[[1.0, 2.0], [3.0, 4.0]], [[0.5, 6.0]]])
    >>> wanda = Wanda(retain=0.5, inputs=[[10.0, 1.0]])
    >>> compress(net, wanda).network.layers[0].weight.tolist()
    [[1.0, 0.0], [3.0, 0.0]]
    """

    retain: float | None = None
    inputs: Inputs = field(default=None, repr=False)
    eps: float | None = None
    refit: bool = False

    def __post_init__(self) -> None:
        check_pruning(self)
        if self.inputs is None:
            raise MethodError(
                "Wanda weighs weights by inputs; give some, as in Wanda(0.4, inputs=X)"
            )
        check_inputs(self.inputs, "Wanda")

    @property
    def label(self) -> str:
        """Name of the method with its options, as tables print it."""
        return "Wanda (refitted)" if self.refit else "Wanda"

    def plan(self, network: Network) -> Pruning:
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
        >>> net = Network.dense([[[1.0, 0.1], [2.0, 3.0]]])
        >>> plan = Wanda(retain=0.75, inputs=[[1.0, 5.0], [1.0, -5.0]]).plan(net)
        >>> plan.retain(0.75).network.layers[0].weight.tolist()
        [[1.0, 0.0], [0.0, 3.0]]
        """
        given = samples_of(self.inputs, network, all_given=True)

        def choose(budgets: tuple[int, ...]) -> tuple[list[Mask], float]:
            return prune_in_order(network, given, budgets, _pick)

        pairs = zip(PrunedPart.of_layers(network), holding(network.layers), strict=True)
        parts = tuple(replace(part, rows=layer.units) for part, layer in pairs)
        return Pruning(network, parts, choose, "|W|·‖x‖", given if self.refit else None)


def _pick(
    layer: Affine, reads: Sequence[FloatArray], kept: int
) -> tuple[Mask, FloatArray, FloatArray]:
    """The same number of weights of each row."""
    # The norm of each channel, on a grid over all positions.
    norms = np.linalg.norm([np.linalg.norm(columns(x), axis=0) for x in reads], axis=0)
    scores = _scores(layer, norms)
    refuse_overflow(layer.name, "its weights cannot be weighed", scores)
    mask = _mask(scores, kept // layer.units)
    return mask, scores, np.where(mask, layer.weight, 0.0)


def _scores(layer: Affine, norms: FloatArray) -> FloatArray:
    """``|W_ij|·‖x_j‖₂``."""
    norms = norms[None]
    if layer.depthwise:
        norms = norms[0, np.arange(layer.units) // (layer.units // norms.size)][:, None]
    return np.asarray(np.abs(layer.weight) * norms.reshape(*norms.shape, *(1,) * len(layer.kernel)))


def _mask(scores: FloatArray, per_row: int) -> Mask:
    """The weights of a layer to keep."""
    rows = scores.reshape(len(scores), -1)
    order = np.argsort(-rows, axis=1, kind="stable")[:, :per_row]
    mask = np.zeros(rows.shape, dtype=bool)
    np.put_along_axis(mask, order, True, axis=1)
    return mask.reshape(scores.shape)
