"""Packed safetensors: each weight in the fewest bytes that give it back exactly, as the header says.

The metadata of such a file has, under ``packed``, a JSON object with ``version`` (1) and ``tensors``: for each
tensor NAME that is packed its ``shape``, its ``dtype``, and one of

- ``bits``: NAME.codes are whole numbers, each plus 2^(bits − 1) in so many bits; NAME.steps is what they are
  multiplied by, of the shape that spreads over the tensor;
- ``blocks``: NAME.numbers are blocks one after the other, each given by its first row, the row after its last,
  the same of columns, and its rank: of rank r ≥ 0 the left factor, then the right one; of −1 all its entries.
  What no block covers is 0. NAME.rows and NAME.columns, where there are some, say which row and which column
  of the tensor each of the blocks' is;
- nothing more: NAME.numbers are the numbers themselves.

With ``sparse`` true, codes or numbers are those that are not 0, in their order, and NAME.places has a bit for
each number of the tensor. Bits stand in bytes (uint8), the lowest first. What is not listed is stored as it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch

from symlump.errors import FileFormatError
from symlump.network.precision import PRECISIONS, Precision
from symlump.network.saved.codings import (
    FEWEST,
    MOST,
    BlockWeight,
    find_grid,
    pack_bits,
    packed_size,
    unpack_bits,
)
from symlump.network.saved.load import PARTS
from symlump.ode.exact import FloatArray, IntArray

#: Under this name the header stands in the metadata.
KEY = "packed"
VERSION = 1
#: How many times its bytes in the file a tensor may take, unpacked; what takes more is stored otherwise.
MAX_GROWTH = 256
_MAX_HEADER = 1 << 24
_MAX_AXES = 8

Tensors = dict[str, torch.Tensor]


def pack_tensors(
    tensors: Mapping[str, torch.Tensor], blocks: Sequence[BlockWeight] = ()
) -> tuple[Tensors, str]:
    """Tensors as they are stored, and the header that says how.

    Parameters
    ----------
    tensors : dict of str to Tensor
    blocks : sequence of BlockWeight
        What some of the tensors are the products of, in any order.

    Examples
    --------
    >>> stored, header = pack_tensors({"w": torch.tensor([[7.0, -7.0, 1.0, 2.0, 0.0, 5.0, 3.0, 4.0, 1.0]])})
    >>> {name: tensor.numel() * tensor.element_size() for name, tensor in stored.items()}
    {'w.codes': 5, 'w.steps': 4}
    >>> header
    '{"version": 1, "tensors": {"w": {"shape": [1, 9], "dtype": "float32", "bits": 4}}}'
    """
    stored: Tensors = {}
    entries: dict[str, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        own = any(f"{name}.{part}" in tensors for part in PARTS)
        found = None if own else _fewest(tensor, blocks)
        if found is None:
            stored[name] = tensor
            continue
        entries[name], parts = found
        stored |= {f"{name}.{part}": held.contiguous() for part, held in parts.items()}
    return stored, json.dumps({"version": VERSION, "tensors": entries})


def _fewest(
    tensor: torch.Tensor, blocks: Sequence[BlockWeight]
) -> tuple[dict[str, Any], Tensors] | None:
    """How a tensor is stored in the fewest bytes: its entry, and its parts; None as it is."""
    dtype = str(tensor.dtype).removeprefix("torch.")
    precision = PRECISIONS.get(dtype)
    if precision is None or not 2 <= tensor.dim() <= _MAX_AXES or not tensor.numel():
        return None
    weight = tensor.detach().double().numpy()
    if not np.isfinite(weight).all():
        return None
    entry: dict[str, Any] = {"shape": list(weight.shape), "dtype": dtype}
    kept = weight != 0
    places = {"places": torch.from_numpy(np.packbits(kept, bitorder="little"))}
    found = [({**entry, "sparse": True}, {"numbers": tensor[torch.from_numpy(kept)], **places})]
    grid = find_grid(weight, precision)
    if grid is not None:
        coded = {**entry, "bits": grid.bits}
        steps = torch.from_numpy(grid.steps).to(tensor.dtype)
        for chosen, sparse, more in (
            (grid.codes, {}, {}),
            (grid.codes[kept], {"sparse": True}, places),
        ):
            codes = torch.from_numpy(pack_bits(chosen, grid.bits))
            found.append(({**coded, **sparse}, {"codes": codes, "steps": steps, **more}))
    for block in blocks:
        if block.shape == weight.shape:
            product = precision.nearest(block.dense(), "weight")
            if np.array_equal(product, weight):
                found.append(_blocks(entry, block, tensor.dtype))
    whole = tensor.numel() * tensor.element_size()
    possible = [
        (size, entry, parts)
        for entry, parts in found
        if (size := _bytes(parts)) < whole <= MAX_GROWTH * size
    ]
    return min(possible, key=lambda one: one[0])[1:] if possible else None


def _blocks(
    entry: dict[str, Any], block: BlockWeight, dtype: torch.dtype
) -> tuple[dict[str, Any], Tensors]:
    places = [
        [*place, -1 if len(parts) == 1 else parts[1].shape[0]] for place, parts in block.blocks
    ]
    held = {"numbers": torch.from_numpy(block.numbers).to(dtype)}
    for what, order in (("rows", block.rows), ("columns", block.columns)):
        if order is not None:
            held[what] = torch.from_numpy(order).to(_index_type(order.size))
    return {**entry, "blocks": places}, held


def _index_type(count: int) -> torch.dtype:
    """The shortest whole numbers that count so far."""
    return torch.uint8 if count <= 1 << 8 else torch.int16 if count <= 1 << 15 else torch.int32


def _bytes(parts: Mapping[str, torch.Tensor]) -> int:
    return sum(part.numel() * part.element_size() for part in parts.values())


def unpack_tensors(path: Any, tensors: Mapping[str, torch.Tensor], header: str) -> Tensors:
    """The tensors of a packed file as they were, where its header fits what is there.

    Parameters
    ----------
    path : path
        For errors.
    tensors : dict of str to Tensor
    header : str

    Raises
    ------
    FileFormatError
        If the header is none of this version, or asks for what the tensors do not hold.

    Examples
    --------
    >>> weight = torch.tensor([[0.5, 0.0, 0.0, 0.0], [0.0, 0.0, 1.5, 0.0]])
    >>> torch.equal(unpack_tensors("file", *pack_tensors({"w": weight}))["w"], weight)
    True
    """
    found = dict(tensors)
    for name, entry in _entries(path, header).items():
        parts = {part: found.pop(f"{name}.{part}") for part in PARTS if f"{name}.{part}" in found}
        try:
            if name in found:
                raise _WrongError(f"{_short(name)!r} stands there unpacked as well")
            found[name] = _Entry.of(entry, parts).tensor(parts)
        except _WrongError as error:
            raise FileFormatError(
                f"{path}: the packed tensor {_short(name)!r} cannot be read: {error}"
            ) from None
    return found


class _WrongError(Exception):
    """What is wrong with the entry of a tensor."""


def _short(name: str) -> str:
    return name if len(name) <= 60 else name[:60] + "…"


def _entries(path: Any, header: str) -> dict[str, Any]:
    reason = "it is longer than any that symlump writes"
    if len(header) <= _MAX_HEADER:
        try:
            read = json.loads(header)
            entries = read.get("tensors") if isinstance(read, dict) else None
            if isinstance(entries, dict) and read.get("version") == VERSION:
                return entries
            reason = f"it is no JSON object with version {VERSION} and tensors"
        except (ValueError, RecursionError):
            reason = "it is no JSON"
    raise FileFormatError(f"{path}: the header of a packed file cannot be read: {reason}")


def _demand(holds: bool, what: str) -> None:
    if not holds:
        raise _WrongError(what)


def _are_counts(values: object, least: int = 0) -> bool:
    return isinstance(values, list) and all(type(v) is int and least <= v < 1 << 40 for v in values)


@dataclass(frozen=True, eq=False)
class _Entry:
    """What the header says of one tensor, checked against what is stored."""

    shape: tuple[int, ...]
    precision: Precision
    bits: int
    sparse: bool
    blocks: list[tuple[int, int, int, int, int]] | None

    @classmethod
    def of(cls, entry: Any, parts: Mapping[str, torch.Tensor]) -> _Entry:
        known = {"shape", "dtype", "bits", "sparse", "blocks"}
        _demand(isinstance(entry, dict) and set(entry) <= known, "its entry has other keys")
        shape, dtype, bits, sparse, blocks = (
            entry.get(key) for key in ("shape", "dtype", "bits", "sparse", "blocks")
        )
        _demand(_are_counts(shape, 1) and 1 <= len(shape) <= _MAX_AXES, "its shape is none")
        _demand(
            isinstance(dtype, str) and dtype in PRECISIONS, "its dtype is no floating-point format"
        )
        precision = PRECISIONS[dtype]
        _demand(
            prod(shape) * precision.bits // 8 <= MAX_GROWTH * _bytes(parts),
            f"it would take more than {MAX_GROWTH} times the bytes that are stored of it",
        )
        whole = bits is None or (type(bits) is int and FEWEST <= bits <= MOST)
        _demand(whole, f"bits are not {FEWEST} to {MOST}")
        _demand(sparse is None or sparse is True, "sparse is not true")
        _demand(
            blocks is None or (bits is None and sparse is None and len(shape) == 2),
            "blocks are of a matrix, in full",
        )
        names = {"codes", "steps"} if bits else {"numbers"}
        names |= {"places"} if sparse else set()
        extra = {"rows", "columns"} if blocks is not None else set()
        _demand(names <= set(parts) <= names | extra, "its parts are others than its entry says")
        if blocks is not None:
            good = isinstance(blocks, list) and all(
                isinstance(b, list) and len(b) == 5 and all(type(v) is int for v in b)
                and 0 <= b[0] < b[1] <= shape[0] and 0 <= b[2] < b[3] <= shape[1] and -1 <= b[4] <= min(shape)
                for b in blocks
            )  # fmt: skip
            _demand(good, "a block is outside of it")
            covered = sum((b[1] - b[0]) * (b[3] - b[2]) for b in blocks)
            _demand(covered <= prod(shape), "blocks overlap")
        return cls(tuple(shape), precision, bits or 0, bool(sparse), blocks)

    def tensor(self, parts: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The tensor itself."""
        dtype: torch.dtype = getattr(torch, self.precision.name)
        count = prod(self.shape)
        kept = None
        if self.sparse:
            places = self._stored(parts, "places", torch.uint8, packed_size(1, count))
            kept = np.unpackbits(places.numpy(), count=count, bitorder="little").astype(bool)
            count = int(kept.sum())
        if self.blocks is not None:
            return self._nearest(self._product(parts, dtype), dtype)
        if not self.bits:
            values = self._stored(parts, "numbers", dtype, count)
            return self._placed(values, kept)
        held = self._stored(parts, "codes", torch.uint8, packed_size(self.bits, count))
        codes = torch.from_numpy(unpack_bits(held.numpy(), self.bits, count))
        steps = parts["steps"]
        spread = steps.dtype == dtype and steps.dim() == len(self.shape)
        _demand(
            spread and all(a in (1, b) for a, b in zip(steps.shape, self.shape, strict=True)),
            "its steps do not spread over it",
        )
        product = self._placed(codes, kept) * steps.double()
        return self._nearest(product.numpy(), dtype)

    def _nearest(self, values: FloatArray, dtype: torch.dtype) -> torch.Tensor:
        """Rounded once; torch takes float16 from float64 by way of float32."""
        finite = bool((np.abs(values) <= self.precision.largest).all())
        _demand(finite, f"its numbers are beyond what {self.precision.name} holds")
        return torch.from_numpy(self.precision.nearest(values, "weight")).to(dtype)

    def _placed(self, values: torch.Tensor, kept: Any) -> torch.Tensor:
        if kept is None:
            return values.reshape(self.shape)
        whole = torch.zeros(prod(self.shape), dtype=values.dtype)
        whole[torch.from_numpy(kept)] = values
        return whole.reshape(self.shape)

    def _product(self, parts: Mapping[str, torch.Tensor], dtype: torch.dtype) -> FloatArray:
        assert self.blocks is not None
        m, n = self.shape
        count = sum(
            (b - a) * (d - c) if rank < 0 else rank * (b - a + d - c)
            for a, b, c, d, rank in self.blocks
        )
        numbers = self._stored(parts, "numbers", dtype, count).double().numpy()
        orders = [self._order(parts, "rows", m), self._order(parts, "columns", n)]
        dense = BlockWeight.filled((m, n), self.blocks, numbers, *orders).dense()
        return dense

    def _order(self, parts: Mapping[str, torch.Tensor], what: str, count: int) -> IntArray | None:
        if what not in parts:
            return None
        order = self._stored(parts, what, _index_type(count), count).numpy().astype(np.int64)
        _demand(np.array_equal(np.sort(order), np.arange(count)), f"its {what} are no permutation")
        return order

    def _stored(
        self, parts: Mapping[str, torch.Tensor], what: str, dtype: torch.dtype, count: int
    ) -> torch.Tensor:
        part = parts[what]
        _demand(
            part.dtype == dtype and tuple(part.shape) == (count,),
            f"its {what} are {tuple(part.shape)} numbers of {part.dtype}, not {count} of {dtype}",
        )
        return part
