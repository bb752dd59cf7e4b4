"""Values and slopes of an activation on very many intervals, all certified.

:func:`~symlump.network.activations.enclosure.enclose` makes each bound from ball arithmetic, at some
microseconds apiece; a bound of a network needs millions. So an activation is enclosed once, on cells so narrow
that its slope hardly changes within one, and each question is answered from that table:

- the slopes over an interval lie in the hull of the slopes over the cells that it meets;
- φ at a point of a cell lies between the lines through the cell's ends with its least and largest
  slope (the mean value theorem, for which Clarke's generalised slopes suffice at kinks).

Piecewise linear activations need no table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import frexp, inf
from typing import Protocol

import numpy as np
import numpy.typing as npt

from symlump.enclosures.functions import interval_functions
from symlump.enclosures.interval import TINY, UNIT, Interval
from symlump.enclosures.jets import expand
from symlump.errors import FailureError
from symlump.network.activations.activation import Activation
from symlump.network.activations.enclosure import enclose, enclose_slope
from symlump.network.activations.rules import Pieces
from symlump.ode.exact import FloatArray, IntArray

_SLOPE_STEP, _BEND_STEP = 1 / 256, 1 / 64
_BINS = 1 << 13
_PARTS = 24  # of an interval, for a straight band


class Curve(Protocol):
    """What is asked of an activation."""

    def spaced(self, z: Interval) -> FloatArray:
        """Points from end to end, along a new first axis, between which the slope changes about equally."""

    def values(self, z: Interval) -> Interval:
        """All φ(z)."""

    def slopes(self, z: Interval) -> Interval:
        """All slopes of φ between two points of the interval."""

    def along(self, points: FloatArray) -> tuple[FloatArray, Interval, Interval]:
        """Points (ascending along the first axis, possibly more), φ there, and all slopes between them."""


def evenly(z: Interval, parts: int) -> FloatArray:
    """Points from end to end of intervals, along a new first axis."""
    shares = np.linspace(0.0, 1.0, parts + 1).reshape(-1, *(1,) * z.lower.ndim)
    # (no difference of the two ends, which could overflow)
    points = np.clip((1 - shares) * z.lower + shares * z.upper, z.lower, z.upper)
    points[-1] = z.upper
    return np.asarray(points)


def curve(activation: Activation, extent: float) -> Curve:
    """The activation for |z| ≤ extent, ready to be asked.

    Examples
    --------
    >>> from symlump.network.activations.table import activation
    >>> tanh = curve(activation("tanh"), 3.0)
    >>> found = tanh.values(Interval(np.array([0.0]), np.array([1.0])))
    >>> found.lower.round(6) + 0, found.upper.round(6)
    (array([0.]), array([0.761594]))
    """
    if activation.pieces is not None:
        return Piecewise(activation, activation.pieces)
    return _table(activation, None, _power_of_two(extent))


def difference_curve(one: Activation, two: Activation, extent: float) -> Curve:
    """The function one(z) − two(z), likewise."""
    return _table(one, two, _power_of_two(extent))


def slope_curve(activation: Activation, extent: float) -> Curve:
    """The function φ'(z), likewise, of an activation without kinks.

    Examples
    --------
    >>> from symlump.network.activations.table import activation
    >>> tanh = slope_curve(activation("tanh"), 2.0)  # its slopes are those of 1 − tanh²
    >>> bends = tanh.slopes(Interval(np.array([0.0]), np.array([2.0])))
    >>> bends.lower.round(2).item(), bends.upper.round(2).item() + 0
    (-0.78, 0.0)
    """
    return _slope_table(activation, _power_of_two(extent))


def _power_of_two(extent: float) -> float:
    """The next power of two, so that few tables are made; twice that must be a float, the width of a table."""
    if not extent < 2.0**1022:
        raise FailureError(
            "pre-activations overflow float64 on this box, so nothing can be certified; take a smaller box"
        )
    return max(1.0, 2.0 ** frexp(extent)[1])


@lru_cache(maxsize=64)
def _table(one: Activation, two: Activation | None, extent: float) -> Table:
    def values(low: FloatArray, high: FloatArray) -> Interval:
        found = Interval(*enclose(one, low, high))
        return found if two is None else found - Interval(*enclose(two, low, high))

    def slopes(low: FloatArray, high: FloatArray) -> Interval:
        found = Interval(*enclose_slope(one, low, high))
        return found if two is None else found - Interval(*enclose_slope(two, low, high))

    return Table.build(values, slopes, extent, one.range if two is None else (-inf, inf))


@lru_cache(maxsize=16)
def _slope_table(phi: Activation, extent: float) -> Table:
    def values(low: FloatArray, high: FloatArray) -> Interval:
        return Interval(*enclose_slope(phi, low, high))

    def slopes(low: FloatArray, high: FloatArray) -> Interval:
        m = interval_functions()
        with m.working():
            found = [
                m.bounds(2 * expand(phi.formula, m, a, b, 2).c[2])
                for a, b in zip(low.tolist(), high.tolist(), strict=True)
            ]
        return Interval(*np.array(found).T.reshape(2, -1))

    return Table.build(values, slopes, extent, phi.slopes, _BEND_STEP)


@dataclass(frozen=True, eq=False)
class Piecewise:
    """A piecewise linear activation."""

    activation: Activation
    pieces: Pieces

    def spaced(self, z: Interval) -> FloatArray:
        """The ends: between them, and kinks, the slope does not change."""
        return np.stack([z.lower, z.upper])

    def values(self, z: Interval) -> Interval:
        """All φ(z)."""
        return Interval(*enclose(self.activation, z.lower, z.upper))

    def slopes(self, z: Interval) -> Interval:
        """All slopes of φ between two points of the interval."""
        return Interval(*enclose_slope(self.activation, z.lower, z.upper))

    def along(self, points: FloatArray) -> tuple[FloatArray, Interval, Interval]:
        """Points with the kinks between them, φ there, and the slope of each part, which is one number."""
        kinks = [np.clip(k, points[0], points[-1])[None] for k in self.pieces.kinks]
        points = np.sort(np.concatenate([points, *kinks]), axis=0)
        lines = np.array(self.pieces.lines)
        inside = points[:-1] + (points[1:] - points[:-1]) / 2
        slope = lines[np.searchsorted(self.pieces.kinks, inside, side="right"), 0]
        # a middle that rounds to an end may be on the wrong side of a kink there
        unsure = (inside <= points[:-1]) | (inside >= points[1:])
        least, most = lines[:, 0].min(), lines[:, 0].max()
        over = Interval(np.where(unsure, least, slope), np.where(unsure, most, slope))
        return points, self._at(points), over

    def _at(self, z: FloatArray) -> Interval:
        """φ at floats, rounded where a slope is not 0 or ±1 or an intercept not 0."""
        lines = np.array(self.pieces.lines)
        piece = np.searchsorted(self.pieces.kinks, z, side="left")
        slope, intercept = lines[piece, 0], lines[piece, 1]
        value = slope * z + intercept
        if np.isin(lines[:, 0], (-1.0, 0.0, 1.0)).all() and not lines[:, 1].any():
            return Interval.point(value)
        slack = 4 * UNIT * (np.abs(slope * z) + np.abs(intercept)) + TINY
        return Interval(value - slack, value + slack)


@dataclass(frozen=True, eq=False)
class Table:
    """A function on cells [nodes_i, nodes_{i+1}]: its values at nodes, its slopes over cells.

    Parameters
    ----------
    nodes : ndarray, shape (cells + 1,)
    at_nodes : Interval of shape (cells + 1,)
    over_cells : Interval of shape (cells,)
    everywhere : (float, float)
        What holds for all values: on cells of 10²⁰⁰ even the least slope says less.
    """

    nodes: FloatArray
    at_nodes: Interval
    over_cells: Interval
    everywhere: tuple[float, float] = (-inf, inf)

    def spaced(self, z: Interval) -> FloatArray:
        """Nodes with as many cells between them: cells are narrow where the slope changes."""
        first, last = self._cell(z.lower), self._cell(z.upper)
        shares = np.arange(1, _PARTS).reshape(-1, *(1,) * z.lower.ndim)
        inside = self.nodes[first + (last - first) * shares // _PARTS]
        return np.concatenate([z.lower[None], np.clip(inside, z.lower, z.upper), z.upper[None]])

    @classmethod
    def build(
        cls,
        values: Callable[[FloatArray, FloatArray], Interval],
        slopes: Callable[[FloatArray, FloatArray], Interval],
        extent: float,
        everywhere: tuple[float, float] = (-inf, inf),
        step: float = _SLOPE_STEP,
    ) -> Table:
        """Halve cells until the slope changes by ``step`` in each (relatively, where it is large).

        The extent is a power of two, so the nodes are exact and cells consist of whole bins.
        """
        nodes = np.linspace(-extent, extent, 65)
        over = slopes(nodes[:-1], nodes[1:])
        while True:
            size = np.maximum(1.0, np.minimum(np.abs(over.lower), np.abs(over.upper)))
            wide = over.upper - over.lower > step * size
            wide &= (nodes[1:] - nodes[:-1] > 2 * extent / _BINS) & np.isfinite(size)
            cut = np.flatnonzero(wide)
            if not cut.size:
                return cls(nodes, values(nodes, nodes), over, everywhere)
            middle = (nodes[cut] + nodes[cut + 1]) / 2
            left, right = slopes(nodes[cut], middle), slopes(middle, nodes[cut + 1])
            ends = []
            for old, first, second in (
                (over.lower, left.lower, right.lower),
                (over.upper, left.upper, right.upper),
            ):
                new = old.copy()
                new[cut] = first
                ends.append(np.insert(new, cut + 1, second))
            nodes, over = np.insert(nodes, cut + 1, middle), Interval(*ends)

    @cached_property
    def _rises(self) -> bool:
        return bool((self.over_cells.lower >= 0).all())

    @cached_property
    def _slope_extremes(self) -> _Extremes:
        return _Extremes.of(self.over_cells)

    @cached_property
    def _value_extremes(self) -> _Extremes:
        return _Extremes.of(self._over_cells_values)

    @cached_property
    def _over_cells_values(self) -> Interval:
        left, right = self.at_nodes[:-1], self.at_nodes[1:]
        width, over = self.nodes[1:] - self.nodes[:-1], self.over_cells
        slack = 8 * UNIT * self._sizes + TINY
        return Interval(
            -under_lines(-left.lower, -right.lower, -over.lower, -over.upper, width) - slack,
            under_lines(left.upper, right.upper, over.upper, over.lower, width) + slack,
        )

    @cached_property
    def _cell_of_bin(self) -> IntArray:
        """Cells consist of whole bins, of which [−extent, extent] has 2¹³."""
        step = 2 * self.nodes[-1] / _BINS
        return np.repeat(
            np.arange(self.nodes.size - 1), np.rint(np.diff(self.nodes) / step).astype(np.int64)
        )

    def _cell(self, z: FloatArray) -> IntArray:
        """The cell that begins at or before z, and ends after it (or is the last)."""
        extent = self.nodes[-1]
        if z.size and not (-extent <= z.min() and z.max() <= extent):
            raise ValueError(f"this table ends at ±{extent}; ask curve() for a larger one")
        bins = ((z + extent) * (_BINS / 2 / extent)).astype(np.int64)
        cell = self._cell_of_bin[np.minimum(bins, _BINS - 1)]
        cell = cell - (z < self.nodes[cell])  # the sum above may have been rounded up
        return np.asarray(cell)

    def _until(self, first: IntArray, cell: IntArray, z: FloatArray) -> IntArray:
        """The last cell that [·, z] meets in more than an end, but not before ``first``."""
        return np.asarray(np.maximum(cell - (self.nodes[cell] == z), first))

    def _at(self, z: FloatArray, cell: IntArray) -> Interval:
        """φ at floats: between the lines from the left and from the right end of the cell."""
        left, right = z - self.nodes[cell], self.nodes[cell + 1] - z
        least, most = self.over_cells.lower[cell], self.over_cells.upper[cell]
        low = np.maximum(
            self.at_nodes.lower[cell] + least * left, self.at_nodes.lower[cell + 1] - most * right
        )
        high = np.minimum(
            self.at_nodes.upper[cell] + most * left, self.at_nodes.upper[cell + 1] - least * right
        )
        # three roundings each, of numbers no larger than this
        slack = 8 * UNIT * self._sizes[cell] + TINY
        return self._within(Interval(low - slack, high + slack))

    def _within(self, values: Interval) -> Interval:
        least, most = self.everywhere
        low, high = (np.maximum(end, least) for end in (values.lower, values.upper))
        return Interval(np.minimum(low, most), np.minimum(high, most))

    @cached_property
    def _sizes(self) -> FloatArray:
        """For each cell a bound of everything in :meth:`_at`, the ends of its interval included."""
        steepness = self.over_cells.magnitude * (self.nodes[1:] - self.nodes[:-1])
        return self.at_nodes.magnitude[:-1] + self.at_nodes.magnitude[1:] + 2 * steepness

    def values(self, z: Interval) -> Interval:
        """All φ(z)."""
        if self._rises:
            ends = np.stack([z.lower, z.upper])
            at = self._at(ends, self._cell(ends))
            return Interval(at.lower[0], at.upper[1])
        first, end = self._cell(z.lower), self._cell(z.upper)
        result = self._at(z.lower, first) | self._at(z.upper, end)
        final = self._until(first, end, z.upper)
        for cell, inside in ((first, final > first), (final, final > first)):
            node = self.at_nodes[np.where(cell == first, first + 1, final)]
            result = _where(inside, result | node, result)
            slope = self.over_cells[cell]
            turns = (slope.lower < 0) & (slope.upper > 0)
            result = _where(turns, result | self._over_cells_values[cell], result)
        between = final > first + 1
        middle = self._value_extremes.between(
            np.where(between, first + 1, first), np.where(between, final - 1, first)
        )
        return self._within(_where(between, result | middle, result))

    def slopes(self, z: Interval) -> Interval:
        """All slopes of φ between two points of the interval."""
        first = self._cell(z.lower)
        return self._slope_extremes.between(first, self._until(first, self._cell(z.upper), z.upper))

    def along(self, points: FloatArray) -> tuple[FloatArray, Interval, Interval]:
        """The points, φ there, and all slopes between them."""
        cell = self._cell(points)
        ends = self._until(cell[:-1], cell[1:], points[1:])
        return points, self._at(points, cell), self._slope_extremes.between(cell[:-1], ends)


def under_lines(
    left: FloatArray, right: FloatArray, most: FloatArray, least: FloatArray, width: FloatArray
) -> FloatArray:
    """A bound from above of f on [0, width] where f(0) ≤ left, f(width) ≤ right, least ≤ f' ≤ most.

    f(t) ≤ left + most·t and f(t) ≤ right − least·(width − t). With the slopes replaced by max(most, 0)
    and max(−least, 0), the first line rises and the second falls, so the larger of their values at any
    one t bounds f everywhere; the best t is where they meet. Computed in floats: the caller rounds.
    """
    rise, fall = np.maximum(most, 0.0), np.maximum(-least, 0.0)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        meet = right - left + fall * width
        meet /= rise + fall  # where that is 0 any t is as good
        np.fmax(meet, 0.0, out=meet)  # and 0 where it is no number
        np.minimum(meet, width, out=meet)
        return np.asarray(np.maximum(left + rise * meet, right + fall * (width - meet)))


def _where(condition: npt.NDArray[np.bool_], yes: Interval, no: Interval) -> Interval:
    return Interval(
        np.where(condition, yes.lower, no.lower), np.where(condition, yes.upper, no.upper)
    )


@dataclass(frozen=True, eq=False)
class _Extremes:
    """Least lower and largest upper ends over any run of cells, by runs of lengths 1, 2, 4, …"""

    low: FloatArray
    high: FloatArray

    @classmethod
    def of(cls, x: Interval) -> _Extremes:
        low, high = [x.lower], [x.upper]
        length = 1
        while 2 * length <= x.lower.size:
            for rows, combine in ((low, np.minimum), (high, np.maximum)):
                row = rows[-1].copy()
                row[:-length] = combine(row[:-length], row[length:])
                rows.append(row)
            length *= 2
        return cls(np.stack(low), np.stack(high))

    def between(self, first: IntArray, last: IntArray) -> Interval:
        """Over the cells first, …, last."""
        level = np.frexp((last - first + 1).astype(np.float64))[1] - 1
        level = level.astype(np.int64)
        row = level * self.low.shape[1]  # as one number a place is found sooner
        begin, end = row + first, row + (last - (1 << level) + 1)
        low, high = self.low.ravel(), self.high.ravel()
        return Interval(
            np.minimum(low.take(begin), low.take(end)), np.maximum(high.take(begin), high.take(end))
        )
