"""Why a lumping is the coarsest: one distinguishing coefficient for every split, round by round.

The exact engine splits many blocks at once by random values; this module finds, for a known result, single
coefficients that separate its blocks. Within a round all coefficients are taken under the partition at the
beginning of the round. Members that any equivalence inside the initial partition merges agree in every such
coefficient (substituting more, or summing over coarser blocks, keeps equalities), so replaying the record never
separates what belongs together; where it ends at the claimed blocks, they are the coarsest.

The work is done on the quotient. Members of one block of the result agree under every coarser partition, and
setting all of a block but one member to zero (or to each other) shows the coefficients of the quotient's own
equations: so a coefficient that separates two variables of the quotient separates their blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from symlump.errors import CertificateError
from symlump.lumping.equivalence import Equivalence
from symlump.lumping.partition import Partition
from symlump.ode.polynomial import PolynomialODE

Monomial = tuple[tuple[int, int], ...]
Column = dict[int, Fraction]


@dataclass(frozen=True)
class Split:
    """One coefficient by which a block is split.

    Parameters
    ----------
    member : int
        A variable of the block.
    target : int or None
        Forward: a variable of the block whose sum is differentiated.
    monomial : tuple of (variable, power)
        Forward: over variables. Backward: over blocks, each named by one of its variables.
    """

    member: int
    target: int | None
    monomial: Monomial


def splits(
    ode: PolynomialODE, method: Equivalence, initial: Partition, final: Partition
) -> list[list[Split]]:
    """Rounds of splits that lead from ``initial`` to ``final``.

    A coefficient over coarser blocks is the sum of those over the parts, so once members agree in it, all parts
    but one need to be looked at: the heaviest is left out, and whatever is looked at again weighs at most half
    of what it did. Cost: O(terms · log terms); at most one split per block of the result.

    Raises
    ------
    CertificateError
        If ``final`` is not the coarsest equivalence inside ``initial``.
    """
    members = final.representatives.tolist()
    quotient = (_ForwardColumns if method.direction == "forward" else _BackwardColumns)(
        ode, method, final
    )
    blocks = _Blocks(initial.labels[final.representatives].tolist(), quotient.weights)
    fresh, rounds = list(blocks.members), list[list[Split]]()
    while fresh:
        records: list[Split] = []
        made: dict[int, list[int]] = {}  # block of the round's beginning -> what it has become
        origin: dict[int, int] = {}
        for (target, monomial), column in quotient.columns(fresh, blocks).items():
            # The same coefficient is taken of a whole block, so all its parts are split by it.
            movers: dict[int, int] = {}
            for old, new in blocks.split(column):
                origin[new] = block = origin.get(old, old)
                made.setdefault(block, [block]).append(new)
                movers.setdefault(block, new)
            for new in movers.values():
                member = next(iter(blocks.members[new]))
                at = None if target is None else members[target]
                factors = tuple((members[v], power) for v, power in monomial)
                records.append(Split(members[member], at, factors))
        fresh = [
            part
            for parts in made.values()
            for part in sorted(parts, key=blocks.weight.__getitem__)[:-1]
        ]
        if records:
            rounds.append(records)
    if len(blocks.members) < len(final):
        raise CertificateError(
            "this partition is not the coarsest: some of its blocks could be merged"
        )
    return rounds


class _Blocks:
    """Blocks of the quotient's variables, from which members move to new ones."""

    def __init__(self, labels: list[int], weights: list[int]) -> None:
        self.label, self._weights = labels, weights
        self.members: dict[int, set[int]] = {}
        for member, block in enumerate(labels):
            self.members.setdefault(block, set()).add(member)
        self.weight = {b: self._weigh(inside) for b, inside in self.members.items()}
        self._next = max(self.members, default=0) + 1

    def _weigh(self, members: Iterable[int]) -> int:
        return sum(self._weights[member] for member in members)

    def split(self, column: Column) -> list[tuple[int, int]]:
        """Keep together what agrees in a column, which is zero where it has no entry; (old, new) blocks."""
        groups: dict[int, dict[Fraction, list[int]]] = {}
        for member, value in column.items():
            if value:
                groups.setdefault(self.label[member], {}).setdefault(value, []).append(member)
        moves: list[tuple[int, int]] = []
        for block, by_value in groups.items():
            parts = sorted(by_value.values(), key=len)
            if sum(map(len, parts)) == len(self.members[block]):
                parts.pop()  # nobody has zero there
            for part in parts:
                new = self._next
                self._next += 1
                self.members[block].difference_update(part)
                self.members[new] = set(part)
                self.weight[new] = self._weigh(part)
                self.weight[block] -= self.weight[new]
                for member in part:
                    self.label[member] = new
                moves.append((block, new))
        return moves


