"""The replay of a closure: its answer, the work it may take, and primes that are of no use."""

from contextlib import nullcontext
from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symlump as sl
from symlump.bench.linear.growth import planted_linear
from symlump.datasets.chains import planted_chain
from symlump.proof import closure
from symlump.proof.check import Budget, Inconclusive, Verdict, check, read_claim
from symlump.proof.closure import check_closure


def form(**weights):
    return [[weight, [[name, 1]]] for name, weight in weights.items()]


def identity(names, system, steps, prime=101):
    """The lumping to all variables of a system, with the derivation of it from the first."""
    rows = {name: form(**{name: "1"}) for name in names}
    first = form(**{names[0]: "1"})
    record = {"observables": [[first, first]], "start": [0], "prime": prime, "steps": steps}
    return {
        "format": "symlump certificate",
        "version": 1,
        "kind": "linear",
        "system": {name: system.get(name, []) for name in names},
        "matrix": rows,
        "quotient": {name: system.get(name, []) for name in names},
        "closure": record,
    }


def without(names, *left_out):
    return [[name, 1] for name in names if name not in left_out]


PRODUCT = identity(
    "xyabcd",
    {"x": [*form(x="1", y="1"), ["1", without("abcd")]]},
    [[0, []], *([0, without("abcd", name)] for name in "abcd")],
)


def test_what_is_shown_and_in_how_many_steps(monkeypatch):
    """x' = x + y + a·b·c·d takes 32.

    1 for the row of the observable, 1 for the vector it starts with, 3 for the terms of x', 4²//8 for the
    factors of the product; 5 for the rows and 6 for the entries of five products of a vector with a matrix;
    7 for the entries of six vectors, and 7 for those that are looked at, as x is subtracted from x + y.
    """
    assert check(PRODUCT).accepted
    said = "no linear lumping with fewer than 6 rows keeps the observables"
    monkeypatch.setattr(closure, "MAX_STEPS", 32)
    assert check_closure(PRODUCT) == Verdict("accepted", said, coarsest=True)
    monkeypatch.setattr(closure, "MAX_STEPS", 31)
    late = Verdict("inconclusive", "replaying the derivation takes too long", coarsest=False)
    assert check_closure(PRODUCT) == late


@pytest.mark.parametrize("fraction", ["1/101", "5/202"])
def test_a_prime_that_divides_a_denominator_shows_nothing(fraction):
    system = {"x": form(x=fraction, y="1")}
    for prime, answer, says in (
        (101, "inconclusive", "101 divides a denominator"),
        (103, "accepted", "no linear lumping with fewer than 2 rows"),
    ):
        verdict = check_closure(identity("xy", system, [[0, []]], prime))
        assert verdict.answer == answer and says in verdict.reason


def test_a_prime_may_divide_denominators_that_the_derivation_does_not_use():
    """The gradient of y + 1/p + x²/p has p only where x is, and no step takes that."""
    system = {"x": [*form(y="1"), ["1/101", []], ["1/101", [["x", 2]]]]}
    data = identity("xy", system, [[0, []]])
    assert check_closure(data)
    data["closure"]["steps"] = [[0, [["x", 1]]]]
    assert check_closure(data).reason == "101 divides a denominator"


def test_a_verdict_is_true_where_it_is_accepted():
    for answer in ("accepted", "rejected", "inconclusive"):
        assert bool(Verdict(answer, "")) == (answer == "accepted")


def test_a_residue_is_the_quotient_in_the_field():
    assert closure._residue(Fraction(3, 4), 101) == 26  # 4·26 = 3 + 101


def test_what_cancels_in_the_derivation_is_no_vector_of_it():
    """(x + 2·y)' = 2·z − 2·z: nothing says that z is needed, and a lumping that has it is not the smallest."""
    data = identity("xyz", {"x": form(z="2"), "y": form(z="-1")}, [[0, []]])
    kept = form(x="1", y="2")
    data |= {"matrix": {"a": kept, "b": form(z="1")}, "quotient": {"a": [], "b": []}}
    data["closure"]["observables"] = [[kept, form(a="1")]]
    assert check(data).accepted
    verdict = check_closure(data)
    assert verdict.answer == "inconclusive" and "vector 1 of the derivation" in verdict.reason


