"""The published distance of ε-forward equivalence, for comparison: a substitution with a free share.

With x_i → s·(x_i + x_j) and x_j → (1 − s)·(x_i + x_j), two variables are forward equivalent iff f_B does not
change, for every block B. The published tool takes the sum of absolute coefficients of the change as distance,
in x and s together. Let c_k be the coefficient of x_i^k·x_j^(d−k)·m in f_B, for fixed degree d and rest m, and
Σ_l p_l·s^l = Σ_k c_k·s^k·(1−s)^(d−k). The change then has the coefficients c_k − C(d,k)·p_0 and −C(d,k)·p_l, so

    distance = Σ_{B,m,d} ( Σ_k |c_k − C(d,k)·p_0| + 2^d·Σ_{l≥1} |p_l| ).

For d = 1 that is 3·|c_1 − c_0|, three times the distance of :class:`symlump.lumping.forward.Forward`. For
d > 1 it depends on which variable is i and which is j: here i is the one that comes first by name.

References
----------
Cardelli, Tribastone, Tschaikowski, Vandin, arXiv:1807.06888.
"""

from __future__ import annotations

from collections import defaultdict
from math import comb

import numpy as np

from symlump.ode.exact import FloatArray, IntArray
from symlump.ode.polynomial import PolynomialODE

_Rest = tuple[int, tuple[tuple[int, int], ...]]


def substitution_distances(ode: PolynomialODE, labels: IntArray, members: IntArray) -> FloatArray:
    """Distances of all pairs of ``members``, shape (members, members).

    Cost: for each pair, the terms of all block sums that contain either variable, in plain Python; meant for
    comparisons on small systems.

    Examples
    --------
    >>> import sympy
    >>> a, b = sympy.symbols("a b")
    >>> ode = PolynomialODE.from_sympy({a: 2*a, b: 5*b})
    >>> substitution_distances(ode, np.array([0, 0]), np.array([0, 1]))[0, 1].item()
    9.0
    """
    containing = _terms_by_variable(ode, labels, set(members.tolist()))
    result = np.zeros((members.size, members.size))
    for a, i in enumerate(members.tolist()):
        for b, j in enumerate(members[:a].tolist()):
            # j stands before i: it takes the part of x_i in the formula.
            result[a, b] = result[b, a] = _distance(containing[j], containing[i], j, i)
    return result


def _terms_by_variable(
    ode: PolynomialODE, labels: IntArray, wanted: set[int]
) -> dict[int, dict[_Rest, float]]:
    """For each wanted variable the terms of block sums that contain it: (block, factors) → coefficient."""
    width = max(1, len(ode.monomials))
    keys, group = np.unique(labels[ode.rows] * width + ode.columns, return_inverse=True)
    values = ode.coefficients.group_sum(group.ravel(), int(keys.size)).to_float()
    found: dict[int, dict[_Rest, float]] = {variable: {} for variable in wanted}
    for key, value in zip(keys.tolist(), values.tolist(), strict=True):
        factors = tuple(ode.monomials.factors(key % width))
        for variable, _ in factors:
            if variable in wanted:
                found[variable][key // width, factors] = value
    return found


def _distance(first: dict[_Rest, float], second: dict[_Rest, float], i: int, j: int) -> float:
    by_rest: dict[tuple[_Rest, int], dict[int, float]] = defaultdict(dict)
    for (block, factors), value in (second | first).items():
        powers = dict(factors)
        k, degree = powers.pop(i, 0), 0
        degree = k + powers.pop(j, 0)
        by_rest[(block, tuple(powers.items())), degree][k] = value
    return sum(_change(c, degree) for (_, degree), c in by_rest.items())


def _change(c: dict[int, float], degree: int) -> float:
    share = np.zeros(degree + 1)  # the p_l
    for k, value in c.items():
        for more in range(degree - k + 1):  # s^k·(1−s)^(degree−k)
            share[k + more] += value * comb(degree - k, more) * (-1) ** more
    kept = sum(abs(c.get(k, 0.0) - comb(degree, k) * share[0]) for k in range(degree + 1))
    return float(kept + 2**degree * np.abs(share[1:]).sum())
