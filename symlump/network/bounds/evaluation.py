"""How far what is computed in a network's dtype can be from the function that its weights define.

With u the unit roundoff of the dtype and η its smallest number, on inputs that are numbers of the dtype:

- a dot product of n terms, summed in any order and in this dtype or a wider one, with or without fused
  multiply-add, is off by at most n·u·Σ|a_i||b_i| + n·η, for any n (Jeannerod and Rump);
- polynomials and piecewise linear activations are off by what counting their operations gives;
- of other activations something is assumed, not proved: see :data:`ASSUMED`. Softplus beyond its threshold is
  z itself in torch, which is counted.

Errors then go forward through the layers, each times the largest slope of the activation on what its
argument can be.

References
----------
Jeannerod, Rump, "Improved error bounds for inner products in floating-point arithmetic",
doi:10.1137/120894488.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, expm1

import numpy as np

from symlump.enclosures.interval import Interval, grow
from symlump.network.activations.table import Activation
from symlump.network.bounds.curves import curve
from symlump.network.bounds.pairing import alone
from symlump.network.bounds.relaxation import ranges
from symlump.network.bounds.steps import Ranges
from symlump.network.chain import Chain
from symlump.network.precision import PRECISIONS, Precision
from symlump.ode.exact import FloatArray

#: Units of rounding of 1 + |z| + |φ(z)| by which a library may be off at an activation.
LIBRARY_ERROR = 16
ASSUMED = (
    "the library evaluates tanh, sigmoid, exp, erf, sin, cos and what is made of them to within "
    f"{LIBRARY_ERROR} units of rounding of 1 + |z| + |φ(z)|; products of matrices are sums of products, "
    "none of them rounded to less than the dtype (no TF32, no Strassen); numbers underflow gradually"
)
#: torch's softplus is z beyond this.
_THRESHOLD = 20.0


def evaluation_error(network: Chain, box: Interval, dtype: str = "float64") -> FloatArray:
    """At least |computed − f(x)| for each output, where f is evaluated in a dtype at numbers x of it in a box.

    Infinite where the evaluation may leave the range of the dtype.

    Examples
    --------
    >>> net = Chain.dense([[[1.0, 1.0]]])
    >>> box = Interval(np.zeros(2), np.ones(2))
    >>> [float(f"{evaluation_error(net, box, name).item():.1e}") for name in ("float64", "float32")]
    [1.3e-15, 7.2e-07]
    """
    found = ranges(alone(network), box[None, :], relax=False)
    with np.errstate(over="ignore", invalid="ignore"):
        error = _propagated(network, box, found, PRECISIONS[dtype])
    return np.where(np.isfinite(error), error, np.inf)


def _propagated(
    network: Chain, box: Interval, found: Sequence[Ranges], precision: Precision
) -> FloatArray:
    size, error = box.magnitude, np.zeros(network.inputs)
    never = np.full(network.outputs, np.inf)
    unit, tiny = precision.unit * (1 + 2.0**-20), precision.smallest
    for layer, stage in zip(network.layers, found, strict=False):
        weight = np.abs(layer.weight)
        terms = layer.inputs + 2.0
        if layer.activation.name == "identity":
            # The product with the next weight, of at most so many terms, may have been rounded before.
            terms += layer.inputs * (1 + layer.inputs * unit)
        bias = np.zeros(layer.units) if layer.bias is None else np.abs(layer.bias)
        sums = grow(weight @ (size + error) + bias, layer.inputs + 2)
        error = grow(weight @ error + terms * (unit * sums + tiny), layer.inputs + 4)
        z = stage.reduced[0]
        around = Interval(
            np.nextafter(z.lower - error, -np.inf), np.nextafter(z.upper + error, np.inf)
        )
        if not np.all(sums + error <= precision.largest):
            return never
        phi = curve(layer.activation, float(around.magnitude.max()))
        slope, value = phi.slopes(around).magnitude, phi.values(around).magnitude
        error = grow(slope * error + _own(layer.activation, around, value, precision), 4)
        size = value
        if layer.groups is not None:
            totals = np.zeros((2, layer.outputs))
            np.add.at(totals.T, layer.groups, np.stack([size, error], axis=1))
            count = int(np.bincount(layer.groups).max())
            size = grow(totals[0], count)
            error = grow(totals[1] + count * (unit * (size + totals[1]) + tiny), count + 4)
        if not np.all(size + error <= precision.largest):
            return never
    return error


def _own(phi: Activation, z: Interval, value: FloatArray, precision: Precision) -> FloatArray:
    """The rounding of one evaluation of φ at a number of the dtype, where |φ| ≤ value."""
    size, unit = z.magnitude, precision.unit
    if phi.name == "identity":
        return np.zeros_like(size)
    if phi.pieces is not None:
        slope, intercept = np.abs(np.array(phi.pieces.lines)).max(axis=0)
        if slope == 1 and intercept == 0 and np.isin(phi.pieces.lines, (-1, 0, 1)).all():
            return np.zeros_like(size)  # nothing is rounded
        return np.asarray(4 * unit * (slope * size + intercept) + 2 * precision.smallest)
    if phi.coefficients:
        sizes = [abs(float(c)) for c in phi.coefficients]
        relative = 1.01 * expm1(
            (2 * len(sizes) + 2) * unit
        )  # Horner's rule rounds so often, one on another
        reach = np.maximum(size, 1.0)
        total = np.polynomial.polynomial.polyval(reach, sizes)
        below = 2 * len(sizes) * precision.smallest * reach ** len(sizes)
        return np.where(total <= precision.largest, relative * total + below, np.inf)
    error = LIBRARY_ERROR * unit * (1 + size + value) + precision.smallest
    if phi.name.startswith("elu"):
        error = error * max(1.0, abs(phi.slopes[1]))  # alpha·(e^z − 1)
    if phi.name == "softplus":
        error = error + np.where(z.upper > _THRESHOLD, 1.01 * exp(-_THRESHOLD), 0.0)
    return np.asarray(error)
