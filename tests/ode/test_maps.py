"""Maps x⁺ = q(x): the same equivalences, their own trajectories, certificates that say so."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symlump as sl
from symlump.errors import FailureError, FileFormatError, InputError, MethodError
from symlump.lumping.linear.conserved import increments
from symlump.proof.certificate import Certificate
from symlump.proof.check import check

COPIES = "a+ = a/2 + tanh(c); b+ = b/2 + tanh(c); c+ = k*(a + b) - c^2/4 + u"


def planted(seed: int, blocks: int, discrete: bool) -> tuple[sl.ODE, np.ndarray]:
    """A polynomial system in which copies of variables are hidden; backward equivalence finds them."""
    generator = np.random.default_rng(seed)
    sizes = generator.integers(1, 4, blocks)
    of = generator.permutation(np.repeat(np.arange(blocks), sizes))
    small = generator.integers(-3, 4, (blocks, blocks))
    square = generator.integers(-3, 4, blocks)
    mark = "+" if discrete else "'"
    equations = []
    for i, b in enumerate(of):
        terms = []
        for c in range(blocks):
            members = np.flatnonzero(of == c)
            parts = generator.integers(-4, 5, members.size)
            # any split of the weight gives the same block sum
            parts[0] += small[b, c] - parts.sum()
            terms += [f"({p}/8)*x{j}" for p, j in zip(parts, members, strict=True)]
        own = generator.choice(np.flatnonzero(of == b))
        terms.append(f"({square[b]}/16)*x{own}^2 + {b}/32")
        equations.append(f"x{i}{mark} = " + " + ".join(terms))
    return sl.ODE.from_text("; ".join(equations)), of


@given(st.integers(0, 10**6), st.integers(2, 4))
@settings(max_examples=15, deadline=None)
def test_planted_copies_of_a_map(seed: int, blocks: int) -> None:
    system, of = planted(seed, blocks, discrete=True)
    lumping = sl.lump(system, sl.Backward())
    assert system.discrete and lumping.quotient.discrete and lumping.exact
    assert len(lumping.partition) <= blocks
    assert all(len(set(lumping.partition.labels[of == b])) == 1 for b in range(blocks))
    assert lumping.certificate().check(system).coarsest
    # the same partition as of the differential equation, as the conditions are about q alone
    continuous, _ = planted(seed, blocks, discrete=False)
    assert np.array_equal(
        sl.lump(continuous, sl.Backward()).partition.labels, lumping.partition.labels
    )
    # the commuting square
    start = np.random.default_rng(seed).uniform(-0.2, 0.2, len(lumping.partition))
    steps = range(4)
    small = sl.simulate(lumping.quotient, start, steps).states
    large = sl.simulate(system, lumping.lift(start), steps).states
    assert np.allclose(lumping.lift(small), large, rtol=1e-9, atol=1e-9)


def test_forward_sums_of_a_map_follow_their_own() -> None:
    system = sl.ODE.from_text(COPIES, ["k", "u"])
    lumping = sl.lump(system, sl.Forward())
    assert str(lumping.quotient) == (
        "y1⁺ = 1/2*y1 + 2*tanh(c)\nc⁺  = -1/4*c^2 + u + y1*k\nk⁺  = k\nu⁺  = u"
    )
    start = np.array([0.3, -0.7, 0.1, 0.2, 0.0])
    inputs = {"u": np.linspace(-0.2, 0.2, 50)}
    large = sl.simulate(system, start, range(51), inputs=inputs).states
    small = sl.simulate(lumping.quotient, lumping.aggregate(start), range(51), inputs=inputs).states
    assert np.allclose(lumping.aggregate(large), small, rtol=1e-12, atol=1e-12)
    assert np.abs(large[:2]).max() > 0.1


def test_linear_lumpings_and_invariants_of_a_map() -> None:
    chain = sl.ODE.from_text("a+ = a/2 + b/3 + c*a; b+ = a/2 + 2*b/3 - c*a; c+ = (a + b)^2/2")
    found = sl.lump(chain, sl.Constrained(["c"]))
    assert str(found.quotient) == "y1⁺ = y1\nc⁺  = 1/2*y1^2"
    assert found.certificate().check().coarsest
    kept = sl.conserved(chain)
    assert kept.combinations == {"y1": {"a": 1, "b": 1}} and str(kept.quotient) == "y1⁺ = y1"
    assert kept.exact
    # of the differential equation with these right-hand sides, a + b is no first integral
    assert len(sl.conserved(sl.ODE.from_text(chain.to_text().replace("⁺", "'")))) == 0
    assert str(increments(chain)).startswith("a' = -1/2*a + 1/3*b + a*c")


def test_a_certificate_says_what_time_it_is_about() -> None:
    system = sl.ODE.from_text("a+ = a/2; b+ = b/2; c+ = k*a*b", ["k"])
    certificate = sl.lump(system, sl.Backward()).certificate()
    assert certificate.data["time"] == "discrete"
    assert certificate.data["system"]["k"] == [["1", [["k", 1]]]]
    verdict = check(certificate.data)
    assert verdict.reason.startswith(
        "backward equivalence of 4 variables in 3 blocks, and its quotient, in discrete time, the coarsest"
    )
    # the digest covers it
    forged = {key: value for key, value in certificate.data.items() if key != "time"}
    assert check(forged).answer == "rejected" and "digest" in check(forged).reason
    assert "time" not in sl.lump(sl.ODE.from_text("a' = a"), sl.Backward()).certificate().data
    with pytest.raises(FileFormatError, match='time: "discrete" is due here, not "continuous"'):
        Certificate(certificate.data | {"time": "continuous"}).check()
    other = sl.ODE.from_text("a' = a/2; b' = b/2; c' = k*a*b", ["k"])
    assert certificate.check(other).reason == (
        "what was given is a system of differential equations, the certificate is about a map"
    )
    assert certificate.check(system).accepted
    assert certificate.without_system().check(system).accepted
    walk = str(certificate.explain())
    assert "a⁺ = a/2" in walk and "'" not in walk.replace("quotient's", "")
    with pytest.raises(MethodError, match="readable lemmas speak of derivatives"):
        certificate.to_coq(lemmas=True)


def test_within_a_tolerance_the_reference_is_a_map() -> None:
    lumping = sl.lump(sl.ODE.from_text("a+ = 0.5*a; b+ = 0.51*b"), sl.Backward(eps=0.1))
    assert lumping.reference.discrete and lumping.certificate().data["time"] == "discrete"
    assert str(lumping.quotient) == "y1⁺ = 101/200*y1"


def test_names_and_equality() -> None:
    system = sl.ODE.from_text("x⁺ = x/2 + tanh(x)")
    assert system == sl.ODE.from_text("x' = x/2 + tanh(x)").as_map()
    assert system != sl.ODE.from_text("x' = x/2 + tanh(x)")
    assert repr(system) == "<ODE: 1 variable, 2 terms, discrete time>"
    assert system.to_latex().splitlines()[1] == r"{x}^{+} &= \frac{1}{2}\,x + \tanh\left(x\right)"
    assert sl.ODE.from_text(str(system)) == system
    assert "a⁺ = b⁺" in str(
        sl.lump(sl.ODE.from_text(COPIES, "ku"), sl.Backward()).explain("a", "b")
    )


def test_what_does_not_fit_is_named() -> None:
    system = sl.ODE.from_text("x+ = u*x^2", ["u"])
    with pytest.raises(InputError, match="are not mixed in one system"):
        sl.ODE.from_text("x+ = y; y' = x")
    with pytest.raises(InputError, match="ascending whole numbers"):
        sl.simulate(system, [1.0, 1.0], [0, 0.5])
    with pytest.raises(InputError, match="x is not a parameter of this map"):
        sl.simulate(system, [1.0, 1.0], range(3), inputs={"x": [1, 2]})
    with pytest.raises(InputError, match="a finite value for each of 5 steps"):
        sl.simulate(system, [1.0, 1.0], range(6), inputs={"u": [1, 2]})
    with pytest.raises(FailureError, match="leaves every bound, at step"):
        sl.simulate(system, [10.0, 1.0], range(20))
    with pytest.raises(MethodError, match="inputs=… are for maps"):
        sl.simulate(sl.ODE.from_text("x' = x"), [1.0], [0, 1], inputs={"x": [1.0]})


def test_a_map_is_written_as_equations_and_nothing_else(tmp_path) -> None:  # type: ignore[no-untyped-def]
    ode = sl.ODE.from_text("x+ = x*u; y+ = 1/(1 + x)", ["u"])
    with pytest.raises(FileFormatError, match=r"not a map; write equations as text \(\.txt\)"):
        sl.write(ode, tmp_path / "x.ode")
    sl.write(ode, tmp_path / "x.txt")
    assert sl.read(tmp_path / "x.txt").ode == ode
    assert sl.ODE.from_text(str(ode), ["u"]) == ode
