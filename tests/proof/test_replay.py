"""The replay of a maximality record: by the definition, sound whatever the record, in little work."""

import sys
from fractions import Fraction
from random import Random

import pytest
import slow_reference as reference
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from test_refine import systems, to_ode

import symlump as sl
from symlump.datasets.systems import chain
from symlump.proof import check as checker
from symlump.proof.certificate import system_data
from symlump.proof.check import check, read_system, replay

SIGNATURES = {"forward": reference.forward_signature, "backward": reference.backward_signature}


def coefficient(system, kind, labels, record, i):
    """The rational of variable i under a record, from the definition in the specification."""
    _, target, monomial = record
    if kind == "backward":
        over = sorted((labels[v] for v, e in monomial for _ in range(e)))
        return sum(
            (c for m, c in system[i].items() if sorted(labels[v] for v in m) == over), Fraction(0)
        )
    raised = sorted([*(v for v, e in monomial for _ in range(e)), i])
    members = [k for k in range(len(system)) if labels[k] == labels[target]]
    return sum((system[k].get(tuple(raised), 0) for k in members), Fraction(0)) * raised.count(i)


def by_definition(system, kind, initial, rounds):
    labels = list(initial)
    for records in rounds:
        keys = [
            (
                labels[i],
                *(
                    coefficient(system, kind, labels, record, i)
                    for record in records
                    if labels[record[0]] == labels[i]
                ),
            )
            for i in range(len(system))
        ]
        labels = [keys.index(key) for key in keys]
    return reference.canonical(labels)


def some_rounds(random, n, kind):
    """Records about anything: most are of no use, and some separate everything."""
    return [
        [
            (
                random.randrange(n),
                random.randrange(n) if kind == "forward" else None,
                tuple((v, random.choice((1, 1, 2))) for v in sorted(random.sample(range(n), size))),
            )
            for size in random.choices(range(min(n, 2) + 1), k=random.randrange(4))
        ]
        for _ in range(random.randrange(1, 4))
    ]


@settings(max_examples=200)
@given(systems(max_variables=6), st.sampled_from(["forward", "backward"]), st.integers(0, 2**32))
def test_any_record_is_replayed_as_it_is_defined_and_separates_no_equivalent_variables(
    system, kind, seed
):
    n, random = len(system), Random(seed)
    names = [f"x{i}" for i in range(n)]
    plain = read_system(system_data(to_ode(system)))
    for _ in range(5):
        initial = reference.canonical([random.randrange(2) for _ in names])
        rounds = some_rounds(random, n, kind)
        spelled = [
            [
                (
                    names[m],
                    None if t is None else names[t],
                    tuple((names[v], e) for v, e in factors),
                )
                for m, t, factors in records
            ]
            for records in rounds
        ]
        reached = replay(plain, kind, dict(zip(names, initial, strict=True)), spelled)
        labels = reference.canonical([reached[name] for name in names])
        assert labels == by_definition(system, kind, initial, rounds)
        coarsest = reference.coarsest(system, SIGNATURES[kind], initial)
        assert all(labels[i] == labels[coarsest.index(coarsest[i])] for i in range(n))


def work(function):
    """How many functions are called: a count, the same on any machine."""
    count = 0

    def note(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(before)
    return count


X = sympy.symbols("x1:2000")


def falling(n):
    """x_i' = x_{i+1}: forward equivalence splits it one variable at a time."""
    return sl.PolynomialODE.from_sympy(
        {X[i]: X[i + 1] if i + 1 < n else 0 * X[i] for i in range(n)}
    )


def tree(depth):
    """Every equation is that of the parent, once or twice: blocks are halved again and again."""
    return sl.PolynomialODE.from_sympy(
        {
            X[i]: X[(i - 1) // 2] * (1 + i % 2) if i else sympy.Integer(1)
            for i in range(2**depth - 1)
        }
    )


@pytest.mark.parametrize(
    ("method", "small", "large"),
    [
        (sl.Backward(), chain(100), chain(800)),
        (sl.Forward(), falling(100), falling(800)),
        (sl.Backward(), tree(7), tree(10)),
    ],
)
def test_a_record_is_found_and_replayed_in_little_more_than_linear_work(method, small, large):
    """Eight times the variables; where work grew as a square, each would cost eight times as much."""
    costs = []
    for ode in (small, large):
        lumping = sl.lump(ode, method)
        found = work(lambda lumping=lumping: lumping.splits)
        data = lumping.certificate().data
        assert len(data["maximality"]) >= 6
        replayed = work(lambda data=data: check(data))
        assert check(data).coarsest
        costs.append((found / len(ode), replayed / len(ode)))
    for before, after in zip(*costs, strict=True):
        assert after < 2 * before


def test_a_record_may_take_so_much_for_every_item(monkeypatch):
    """And a good one takes far less; one that asks the whole system again and again does not end the day."""
    monkeypatch.setattr(checker, "MAX_STEPS", 0)
    spent = []
    spend = checker.Budget.spend
    monkeypatch.setattr(
        checker.Budget, "spend", lambda self, steps: spend(self, steps) or spent.append(steps)
    )
    assert check(sl.lump(chain(300), sl.Backward()).certificate().data).coarsest
    assert sum(spent) < 20 * 300
    decay = sl.PolynomialODE.from_sympy({x: -x for x in X[:300]})
    for method, target in ((sl.Forward(), "x1"), (sl.Backward(), None)):
        data = sl.lump(decay, method).certificate().data
        about_all = [["x1", target, [] if target else [["x1", 1]]]]
        assert check(data | {"maximality": [about_all] * 5}).coarsest
        verdict = check(data | {"maximality": [about_all] * 1000})
        assert (
            verdict.answer == "inconclusive"
            and "replaying the record takes too long" in verdict.reason
        )
