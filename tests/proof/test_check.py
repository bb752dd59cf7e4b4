"""The checker refuses what is false, whatever made it."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_refine import systems, to_ode

import symlump as sl
from symlump.proof.certificate import claim
from symlump.proof.check import Budget, Inconclusive, check


def claim_of(system, method):
    lumping = sl.lump(to_ode(system), method)
    return claim(method.direction, lumping.ode, lumping.blocks, lumping.quotient)


methods = st.sampled_from([sl.Forward(), sl.Backward()])


@settings(max_examples=200)
@given(systems(), methods, st.data())
def test_a_changed_quotient_is_refused(system, method, data):
    certificate = claim_of(system, method)
    name = data.draw(st.sampled_from(sorted(certificate["quotient"])))
    polynomial = certificate["quotient"][name]
    if polynomial and data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(polynomial) - 1))
        polynomial[at][0] = str(Fraction(polynomial[at][0]) + 1)
    else:
        polynomial.append(["1/7", [[name, 9]]])
    verdict = check(certificate)
    assert not verdict.accepted and verdict.answer == "rejected"


@settings(max_examples=200)
@given(systems(max_variables=5), methods, st.data())
def test_blocks_are_accepted_iff_the_definition_holds(system, method, data):
    """Random partitions, with the quotient that the representatives would give."""
    import slow_reference as reference

    n = len(system)
    labels = sl.Partition(data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)))
    signature = {"forward": reference.forward_signature, "backward": reference.backward_signature}[
        method.direction
    ]
    values = [signature(system, labels.labels.tolist(), i) for i in range(n)]
    holds = all(values[i] == values[block[0]] for block in labels.blocks for i in block)
    from symlump.lumping.tolerance.reference import exact_quotient

    ode = to_ode(system)
    terms = exact_quotient(ode, method, labels)
    quotient = sl.PolynomialODE.from_terms(
        [f"b{i}" for i in range(len(labels))],
        terms.rows,
        terms.columns,
        terms.coefficients,
        terms.monomials,
    )
    verdict = check(claim(method.direction, ode, labels.named(ode.variables), quotient))
    assert verdict.accepted == holds


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"blocks": {"x0": ["x0"]}}, "x1 is in no block"),
        ({"blocks": {"x0": ["x0", "x1", "x0"]}}, "twice"),
        ({"blocks": {"x0": ["x0", "x1"], "e": []}}, "empty"),
        ({"blocks": {"x0": ["x0", "x1", "w"]}}, "not a variable of the system"),
        ({"kind": "sideways"}, "known here are forward, backward"),
        ({"quotient": {}}, "exactly one equation per block"),
        ({"initial": [["x0"], ["x1"]]}, "x0 and x1 share a block, but not of the initial"),
    ],
)
def test_malformed_claims(change, says):
    certificate = claim_of([{(0,): Fraction(1)}, {(1,): Fraction(1)}], sl.Backward()) | change
    verdict = check(certificate)
    assert not verdict.accepted and says in verdict.reason


def test_the_last_step_may_be_taken_and_none_after_it():
    budget = Budget.of("counting", 3)
    budget.spend(2_500_000)
    budget.spend(4 * 3)
    with pytest.raises(Inconclusive, match="counting takes too long"):
        budget.spend(1)


def test_the_checker_needs_only_the_standard_library():
    import ast
    import sys
    from pathlib import Path

    import symlump.proof.check as module

    tree = ast.parse(Path(module.__file__).read_text())
    names = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module]
        )
    }
    assert names <= set(sys.stdlib_module_names)
