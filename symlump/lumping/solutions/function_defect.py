"""What a quotient gets wrong where there are functions: the defect, and how an error acts on itself.

A product of symbols changes by terms with the change of one of them, a function by its mean slope times the
change of its argument. So every term has a factor that is small where the change is.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from symlump.errors import FailureError, InputError
from symlump.lumping.partition import Partition
from symlump.lumping.solutions.functional import MEAN
from symlump.lumping.tolerance.functional import NearestForward, exact_part
from symlump.ode.exact import IntArray
from symlump.ode.functions.algebra import (
    Polynomial,
    add_to,
    constant,
    scale,
    symbol,
    total,
)
from symlump.ode.functions.images import functions_of, image
from symlump.ode.functions.known import FUNCTIONS
from symlump.ode.functions.symbols import SymbolTable
from symlump.ode.system import ODE

if TYPE_CHECKING:
    from symlump.lumping.linear.linear_lumping import LinearLumping
    from symlump.lumping.lumping import Lumping
    from symlump.lumping.solutions.aggregate import AnyLumping

_MINUS = Fraction(-1)
#: Arguments are near where their coefficients differ by at most this part of their size.
_NEAR = 0.5


def function_defect(lumping: AnyLumping) -> ODE:
    """:func:`symlump.lumping.solutions.defect.defect` where there are functions; a row that is 0 has no term.

    Raises
    ------
    FailureError
        If multiplying out takes too many steps.
    """
    ode = lumping.ode
    table = SymbolTable(len(ode))
    backward = lumping.kind == "partition" and lumping.method.direction == "backward"
    try:
        if lumping.kind == "linear":
            rows = _of_rows(lumping, table)
        else:
            rows = (_backward if backward else _forward)(lumping, table)
        rows = [{} if table.is_zero(p) else p for p in rows]
    except InputError as problem:
        raise FailureError(
            f"the defect of this lumping cannot be written down: {problem}"
        ) from None
    rows += [{} for _ in range(len(ode) - len(rows))]
    names = ode.variables
    if backward:  # the variables are y; the others have no name, as they occur nowhere
        names = (*lumping.quotient.variables, *(f" {k}" for k in range(len(ode))))[: len(ode)]
    return ODE.from_table(names, rows, table)


def _backward(lumping: Lumping, table: SymbolTable) -> list[Polynomial]:
    """q(U·y) − U·g(y); equations of a block that are one function are written as one.

    A function of q that the quotient does not have is one that it has, with the nearest argument, and a rest.
    """
    partition = lumping.partition
    claimed, _ = lumping.quotient.into(table)
    theirs = range(table.count, table.count + len(table.functions))
    of = list(map(symbol, partition.labels.tolist()))
    before, change = _near_functions(lumping.ode, of, theirs, table)
    near = any(change)
    if not near:
        rows, _ = lumping.ode.into(table, of)
    else:
        rows = [image(lumping.ode.equation(i), before, table) for i in range(len(of))]
    for block, members in enumerate(partition.blocks):
        different: list[Polynomial] = []
        for i in members.tolist():
            same = (p for p in different if table.is_zero(add_to(dict(rows[i]), p, _MINUS)))
            found = next(same, None)
            if found is None:
                different.append(rows[i])
            rows[i] = add_to(dict(rows[i] if found is None else found), claimed[block], _MINUS)
    if near:
        for i, row in enumerate(rows):
            add_to(row, _change(lumping.ode.equation(i), before, change, table))
    return rows


def _near_functions(
    ode: ODE, of: list[Polynomial], theirs: range, table: SymbolTable
) -> tuple[list[Polynomial], list[Polynomial]]:
    """What stands for each symbol of a system, a function of the quotient where one is near, and the rest."""
    before, after, change = list(of), list(of), [Polynomial() for _ in of]
    by_name: dict[str, list[tuple[int, Polynomial]]] = {}
    for s in theirs:
        arguments = table.arguments[s - table.count]
        if len(arguments) == 1:
            by_name.setdefault(table.functions[s - table.count], []).append((s, arguments[0]))
    for name, own in functions_of(ode):
        after.append(table.apply(name, [image(p, after, table) for p in own]))
        ours = list(after[-1].items())
        known = len(ours) == 1 and ours[0][0][0][0] in theirs if ours and ours[0][0] else True
        nearest = None
        if not known and len(own) == 1:
            nearest = _nearest(image(own[0], before, table), by_name.get(name, []), name)
        if nearest is None:
            before.append(after[-1])
            change.append({})
            continue
        s, sign = nearest
        u = scale(table.arguments[s - table.count][0], Fraction(sign))
        function = FUNCTIONS.get(name)
        parity = function.parity if function is not None and sign < 0 else 1
        moved = add_to(image(own[0], before, table), u, _MINUS)
        add_to(moved, _change(own[0], before, change, table))
        before.append(scale(symbol(s), Fraction(parity)))
        v = image(own[0], after, table)
        change.append(_slope(name, u, v, before[-1], after[-1], moved, table))
    return before, change


def _nearest(
    v: Polynomial, candidates: list[tuple[int, Polynomial]], name: str
) -> tuple[int, int] | None:
    """The function with the argument nearest to v, or to −v where that says the same; None if none is near."""
    function = FUNCTIONS.get(name)
    signs = (1, -1) if function is not None and function.parity else (1,)
    ours = {m: float(value) for m, value in v.items()}
    size = sum(map(abs, ours.values()))
    best, least = None, _NEAR * size
    for s, u in candidates:
        theirs = {m: float(value) for m, value in u.items()}
        for sign in signs:
            far = sum(
                abs(ours.get(m, 0.0) - sign * theirs.get(m, 0.0))
                for m in ours.keys() | theirs.keys()
            )
            if far <= least:
                best, least = (s, sign), far
    return best


def _forward(lumping: Lumping, table: SymbolTable) -> list[Polynomial]:
    """g(L·x) − L·q(x); functions of q are those with the nearest arguments that sums give, and what is left."""
    partition = lumping.partition
    sums = [total(map(symbol, block.tolist())) for block in partition.blocks]
    rows, _ = lumping.quotient.into(table, sums)
    if lumping.method.is_exact:
        equations, _ = lumping.ode.into(table)
        for label, p in zip(partition.labels.tolist(), equations, strict=True):
            add_to(rows[label], p, _MINUS)
        return rows
    source, of, owners = _source(lumping, table)
    before, change = list(of), [Polynomial() for _ in of]
    after, projected = list(of), list(sums)
    try:
        arguments = NearestForward(source, Partition(owners)).arguments
    except InputError:  # a denominator would become 0: then everything stays as it is
        arguments = None
    for k, (name, own) in enumerate(functions_of(source)):
        v = [image(p, after, table) for p in own]
        after.append(table.apply(name, v))
        if arguments is None or len(own) != 1:
            before.append(after[-1])
            change.append({})
            projected.append(after[-1])
            continue
        u = image(arguments[k][0], projected, table)
        before.append(table.apply(name, [u]))
        projected.append(before[-1])
        moved = add_to(image(own[0], before, table), u, _MINUS)
        add_to(moved, _change(own[0], before, change, table))
        change.append(_slope(name, u, v[0], before[-1], after[-1], moved, table))
    for i, label in enumerate(owners.tolist()):
        add_to(rows[label], image(source.equation(i), before, table), _MINUS)
        add_to(rows[label], _change(source.equation(i), before, change, table), _MINUS)
    return rows


def _of_rows(lumping: LinearLumping, table: SymbolTable) -> list[Polynomial]:
    """g(L·x) − L·q(x) for any rows L; functions of q are the nearest ones of the quotient, and a rest."""
    ode, weights = lumping.ode, lumping.rows.rows()
    sums: list[Polynomial] = [{((c, 1),): weight for c, weight in form.items()} for form in weights]
    rows, _ = lumping.quotient.into(table, sums)
    theirs = range(table.count, table.count + len(table.functions))
    alone = list(map(symbol, range(len(ode))))
    before, change = _near_functions(ode, alone, theirs, table)
    for row, form in zip(rows, weights, strict=True):
        for c, weight in form.items():
            add_to(row, image(ode.equation(c), before, table), -weight)
            add_to(row, _change(ode.equation(c), before, change, table), -weight)
    return rows


def _source(lumping: Lumping, table: SymbolTable) -> tuple[ODE, list[Polynomial], IntArray]:
    """The system with what is certainly equal merged: its variables as sums in x, and their blocks."""
    ode, partition = lumping.ode, lumping.partition
    alone = list(map(symbol, range(len(ode))))
    if ode.generators is None:
        return ode, alone, partition.labels
    exact, merged = exact_part(ode, lumping.method, lumping.initial)
    first = partition.labels[exact.representatives]
    if merged is ode or not (first[exact.labels] == partition.labels).all():
        return ode, alone, partition.labels
    of = [total(map(symbol, block.tolist())) for block in exact.blocks]
    ours, _ = ode.into(table)
    theirs, _ = merged.into(table, of)
    for p, block in zip(theirs, exact.blocks, strict=True):
        whole = total(ours[i] for i in block.tolist())
        if not table.is_zero(add_to(whole, p, _MINUS)):
            return ode, alone, partition.labels
    return merged, of, first


def function_increment(f: ODE, source: IntArray, live: IntArray, places: Sequence[str]) -> ODE:
    """:func:`symlump.lumping.solutions.defect.increment` where there are functions.

    Every term has a factor e.

    Raises
    ------
    FailureError
        If multiplying out takes too many steps.
    """
    names = [*places, *(f"error of {f.variables[v]}" for v in live.tolist())]
    table = SymbolTable(len(names))
    before: list[Polynomial] = [symbol(z) for z in source.tolist()]
    after = [dict(p) for p in before]
    change: list[Polynomial] = [{} for _ in before]
    for k, v in enumerate(live.tolist()):
        change[v] = symbol(len(places) + k)
        add_to(after[v], change[v])
    try:
        for name, arguments in functions_of(f):
            u, v = ([image(p, of, table) for p in arguments] for of in (before, after))
            before.append(table.apply(name, u))
            after.append(table.apply(name, v))
            if not arguments or u == v:
                change.append({})
                continue
            moved = _change(arguments[0], before, change, table)
            change.append(_slope(name, u[0], v[0], before[-1], after[-1], moved, table))
        rows = [_change(f.equation(v), before, change, table) for v in live.tolist()]
    except InputError as problem:
        raise FailureError(f"the error of this lumping cannot be written down: {problem}") from None
    rows += [{} for _ in range(len(names) - len(rows))]
    return ODE.from_table(names, rows, table)


def _change(
    p: Polynomial, before: list[Polynomial], change: list[Polynomial], table: SymbolTable
) -> Polynomial:
    """What p changes by when each symbol s goes from ``before[s]`` to ``before[s] + change[s]``."""
    result: Polynomial = {}
    for monomial, value in p.items():
        pure, rest = constant(value), Polynomial()
        for s, k in monomial:
            for _ in range(k):
                whole = add_to(dict(before[s]), change[s])
                rest = add_to(table.multiply(rest, whole), table.multiply(pure, change[s]))
                pure = table.multiply(pure, before[s])
        add_to(result, rest)
    return result


def _slope(
    name: str,
    u: Polynomial,
    v: Polynomial,
    before: Polynomial,
    after: Polynomial,
    moved: Polynomial,
    table: SymbolTable,
) -> Polynomial:
    """f(v) − f(u) = mean slope · (v − u), given f(u), f(v) and v − u."""
    if not moved:
        return {}
    if name == "inverse":
        slope = scale(table.multiply(before, after), _MINUS)
    else:
        slope = table.apply(MEAN + name, [u, v])
    return table.multiply(slope, moved)
