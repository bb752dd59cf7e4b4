"""Rows of incoming weights as exact rationals, and which of them are proportional.

A float is a dyadic rational, so two rows of floats either are proportional or are not: there is no
tolerance here. Rows of 0.1 and 0.3 are not in the ratio 1 : 3, because the float 0.3 is not three times
the float 0.1.

Almost all rows are told apart by floats alone: proportional rows have the same f = ⟨row, r⟩/‖row‖₁ for a
random r, up to rounding, and rows with different f are not proportional. Only rows that may be are
compared exactly, by their multiples in coprime integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import gcd, inf, lcm

import numpy as np
import numpy.typing as npt

from symlump.errors import FailureError
from symlump.ode.exact import ExactArray, FloatArray, IntArray
from symlump.ode.machine import nearest_float

Key = tuple[int, ...] | bytes


@dataclass(frozen=True, eq=False)
class Column:
    """Rationals Σ_k parts[k] / divisor, entry by entry.

    parts[0] is the float nearest to the sum, parts[1] nearest to the rest, and so on, so that equal numbers
    have equal parts.
    """

    parts: FloatArray
    divisor: int

    @classmethod
    def of(cls, values: list[Fraction], divisor: int) -> Column:
        """The rationals values / divisor, where the values are dyadic.

        Raises
        ------
        FailureError
            If floats are too few to hold them: beyond 1e308, or with bits below 1e-323.
        """
        parts: list[list[float]] = []
        while not parts or any(values):
            parts.append([nearest_float(value) for value in values])
            if any(abs(f) == inf or (v and not f) for v, f in zip(values, parts[-1], strict=True)):
                raise FailureError(
                    "sums of these weights are beyond what floats hold, even in parts; rescale the network"
                )
            values = [v - Fraction(f) for v, f in zip(values, parts[-1], strict=True)]
        return cls(np.array(parts), divisor)

    def entry(self, unit: int) -> Fraction:
        """One entry."""
        first, *rest = self.parts[:, unit].tolist()
        value = sum(map(Fraction, rest), Fraction(first)) if any(rest) else Fraction(first)
        return value if self.divisor == 1 else value / self.divisor

    def take(self, units: IntArray) -> Column:
        """Some entries."""
        return Column(self.parts[:, units], self.divisor)


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows (w_1, …, w_n, b) of a layer: incoming weights and bias, as exact rationals.

    Parameters
    ----------
    floats : ndarray, shape (units, n + 1)
        The entries; in the columns below to within two roundings.
    columns : dict of int to Column
        The columns whose entries floats do not hold.
    """

    floats: FloatArray
    columns: dict[int, Column]

    def entry(self, unit: int, column: int) -> Fraction:
        """One entry, exactly."""
        if column in self.columns:
            return self.columns[column].entry(unit)
        return Fraction(float(self.floats[unit, column]))

    def bias(self, unit: int) -> Fraction:
        """The last entry, exactly."""
        return self.entry(unit, self.floats.shape[1] - 1)

    def nonzero(self) -> npt.NDArray[np.bool_]:
        """Which entries are not zero."""
        mask = np.asarray(self.floats != 0)
        for column, values in self.columns.items():
            mask[:, column] = values.parts[0] != 0
        return mask

    def take(self, units: IntArray) -> Rows:
        """The rows of some units."""
        if np.array_equal(units, np.arange(len(self.floats))):
            return self
        columns = {number: column.take(units) for number, column in self.columns.items()}
        return Rows(self.floats[units], columns)

    def take_columns(self, columns: IntArray) -> Rows:
        """Some columns, in the given order."""
        place = {old: new for new, old in enumerate(columns.tolist())}
        kept = {place[old]: column for old, column in self.columns.items() if old in place}
        return Rows(self.floats[:, columns], kept)

    def exact(self, units: IntArray, columns: IntArray) -> ExactArray:
        """The entries at the given places."""
        if not self.columns:
            return ExactArray.from_floats(self.floats[units, columns])
        places = zip(units.tolist(), columns.tolist(), strict=True)
        return ExactArray.from_fractions(self.entry(u, c) for u, c in places)

    def nearest(self) -> FloatArray:
        """Every entry rounded to the nearest float."""
        floats = self.floats.copy()
        for number, column in self.columns.items():
            floats[:, number] = column.parts[0]
            if column.divisor != 1:
                units = range(len(floats))
                floats[:, number] = [nearest_float(column.entry(unit)) for unit in units]
        return floats


@dataclass(frozen=True, eq=False)
class UnitLift:
    """How the units of a layer follow from those that are kept: h_i = scale_i·ĥ_block(i) + offset_i.

    ``block`` is −1 for a unit that is constant.
    """

    block: IntArray
    scale: tuple[Fraction, ...]
    offset: tuple[Fraction, ...]

    @classmethod
    def identity(cls, width: int) -> UnitLift:
        """Every unit is kept."""
        return cls(np.arange(width), (Fraction(1),) * width, (Fraction(0),) * width)


