"""Certificates of linear lumpings: no mutation of a true one is wrongly accepted."""

import copy
import json
import re
from collections import defaultdict
from fractions import Fraction
from random import Random

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from test_certificate import mutations
from test_refine import planted_forward, systems, to_ode

import symlump as sl
from symlump.errors import FileFormatError

# The definitions, slowly, in rationals; nothing of the package is used.


def evaluate(polynomial, at):
    total = Fraction(0)
    for coefficient, factors in polynomial:
        term = Fraction(coefficient)
        for name, power in factors:
            term *= at[name] ** power
        total += term
    return total


def lumps(data, seed):
    """L·q(x) = g(L·x), at a random point x with large coordinates."""
    random = Random(seed)
    x = {
        v: Fraction(random.randint(-(10**9), 10**9), random.randint(1, 99)) for v in data["system"]
    }
    q = {v: evaluate(polynomial, x) for v, polynomial in data["system"].items()}
    y = {name: evaluate(row, x) for name, row in data["matrix"].items()}
    return data["matrix"].keys() == data["quotient"].keys() and all(
        evaluate(row, q) == evaluate(data["quotient"][name], y)
        for name, row in data["matrix"].items()
    )


def basis(rows):
    """Rows in echelon form, over Q."""
    done = []
    for row in rows:
        for pivot, other in done:
            row = [a - row[pivot] * b for a, b in zip(row, other, strict=True)]
        pivot = next((i for i, a in enumerate(row) if a), None)
        if pivot is not None:
            done.append((pivot, [a / row[pivot] for a in row]))
    return [row for _, row in done]


def smallest(data):
    """The least number of rows that keep the observables, and whether those of L keep them.

    Observables and all that the coefficients of the Jacobian make of them, until nothing is new.
    """
    names = list(data["system"])

    def vector(form):
        return [
            sum((Fraction(c) for c, factors in form if factors[0][0] == name), Fraction(0))
            for name in names
        ]

    jacobian = defaultdict(lambda: [[Fraction(0)] * len(names) for _ in names])
    for i, polynomial in enumerate(data["system"].values()):
        for coefficient, factors in polynomial:
            powers = defaultdict(int)
            for name, power in factors:
                powers[name] += power
            for name, power in powers.items():
                rest = frozenset((powers | {name: power - 1}).items()) - {(name, 0)}
                jacobian[rest][i][names.index(name)] += Fraction(coefficient) * power
    observables = [vector(form) for form, _ in data["closure"]["observables"]]
    space, before = basis(observables), -1
    while len(space) > before:
        before = len(space)
        moved = [
            [
                sum(a * b for a, b in zip(row, column, strict=True))
                for column in zip(*m, strict=True)
            ]
            for m in jacobian.values()
            for row in space
        ]
        space = basis(space + moved)
    rows = basis([vector(row) for row in data["matrix"].values()])
    return len(space), len(basis(rows + observables)) == len(rows)


# True claims.


def linear_forms(n):
    weight = st.sampled_from([Fraction(c) for c in (-1, 1, 1, 2)] + [Fraction(2, 3)])
    names = st.sampled_from([f"x{i}" for i in range(n)])
    return st.dictionaries(names, weight, min_size=1, max_size=3)


@st.composite
def lumpings(draw):
    """Systems with a smaller one inside, and any; observables that the smaller one knows, and any."""
    if draw(st.booleans()):
        system, blocks = draw(planted_forward())
        block = draw(st.sampled_from(blocks))
        planted = [{f"x{i}": Fraction(1) for i, b in enumerate(blocks) if b == block}]
    else:
        system, planted = draw(systems(max_variables=4)), []
    ode = to_ode(system)
    how = draw(st.sampled_from(["constrained", "constrained", "conserved", "hierarchy"]))
    if how == "conserved":
        return sl.conserved(ode)
    if how == "hierarchy" and (chain := list(sl.hierarchy(ode))):
        return draw(st.sampled_from(chain))
    others = draw(st.lists(linear_forms(len(system)), min_size=not planted, max_size=2))
    return sl.lump(ode, sl.Constrained([*planted, *others]))


# What a liar would try that a change in one place does not reach.


def add_a_row(draw, data):
    """One row more than needed, with its equation: a multiple, a sum, or a variable."""
    rows, quotient = data["matrix"], data["quotient"]
    names = list(rows) or [None]
    first, second = draw(st.sampled_from(names)), draw(st.sampled_from(names))
    if first is None or draw(st.booleans()):
        variable = draw(st.sampled_from(list(data["system"])))
        rows["new"], quotient["new"] = [["1", [[variable, 1]]]], []
    else:
        rows["new"], quotient["new"] = (
            rows[first] + rows[second],
            quotient[first] + quotient[second],
        )


def take_all_variables(draw, data):
    """Keep everything: a lumping, but the smallest only by chance."""
    data["matrix"] = {name: [["1", [[name, 1]]]] for name in data["system"]}
    data["quotient"] = copy.deepcopy(data["system"])
    for observable in data.get("closure", {}).get("observables", []):
        observable[1] = observable[0]


def drop_a_row(draw, data):
    if data["matrix"]:
        name = draw(st.sampled_from(list(data["matrix"])))
        del data["matrix"][name], data["quotient"][name]


