"""Reaction networks: one monomial per reaction, however many species it changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from symlump.errors import InputError, VariableError
from symlump.ode.distinct import sort_with_order
from symlump.ode.exact import ExactArray, IntArray
from symlump.ode.monomials import Monomials

#: Reactants, products, rate constant: ({"A": 1, "B": 1}, {"C": 1}, Fraction(1, 2)).
Reaction = tuple[Mapping[str, int], Mapping[str, int], Any]


@dataclass(frozen=True, eq=False)
class FlowArrays:
    """Many flows as arrays: flow r moves at ``rates[r]`` times the product of its factors.

    Parameters
    ----------
    rates : ExactArray, shape (flows,)
    factor_flows, factor_variables, factor_powers : ndarray of int64, shape (factors,)
        The monomial of each flow.
    change_flows, change_variables, change_counts : ndarray of int64, shape (changes,)
        How many copies of which variable a flow makes (negative: consumes).
    """

    rates: ExactArray
    factor_flows: IntArray
    factor_variables: IntArray
    factor_powers: IntArray
    change_flows: IntArray
    change_variables: IntArray
    change_counts: IntArray

    def terms(self) -> tuple[IntArray, ExactArray, Monomials]:
        """The terms of the equations, sorted by key: key, coefficient and, shared by them, the monomials."""
        monomials, position = Monomials.from_factors(
            self.factor_flows, self.factor_variables, self.factor_powers, len(self.rates)
        )
        # A catalyst is consumed and made; its two terms cancel when equal terms are added.
        keys = self.change_variables.astype(np.int64) * max(1, len(monomials))
        keys += position[self.change_flows]
        order, keys = sort_with_order(keys)
        rates = self.rates.take(self.change_flows[order]).times(self.change_counts[order])
        del order  # at millions of reactions these arrays are what memory is made of
        return keys, rates, monomials


def read_reactions(
    reactions: Iterable[Reaction], variables: Iterable[str] | None, parameters: Iterable[str]
) -> tuple[FlowArrays, list[str], tuple[str, ...]]:
    """The flows of reactions, variables and parameters; see ``PolynomialODE.from_reactions``."""
    listed = [(dict(a), dict(b), rate) for a, b, rate in reactions]
    fixed = tuple(parameters)
    found = dict.fromkeys(v for a, b, _ in listed for v in (*a, *b))
    names = [v for v in (found if variables is None else variables) if v not in fixed]
    names += fixed
    index = {name: i for i, name in enumerate(names)}
    factors: list[tuple[int, int, int]] = []
    changes: list[tuple[int, int, int]] = []
    rates: list[Fraction | float | int] = []
    for flow, (reactants, products, rate) in enumerate(listed):
        for side, sign in ((reactants, -1), (products, 1)):
            for name, count in side.items():
                if name not in index:
                    raise VariableError(
                        f"reaction {flow + 1} names {name!r}, which is not among the variables"
                    )
                if isinstance(count, bool) or not isinstance(count, int) or count < 0:
                    raise InputError(
                        f"reaction {flow + 1}: {count!r} copies of {name!r}; counts are whole "
                        "numbers, 0 or larger"
                    )
                changes.append((flow, index[name], sign * count))
                if sign < 0:
                    factors.append((flow, index[name], count))
        if isinstance(rate, str):
            if rate not in fixed:
                raise VariableError(
                    f"reaction {flow + 1}: the rate {rate!r} is not among the parameters"
                )
            factors.append((flow, index[rate], 1))
            rate = 1
        rates.append(rate)
    table = np.array(factors, dtype=np.int64).reshape(-1, 3).T
    moved = np.array(changes, dtype=np.int64).reshape(-1, 3).T
    return FlowArrays(_rates(rates), *table, *moved), names, fixed


def _rates(rates: list[Any]) -> ExactArray:
    if rates and all(isinstance(rate, float) for rate in rates):
        return ExactArray.from_floats(rates)
    for number, rate in enumerate(rates, start=1):
        if not hasattr(rate, "as_integer_ratio"):
            raise InputError(
                f"reaction {number}: the rate is {rate!r}; give an int, a Fraction, a float, or the "
                "name of a parameter"
            )
    try:
        return ExactArray.from_fractions(Fraction(*rate.as_integer_ratio()) for rate in rates)
    except (ValueError, OverflowError):
        raise InputError("a rate is not a finite number") from None
