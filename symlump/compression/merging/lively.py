"""Means of units that do not stand still: each unit counts by how much it varies once what it reads has merged.

A mean of ReLU units that live and many that are 0 for every input may be 0 for every input itself, and with it
all that follows. Which units live depends on what became of the layers before: a unit that varies in the
original need not do so where it reads one mean instead of many units, and the other way round.
"""

from __future__ import annotations

import numpy as np

from symlump.compression.collapse import OutputWatch
from symlump.compression.merging.merge import merge_units
from symlump.compression.merging.reference import Merged
from symlump.compression.merging.values import Values
from symlump.network.network import Network
from symlump.network.ties import Ties
from symlump.ode.exact import IntArray


def merge_lively(
    network: Network, ties: Ties, groups: IntArray, watch: OutputWatch, values: Values | None
) -> Merged:
    """The network in which groups of units are one unit each, whose means vary as far as they can.

    The units of one axis after the other are merged, in the order in which layers make them. Before an axis is,
    its units are seen apart, reading what has merged so far, and so it is decided what each counts.

    Parameters
    ----------
    groups : ndarray of int, shape (units,)
        The group of each unit.
    watch : OutputWatch
        On its inputs units are seen.
    values : Values, optional
        To refit outgoing weights under; without, they are sums.

    Examples
    --------
    >>> net = Network.dense([[[1.0]], [[-1.0], [0.9]], [[1.0, 1.0]]], [[0.0], [0.0, 0.0], [0.0]], "relu")
    >>> watch = OutputWatch(net, (np.array([[1.0], [2.0]]),))
    >>> from symlump.network.ties import find_ties, regroup
    >>> ties = find_ties(net)
    >>> small = merge_lively(net, ties, regroup(ties, {0: np.array([0, 0])}), watch, None).network
    >>> [layer.weight.round(3).tolist() for layer in small.layers]  # the mean of −1 and 0.9 would be 0
    [[[1.0]], [[0.9]], [[2.0]]]
    """
    counts = np.ones(ties.count)
    merged = np.arange(ties.count)
    for units in ties.axes:
        if np.unique(groups[units]).size < units.size:
            apart = merge_units(network, ties, merged, counts, values)
            counts[units] = watch.liveliness(ties, apart)[units]
            merged[units] = groups[units]
    return merge_units(network, ties, groups, counts, values)