def observe_less(draw, data):
    """The record of some observables, for others: one of the rows."""
    if "closure" in data and data["matrix"]:
        name = draw(st.sampled_from(list(data["matrix"])))
        kept = [copy.deepcopy(data["matrix"][name]), [["1", [[name, 1]]]]]
        data["closure"]["observables"] = [kept] * len(data["closure"]["observables"])


def observe_another(draw, data):
    """The record of an observable, for a variable that the rows may not determine."""
    for observable in data.get("closure", {}).get("observables", []):
        observable[0] = [["1", [[draw(st.sampled_from(list(data["system"]))), 1]]]]


def change_the_record(draw, data):
    """Another prime, parent, or start; a step more, or less, or other."""
    if "closure" not in data:
        return
    record = data["closure"]
    steps = record["steps"]
    variables = st.sampled_from(list(data["system"]))
    step = [draw(st.integers(0, 3)), [[v, 1] for v in sorted(draw(st.sets(variables, max_size=2)))]]
    how = draw(st.integers(0, 4))
    if how == 0:
        record["prime"] = draw(st.sampled_from([2, 3, 5, 4, 1, 2**31 - 1, 2**31]))
    elif how == 1:
        steps.append(step)
    elif how == 2 and steps:
        steps[draw(st.integers(0, len(steps) - 1))] = step
    elif how == 3 and steps:
        steps.pop(draw(st.integers(0, len(steps) - 1)))
    else:
        record["start"] = draw(st.lists(st.integers(-1, 2), max_size=3))


def change_the_system(draw, data):
    """A term more in one equation."""
    name, other = (draw(st.sampled_from(list(data["system"]))) for _ in range(2))
    data["system"][name].append(["1", [[other, draw(st.integers(1, 2))]]])


LIES = [
    add_a_row,
    take_all_variables,
    drop_a_row,
    observe_less,
    observe_another,
    change_the_record,
    change_the_record,
    change_the_system,
]


def lie_about(certificate, draw):
    """One or two changes, some of them made with care."""
    mutated = copy.deepcopy(certificate)
    how = draw(st.sampled_from(["anywhere", "with care", "with care", "both"]))
    if how != "anywhere":
        draw(st.sampled_from(LIES))(draw, mutated)
    if how != "with care":
        mutated = draw(mutations(mutated))
    if draw(st.booleans()):
        mutated.pop("digest", None)  # a liar leaves out what would give him away
    return mutated


@settings(max_examples=200)
@given(lumpings(), st.data(), st.integers(0, 2**32))
def test_mutated_linear_certificates_are_never_wrongly_accepted(lumping, data, seed):
    """Five mutations of each certificate, a thousand in all."""
    certificate = lumping.certificate()
    verdict = certificate.check()
    assert verdict.accepted and verdict.coarsest == ("closure" in certificate.data)
    for _ in range(5):
        mutated = lie_about(certificate.data, data.draw)
        try:
            verdict = sl.Certificate(mutated).check()
        except FileFormatError:
            continue
        if verdict.accepted:
            assert lumps(mutated, seed)
            if verdict.coarsest:
                assert smallest(mutated) == (len(mutated["matrix"]), True)


@settings(max_examples=50)
@given(lumpings())
def test_the_slow_reference_agrees_with_true_claims(lumping):
    """So it is able to refuse, and to agree."""
    data = lumping.certificate().data
    assert lumps(data, 1)
    if "closure" in data:
        assert smallest(data) == (len(lumping), True)
    if len(lumping):
        data["quotient"][next(iter(data["quotient"]))].append(["1", []])
        assert not lumps(data, 1)


@pytest.mark.parametrize(("steps", "answer"), [([[0, []]], "accepted"), ([], "inconclusive")])
def test_reference_and_checker_on_a_rotation(steps, answer):
    """x' = y, y' = -x: who keeps x keeps both; whoever claims one row has no quotient for it."""

    def one(name, weight="1"):
        return [[weight, [[name, 1]]]]

    data = {
        "format": "symlump certificate",
        "version": 1,
        "kind": "linear",
        "system": {"x": one("y"), "y": one("x", "-1")},
        "matrix": {"x": one("x"), "y": one("y")},
        "quotient": {"x": one("y"), "y": one("x", "-1")},
        "closure": {
            "observables": [[one("x"), one("x")]],
            "start": [0],
            "prime": 101,
            "steps": steps,
        },
    }
    assert sl.Certificate(data).check().answer == answer
    assert smallest(data) == (2, True) and lumps(data, 1)
    less = data | {"matrix": {"x": one("x")}, "quotient": {"x": []}}
    assert sl.Certificate(less).check().answer == "rejected"
    assert smallest(less) == (2, True) and not lumps(less, 1)


def test_no_number_in_the_file_makes_it_fail_otherwise():
    """A zero denominator anywhere is refused, or not looked at; never an error of another kind."""
    x, y = sympy.symbols("x y")
    ode = sl.PolynomialODE.from_sympy({x: -x + y, y: -y})
    text = json.dumps(sl.lump(ode, sl.Constrained(["x"])).certificate().data)
    places = list(re.finditer(r'"-?\d+"', text))
    assert len(places) > 5
    for place in places:
        changed = json.loads(text[: place.start()] + '"1/0"' + text[place.end() :])
        try:
            answer = sl.Certificate(changed).check().answer
        except FileFormatError:
            continue
        assert answer != "accepted" or changed["tolerance"] == "1/0"
