"""A small system term by term, in dictionaries of plain integers."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import lcm

from symlump.ode.polynomial import PolynomialODE

Row = dict[int, int]
Factors = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Terms:
    """A system with one denominator: equation i is Σ value·monomial / ``scale`` over ``equations[i]``.

    Parameters
    ----------
    equations : list of list of (monomial, value)
    monomials : list of factors, (variable, power) in ascending order
    """

    equations: list[list[tuple[int, int]]]
    monomials: list[Factors]
    scale: int

    @classmethod
    def of(cls, ode: PolynomialODE) -> Terms:
        """The terms of a system."""
        exact = ode.coefficients.as_integers()
        assert exact.denominators is not None
        values, below = exact.numerators.tolist(), exact.denominators.tolist()
        scale = lcm(*set(below))
        if scale != 1:
            values = [value * (scale // d) for value, d in zip(values, below, strict=True)]
        equations: list[list[tuple[int, int]]] = [[] for _ in ode.variables]
        for i, m, value in zip(ode.rows.tolist(), ode.columns.tolist(), values, strict=True):
            equations[i].append((m, value))
        table = ode.monomials
        factors = list(zip(table.variables.tolist(), table.powers.tolist(), strict=True))
        cuts = table.indptr.tolist()
        pairs = zip(cuts, cuts[1:], strict=False)
        return cls(equations, [tuple(factors[a:b]) for a, b in pairs], scale)

    @cached_property
    def matrix(self) -> list[list[tuple[int, int]]] | None:
        """For a linear system: equation i is Σ value·variable / ``scale`` over ``matrix[i]``, plus a number."""
        if not all(not f or (len(f) == 1 and f[0][1] == 1) for f in self.monomials):
            return None
        variable = [factors[0][0] if factors else -1 for factors in self.monomials]
        return [[(v, x) for m, x in e if (v := variable[m]) >= 0] for e in self.equations]

    def gradient(self, row: Row, known: Container[int] = ()) -> list[tuple[Factors, Row]]:
        """The coefficients of the gradient of row·q, by monomials, the shortest first.

        What they have in known columns is left out.

        Examples
        --------
        >>> from symlump import ODE
        >>> terms = Terms.of(ODE.from_text("x' = x*y + 2*x; y' = 3*x"))
        >>> terms.gradient({0: 1, 1: 1})
        [((), {0: 5}), (((1, 1),), {0: 1}), (((0, 1),), {1: 1})]
        >>> terms.gradient({0: 1, 1: 1}, known={0})
        [(((0, 1),), {1: 1})]
        """
        images: dict[Factors, Row] = {}
        monomials = self.monomials
        for m, value in combine(self.equations, row).items():
            if value:
                factors = monomials[m]
                for at, (variable, power) in enumerate(factors):
                    if variable not in known:
                        lowered = factors[:at] + factors[at + 1 :]
                        if power > 1:
                            left = ((variable, power - 1),)
                            lowered = factors[:at] + left + factors[at + 1 :]
                        if lowered in images:
                            images[lowered][variable] = value * power
                        else:
                            images[lowered] = {variable: value * power}
        if len(images) < 2:
            return list(images.items())
        return sorted(images.items(), key=_length)


def _length(image: tuple[Factors, Row]) -> int:
    return len(image[1])


def combine(lists: Sequence[Sequence[tuple[int, int]]], row: Row) -> Row:
    """A combination of sparse rows, as ``{place: value}``; zeros may be among the values.

    Examples
    --------
    >>> combine([[(0, 1), (4, 2)], [(4, -1)]], {0: 3, 1: 6})
    {0: 3, 4: 0}
    """
    if len(row) == 1:
        ((i, weight),) = row.items()
        return {m: weight * value for m, value in lists[i]}
    total: Row = {}
    get = total.get
    for i, weight in row.items():
        for m, value in lists[i]:
            total[m] = get(m, 0) + weight * value
    return total


def combine_some(weights: Sequence[tuple[int, int]], rows: Sequence[Row]) -> Row:
    """A combination of rows with weights by their numbers; zeros may be among the values.

    Examples
    --------
    >>> combine_some([(0, 3), (1, 6)], [{0: 1, 4: 2}, {4: -1}])
    {0: 3, 4: 0}
    """
    total: Row = {}
    get = total.get
    for i, weight in weights:
        for c, value in rows[i].items():
            total[c] = get(c, 0) + weight * value
    return total
