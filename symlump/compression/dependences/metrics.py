"""What an error in the units of a network costs at its outputs, unit against unit.

With J the derivative of the outputs y by what layers read of some units h, and Δ an error of h,

    M = E[JᵀJ] / Var(y),        E‖y − ŷ‖² / Var(y) ≈ E[Δᵀ·M·Δ]

to first order. On a grid JᵀJ is added up over it: errors in different places are taken as unrelated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np

from symlump.compression.merging.effect import (
    flat_outputs,
    forward,
    random_signs,
    read_gradients,
    spread_of,
)
from symlump.compression.merging.values import columns, single_with
from symlump.errors import FailureError
from symlump.network.network import Network
from symlump.ode.exact import FloatArray, IntArray

#: Up to this many outputs their gradients are computed one by one; beyond, one combination with random signs.
_PROBES = 16
#: Gradients that a metric is made of: so many, and so many for each unit of the widest layer.
_ROWS, _ROWS_PER_UNIT = 4096, 4
_NUMBERS = 1 << 22
_FEWEST = 64

OVERFLOW = (
    "activations of the network overflow on the stated inputs; give samples or a Normal distribution of "
    "the inputs that it is made for"
)


def metrics(
    network: Network,
    samples: Sequence[FloatArray],
    tables: Mapping[tuple[str, int], IntArray],
    known: Mapping[str, FloatArray] | None = None,
    spread: float | None = None,
) -> dict[tuple[str, int], FloatArray]:
    """For each table M, in the precision of the samples as far as single gradients go.

    Parameters
    ----------
    samples : sequence of ndarray, each of shape (samples, …)
        Of each input; in a wide network, or one with many outputs, the first ones are used.
    tables : mapping of (str, int) to ndarray of int, shape (units, positions)
        By a value's name, and any number, the channels of each unit there.
    known : mapping of str to ndarray, optional
        Values on these samples that are known, by name.
    spread : float, optional
        The variances of the outputs on these samples in sum, if they are known.

    Raises
    ------
    FailureError
        If activations overflow.

    Examples
    --------
    >>> net = Network.dense([[[2.0]], [[3.0]]], activation="identity")
    >>> x = [np.array([[1.0], [-1.0]])]
    >>> metrics(net, x, {("layers.0", 0): np.array([[0]])})["layers.0", 0].tolist()
    [[0.25]]
    """
    count = sum(prod(network.shapes[name]) for name in network.outputs)
    probes = count if count <= _PROBES else 1
    widest = max(layer.units for layer in network.layers)
    largest = max((prod(s) for s in network.shapes.values() if prod(s[1:]) > 1), default=0)
    rows = max(_ROWS, _ROWS_PER_UNIT * widest) // probes
    given = len(samples[0])
    samples = [
        x[: min(rows, max(_FEWEST, _NUMBERS // largest)) if largest else rows] for x in samples
    ]
    network = single_with(network, samples)
    chunk = int(np.clip(_NUMBERS // largest, 8, 1024)) if largest else 512
    generator = np.random.default_rng(0)
    sums = {key: np.zeros((len(table),) * 2) for key, table in tables.items()}
    read = {name for name, _ in tables}
    outputs: list[FloatArray] = []
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(samples[0]), chunk):  # few at a time, for the sake of memory
            some = slice(start, min(start + chunk, len(samples[0])))
            part = {name: value[some] for name, value in (known or {}).items()}
            values = forward(network, [x[some] for x in samples], part)
            outputs.append(flat_outputs(values, network))
            for probe in range(probes):
                if probes == count:
                    weights = np.zeros_like(outputs[-1])
                    weights[:, probe] = 1.0
                else:
                    weights = random_signs(generator, outputs[-1])
                parts = read_gradients(network, values, weights, read)
                _add_squares(parts, tables, sums)
        if spread is None or len(samples[0]) < given:
            spread = spread_of(np.concatenate(outputs))
        means = {key: total / (len(samples[0]) * spread) for key, total in sums.items()}
    if not all(np.isfinite(mean).all() for mean in means.values()):
        raise FailureError(OVERFLOW)
    return means


def _add_squares(
    parts: Mapping[str, FloatArray],
    tables: Mapping[tuple[str, int], IntArray],
    sums: dict[tuple[str, int], FloatArray],
) -> None:
    """Add JᵀJ for one combination of the outputs."""
    for (name, number), table in tables.items():
        if name in parts:
            g = by_unit(parts[name], table)
            sums[name, number] += g.T @ g


def by_unit(value: FloatArray, table: IntArray) -> FloatArray:
    """The values of some units as columns, all samples and positions below one another."""
    if table.shape[1] == 1:
        same = np.array_equal(table[:, 0], np.arange(value.shape[1]))
        return columns(value, None if same else table[:, 0])
    part = np.moveaxis(value[:, table.ravel()].reshape(len(value), *table.shape, -1), 1, -1)
    return part.reshape(-1, len(table))
