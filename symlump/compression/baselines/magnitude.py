"""Magnitude pruning, the baseline: the smallest weights become zero."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from symlump.compression.baselines.masked_fit import Mask
from symlump.compression.baselines.pruning import (
    PrunedPart,
    Pruning,
    check_pruning,
    largest,
    largest_gone,
)
from symlump.compression.inputs import (
    Inputs,
    advice,
    assume_inputs,
    check_inputs,
    samples_of,
)
from symlump.compression.reduction import CompressionMethod
from symlump.errors import MethodError
from symlump.network.network import Network
from symlump.network.shared import holding
from symlump.old_names import accept_old_names


@accept_old_names(keep="retain")
@dataclass(frozen=True, eq=False)
class Magnitude(CompressionMethod):
    """Keep the weights of largest absolute value; biases are always kept and counted.

    Parameters
    ----------
    retain : float, optional
        Share of the parameters to keep, in (0, 1].
    scope : {"global", "layerwise"}
        Compare weights over the whole network, or keep the same share in each layer.
    eps : float, optional
        Instead of ``retain``: the share of the parameters that go, 1 − ``retain``; at most 1.
    refit : bool
        Fit the weights that are left, and the biases, to what the original's layers compute on ``inputs``; see
        :func:`symlump.compression.baselines.masked_fit.fit_masked`.
    inputs : Normal, Images, array, tensor or DataLoader, optional
        What the inputs are like, for the refit. Default: standard normal, so that no data is needed
        (:class:`symlump.Images` where they look like images).

    Raises
    ------
    MethodError
        If an option is out of range, not exactly one of ``retain`` and ``eps`` is given, less is to be kept
        than the biases, or there are inputs and no refit.

    References
    ----------
    Han, Pool, Tran, Dally, "Learning both weights and connections for efficient neural networks",
    arXiv:1506.02626.

    Examples
    --------
    >>> from symlump import Network, compress
    >>> net = Network.dense([[[1.0, 2.0], [3.0, 4.0]], [[0.5, 6.0]]])
    >>> compress(net, Magnitude(retain=0.5)).network.layers[0].weight.tolist()
    [[0.0, 0.0], [3.0, 4.0]]
    """

    retain: float | None = None
    scope: str = "global"
    eps: float | None = None
    refit: bool = False
    inputs: Inputs = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_pruning(self)
        if self.inputs is not None:
            check_inputs(self.inputs, "Magnitude")
            if not self.refit:
                raise MethodError(
                    "inputs=… has no effect on which weights are largest; give refit=True, or choose Wanda"
                )
        if self.scope not in ("global", "layerwise"):
            raise MethodError(f"scope={self.scope!r} is unknown; choose 'global' or 'layerwise'")

    @property
    def label(self) -> str:
        """Name of the method with its options, as tables print it."""
        return f"magnitude ({self.scope}{', refitted' * self.refit})"

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
        >>> Magnitude(retain=0.75).plan(net).retain(0.75).network.layers[0].weight.tolist()
        [[1.0, 0.0], [2.0, 3.0]]
        """
        scores = [np.abs(layer.weight) for layer in holding(network.layers)]

        def choose(budgets: tuple[int, ...]) -> tuple[list[Mask], float]:
            if self.scope == "layerwise":
                masks = [largest(s, b) for s, b in zip(scores, budgets, strict=True)]
            else:
                every = largest(np.concatenate([s.ravel() for s in scores]), *budgets)
                ends = np.cumsum([s.size for s in scores])[:-1]
                parts = zip(np.split(every, ends), scores, strict=True)
                masks = [part.reshape(score.shape) for part, score in parts]
            return masks, largest_gone(scores, masks)

        layerwise = self.scope == "layerwise"
        whole = PrunedPart.of_layers(network) if layerwise else (PrunedPart.of_network(network),)
        assumed = assume_inputs(network) if self.inputs is None else self.inputs
        seen = samples_of(assumed, network) if self.refit else None
        helps = advice(network, "Magnitude") if self.inputs is None else ""
        return Pruning(network, whole, choose, "|W|", seen, helps)