class _ForwardColumns:
    """Coefficients of ∂g_T/∂y_i, by (a member of T, monomial), for the quotient y' = g(y)."""

    def __init__(self, ode: PolynomialODE, method: Equivalence, final: Partition) -> None:
        self._equations: list[list[tuple[Monomial, Fraction]]] = [[] for _ in range(len(final))]
        for block, monomial, value in _quotient(ode, method, final):
            self._equations[block].append((monomial, value))
        terms = 1 + ode.monomials.lengths[ode.columns]
        total = np.bincount(final.labels[ode.rows], weights=terms, minlength=len(final))
        self.weights: list[int] = (final.sizes + total.astype(np.int64)).tolist()

    def columns(
        self, fresh: Iterable[int], blocks: _Blocks
    ) -> Mapping[tuple[int | None, Monomial], Column]:
        """Those for targets among the fresh blocks."""
        found: dict[tuple[int | None, Monomial], Column] = {}
        for block in fresh:
            target = next(iter(blocks.members[block]))
            for equation in blocks.members[block]:
                for monomial, value in self._equations[equation]:
                    for at, (v, power) in enumerate(monomial):
                        lowered = ((v, power - 1),) if power > 1 else ()
                        rest = monomial[:at] + lowered + monomial[at + 1 :]
                        column = found.setdefault((target, rest), {})
                        column[v] = column.get(v, 0) + value * power
        return found


class _BackwardColumns:
    """Coefficients of g_i over blocks, by (None, monomial in members of blocks), for y' = g(y)."""

    def __init__(self, ode: PolynomialODE, method: Equivalence, final: Partition) -> None:
        self._columns: dict[Monomial, Column] = {}
        for block, monomial, value in _quotient(ode, method, final):
            self._columns.setdefault(monomial, {})[block] = value
        self._occurring: list[list[Monomial]] = [[] for _ in range(len(final))]
        for monomial in self._columns:
            for v, _ in monomial:
                self._occurring[v].append(monomial)
        table = ode.monomials
        terms = 1 + table.lengths + np.bincount(ode.columns, minlength=len(table))
        total = np.bincount(
            final.labels[table.variables], weights=terms[table.owners], minlength=len(final)
        )
        self.weights: list[int] = (final.sizes + total.astype(np.int64)).tolist()
        self._first = True

    def columns(
        self, fresh: Iterable[int], blocks: _Blocks
    ) -> Mapping[tuple[int | None, Monomial], Column]:
        """Those for monomials that contain a fresh block; and the constants, at first."""
        monomials: dict[Monomial, None] = {(): None} if self._first else {}
        self._first = False
        for block in fresh:
            for v in blocks.members[block]:
                monomials.update(dict.fromkeys(self._occurring[v]))
        found: dict[Any, Column] = {}
        for monomial in monomials:
            powers: dict[int, int] = {}
            for v, power in monomial:
                powers[blocks.label[v]] = powers.get(blocks.label[v], 0) + power
            column = found.setdefault(tuple(sorted(powers.items())), {})
            for equation, value in self._columns.get(monomial, {}).items():
                column[equation] = column.get(equation, 0) + value
        return {
            (None, tuple((next(iter(blocks.members[b])), power) for b, power in key)): column
            for key, column in found.items()
        }


def _quotient(
    ode: PolynomialODE, method: Equivalence, final: Partition
) -> Iterable[tuple[int, Monomial, Fraction]]:
    """The terms of the quotient: block, monomial in blocks, coefficient."""
    rows, columns, values = method.quotient_terms(ode, final)
    used, position = np.unique(columns, return_inverse=True)
    table, merged = ode.monomials.select(used).relabel(final.labels)
    names = map(str, range(len(final)))
    terms = PolynomialODE.from_terms(names, rows, merged[position.ravel()], values, table)
    monomials = [tuple(terms.monomials.factors(m)) for m in range(len(terms.monomials))]
    for row, column, value in zip(
        terms.rows.tolist(), terms.columns.tolist(), terms.coefficients, strict=True
    ):
        yield row, monomials[column], value
