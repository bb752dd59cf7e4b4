"""Which unit of the original stands on which unit of a reduced network: looked for, then measured.

Any map gives a true statement, with its defect δ; a good one has a small δ. Layer by layer each unit of the
reduced network gets the unit of the original that is nearest to it, all different (the assignment problem).
What is left over merged with one of these, or was removed, whichever adds least to δ while all other units stay
where they are; since that depends on where they are, it is asked again until no unit moves. A unit that was cut
away may still be nearer to some other than to nothing, so merged counts only where what reads the other took up
some of its weights, or where it is as near to that one as the unit that stands there; and constant only where
the biases of what reads it took some of the constant up, or where it is one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from types import UnionType

import numpy as np
from scipy.optimize import linear_sum_assignment

from symlump.compression.relaxed.exchanges import Standing
from symlump.compression.relaxed.parts import Parts
from symlump.compression.relaxed.quotient import Quotient
from symlump.compression.relaxed.selected import (
    CONSTANT,
    STAYS,
    UNREAD,
    ZERO,
    Placed,
    UnitMap,
    joined_differently,
)
from symlump.compression.symmetries.allowed import Allowed, find_allowed
from symlump.errors import SubjectError
from symlump.network.activations.activation import Activation
from symlump.network.activations.table import ACTIVATIONS
from symlump.network.network import Network
from symlump.network.nodes import Affine, Apply, Combine, Concatenate, Flatten, Node, Select
from symlump.network.shared import holding
from symlump.network.step_nodes import ByPlace, Operation, passes_units
from symlump.ode.exact import FloatArray, IntArray

_SWEEPS = 8
_NEAREST = 8
_PAYS = 0.25  # a factor must bring units so much nearer to one another
_AS_NEAR = (
    2.0  # how often the squared distance of the unit that stands there a copy of it may be away
)


def find_maps(original: Network, reduced: Network, given: Placed | None = None) -> Quotient:
    """The maps with the least defect that were found.

    Parameters
    ----------
    original, reduced : Network
        Aligned.
    given : Placed, optional
        What selections say; nothing else is looked for there.

    Raises
    ------
    MethodError
        If a layer of the reduced network has more units.

    Examples
    --------
    >>> net = Network.dense([[[1.0], [5.0], [1.5]], [[2.0, 4.0, 3.0]]])
    >>> small = Network.dense([[[5.0], [1.25]], [[4.0, 5.0]]])
    >>> quotient = find_maps(net, small)
    >>> quotient.maps[0].partner.tolist(), round(quotient.defect, 4)
    ([1, 0, 1], 0.3536)
    """
    search = _Search(original, reduced, given)
    return search.exchanged(min(map(search.run, search.ways), key=lambda quotient: quotient.defect))


@dataclass(frozen=True, eq=False)
class _Axis:
    """Units that were made together.

    Parameters
    ----------
    number, count, width : int
        Of the axis; its units there and in the reduced network.
    readers : tuple of Affine
    positive, sign : bool
        Whether units may be equal up to such a factor.
    phi : Activation
        What they go through, where that is one.
    zero : float or None
        What the zero unit becomes; None where it does not stay one.
    constant : bool
        Whether readers take up a constant.
    parts : Parts
        What the map must obey.
    """

    number: int
    count: int
    width: int
    readers: tuple[Affine, ...]
    positive: bool
    sign: bool
    phi: Activation
    zero: float | None
    constant: bool
    parts: Parts

    def outward(self, a: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The factors s and constants q of φ(a·v) = s·φ(v) + q, for factors a that these units allow."""
        sign, constant = self.phi.reflection or (-1, 0)
        flipped = a < 0
        return np.where(flipped & (sign > 0), -a, a), np.where(flipped, float(constant), 0.0)


