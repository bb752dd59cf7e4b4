"""Which units of a network can only merge together: the channels that a sum adds are one unit.

A unit is made by a layer. Activations, pooling, and layers with one factor or kernel per channel pass it on;
after flattening it owns all its positions; joined values keep their units. A sum or a product ties the units
that it combines, so one partition holds for all of its branches. Layers that share their weights tie the units
that these make, and those that they read, number by number.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from symlump.lumping.partition import Partition
from symlump.network.equations.rearranged import owned_parts
from symlump.network.network import Network
from symlump.network.nodes import Affine, Combine, Concatenate, Flatten, Node, Select
from symlump.network.step_nodes import Attention, ByPlace, Rearrange, passes_units
from symlump.network.written.grouped import groups_of
from symlump.ode.exact import IntArray


@dataclass(frozen=True, eq=False)
class Ties:
    """The units of a network.

    Parameters
    ----------
    units : dict
        For each value the unit of each channel.
    positions : dict
        For each value which of its unit's positions each channel is; 0 before flattening.
    axes : tuple of ndarray of int
        Units that may merge with one another: made by the same layers, read by the same kinds of readers. Units
        of inputs and outputs, and those that something mixes, are in none.
    makers : tuple of tuple of str
        For each axis the layers that make its units.
    count : int
        Number of units.
    level : tuple of int
        For each axis a number, the same for the heads of one attention: they are to keep as many units as one
        another, so that they stay one operation.
    rearranged : frozenset of str
        The names of what is made of parts, whose units are those of the layer that makes the parts.
    heads : mapping
        For units that heads of an attention or groups of a convolution read, by which of which step.

    Examples
    --------
    >>> from symlump.network.nodes import Input
    >>> x = Input("x", (), (2,))
    >>> a, b = (Affine(name, ("x",), np.eye(2)) for name in "ab")
    >>> net = Network((x, a, b, Combine("s", ("a", "b"), "add"), Affine("y", ("s",), np.eye(2))), ("y",))
    >>> ties = find_ties(net)
    >>> ties.makers, ties.units["a"].tolist() == ties.units["b"].tolist()
    ((('a', 'b'),), True)
    """

    units: dict[str, IntArray]
    positions: dict[str, IntArray]
    axes: tuple[IntArray, ...]
    makers: tuple[tuple[str, ...], ...]
    count: int
    level: tuple[int, ...] = ()
    rearranged: frozenset[str] = frozenset()
    heads: Mapping[int, frozenset[tuple[str, int]]] = field(default_factory=dict)

    def labels(self, network: Network, groups: IntArray) -> dict[str, IntArray]:
        """The blocks of each layer, sum and product, for :func:`symlump.network.rewrite.rewrite`.

        Parameters
        ----------
        groups : ndarray of int, shape (count,)
            The group of each unit.
        """
        return {
            node.name: self.channels(node.name, groups)
            for node in network.nodes
            if isinstance(node, Affine | Combine | Attention) or node.name in self.rearranged
        }

    def channels(self, name: str, groups: IntArray) -> IntArray:
        """The group and position of each channel of a value, as one number."""
        position = self.positions[name]
        return np.asarray(groups[self.units[name]] * (int(position.max(initial=0)) + 1) + position)

    def table(self, name: str, axis: int) -> IntArray:
        """The channels of a value that are each unit of an axis, a row a unit; empty if not all are there.

        Examples
        --------
        >>> find_ties(Network.dense([np.ones((2, 1)), np.ones((1, 2))])).table("layers.0", 0).tolist()
        [[0], [1]]
        """
        units, wanted = self.units[name], self.axes[axis]
        if np.array_equal(units, wanted) and not self.positions[name].any():
            return np.arange(units.size)[:, None]
        there, table = self.held(name, wanted)
        if table is None or there.size < wanted.size:
            return np.empty((0, 0), dtype=np.int64)
        return table

    def held(self, name: str, wanted: IntArray) -> tuple[IntArray, IntArray | None]:
        """Which of the wanted units a value holds, by place among these, and their channels, a row a unit.

        None for the channels if a unit has fewer than others.

        Examples
        --------
        >>> ties = find_ties(Network.dense([np.ones((3, 1)), np.ones((1, 3))]))
        >>> (first, _, third), other = ties.axes[0], ties.units["x"][0]
        >>> units, table = ties.held("layers.0", np.array([third, other, first]))
        >>> units.tolist(), table.tolist()
        ([2, 0], [[0], [2]])
        """
        units = self.units[name]
        order = np.lexsort((self.positions[name], units))
        inside = order[np.isin(units[order], wanted)]
        there, ranks = np.unique(units[inside]), np.argsort(wanted)
        places = ranks[np.searchsorted(wanted[ranks], there)]
        if not there.size or inside.size % there.size:
            return places, None
        table = inside.reshape(there.size, -1)
        return places, table if np.all(units[table] == there[:, None]) else None

    def parameters(self, network: Network, groups: IntArray) -> int:
        """Number of weights and biases with so many units."""
        products = _products(
            network, lambda name: _how_many(self.channels(name, groups)), self.rearranged, 1
        )
        return sum(a * b for a, b in products)

    def parameters_left(self, network: Network, left: Sequence[int]) -> int | None:
        """Number of weights and biases where each axis has so many groups; None where it depends on which.

        Examples
        --------
        >>> net = Network.dense([np.ones((4, 7)), np.ones((2, 4))])
        >>> find_ties(net).parameters_left(net, [3])
        27
        """
        if network not in self._forms:
            self._forms[network] = self._products_left(network)
        products = self._forms[network]
        if products is None:
            return None
        counts = products @ np.array([1, *left])
        return int(counts[:, 0] @ counts[:, 1])

    @cached_property
    def _forms(self) -> dict[Network, IntArray | None]:
        """What :meth:`parameters_left` knows: nearly always of the one network of these units."""
        return {}

    def _products_left(self, network: Network) -> IntArray | None:
        """What to multiply and add up, each as a linear function of one and of how many groups axes have."""
        axis = np.full(self.count, -1)
        for number, units in enumerate(self.axes):
            axis[units] = number
        one, *groups = np.eye(len(self.axes) + 1, dtype=np.int64)
        widths: dict[str, IntArray] = {}
        for name, units in self.units.items():
            number = int(axis[units].max(initial=-1))
            if number < 0:
                widths[name] = one * _how_many(self.channels(name, np.arange(self.count)))
            elif np.array_equal(units, self.axes[number]) and not self.positions[name].any():
                widths[name] = groups[number]
            else:
                return None
        return np.array(_products(network, widths.__getitem__, self.rearranged, one))

    def shares(self, network: Network) -> list[float]:
        """For each axis the share of all parameters that one of its units holds: what merging two saves.

        Examples
        --------
        >>> net = Network.dense([np.ones((4, 7)), np.ones((2, 4)), np.ones((1, 2))])
        >>> find_ties(net).shares(net)  # of 38 parameters, 7 + 2 and 4 + 1
        [0.23684210526315788, 0.13157894736842105]
        """
        apart = np.arange(self.count)
        sizes = [units.size for units in self.axes]
        whole = self.parameters(network, apart)
        found = []
        for axis, units in enumerate(self.axes):
            sizes[axis] -= 1
            left = self.parameters_left(network, sizes)
            sizes[axis] += 1
            if left is None:
                joined = apart.copy()
                joined[units[1:2]] = units[0]
                left = self.parameters(network, joined)
            found.append(max(1, whole - left) / whole)
        return found


def _products(
    network: Network, how_many: Callable[[str], Any], rearranged: Collection[str], one: Any
) -> list[tuple[Any, Any]]:
    """What to multiply, and add up, for the number of weights and biases if values have so many channels.

    Numbers of channels are whole numbers, or whatever can be added up and is a multiple of ``one``.
    """
    width: dict[str, Any] = {}
    found = [(network.other_parameters * one, one)]
    held: set[str] = set()
    for node in network.nodes:
        shape = network.shapes[node.name]
        before = width[node.inputs[0]] if node.inputs else one
        match node:
            case Affine() | Combine() | Select() | Attention():
                width[node.name] = how_many(node.name)
            case _ if passes_units(node) or isinstance(node, ByPlace):
                width[node.name] = before
            case Rearrange() if node.name in rearranged:
                width[node.name] = how_many(node.name)
            case Concatenate():
                width[node.name] = sum(width[name] for name in node.inputs)
            case Flatten():
                width[node.name] = before * (shape[0] // network.shapes[node.inputs[0]][0])
            case _:
                width[node.name] = shape[0] * one if shape else one
        if isinstance(node, Affine):
            reads = (one if node.depthwise else before) * prod(node.kernel)
            names = {"weight": node.weight_name, "bias": node.bias_name}
            if f"weight {node.weight_name}" not in held:
                found.append((width[node.name], reads))
            if node.bias is not None and f"bias {node.bias_name}" not in held:
                found.append((width[node.name], one))
            held |= {f"{what} {name}" for what, name in names.items() if name}
    return found


def _how_many(channels: IntArray) -> int:
    """How many different numbers there are, none of them negative."""
    return int(np.count_nonzero(np.bincount(channels)))


def _distinct(rows: Sequence[IntArray]) -> int:
    return int(np.unique(np.stack(rows), axis=1).shape[1])


def find_ties(
    network: Network,
    apart: Collection[str] = (),
    groups: Mapping[str, tuple[str, int]] | None = None,
    pairs: Collection[str] = (),
) -> Ties:
    """Find the units of a network, and which may merge.

    Parameters
    ----------
    network : Network
    apart : collection of str
        Steps whose channels are units of their own, so that what they read is as free as if they did not read
        it: selections, which need each of theirs, and other steps where units meet.
    groups : mapping, optional
        As :func:`symlump.network.written.grouped.groups_of` returns them; those of the network, unless given.
    pairs : collection of str
        Attentions that leave free only which queries and keys they read.
    """
    return _Finder(network, apart, groups_of(network) if groups is None else groups, pairs).ties


class _Finder:
    def __init__(
        self,
        network: Network,
        apart: Collection[str],
        groups: Mapping[str, tuple[str, int]],
        pairs: Collection[str],
    ) -> None:
        self._network, self._apart, self._groups, self._free = network, apart, groups, pairs
        self._count = 0
        self._makers: list[str] = []  # what makes units, and how many, before any are tied
        self._made_by: list[int] = []
        self._pairs: list[tuple[IntArray, IntArray]] = []
        self._fixed: list[IntArray] = []
        self._units: dict[str, IntArray] = {}
        self._positions: dict[str, IntArray] = {}
        self._heads: list[tuple[str, IntArray, IntArray]] = []  # which heads read which units
        self._parts = owned_parts(network)
        self._rearranged: set[str] = set()
        for node in network.nodes:
            self._units[node.name], self._positions[node.name] = self._pass(node)
        self._fixed += [self._units[name] for name in network.outputs]
        for users in network.sharing.values():
            for user in users[1:]:
                self._pair(user.name, users[0].name)
                self._pair(user.inputs[0], users[0].inputs[0])
        self.ties = self._found()

    def _pair(self, name: str, other: str) -> None:
        """Tie the units of two values of as many channels."""
        self._pairs.append((self._units[name], self._units[other]))
        if not np.array_equal(self._positions[name], self._positions[other]):
            self._fixed += [self._units[name], self._units[other]]

    def _made(self, node: Node, fixed: bool) -> tuple[IntArray, IntArray]:
        shape = self._network.shapes[node.name]
        own = np.arange(self._count, self._count + (shape[0] if shape else 1))
        self._count_made(node, own.size)
        if fixed:
            self._fixed.append(own)
        return own, np.zeros_like(own)

    def _made_of(self, parts: IntArray, node: Node) -> tuple[IntArray, IntArray]:
        """Units that own several rows of a layer each."""
        units, positions = np.empty((2, parts.size), dtype=np.int64)
        units[parts] = self._count + np.arange(len(parts))[:, None]
        positions[parts] = np.arange(parts.shape[1])
        self._count_made(node, len(parts))
        return units, positions

    def _count_made(self, node: Node, units: int) -> None:
        self._count += units
        self._makers.append(node.name)
        self._made_by.append(units)

    def _pass(self, node: Node) -> tuple[IntArray, IntArray]:
        given = [(self._units[name], self._positions[name]) for name in node.inputs]
        shapes = self._network.shapes
        if node.name in self._apart:
            return self._made(node, fixed=isinstance(node, Select))
        match node:
            case Affine(depthwise=False) if node.name in self._parts:
                return self._made_of(self._parts[node.name], node)
            case Affine(depthwise=False):
                return self._made(node, fixed=False)
            case Rearrange() if node.name in self._parts:
                self._rearranged.add(node.name)
                own = given[0][0][self._parts[node.name][:, 0]]
                return own, np.zeros_like(own)
            case Affine() if node.units != given[0][0].size:  # several units from each channel
                self._fixed.append(given[0][0])
                return self._made(node, fixed=True)
            case _ if passes_units(node) or isinstance(node, Affine):
                return given[0]
            case Attention(heads=heads):
                if node.name not in self._free:
                    self._fixed += [units for units, _ in given[:2]]
                units, _ = given[2]
                # What two heads make of a unit are two values.
                if np.unique(units).size < units.size:
                    self._fixed.append(units)
                    return self._made(node, fixed=True)
                self._heads.append((node.name, units, heads))
                return given[2]
            case ByPlace():  # tells them apart
                self._fixed += [units for units, _ in given]
                return given[0]
            case Concatenate():
                return (
                    np.concatenate([units for units, _ in given]),
                    np.concatenate([positions for _, positions in given]),
                )
            case Select(index=index):
                units, positions = given[0]
                if node.name in self._groups:  # units that several groups read would be copied
                    family, number = self._groups[node.name]
                    self._heads.append((family, units[index], np.full(index.size, number)))
                return units[index], positions[index]
            case Flatten():
                units, position = given[0]
                places = shapes[node.name][0] // shapes[node.inputs[0]][0]
                inside = np.tile(np.arange(places), units.size)
                return units.repeat(places), position.repeat(places) * places + inside
            case Combine():
                widest = max(given, key=lambda pair: (pair[0].size, _distinct(pair)))
                wide = [part for pair in given for part in pair if part.size == widest[0].size]
                if _distinct(wide) > _distinct(widest):  # it tells more apart than each
                    self._fixed += [units for units, _ in given]
                    return self._made(node, fixed=True)
                for units, positions in given:
                    if units.size == widest[0].size:
                        self._pairs.append((widest[0], units))
                        if not np.array_equal(positions, widest[1]):
                            self._fixed += [units, widest[0]]
                return widest
        # An input, or what mixes units, as a kind of node that is not known may.
        self._fixed += [units for units, _ in given]
        return self._made(node, fixed=True)

    def _components(self, first: IntArray, second: IntArray) -> tuple[int, IntArray]:
        """What is one unit if these pairs are: how many there are, and which each is."""
        if not first.size:
            return self._count, np.arange(self._count)
        links = coo_array((np.ones(first.size), (first, second)), shape=(self._count, self._count))
        count, unit = connected_components(links, directed=False)
        return count, unit

    def _kinds(self, unit: IntArray) -> tuple[IntArray, list[tuple[str, ...]]]:
        """For each tied unit the number of what makes it, in order, and what these numbers stand for."""
        owner = np.repeat(np.arange(len(self._makers)), self._made_by)
        order = np.argsort(unit, kind="stable")
        sizes = np.bincount(unit)
        begins = np.cumsum(sizes) - sizes
        kinds = owner[order[begins]]
        makers: dict[tuple[str, ...], int] = {(name,): i for i, name in enumerate(self._makers)}
        for number in np.flatnonzero(sizes > 1).tolist():
            own = owner[order[begins[number] : begins[number] + sizes[number]]]
            names = tuple(self._makers[i] for i in own.tolist())
            kinds[number] = makers.setdefault(names, len(makers))
        return kinds, list(makers)

    def _found(self) -> Ties:
        first = np.concatenate([np.empty(0, dtype=np.int64), *(a for a, _ in self._pairs)])
        second = np.concatenate([np.empty(0, dtype=np.int64), *(b for _, b in self._pairs)])
        components, unit = self._components(first, second)
        kinds, made_by = self._kinds(unit)
        # Two units of one layer that meet, as where a rotary position turns its halves, are two all the same.
        twice = np.array([len(set(names)) < len(names) for names in made_by], dtype=bool)
        met = twice[kinds][unit]
        if met.any():
            self._fixed.append(np.flatnonzero(met))
            components, unit = self._components(first[~met[first]], second[~met[first]])
            kinds, made_by = self._kinds(unit)
        fixed: npt.NDArray[np.bool_] = np.zeros(components, dtype=bool)
        for units in self._fixed:
            fixed[unit[units]] = True
        read: dict[int, set[tuple[str, int]]] = {}
        for name, units, heads in self._heads:  # only units of one head are mixed alike
            for number, head in zip(unit[units].tolist(), heads.tolist(), strict=True):
                read.setdefault(number, set()).add((name, head))
        keys = [(names, frozenset[tuple[str, int]]()) for names in made_by]
        alike = {key: number for number, key in enumerate(keys)}
        for number, heads_of in read.items():
            key = made_by[kinds[number]], frozenset(heads_of)
            kinds[number] = alike.setdefault(key, len(alike))
        keys = list(alike)
        free = np.flatnonzero(~fixed)
        found, begin = np.unique(kinds[free], return_index=True)
        axes = {
            keys[kind]: units
            for kind in found[np.argsort(begin)].tolist()
            if (units := free[kinds[free] == kind]).size > 1
        }
        owners = {name: np.asarray(unit[own], dtype=np.int64) for name, own in self._units.items()}
        makers = tuple(names for names, _ in axes)
        rearranged = frozenset(self._rearranged)
        numbers: dict[object, int] = {}
        level = tuple(
            numbers.setdefault(
                (
                    tuple(self._groups.get(name, (name, 0))[0] for name in names),
                    frozenset(name for name, _ in heads),
                    units.size,
                ),
                len(numbers),
            )
            for (names, heads), units in axes.items()
        )
        reading = {number: frozenset(those) for number, those in read.items()}
        axes_of = tuple(axes.values())
        return Ties(
            owners, self._positions, axes_of, makers, components, level, rearranged, reading
        )


def regroup(ties: Ties, labels: Mapping[int, IntArray]) -> IntArray:
    """The group of each unit of the network, from those of some axes; all other units stay alone.

    Parameters
    ----------
    labels : mapping of int to ndarray of int
        For the number of an axis the group of each of its units, in any numbering.

    Examples
    --------
    >>> ties = find_ties(Network.dense([np.ones((3, 1)), np.ones((1, 3))]))
    >>> regroup(ties, {0: np.array([0, 1, 0])}).tolist()
    [0, 1, 2, 1, 4]
    """
    groups = np.arange(ties.count)
    for number, own in labels.items():
        units = ties.axes[number]
        groups[units] = units[Partition(own).first_of_each]
    return groups


def together(ties: Ties, labels: Mapping[str, IntArray]) -> IntArray:
    """The group of each unit, where units merge that are in one block of every value that has all of them.

    Parameters
    ----------
    labels : mapping of str to ndarray of int
        For each layer, sum and product, by name, the block of each channel.

    Examples
    --------
    >>> a, b = (Affine(name, (x,), np.ones((2, 2)), weight_name="w") for name, x in ("ah", "ba"))
    >>> first, last = Affine("h", ("x",), np.ones((2, 1))), Affine("y", ("b",), np.ones((1, 2)))
    >>> from symlump.network.nodes import Input
    >>> ties = find_ties(Network((Input("x", (), (1,)), first, a, b, last), ("y",)))
    >>> blocks = {"h": np.array([0, 0]), "a": np.array([0, 0]), "b": np.array([0, 1]), "y": np.zeros(1)}
    >>> together(ties, blocks).tolist() == list(range(ties.count))
    True
    """
    found: dict[int, IntArray] = {}
    for number in range(len(ties.axes)):
        made = [(name, own) for name, own in labels.items() if name in ties.units]
        places = [(own, ties.table(name, number)) for name, own in made]
        rows = [own[table] for own, table in places if table.size]
        found[number] = _alike(rows)
    return regroup(ties, found)


def group_alike(ties: Ties, labels: Mapping[str, IntArray]) -> IntArray:
    """The group of each unit, where units merge that are in one block of every layer that makes them.

    Parameters
    ----------
    labels : mapping of str to ndarray of int
        For each layer, by name, the block of each of its units.

    Examples
    --------
    >>> net = Network.dense([np.ones((3, 1)), np.ones((1, 3))])
    >>> group_alike(find_ties(net), {"layers.0": np.array([0, 1, 0])}).tolist()
    [0, 1, 2, 1, 4]
    """
    found: dict[int, IntArray] = {}
    for number, makers in enumerate(ties.makers):
        found[number] = _alike([labels[name][ties.table(name, number)] for name in makers])
    return regroup(ties, found)


def _alike(rows: list[IntArray]) -> IntArray:
    """For each unit of an axis a number, the same where all its blocks are."""
    _, inverse = np.unique(np.hstack(rows), axis=0, return_inverse=True)
    return np.asarray(inverse.ravel())
