"""Pruning by second order, the baseline: weights go that the others can replace best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import cholesky, inv

from symlump.compression.baselines.masked_fit import Mask, lay_out, units_together
from symlump.compression.baselines.pruning import (
    PrunedPart,
    Pruning,
    check_pruning,
    prune_in_order,
)
from symlump.compression.inputs import Inputs, check_inputs, refuse_overflow, samples_of
from symlump.compression.reduction import CompressionMethod
from symlump.errors import MethodError
from symlump.network.network import Network
from symlump.network.nodes import Affine
from symlump.ode.exact import FloatArray

#: Added to the diagonal of the second moments, relative to its mean; in the paper 1 %.
_DAMPING = 1e-2
#: What varies less than this share of the squares is constant, but for rounding.
_STILL = 1e-12
#: So many columns are chosen from at once, or those with so many entries. The paper takes 128.
_COLUMNS, _ENTRIES = 4, 32


@dataclass(frozen=True, eq=False)
class SecondOrder(CompressionMethod):
    """Layer by layer, keep the weights whose loss the others cannot make up for; biases are kept and counted.

    As SparseGPT does: H is the matrix of second moments of what a layer reads (about the mean where it has a
    bias), and columns are taken in turn. Of a few at a time those entries go with the least ``w²/(U_jj)²``,
    where ``UᵀU = H⁻¹``: that is what a unit's squared error grows by if w goes and the weights of later columns
    are adjusted, which they then are. What a layer reads is computed with the layers before it already pruned.
    In the end all that is left is fitted by least squares, as with ``refit=True`` of :class:`symlump.Wanda`.

    Parameters
    ----------
    retain : float, optional
        Share of the parameters to keep of each layer, in (0, 1].
    inputs : array, tensor or DataLoader
        Calibration inputs.
    eps : float, optional
        Instead of ``retain``: the share of the parameters that go, 1 − ``retain``; at most 1.

    Raises
    ------
    MethodError
        If an option is out of range, not exactly one of ``retain`` and ``eps`` is given, there are no inputs,
        or less is to be kept than the biases.

    References
    ----------
    Frantar, Alistarh, "SparseGPT: massive language models can be accurately pruned in one-shot",
    arXiv:2301.00774; Hassibi, Stork, "Second order derivatives for network pruning: optimal brain surgeon",
    NIPS 1992.

    Examples
    --------
    >>> from symlump import Network, compress
    >>> x = np.random.default_rng(0).normal(size=(200, 1)) @ [[1.0, 1.0, 0.0]]
    >>> x[:, 2] = np.random.default_rng(1).normal(size=200)
    >>> net = Network.dense([[[2.0, 3.0, 1.0]]])  # x₁ and x₂ are equal, so that one can stand for both
    >>> compress(net, SecondOrder(retain=0.67, inputs=x)).network.layers[0].weight.round(2).tolist()
    [[0.0, 5.0, 1.0]]
    """

    retain: float | None = None
    inputs: Inputs = field(default=None, repr=False)
    eps: float | None = None

    def __post_init__(self) -> None:
        check_pruning(self)
        if self.inputs is None:
            raise MethodError(
                "SecondOrder weighs weights by inputs; give some, as in SecondOrder(0.4, inputs=X)"
            )
        check_inputs(self.inputs, "SecondOrder")

    @property
    def label(self) -> str:
        """Name of the method with its options, as tables print it."""
        return "second order"

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
        >>> plan = SecondOrder(retain=0.5, inputs=[[1.0, 5.0], [1.0, -5.0]]).plan(Network.dense([[[2.0, 1.0]]]))
        >>> plan.retain(0.5).network.layers[0].weight.round(4).tolist()
        [[0.0, 1.0]]
        """
        given = samples_of(self.inputs, network, all_given=True)

        def choose(budgets: tuple[int, ...]) -> tuple[list[Mask], float]:
            return prune_in_order(network, given, budgets, _pick)

        return Pruning(network, PrunedPart.of_layers(network), choose, "|w|/U", given)


def _pick(
    layer: Affine, reads: Sequence[FloatArray], kept: int
) -> tuple[Mask, FloatArray, FloatArray]:
    """Which weights of a layer stay, what each cost when it was looked at, and the weights adjusted."""
    rows = layer.weight.reshape(layer.units, -1).copy()
    mask, scores = np.ones(rows.shape, dtype=bool), np.zeros(rows.shape)
    groups = units_together(layer, reads[0].shape[1])
    for number, (units, factor) in enumerate(
        zip(groups, _factors(layer, reads, groups), strict=True)
    ):
        stays = kept * (number + 1) // len(groups) - kept * number // len(groups)
        part = rows[units]
        mask[units], scores[units] = _eliminate(part, factor, stays)
        rows[units] = part
    shape = layer.weight.shape
    return mask.reshape(shape), scores.reshape(shape), rows.reshape(shape)


def _factors(
    layer: Affine, reads: Sequence[FloatArray], groups: list[list[int]]
) -> list[FloatArray]:
    """For units that read the same, U with UᵀU the inverse of the second moments."""
    width = layer.weight[0].size
    moments, sums, count = np.zeros((len(groups), width, width)), np.zeros((len(groups), width)), 0
    for value in reads:
        for _, seen in lay_out(layer, value):
            count += len(seen)
            for number in range(len(groups)):
                x = seen if len(groups) == 1 else seen[:, number]
                x = x.reshape(len(x), -1)
                moments[number] += x.T @ x
                sums[number] += x.sum(axis=0)
    factors = []
    for gram, total in zip(moments, sums, strict=True):
        read = float(np.trace(gram))
        if layer.bias is not None:
            gram -= np.outer(total, total) / count
        refuse_overflow(layer.name, "its weights cannot be weighed", gram)
        scale = float(np.trace(gram)) / width
        if scale <= _STILL * read:  # nothing varies: no weight is more than another
            factors.append(np.eye(width))
            continue
        factors.append(cholesky(inv(gram / scale + _DAMPING * np.eye(width))) / np.sqrt(scale))
    return factors


def _eliminate(rows: FloatArray, factor: FloatArray, kept: int) -> tuple[Mask, FloatArray]:
    """Prune rows in place, column by column; which weights stay, and the scores by which that was decided."""
    units, width = rows.shape
    columns = max(_COLUMNS, -(-_ENTRIES // units))
    mask, scores = np.ones(rows.shape, dtype=bool), np.zeros(rows.shape)
    for start in range(0, width, columns):
        stop = min(width, start + columns)
        stays = kept * stop // width - kept * start // width
        here = np.abs(rows[:, start:stop]) / np.diag(factor)[start:stop]
        chosen = np.zeros(here.size, dtype=bool)
        chosen[np.argsort(-here.ravel(), kind="stable")[:stays]] = True
        mask[:, start:stop], scores[:, start:stop] = chosen.reshape(here.shape), here
        for column in range(start, stop):
            gone = np.where(mask[:, column], 0.0, rows[:, column]) / factor[column, column]
            rows[:, column:] -= gone[:, None] * factor[column, column:]
            rows[~mask[:, column], column] = 0.0
    return mask, scores
