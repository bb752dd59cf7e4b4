"""Surrogates: the error holds everywhere, and is hardly larger than what is seen."""

from math import factorial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symlump as sl
from symlump.enclosures.functions import interval_functions
from symlump.enclosures.jets import expand
from symlump.errors import FailureError, MethodError
from symlump.network.activations.enclosure import enclose
from symlump.network.activations.table import ACTIVATIONS, activation
from symlump.network.surrogate import surrogate, uniform_error, with_surrogates

EVERY = (*ACTIVATIONS, "leaky_relu:0.3", "elu:0.5")


def seen(phi, p, lower, upper, points=20_001):
    z = np.linspace(lower, upper, points)
    return np.abs(phi(z) - p(z)).max()


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("degree", [1, 4, 9])
def test_error_is_certain_and_close(name, degree):
    phi = activation(name)
    for lower, upper in ((-2.5, 3.0), (0.5, 2.0)):
        found = surrogate(name, lower, upper, degree)
        worst = seen(phi, found.activation, lower, upper)
        noise = 1e-14 * (1 + np.abs(phi(np.array([lower, upper]))).max())
        assert worst <= found.error + noise
        assert found.error <= 1.1 * worst + noise
        assert found.degree == degree and found.original == phi


@pytest.mark.parametrize("name", ["tanh", "gelu", "sin", "exp"])
def test_error_of_smooth_activations_falls_with_the_degree(name):
    errors = [surrogate(name, -1, 1, degree).error for degree in (1, 3, 5, 7, 9)]
    assert all(b < 0.3 * a for a, b in zip(errors, errors[1:], strict=False))


@given(
    st.sampled_from(sorted(ACTIVATIONS)),
    st.floats(-5, 5),
    st.floats(0.01, 5),
    st.integers(0, 8),
)
@settings(max_examples=40)
def test_any_interval(name, lower, width, degree):
    phi = activation(name)
    found = surrogate(name, lower, lower + width, degree)
    z = np.random.default_rng(0).uniform(lower, lower + width, 200)
    below, above = enclose(phi, z, z)
    p_below, p_above = enclose(found.activation, z, z)
    assert (np.maximum(below - p_above, p_below - above) <= found.error).all()


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("using", ["mpmath", "flint"])
def test_jets_are_taylor_coefficients(name, using):
    """Against derivatives by mpmath, at points and over an interval."""
    import mpmath

    if using == "flint":
        pytest.importorskip("flint")
    m = interval_functions(using)
    phi = activation(name)
    order = 4
    for at in (-1.375, 0.6875, 1.5):
        with m.working():
            for spread in (0.0, 0.125):
                jet = expand(phi.formula, m, at - spread, at + spread, order)
                found = [m.bounds(c) for c in jet.c]
                assert np.isfinite(found).all()
                for point in (at - spread, at, at + spread):
                    expected = mpmath.taylor(mpmath_function(name), point, order)
                    for (low, high), value in zip(found, expected, strict=True):
                        assert low - 1e-12 <= float(value) <= high + 1e-12
                if not spread:
                    assert all(
                        high - low < 1e-14 * factorial(k + 1) for k, (low, high) in enumerate(found)
                    )


