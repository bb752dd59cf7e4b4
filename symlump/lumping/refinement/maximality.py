"""Why a lumping is the coarsest: one distinguishing coefficient for every split, round by round.

The exact engine splits many blocks at once by random values; this module finds, for a known result, single
coefficients that separate its blocks. Within a round all coefficients are taken under the partition at the
beginning of the round. Members that any equivalence inside the initial partition merges agree in every such
coefficient (substituting more, or summing over coarser blocks, keeps equalities), so replaying the record never
separates what belongs together; where it ends at the claimed blocks, they are the coarsest.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from symlump.errors import CertificateError
from symlump.lumping.equivalence import Equivalence, SignatureTerms
from symlump.lumping.partition import Partition
from symlump.ode.exact import IntArray
from symlump.ode.polynomial import PolynomialODE


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
    monomial: tuple[tuple[int, int], ...]


def splits(
    ode: PolynomialODE, method: Equivalence, initial: Partition, final: Partition
) -> list[list[Split]]:
    """Rounds of splits that lead from ``initial`` to ``final``.

    Cost: one signature of one member per block and round; at most one split per block of the result.

    Raises
    ------
    CertificateError
        If ``final`` is not the coarsest equivalence inside ``initial``.
    """
    # Members of one block of the result agree under every coarser partition: one of them will do.
    members = final.representatives
    current = initial.labels.copy()
    rounds: list[list[Split]] = []
    while np.unique(current).size < len(final):
        terms = method.signature(ode, current, np.sort(members))
        signatures = _by_owner(terms)
        records: list[Split] = []
        parts: dict[int, list[list[int]]] = {}
        for block in np.unique(current[members]).tolist():
            inside = members[current[members] == block].tolist()
            if len(inside) > 1:
                parts[block] = _separate(inside, signatures, terms, current, records)
        if not records:
            raise CertificateError(
                "this partition is not the coarsest: some of its blocks could be merged"
            )
        rounds.append(records)
        following = int(current.max()) + 1
        for groups in parts.values():
            for group in groups[1:]:
                for member in group:
                    current[final.labels == final.labels[member]] = following
                following += 1
    return rounds


def _by_owner(terms: SignatureTerms) -> dict[int, dict[int, Fraction]]:
    owners, keys, sums = terms.collected()
    signatures: dict[int, dict[int, Fraction]] = {}
    for owner, key, value in zip(owners.tolist(), keys.tolist(), sums, strict=True):
        signatures.setdefault(owner, {})[key] = value
    return signatures


def _separate(
    inside: list[int],
    signatures: dict[int, dict[int, Fraction]],
    terms: SignatureTerms,
    labels: IntArray,
    records: list[Split],
) -> list[list[int]]:
    """Split the members of one block until each group agrees in everything; note the coefficients."""
    groups, done = [inside], []
    while groups:
        group = groups.pop()
        first = signatures.get(group[0], {})
        key = next((k for m in group[1:] for k in _differing(first, signatures.get(m, {}))), None)
        if key is None:
            done.append(group)
            continue
        target, factors = terms.describe(key)
        records.append(Split(group[0], _member(target, labels), factors))
        # The same coefficient is taken of the whole block, so other groups are split by it too.
        groups = [
            part for whole in [*groups, group, *done] for part in _parted(whole, key, signatures)
        ]
        done = []
    return done


def _differing(a: dict[int, Fraction], b: dict[int, Fraction]) -> list[int]:
    """One key in which two signatures differ, in a list; none if they agree."""
    if a == b:
        return []
    return [min(k for k in a.keys() | b.keys() if a.get(k) != b.get(k))]


def _parted(
    group: list[int], key: int, signatures: dict[int, dict[int, Fraction]]
) -> list[list[int]]:
    values: dict[Fraction, list[int]] = {}
    for member in group:
        value = signatures.get(member, {}).get(key, Fraction(0))
        values.setdefault(value, []).append(member)
    return list(values.values())


def _member(label: int | None, labels: IntArray) -> int | None:
    return None if label is None else int(np.flatnonzero(labels == label)[0])
