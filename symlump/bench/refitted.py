"""Pruning, offered the refit that merging has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from symlump.network.network import Network
from symlump.ode.exact import FloatArray


def refitted(network: Network, pruned: Network, inputs: FloatArray) -> Network:
    """A pruned chain, the weights that are left and the biases fitted again, layer by layer.

    For each unit, min Σ (w·x̂ + b − z)² over all w with the zeros of the pruned row, where z is what the
    original computes on these inputs and x̂ what the layers before it, already fitted, give. No target is used.

    Parameters
    ----------
    network, pruned : Network
        Chains of the same shape.
    inputs : ndarray of float, shape (samples, inputs)

    Examples
    --------
    >>> net = Network.dense([[[1.0, 2.0]], [[2.0]]])
    >>> pruned = Network.dense([[[0.0, 2.0]], [[2.0]]])
    >>> x = np.array([[1.0, 1.0], [-1.0, -1.0], [2.0, 2.0]])
    >>> refitted(net, pruned, x).chain.layers[0].weight.round(9).tolist()   # x₁ and x₂ are equal here
    [[0.0, 3.0]]
    """
    whole, less = network.dense_chain("a refit"), pruned.dense_chain("a refit")
    before = after = inputs
    layers = []
    for old, new in zip(whole.layers, less.layers, strict=True):
        wanted = old.pre_activation(before)
        columns = np.column_stack([after, np.ones(len(after))])
        moments, towards = columns.T @ columns, columns.T @ wanted
        weight, bias = np.zeros_like(new.weight), np.zeros(len(new.weight))
        for i, kept in enumerate(new.weight != 0):
            at = np.flatnonzero(np.append(kept, True))
            fit = np.linalg.lstsq(moments[np.ix_(at, at)], towards[at, i], rcond=None)[0]
            weight[i, kept], bias[i] = fit[:-1], fit[-1]
        layers.append(replace(new, weight=weight, bias=bias))
        before = old.activation(wanted)
        after = old.activation(layers[-1].pre_activation(after))
    return Network.from_chain(replace(less, layers=tuple(layers)))
