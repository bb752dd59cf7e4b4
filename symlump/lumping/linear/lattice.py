"""Shorter integer bases by lattice reduction, where python-flint is installed."""

from __future__ import annotations

from symlump.lumping.linear.spaces.small_terms import Row

#: Above this many rows or bits a reduction takes longer than the lumping itself.
_MOST_ROWS, _MOST_BITS = 24, 4_000
#: Rows with no larger entry stay, and rows with so few on average: a reduced basis is not sparse as these are.
_SMALL, _FEW = 1000, 3


def shorter(rows: list[Row]) -> list[Row]:
    """A basis of the same space with smaller entries, where a lattice reduction finds one; else the rows.

    Bases are compared by the number of bits that it takes to write them down.

    Examples
    --------
    >>> shorter([{0: 1, 1: 5}, {1: -7}])
    [{0: 1, 1: 5}, {1: -7}]
    """
    largest = max(abs(value) for row in rows for value in row.values())
    if largest <= _SMALL or len(rows) > _MOST_ROWS or len(rows) * largest.bit_length() > _MOST_BITS:
        return rows
    if len(rows) > _FEW and sum(map(len, rows)) <= _FEW * len(rows):
        return rows
    try:
        from flint import fmpz_mat
    except ImportError:
        return rows
    columns = sorted({c for row in rows for c in row})
    reduced = fmpz_mat([[row.get(c, 0) for c in columns] for row in rows]).lll()
    found = [
        {c: int(value) for c, value in zip(columns, line, strict=True) if value}
        for line in reduced.tolist()
    ]
    return min(rows, found, key=_bits)


def _bits(rows: list[Row]) -> int:
    return sum(abs(value).bit_length() + 1 for row in rows for value in row.values())
