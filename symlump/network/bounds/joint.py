"""The affine map (δh, ĥ) ↦ (δz, ẑ, z) into one layer of two networks, in blocks.

With the notation of :mod:`symlump.network.bounds.pairing`,

    δz = W·δh + D·ĥ + …,    ẑ = Ŵ·ĥ + …,    z = W·δh + W·S·ĥ + …,    D = W·S − A·Ŵ_p.

Only these blocks are kept, not the zeros below W, nor radii of W·S and D: what they round is bounded by |W| and
|Ŵ| times how large δh and ĥ are, whenever that is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from symlump.enclosures.affine import AffineMap
from symlump.enclosures.interval import UNIT, Interval, around, gamma, grow
from symlump.ode.exact import FloatArray, IntArray

#: The smallest float above 0: twice what a product is off by at most where it underflows.
SMALLEST = 2.0**-1074


@dataclass(frozen=True, eq=False)
class Pairs:
    """For each unit of the original its partner, and the identity φ(a·v) = s·φ(v) + c.

    Parameters
    ----------
    partner : ndarray of int, shape (units,)
    before, after, offset : ndarray, shape (units,)
        a, s and c; units without a partner have a = s = 0.
    """

    partner: IntArray
    before: FloatArray
    after: FloatArray
    offset: FloatArray

    @cached_property
    def _sorted(self) -> tuple[IntArray, IntArray, IntArray]:
        """Units by their partner, where each partner begins among them, and the partners."""
        order = np.argsort(self.partner, kind="stable")
        partners, first = np.unique(self.partner[order], return_index=True)
        return order, first, partners

    def gathered(self, values: FloatArray, columns: int) -> FloatArray:
        """Of values, unit by unit along the last axis, the sums for each of so many partners."""
        order, first, partners = self._sorted
        if not order.size:
            return np.zeros((*values.shape[:-1], columns))
        sums = values[..., order]
        if first.size < order.size:
            sums = np.add.reduceat(sums, first, axis=-1)
        if columns == partners.size:
            return np.asarray(sums)
        found = np.zeros((*values.shape[:-1], columns))
        found[..., partners] = sums
        return found


@dataclass(frozen=True, eq=False)
class Joint:
    """The map for the units of one layer and their partners.

    Parameters
    ----------
    one, two : AffineMap
        W·h + b and Ŵ·ĥ + b̂.
    before : Pairs or None
        Of the layer before; None in the first one, where both networks read the same and there is no δh.
    pairs : Pairs
    through : ndarray, shape (units, inputs of ``two``)
        W·S.
    difference : ndarray, likewise
        D.
    """

    one: AffineMap
    two: AffineMap
    before: Pairs | None
    pairs: Pairs
    through: FloatArray
    difference: FloatArray

    @classmethod
    def of(cls, one: AffineMap, two: AffineMap, before: Pairs | None, pairs: Pairs) -> Joint:
        """From the two layers.

        Examples
        --------
        >>> one, two = (AffineMap.exactly(np.array([[w]]), None) for w in (3.0, 2.0))
        >>> single = Pairs(np.zeros(1, int), np.ones(1), np.ones(1), np.zeros(1))
        >>> Joint.of(one, two, single, single).written.tolist()
        [[3.0, 1.0], [0.0, 2.0], [3.0, 3.0]]
        """
        through = one.weight
        if before is not None:
            scaled = through if np.all(before.after == 1) else through * before.after
            through = before.gathered(scaled, two.weight.shape[1])
        lost = two.weight[pairs.partner]
        if np.any(pairs.before != 1):
            lost *= pairs.before[:, None]
        return cls(one, two, before, pairs, through, np.subtract(through, lost, out=lost))

    @property
    def own(self) -> int:
        """The number of entries of δh."""
        return 0 if self.before is None else self.one.weight.shape[1]

    @property
    def shape(self) -> tuple[int, int]:
        """Of the map (δh, ĥ) ↦ (δz, ẑ)."""
        units, (others, inputs) = self.pairs.partner.size, self.two.weight.shape
        return units + others, self.own + inputs

    @cached_property
    def with_rows(self) -> IntArray:
        """Units of which z has a row of its own: without a partner it is δz (but in the first stage all do)."""
        return np.flatnonzero((self.before is None) | (self.pairs.before != 0))

    @cached_property
    def whole(self) -> IntArray:
        """For each unit the row of z among those of (δz, ẑ, z)."""
        found = np.arange(self.pairs.partner.size)
        found[self.with_rows] = self.shape[0] + np.arange(self.with_rows.size)
        return found

    def parted(self, units: npt.NDArray[np.bool_], pairs: Pairs) -> Joint:
        """The same with other pairs, in which some units have no partner: there δz is z."""
        difference = self.difference.copy()
        difference[units] = self.through[units]
        return replace(self, pairs=pairs, difference=difference)

    @cached_property
    def _size(self) -> FloatArray:
        """The absolute values of D."""
        return np.abs(self.difference)

    @cached_property
    def written(self) -> FloatArray:
        """The matrix of (δh, ĥ) ↦ (δz, ẑ), with z below for units that have such a row."""
        own, units, some = self.own, self.pairs.partner.size, self.with_rows
        found = np.zeros((self.shape[0] + some.size, self.shape[1]))
        last = self.shape[0]
        found[:units, own:], found[units:last, own:] = self.difference, self.two.weight
        found[last:, own:] = self.through[some]
        if own:
            found[:units, :own], found[last:, :own] = self.one.weight, self.one.weight[some]
        return found

    @cached_property
    def bias(self) -> FloatArray:
        """The constants of (δz, ẑ, z)."""
        (apart, whole), _ = self._constants
        return np.concatenate([apart, self.two.bias, whole[self.with_rows]])

    @cached_property
    def _constants(self) -> tuple[tuple[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]:
        """The constants of δz and of z, for all units, and their radii."""
        one, two, pairs = self.one, self.two, self.pairs
        whole, size, doubt, terms = one.bias, np.abs(one.bias), one.bias_radius, one.weight.shape[1]
        if self.before is not None and self.before.offset.any():
            offset = self.before.offset
            whole = one.weight @ offset + whole
            size = one.size @ np.abs(offset) + size
            doubt = doubt + one.weight_radius @ np.abs(offset)
        shift = pairs.before * two.bias[pairs.partner]
        more = doubt + np.abs(pairs.before) * two.bias_radius[pairs.partner]
        more = more + gamma(terms + 4) * (size + np.abs(shift))
        doubt = doubt + gamma(terms + 4) * size
        return (whole - shift, whole), (grow(more, terms + 8), grow(doubt, terms + 8))

    def error(self, magnitude: FloatArray, relative: float) -> FloatArray:
        """What the map (δz, ẑ, z) is off by where each entry of (δh, ĥ) is at most so large.

        See :meth:`AffineMap.error <symlump.enclosures.affine.AffineMap.error>`.

        Parameters
        ----------
        magnitude : ndarray, shape (…, inputs)
        """
        apart, whole = self._errors(magnitude, relative)
        others = self.two.error(magnitude[..., self.own :], relative)
        return np.concatenate([apart, others, whole[..., self.with_rows]], axis=-1)

    def _errors(self, magnitude: FloatArray, relative: float) -> tuple[FloatArray, FloatArray]:
        """Of δz and of z, for all units."""
        one, two, pairs, own = self.one, self.two, self.pairs, self.own
        # All sizes are those of rounding from the first, since sums of magnitudes may overflow.
        unit = UNIT * magnitude + SMALLEST
        inner, outer, most = unit[..., :own], unit[..., own:], 1
        seen = outer  # at least |S|·|ĥ|
        if self.before is not None:
            some = self.before
            seen = outer[..., some.partner] * np.abs(some.after) + SMALLEST
            # An entry of W·S adds up the weights of all units with one partner: so many are rounded.
            most = int(np.bincount(some.partner[some.after != 0]).max(initial=1))
        through = seen @ one.size.T
        a = np.abs(pairs.before)
        # Where units are exactly mergeable D is 0 up to rounding, so the rounding of both its terms is bounded
        # by their sizes. What underflows in them is multiplied by ĥ.
        whole = (most + 2) * through
        whole = whole + (most + 2) * (SMALLEST / UNIT) * outer.sum(axis=-1, keepdims=True)
        apart = whole + 3 * (outer @ two.size.T)[..., pairs.partner] * a
        if one.weight_radius.any():
            radius = ((inner + seen if own else seen) / UNIT) @ one.weight_radius.T
            whole, apart = whole + radius, apart + radius
        if two.weight_radius.any():
            apart = apart + (outer / UNIT @ two.weight_radius.T)[..., pairs.partner] * a
        bias, doubt = self._constants
        if relative:
            share, mine = relative / UNIT, inner @ one.size.T if own else 0.0
            whole = whole + share * (mine + through) + relative * np.abs(bias[1])
            apart = apart + share * (mine + outer @ self._size.T) + relative * np.abs(bias[0])
        terms = self.shape[1] + most + 8
        return grow(apart + doubt[0], terms), grow(whole + doubt[1], terms)

    def __call__(self, y: Interval) -> Interval:
        """All (δz, ẑ) for (δh, ĥ) in the intervals."""
        own, units, (centre, radius) = self.own, self.pairs.partner.size, y.ball()
        reduced = self.two(y[..., own:])
        if not units:
            return reduced
        middle = centre[..., own:] @ self.difference.T + self.bias[:units]
        spread = radius[..., own:] @ self._size.T
        if own:
            middle = middle + centre[..., :own] @ self.one.weight.T
            spread = spread + radius[..., :own] @ self.one.size.T
        terms = self.shape[1] + 8
        spread = spread + self._errors(np.abs(centre) + radius, gamma(terms))[0]
        difference = around(middle, grow(spread, terms))
        return Interval(
            np.concatenate([difference.lower, reduced.lower], axis=-1),
            np.concatenate([difference.upper, reduced.upper], axis=-1),
        )

    def times(self, columns: FloatArray, sizes: bool = False) -> FloatArray:
        """The rows of (δz, ẑ, z), or with ``sizes`` their absolute values, times columns.

        Parameters
        ----------
        columns : ndarray, shape (…, inputs, columns)
        """
        own, some = self.own, self.with_rows
        inner, outer = columns[..., :own, :], columns[..., own:, :]
        through = self.through if some.size == self.pairs.partner.size else self.through[some]
        one, two = self.one, self.two
        if sizes:
            parts = [self._size @ outer, two.size @ outer, np.abs(through) @ outer]
        else:
            parts = [self.difference @ outer, two.weight @ outer, through @ outer]
        if own:
            mine = (one.size if sizes else one.weight) @ inner
            parts[0] += mine
            parts[2] += mine if some.size == mine.shape[-2] else mine[..., some, :]
        return np.concatenate(parts, axis=-2)


@dataclass(frozen=True, eq=False)
class Scaled:
    """The matrix of a step: δh = d·δz + t·ẑ_p and ĥ = slope·ẑ, box by box, with (δz, ẑ) by a joint map.

    It stands on the right of rows of (δh, ĥ), and is never written out.

    Parameters
    ----------
    d, t, slope : ndarray, shape (boxes, units)
    """

    joint: Joint
    d: FloatArray
    t: FloatArray
    slope: FloatArray

    __array_ufunc__ = None  # so that ndarray @ Scaled comes here

    @property
    def shape(self) -> tuple[int, int]:
        """Of the matrix."""
        return self.joint.shape

    def __rmatmul__(self, rows: FloatArray) -> FloatArray:
        joint, units = self.joint, self.joint.pairs.partner.size
        mine, other = rows[..., :units], rows[..., units:] * self.slope[:, None]
        if self.t.any():
            other += joint.pairs.gathered(mine * self.t[:, None], other.shape[-1])
        # (one product for all boxes)
        found = np.tensordot(other, joint.two.weight, 1)
        if not units:
            return found
        mine = mine * self.d[:, None]
        found += np.tensordot(mine, joint.difference, 1)
        if not joint.own:
            return found
        return np.concatenate([np.tensordot(mine, joint.one.weight, 1), found], axis=-1)
