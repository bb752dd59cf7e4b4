"""The weights that pruning left, fitted again to what the original network computes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from scipy.linalg import lapack

from symlump.compression.inputs import refuse_overflow
from symlump.compression.merging.effect import forward
from symlump.compression.merging.means import RIDGE
from symlump.compression.merging.values import columns, in_single, single_layer, to_single
from symlump.network.evaluate import evaluate
from symlump.network.network import Network
from symlump.network.nodes import Affine, Input
from symlump.ode.exact import FloatArray, IntArray

Mask: TypeAlias = npt.NDArray[np.bool_]

#: At least so much, where nothing is read.
_LEAST = 1e-200
#: What a layer reads is laid out for so many numbers at a time.
_NUMBERS = 1 << 24
#: From so many columns on, rows that keep this share of their weights are solved by what they lack.
_WIDE, _MOSTLY = 64, 0.52
#: So many of them at a time, at most.
_TOGETHER = 64


def fit_masked(network: Network, pruned: Network, samples: Sequence[FloatArray]) -> Network:
    """Fit the weights that are left, and the biases, layer by layer; no targets are needed.

    For each unit, min Σ (w·x̂ + b − z)² over all w with the zeros of the pruned row, where z is what the
    original computes on the samples and x̂ what the layers before it, already fitted, give. A small ridge
    keeps weights where they were if the samples do not decide. Layers that share weights stay as they are.

    Parameters
    ----------
    network, pruned : Network
        Of the same nodes; a weight that is 0 in ``pruned`` stays 0.
    samples : sequence of ndarray, shape (samples, …)
        Of each input.

    Returns
    -------
    Network

    Raises
    ------
    MethodError
        If numbers overflow on these samples.

    Examples
    --------
    >>> net = Network.dense([[[1.0, 2.0]], [[2.0]]])
    >>> pruned = Network.dense([[[0.0, 2.0]], [[2.0]]])
    >>> x = np.array([[1.0, 1.0], [-1.0, -1.0], [2.0, 2.0]])
    >>> fit_masked(net, pruned, [x]).layers[0].weight.round(4).tolist()   # x₁ and x₂ are equal here
    [[0.0, 3.0]]
    """
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused below
        return _fit(network, pruned, samples)


def _fit(network: Network, pruned: Network, samples: Sequence[FloatArray]) -> Network:
    single = in_single(network)
    if single:
        samples = [x.astype(np.float32) for x in samples]
    before = forward(to_single(network) if single else network, samples)
    after = dict(zip((node.name for node in network.inputs), samples, strict=True))
    fitted: list[Affine] = []
    for node in pruned.nodes:
        if isinstance(node, Input):
            continue
        if isinstance(node, Affine):
            if not node.weight_name and not node.bias_name:
                node = _fitted(node, after[node.inputs[0]], before[node.name])
            fitted.append(node)
        used = single_layer(node) if single and isinstance(node, Affine) else node
        after[node.name] = evaluate(used, *(after[name] for name in node.inputs))
    return pruned.with_layers(tuple(fitted))


def _fitted(layer: Affine, read: FloatArray, wanted: FloatArray) -> Affine:
    """A layer's best weights on the pattern that they have."""
    rows = layer.weight.reshape(layer.units, -1)
    kept = rows != 0
    if layer.bias is not None:  # one more column, which always stays
        rows = np.column_stack([rows, layer.bias])
        kept = np.column_stack([kept, np.ones(layer.units, dtype=bool)])
    fitted = rows.copy()
    groups, width = units_together(layer, read.shape[1]), rows.shape[1]
    moments = np.zeros((len(groups), width, width))
    towards = [np.zeros((width, len(units))) for units in groups]
    for part, seen in lay_out(layer, read):
        aims = columns(wanted[part])
        for number, units in enumerate(groups):
            own = seen if len(groups) == 1 else seen[:, number]
            ones = np.ones((len(own), int(layer.bias is not None)))
            x = np.hstack([own, ones], dtype=np.float64)  # a Gram matrix needs all digits
            moments[number] += x.T @ x
            towards[number] += x.T @ aims[:, units]
    refuse_overflow(layer.name, "what pruning left cannot be refitted", moments, *towards)
    for gram, right, units in zip(moments, towards, groups, strict=True):
        ridge = max(RIDGE * float(np.trace(gram)) / width, _LEAST)
        gram[np.diag_indices(width)] += ridge
        right += ridge * rows[units].T
        fitted[units] = _solved(gram, right.T, kept[units])
    weight, bias = fitted, None
    if layer.bias is not None:
        weight, bias = fitted[:, :-1], fitted[:, -1].copy()
    return replace(layer, weight=weight.reshape(layer.weight.shape), bias=bias, doubt=None)


