"""What a small system is searched in: the variables that matter, and sums of those that every row treats alike.

Every row is a combination of variables on which the observables depend, directly or through others. In a
linear system x' = A·x it is one of sums over blocks, too: where the observables have equal coefficients in a
block, and the columns of A in it equal sums over each block, so do all r·A. That is a forward equivalence, and
its quotient takes the place of the system. Where the rows are as many as there are blocks, they are the sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count

from symlump.lumping.linear.spaces.small_terms import Row, Terms

#: Bits of the weight of a block.
_WEIGHTS = (1 << 30) - 1


@dataclass(frozen=True)
class MergedTerms:
    """A system, and rows, in sums of variables.

    Parameters
    ----------
    blocks : list of list of int
        The variables of each sum, in ascending order, as the blocks are by their first.
    terms : Terms
        The system that the sums obey, where there is one with a variable for each; else the system itself.
    start : list of dict
        The given rows, in the variables of that system.
    """

    blocks: list[list[int]]
    terms: Terms
    start: list[Row]

    @classmethod
    def of(cls, terms: Terms, start: Sequence[Row]) -> MergedTerms:
        """Merge what can be merged.

        Examples
        --------
        >>> from symlump import ODE
        >>> terms = Terms.of(ODE.from_text("a' = b + c; b' = 2*a + b; c' = 3*a + c; d' = a"))
        >>> merged = MergedTerms.of(terms, [{0: 1}])
        >>> merged.blocks, merged.terms.equations
        ([[0], [1, 2]], [[(2, 1)], [(1, 5), (2, 1)]])
        """
        if terms.matrix is None:
            return cls([[v] for v in sorted(_reached(terms, start))], terms, list(start))
        columns = _columns(terms.matrix, start)
        blocks = _blocks(columns, start)
        label = {v: b for b, block in enumerate(blocks) for v in block}
        equations: list[Row] = [{} for _ in blocks]
        if () in terms.monomials:
            constant = terms.monomials.index(())
            for i in columns:
                equation = equations[label[i]]
                for m, value in terms.equations[i]:
                    if m == constant:
                        equation[0] = equation.get(0, 0) + value
        for b, block in enumerate(blocks, 1):
            for i, value in columns[block[0]]:
                equation = equations[label[i]]
                equation[b] = equation.get(b, 0) + value
        small = Terms(
            [[item for item in equation.items() if item[1]] for equation in equations],
            [(), *[((b, 1),) for b in range(len(blocks))]],
            terms.scale,
        )
        return cls(blocks, small, [{label[v]: value for v, value in row.items()} for row in start])

    @cached_property
    def sizes(self) -> list[int] | None:
        """How many variables there are in each variable of the system; None where there is one in each."""
        if self.terms.matrix is None or all(len(block) == 1 for block in self.blocks):
            return None
        return [len(block) for block in self.blocks]

    def expanded(self, rows: list[Row]) -> list[Row]:
        """Rows in the variables of the whole system, in ascending order."""
        if self.terms.matrix is None:
            return rows
        blocks = self.blocks
        if self.sizes is None:
            return [{blocks[b][0]: value for b, value in row.items()} for row in rows]
        return [
            dict(sorted([(v, value) for b, value in row.items() for v in blocks[b]]))
            for row in rows
        ]


def _reached(terms: Terms, start: Sequence[Row]) -> set[int]:
    """The variables that given rows depend on."""
    found = {v for row in start for v in row}
    waiting = list(found)
    monomials, equations = terms.monomials, terms.equations
    for i in waiting:
        for m, _ in equations[i]:
            for v, _ in monomials[m]:
                if v not in found:
                    found.add(v)
                    waiting.append(v)
    return found


def _columns(
    matrix: Sequence[Sequence[tuple[int, int]]], start: Sequence[Row]
) -> dict[int, list[tuple[int, int]]]:
    """For a linear system: the columns of the variables that given rows depend on, in ascending order."""
    found: dict[int, list[tuple[int, int]]] = {v: [] for row in start for v in row}
    waiting = list(found)
    for i in waiting:
        for v, value in matrix[i]:
            if v in found:
                found[v].append((i, value))
            else:
                found[v] = [(i, value)]
                waiting.append(v)
    return {v: found[v] for v in sorted(found)}


def _blocks(columns: dict[int, list[tuple[int, int]]], start: Sequence[Row]) -> list[list[int]]:
    """The coarsest blocks in which given rows have equal coefficients, and columns equal sums over each block.

    Sums are told apart by one number, in which each block has a weight like a random one; what that leaves
    together is compared sum by sum.
    """
    groups: dict[object, list[int]] = {}
    for v in columns:
        groups.setdefault(tuple([row.get(v, 0) for row in start]), []).append(v)
    alone, blocks = _apart(groups.values())
    fresh, labels, whole = [*alone, *blocks], count(), False
    label: dict[int, int] = {}
    weight: dict[int, int] = {}
    while True:
        for block, b in zip(fresh, labels, strict=False):
            number = hash((b,)) & _WEIGHTS
            for v in block:
                label[v], weight[v] = b, number
        fresh = []
        for block in blocks:
            groups = {}
            for v in block:
                if whole:
                    key: object = _sums(columns[v], label)
                else:
                    key = sum([weight[i] * value for i, value in columns[v]])
                if key in groups:
                    groups[key].append(v)
                else:
                    groups[key] = [v]
            fresh += groups.values()
        if len(fresh) > len(blocks):
            single, blocks = _apart(fresh)
            alone += single
            whole = False
        elif whole:
            return sorted(alone + blocks)
        else:
            whole, fresh = True, []


def _apart(blocks: Iterable[list[int]]) -> tuple[list[list[int]], list[list[int]]]:
    """The blocks of one variable, and the others."""
    every = list(blocks)
    return [b for b in every if len(b) == 1], [b for b in every if len(b) > 1]


def _sums(column: list[tuple[int, int]], label: Mapping[int, int]) -> frozenset[tuple[int, int]]:
    """The sums of a column over blocks that are not 0."""
    sums: Row = {}
    for i, value in column:
        sums[label[i]] = sums.get(label[i], 0) + value
    return frozenset([item for item in sums.items() if item[1]])
