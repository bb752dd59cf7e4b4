"""Values and gradients in a prime field: against sympy, in part and whole, followed and computed anew."""

import random

import numpy as np
import pytest
import sympy
from elementary_systems import planted_backward, planted_forward, symmetric_system

import symlump as sl
from symlump.lumping.elementary.modular import function_slopes, function_values
from symlump.lumping.elementary.slopes import GradientFingerprints
from symlump.lumping.elementary.values import ValueFingerprints
from symlump.lumping.refinement.field import VanishingDenominator
from symlump.lumping.refinement.refine import PRIME, coarsest

t = sympy.Symbol("t")


def nested(seed):
    """A random system with functions of functions."""
    kinds = (
        symmetric_system,
        lambda *s: planted_forward(*s)[0],
        lambda *s: planted_backward(*s)[0],
    )
    system = kinds[seed % 3](seed, True)
    x, *_, y = system
    inner = sympy.exp(x) / (1 + y)
    system[y] += sympy.sin(inner + x) / (2 + sympy.cos(inner) * x) + x**y * sympy.exp(-t)
    return sl.ODE.from_sympy(system, time=t)


@pytest.mark.parametrize("kind", ["forward", "backward"])
@pytest.mark.parametrize("seed", range(12))
def test_followed_in_part_and_anew(kind, seed):
    ode, draw = nested(seed), np.random.default_rng(seed)
    everything, p = np.arange(len(ode)), np.uint64(PRIME)

    def fresh():
        if kind == "backward":
            return ValueFingerprints(ode, PRIME)
        return GradientFingerprints(ode, PRIME, np.random.default_rng(seed))

    seen = fresh()
    weights = draw.integers(1, PRIME, len(ode), dtype=np.uint64)
    values = seen.evaluate(weights, everything)
    for count in range(1, len(ode) + 1):
        some = np.sort(draw.permutation(len(ode))[:count])
        assert fresh().evaluate(weights, some).tolist() == values[some].tolist()
    for count in (1, 2, 1):
        changed = np.sort(draw.permutation(len(ode))[:count])
        before = weights[changed]
        weights[changed] = draw.integers(1, PRIME, count, dtype=np.uint64)
        assert seen.update_cost(changed) > 0
        touched, steps = seen.update(weights, changed, before)
        values[touched] = (values[touched] + steps) % p
        assert values.tolist() == fresh().evaluate(weights, everything).tolist()


@pytest.mark.parametrize("seed", range(8))
def test_gradients_of_rational_systems_are_those_of_sympy(seed):
    ode, draw = sl.ODE.from_sympy(system := symmetric_system(seed)), random.Random(seed)
    point = np.random.default_rng(seed).integers(1, PRIME, size=len(ode), dtype=np.uint64)
    seen = GradientFingerprints(ode, PRIME, np.random.default_rng(seed))
    weights = [draw.randrange(PRIME) for _ in system]
    found = seen.evaluate(np.array(weights, dtype=np.uint64), np.arange(len(ode)))
    at = dict(zip(system, map(int, point), strict=True))
    total = sum(w * rate for w, rate in zip(weights, system.values(), strict=True))
    for v, value in zip(system, found.tolist(), strict=True):
        exact = sympy.Rational(sympy.diff(total, v).xreplace(at))
        assert value == exact.p * pow(exact.q, -1, PRIME) % PRIME


def test_slopes_know_the_facts():
    """f(u) = ±f(−u) for all u, so f'(u) = ∓f'(−u); 1^n is 1 for all n."""
    u = np.array([7, PRIME - 7, 0], dtype=np.uint64)
    a, b, c = function_slopes("cos", 0, [u], u, PRIME).tolist()
    assert (a + b) % PRIME == c == 0 != a
    a, b, _ = function_slopes("sin", 0, [u], u, PRIME).tolist()
    assert a == b
    a, b, _ = function_slopes("exp", 0, [u], u, PRIME).tolist()
    assert a not in (b, PRIME - b)
    base = np.array([1, 2], dtype=np.uint64)
    by_exponent = function_slopes("power", 1, [base, base], base, PRIME)
    assert by_exponent[0] == 0 != by_exponent[1]