def _solved(gram: FloatArray, right: FloatArray, kept: Mask) -> FloatArray:
    """For each row the w with (gram w)_k = right_k at the places k that it keeps, and 0 elsewhere."""
    found = np.zeros(right.shape)
    width = len(gram)
    mostly = (kept.mean(axis=1) > _MOSTLY) & (width >= _WIDE)
    if not mostly.all():
        parts = _Parts(gram, int(kept[~mostly].sum(axis=1).max()), 1)
        for row in np.flatnonzero(~mostly):
            at = np.flatnonzero(kept[row])
            if at.size:
                found[row, at] = _solve(parts.factor(at), right[row, at])
    if mostly.any():
        factor, failed = lapack.dpotrf(gram.T, lower=1)
        assert not failed  # of what has a ridge
        inverse = np.tril(lapack.dpotri(factor, lower=1, overwrite_c=1)[0])
        inverse += np.tril(inverse, -1).T
        most = width - int(kept[mostly].sum(axis=1).min())
        count = min(_TOGETHER, max(1, _NUMBERS // max(1, most**2)))
        lacks = _Parts(inverse, most, count)
        for rows in np.split(at := np.flatnonzero(mostly), range(count, at.size, count)):
            found[rows] = _solved_by_lack(gram, lacks, right[rows], kept[rows])
    return found


def _solved_by_lack(gram: FloatArray, lacks: _Parts, right: FloatArray, kept: Mask) -> FloatArray:
    """The same where few places are left out: the solution with all, moved so that it is 0 there.

    It is G⁻¹(t − u), where u is not 0 at the places left out only, and there (G⁻¹u) is what (G⁻¹t) is. What
    rounding leaves is solved for once more, so that it is as near as by the system of the places kept.
    """
    inverse = lacks.matrix
    places = [np.flatnonzero(~row) for row in kept]
    factors = [lacks.factor(at, number) if at.size else None for number, at in enumerate(places)]
    found = np.zeros(right.shape)
    for _ in range(2):
        missing = np.where(kept, right - found @ gram, 0.0)
        step = missing @ inverse
        pushed = np.zeros(right.shape)
        for row, (at, own) in enumerate(zip(places, factors, strict=True)):
            if own is not None:
                pushed[row, at] = _solve(own, step[row, at])
        step -= pushed @ inverse
        found += np.where(kept, step, 0.0)
    return found


class _Parts:
    """Cholesky factors of parts of a symmetric matrix, in the same memory, as new memory takes time.

    Parameters
    ----------
    matrix : ndarray
        Row by row in memory.
    most : int
        Rows of a part, at most.
    held : int
        How many factors are held at a time.
    """

    def __init__(self, matrix: FloatArray, most: int, held: int) -> None:
        self.matrix = matrix
        self._rows = np.empty(most * len(matrix))
        self._parts = np.empty((held, most**2))

    def factor(self, at: IntArray, number: int = 0) -> FloatArray:
        """The lower factor of some rows and columns, until the next one of this number."""
        rows = self._rows[: at.size * len(self.matrix)].reshape(at.size, len(self.matrix))
        part = self._parts[number, : at.size**2].reshape(at.size, at.size)
        # Any other mode would write a copy first.
        self.matrix.take(at, axis=0, out=rows, mode="clip")
        rows.take(at, axis=1, out=part, mode="clip")
        factor, failed = lapack.dpotrf(part.T, lower=1, clean=0, overwrite_a=1)
        assert not failed  # of what has a ridge
        return np.asarray(factor)


def _solve(factor: FloatArray, right: FloatArray) -> FloatArray:
    """The solution of a system whose matrix has this lower Cholesky factor."""
    return np.asarray(lapack.dpotrs(factor, right, lower=1)[0])


def units_together(layer: Affine, channels: int) -> list[list[int]]:
    """Units that read the same numbers: all of them, or of a depthwise layer those of each channel."""
    units = list(range(layer.units))
    if not layer.depthwise:
        return [units]
    each = layer.units // channels
    return [units[start : start + each] for start in range(0, layer.units, each)]


def lay_out(layer: Affine, read: FloatArray) -> Iterator[tuple[slice, FloatArray]]:
    """What the rows of a layer multiply, for some samples at a time.

    Parameters
    ----------
    layer : Affine
    read : ndarray, shape (samples, channels, …)

    Yields
    ------
    slice
        Of which samples.
    ndarray of shape (rows, numbers), of a depthwise layer (rows, channels, numbers)
    """
    channels, offsets = read.shape[1], prod(layer.kernel)
    each = read.size // len(read) * offsets
    count = max(1, _NUMBERS // max(1, each))
    for start in range(0, len(read), count):
        part = slice(start, start + count)
        x = read[part]
        seen = _windows(layer, x) if layer.kernel else columns(x)
        yield part, seen.reshape(len(seen), channels, offsets) if layer.depthwise else seen


def _windows(layer: Affine, x: FloatArray) -> FloatArray:
    """A row for each sample and place of a kernel, with what it multiplies there: channel by channel."""
    around = [(0, 0), (0, 0), *((zeros, zeros) for zeros in layer.padding)]
    spans = tuple(
        (size - 1) * step + 1 for size, step in zip(layer.kernel, layer.dilation, strict=True)
    )
    seen = sliding_window_view(np.pad(x, around), spans, axis=tuple(range(2, x.ndim)))
    steps = (slice(None, None, step) for step in (1, 1, *layer.stride, *layer.dilation))
    seen = np.moveaxis(seen[tuple(steps)], 1, x.ndim - 1)
    return seen.reshape(-1, x.shape[1] * prod(layer.kernel))
