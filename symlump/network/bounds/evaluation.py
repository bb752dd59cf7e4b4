"""How far what is computed in a network's dtype can be from the function that its weights define.

With u the unit roundoff of the dtype and η its smallest number, on inputs that are numbers of the dtype:

- a dot product of n terms, summed in any order and in this dtype or a wider one, with or without fused
  multiply-add, is off by at most n·u·Σ|a_i||b_i| + n·η, for any n (Jeannerod and Rump);
- where a library multiplies a layer or a batch norm into the one before it, in the dtype, the terms of that
  product are counted as well;
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

from dataclasses import dataclass
from functools import reduce
from math import exp, expm1, prod

import numpy as np
import numpy.typing as npt

from symlump.enclosures.boxes import ensure_finite
from symlump.enclosures.interval import Interval, down, grow, up
from symlump.network.activations.activation import Activation
from symlump.network.bounds.curves import curve
from symlump.network.bounds.matrices import (
    entries,
    extreme_of,
    is_moving,
    is_sum,
    joined_entries,
    members,
    refusal,
    write_out,
)
from symlump.network.network import Network
from symlump.network.nodes import (
    Affine,
    Apply,
    Combine,
    Concatenate,
    Flatten,
    GroupSum,
    Input,
    Node,
    Pool,
    Select,
    Shape,
    Squeeze,
    Unsqueeze,
)
from symlump.network.precision import PRECISIONS, Precision
from symlump.network.simplify import meant
from symlump.network.step_nodes import Operation
from symlump.ode.exact import FloatArray

#: Units of rounding of 1 + |z| + |φ(z)| by which a library may be off at an activation.
LIBRARY_ERROR = 16
ASSUMED = (
    "the library evaluates tanh, sigmoid, exp, erf, sin, cos and what is made of them to within "
    f"{LIBRARY_ERROR} units of rounding of 1 + |z| + |φ(z)|, and the factor of a batch norm to within as many "
    "units of itself; products of matrices are sums of products, none of them rounded to less than the dtype "
    "(no TF32, no Strassen); numbers underflow gradually"
)
#: torch's softplus is z beyond this.
_THRESHOLD = 20.0


def evaluation_error(network: Network, box: Interval, dtype: str = "float64") -> FloatArray:
    """At least |computed − f(x)| for each output, where f is evaluated in a dtype at numbers x of it in a box.

    Infinite where the evaluation may leave the range of the dtype.

    Parameters
    ----------
    box : Interval of shape (entries of all inputs,)

    Examples
    --------
    >>> net = Network.dense([[[1.0, 1.0]]])
    >>> box = Interval(np.zeros(2), np.ones(2))
    >>> [float(f"{evaluation_error(net, box, name).item():.1e}") for name in ("float64", "float32")]
    [8.9e-16, 4.8e-07]
    """
    walk = _Walk(meant(network), PRECISIONS[dtype])
    with np.errstate(over="ignore", invalid="ignore"):
        error = walk.error(box)
    return np.where(np.isfinite(error), error, np.inf)


@dataclass(frozen=True, eq=False)
class _Known:
    """The values of a node, and how far computed ones may be from them."""

    range: Interval
    error: FloatArray

    @classmethod
    def joined(cls, given: list[_Known]) -> _Known:
        """Values one after the other."""
        ends = [[getattr(x.range, end) for x in given] for end in ("lower", "upper")]
        return cls(Interval(*map(np.concatenate, ends)), np.concatenate([x.error for x in given]))

    @property
    def size(self) -> FloatArray:
        return np.asarray(self.range.magnitude + self.error)


class _Walk:
    """From node to node."""

    def __init__(self, network: Network, precision: Precision) -> None:
        self._network, self._precision = network, precision
        self._unit = precision.unit * (1 + 2.0**-20)

    def error(self, box: Interval) -> FloatArray:
        """The errors of all outputs."""
        network, known = self._network, dict[str, _Known]()
        first = 0
        for node in network.nodes:
            if isinstance(node, Input):
                count = prod(node.size)
                found = _Known(box[first : first + count], np.zeros(count))
                first += count
            else:
                found = self._node(node, [known[name] for name in node.inputs])
            ensure_finite(found.range, "pre-activations")
            if not np.all(found.size <= self._precision.largest):
                return np.full(sum(prod(network.shapes[name]) for name in network.outputs), np.inf)
            known[node.name] = found
        return np.concatenate([known[name].error for name in network.outputs])

    def _node(self, node: Node, given: list[_Known]) -> _Known:
        shapes = [self._network.shapes[name] for name in node.inputs]
        shape = self._network.shapes[node.name]
        match node:
            case Apply(activation=phi):
                return self._applied(phi, given[0])
            case Flatten() | Squeeze() | Unsqueeze():
                return given[0]
            case Concatenate():
                return _Known.joined(given)
            case Operation() if (places := joined_entries(node, shapes)) is not None:
                found = _Known.joined(given)
                return _Known(found.range[places], found.error[places])
            case Combine(operation=operation):
                spread = self._spread(given, shapes, shape)
                return reduce(self._sum if operation == "add" else self._product, spread)
            case Pool() | Operation() if (extreme := extreme_of(node)) is not None:
                spread = given if len(given) == 1 else self._spread(given, shapes, shape)
                return _extreme(extreme, members(node, shapes), _Known.joined(spread))
            case _ if isinstance(node, Affine | GroupSum | Select | Pool):
                return self._linear(node, given[0], shapes[0], shape)
            case _ if is_moving(node) or is_sum(node):
                return self._linear(node, given[0], shapes[0], shape)
        raise refusal(node)

    @staticmethod
    def _spread(given: list[_Known], shapes: list[Shape], shape: Shape) -> list[_Known]:
        """Values that are combined, each over the entries of what they give."""
        places = [entries(before, shape) for before in shapes]
        return [_Known(x.range[at], x.error[at]) for x, at in zip(given, places, strict=True)]

    def _linear(self, node: Node, x: _Known, before: Shape, after: Shape) -> _Known:
        f = write_out(node, before, after)
        weight, constant = f.weight, np.abs(f.bias) + f.bias_radius
        doubt = node.doubt if isinstance(node, Affine) else None
        if doubt is not None and doubt.size is not None:
            constant = np.maximum(constant, np.repeat(doubt.size, prod(after[1:])))
        size = np.abs(weight) + f.weight_radius
        terms = float(np.count_nonzero(weight, axis=1).max()) + 2
        terms += max(
            (self._multiplied(n) for n in self._network.nodes if node.name in n.inputs), default=0
        )
        sums = grow(size @ x.size + constant, weight.shape[1] + 2)
        lost = np.full(len(weight), terms * self._precision.smallest)
        if doubt is not None:
            # Made when the network is evaluated, in the dtype: such as the factor of a batch norm.
            terms += LIBRARY_ERROR
            lost += LIBRARY_ERROR * self._precision.smallest * ((size > 0) @ x.size)
            lost[size.max(axis=1) > self._precision.largest] = np.inf
        rounded = terms * self._unit * sums + lost
        error = grow(size @ x.error + rounded, weight.shape[1] + 4)
        return _Known(f(x.range), error)

    def _multiplied(self, reader: Node) -> float:
        """How many more terms there are where a library multiplied the next layer into this one beforehand."""
        if not isinstance(reader, Affine):
            return 0.0
        count = reader.weight[0].size + (LIBRARY_ERROR if reader.is_scale else 0)
        return float(count * (1 + count * self._unit))

    def _applied(self, phi: Activation, x: _Known) -> _Known:
        around = Interval(down(x.range.lower - x.error), up(x.range.upper + x.error))
        ensure_finite(around, "pre-activations")
        bent = curve(phi, float(around.magnitude.max()))
        slope, values = bent.slopes(around).magnitude, bent.values(around)
        own = _own(phi, around, values.magnitude, self._precision)
        apart = np.minimum(slope * x.error, values.upper - values.lower)
        return _Known(bent.values(x.range), grow(apart + own, 4))

    def _sum(self, a: _Known, b: _Known) -> _Known:
        size = grow(a.size + b.size, 2)
        return _Known(a.range + b.range, grow(a.error + b.error + self._unit * size, 4))

    def _product(self, a: _Known, b: _Known) -> _Known:
        spread = a.size * b.error + a.error * b.size
        own = self._unit * a.size * b.size + self._precision.smallest
        return _Known(a.range * b.range, grow(spread + own, 6))


def _extreme(extreme: str, members: npt.NDArray[np.bool_], x: _Known) -> _Known:
    """The largest, or smallest, of each window: nothing is rounded."""
    sign = 1.0 if extreme == "maximum" else -1.0
    ends = [
        sign * np.where(members, sign * end, -np.inf).max(axis=1)
        for end in (x.range.lower, x.range.upper)
    ]
    return _Known(Interval(*ends), np.where(members, x.error, 0.0).max(axis=1))


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
    if phi.name.startswith(("elu", "selu")):
        error = error * max(1.0, abs(phi.slopes[1]))  # alpha·(e^z − 1)
    if phi.name == "softplus":
        error = error + np.where(z.upper > _THRESHOLD, 1.01 * exp(-_THRESHOLD), 0.0)
    return np.asarray(error)
