r"""What makes one network the quotient of another, for given maps of their units, and how far it is from that.

Let unit i of the original stand on unit u(i) of the reduced network, hᵢ = sᵢ·ĥ_{u(i)} + qᵢ for all inputs.
That is so if in every layer, with P the matrix of the sᵢ,

    W·P = A·Ŵ_u,        b + W·q = A·b̂_u,                                   (*)

where A holds the factors with which units enter the activation (1 for units that are equal). A unit that was
removed is the zero unit (its row is 0), a constant one (it reads constant units at most), or one that nothing
reads (its column is 0). So every reduction is the exact quotient of *some* network. The nearest one to the
original changes each layer by the least solution of (*) in ΔW and Δb; without constants q that is

    ΔW = R·P⁺,    R = A·Ŵ_u − W·P,    P⁺ = (PᵀP)⁻¹·Pᵀ.

The 2-norm of all changes is the defect δ.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from functools import cached_property
from operator import is_not
from typing import TypeVar, cast

import numpy as np
from scipy import sparse

from symlump.compression.relaxed.parts import Parts, find_parts, holds, made_by
from symlump.compression.relaxed.readings import (
    Condition,
    MapReading,
    Marks,
    least_change,
    number_copies,
)
from symlump.compression.relaxed.selected import (
    CONSTANT,
    STAYS,
    UNREAD,
    ZERO,
    Placed,
    UnitMap,
    joined_differently,
    trace,
)
from symlump.errors import SubjectError
from symlump.network.network import Network
from symlump.network.nodes import Affine
from symlump.network.precision import PRECISIONS
from symlump.network.ties import find_ties
from symlump.network.written.grouped import groups_of
from symlump.ode.exact import FloatArray, IntArray

Kept = TypeVar("Kept")


class Quotient:
    """Two aligned networks and maps between their units.

    Parameters
    ----------
    original, reduced : Network
        As :func:`symlump.compression.relaxed.aligned.align` returns them.
    maps : dict
        By number of an axis of ``ties``. One that is in use is replaced, never changed in place.
    given : Placed, optional
        What selections say.

    Examples
    --------
    >>> net = Network.dense([[[1.0], [1.5]], [[2.0, 3.0]]])
    >>> small = Network.dense([[[1.0]], [[5.0]]])
    >>> one = np.ones(2)
    >>> both = UnitMap(np.array([0, 0]), np.zeros(2, dtype=int), one, one, 0 * one)
    >>> quotient = Quotient(net, small, {0: both})
    >>> quotient.defect, [layer.weight.tolist() for layer in quotient.reference.layers]
    (0.5, [[[1.0], [1.0]], [[2.0, 3.0]]])
    """

    def __init__(
        self,
        original: Network,
        reduced: Network,
        maps: dict[int, UnitMap] | None = None,
        given: Placed | None = None,
    ) -> None:
        self.original, self.reduced = original, reduced
        self.maps, given = dict(maps or {}), given or Placed()
        self.ties = find_ties(original, given.apart, pairs=given.pairs)
        # Groups of other sizes are no convolution in groups of their own, but are the original's all the same.
        self._other = find_ties(reduced, given.apart, groups_of(original), given.pairs)
        self._axis = np.full(self.ties.count, -1)
        self._place = np.zeros(self.ties.count, dtype=np.int64)
        for number, units in enumerate(self.ties.axes):
            self._axis[units], self._place[units] = number, np.arange(units.size)
        self._layers = {layer.name: layer for layer in reduced.layers}
        self._slots = {number: self._found_slots(number) for number in range(len(self.ties.axes))}
        self._fixed = np.full(self.ties.count, -1)
        self._pinned: dict[int, IntArray] = {}
        #: The maps that steps give, by number of the axis.
        self.given = self._placed(given)
        self._find_standing()
        self._told = {name for place in given.places for name in trace(original, place[0])[0][:-1]}
        # By the axis, the values that lack some of its units.
        self._partial: dict[int, list[str]] = {}
        self._refuse_other_parts()
        self._known: dict[str, tuple[list[UnitMap], object]] = {}  # by the maps it was made with

    def _placed(self, given: Placed) -> dict[int, UnitMap]:
        """The maps that steps give; units that may not merge are noted as they stand.

        Raises
        ------
        MethodError
            If two steps say different things, or they speak of a part of the units.
        """
        found = np.full(self.ties.count, -1)
        for name, here, there in given.places:
            units, stands = self.ties.units[name][here], self._other.units[name][there]
            known = found[units]
            same = self.ties.positions[name][here] == self._other.positions[name][there]
            found[units] = stands
            if not same.all() or np.any(found[units] != np.where(known < 0, stands, known)):
                raise joined_differently(name)
        kinds = np.full(self.ties.count, STAYS)
        for name, here, how in given.removed:
            units = self.ties.units[name][here]
            known = kinds[units]
            if np.any(found[units] >= 0) or np.any((known != STAYS) & (known != how)):
                raise joined_differently(name)
            kinds[units] = how
        self._fixed = np.where(self._axis < 0, found, -1)
        maps: dict[int, UnitMap] = {}
        for number in np.unique(self._axis[found >= 0]).tolist():
            if number < 0:
                continue
            slots = {unit: k for k, unit in enumerate(self._slots[number].tolist())}
            units = self.ties.axes[number]
            partner, kind = (
                np.array([slots.get(k, -1) for k in found[units].tolist()]),
                kinds[units],
            )
            stays = kind == STAYS
            if stays.all() and np.any(found[units] < 0) and np.all(partner[found[units] >= 0] >= 0):
                self._pinned[number] = partner  # the others are looked for
                continue
            if sorted(set(partner[stays].tolist())) != list(range(len(slots))):
                raise joined_differently(self.ties.makers[number][0])
            factor = stays.astype(float)
            maps[number] = UnitMap(partner, kind, factor, factor, 0 * factor)
        return maps

    def _find_standing(self) -> None:
        """For each unit that may not merge the unit of the reduced network at its place."""
        found = self._fixed
        belongs = self._belongs
        for node in self.original.nodes:
            own, there = self.ties.units[node.name], self._other.units[node.name]
            fixed, others = self._axis[own] < 0, ~belongs[there]
            if fixed.all():
                others = np.ones_like(others)
            own, there = own[fixed], there[others]
            missing = found[own] < 0
            if not missing.any():
                continue
            if own.size != there.size:
                raise SubjectError(
                    f"{node.name}: {own.size} of its units cannot merge in one network, {there.size} in the "
                    "other: they are inputs or outputs, or a step mixes them, as one that shuffles channels"
                )
            found[own[missing]] = there[missing]

    @cached_property
    def _belongs(self) -> Marks:
        """Which units of the reduced network may stand for some that may merge."""
        found: Marks = np.zeros(self._other.count, dtype=bool)
        for slots in self._slots.values():
            found[slots] = True
        return found

    def _refuse_other_parts(self) -> None:
        """Raise where a value has other units, or has them more or less often, or outputs in another order."""
        belongs = self._belongs
        for name, own in self.ties.units.items():
            if name in self._told:
                continue  # steps said which is which
            there, axes = self._other.units[name], self._axis[own]
            fixed, others = axes < 0, ~belongs[there]
            wanted = np.stack([self._fixed[own], self.ties.positions[name]])[:, fixed]
            given = np.stack([there, self._other.positions[name]])[:, others]
            if (
                not fixed.all()
            ):  # layers read it channel by channel, so these may stand in any order
                wanted, given = (rows[:, np.lexsort(rows)] for rows in (wanted, given))
            same = np.array_equal(wanted, given)
            numbers = np.unique(axes[~fixed]).tolist()
            known = [there[:0], *(self._slots[number] for number in numbers)]
            same &= bool(np.isin(there[~others], np.concatenate(known)).all())
            for number in numbers:
                slots, units = self._slots[number], self.ties.axes[number]
                here = np.bincount(self._place[own[axes == number]], minlength=units.size)
                reduced = np.bincount(there, minlength=self._other.count)[slots]
                same &= slots.size > 0 and bool(np.isin(here, (0, here.max())).all())
                same &= bool(np.isin(reduced, (0, here.max())).all())
                if not (here.all() and reduced.all()):
                    self._partial.setdefault(number, []).append(name)
            if not same:
                raise joined_differently(name)

    def with_maps(self, maps: dict[int, UnitMap]) -> Quotient:
        """The same networks with other maps.

        Examples
        --------
        >>> net = Network.dense([[[1.0], [2.0]], [[2.0, 3.0]]])
        >>> Quotient(net, net).with_maps({0: UnitMap.own(2)}).defect
        0.0
        """
        found = copy(self)
        for cached in ("conditions", "reference", "changes"):
            found.__dict__.pop(cached, None)
        found.maps = dict(maps)
        return found

    def makers(self, axis: int) -> list[str]:
        """The layers that make the units of an axis."""
        return list(self.ties.makers[axis])

    def width(self, axis: int) -> int:
        """How many units the reduced network has there."""
        return int(self._slots[axis].size)

    def _found_slots(self, axis: int) -> IntArray:
        """The units of the reduced network in an axis: those of its first maker that the same heads read.

        Units that merged across groups of a convolution are read by all of these, and in the axis of each.
        Where no heads are, the same layers make them: a gate, say, makes one half of a layer's units again.
        """
        maker, units = self.ties.makers[axis][0], self.ties.axes[axis]
        made = self._other.units[maker]
        if self.ties.units[maker].size == units.size:
            return made
        none = frozenset[tuple[str, int]]()
        heads = self.ties.heads.get(int(units[0]), none)
        read = [self._other.heads.get(unit, none) for unit in made.tolist()]
        if not any((heads, *read)):
            return made[made_by(self._other, self.ties.makers, axis, made)]
        chosen = [heads == own or none < heads <= own for own in read]
        return np.asarray(made[np.array(chosen, dtype=bool)])

    def is_known(self, name: str) -> bool:
        """Whether the maps of all units of a value are known."""
        axes = np.unique(self._axis[self.ties.units[name]])
        return all(int(a) in self.maps for a in axes if a >= 0)

    def order(self, name: str, axis: int) -> IntArray:
        """The channel of each unit of an axis in a layer that makes it."""
        return self.ties.table(name, axis)[:, 0]

    def held(self, name: str, axis: int) -> tuple[tuple[IntArray, IntArray], ...]:
        """The units of an axis that a value holds, with their channels, a row a unit; the same of the reduced.

        Raises
        ------
        MethodError
            If a unit has fewer channels than others.
        """
        sides = (self.ties, self.ties.axes[axis]), (self._other, self._slots[axis])
        found = [side.held(name, own) for side, own in sides]
        if any(table is None for _, table in found):
            raise joined_differently(name)
        return tuple((units, table) for units, table in found if table is not None)

    def columns(self, name: str, axis: int) -> IntArray:
        """The channels of a reduced layer that are each unit of an axis that it makes, a row a unit."""
        _, (units, table) = self.held(name, axis)
        return table[np.argsort(units)]

    def parts(self, axis: int) -> Parts:
        """Which units of an axis may stand on which, by the values that hold part of them.

        Raises
        ------
        MethodError
            If none may stand on a unit of the reduced network.
        """
        units, slots = self.ties.axes[axis], self._slots[axis]
        names = self._partial.get(axis, [])
        here, there = holds(self.ties, names, units), holds(self._other, names, slots)
        found = find_parts(here, there, self._pinned.get(axis, np.full(units.size, -1)))
        if found is None:
            raise joined_differently([*names, *self.ties.makers[axis]][0])
        return found

    def reading(self, name: str) -> MapReading:
        """How a value stands on the reduced one.

        Raises
        ------
        MethodError
            If the reduced network lacks a channel.
        """
        return self._kept(f"value {name}", name, lambda: self._reading(name))

    def _kept(self, key: str, name: str, made: Callable[[], Kept]) -> Kept:
        """What was made with the maps of a value as they are, or what is made now."""
        axes = np.unique(self._axis[self.ties.units[name]]).tolist()
        maps = [self.maps[number] for number in axes if number >= 0]
        before, found = self._known.get(key, ([], None))
        if found is None or len(before) != len(maps) or any(map(is_not, before, maps)):
            found = made()
            self._known[key] = maps, found
        return cast(Kept, found)

    def _reading(self, name: str) -> MapReading:
        units, positions = self.ties.units[name], self.ties.positions[name]
        others, there = self._other.units[name], self._other.positions[name]
        most = int(max(positions.max(initial=0), there.max(initial=0))) + 1
        partner = self._fixed[units]
        scale, offset = np.ones(units.size), np.zeros(units.size)
        unread: Marks = np.zeros(units.size, dtype=bool)
        for number in np.unique(self._axis[units]):
            if number < 0:
                continue
            inside = self._axis[units] == number
            places, found = self._place[units[inside]], self.maps[int(number)]
            made = self._slots[int(number)]
            chosen = found.partner[places]
            partner[inside] = np.where(chosen < 0, -1, made[chosen])
            scale[inside], offset[inside] = found.after[places], found.offset[places]
            unread[inside] = found.kind[places] == UNREAD
        copy_here, copy_there = (
            number_copies(units * most + positions),
            number_copies(others * most + there),
        )
        copies = int(max(copy_here.max(initial=0), copy_there.max(initial=0))) + 1
        keys = (others * most + there) * copies + copy_there
        order = np.argsort(keys, kind="stable")
        wanted = (partner * most + positions) * copies + copy_here
        at = np.minimum(np.searchsorted(keys[order], wanted), keys.size - 1)
        stays = partner >= 0
        if np.any(keys[order][at][stays] != wanted[stays]):
            raise joined_differently(name)
        rows = np.flatnonzero(stays)
        matrix = sparse.csr_array(
            (scale[rows], (rows, order[at][rows])), shape=(units.size, others.size)
        )
        return MapReading(matrix, np.where(unread, 0.0, offset), unread)

    def rows(self, name: str) -> UnitMap:
        """The map of the units of a value, channel by channel; one that may not merge stands on its own."""
        units, standing = self.ties.units[name], self.reading(name).matrix.tocoo()
        found = UnitMap.own(units.size)
        found.partner[:] = -1
        found.partner[standing.coords[0]] = standing.coords[1]
        for number in np.unique(self._axis[units]):
            if number < 0:
                continue
            inside, own = self._axis[units] == number, self.maps[int(number)]
            places = self._place[units[inside]]
            for field in ("kind", "before", "after", "offset"):
                getattr(found, field)[inside] = getattr(own, field)[places]
        return found

    def fold(self, layer: Affine) -> tuple[FloatArray, FloatArray, FloatArray, MapReading]:
        """W·P and b + W·q of a layer, with sums of absolute values, and how it reads.

        Returns
        -------
        weight : ndarray, shape (units, reduced inputs, offsets)
        bias, size : ndarray, shape (units,)
        reading : MapReading
        """
        name = layer.inputs[0]
        return self._kept(f"layer {layer.name}", name, lambda: self._fold(layer))

    def _fold(self, layer: Affine) -> tuple[FloatArray, FloatArray, FloatArray, MapReading]:
        reading = self.reading(layer.inputs[0])
        weight = layer.weight.reshape(*layer.weight.shape[:2], -1)
        units, _, offsets = weight.shape
        flat = weight.transpose(0, 2, 1).reshape(units * offsets, -1)
        through = (reading.matrix.T @ flat.T).T
        size = (abs(reading.matrix).T @ np.abs(flat).T).T.max(axis=1, initial=0.0)
        bias = weight.sum(axis=2) @ reading.offset
        if layer.bias is not None:
            bias = bias + layer.bias
        shaped = through.reshape(units, offsets, -1).transpose(0, 2, 1)
        return shaped, bias, size.reshape(units, offsets).max(axis=1), reading

    def condition(self, layer: Affine) -> Condition:
        """What (*) says of a layer of the original."""
        other, rows = self._layers[layer.name], self.rows(layer.name)
        target = other.weight.reshape(*other.weight.shape[:2], -1)
        shift = np.zeros(other.units) if other.bias is None else other.bias
        reading: MapReading | None = None
        if layer.depthwise:
            weight = layer.weight.reshape(*layer.weight.shape[:2], -1)
            bias = np.zeros(layer.units) if layer.bias is None else layer.bias
            size = np.abs(weight).max(axis=(1, 2))
        else:
            weight, bias, size, reading = self.fold(layer)
            standing = np.bincount(reading.matrix.indices, minlength=reading.matrix.shape[1])
            if not standing.all():  # no unit of the original is what is read there
                raise joined_differently(layer.inputs[0])
        stays = rows.kind == STAYS
        a, partner = rows.before, rows.partner
        taken, moved = a[:, None, None] * target[partner], a * shift[partner]
        size = np.maximum(size, np.abs(taken).max(axis=(1, 2), initial=0.0))
        return Condition(
            rows,
            np.where(stays[:, None, None], taken - weight, -weight),
            np.where(stays, moved - bias, -bias),
            np.where(stays, np.maximum(size, np.abs(moved)), size),
            reading,
        )

    @cached_property
    def conditions(self) -> dict[str, Condition]:
        """Those of all layers, by name."""
        return {layer.name: self.condition(layer) for layer in self.original.layers}

    @property
    def unit_roundoff(self) -> float:
        """The larger relative rounding of the two networks' dtypes."""
        return max(PRECISIONS[n.dtype].unit for n in (self.original, self.reduced))

    def exact_units(self, name: str) -> Marks:
        """Which units of a layer obey (*), up to the rounding of their weights."""
        condition = self.conditions[name]
        terms = 4 + condition.rows.partner.size
        far = np.maximum(
            np.abs(condition.weight).max(axis=(1, 2), initial=0.0), np.abs(condition.bias)
        )
        close = far <= terms * self.unit_roundoff * condition.size
        return np.asarray(close & (condition.rows.kind == STAYS))

    @cached_property
    def reference(self) -> Network:
        """The nearest network, of the original's widths, of which the reduced one is the exact quotient."""
        return self.original.with_layers(self._moved(layer) for layer in self.original.layers)

    def _moved(self, layer: Affine) -> Affine:
        condition = self.conditions[layer.name]
        rows, reading = condition.rows, condition.reading
        weight = layer.weight.reshape(*layer.weight.shape[:2], -1).copy()
        bias = np.zeros(layer.units) if layer.bias is None else layer.bias.copy()
        stays, zero, constant = (rows.kind == kind for kind in (STAYS, ZERO, CONSTANT))
        if reading is None:
            weight[stays] += condition.weight[stays]
            moved = condition.bias
        else:
            users = self._users(layer)
            biases = sum(self.conditions[user].bias for user in users)
            change = least_change(condition.weight, np.asarray(biases), len(users), reading)
            moved = condition.bias - change.sum(axis=2) @ reading.offset
            weight[np.ix_(rows.kind != UNREAD, reading.unread)] = 0.0
            weight[stays] += change[stays]
            weight[zero] = 0.0
            moving = np.diff(reading.matrix.indptr) > 0
            through = weight[np.ix_(constant, moving)].sum(axis=2)
            bias[constant] += through @ reading.offset[moving]
            weight[np.ix_(constant, moving)] = 0.0  # it may go on reading what is constant
        bias[stays] += moved[stays]
        bias[zero] = 0.0
        has_bias = layer.bias is not None or bool(bias.any())
        return replace(
            layer, weight=weight.reshape(layer.weight.shape), bias=bias if has_bias else None
        )

    def _users(self, layer: Affine) -> list[str]:
        """The layers that have this layer's weights, each with a bias of its own; one for each bias."""
        if not layer.weight_name:
            return [layer.name]
        users: dict[str, str] = {}
        for other in self.original.layers:
            if other.weight_name == layer.weight_name:
                users.setdefault(other.bias_name or f"of {other.name}", other.name)
        return [*users.values()]

    @cached_property
    def changes(self) -> dict[str, float]:
        """The 2-norm of what separates each layer of the reference from the original's.

        What layers share counts where it is first.
        """
        found: dict[str, float] = {}
        counted: set[tuple[str, str]] = set()
        for one, two in zip(self.original.layers, self.reference.layers, strict=True):
            bias = np.zeros(one.units) if one.bias is None else one.bias
            moved = (0.0 if two.bias is None else two.bias) - bias
            norms = [float(np.linalg.norm(a)) for a in (two.weight - one.weight, moved)]
            names = ("weight", one.weight_name), ("bias", one.bias_name)
            norms = [
                0.0 if key in counted else norm for key, norm in zip(names, norms, strict=True)
            ]
            counted |= {key for key in names if key[1]}
            found[one.name] = float(np.hypot(norms[0], norms[1]))
        return found

    @property
    def defect(self) -> float:
        """δ, the 2-norm of all changes."""
        return float(np.linalg.norm(list(self.changes.values())))