def mpmath_function(name):
    """φ near a point that is no kink, written once more."""
    import mpmath as mp

    family, _, number = name.partition(":")
    leak = float(number or 0.01)
    alpha = float(number or 1)
    return {
        "identity": lambda z: z,
        "tanh": mp.tanh,
        "sigmoid": lambda z: 1 / (1 + mp.exp(-z)),
        "relu": lambda z: z if z > 0 else 0 * z,
        "softplus": lambda z: mp.log(1 + mp.exp(z)),
        "silu": lambda z: z / (1 + mp.exp(-z)),
        "gelu": lambda z: z * mp.ncdf(z),
        "exp": mp.exp,
        "sin": mp.sin,
        "cos": mp.cos,
        "gaussian": lambda z: mp.exp(-z * z / 2),
        "gelu_tanh": lambda z: (
            z * (1 + mp.tanh(mp.mpf(0.7978845608028654) * (z + mp.mpf(0.044715) * z**3))) / 2
        ),
        "mish": lambda z: z * mp.tanh(mp.log(1 + mp.exp(z))),
        "log_sigmoid": lambda z: -mp.log(1 + mp.exp(-z)),
        "softsign": lambda z: z / (1 + abs(z)),
        "selu": lambda z: (
            mp.mpf(1.0507009873554805) * (z if z > 0 else 1.6732632423543772 * (mp.exp(z) - 1))
        ),
        "celu": lambda z: z if z > 0 else mp.exp(z) - 1,
        "hard_sigmoid": lambda z: (z + 3) / 6,
        "hard_swish": lambda z: z * (z + 3) / 6,
        "soft_shrink": lambda z: z - mp.sign(z) / 2 if abs(z) > 0.5 else 0 * z,
        "hard_tanh": lambda z: z if abs(z) < 1 else mp.sign(z) + 0 * z,
        "relu6": lambda z: z if z > 0 else 0 * z,
        "abs": abs,
        "leaky_relu": lambda z: z if z > 0 else leak * z,
        "elu": lambda z: z if z > 0 else alpha * mp.expm1(z),
    }[family]


def test_uniform_error_is_symmetric_and_zero_for_equals():
    one, two = activation("tanh"), activation("sigmoid")
    assert uniform_error(one, two, -1, 2) == uniform_error(two, one, -1, 2)
    assert uniform_error(one, one, -1, 2) == 0


def test_network_with_surrogates():
    rng = np.random.default_rng(0)
    layers = [
        sl.Layer(rng.normal(size=(6, 3)) / 2, rng.normal(size=6), activation("relu")),
        sl.Layer(rng.normal(size=(5, 6)) / 2, rng.normal(size=5), activation("tanh")),
        sl.Layer(rng.normal(size=(2, 5)), None),
    ]
    net = sl.Network(tuple(layers))
    found = with_surrogates(net, (-1, 1), degree=6, splits=20)
    assert [s is None for s in found.surrogates] == [False, True, True]
    assert not found.network.chain.layers[0].activation.pieces
    assert found.network.chain.layers[1].activation == activation("tanh")
    x = rng.uniform(-1, 1, (20_000, 3))
    gap = np.abs(net(x) - found.network(x)).max(axis=0)
    assert (gap <= found.bound.values + found.bound.rounding).all()
    assert found.bound.largest < 10 * gap.max()
    first = found.surrogates[0]
    z = layers[0].pre_activation(x)
    assert first.lower <= z.min() and z.max() <= first.upper
    assert "certified" in str(found) and "layer 1: relu ≈ polynomial of degree 6" in str(found)
    # now every activation is a polynomial, so the state form needs neither switches nor auxiliaries
    both = with_surrogates(net, (-1, 1), degree=6, smooth=True, splits=0)
    assert all(layer.activation.coefficients for layer in both.network.chain.hidden)
    gap = np.abs(net(x) - both.network(x)).max(axis=0)
    assert (gap <= both.bound.values + both.bound.rounding).all()


def test_nothing_to_replace():
    net = sl.Network.dense([[[1.0, 2.0]], [[1.0]]])
    found = with_surrogates(net, (-1, 1))
    assert found.surrogates == (None, None) and found.bound.largest < 1e-14


def test_bad_arguments_are_refused():
    for interval in ((1, 1), (2, 1), (0, np.inf), (np.nan, 1)):
        with pytest.raises(MethodError, match="lower < upper"):
            surrogate("tanh", *interval)
    for degree in (-1, 13, 2.5, True):
        with pytest.raises(MethodError, match="0 to 12"):
            surrogate("tanh", 0, 1, degree)
    with pytest.raises(FailureError, match="overflow"):
        surrogate("exp", 0, 1000)
