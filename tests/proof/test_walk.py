"""Walking through a proof: a true certificate holds in every step, a false one fails where it is false."""

import copy

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from proof.claims import EXAMPLES, certificate
from test_certificate import mutations
from test_refine import planted_forward, systems, to_ode

import symlump as sl
from symlump.datasets.systems import multisite_phosphorylation
from symlump.errors import FileFormatError, MethodError


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name not in ("e4", "high powers")])
def test_every_step_of_a_true_proof_holds(name):
    proof = EXAMPLES[name]()
    walk = proof.explain()
    assert walk.holds
    count = len(proof.data.get("matrix", proof.data.get("blocks")))
    assert len(walk) == count + bool("closure" in proof.data) + (
        len(proof.data["maximality"]) + 1 if "maximality" in proof.data else 0
    )


def test_the_words_of_e2():
    walk = EXAMPLES["e2"]().explain()
    assert str(walk[0]).splitlines() == [
        "Block y1 = x1 + x2",
        "  The derivatives of the members add up to",
        "    f = -x1*x3 - x2*x3",
        "  Its derivatives by x1 and x2 agree, so f depends on the sum x1 + x2 only:",
        "    ∂f/∂x1 = -x3",
        "    ∂f/∂x2 = -x3",
        "  Put y1 for x1 and 0 for the other members; the quotient claims for y1'",
        "    f = -x3*y1",
        "  This holds.",
    ]
    assert r"\partial f/\partial x_{1} &= - x_{3}" in walk.to_latex()
    assert "$$ f = - x_{3} y_{1} $$" in walk._repr_markdown_()


def test_a_false_quotient_fails_in_its_block_only():
    data = copy.deepcopy(EXAMPLES["e3"]().data)
    data["quotient"]["x3"][0][0] = "5"
    walk = sl.Certificate(data).explain()
    assert [step.holds for step in walk] == [True, False, True, True]
    assert "claimed: " in str(walk[1]) and r"\neq" in walk[1].to_latex()


def test_a_record_that_falls_short_is_seen():
    data = EXAMPLES["e1"]().data | {"maximality": []}
    walk = sl.Certificate(data).explain()
    assert not walk.holds and "the blocks are others" in str(walk[-1])


@settings(max_examples=40)
@given(
    st.one_of(systems(max_variables=4), planted_forward().map(lambda p: p[0])),
    st.sampled_from([sl.Forward(), sl.Backward()]),
    st.data(),
)
def test_sympy_and_the_checker_agree(system, method, data):
    mutated = data.draw(mutations(sl.lump(to_ode(system), method).certificate().data))
    mutated.pop("digest", None)
    try:
        verdict = sl.Certificate(mutated).check()
        holds = sl.Certificate(mutated).explain().holds
    except FileFormatError:
        return
    except MethodError:  # a partition that is none has no proof to walk through
        assert not verdict.accepted
        return
    # No step is missing here: the initial partition is looked at by the replay only.
    assert holds if verdict.accepted else not holds or "maximality" not in mutated


def test_some_blocks_of_a_large_system():
    proof = certificate(multisite_phosphorylation(5), sl.Forward())
    name = next(iter(proof.data["blocks"]))
    assert len(proof.explain(blocks=[name])) == 1
    with pytest.raises(MethodError, match="more than one can read"):
        proof.explain()
    with pytest.raises(MethodError, match="not one of the quotient's"):
        proof.explain(blocks=["nobody"])
    with pytest.raises(FileFormatError, match="only the digest"):
        proof.without_system().explain()


def test_names_are_no_formatting():
    a, b = sympy.Symbol("A(b!1,c~P)"), sympy.Symbol("50%_$x")
    walk = certificate({a: -a, b: -b}, sl.Forward()).explain()
    assert walk.holds and r"50\%\_\$x" in walk.to_latex() and r"\$x" in walk._repr_markdown_()
