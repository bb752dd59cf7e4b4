"""In which order units can be done without, and what their loss costs at the outputs."""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack, qr

from symlump.errors import FailureError
from symlump.network.chain import Chain
from symlump.ode.exact import FloatArray, IntArray

#: Said where activations are not finite.
OVERFLOW = (
    "activations of the network overflow on the stated inputs; give samples or a Normal distribution of "
    "the inputs that it is made for"
)

# Units go one by one in layers of fewer than twice this many, in larger ones this many steps per layer.
_STEPS = 256

# Up to this many outputs their gradients are computed one by one, beyond for as many random signs.
_PROBES = 16


def output_metrics(network: Chain, x: FloatArray) -> list[FloatArray]:
    """For each layer a root of M = E[JᵀJ]/Var(outputs), J the derivative by its pre-activations.

    Returns
    -------
    list of ndarray, shape (units, rank)
        A factor R with M = R·Rᵀ, from which directions without any effect are dropped.

    Raises
    ------
    FailureError
        If activations overflow.

    Examples
    --------
    >>> net = Chain.dense([[[2.0]], [[3.0]]], activation="identity")
    >>> x = np.array([[1.0], [-1.0]])
    >>> [abs(root).round(6).tolist() for root in output_metrics(net, x)]
    [[[0.5]], [[0.166667]]]
    """
    values = network.activations(x)
    outputs = values[-1]
    variance = float(outputs.var(axis=0).sum()) or 1.0
    probes = np.eye(network.outputs)
    few = network.outputs <= _PROBES
    generator = np.random.default_rng(0)
    slopes = [
        layer.activation.slope(layer.pre_activation(h))
        for layer, h in zip(network.layers, values[:-1], strict=True)
    ]
    sums = [np.zeros((layer.units, layer.units)) for layer in network.layers]
    for probe in range(min(network.outputs, _PROBES)):
        if few:
            gradient = np.broadcast_to(probes[probe], outputs.shape)
        else:
            gradient = generator.choice([-1.0, 1.0], size=outputs.shape) / np.sqrt(_PROBES)
        for number in reversed(range(len(network.layers))):
            gradient = gradient * slopes[number]
            sums[number] += gradient.T @ gradient
            gradient = gradient @ network.layers[number].weight
    roots: list[FloatArray] = []
    for total in sums:
        mean = total / (len(x) * variance)
        if not (np.isfinite(total).all() and np.isfinite(mean).all()):
            raise FailureError(OVERFLOW)
        size, vectors = np.linalg.eigh(mean)
        kept = size > 1e-14 * max(size[-1], 0.0)
        roots.append(vectors[:, kept] * np.sqrt(size[kept]))
    return roots


def eliminate(
    h: FloatArray, targets: FloatArray, importance: FloatArray, rounding: float = 1e-12
) -> tuple[IntArray, FloatArray]:
    """In which order columns of h can be done without, when targets are fitted by the others.

    With h = Q·R, S = R⁻¹ and Y = Qᵀ·targets, the coefficients of a least-squares fit are S·Y, and the
    direction v = s_i/‖s_i‖ (s_i the i-th row of S) is what column i has that no other column has: without
    it the squared error grows by ‖vᵀY‖². Going on without column i means to project v out of S and Y.
    Nothing is squared, so nearly dependent columns do no harm.

    Parameters
    ----------
    h : ndarray, shape (rows, columns)
    targets : ndarray, shape (rows, any)
    importance : ndarray, shape (columns,)
        Sizes that the columns are multiplied with before their rank is decided.
    rounding : float
        What counts as 0 there, relative to the largest column.

    Returns
    -------
    order : ndarray of int
        The columns that the rank has room for, best first. Others are combinations of them.
    losses : ndarray, shape (1 + len(order),)
        Squared error of the best fit by the first k columns in this order, minus that by all.

    Examples
    --------
    >>> h = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    >>> order, losses = eliminate(h, h @ np.array([[0.1], [2.0], [0.0]]), np.array([0.1, 2.0, 0.0]))
    >>> order.tolist(), losses.round(6).tolist()
    ([1, 0], [4.01, 0.01, 0.0])
    """
    h, targets = fewer_rows(h * importance, targets)
    q, r, pivots = qr(h, mode="economic", pivoting=True)
    diagonal = np.abs(np.diag(r))
    rank = int(np.count_nonzero(diagonal > rounding * max(diagonal[:1], default=0.0)))
    columns = pivots[:rank]
    if not rank:
        return columns, np.zeros(1)
    y = q[:, :rank].T @ targets
    s = lapack.dtrtri(r[:rank, :rank])[0]
    coefficients = s @ y
    left = np.arange(rank)
    gone: list[IntArray] = []
    losses = [np.zeros(1)]
    while left.size:
        sizes = np.einsum("ij,ij->i", s, s)
        costs = np.einsum("ij,ij->i", coefficients, coefficients) / sizes
        batch = np.argsort(costs, kind="stable")[: max(1, left.size // _STEPS)]
        v, _ = np.linalg.qr(s[batch].T)
        shares = v.T @ y
        remaining = np.delete(np.arange(left.size), batch)
        gone.append(left[batch])
        losses.append(losses[-1][-1] + np.cumsum(np.einsum("ij,ij->i", shares, shares)))
        left, along = left[remaining], s[remaining] @ v
        s = s[remaining] - along @ v.T
        coefficients = coefficients[remaining] - along @ shares
        y = y - v @ shares
    return columns[np.concatenate(gone)[::-1]], np.concatenate(losses)[::-1]


def fewer_rows(h: FloatArray, targets: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Matrices of at most as many rows as columns with the same inner products: the R of a QR."""
    if len(h) > h.shape[1] + targets.shape[1]:
        r: FloatArray = np.asarray(np.linalg.qr(np.hstack([h, targets]), mode="r"))
        h, targets = r[:, : h.shape[1]], r[:, h.shape[1] :]
    return h, targets
