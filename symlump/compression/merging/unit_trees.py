"""The merge trees of the units of a network, from what each value that layers read says of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from symlump.compression.merging.values import Memory, SampledValues, Values, ValueWalk, features
from symlump.compression.merging.ward import Tree, merge_tree, merge_trees, squares_from, trees_from
from symlump.compression.moments import SAMPLES, Moments
from symlump.compression.reduction import largest_size
from symlump.errors import SubjectError
from symlump.lumping.tolerance.linkage import Linkage
from symlump.network.network import Network
from symlump.network.ties import Ties
from symlump.ode.exact import FloatArray

#: Distances of units with so many values in all are found from their second moments.
_MANY = 1 << 16
#: Those of pairs that are nearer than this share of their squares are found from the values themselves.
_NEAR, _NEAR_SINGLE = 1e-6, 1e-3


def unit_trees(
    network: Network,
    ties: Ties,
    values: Values,
    read: dict[str, FloatArray],
    linkage: Linkage,
    relative_to: Sequence[str],
    inputs: str,
    memory: Memory | None,
) -> tuple[FloatArray, dict[str, tuple[Tree, ...]], dict[int, tuple[str, FloatArray]]]:
    """The weights of all units, in each unit of distances the tree of each axis, and covariances.

    The last are known of axes whose units are read in one place, as one value of many numbers: its name, and
    their covariance.
    """
    places = {  # for each axis where its units are read: the channels of each unit
        name: [(a, at) for a in range(len(ties.axes)) if (at := ties.table(name, a)).size]
        for name in read
    }
    wanted = [
        sum(a == b for found in places.values() for b, _ in found) for a in range(len(ties.axes))
    ]
    effects = np.zeros(ties.count)
    parts: list[list[tuple[FloatArray, FloatArray]]] = [[] for _ in ties.axes]
    trees = [[Tree(np.empty((0, 4)))] * len(relative_to)] * len(ties.axes)
    covariances: dict[int, tuple[str, FloatArray]] = {}
    if isinstance(values, SampledValues) and len(values.samples[0]) > SAMPLES:
        values, memory = SampledValues(tuple(x[:SAMPLES] for x in values.samples)), None
    walk = ValueWalk(network, values, memory)  # distances need fewer samples than fits
    for node in network.nodes:
        if node.name not in places:
            continue
        h = walk.until(node.name)
        for axis, at in places[node.name]:
            weights = read[node.name][at].sum(axis=1)
            columns = features(h, at)
            most = np.float64(largest_size(columns))
            if not (np.isfinite(most**2 * len(columns)) and np.isfinite(weights).all()):
                raise SubjectError(
                    f"units of this network overflow on inputs as in {inputs}; state how large inputs are, "
                    "as in AFDE(inputs=Normal(mean, covariance)), or use relative_to='layer' with refit=False"
                )
            effects[ties.axes[axis]] += weights
            flat = isinstance(values, SampledValues) and at.shape[1] == 1
            if flat and wanted[axis] == 1 and columns.size >= _MANY and len(h) == len(columns):
                squares, size, covariance = _squares(values.moments, columns, memory, node.name)
                covariances[axis] = node.name, covariance
                counting = {"output": weights, "layer": np.full(weights.size, 1 / size)}
                trees[axis] = trees_from(squares, [counting[u] for u in relative_to], linkage)
                continue
            root = values.moments.root(columns, centred=False)
            del columns
            parts[axis].append((root, weights))
            del root
            if len(parts[axis]) == wanted[axis]:
                trees[axis] = [Tree(t) for t in _trees_of(parts[axis], linkage, relative_to)]
                parts[axis] = []
    for axis, count in enumerate(wanted):
        if not count:  # nothing reads these units, so they are one
            units = ties.axes[axis].size
            alike = [np.zeros(units)] * len(relative_to)
            trees[axis] = [Tree(tree) for tree in merge_trees(np.zeros((units, 1)), alike, linkage)]
    found = {unit: tuple(axis[number] for axis in trees) for number, unit in enumerate(relative_to)}
    return effects, found, covariances


def _squares(
    moments: Moments, h: FloatArray, memory: Memory | None, name: str
) -> tuple[FloatArray, float, FloatArray]:
    """All mean squares of differences of units, that of a unit, and the covariance, from which they are."""
    means = moments.mean(h)
    if h.dtype == np.float32:
        gap = h - means.astype(np.float32)
        covariance = (gap.T @ gap).astype(np.float64)
        covariance /= len(h)
    else:
        covariance, _ = moments.products(h, h[:, :0], (means, means[:0]))
        if memory is not None and h is memory.values.get(name):
            memory.covariances[name] = covariance  # which fits ask for, too
    near = _NEAR_SINGLE if h.dtype == np.float32 else _NEAR
    squares = squares_from(covariance, means, lambda i, j: (h[:, i] - h[:, j]).T, len(h), near)
    return squares, float(np.mean(np.diag(covariance) + means**2)) or 1.0, covariance


def _trees_of(
    parts: list[tuple[FloatArray, FloatArray]], linkage: Linkage, relative_to: Sequence[str]
) -> list[FloatArray]:
    """In each unit one tree of all that is read of some units.

    Each value counts by its part of the effect; in the unit of the layer each counts the same.
    """
    sizes = [float(np.mean(np.einsum("ij,ij->j", root, root))) or 1.0 for root, _ in parts]
    if len(parts) == 1:
        weights = parts[0][1]
        counting = {"output": weights, "layer": np.full(weights.size, 1 / sizes[0])}
        weightings = [counting[unit] for unit in relative_to]
        return merge_trees(parts.pop()[0].T, weightings, linkage)  # nothing else holds the rows
    total = sum(float(weights.mean()) for _, weights in parts) or 1.0
    factors = {
        "output": [float(weights.mean()) / total for _, weights in parts],
        "layer": [1 / (size * len(parts)) for size in sizes],
    }
    weights = np.sum([weights for _, weights in parts], axis=0)
    counting = {"output": weights, "layer": np.ones(weights.size)}
    trees = []
    for unit in relative_to:
        by_part = zip(parts, factors[unit], strict=True)
        rows = np.hstack([root.T * np.sqrt(factor) for (root, _), factor in by_part])
        trees.append(merge_tree(rows, counting[unit], linkage))
    return trees
