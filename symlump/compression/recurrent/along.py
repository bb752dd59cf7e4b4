"""A cell and its smaller version along a sequence, enclosed as affine forms that share their unknowns.

With h the original's state, ĥ that of the smaller one and p the block of each unit, h, ĥ and δ = h − ĥ_p are
followed. The unknowns are the inputs of every step and what each step leaves open, unit by unit. So what the
two have in common is subtracted before any size is taken, as far as it is linear. δ is the narrower of the
difference of the two and of what its own equations give: with s a slope of the activation between arguments,

    without gates   δ⁺ = s·δa,   δa = V·δ + (V·U − V̂_p)·ĥ + …
    gru             δ⁺ = δn + z·(δ − δn) + δz·(ĥ − n̂)_p,   δn = s·(δw + r·δv + δr·v̂_p)
    lstm            δc⁺ = f·δc + δf·ĉ_p + i·δg + δi·ĝ_p,   δh⁺ = o·δt + δo·t̂_p,   t = tanh(c⁺)

Every term has δ as a factor, or how far weights of the smaller cell are from sums of the original's. Where the
reset gate comes first, r·h is in place of h, with r·δ + δr·ĥ_p. A state of a GRU is a convex combination of n
and of h, which is written in two ways, and the narrower one is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum

import numpy as np

from symlump.enclosures.interval import Interval
from symlump.enclosures.shared_forms import SharedForms, Unknowns, narrower, stack_forms
from symlump.errors import FailureError
from symlump.network.activations.table import activation
from symlump.network.bounds.bands import straight
from symlump.network.bounds.curves import Curve, curve
from symlump.network.recurrent.cells import Cell
from symlump.network.recurrent.equations import Dense
from symlump.ode.exact import FloatArray, IntArray

#: Unknowns that are kept: at least so many, and so many for each row of the states and each input. What older
#: ones add goes into new ones, one for each row, so that in wide cells this is half as many steps.
_UNKNOWNS, _PER_ROW = 4096, 12


@dataclass(frozen=True, eq=False)
class CellReading:
    """How a dense layer, or every gate of another cell, reads a cell.

    Parameters
    ----------
    name : str
        Of what reads it.
    whole, part : Dense
        Of the original, and of the smaller network.
    rows_as : ndarray of int
        The row of the second for each of the first.
    """

    name: str
    whole: Dense
    part: Dense
    rows_as: IntArray


@dataclass(frozen=True, eq=False)
class Followed:
    """What two cells are off by, and what is read of the smaller one.

    Parameters
    ----------
    off : ndarray, shape (steps, units)
        Bounds of \\|h − ĥ_p\\| at the end of each step. Those of "flint" and "mpmath", which take each step
        by itself, hold at its beginning as well.
    readings : list of (ndarray, ndarray)
        For each reading, bounds of what its rows are off by at each step, and where those of the smaller
        network are at any, shapes (steps, rows) and (rows, 2).
    """

    off: FloatArray
    readings: list[tuple[FloatArray, FloatArray]]


@dataclass(frozen=True, eq=False)
class _Both:
    """A value of the original, of the smaller one, and the difference."""

    whole: SharedForms
    part: SharedForms
    apart: SharedForms

    @property
    def parts(self) -> list[SharedForms]:
        return [self.whole, self.part, self.apart]


def follow(
    cells: tuple[Cell, Cell],
    labels: IntArray,
    reach: FloatArray,
    off: FloatArray,
    read_as: IntArray,
    readings: list[CellReading],
    most: dict[str, float],
    steps: int,
) -> Followed:
    """Enclose both cells, step by step.

    Parameters
    ----------
    cells : (Cell, Cell)
        The original, and the smaller one.
    labels, read_as : ndarray of int
        The block of each unit, and of each input.
    reach : ndarray, shape (inputs of the smaller one, 2)
        Where these are at every step.
    off : ndarray, shape (inputs of the original,)
        How far its inputs may be from them.
    most : dict of float
        By letter, what no state of either ever exceeds; infinite where nothing is known.
    steps : int

    Raises
    ------
    FailureError
        If numbers overflow.
    """
    pair = _Pair(cells, labels, read_as, reach, off)
    states, letters = pair.start, cells[0].states
    units = cells[0].units
    bounds, found = np.zeros((steps, units)), [_Read(reading, pair) for reading in readings]
    width = sum(part.error.size for state in states for part in state.parts)
    for step in range(steps):
        kept = pair.unknowns.forget(
            [part for state in states for part in state.parts],
            max(_UNKNOWNS, _PER_ROW * (width + reach.shape[0])),
        )
        states = [_Both(*kept[k : k + 3]) for k in range(0, len(kept), 3)]
        with np.errstate(over="ignore", invalid="ignore"):
            states = pair.step(states, [most[letter] for letter in letters])
        if not all(np.isfinite(part.radius).all() for state in states for part in state.parts):
            raise FailureError(
                f"the enclosures leave every bound at step {step + 1}; a smaller box may do"
            )
        if not pair.equal:
            bounds[step] = states[0].apart.range.magnitude
        for read in found:
            read.see(states[0])
    return Followed(bounds, [(np.array(read.off), read.reach) for read in found])


class _Pair:
    """The steps of two cells."""

    def __init__(
        self,
        cells: tuple[Cell, Cell],
        labels: IntArray,
        read_as: IntArray,
        reach: FloatArray,
        off: FloatArray,
    ) -> None:
        self.whole, self.part = cells
        self.labels, self._read_as = labels, read_as
        self._reach, self._off = Interval(*reach.T), Interval(-off, off)
        self.unknowns = Unknowns()
        one, two = cells
        self._weights = (
            (one.input_weight, two.input_weight),
            (one.hidden_weight, two.hidden_weight),
        )
        #: By gate, how far weights of the smaller one are from sums of the original's.
        self._more = [
            [surplus(w, v[labels], columns_as) for w, v in zip(*pair, strict=True)]
            for pair, columns_as in zip(self._weights, (read_as, labels), strict=True)
        ]
        self._biases = [
            [
                np.zeros(weights.shape[:2]) if b is None else b
                for b in (cell.input_bias, cell.hidden_bias)
            ]
            for cell, weights in ((one, one.input_weight), (two, two.input_weight))
        ]
        places = [
            (g, which)
            for g in range(len(one.hidden_weight))
            for which in (((0,), (1,)) if (one.kind, g) == ("gru", 2) else ((0, 1),))
        ]
        #: By gate and which of its biases are added there, how far those of the two are apart.
        self._biases_apart: dict[tuple[int, tuple[int, ...]], FloatArray] = {
            place: self._bias_apart(*place) for place in places
        }
        #: Where the states begin.
        self.start = self._begin()
        #: Whether nothing ever takes the two apart.
        self.equal = not (
            off.any()
            or any(more.any() for some in self._more for more in some)
            or any(apart.any() for apart in self._biases_apart.values())
            or any(state.apart.middle.any() for state in self.start)
        )

    def _bias_apart(self, gate: int, which: tuple[int, ...]) -> FloatArray:
        whole, part = ([some[k][gate] for k in which] for some in self._biases)
        return exact_sum([*whole, *(-bias[self.labels] for bias in part)])

    def _begin(self) -> list[_Both]:
        found = []
        for s in range(len(self.whole.states)):
            one, two = (
                np.zeros(cell.units) if cell.start is None else cell.start[s]
                for cell in (self.whole, self.part)
            )
            apart = Interval.point(one) - two[self.labels]
            fixed = (Interval.point(one), Interval.point(two), apart)
            found.append(_Both(*map(self.unknowns.fresh, fixed)))
        return found

    def step(self, states: list[_Both], most: list[float]) -> list[_Both]:
        """The states after one more step, whatever the inputs are."""
        u = self._inputs()
        h, kind = states[0], self.whole.kind
        if kind == "lstm":
            return self._lstm(u, h, states[1], most)
        if kind in ("tanh", "relu"):
            return [self._settled(self._apply(kind, self._of(0, u, h)), most[0])]
        n, z = self._new(u, h), self._apply("sigmoid", self._of(1, u, h))
        first = _sum(n, self._product(z, _sum(h, _times(n, -1.0))))
        second = _sum(self._product(z, h), self._product(_times(z, -1.0, 1.0), n))
        return [self._settled(_Both(*map(narrower, first.parts, second.parts)), most[0])]

    def _new(self, u: _Both, h: _Both) -> _Both:
        """The value n of a GRU."""
        r = self._apply("sigmoid", self._of(0, u, h))
        if self.whole.kind == "gru_reset_first":
            return self._apply("tanh", self._of(2, u, self._product(r, h)))
        seen = self._product(r, self._of(2, None, h))
        return self._apply("tanh", _sum(self._of(2, u, None), seen))

    def _lstm(self, u: _Both, h: _Both, c: _Both, most: list[float]) -> list[_Both]:
        i, f, g, o = (
            self._apply(name, self._of(k, u, h))
            for k, name in enumerate(("sigmoid", "sigmoid", "tanh", "sigmoid"))
        )
        c = self._settled(_sum(self._product(f, c), self._product(i, g)), most[1])
        return [self._settled(self._product(o, self._apply("tanh", c)), most[0]), c]

    def _inputs(self) -> _Both:
        part, apart = self.unknowns.fresh(self._reach), self.unknowns.fresh(self._off)
        return _Both(part[self._read_as] + apart, part, apart)

    def _of(self, gate: int, u: _Both | None, h: _Both | None) -> _Both:
        """W·u + b + V·h + d, or one half of that."""
        read = [(k, x) for k, x in enumerate((u, h)) if x is not None]
        which = tuple(k for k, _ in read)
        wholes, parts, aparts = [], [], []
        for k, x in read:
            w, v = (weights[gate] for weights in self._weights[k])
            wholes.append((w, x.whole))
            parts.append((v, x.part))
            aparts += [(w, x.apart), (self._more[k][gate], x.part)]
        biases = [[some[k][gate] for k in which] for some in self._biases]
        biases.append([self._biases_apart[gate, which]])
        return _Both(
            *(
                stack_forms(*(x for _, x in some)).through(np.hstack([w for w, _ in some]), *added)
                for some, added in zip((wholes, parts, aparts), biases, strict=True)
            )
        )

    def _apply(self, name: str, a: _Both) -> _Both:
        """φ, of both, and the difference by slopes between the arguments."""
        one, two = a.whole.range, a.part.range
        hull = one | two[self.labels]
        phi = _curve(name, hull, two)
        slope, radius = phi.slopes(hull).ball()
        apart = a.apart.line(slope, np.zeros_like(slope), radius * a.apart.range.magnitude)
        whole, part = _through(phi, a.whole, one), _through(phi, a.part, two)
        return _Both(whole, part, apart)

    def _product(self, x: _Both, y: _Both) -> _Both:
        """x·y, and x·y − (x̂·ŷ)_p = x·δy + δx·ŷ_p."""
        apart = x.whole * y.apart + x.apart * y.part[self.labels]
        return _Both(x.whole * y.whole, x.part * y.part, apart)

    def _settled(self, x: _Both, most: float) -> _Both:
        whole, part = (self.unknowns.settle(v.within(most)) for v in (x.whole, x.part))
        apart = narrower(x.apart, whole - part[self.labels]).within(2 * most)
        return _Both(whole, part, self.unknowns.settle(apart))


def _sum(x: _Both, y: _Both) -> _Both:
    return _Both(*(a + b for a, b in zip(x.parts, y.parts, strict=True)))


def _times(x: _Both, slope: float, offset: float = 0.0) -> _Both:
    """slope·x + offset."""
    parts = []
    for part, constant in zip(x.parts, (offset, offset, 0.0), strict=True):
        one = np.ones_like(part.middle)
        parts.append(part.line(slope * one, constant * one, 0.0 * one))
    return _Both(*parts)


def _curve(name: str, *ranges: Interval) -> Curve:
    return curve(activation(name), max(float(z.magnitude.max(initial=0.0)) for z in ranges))


def _through(phi: Curve, x: SharedForms, z: Interval) -> SharedForms:
    band = straight(phi, z)
    return x.line(band.slope, band.offset, band.radius)


class _Read:
    """What is read of both, over all steps."""

    def __init__(self, reading: CellReading, pair: _Pair) -> None:
        (self._weight, bias), (self._part, other) = reading.whole, reading.part
        self._rows = rows = reading.rows_as
        own = np.zeros(len(self._weight)) if bias is None else bias
        self._other = np.zeros(len(self._part)) if other is None else other
        self._more = surplus(self._weight, self._part[rows], pair.labels)
        self._level = exact_sum([own, -self._other[rows]])
        self._equal = pair.equal and not self._more.any() and not self._level.any()
        self.off: list[FloatArray] = []
        self.reach = np.tile([np.inf, -np.inf], (len(self._part), 1))

    def see(self, h: _Both) -> None:
        """Take one more state in."""
        close = stack_forms(h.apart, h.part).through(
            np.hstack([self._weight, self._more]), self._level
        )
        both = np.hstack([self._weight, -self._part[self._rows]])
        far = stack_forms(h.whole, h.part).through(both, self._level)
        least = np.minimum(close.range.magnitude, far.range.magnitude)
        self.off.append(np.zeros_like(least) if self._equal else least)
        where = h.part.through(self._part, self._other).range
        self.reach[:, 0] = np.minimum(self.reach[:, 0], where.lower)
        self.reach[:, 1] = np.maximum(self.reach[:, 1], where.upper)


def surplus(whole: FloatArray, part: FloatArray, columns_as: IntArray) -> FloatArray:
    """W·E − Ŵ, where E adds up the columns that belong together: each entry rounded once.

    Examples
    --------
    >>> surplus(np.array([[0.1, 0.2, 1.0]]), np.array([[0.3, 1.0]]), np.array([0, 0, 1])).tolist()
    [[2.7755575615628914e-17, 0.0]]
    """
    found = -part
    for block in range(part.shape[1]):
        members = np.flatnonzero(columns_as == block)
        columns = [*whole[:, members].T, -part[:, block]]
        found[:, block] = exact_sum(columns)
    return found


def exact_sum(parts: list[FloatArray]) -> FloatArray:
    """The real sum, entry by entry, rounded once."""
    if len(parts) < 3:
        return np.asarray(sum(parts))
    try:
        return np.array(
            [fsum(entries) for entries in zip(*(p.tolist() for p in parts), strict=True)]
        )
    except OverflowError:
        raise FailureError("sums of the cell's weights overflow float64") from None
