"""All inputs of a network side by side, entry by entry: boxes of them, and samples."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from symlump.enclosures.boxes import as_box, samples_of
from symlump.enclosures.interval import Interval
from symlump.network.network import Network
from symlump.ode.exact import FloatArray


def box_of(network: Network, box: Any) -> Interval:
    """A box of all entries of all inputs; two arrays may have the shape of the one input.

    Raises
    ------
    MethodError
        If it does not fit the network.
    """
    count = sum(prod(node.size) for node in network.inputs)
    if isinstance(box, tuple) and len(box) == 2 and len(network.inputs) == 1:
        size = network.inputs[0].size
        if len(size) > 1 and any(np.shape(end) == size for end in box):
            box = tuple(np.broadcast_to(np.asarray(end), size).ravel() for end in box)
    return as_box(box, count)


def samples_in(network: Network, box: Interval, count: int, seed: int = 0) -> list[FloatArray]:
    """Uniform samples of a box, as arrays of the shapes of the inputs.

    Examples
    --------
    >>> net = Network.dense([[[1.0, 2.0]]])
    >>> [x.shape for x in samples_in(net, box_of(net, (0, 1)), 5)]
    [(5, 2)]
    """
    return split_inputs(network, samples_of(box, count, np.random.default_rng(seed)))


def split_inputs(network: Network, x: FloatArray) -> list[FloatArray]:
    """Samples of all inputs side by side, as arrays of the shapes of the inputs.

    Examples
    --------
    >>> net = Network.dense([[[1.0, 2.0]]])
    >>> [part.tolist() for part in split_inputs(net, np.array([[3.0, 4.0]]))]
    [[[3.0, 4.0]]]
    """
    ends = np.cumsum([prod(node.size) for node in network.inputs])[:-1]
    return network.arranged(*np.split(x, ends, axis=1))
