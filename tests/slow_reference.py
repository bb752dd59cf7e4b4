"""Forward and backward equivalence straight from the definitions: slow, short, exact.

A system is a list of polynomials; a polynomial maps a sorted tuple of variables (with repetition) to a
Fraction. Shares no code with the package.
"""

from collections import Counter, defaultdict
from fractions import Fraction


def forward_signature(system, labels, i):
    """{(block, monomial): coefficient of the monomial in d f_block / d x_i}."""
    signature = defaultdict(Fraction)
    for k, polynomial in enumerate(system):
        for monomial, c in polynomial.items():
            power = monomial.count(i)
            if power:
                rest = list(monomial)
                rest.remove(i)
                signature[labels[k], tuple(rest)] += power * c
    return {key: c for key, c in signature.items() if c}


def backward_signature(system, labels, i):
    """{monomial in blocks: coefficient} of q_i with blocks in place of variables."""
    signature = defaultdict(Fraction)
    for monomial, c in system[i].items():
        signature[tuple(sorted(labels[v] for v in monomial))] += c
    return {key: c for key, c in signature.items() if c}


def coarsest(system, signature, labels):
    """Split by signature until nothing splits; labels in order of first appearance."""
    labels = canonical(labels)
    while True:
        keys = [
            (labels[i], frozenset(signature(system, labels, i).items())) for i in range(len(system))
        ]
        finer = canonical(keys)
        if finer == labels:
            return labels
        labels = finer


def canonical(keys):
    number = {}
    return [number.setdefault(key, len(number)) for key in keys]


def distance(system, signature, labels, i, j):
    """1-norm distance of two signatures."""
    a, b = (Counter(signature(system, labels, v)) for v in (i, j))
    return sum(abs(a[key] - b[key]) for key in a.keys() | b.keys())
