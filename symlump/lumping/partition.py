"""Partitions of the variables of a system into blocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from symlump.errors import PartitionError
from symlump.ode.exact import IntArray

if TYPE_CHECKING:
    from symlump.ode.system import ODE


@dataclass(frozen=True, eq=False, repr=False)
class Partition:
    """A partition of 0 … n−1, as the block number of each element.

    Blocks are numbered in the order of their first elements, so equal partitions have equal labels.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        Any numbering; it is brought into the canonical one.

    Examples
    --------
    >>> p = Partition([7, 7, 3])
    >>> p, len(p), Partition([0, 1, 2]) <= p
    ({0, 1}, {2}; 2, 2, True)
    """

    labels: IntArray
    #: The first element of each block.
    representatives: IntArray = field(init=False)

    def __init__(self, labels: npt.ArrayLike) -> None:
        given = np.asarray(labels, dtype=np.int64).ravel()
        begins = _first_of_each(given)  # the first element of the block of each
        begins_here = begins == np.arange(given.size)
        canonical = (np.cumsum(begins_here) - 1)[begins]
        canonical.flags.writeable = False
        object.__setattr__(self, "labels", canonical)
        object.__setattr__(self, "representatives", np.flatnonzero(begins_here))

    @property
    def first_of_each(self) -> IntArray:
        """For each element the first one of its block.

        Examples
        --------
        >>> Partition([7, 3, 7]).first_of_each
        array([0, 1, 0])
        """
        return self.representatives[self.labels]

    @classmethod
    def single(cls, n: int) -> Partition:
        """The partition with one block, which holds all elements.

        Parameters
        ----------
        n : int

        Returns
        -------
        Partition

        Examples
        --------
        >>> Partition.single(3)
        {0, 1, 2}; 1
        """
        return cls(np.zeros(n, dtype=np.int64))

    @classmethod
    def discrete(cls, n: int) -> Partition:
        """The partition in which each element is a block of its own.

        Parameters
        ----------
        n : int

        Returns
        -------
        Partition

        Examples
        --------
        >>> Partition.discrete(3)
        {0}, {1}, {2}; 3
        """
        return cls(np.arange(n))

    @classmethod
    def from_names(cls, ode: ODE, blocks: Iterable[Iterable[Any]]) -> Partition:
        """Blocks given by variable names or symbols; variables not mentioned form one more block.

        Parameters
        ----------
        ode : ODE
        blocks : iterable of iterables of str or Symbol

        Returns
        -------
        Partition

        Raises
        ------
        PartitionError
            If a variable is mentioned twice.
        VariableError
            If a name is not a variable of ``ode``.

        Examples
        --------
        >>> import symlump as sl
        >>> Partition.from_names(sl.ODE.from_text("x' = y; y' = z; z' = x"), [["y"]])
        {0, 2}, {1}; 2
        """
        labels = np.full(len(ode), -1, dtype=np.int64)
        for number, block in enumerate(blocks):
            if isinstance(block, str):
                raise PartitionError(
                    f"a block is a list of names; got the text {block!r}, write [{block!r}]"
                )
            for name in block:
                position = ode.position(name)
                if labels[position] >= 0:
                    raise PartitionError(
                        f"{ode.variables[position]!r} is in two blocks, or twice in one"
                    )
                labels[position] = number
        return cls(labels)

    @cached_property
    def sizes(self) -> IntArray:
        """Number of elements of each block."""
        return np.bincount(self.labels).astype(np.int64)

    @cached_property
    def blocks(self) -> tuple[IntArray, ...]:
        """The elements of each block, ascending."""
        order = np.argsort(self.labels, kind="stable")
        return tuple(np.split(order, np.cumsum(self.sizes)[:-1])) if order.size else ()

    def __len__(self) -> int:
        return int(self.representatives.size)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Partition):
            return NotImplemented
        return bool(np.array_equal(self.labels, other.labels))

    def __hash__(self) -> int:
        return hash(self.labels.tobytes())

    def __le__(self, other: Partition) -> bool:
        """True if this partition refines ``other``: each block lies inside one of its blocks."""
        self._same_ground(other)
        return len(self.meet(other)) == len(self)

    def meet(self, other: Partition) -> Partition:
        """The coarsest partition that refines both.

        Parameters
        ----------
        other : Partition

        Returns
        -------
        Partition

        Examples
        --------
        >>> Partition([0, 0, 1, 1]).meet(Partition([0, 0, 0, 1]))
        {0, 1}, {2}, {3}; 3
        """
        self._same_ground(other)
        return Partition(self.labels * max(1, len(other)) + other.labels)

    def join(self, other: Partition) -> Partition:
        """The finest partition that both refine.

        Parameters
        ----------
        other : Partition

        Returns
        -------
        Partition

        Examples
        --------
        >>> Partition([0, 0, 1, 2]).join(Partition([0, 1, 1, 2]))
        {0, 1, 2}, {3}; 2
        """
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        self._same_ground(other)
        shape = (len(self), len(other))
        side = max(shape)
        links = coo_array(
            (np.ones(self.labels.size), (self.labels, other.labels + shape[0])),
            shape=(shape[0] + side, shape[0] + side),
        )
        _, component = connected_components(links, directed=False)
        return Partition(component[self.labels])

    def _same_ground(self, other: Partition) -> None:
        if self.labels.size != other.labels.size:
            raise PartitionError(
                f"partitions of {self.labels.size} and of {other.labels.size} elements cannot be "
                "compared"
            )

    def named(self, names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """The blocks with names in place of numbers.

        Parameters
        ----------
        names : sequence of str

        Returns
        -------
        tuple of tuple of str

        Examples
        --------
        >>> Partition([0, 1, 0]).named(["x", "y", "z"])
        (('x', 'z'), ('y',))
        """
        return tuple(tuple(names[i] for i in block) for block in self.blocks)

    def __repr__(self) -> str:
        shown = [
            "{" + ", ".join(map(str, block[:8].tolist())) + (", …" if block.size > 8 else "") + "}"
            for block in self.blocks[:8]
        ]
        return ", ".join(shown) + (", …" if len(self) > 8 else "") + f"; {len(self)}"


def _first_of_each(labels: IntArray) -> IntArray:
    """For each element the first one that has its label."""
    if labels.size and labels.min() >= 0 and labels.max() < 4 * labels.size:  # no need to sort them
        first = np.empty(int(labels.max()) + 1, dtype=np.int64)
        first[labels[::-1]] = np.arange(labels.size - 1, -1, -1)  # of equal ones the last is kept
    else:
        _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
        labels = inverse.ravel()
    return np.asarray(first[labels])