def aggregate(weight: FloatArray, bias: FloatArray | None, before: UnitLift) -> Rows:
    """The rows of a layer in terms of the kept units before it: Σ_{j∈B} w_ij·scale_j, and the new bias.

    Examples
    --------
    >>> lift = UnitLift(np.array([0, 0]), (Fraction(1), Fraction(-1)), (Fraction(0), Fraction(1)))
    >>> aggregate(np.array([[5.0, 2.0]]), None, lift).floats.tolist()
    [[3.0, 2.0]]
    """
    units = weight.shape[0]
    count = int(before.block.max(initial=-1)) + 1
    floats = np.zeros((units, count + 1))
    sizes = np.bincount(before.block[before.block >= 0], minlength=count)
    kept = np.flatnonzero(before.block >= 0)
    plain = np.array([before.scale[j] == 1 for j in kept], dtype=bool)
    plain &= sizes[before.block[kept]] == 1
    if plain.all() and np.array_equal(before.block, np.arange(count)):
        floats[:, :count] = weight
    else:
        floats[:, before.block[kept[plain]]] = weight[:, kept[plain]]
    members: dict[int, list[int]] = {}
    for j in kept[~plain].tolist():
        members.setdefault(int(before.block[j]), []).append(j)
    sums = [(b, weight[:, js], [before.scale[j] for j in js]) for b, js in members.items()]
    constant = np.zeros(units) if bias is None else bias
    moved = [j for j, c in enumerate(before.offset) if c]
    with_bias = np.column_stack([constant, weight[:, moved]])
    sums.append((count, with_bias, [Fraction(1), *(before.offset[j] for j in moved)]))
    columns: dict[int, Column] = {}
    for number, part, factors in sums:
        column = combination(part, factors)
        floats[:, number] = column.parts[0] / column.divisor
        if len(column.parts) > 1 or column.divisor != 1:
            columns[number] = column
    floats += 0.0  # no negative zeros: equal rows have equal bytes
    return Rows(floats, columns)


def combination(matrix: FloatArray, factors: list[Fraction]) -> Column:
    """Σ_k factor_k·column_k, exactly.

    Where the products or their sums would round, the matrix is cut into slices so short that they do not:
    each slice holds the next bits of all entries, on one grid.

    Examples
    --------
    >>> combination(np.array([[1.0, 3.0]]), [Fraction(1), Fraction(1, 3)]).parts.tolist()
    [[6.0]]
    >>> tiny = combination(np.array([[1.0, 2.0**-80]]), [Fraction(1), Fraction(1)])
    >>> tiny.parts.tolist() == [[1.0], [2.0**-80]]
    True
    """
    divisor = lcm(*(f.denominator for f in factors if not _is_dyadic(f)))
    whole = [f * divisor for f in factors]
    rounded = np.array([nearest_float(f) for f in whole])
    bits = int(np.frexp(np.abs(rounded))[1].max() - lowest_bits(rounded).min())
    room = 52 - bits - len(factors).bit_length()  # bits of an entry for which nothing rounds
    fits = all(Fraction(r) == f for r, f in zip(rounded.tolist(), whole, strict=True))
    slices: list[FloatArray] = []
    rest = matrix
    if fits and room > 8 and lowest_bits(matrix).min(initial=0) > -900:
        while len(slices) < 2 and (top := int(np.frexp(np.abs(rest).max())[1])) < 900:
            if top - room <= int(lowest_bits(rest).min()):
                slices.append(rest @ rounded)
                break
            shift = 1.5 * 2.0 ** (top - room + 52)
            head = (rest + shift) - shift  # rounded to a multiple of 2^(top − room)
            slices.append(head @ rounded)
            rest = rest - head
        else:
            slices = []
    if len(slices) == 1:
        return Column(np.array(slices), divisor)
    if len(slices) == 2:
        a, b = slices
        total = a + b
        other = total - a
        error = (a - (total - other)) + (b - other)
        return Column(np.array([total, error] if error.any() else [total]), divisor)
    exact = [
        sum((Fraction(w) * f for w, f in zip(row, whole, strict=True)), Fraction(0))
        for row in matrix.tolist()
    ]
    return Column.of(exact, divisor)


def _is_dyadic(value: Fraction) -> bool:
    return value.denominator & (value.denominator - 1) == 0