@pytest.mark.parametrize("power", [2, 3])
def test_a_derivative_has_one_power_less(power):
    """x' = y^p, whose derivative by y is p·y^(p − 1)."""
    data = identity("xy", {"x": [["1", [["y", power]]]]}, [[0, [["y", power - 1]]]])
    assert check_closure(data).accepted
    data["closure"]["steps"] = [[0, [["y", power]]]]
    assert check_closure(data).answer == "inconclusive"


def test_a_derivative_is_taken_with_its_power():
    """x' = y²/2 + y·z: what multiplies y in the gradient is y + z, which is there already."""
    system = {"x": [["1/2", [["y", 2]]], ["1", [["y", 1], ["z", 1]]]]}
    data = identity("xyz", system, [[0, [["y", 1]]]])
    data["closure"]["observables"].append([form(y="1", z="1")] * 2)
    data["closure"]["start"] = [0, 1]
    verdict = check_closure(data)
    assert check(data).accepted and verdict.answer == "inconclusive"
    assert verdict.reason == "vector 2 of the derivation depends on those before it"


@pytest.mark.parametrize(
    "vectors",
    [
        [{"a": 2, "b": 1}, {"a": 4, "b": 2}],  # twice the first, whose pivot is not 1
        [
            {"a": 1, "b": 1},
            {"b": 1, "c": 1},
            {"a": 1, "c": 100},
        ],  # the first less the second, mod 101
    ],
)
def test_dependent_vectors_prove_no_dimension(vectors):
    closure._independent(vectors[:-1], 101, Budget("elimination", 100))
    with pytest.raises(Inconclusive, match=f"vector {len(vectors) - 1} .* depends"):
        closure._independent(vectors, 101, Budget("elimination", 100))


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(0, 6), st.booleans())
def test_independence_is_seen_in_the_variables_that_only_one_row_has(seed, rows, others, own):
    """Combinations of rows, with and without a variable of its own for each, against their rank."""
    generator = np.random.default_rng(seed)
    names = [f"x{i}" for i in range(rows + others)]
    lines = generator.integers(-2, 3, (rows, rows + others))
    if own:
        lines[:, :rows] = np.diag(generator.integers(1, 4, rows))
    matrix = {
        f"y{i}": {((name, 1),): Fraction(int(v)) for name, v in zip(names, line, strict=True) if v}
        for i, line in enumerate(lines)
    }
    prime = 10007
    combined = generator.integers(-3, 4, (rows, rows)) @ lines % prime
    vectors = [{n: int(v) for n, v in zip(names, line, strict=True) if v} for line in combined]
    narrowed = closure._narrowed(vectors, matrix, prime)
    for some in (vectors, narrowed):
        refused = rank_modulo(combined, prime) < rows
        with pytest.raises(Inconclusive) if refused else nullcontext():
            closure._independent(some, prime, Budget("a test", 10**6))
    assert all(
        narrow.items() <= vector.items() for narrow, vector in zip(narrowed, vectors, strict=True)
    )
    if own:
        assert max(map(len, narrowed), default=0) <= rows


@settings(max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 40),
    st.integers(1, 60),
    st.floats(0.02, 1),
    st.sampled_from([2, 3, 101, 8388593, 2**61 - 1]),
)
def test_vectors_are_independent_where_their_rank_is_full(seed, rows, columns, dense, prime):
    """Dense and sparse ones, modulo small and large primes, with a planted dependence in half of them."""
    generator = np.random.default_rng(seed)
    matrix = generator.integers(0, prime, (rows, columns)) * (
        generator.random((rows, columns)) < dense
    )
    lines = [[int(v) for v in line] for line in matrix]
    if seed % 2:
        weights = [int(w) for w in generator.integers(0, prime, rows)]
        planted = np.array(weights, dtype=object) @ np.array(lines, dtype=object) % prime
        lines.append([int(v) for v in planted])
    vectors = [{f"x{i:03}": v for i, v in enumerate(line) if v} for line in lines]
    refused = rank_modulo(lines, prime) < len(lines)
    with pytest.raises(Inconclusive) if refused else nullcontext():
        closure._independent(vectors, prime, Budget("a test", 10**6))


