"""What the workers of a cluster do for :mod:`symlump.store.cluster`: tasks of one partition each.

Frames travel; what stays is in Parquet files of one partition each, in a folder that all workers see.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from symlump.files import replacing
from symlump.store.working import PRIME

#: Rows of a file that a task reads, and terms of a partition.
ROWS = 1_000_000

Bits = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]


def empty(*columns: str) -> Any:
    """An empty frame of integers."""
    import pandas

    names = columns or ("target", "a", "b")
    return pandas.DataFrame({name: np.zeros(0, dtype=np.int64) for name in names})


def empty_edges() -> Any:
    """No edges."""
    return empty("key", "target", "c")


def pieces_of(files: list[Path]) -> list[tuple[str, int, int]]:
    """Row groups of files, so many that a piece has about as many rows as a task takes."""
    from pyarrow.parquet import ParquetFile

    pieces = []
    for path in files:
        with ParquetFile(path) as file:
            first = rows = 0
            for k in range(file.num_row_groups):
                rows += file.metadata.row_group(k).num_rows
                if rows >= ROWS or k + 1 == file.num_row_groups:
                    pieces.append((str(path), first, k + 1))
                    first, rows = k + 1, 0
    return pieces


def read_piece(piece: tuple[str, int, int]) -> Any:
    """A piece of a file as a frame."""
    from pyarrow.parquet import ParquetFile

    path, first, end = piece
    with ParquetFile(path) as file:
        return file.read_row_groups(list(range(first, end))).to_pandas()


def read_edges(piece: tuple[str, int, int], key: str, target: str, scale: int, prime: int) -> Any:
    """Edges of a piece of the table of terms or of monomials; coefficients modulo the prime, or powers."""
    import pandas

    rows = read_piece(piece)
    if "power" in rows:
        c = rows["power"].to_numpy()
    else:
        below, which = np.unique(rows["denominator"].to_numpy(), return_inverse=True)
        factors = np.array([scale // int(d) % prime for d in below], dtype=np.int64)
        c = rows["numerator"].to_numpy() % prime * factors[which] % prime
    return pandas.DataFrame({"key": rows[key], "target": rows[target], "c": c})


def keep(frame: Any, folder: str, by: str, partition_info: Any = None) -> Any:
    """Write a partition, in order."""
    import pandas

    number = partition_info["number"]
    write_part(frame.sort_values(by), folder, number)
    return pandas.DataFrame({"count": [len(frame)]})


def write_part(frame: Any, folder: str, number: int) -> None:
    """Write the file of a partition."""
    # Whole or not at all: another worker may be at the same task.
    with replacing(Path(folder) / f"{number:06d}.parquet") as path:
        frame.to_parquet(path, index=False)


def _part(folder: str, number: int) -> Any:
    import pandas

    return pandas.read_parquet(Path(folder) / f"{number:06d}.parquet")


def _mix(x: npt.NDArray[Any], seed: int) -> Bits:
    """64 random bits of integers: SplitMix64 (doi:10.1145/2714064.2660195), twice."""
    z = x.astype(np.uint64) ^ np.uint64(seed)
    for _ in range(2):
        z = z + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return z


def _residues(bits: Bits, prime: int) -> tuple[Ints, Ints]:
    """Two residues of 64 random bits."""
    low = (bits & np.uint64(PRIME)).astype(np.int64) % prime
    return low, (bits >> np.uint64(33)).astype(np.int64) % prime


def _sums(by: Ints, *columns: npt.NDArray[Any]) -> tuple[Ints, list[npt.NDArray[Any]]]:
    """The distinct numbers in order, and the sums of columns for each (modulo 2^64, where those are bits)."""
    order = np.argsort(by, kind="stable")
    ordered = by[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))
    if not by.size:
        return by, [column[:0] for column in columns]
    return ordered[starts], [np.add.reduceat(column[order], starts) for column in columns]


def _at(keys: Ints, ids: Ints, *columns: tuple[npt.NDArray[Any], Any]) -> list[npt.NDArray[Any]]:
    """For each key what columns have where ids, in order, are that key; each column with what else to take."""
    if not ids.size:
        return [np.full(keys.shape, other, dtype=column.dtype) for column, other in columns]
    places = np.minimum(np.searchsorted(ids, keys), ids.size - 1)
    found = ids[places] == keys
    return [
        np.where(found, column[places], other).astype(column.dtype) for column, other in columns
    ]


def _products(target: Ints, c: Ints, a: Ints, b: Ints, prime: int) -> Any:
    """The partial sums of c·a and c·b by target, modulo the prime."""
    import pandas

    ids, (first, second) = _sums(target, c * a % prime, c * b % prime)
    return pandas.DataFrame({"target": ids, "a": first % prime, "b": second % prime})


@dataclass(frozen=True)
class RoundValues:
    """The random values of variables: of their blocks."""

    folder: str
    seed: int
    residues: bool
    prime: int

    def part(self, number: int) -> tuple[Ints, Bits]:
        """Variables of a partition, and the bits of their blocks."""
        frame = _part(self.folder, number)
        return frame["variable"].to_numpy(), _mix(frame["block"].to_numpy(), self.seed)


def spread_blocks(number: int, edges: str, values: RoundValues) -> Any:
    """What the values of one partition add to their targets: modulo the prime, or 64 bits in all."""
    import pandas

    ids, bits = values.part(number)
    frame = _part(edges, number)
    keys, target, c = (frame[name].to_numpy() for name in ("key", "target", "c"))
    if values.residues:
        first, second = _residues(bits, values.prime)
        a, b = _at(keys, ids, (first, 0), (second, 0))
        return _products(target, c, a, b, values.prime)
    (drawn,) = _at(keys, ids, (bits, 0))
    targets, (total,) = _sums(target, c.astype(np.uint64) * drawn)
    whole = total.view(np.int64)
    return pandas.DataFrame({"target": targets, "a": whole, "b": np.zeros_like(whole)})


def through_terms(frame: Any, edges: str, seed: int, prime: int, partition_info: Any = None) -> Any:
    """From the sums Σ power·r(block) of monomials to those of equations, for the bits of each monomial."""
    number = partition_info["number"]
    ids, (total,) = _sums(frame["target"].to_numpy(), frame["a"].to_numpy().view(np.uint64))
    bits, none = _mix(total, seed + 1), _mix(np.zeros(1, dtype=np.int64), seed + 1)
    first, second = _residues(bits, prime)
    a0, b0 = _residues(none, prime)  # of the monomial 1, which has no factors
    terms = _part(edges, number)
    a, b = _at(terms["key"].to_numpy(), ids, (first, a0[0]), (second, b0[0]))
    return _products(terms["target"].to_numpy(), terms["c"].to_numpy(), a, b, prime)


def through_factors(
    frame: Any, edges: str, seed: int, prime: int, partition_info: Any = None
) -> Any:
    """From the weighted coefficient W of each monomial m to Σ power·W·r(m/x) of each of its variables x."""
    import pandas

    number = partition_info["number"]
    ids, (first, second) = _sums(*(frame[name].to_numpy() for name in ("target", "a", "b")))
    factors = _part(edges, number)
    monomial, variable, power = (factors[name].to_numpy() for name in ("key", "target", "c"))
    drawn = _mix(variable, seed + 1)
    there, (total,) = _sums(monomial, power.astype(np.uint64) * drawn)
    (whole,) = _at(monomial, there, (total, 0))
    da, db = _residues(_mix(whole - drawn, seed + 2), prime)
    a, b = _at(monomial, ids, (first % prime, 0), (second % prime, 0))
    c = power % prime
    targets, (x, y) = _sums(variable, c * (da * a % prime) % prime, c * (db * b % prime) % prime)
    return pandas.DataFrame({"target": targets, "a": x % prime, "b": y % prime})


def split_blocks(
    frame: Any, now: str, after: str, seed: int, prime: int, partition_info: Any = None
) -> Any:
    """Name blocks by what they were and by the sums of their members; returns the names of a partition."""
    import pandas

    number = partition_info["number"]
    ids, (first, second) = _sums(*(frame[name].to_numpy() for name in ("target", "a", "b")))
    old = _part(now, number)
    a, b = _at(old["variable"].to_numpy(), ids, (first % prime, 0), (second % prime, 0))
    name = _mix(_mix(old["block"].to_numpy(), seed + 3) + _mix((a << 31) | b, seed + 4), seed + 5)
    block = name.view(np.int64)
    write_part(pandas.DataFrame({"variable": old["variable"], "block": block}), after, number)
    return pandas.DataFrame({"block": np.unique(block)})


def count_names(frame: Any) -> Any:
    """How many names there are in a partition."""
    import pandas

    return pandas.DataFrame({"count": [frame["block"].nunique()]})
