"""Any network as stages of an affine map and activations.

Every value is an affine function of *atoms*: the inputs, and the results of activations. Dense layers,
convolutions, averages, sums, joins and parts are affine, so they only compose such functions (what that rounds
is kept in radii). A maximum of two is b + relu(a − b), a minimum a − relu(a − b), a product
(a + b)²/4 − (a − b)²/4. Atoms are computed
level by level: those of a stage read the ones before it, and an atom that is read later still goes on by the
identity. A chain of dense layers has one atom a level, and nothing to pass on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import prod

import numpy as np
import numpy.typing as npt

from symlump.enclosures.affine import AffineMap
from symlump.enclosures.interval import UNIT, ball_product, grow, up
from symlump.errors import FailureError
from symlump.network.activations.activation import Activation
from symlump.network.activations.table import activation, polynomial
from symlump.network.bounds.matrices import (
    MOST_ENTRIES,
    ensure_small,
    entries,
    extreme_of,
    is_passed,
    joined_entries,
    members,
    refusal,
    write_out,
)
from symlump.network.bounds.mixed import Mixed
from symlump.network.bounds.pairing import Link
from symlump.network.network import Network
from symlump.network.nodes import (
    Affine,
    Apply,
    Combine,
    Concatenate,
    Doubt,
    Flatten,
    Input,
    Node,
    Pool,
    Select,
    Shape,
    Squeeze,
    Unsqueeze,
)
from symlump.network.step_nodes import Operation
from symlump.ode.exact import FloatArray, IntArray

#: A matrix, or a vector, with its radius.
_Ball = tuple[FloatArray, FloatArray]


@dataclass(frozen=True, eq=False)
class _Value:
    """Σ W·atom + b over atoms, by their numbers; each W and b with a radius, None for the identity."""

    parts: dict[int, _Ball | None]
    bias: FloatArray
    doubt: FloatArray

    def mapped(self, by: AffineMap) -> _Value:
        """W·value + b."""
        ball = by.weight, by.weight_radius
        parts = {
            k: ball if part is None else ball_product(*ball, *part)
            for k, part in self.parts.items()
        }
        moved, doubt = ball_product(*ball, self.bias[:, None], self.doubt[:, None])
        constant = _added((moved[:, 0], doubt[:, 0]), (by.bias, by.bias_radius))
        return _Value(dict(parts), *constant)

    def scaled(self, factor: _Ball, constant: _Ball) -> _Value:
        """factor·value + constant, entry by entry."""
        plain = not factor[1].any() and bool((factor[0] == 1).all())
        parts = {
            k: part if plain else _times(factor, self._written(part))
            for k, part in self.parts.items()
        }
        moved = _times(factor, (self.bias[:, None], self.doubt[:, None]))
        return _Value(parts, *_added((moved[0][:, 0], moved[1][:, 0]), constant))

    def taken(self, rows: IntArray) -> _Value:
        """Some entries."""
        if np.array_equal(rows, np.arange(self.bias.size)):
            return self
        written = {k: self._written(part) for k, part in self.parts.items()}
        parts: dict[int, _Ball | None] = {k: (w[rows], r[rows]) for k, (w, r) in written.items()}
        return _Value(parts, self.bias[rows], self.doubt[rows])

    def plus(self, other: _Value) -> _Value:
        """The sum."""
        parts = dict(self.parts)
        for k, part in other.parts.items():
            both = k in parts
            parts[k] = _added(self._written(parts[k]), other._written(part)) if both else part
        return _Value(parts, *_added((self.bias, self.doubt), (other.bias, other.doubt)))

    def minus(self, other: _Value) -> _Value:
        """The difference."""
        written = {k: other._written(part) for k, part in other.parts.items()}
        parts: dict[int, _Ball | None] = {k: (-w, r) for k, (w, r) in written.items()}
        return self.plus(_Value(parts, -other.bias, other.doubt))

    def _written(self, part: _Ball | None) -> _Ball:
        if part is not None:
            return part
        size = self.bias.size
        ensure_small(size)
        return np.eye(size), np.zeros((size, size))


def _per_entry(scale: Affine, shape: Shape) -> tuple[_Ball, _Ball]:
    """A factor and a constant per channel, for every entry."""
    positions, zero = prod(shape[1:]), np.zeros(scale.units)
    doubt = scale.doubt or Doubt(zero[:, None], zero)
    bias = zero if scale.bias is None else scale.bias
    factor, radius, constant, about = (
        np.repeat(array, positions)
        for array in (scale.weight[:, 0], doubt.weight[:, 0], bias, doubt.bias)
    )
    return (factor, radius), (constant, about)


def _added(a: _Ball, b: _Ball) -> _Ball:
    """The sum of two balls; where one of them is 0 nothing is rounded.

    A sum is off by half a step of the float at most, and so are the two that make its radius; the last one is
    the largest, so one step pays for both.
    """
    total = a[0] + b[0]
    rounded = (a[0] != 0) & (b[0] != 0)
    doubt = a[1] + b[1] + np.where(rounded, UNIT * np.abs(total), 0.0)
    return total, np.where(doubt > 0, up(doubt), 0.0)


def _times(factor: _Ball, part: _Ball) -> _Ball:
    """diag(factor)·W. Products are off by UNIT of them, and by what underflows; with 0 they are exact."""
    f, g = (array[:, None] for array in factor)
    weight, radius = part
    product = f * weight
    doubt = UNIT * np.abs(product) + np.abs(f) * radius + g * (np.abs(weight) + radius)
    nothing = ((f == 0) & (g == 0)) | ((weight == 0) & (radius == 0))
    return product, np.where(nothing, 0.0, grow(doubt, 4))


@dataclass(frozen=True, eq=False)
class _Atom:
    activation: Activation
    argument: _Value
    level: int


def unroll(network: Network) -> list[Link]:
    """A network as links, of the entries of all its inputs to those of all its outputs.

    Raises
    ------
    NetworkError
        If it holds a softmax or a step that was carried along unread.
    FailureError
        If a layer written out is too large.

    Examples
    --------
    >>> from symlump.network.network import Network
    >>> net = Network((Input("x", (), (2,)), Affine("fc", ("x",), np.eye(2)),
    ...                Apply("a", ("fc",), activation("relu")), Combine("sum", ("a", "x"), "add")), ("sum",))
    >>> [link.affine.weight.tolist() for link in unroll(net)]
    [[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]]]
    """
    with np.errstate(over="ignore", invalid="ignore"):
        # What is not finite is refused when it is used.
        return _Unroller(network).links()


class _Unroller:
    def __init__(self, network: Network) -> None:
        self._network = network
        inputs = [prod(node.size) for node in network.inputs]
        nothing = _Value({}, np.zeros(sum(inputs)), np.zeros(sum(inputs)))
        self._atoms = [_Atom(activation("identity"), nothing, 0)]
        self._offsets = dict(
            zip((n.name for n in network.inputs), np.cumsum([0, *inputs[:-1]]), strict=True)
        )
        self._values: dict[str, _Value] = {}
        for node in network.nodes:
            given = [self._values[name] for name in node.inputs]
            shapes = [network.shapes[name] for name in node.inputs]
            self._values[node.name] = self._value(node, given, shapes)

    def _whole(self, atom: int) -> _Value:
        zero = np.zeros(self._atoms[atom].argument.bias.size)
        return _Value({atom: None}, zero, zero)

    def _applied(self, phi: Activation, value: _Value) -> _Value:
        if phi.name == "identity":
            return value
        level = 1 + max((self._atoms[k].level for k in value.parts), default=0)
        self._atoms.append(_Atom(phi, value, level))
        return self._whole(len(self._atoms) - 1)

    def _value(self, node: Node, given: list[_Value], shapes: list[Shape]) -> _Value:
        if not is_passed(node):
            raise refusal(node)
        shape = self._network.shapes[node.name]
        match node:
            case Input(size=size):
                first = int(self._offsets[node.name])
                return self._whole(0).taken(np.arange(first, first + prod(size)))
            case Apply(activation=phi):
                return self._applied(phi, given[0])
            case Flatten() | Squeeze() | Unsqueeze():
                return given[0]
            case Concatenate():
                return self._joined(given)
            case Combine(operation=operation):
                spread = self._spread(given, shapes, shape)
                return reduce(_Value.plus if operation == "add" else self._product, spread)
            case Pool() | Operation() if (extreme := extreme_of(node)) is not None:
                spread = given if len(given) == 1 else self._spread(given, shapes, shape)
                return self._extreme(extreme, members(node, shapes), self._joined(spread))
            case Select(index=index):
                places = np.arange(prod(shapes[0])).reshape(shapes[0])
                return given[0].taken(places[index].ravel())
            case Operation() if (joined := joined_entries(node, shapes)) is not None:
                return self._joined(given).taken(joined)
            case Affine() if node.is_scale:
                return given[0].scaled(*_per_entry(node, shape))
        return given[0].mapped(write_out(node, shapes[0], shape))

    @staticmethod
    def _spread(given: list[_Value], shapes: list[Shape], shape: Shape) -> list[_Value]:
        """Values that are combined, each over the entries of what they give."""
        return [value.taken(entries(s, shape)) for value, s in zip(given, shapes, strict=True)]

    @staticmethod
    def _joined(given: list[_Value]) -> _Value:
        if len(given) == 1:
            return given[0]
        sizes = [value.bias.size for value in given]
        ends = np.cumsum([0, *sizes])
        parts: dict[int, _Ball | None] = {}
        for value, first in zip(given, ends, strict=False):
            for k, part in value.parts.items():
                w, r = value._written(part)
                weight, radius = parts.get(k) or (np.zeros((ends[-1], w.shape[1])) for _ in "wr")
                weight[first : first + len(w)], radius[first : first + len(w)] = w, r
                parts[k] = weight, radius
        return _Value(
            parts,
            np.concatenate([value.bias for value in given]),
            np.concatenate([value.doubt for value in given]),
        )

    def _product(self, a: _Value, b: _Value) -> _Value:
        quarter = polynomial([0.0, 0.0, 0.25])
        return self._applied(quarter, a.plus(b)).minus(self._applied(quarter, a.minus(b)))

    def _better(self, extreme: str, a: _Value, b: _Value) -> _Value:
        """The larger of two, or the smaller, entry by entry."""
        above = self._applied(activation("relu"), a.minus(b))
        return b.plus(above) if extreme == "maximum" else a.minus(above)

    def _extreme(self, extreme: str, members: npt.NDArray[np.bool_], value: _Value) -> _Value:
        """The largest, or smallest, of each window: a tournament; an absent entry stands back for another."""
        most = int(members.sum(axis=1).max())
        order = np.argsort(~members, axis=1, kind="stable")[:, :most]
        present = np.take_along_axis(members, order, axis=1)
        order = np.where(present, order, order[:, :1])
        round_of = [value.taken(order[:, k]) for k in range(most)]
        while len(round_of) > 1:
            pairs = zip(round_of[::2], round_of[1::2], strict=False)
            winners = [self._better(extreme, a, b) for a, b in pairs]
            round_of = winners + (round_of[-1:] if len(round_of) % 2 else [])
        return round_of[0]

    def links(self) -> list[Link]:
        """The stages."""
        result = self._joined([self._values[name] for name in self._network.outputs])
        last_read: dict[int, int] = {}
        depth = 1 + max(atom.level for atom in self._atoms)
        readers = [(atom.level, atom.argument) for atom in self._atoms[1:]] + [(depth, result)]
        for level, value in readers:
            for k in value.parts:
                last_read[k] = max(last_read.get(k, 0), level)
        state, found = [0], list[Link]()
        for level in range(1, depth):
            new = [
                k for k, atom in enumerate(self._atoms) if atom.level == level and k in last_read
            ]
            passed = [k for k in state if last_read.get(k, 0) > level]
            values = [self._atoms[k].argument for k in new] + [self._whole(k) for k in passed]
            phis = [self._atoms[k].activation for k in new] + [activation("identity")] * len(passed)
            sizes = [value.bias.size for value in values]
            found.append(Link(self._stage(state, self._joined(values)), Mixed.of(phis, sizes)))
            state = new + passed
        moved = result.bias.any() or result.doubt.any()
        if not found or moved or len(state) > 1 or result.parts != {state[0]: None}:
            found.append(Link(self._stage(state, result), activation("identity")))
        return found

    def _stage(self, state: list[int], value: _Value) -> AffineMap:
        sizes = [self._atoms[k].argument.bias.size for k in state]
        parts = {k: value._written(part) for k, part in value.parts.items()}
        if list(parts) == state and len(state) == 1:
            return AffineMap(parts[state[0]][0], value.bias, parts[state[0]][1], value.doubt)
        shape = (value.bias.size, sum(sizes))
        if prod(shape) > MOST_ENTRIES:
            raise FailureError(
                f"a layer of this network, written out as a matrix, has {shape[0]} × {shape[1]} entries, "
                f"more than {MOST_ENTRIES}; certified bounds are for smaller ones"
            )
        weight, radius = np.zeros(shape), np.zeros(shape)
        for k, end, size in zip(state, np.cumsum(sizes), sizes, strict=True):
            if k in parts:
                weight[:, end - size : end], radius[:, end - size : end] = parts[k]
        return AffineMap(weight, value.bias, radius, value.doubt)
