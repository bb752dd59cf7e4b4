"""The weights that pruning left, fitted again to what the original network computes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod

import numpy as np
from scipy.linalg import solve

from symlump.compression.inputs import refuse_overflow
from symlump.compression.merging.effect import forward
from symlump.compression.merging.values import columns
from symlump.network.evaluate import evaluate
from symlump.network.network import Network
from symlump.network.nodes import Affine, Input
from symlump.ode.exact import FloatArray

#: Ridge of the fit, relative to the mean square of what a layer reads: as for merged units.
_RIDGE = 1e-6
#: At least so much, where nothing is read.
_LEAST = 1e-200
#: What a layer reads is laid out for so many numbers at a time.
_NUMBERS = 1 << 24


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
    before = forward(network, samples)
    after = dict(zip((node.name for node in network.inputs), samples, strict=True))
    fitted: list[Affine] = []
    for node in pruned.nodes:
        if isinstance(node, Input):
            continue
        if isinstance(node, Affine):
            if not node.weight_name and not node.bias_name:
                node = _fitted(node, after[node.inputs[0]], before[node.name])
            fitted.append(node)
        after[node.name] = evaluate(node, *(after[name] for name in node.inputs))
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
            x = own if layer.bias is None else np.column_stack([own, np.ones(len(own))])
            moments[number] += x.T @ x
            towards[number] += x.T @ aims[:, units]
    refuse_overflow(layer.name, "what pruning left cannot be refitted", moments, *towards)
    for gram, right, units in zip(moments, towards, groups, strict=True):
        ridge = max(_RIDGE * float(np.trace(gram)) / width, _LEAST)
        gram[np.diag_indices(width)] += ridge
        right += ridge * rows[units].T
        for column, unit in enumerate(units):
            at = np.flatnonzero(kept[unit])
            if at.size:
                fitted[unit, at] = solve(gram[np.ix_(at, at)], right[at, column], assume_a="pos")
    weight, bias = fitted, None
    if layer.bias is not None:
        weight, bias = fitted[:, :-1], fitted[:, -1].copy()
    return replace(layer, weight=weight.reshape(layer.weight.shape), bias=bias, doubt=None)


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
        if layer.kernel:  # kernels with a single 1, one for each offset, take the window apart
            ones = np.eye(offsets).reshape(offsets, 1, *layer.kernel)
            windows = replace(
                layer,
                weight=np.tile(ones, (channels, *(1,) * (ones.ndim - 1))),
                bias=None,
                depthwise=True,
            )
            x = evaluate(windows, x)
        seen = columns(x)
        yield part, seen.reshape(len(seen), channels, offsets) if layer.depthwise else seen