def rank_modulo(matrix, prime):
    rows = [[int(v) % prime for v in row] for row in matrix]
    rank = 0
    for column in range(len(rows[0])):
        pivot = next((i for i in range(rank, len(rows)) if rows[i][column]), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        inverse = pow(rows[rank][column], -1, prime)
        for i in range(rank + 1, len(rows)):
            factor = rows[i][column] * inverse
            rows[i] = [(a - factor * b) % prime for a, b in zip(rows[i], rows[rank], strict=True)]
        rank += 1
    return rank


def test_a_variable_whose_weight_the_prime_divides_is_nobodys_own():
    weights = {(("a", 1),): Fraction(14), (("b", 1),): Fraction(1)}
    for row in (weights, dict(reversed(weights.items()))):
        assert closure._narrowed([{"a": 2, "b": 3}], {"y1": row}, 7) == [{"b": 3}]
    assert closure._narrowed([{"a": 2}], {"y1": {(("a", 1),): Fraction(14)}}, 7) == [{"a": 2}]


def test_long_vectors_are_replayed_where_each_row_has_a_variable_of_its_own(monkeypatch):
    """In all variables the elimination would take more steps than there are."""
    ode, observable = planted_linear(400, 30)
    lumping = sl.lump(ode, sl.Constrained(observable))
    claim = lumping.claim()
    monkeypatch.setattr(closure, "MAX_STEPS", 150_000)
    monkeypatch.setattr(closure, "_in_rows", lambda *_: None)
    assert closure.check_closure(claim).accepted
    monkeypatch.setattr(closure, "_narrowed", lambda vectors, *_: vectors)
    assert closure.check_closure(claim).answer == "inconclusive"


def chain_claim(states, blocks, seed=0):
    """Of a planted Markov chain, of which the sum of a block is kept."""
    ode, _, label = planted_chain(states, blocks, seed)
    kept = {ode.variables[i]: Fraction(2, 3) for i in np.flatnonzero(label)}
    return sl.lump(ode, sl.Constrained([kept])).claim()


def test_steps_are_taken_among_the_sums_where_these_are_the_rows(monkeypatch):
    """Among the states the same takes more."""
    claim = chain_claim(300, 30)
    monkeypatch.setattr(closure, "MAX_STEPS", 25_000)
    assert check_closure(claim).coarsest
    monkeypatch.setattr(closure, "_in_rows", lambda *_: None)
    assert check_closure(claim).reason == "replaying the derivation takes too long"
    monkeypatch.undo()
    monkeypatch.setattr(closure, "_in_rows", lambda *_: None)
    assert check_closure(claim).coarsest


@pytest.mark.parametrize("seed", range(5))
def test_weights_of_a_derivation_are_its_vectors_in_the_rows(seed):
    claim = read_claim(chain_claim(40, 8, seed), None)
    record, prime = claim.closure, claim.closure.prime
    weights, step = closure._in_rows(claim, record, Budget("a test", 10**6))
    for parent, _ in record.steps:
        weights.append(closure._product(weights[parent], step, prime, Budget("a test", 10**6)))
    vectors = [closure._residues(record.observables[i][0], prime) for i in record.start]
    closure._by_coefficients(claim, record, vectors, Budget("a test", 10**6))
    rows = {name: closure._residues(form, prime) for name, form in claim.matrix.items()}
    assert len(weights) == len(vectors) == len(rows) > 2
    for weight, vector in zip(weights, vectors, strict=True):
        whole = {v: w * r % prime for name, w in weight.items() for v, r in rows[name].items()}
        assert whole == vector


def test_a_quotient_that_is_not_that_of_the_rows_lends_no_weights():
    """x' = x needs nothing but x; the claim says x' = y, the sum of u and v."""
    one = form(x="1")
    claim = identity("xuv", {"x": form(x="1"), "u": form(v="1"), "v": form(v="-1")}, [[0, []]])
    claim |= {"matrix": {"x": one, "y": form(u="1", v="1")}}
    claim |= {"quotient": {"x": form(y="1"), "y": []}}
    verdict = check_closure(claim)
    assert verdict.answer == "inconclusive" and "vector 1 of the derivation" in verdict.reason
    right = claim | {"quotient": {"x": form(x="1"), "y": []}}
    assert check(right).accepted and check_closure(right) == verdict


@pytest.mark.parametrize(
    ("rows", "quotient"),
    [
        ({"x": {"x": "1"}, "y": {"y": "7"}}, {"x": {"y": "1/7"}}),  # a row is 0 modulo 7
        ({"x": {"x": "1"}, "y": {"y": "1/7"}}, {"x": {"y": "7"}}),
        ({"x": {"x": "1"}, "y": {"x": "1", "y": "1"}}, {n: {"x": "-1", "y": "1"} for n in "xy"}),
        ({"x": {"x": "1"}, "y": {"y": "3"}}, {"x": {"y": "1/3"}}),
    ],
)
def test_whatever_the_rows_the_vectors_are_independent(rows, quotient):
    """x' = y, y' = 0, modulo 7."""
    claim = identity("xy", {"x": form(y="1")}, [[0, []]], prime=7)
    claim |= {"matrix": {name: form(**row) for name, row in rows.items()}}
    claim["quotient"] = {name: form(**quotient.get(name, {})) for name in rows}
    assert check(claim).accepted and check_closure(claim).accepted


@settings(max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 24),
    st.floats(0.05, 0.5),
    st.booleans(),
    st.sampled_from([8388593, 268435399]),
)
def test_the_order_of_a_recurrence_is_the_rank_of_what_a_vector_reaches(
    seed, size, dense, split, prime
):
    """In sparse matrices, of two parts that do not reach each other or of one."""
    generator = np.random.default_rng(seed)
    entries = generator.integers(-3, 4, (size, size)) * (generator.random((size, size)) < dense)
    if split:
        half = size // 2
        entries[:half, half:] = entries[half:, :half] = 0
    start = generator.integers(0, 3, size)
    names = [f"x{i}" for i in range(size)]
    matrix = {
        a: [(b, int(v) % prime) for b, v in zip(names, row, strict=True) if v]
        for a, row in zip(names, entries, strict=True)
        if row.any()
    }
    first = {name: int(v) for name, v in zip(names, start, strict=True) if v}
    reached = [start.astype(object)]
    for _ in range(size):
        reached.append(reached[-1] @ entries.astype(object) % prime)
    rank = rank_modulo(reached, prime)
    budget = Budget("a test", 10**7)
    orders = [
        closure._order_of_recurrence(
            closure._numbers(first, matrix, 2 * size, Random(attempt), prime, budget), prime, budget
        )
        for attempt in range(3)
    ]
    assert max(orders) == rank