@pytest.mark.parametrize("n", [-1000, -2, -1, 0, 1, 5, 1000])
def test_whole_powers_are_products(n):
    """u^n and n·u^(n−1), also where u is 0 and n is not negative."""
    u = np.array([1, 2, PRIME - 3, *([0] if n >= 0 else [])], dtype=np.uint64)
    exponents = np.full(u.size, n % PRIME, dtype=np.uint64)
    values = function_values("power", [u, exponents], u.size, PRIME)
    assert values.tolist() == [pow(int(v), n, PRIME) for v in u]
    found = function_slopes("power", 0, [u, exponents], values, PRIME)
    assert found.tolist() == [n * pow(int(v), n - 1, PRIME) % PRIME if n else 0 for v in u]


def test_beyond_a_thousand_nothing_is_known_of_powers():
    u = np.full(2, 2, dtype=np.uint64)
    for n in (1001, -1001):
        found = function_values("power", [u, np.full(2, n % PRIME, dtype=np.uint64)], 2, PRIME)
        assert found[0] == found[1] != pow(2, n, PRIME)


def test_a_negative_whole_power_of_0_is_a_denominator_that_is_0():
    u, minus = np.zeros(1, dtype=np.uint64), np.full(1, PRIME - 1, dtype=np.uint64)
    with pytest.raises(VanishingDenominator):
        function_values("power", [u, minus], 1, PRIME)


@pytest.mark.parametrize("kind", ["forward", "backward"])
def test_a_chain_of_functions_is_followed(kind, monkeypatch):
    """One variable splits off at a time: n rounds, each from what it changes."""
    count = 400
    inner = (lambda x: f"{x}/(1 + {x})") if kind == "backward" else (lambda x: x)
    lines = [f"x{i}' = {inner(f'x{i - 1}')}" for i in range(1, count)]
    ode = sl.ODE.from_text("; ".join([f"x0' = 1; y' = y/(1 + y) - x{count - 1}", *lines]))
    method = sl.Forward() if kind == "forward" else sl.Backward()
    scratch = []
    for one in (GradientFingerprints, ValueFingerprints):
        evaluate = one.evaluate

        def counted(self, *given, evaluate=evaluate):
            scratch.append(1)
            return evaluate(self, *given)

        monkeypatch.setattr(one, "evaluate", counted)
    partition, rounds = coarsest(ode, method, sl.Partition.single(len(ode)))
    assert len(partition) == len(ode)
    assert rounds > count / 2 and len(scratch) < 20


def test_parts_of_a_cascade_need_their_own_functions():
    """What a component depends on is evaluated, no more; a denominator that is 0 elsewhere does not matter."""
    text = "x1' = 1/(1 + x1); x2' = 1/(1 + x2); z1' = exp(x1)/(2 + z1); z2' = exp(x2)/(2 + z2)"
    ode = sl.ODE.from_text(text)
    seen = ValueFingerprints(ode, PRIME)
    seen.evaluate(np.full(4, 5, dtype=np.uint64), np.arange(2))
    assert seen.inside.astype(bool).sum() == 2
    initial = sl.Partition.from_names(ode, [["x1", "x2"], ["z1", "z2"]])
    assert sl.lump(ode, sl.Backward(), initial).blocks == (("x1", "x2"), ("z1", "z2"))


@pytest.mark.parametrize(
    "text",
    [
        "x' = cos(x/(1 + x)); y' = cos(1/(1 + y) - 1)",
        "x' = sin(x/(1 + x)); y' = -sin(1/(1 + y) - 1)",
        "x' = exp(tanh(y/(1 + y))); y' = exp(-tanh(1/(1 + x) - 1))",
    ],
)
def test_parity_is_known_where_arguments_are_quotients(text):
    """-x/(1 + x) is 1/(1 + x) − 1: which has its sign in front depends on how it is written."""
    ode = sl.ODE.from_text(text)
    lumping = sl.lump(ode, sl.Backward())
    assert lumping.blocks == (("x", "y"),) and lumping.certificate().check().coarsest
    assert sl.lump(ode, sl.Forward()).certificate().check().coarsest