class _Search:
    def __init__(self, original: Network, reduced: Network, given: Placed | None) -> None:
        self._network, self._own = original, False
        self._quotient = Quotient(original, reduced, given=given)
        self._reduced = {layer.name: layer for layer in reduced.layers}
        self._layers = {layer.name: layer for layer in original.layers}
        self._axes = list(self._described())

    @property
    def ways(self) -> tuple[bool, ...]:
        """Layers of as many units in both networks may keep their order, or be matched as all others are."""
        return (True, False) if any(a.count == a.width for a in self._axes) else (False,)

    def run(self, own: bool) -> Quotient:
        """The quotient that is left when nothing changes any more.

        Parameters
        ----------
        own : bool
            Whether units of layers that have as many in the reduced network stand on those of their numbers.
        """
        self._own, maps = own, self._quotient.maps
        maps.clear()
        for axis in self._axes:
            known = self._quotient.given.get(axis.number)
            maps[axis.number] = self._first(axis) if known is None else known
        return self._swept(self._quotient.with_maps(maps), exchange=False)

    def exchanged(self, best: Quotient) -> Quotient:
        """The quotient, and units that stand on their places alone asked again as well, in pairs."""
        return self._swept(best, exchange=True)

    def _swept(self, best: Quotient, exchange: bool) -> Quotient:
        maps = self._quotient.maps
        maps.update(best.maps)
        for _ in range(_SWEEPS):
            before = dict(maps)
            for axis in self._axes:
                maps[axis.number] = self._kept_if_equal(axis, exchange)
            if all(_alike(before[n], found) for n, found in maps.items()):
                break
            found = self._quotient.with_maps(maps)
            if found.defect < best.defect:
                best = found
            elif exchange:
                break
        return best

    def _kept_if_equal(self, axis: _Axis, exchange: bool) -> UnitMap:
        """The improved map; the one that there is where that says the same, since what it makes is known."""
        before = self._quotient.maps[axis.number]
        if axis.number in self._quotient.given:
            return before
        found = self._improved(axis, exchange)
        same = _alike(before, found) and np.array_equal(before.before, found.before)
        return before if same and np.array_equal(before.offset, found.offset) else replace(found)

    def _described(self) -> Iterator[_Axis]:
        """The axes, in the order in which they are made."""
        network, quotient = self._network, self._quotient
        free = find_allowed(network)
        place = {node.name: n for n, node in enumerate(network.nodes)}
        numbers = sorted(
            range(len(quotient.ties.axes)), key=lambda n: place[quotient.ties.makers[n][0]]
        )
        holds = {layer.name for layer in holding(network.layers)}
        for number in numbers:
            units, makers = quotient.ties.axes[number], quotient.makers(number)
            count, width = units.size, quotient.width(number)
            if width > count:
                raise SubjectError(
                    f"{makers[0]} has {count} units in the original and {width} in the reduced network; give "
                    "the larger network first"
                )
            inside = [
                node
                for node in network.nodes
                if np.isin(quotient.ties.units[node.name], units).any()
            ]
            names = {node.name for node in inside}
            readers = tuple(
                layer
                for layer in network.layers
                if not layer.depthwise and layer.inputs[0] in names and layer.name in holds
            )
            applied = [node for node in inside if isinstance(node, Apply)]
            one = len(makers) == 1 and len(applied) <= 1
            phi = applied[0].activation if len(applied) == 1 else ACTIVATIONS["identity"]
            may = free[makers[0]] if one else Allowed(False, False, False)
            after = free[applied[0].name if applied else makers[0]]
            constant = one and after.constant and _only(inside, Affine | Apply)
            values = [float(node.activation(np.zeros(1))[0]) for node in applied]
            zero: float | None = None
            if constant:
                zero = values[0] if values else 0.0
            elif not any(values) and all(self._keeps_zero(node, names) for node in inside):
                zero = 0.0
            yield _Axis(
                number, count, width, readers,
                one and may.positive and phi.degree == 1, one and may.sign and phi.reflection is not None,
                phi, zero, constant, quotient.parts(number),
            )  # fmt: skip

    @staticmethod
    def _keeps_zero(node: Node, names: set[str]) -> bool:
        """Whether a node that passes the units on makes zero of zeros (biases are set to zero with them)."""
        match node:
            case Combine(operation=operation, inputs=inputs):
                return operation == "multiply" or set(inputs) <= names
            case Operation() | ByPlace():
                return False
        return isinstance(node, Affine | Flatten | Select | Concatenate) or passes_units(node)

    def _features(self, axis: _Axis) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Rows of the units, with biases, by all layers whose inputs are matched; rows here; biases.

        Columns are divided by those of P, so that squared distances are what rows add to δ².
        """
        there, here, biases = [], [], np.zeros(axis.count)
        for name in self._quotient.makers(axis.number):
            layer, other = self._layers[name], self._reduced[name]
            if not self._quotient.is_known(layer.inputs[0]):
                continue
            order = self._quotient.order(name, axis.number)
            weight, bias, _, reading = self._quotient.fold(layer)
            sizes = np.sqrt(np.asarray((reading.matrix**2).sum(axis=0)))[:, None]
            sizes = np.where(sizes > 0, sizes, 1.0)
            shift = np.zeros(other.units) if other.bias is None else other.bias
            target = other.weight.reshape(*other.weight.shape[:2], -1) / sizes
            slots = self._quotient.columns(name, axis.number)[:, 0]
            there.append(np.column_stack([(weight / sizes).reshape(layer.units, -1), bias])[order])
            here.append(np.column_stack([target.reshape(other.units, -1), shift])[slots])
            biases = bias[order]
        return np.hstack(there), np.hstack(here), biases

    def _distances(
        self, axis: _Axis, rows: FloatArray, targets: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Squared distances ‖a·target − row‖² of all pairs, and the factors a."""
        products = rows @ targets.T
        sizes, own = (targets**2).sum(axis=1), (rows**2).sum(axis=1)
        plain = own[:, None] - 2 * products + sizes
        factors = np.ones_like(plain)
        best = plain
        if axis.sign:
            flipped = own[:, None] + 2 * products + sizes
            better = flipped < _PAYS * best
            best, factors = np.where(better, flipped, best), np.where(better, -1.0, factors)
        if axis.positive:
            a = products / np.where(sizes > 0, sizes, 1.0)
            a = np.where((a > 0) | axis.sign, a, 0.0)
            scaled = own[:, None] - a * products
            better = (scaled < _PAYS * best) & (a != 0)
            best, factors = np.where(better, scaled, best), np.where(better, a, factors)
        told = axis.parts.pinned >= 0
        best[told], factors[told] = plain[told], 1.0
        allowed = axis.parts.allowed
        return np.where(allowed, np.maximum(best, 0.0), np.inf), np.where(allowed, factors, 0.0)

    def _anchored(self, axis: _Axis, distances: FloatArray) -> IntArray:
        """For each unit of the reduced network (each slot) one of the original, all different."""
        if self._own and axis.count == axis.width and axis.parts.free:
            return np.arange(axis.count)
        costs = np.where(axis.parts.serves, distances[:, axis.parts.slots], np.inf)
        try:
            rows, columns = linear_sum_assignment(costs.T)
        except ValueError:  # not enough units of a kind
            raise joined_differently(self._quotient.makers(axis.number)[0]) from None
        return np.asarray(columns[np.argsort(rows)])

    def _map(self, axis: _Axis, partner: IntArray, factors: FloatArray) -> UnitMap:
        """Units on their partners, −1 for those that are removed as zero units, or unread."""
        stays = partner >= 0
        a = np.where(stays, factors[np.arange(axis.count), partner], 0.0)
        after, offset = axis.outward(a)
        kind = np.where(stays, STAYS, UNREAD if axis.zero is None else ZERO)
        if axis.zero is not None:
            offset = np.where(stays, offset, axis.zero)
        return UnitMap(partner, kind, a, after, offset)

    def _first(self, axis: _Axis) -> UnitMap:
        """Everything left over merged, or everything removed: what the readers' rows fit better."""
        rows, targets, _ = self._features(axis)
        distances, factors = self._distances(axis, rows, targets)
        anchors, slots = self._anchored(axis, distances), axis.parts.slots
        merged = np.where(np.isinf(distances.min(axis=1)), -1, distances.argmin(axis=1))
        merged[anchors] = slots
        if axis.count == axis.width:
            return self._map(axis, merged, factors)
        removed = axis.parts.pinned.copy()
        removed[anchors] = slots
        maps = [self._map(axis, partner, factors) for partner in (merged, removed)]
        costs = [self._misfit(axis, found) for found in maps]
        return maps[int(np.argmin(costs))]

    def _misfit(self, axis: _Axis, found: UnitMap) -> float:
        """How far rows of the readers are, in the reduced network, from the nearest row that the map makes."""
        self._quotient.maps[axis.number] = found
        total = 0.0
        for layer in axis.readers:
            if not self._quotient.is_known(layer.inputs[0]):
                continue
            weight, _, _, _ = self._quotient.fold(layer)
            a = weight.reshape(layer.units, -1)
            b = self._reduced[layer.name].weight.reshape(-1, a.shape[1])
            squares = (a**2).sum(axis=1)[:, None] - 2 * a @ b.T + (b**2).sum(axis=1)
            total += float(np.trace(squares) if len(a) == len(b) else squares.min(axis=0).sum())
        return total

    def _improved(self, axis: _Axis, exchange: bool) -> UnitMap:
        """The map with each unit that is left over where it adds least to δ², one after the other.

        All other maps stay. Each unit is taken out of its place and put where δ² grows least (up to what
        constants share with weights), so a map that is exact is left as it is.

        Parameters
        ----------
        exchange : bool
            Whether those that stand on their places alone are exchanged too, as they are now; else each unit of
            the reduced network gets the unit that is nearest to it, all different.
        """
        rows, targets, biases = self._features(axis)
        distances, factors = self._distances(axis, rows, targets)
        if exchange:
            anchors = self._nearest(axis, self._quotient.maps[axis.number].partner, distances)
        else:
            anchors = self._anchored(axis, distances)
        found = self._kept(axis, anchors, factors)
        free = np.flatnonzero(axis.parts.pinned < 0)
        left = np.setdiff1d(free, anchors)
        if not (left.size or exchange):
            return found
        own, sums, wanted, missing = self._missing(axis, found)
        after, offset = axis.outward(factors)
        stays = found.kind == STAYS
        shares = np.bincount(found.partner[stays], found.after[stays] ** 2, axis.width).astype(
            float
        )
        standing = Standing(
            found, distances, factors, after, offset, own, wanted, shares, axis.parts.kinds
        )
        if exchange:
            before = found.offset.copy()
            moved = standing.exchange()
            missing = missing - (found.offset - before)[moved] @ sums[moved]
            anchors = self._nearest(axis, found.partner, distances)
            left = np.setdiff1d(free, anchors)
        removed_zero, removed_constant = self._removed(axis)
        near_enough = np.zeros(axis.width)
        slots = axis.parts.slots
        np.maximum.at(near_enough, slots, _AS_NEAR * distances[anchors, slots])
        for i in left[np.argsort(-removed_zero[left])]:
            w = own[i]
            if found.kind[i] == STAYS:
                standing.lift(i)
            missing = missing + sums[i] * found.offset[i]
            near = np.argsort(distances[i])[:_NEAREST]
            costs: list[tuple[float, int, int, float]] = []
            for j in near:
                rest, share = wanted[j] - after[i, j] * w, shares[j] + after[i, j] ** 2
                lost, lacks = float(rest @ rest), float(wanted[j] @ wanted[j])
                alike = distances[i, j] <= near_enough[j] * factors[i, j] ** 2
                if lost <= lacks or alike:
                    cost = distances[i, j] + lost / share - lacks / shares[j]
                    costs.append((cost, STAYS, int(j), offset[i, j]))
            if axis.zero is not None:
                cost = removed_zero[i] + _change(missing, sums[i] * axis.zero)
                costs.append((cost, ZERO, -1, axis.zero))
            if axis.constant:
                value = float(axis.phi(biases[i : i + 1])[0])
                grown = _change(missing, sums[i] * value)
                if grown < 0 or not removed_constant[i]:  # biases took it up, or it is constant
                    costs.append((removed_constant[i] + grown, CONSTANT, -1, value))
            costs.append((float(w @ w), UNREAD, -1, 0.0))
            _, kind, j, value = min(costs)
            if kind == STAYS:
                standing.put(i, j)
            else:
                found.partner[i], found.kind[i], found.offset[i] = -1, kind, value
                found.before[i] = found.after[i] = 0.0
            missing = missing - sums[i] * found.offset[i]
        return found

    @staticmethod
    def _nearest(axis: _Axis, partner: IntArray, distances: FloatArray) -> IntArray:
        """For each unit of the reduced network (each slot) the nearest one that stands on it."""
        slots = axis.parts.slots
        stands = axis.parts.serves & (partner[:, None] == slots)
        return np.asarray(np.where(stands, distances[:, slots], np.inf).argmin(axis=0))

    def _removed(self, axis: _Axis) -> tuple[FloatArray, FloatArray]:
        """What each unit adds to δ² as the zero unit, and as a constant one, which reads constant units on."""
        zero, constant = np.zeros(axis.count), np.zeros(axis.count)
        for name in self._quotient.makers(axis.number):
            layer = self._layers[name]
            if not self._quotient.is_known(layer.inputs[0]):
                continue
            reading = self._quotient.reading(layer.inputs[0])
            squares = (layer.weight.reshape(*layer.weight.shape[:2], -1) ** 2).sum(axis=2)
            moving = np.diff(reading.matrix.indptr) > 0
            order = self._quotient.order(name, axis.number)
            bias = np.zeros(layer.units) if layer.bias is None else layer.bias
            zero += (squares[:, ~reading.unread].sum(axis=1) + bias**2)[order]
            constant += squares[:, moving].sum(axis=1)[order]
        return zero, constant

    def _kept(self, axis: _Axis, anchors: IntArray, factors: FloatArray) -> UnitMap:
        """The map that there is, with these anchors and factors."""
        before = self._quotient.maps[axis.number]
        partner = before.partner.copy()
        partner[anchors] = axis.parts.slots
        found = self._map(axis, partner, factors)
        gone = partner < 0
        found.kind[gone], found.offset[gone] = before.kind[gone], before.offset[gone]
        return found

    def _missing(
        self, axis: _Axis, found: UnitMap
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """What the readers read of each unit; what the map leaves of what they read of it here.

        Returns
        -------
        own, sums : ndarray
            For each unit its weights in all readers; and their sums over positions, as a bias takes them up.
        wanted : ndarray
            For each unit of the reduced network its weights there, without those of the units that stand on it.
        missing : ndarray
            The same for the biases of the readers.
        """
        quotient = self._quotient
        quotient.maps[axis.number] = found
        columns, sums, wanted, missing = [], [], [], []
        for layer in axis.readers:
            other, rows = self._reduced[layer.name], quotient.rows(layer.name)
            stays = np.flatnonzero(rows.kind == STAYS)
            a = rows.before[stays]
            weight = layer.weight.reshape(*layer.weight.shape[:2], -1)[stays]
            target = other.weight.reshape(*other.weight.shape[:2], -1)[rows.partner[stays]]
            target = a[:, None, None] * target
            (units, table), (slots, there) = quotient.held(layer.inputs[0], axis.number)
            # units × (rows, positions, offsets), nothing for those that the layer does not read
            read = np.zeros((axis.count, stays.size * table.shape[1] * weight.shape[2]))
            read[units] = weight[:, table].transpose(1, 0, 2, 3).reshape(units.size, -1)
            goal = np.zeros((axis.width, read.shape[1]))
            goal[slots] = target[:, there].transpose(1, 0, 2, 3).reshape(slots.size, -1)
            total = np.zeros((axis.count, stays.size))
            total[units] = weight[:, table].sum(axis=(2, 3)).T
            columns.append(read)
            wanted.append(goal)
            sums.append(total)
            _, bias, _, _ = quotient.fold(layer)
            shift = np.zeros(other.units) if other.bias is None else other.bias
            missing.append(a * shift[rows.partner[stays]] - bias[stays])
        own, total, goal = np.hstack(columns), np.hstack(sums), np.hstack(wanted)
        stays = np.flatnonzero(found.kind == STAYS)
        np.subtract.at(goal, found.partner[stays], found.after[stays, None] * own[stays])
        return own, total, goal, np.concatenate(missing)


def _change(missing: FloatArray, taken: FloatArray) -> float:
    """By how much ‖missing‖² grows if something is taken from it."""
    return float(taken @ taken - 2 * missing @ taken)


def _only(nodes: Sequence[Node], kinds: type | UnionType) -> bool:
    return all(isinstance(node, kinds) for node in nodes)


def _alike(one: UnitMap, two: UnitMap) -> bool:
    return np.array_equal(one.partner, two.partner) and np.array_equal(one.kind, two.kind)