def test_long_chains_are_replayed_without_their_vectors(monkeypatch):
    """Elimination would take (rows)³/96 steps beside the products: it is not begun."""
    claim = chain_claim(2000, 200)
    monkeypatch.setattr(closure, "_independent", None)
    assert check_closure(claim).reason.endswith("with fewer than 200 rows keeps the observables")
    monkeypatch.undo()
    monkeypatch.setattr(closure, "_in_order", lambda *_: False)
    assert check_closure(claim).coarsest


def test_a_long_chain_that_is_dependent_proves_nothing(monkeypatch):
    """Two copies of a chain, of which only the first is reached, and the steps go on beyond it."""
    half = read_claim(chain_claim(1000, 100), None)
    copies, names = {}, list(half.quotient)
    for tag in "ab":
        for name, polynomial in half.quotient.items():
            copies[f"{name}{tag}"] = [
                [str(value), [[f"{v}{tag}", power] for v, power in monomial]]
                for monomial, value in polynomial.items()
            ]
    variables = [f"{name}{tag}" for tag in "ab" for name in names]
    steps = [[i, []] for i in range(199)]
    data = identity(variables, copies, steps, half.closure.prime)
    asked = []
    order = closure._order_of_recurrence
    monkeypatch.setattr(
        closure, "_order_of_recurrence", lambda *given: asked.append(order(*given)) or asked[-1]
    )
    verdict = check_closure(data)
    assert verdict.answer == "inconclusive" and "vector 100 of the derivation" in verdict.reason
    assert asked == [100] * 3
    data["closure"]["steps"] = steps[:99]
    assert "100 vectors, the lumping 200 rows" in check_closure(data).reason
