"""A store as a model in memory."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from symlump.formats.model import Model
from symlump.ode.exact import ExactArray, IntArray
from symlump.ode.maps import in_time
from symlump.ode.monomials import Monomials
from symlump.ode.notation import count_text
from symlump.ode.polynomial import PolynomialODE
from symlump.store.engine import temporary_engine

if TYPE_CHECKING:
    from symlump.store.store import Store


def load_model(store: Store) -> Model:
    """The system with its initial values and its partition; what is not known starts at 0, with a note."""
    with temporary_engine() as db:
        variables = db.arrays(
            "select name, parameter, coalesce(numerator, 0) as numerator, "
            "coalesce(denominator, 1) as denominator, coalesce(part, -1) as part, "
            "denominator is null and not parameter as unknown "
            f"from {store.sql('variables')} order by variable"
        )
        factors = db.arrays(f"select monomial, variable, power from {store.sql('monomials')}")
        terms = db.arrays(f"select row, monomial, numerator, denominator from {store.sql('terms')}")
    names = [str(name) for name in variables["name"]]
    table, position = Monomials.from_factors(
        _integers(factors["monomial"]),
        _integers(factors["variable"]),
        _integers(factors["power"]),
        store.monomials,
    )
    ode = PolynomialODE.from_terms(
        names,
        _integers(terms["row"]),
        position[_integers(terms["monomial"])],
        ExactArray(
            _integers(terms["numerator"]), _integers(terms["denominator"])
        ).in_lowest_terms(),
        table,
        [name for name, is_one in zip(names, variables["parameter"], strict=True) if is_one],
    )
    initial = zip(variables["numerator"].tolist(), variables["denominator"].tolist(), strict=True)
    values = {name: Fraction(*pair) for name, pair in zip(names, initial, strict=True)}
    blocks: dict[int, list[str]] = {}
    for name, part in zip(names, variables["part"].tolist(), strict=True):
        blocks.setdefault(part, []).append(name)
    order = sorted(blocks, key=lambda part: (part < 0, part))  # as they were given; the rest last
    partition = None if set(blocks) <= {-1} else tuple(tuple(blocks[part]) for part in order)
    unknown = int(variables["unknown"].sum())
    notes = (
        (f"initial values of {count_text(unknown, 'variable')} are not known, and stand as 0",)
        if unknown
        else ()
    )
    return Model(store.name, in_time(ode, store.discrete), values, partition, notes=notes)


def _integers(column: Any) -> IntArray:
    return np.ascontiguousarray(np.ma.getdata(column), dtype=np.int64)
