"""Why two variables are together, or apart."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from symlump.lumping.elementary.explain import write_functions
from symlump.lumping.equivalence import Equivalence
from symlump.lumping.partition import Partition
from symlump.lumping.refinement.maximality import Split
from symlump.lumping.tolerance.linkage import Linkage
from symlump.ode.exact import IntArray
from symlump.ode.functions.algebra import Polynomial
from symlump.ode.notation import (
    Term,
    left_latex,
    left_text,
    name_latex,
    number_latex,
    number_text,
    signed_sum,
)
from symlump.ode.system import ODE

_MAX_TERMS = 8


@dataclass(frozen=True)
class Explanation:
    """The answer to "why are x and y together?" or "why not?".

    Parameters
    ----------
    together : bool
    round : int or None
        The round of refinement in which the two were separated; 0 if the initial partition does.
    text, latex : str
        The identity that both satisfy, or the coefficient in which they differ.

    Examples
    --------
    >>> import symlump as sl
    >>> ode = sl.ODE.from_text("a' = c - a; b' = c - b; c' = -a - b")
    >>> sl.lump(ode, sl.Forward()).explain("a", "b").together
    True
    """

    together: bool
    round: int | None
    text: str
    latex: str

    def __str__(self) -> str:
        return self.text

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex}$"


def explain_together(
    ode: ODE, method: Equivalence, labels: IntArray, x: int, y: int
) -> Explanation:
    """The identities that x and y satisfy under a partition."""
    terms = method.signature(ode, labels, Partition(labels).representatives[labels[[x]]])
    _, keys, values = terms.collect()
    names = ode.variables
    grouped: dict[int | None, list[tuple[tuple[tuple[int, int], ...], Fraction]]] = {}
    for key, value in zip(keys.tolist(), values, strict=True):
        target, factors = terms.describe(key)
        grouped.setdefault(target, []).append((factors, value))
    text = [f"{names[x]} and {names[y]} are together: for every block the two sides are equal"]
    latex: list[str] = []
    if method.direction == "backward":
        text = [f"{names[x]} and {names[y]} are together: on the blocks their equations are equal"]
        both = " = ".join(left_text(names[v], ode.discrete) for v in (x, y))
        math = " = ".join(left_latex(name_latex(names[v]), ode.discrete) for v in (x, y))
        grouped = grouped or {None: []}
        for polynomial in grouped.values():
            text.append(f"  {both} = {_polynomial(polynomial, ode)}")
            latex.append(f"{math} = {_polynomial(polynomial, ode, latex=True)}")
    else:
        for target, polynomial in grouped.items():
            member = int(np.flatnonzero(labels == target)[0])
            f = _block(labels, member, ode)
            text.append(
                f"  d f/d {names[x]} = d f/d {names[y]} = {_polynomial(polynomial, ode)}   "
                f"for f = sum of the equations of {{{f}}}"
            )
            d = [rf"\frac{{\partial f}}{{\partial {name_latex(names[v])}}}" for v in (x, y)]
            latex.append(
                f"{d[0]} = {d[1]} = {_polynomial(polynomial, ode, latex=True)}"
                rf",\quad f = \sum_{{\{{{_block(labels, member, ode, latex=True)}\}}}} q"
            )
        if not grouped:
            text.append("  no equation depends on either of them")
            latex.append(r"\text{no equation depends on either}")
    return Explanation(True, None, "\n".join(text), _lines(latex))


def explain_apart(
    ode: ODE,
    method: Equivalence,
    initial: IntArray,
    rounds: list[list[Split]],
    x: int,
    y: int,
) -> Explanation:
    """The first coefficient in which x and y differ, when the rounds of splits are replayed."""
    names = ode.variables
    pair = f"{names[x]} and {names[y]} are apart"
    if initial[x] != initial[y]:
        return Explanation(
            False,
            0,
            f"{pair}: the initial partition keeps them so",
            rf"\text{{the initial partition keeps }} {name_latex(names[x])}, {name_latex(names[y])} "
            r"\text{ apart}",
        )
    labels = initial
    for number, records in enumerate(rounds, start=1):
        values = coefficients(ode, method, labels, records)
        for column, record in enumerate(records):
            if labels[record.member] != labels[x]:
                continue
            a, b = values[x][column], values[y][column]
            if a != b:
                return _differ(ode, labels, record, number, x, y, (a, b))
        numbers: dict[object, int] = {}
        labels = np.array(
            [
                numbers.setdefault((int(labels[v]), tuple(values[v])), len(numbers))
                for v in range(len(ode))
            ]
        )
    raise AssertionError("the rounds of splits separate all blocks")


def explain_within(
    ode: ODE, method: Equivalence, initial: IntArray, final: IntArray, x: int, y: int
) -> Explanation:
    """How far apart two variables are under the blocks of a lumping with a tolerance, and where."""
    names = ode.variables
    together = bool(final[x] == final[y])
    pair = f"{names[x]} and {names[y]} are {'together' if together else 'apart'}"
    terms = method.signature(ode, final, np.array(sorted((x, y))))
    owners, keys, sums = terms.collect()
    signature: dict[int, dict[int, Fraction]] = {x: {}, y: {}}
    for owner, key, value in zip(owners.tolist(), keys.tolist(), sums, strict=True):
        signature[owner][key] = value
    a, b = signature[x], signature[y]
    zero = Fraction(0)
    gap = {key: abs(a.get(key, zero) - b.get(key, zero)) for key in a.keys() | b.keys()}
    norm = Linkage(method.linkage).norm
    widest = max(gap.values(), default=zero) or Fraction(
        1
    )  # the squares of others may be no floats
    distance = float(widest) * sum(float(g / widest) ** norm for g in gap.values()) ** (1 / norm)
    unit = _unit(ode, method, initial, final, x)
    said = method.distance_text(x, y)
    if said is None:
        of = "" if unit == 1 else f" in units of {unit:.6g}"
        said = (
            f"the {norm}-norm distance of their signatures under the final blocks is "
            f"{distance / unit:.6g}{of}"
        )
    text = f"{pair}: {said},\nε = {method.eps:g}, linkage {method.linkage}"
    symbol = rf"d({name_latex(names[x])}, {name_latex(names[y])}) = {distance / unit:.6g}"
    if not together and initial[x] != initial[y]:
        text += "; the initial partition keeps them apart"
    if not distance:
        return Explanation(together, None, text, symbol)
    key = max(sorted(gap), key=gap.__getitem__)
    target, factors = terms.describe(key)
    one: Polynomial = {factors: Fraction(1)}
    if terms.table is None:
        monomial = _polynomial(list(one.items()), ode)
    else:  # in symbols of the variables, or of the first of each block
        first = np.unique(final, return_index=True)[1].tolist()
        own = names if method.direction == "forward" else [names[v] for v in first]
        ((monomial, _),) = write_functions(own, terms.table(), one)
    f = (
        ""
        if target is None
        else f" in the sum of {{{_block(final, int(np.flatnonzero(final == target)[0]), ode)}}}"
    )
    text += (
        f".\nThey differ most in the coefficient of {monomial}{f}: "
        f"{number_text(a.get(key, zero))} for {names[x]}, {number_text(b.get(key, zero))} for {names[y]}"
    )
    return Explanation(together, None, text, symbol)


def _unit(ode: ODE, method: Equivalence, initial: IntArray, final: IntArray, x: int) -> float:
    """What distances of a variable are divided by: its scale, or the mean norm in its initial block."""
    if method.scale is not None:
        return method.scale[x]
    if not method.relative:
        return 1.0
    members = np.flatnonzero(initial == initial[x])
    rows = method.signature(ode, final, members).to_rows(members)
    norm = Linkage(method.linkage).norm
    return float(np.mean(abs(rows).power(norm).sum(axis=1) ** (1 / norm))) or 1.0


def coefficients(
    ode: ODE, method: Equivalence, labels: IntArray, records: list[Split]
) -> list[list[Fraction]]:
    """For each variable its coefficient under every record of a round."""
    terms = method.signature(ode, labels, None)
    wanted: dict[object, list[int]] = {}
    for column, record in enumerate(records):
        target = None if record.target is None else int(labels[record.target])
        wanted.setdefault(_named(target, record.monomial, labels, method), []).append(column)
    owners, keys, sums = terms.collect()
    columns = {
        key: wanted.get(_named(*terms.describe(key), labels, method), ())
        for key in set(keys.tolist())
    }
    values = [[Fraction(0)] * len(records) for _ in range(len(ode))]
    for owner, key, value in zip(owners.tolist(), keys.tolist(), sums, strict=True):
        for column in columns[key]:
            values[owner][column] = value
    return values


def _named(
    target: int | None,
    factors: tuple[tuple[int, int], ...],
    labels: IntArray,
    method: Equivalence,
) -> tuple[int | None, tuple[tuple[int, int], ...]]:
    """A coefficient independent of which member names a block."""
    if method.direction == "backward":
        factors = tuple(sorted((int(labels[v]), e) for v, e in factors))
    return target, factors


def _differ(
    ode: ODE,
    labels: IntArray,
    record: Split,
    number: int,
    x: int,
    y: int,
    values: tuple[Fraction, Fraction],
) -> Explanation:
    names = ode.variables
    one = [(record.monomial, Fraction(1))]
    monomial, monomial_latex = _polynomial(one, ode), _polynomial(one, ode, latex=True)
    a, b = (number_text(v) for v in values)
    al, bl = (number_latex(v) for v in values)
    if record.target is None:
        what = "their equations, with blocks in place of variables,"
        side = [left_latex(name_latex(names[v]), ode.discrete) for v in (x, y)]
    else:
        f = _block(labels, record.target, ode)
        what = f"the derivatives by them of the sum of the equations of {{{f}}}"
        side = [
            rf"\frac{{\partial}}{{\partial {name_latex(names[v])}}}"
            rf"\sum_{{\{{{_block(labels, record.target, ode, latex=True)}\}}}} q"
            for v in (x, y)
        ]
    text = (
        f"{names[x]} and {names[y]} are apart since round {number}: {what}\ndiffer in the coefficient of "
        f"{monomial}, which is {a} for {names[x]} and {b} for {names[y]}"
    )
    latex = rf"[{monomial_latex}]\,{side[0]} = {al} \neq {bl} = [{monomial_latex}]\,{side[1]}"
    return Explanation(False, number, text, latex)


def _polynomial(terms: list[Term], ode: ODE, latex: bool = False) -> str:
    return signed_sum(terms[:_MAX_TERMS], len(terms), ode.variables, latex)


def _block(labels: IntArray, member: int, ode: ODE, latex: bool = False) -> str:
    members = [v for v in range(len(ode)) if labels[v] == labels[member]]
    names = [name_latex(ode.variables[v]) if latex else ode.variables[v] for v in members[:6]]
    return ", ".join(names) + ((r", \ldots" if latex else ", …") if len(members) > 6 else "")


def _lines(latex: list[str]) -> str:
    if len(latex) == 1:
        return latex[0]
    return "\\begin{gathered}\n" + " \\\\\n".join(latex) + "\n\\end{gathered}"
