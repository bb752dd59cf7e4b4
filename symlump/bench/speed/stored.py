"""Systems that another process makes, so that the peak memory of a measurement is not that of making them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from symlump.bench.speed.rows import apart
from symlump.ode.exact import ExactArray, IntArray
from symlump.ode.monomials import Monomials
from symlump.ode.polynomial import PolynomialODE

Made = tuple[PolynomialODE, IntArray, IntArray]


def made_apart(make: Callable[[int], Made], size: int) -> Made:
    """A system with integer coefficients, its planted blocks and its initial labels, from another process.

    Examples
    --------
    >>> ode, planted, labels = made_apart(chain_with_label, 300)
    >>> len(ode), len(set(planted.tolist())), len(set(labels.tolist()))
    (300, 30, 2)
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "system.npz"
        apart(_write, make, size, path)
        with np.load(path) as held:
            part = {name: held[name] for name in held.files}
    ode = PolynomialODE(
        tuple(f"{part['letter']}{k}" for k in range(part["labels"].size)),
        Monomials(part["indptr"], part["variables"], part["powers"]),
        part["rows"],
        part["columns"],
        ExactArray.from_array(part["numbers"]),
        (),
    )
    return ode, part["planted"], part["labels"]


def _write(make: Callable[[int], Made], size: int, path: Path) -> None:
    ode, planted, labels = make(size)
    table = ode.monomials
    np.savez(
        path,
        letter=ode.variables[0][0],
        indptr=table.indptr,
        variables=table.variables,
        powers=table.powers,
        rows=ode.rows,
        columns=ode.columns,
        numbers=ode.coefficients.numerators,
        planted=planted,
        labels=labels,
    )


def chain_with_label(states: int) -> Made:
    """A planted Markov chain, with the label that tells its blocks apart."""
    from symlump.datasets.chains import planted_chain

    return planted_chain(states, states // 10)


def backward_system(variables: int) -> Made:
    """A planted quadratic system of ten terms an equation."""
    from symlump.datasets.systems import planted_backward

    ode, planted = planted_backward(variables, variables // 10, 10)
    return ode, planted, np.zeros(variables, dtype=np.int64)