def lowest_bits(values: FloatArray) -> IntArray:
    """For each float the largest k such that it is a multiple of 2^k (a large number for 0).

    Examples
    --------
    >>> lowest_bits(np.array([12.0, 0.75, 0.0])).tolist()
    [2, -2, 2000]
    """
    mantissa, exponent = np.frexp(values)
    whole = np.ldexp(mantissa, 53).astype(np.int64)
    lowest = np.frexp((whole & -whole).astype(np.float64))[1] - 1
    return np.where(whole == 0, 2000, lowest + exponent.astype(np.int64) - 53)


def proportional(
    rows: Rows, units: IntArray, scale: bool, reflect: bool
) -> tuple[IntArray, list[Fraction]]:
    """Group rows by exact proportionality.

    Parameters
    ----------
    rows : Rows
        None of the rows is zero.
    units : ndarray of int
        Which rows to look at.
    scale : bool
        Positive factors count as equal; else only the factor 1.
    reflect : bool
        So does the factor −1.

    Returns
    -------
    labels : ndarray of int
        For each of ``units`` the position in ``units`` of the first member of its group.
    factors : list of Fraction
        row = factor · row of that first member.

    Examples
    --------
    >>> rows = Rows(np.array([[1.0, 0.1], [-2.0, -0.2], [3.0, 0.3]]), {})
    >>> labels, factors = proportional(rows, np.arange(3), scale=True, reflect=True)
    >>> labels.tolist(), factors[1]   # the float 0.2 is twice 0.1, but 0.3 is not three times 0.1
    ([0, 0, 2], Fraction(-2, 1))
    """
    if not units.size:  # of a layer of constants; its rows may have no columns either
        return np.arange(0), []
    part = rows.take(units)
    signs = _leading_signs(part) if reflect else np.ones(units.size, dtype=np.int64)
    labels = np.arange(units.size)
    factors = [Fraction(1)] * units.size
    runs = _candidates(part.floats, reflect) if scale else [np.arange(units.size)]
    for run in runs:
        first: dict[Key, tuple[int, Fraction]] = {}
        for i in run.tolist():
            sign = int(signs[i])
            key, content = _primitive(part, i, sign) if scale else _plain(part, i, sign)
            leader, own = first.setdefault(key, (i, content))
            labels[i] = leader
            factors[i] = content / own
    return labels, factors


def _leading_signs(rows: Rows) -> IntArray:
    """The sign of the first entry of each row that is not zero."""
    column = rows.nonzero().argmax(axis=1)
    return np.asarray(np.sign(rows.floats[np.arange(len(column)), column]), dtype=np.int64)


def _candidates(floats: FloatArray, reflect: bool) -> list[IntArray]:
    """Runs of rows that may be proportional, by f = ⟨row, r⟩/‖row‖₁; members in ascending order.

    With n terms, both sums are off by at most (n + 2)·u·Σ|row_j||r_j| and (n + 2)·u·‖row‖₁, where entries are
    already rounded once, so f is off by less than 8·(n + 2)·u·max|r|, u = 2⁻⁵³.
    """
    r = np.random.default_rng(0).standard_normal(floats.shape[1])
    largest = np.abs(floats).max(axis=1, initial=0.0)
    scaled = np.ldexp(
        floats, -np.frexp(largest)[1][:, None]
    )  # no overflow; what underflows is below u
    f = (scaled @ r) / np.abs(scaled).sum(axis=1)
    f = np.abs(f) if reflect else f
    order = np.argsort(f, kind="stable")
    slack = 2 * 8 * (floats.shape[1] + 2) * 2.0**-53 * float(np.abs(r).max(initial=1.0))
    cuts = np.flatnonzero(~(np.diff(f[order]) <= slack)) + 1
    return [np.sort(run) for run in np.split(order, cuts) if run.size > 1]


def _primitive(rows: Rows, unit: int, sign: int) -> tuple[Key, Fraction]:
    """A row as coprime integers times a rational; ``sign`` goes into the rational.

    Columns are taken times their divisors, which is the same factor in all rows.
    """
    exact = [column.entry(unit) * column.divisor for _, column in sorted(rows.columns.items())]
    plain = rows.floats[unit]
    if rows.columns:
        plain = np.delete(plain, sorted(rows.columns))
    pairs = [value.as_integer_ratio() for value in (*plain.tolist(), *exact)]
    bottom = max(q for _, q in pairs)  # powers of two
    whole = [p * (bottom // q) for p, q in pairs]
    divisor = sign * gcd(*whole)
    return tuple([p // divisor for p in whole]), Fraction(divisor, bottom)


def _plain(rows: Rows, unit: int, sign: int) -> tuple[Key, Fraction]:
    """A row times ``sign``, as it stands."""
    parts = [column.parts[:, unit] for _, column in sorted(rows.columns.items())]
    row = np.concatenate([rows.floats[unit], *parts])
    return (sign * row + 0.0).tobytes(), Fraction(sign)
