"""A model file's content: the system, where it starts, and what its author looks at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np

from symlump.errors import InputError
from symlump.formats import algebra
from symlump.ode.exact import ExactArray
from symlump.ode.monomials import Monomials
from symlump.ode.polynomial import PolynomialODE

Partition = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Model:
    """What a model file says.

    Parameters
    ----------
    name : str
    ode : PolynomialODE
    initial_values : dict of str to Fraction
        One entry per variable; 0 where the file gives none.
    partition : tuple of tuple of str, or None
        The initial partition of the file, covering all variables: those that it does not list are
        one further block, and each symbolic parameter is alone in its block.
    observables : dict
        Views and groups that are linear combinations of variables, as name to coefficients.
    other_views : dict of str to str
        The text of all other views.
    dropped : dict of str to Fraction
        Constant species that were replaced by their values and are not in the system any more.
    """

    name: str
    ode: PolynomialODE
    initial_values: dict[str, Fraction]
    partition: Partition | None = None
    observables: dict[str, dict[str, Fraction]] = field(default_factory=dict)
    other_views: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, Fraction] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Model {self.name!r}: {len(self.ode)} variables, {self.ode.terms} terms>"


def cover(blocks: Iterable[tuple[str, ...]], ode: PolynomialODE) -> Partition:
    """Complete the blocks that a file lists to a partition of all variables."""
    listed = tuple(blocks)
    seen = {name for block in listed for name in block} | set(ode.parameters)
    rest = tuple(name for name in ode.variables if name not in seen)
    return (*listed, *((rest,) if rest else ()), *((name,) for name in ode.parameters))


def linear_combination(
    polynomial: algebra.Polynomial, names: tuple[str, ...], constants: Iterable[str] = ()
) -> dict[str, Fraction] | None:
    """The coefficients of a linear form in the variables, or None if it is something else."""
    excluded = set(constants)
    combination = {}
    for monomial, value in polynomial.items():
        if len(monomial) != 1 or monomial[0][1] != 1 or names[monomial[0][0]] in excluded:
            return None
        combination[names[monomial[0][0]]] = value
    return combination


def substitute_constants(model: Model) -> Model:
    """Replace every species with derivative zero by its initial value, and drop it.

    Symbolic parameters stay. The rule is applied once: a species that becomes constant only
    through the substitution stays a variable.

    Raises
    ------
    InputError
        If a power of an initial value is too long to compute.
    """
    ode = model.ode
    moves = np.zeros(len(ode), dtype=bool)
    moves[ode.rows] = True
    moves[[ode.index[name] for name in ode.parameters]] = True
    if moves.all():
        return model
    dropped = {
        name: model.initial_values[name]
        for name, stays in zip(ode.variables, moves.tolist(), strict=True)
        if not stays
    }
    kept = [name for name in ode.variables if name not in dropped]
    partition = model.partition
    if partition is not None:
        remaining = (tuple(name for name in block if name not in dropped) for block in partition)
        partition = tuple(block for block in remaining if block)
    observables, other_views = dict(model.observables), dict(model.other_views)
    for name, combination in model.observables.items():
        if not dropped.keys().isdisjoint(combination):
            other_views[name] = combination_text(observables.pop(name))
    return replace(
        model,
        ode=_substitute(ode, dropped, kept),
        initial_values={name: model.initial_values[name] for name in kept},
        partition=partition,
        observables=observables,
        other_views=other_views,
        dropped={**model.dropped, **dropped},
    )


def _substitute(
    ode: PolynomialODE, values: Mapping[str, Fraction], kept: list[str]
) -> PolynomialODE:
    """The system in the variables ``kept``, at the given values of the others."""
    table = ode.monomials
    label = np.full(len(ode), -1, dtype=np.int64)
    label[[ode.index[name] for name in kept]] = np.arange(len(kept))
    constant = label[table.variables] < 0
    factor: dict[int, Fraction] = {}
    for position in np.flatnonzero(constant).tolist():
        owner, power = int(table.owners[position]), int(table.powers[position])
        value = values[ode.variables[int(table.variables[position])]]
        try:
            raised = value if power == 1 else algebra.power_of_number(value, power)
        except InputError as problem:
            name = ode.variables[int(table.variables[position])]
            raise InputError(f"{name}**{power} at the initial value of {name}: {problem}") from None
        factor[owner] = factor.get(owner, Fraction(1)) * raised
    monomials, place = Monomials.from_factors(
        table.owners[~constant],
        label[table.variables[~constant]],
        table.powers[~constant],
        len(table),
    )
    # A network has few distinct values of its constants: the products are made once per value.
    distinct = {value: i for i, value in enumerate(dict.fromkeys(factor.values()), start=1)}
    kind = np.zeros(len(table), dtype=np.int64)
    for owner, value in factor.items():
        kind[owner] = distinct[value]
    coefficients = _scaled(ode.coefficients, kind[ode.columns], [Fraction(1), *distinct])
    return PolynomialODE.from_terms(
        kept, label[ode.rows], place[ode.columns], coefficients, monomials, ode.parameters
    )


def _scaled(
    coefficients: ExactArray, kind: np.typing.NDArray[np.int64], values: list[Fraction]
) -> ExactArray:
    """Each coefficient times ``values[kind]``, exactly."""
    if not kind.any():
        return coefficients
    known: dict[tuple[Fraction, int], Fraction] = {}
    scaled = []
    for value, k in zip(coefficients, kind.tolist(), strict=True):
        key = (value, k)
        if key not in known:
            known[key] = value * values[k]
        scaled.append(known[key])
    return ExactArray.from_fractions(scaled)


def combination_text(combination: Mapping[str, Fraction]) -> str:
    """A linear combination as an expression that every dialect here reads alike.

    Examples
    --------
    >>> combination_text({"x": Fraction(1), "y": Fraction(-2, 3)})
    'x - 2/3*y'
    """
    parts: list[str] = []
    for name, value in combination.items():
        size = abs(value)
        term = name if size == 1 else f"{algebra.fraction_text(size)}*{name}"
        if parts:
            parts.append(f"{'-' if value < 0 else '+'} {term}")
        else:
            parts.append(f"-{term}" if value < 0 else term)
    return " ".join(parts) or "0"
