"""How linear lumping grows with the size of the system, on random systems with a known answer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from symlump.ode.polynomial import PolynomialODE


@dataclass(frozen=True)
class Growth:
    """One size.

    Parameters
    ----------
    what : str
    variables, rows : int
        Of the system and of the lumping.
    seconds : float
        Of the processor.
    per_unit : float
        Nanoseconds divided by variables² · rows.
    checked : bool or None
        Whether the independent checkers accepted the lumping, and that it is the smallest; None where they were
        not asked.
    """

    what: str
    variables: int
    rows: int
    seconds: float
    per_unit: float
    checked: bool | None


def planted_linear(size: int, rows: int, seed: int = 0) -> tuple[PolynomialODE, dict[str, int]]:
    """A sparse random linear system with a hidden invariant space, and an observable that generates it.

    L = (I X) with two entries in each column of X, and L·A = B·L for a sparse B that goes through all rows.
    The variables are shuffled.

    Examples
    --------
    >>> from symlump import Constrained, lump
    >>> ode, observable = planted_linear(30, 4)
    >>> len(ode), len(lump(ode, Constrained(observable)))
    (30, 4)
    """
    from scipy import sparse

    from symlump.ode.exact import ExactArray
    from symlump.ode.monomials import Monomials
    from symlump.ode.polynomial import PolynomialODE

    generator = np.random.default_rng(seed)

    def entries(height: int, width: int) -> sparse.csr_array:
        columns = generator.integers(0, width, 2 * height)
        values = generator.integers(1, 4, 2 * height) * generator.choice([-1, 1], 2 * height)
        owners = np.repeat(np.arange(height), 2)
        return sparse.coo_array((values, (owners, columns)), shape=(height, width)).tocsr()

    wide = entries(size - rows, rows).T
    turn = np.roll(np.eye(rows, dtype=np.int64), 1, axis=1)
    inner = sparse.csr_array(entries(rows, rows) + sparse.csr_array(turn))
    lower = entries(size - rows, size)
    matrix = sparse.hstack([sparse.eye_array(rows, dtype=np.int64), wide]).tocsr()
    order = generator.permutation(size)
    system = sparse.vstack([inner @ matrix - wide @ lower, lower]).tocsr()[order][:, order].tocoo()
    live = system.data != 0
    names = [f"x{i}" for i in range(size)]
    place = np.arange(size + 1, dtype=np.int64)
    ode = PolynomialODE.from_terms(
        names,
        system.coords[0][live].astype(np.int64),
        system.coords[1][live].astype(np.int64),
        ExactArray.from_fractions(system.data[live].tolist()),
        Monomials(place, place[:-1], np.ones(size, dtype=np.int64)),
    )
    first = matrix[:, order][[0]].tocoo()
    return ode, dict(zip([names[c] for c in first.coords[1]], first.data.tolist(), strict=True))


def random_quadratic(size: int, seed: int = 0) -> PolynomialODE:
    """Three linear and three quadratic terms in each equation, normally distributed."""
    from symlump.ode.exact import ExactArray
    from symlump.ode.monomials import Monomials
    from symlump.ode.polynomial import PolynomialODE

    generator = np.random.default_rng(seed)
    count = 6 * size
    first, second = generator.integers(0, size, (2, count))
    squared = np.flatnonzero(np.arange(count) % 6 >= 3)
    factors = np.concatenate([first, second[squared]])
    monomials, position = Monomials.from_factors(
        np.concatenate([np.arange(count), squared]), factors, np.ones_like(factors), count
    )
    return PolynomialODE.from_terms(
        [f"x{i}" for i in range(size)],
        np.repeat(np.arange(size), 6),
        position,
        ExactArray.from_floats(generator.standard_normal(count).round(3)),
        monomials,
    )


def growth(quick: bool = False) -> list[Growth]:
    """Exact on planted linear systems, and ε = 0.01 on quadratic ones."""
    from symlump.lumping.linear.constrained import Constrained
    from symlump.lumping.lump import lump

    found = []
    for size in (50, 100) if quick else (500, 1000, 2000, 4000):
        ode, observable = planted_linear(size, size * 3 // 40)
        start = time.process_time()
        lumping = lump(ode, Constrained(observable))
        seconds = time.process_time() - start
        assert len(lumping) == size * 3 // 40
        checked = lumping.exact and lumping.smallest
        found.append(_row("linear, exact", ode, len(lumping), seconds, checked))
    for size in (30, 60) if quick else (60, 120, 240, 480, 1000, 2000, 4000):
        ode = random_quadratic(size)
        start = time.process_time()
        lumping = lump(ode, Constrained("x0", eps=0.01))
        seconds = time.process_time() - start
        found.append(_row("quadratic, ε = 0.01", ode, len(lumping), seconds, None))
    return found


def _row(what: str, ode: PolynomialODE, rows: int, seconds: float, checked: bool | None) -> Growth:
    unit = len(ode) ** 2 * rows
    return Growth(what, len(ode), rows, seconds, 1e9 * seconds / unit, checked)
