"""The replay of a closure: its answer, the work it may take, and primes that are of no use."""

from fractions import Fraction

import pytest

from symlump.proof import closure
from symlump.proof.check import Budget, Inconclusive, Verdict, check
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
    """x' = x + y + a·b·c·d takes 23.

    1 for the row of the observable, 1 for the vector it starts with, 3 for the terms of x', 4²//8 for the
    factors of the product, 0 + 1 + … + 5 to compare six vectors, and 1 to subtract x from x + y.
    """
    assert check(PRODUCT).accepted
    said = "no linear lumping with fewer than 6 rows keeps the observables"
    monkeypatch.setattr(closure, "MAX_STEPS", 23)
    assert check_closure(PRODUCT) == Verdict("accepted", said, coarsest=True)
    monkeypatch.setattr(closure, "MAX_STEPS", 22)
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
