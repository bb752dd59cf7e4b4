"""Any network as stages of an affine map and activations.

Every value is an affine function of *atoms*: the inputs, and the results of activations. Dense layers,
convolutions, averages, sums, joins and parts are affine, so they only compose such functions (what that rounds
is kept in radii). A maximum of two is b + relu(a − b), a product ((a + b)² − (a − b)²)/4. Atoms are computed
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
from symlump.enclosures.interval import ball_product, gamma, up
from symlump.errors import FailureError
from symlump.network.activations.table import Activation, activation, polynomial
from symlump.network.bounds.matrices import MOST_ENTRIES, entries, matrix, refusal, written_out
from symlump.network.bounds.mixed import Mixed
from symlump.network.bounds.pairing import Link
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
from symlump.ode.exact import FloatArray, IntArray

_Part = tuple[FloatArray, FloatArray]


@dataclass(frozen=True, eq=False)
class _Value:
    """Σ W·atom + b over atoms, by their numbers; each matrix and b with a radius."""

    parts: dict[int, _Part]
    bias: FloatArray
    doubt: FloatArray

    def mapped(self, weight: FloatArray, radius: FloatArray, bias: FloatArray | None) -> _Value:
        """weight·value + bias."""
        moved, doubt = (
            part[:, 0]
            for part in ball_product(weight, radius, self.bias[:, None], self.doubt[:, None])
        )
        parts = {
            k: (weight, radius) if _is_identity(part) else ball_product(weight, radius, *part)
            for k, part in self.parts.items()
        }
        found = _Value(parts, moved, doubt)
        return found if bias is None else found.plus(_Value({}, bias, np.zeros_like(bias)))

    def taken(self, rows: IntArray) -> _Value:
        """Some entries."""
        parts = {k: (w[rows], r[rows]) for k, (w, r) in self.parts.items()}
        return _Value(parts, self.bias[rows], self.doubt[rows])

    def times(self, factor: float) -> _Value:
        """Times a power of two, with a sign: exact."""
        size = abs(factor)
        parts = {k: (factor * w, size * r) for k, (w, r) in self.parts.items()}
        return _Value(parts, factor * self.bias, size * self.doubt)

    def plus(self, other: _Value) -> _Value:
        """The sum."""
        parts = dict(self.parts)
        for k, part in other.parts.items():
            parts[k] = _added(parts[k], part) if k in parts else part
        return _Value(parts, *_added((self.bias, self.doubt), (other.bias, other.doubt)))


def _is_identity(part: _Part) -> bool:
    weight, radius = part
    return (
        weight.shape[0] == weight.shape[1]
        and not radius.any()
        and np.array_equal(weight, np.eye(len(weight)))
    )


def _added(a: _Part, b: _Part) -> _Part:
    """The sum of two balls; where one of them is 0 nothing is rounded."""
    total = a[0] + b[0]
    rounded = (a[0] != 0) & (b[0] != 0)
    doubt = a[1] + b[1] + np.where(rounded, gamma(1) * np.abs(total), 0.0)
    return total, np.where(doubt > 0, up(up(doubt * (1 + 4 * gamma(1)))), 0.0)


@dataclass(frozen=True, eq=False)
class _Atom:
    activation: Activation
    argument: _Value
    level: int


def unrolled(network: Network) -> list[Link]:
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
    >>> [link.affine.weight.tolist() for link in unrolled(net)]
    [[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]]]
    """
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
        size = self._atoms[atom].argument.bias.size
        if size * size > MOST_ENTRIES:
            raise FailureError(
                f"a value of this network has {size} entries, and certified bounds write layers out as "
                f"matrices of at most {MOST_ENTRIES} entries"
            )
        eye, zero = np.eye(size), np.zeros(size)
        return _Value({atom: (eye, np.zeros_like(eye))}, zero, zero)

    def _applied(self, phi: Activation, value: _Value) -> _Value:
        if phi.name == "identity":
            return value
        level = 1 + max((self._atoms[k].level for k in value.parts), default=0)
        self._atoms.append(_Atom(phi, value, level))
        return self._whole(len(self._atoms) - 1)

    def _value(self, node: Node, given: list[_Value], shapes: list[Shape]) -> _Value:
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
                spread = [
                    value.taken(entries(shape, self._network.shapes[node.name]))
                    for value, shape in zip(given, shapes, strict=True)
                ]
                return reduce(_Value.plus if operation == "add" else self._product, spread)
            case Pool(operation="maximum"):
                return self._maximum(matrix(node, shapes[0]) > 0, given[0])
            case Affine(bias=bias):
                positions = prod(self._network.shapes[node.name][1:])
                constant = None if bias is None else np.repeat(bias, positions)
                return given[0].mapped(*written_out(node, shapes[0]), constant)
            case Select() | GroupSum() | Pool():
                return given[0].mapped(*written_out(node, shapes[0]), None)
        raise refusal(node)

    @staticmethod
    def _joined(given: list[_Value]) -> _Value:
        sizes = [value.bias.size for value in given]
        ends = np.cumsum([0, *sizes])
        parts: dict[int, _Part] = {}
        for value, first in zip(given, ends, strict=False):
            for k, (w, r) in value.parts.items():
                if k not in parts:
                    parts[k] = np.zeros((ends[-1], w.shape[1])), np.zeros((ends[-1], w.shape[1]))
                parts[k][0][first : first + len(w)], parts[k][1][first : first + len(w)] = w, r
        return _Value(
            parts,
            np.concatenate([value.bias for value in given]),
            np.concatenate([value.doubt for value in given]),
        )

    def _product(self, a: _Value, b: _Value) -> _Value:
        square = polynomial([0.0, 0.0, 1.0])
        plus, minus = (self._applied(square, a.plus(b.times(s))) for s in (1.0, -1.0))
        return plus.times(0.25).plus(minus.times(-0.25))

    def _maximum(self, members: npt.NDArray[np.bool_], value: _Value) -> _Value:
        """The largest of each window: a tournament, in which an absent entry stands back for another."""
        most = int(members.sum(axis=1).max())
        order = np.argsort(~members, axis=1, kind="stable")[:, :most]
        present = np.take_along_axis(members, order, axis=1)
        order = np.where(present, order, order[:, :1])
        round_of = [value.taken(order[:, k]) for k in range(most)]
        relu = activation("relu")
        while len(round_of) > 1:
            pairs = zip(round_of[::2], round_of[1::2], strict=False)
            winners = [b.plus(self._applied(relu, a.plus(b.times(-1.0)))) for a, b in pairs]
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
        found.append(Link(self._stage(state, result), activation("identity")))
        return found

    def _stage(self, state: list[int], value: _Value) -> AffineMap:
        sizes = [self._atoms[k].argument.bias.size for k in state]
        if value.bias.size * sum(sizes) > MOST_ENTRIES:
            raise FailureError(
                f"a layer of this network, written out as a matrix, has {value.bias.size} × {sum(sizes)} "
                f"entries, more than {MOST_ENTRIES}; certified bounds are for smaller ones"
            )
        shape = (value.bias.size, sum(sizes))
        weight, radius = np.zeros(shape), np.zeros(shape)
        for k, end, size in zip(state, np.cumsum(sizes), sizes, strict=True):
            if k in value.parts:
                weight[:, end - size : end], radius[:, end - size : end] = value.parts[k]
        return AffineMap(weight, value.bias, radius, value.doubt)
