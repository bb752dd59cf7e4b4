"""The table of activations: every column is checked against the formula, at 50 digits."""

import pickle
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import symlump as sl
from symlump.enclosures.functions import Functions, interval_functions
from symlump.errors import MethodError, NetworkError
from symlump.network.activations.enclosure import enclose, enclose_slope
from symlump.network.activations.table import ACTIVATIONS, activation
from symlump.network.activations.torch_modules import module_of

NAMES = [*ACTIVATIONS, "leaky_relu:0.2", "leaky_relu:-0.5", "elu:2", "elu:-0.7", "hard_tanh:-0.5,2"]
NAMES += ["celu:0.3", "soft_shrink:2"]
NAMES += [
    "polynomial:0.25,1,-0.5",
    "polynomial:0,1,0,-0.16,0,0.01",
    "polynomial:0.5,0,2",
    "polynomial:3",
]
SMOOTH = [name for name in NAMES if activation(name).pieces is None]

mpmath.mp.dps = 50
DIGITS = Functions(
    exp=mpmath.exp,
    expm1=mpmath.expm1,
    log1p=mpmath.log1p,
    tanh=mpmath.tanh,
    sigmoid=lambda z: 1 / (1 + mpmath.exp(-z)),
    normal=mpmath.ncdf,
    density=mpmath.npdf,
    sin=mpmath.sin,
    cos=mpmath.cos,
    absolute=abs,
    maximum=max,
    minimum=min,
    where=lambda condition, yes, no: yes if condition else no,
)


def at_50_digits(phi, z):
    return phi.formula(DIGITS, mpmath.mpf(z))


def slope_at_50_digits(phi, z):
    return phi.slope_formula(DIGITS, mpmath.mpf(z))


@pytest.mark.parametrize("name", NAMES)
def test_floats_agree_with_50_digits(name):
    phi = activation(name)
    z = np.linspace(-9, 9, 61) + 0.01
    for found, exact in ((phi(z), at_50_digits), (phi.slope(z), slope_at_50_digits)):
        expected = np.array([float(exact(phi, x)) for x in z])
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("name", NAMES)
def test_slopes_are_derivatives(name):
    phi = activation(name)
    for z in np.linspace(-7.3, 7.1, 23):
        derivative = mpmath.diff(lambda x: at_50_digits(phi, x), mpmath.mpf(z))
        assert abs(derivative - slope_at_50_digits(phi, z)) < mpmath.mpf(10) ** -15


@pytest.mark.parametrize("name", [n for n in NAMES if activation(n).torch_class])
def test_torch_computes_the_same(name):
    phi = activation(name)
    module = getattr(torch.nn, phi.torch_class)(**dict(phi.torch_options))
    z = torch.linspace(-8.03, 8, 101, dtype=torch.float64, requires_grad=True)
    values = module(z)
    values.sum().backward()
    assert phi(z.detach().numpy()) == pytest.approx(values.detach().numpy(), abs=1e-12)
    rough = name == "hard_sigmoid" or name.startswith(
        "celu"
    )  # their gradients have numbers in float32
    assert phi.slope(z.detach().numpy()) == pytest.approx(
        z.grad.numpy(), abs=1e-7 if rough else 1e-12
    )


@pytest.mark.parametrize("name", ["exp", "sin", "cos", "abs", "gaussian"])
def test_the_formula_as_a_torch_module(name):
    phi = activation(name)
    module = module_of(phi)
    z = torch.linspace(-3, 3, 50, dtype=torch.float64, requires_grad=True)
    values = module(z)
    values.sum().backward()
    assert values.detach().numpy() == pytest.approx(phi(z.detach().numpy()), abs=1e-14)
    assert z.grad.numpy() == pytest.approx(phi.slope(z.detach().numpy()), abs=1e-14)
    assert not module.state_dict() and pickle.loads(pickle.dumps(module)).activation == phi


@pytest.mark.parametrize("name", NAMES)
def test_ranges_are_certified_and_tight(name):
    phi = activation(name)
    ends = ([-1e12], [1e12]) if name == "softsign" else ([-1e5], [1e5])
    for (low, high), found in (
        (phi.range, enclose(phi, *ends)),
        (phi.slopes, enclose_slope(phi, *ends)),
    ):
        assert low <= found[0] and found[1] <= high
        for bound, reached in ((low, found[0]), (high, found[1])):
            if np.isfinite(bound):
                assert reached == pytest.approx(bound, abs=1e-9)
            elif not phi.coefficients:  # for polynomials only the trivial bound is kept
                assert abs(reached) > 100
    assert phi.lipschitz == max(map(abs, phi.slopes))


@pytest.mark.parametrize("name", SMOOTH)
def test_turning_and_inflection_points(name):
    """Between the listed points the slope, and the second derivative, never change sign; at them they do."""
    phi = activation(name)

    def curvature(x):
        return mpmath.diff(lambda t: slope_at_50_digits(phi, t), x, h=mpmath.mpf(10) ** -20)

    for points, function in (
        (phi.turning, lambda x: slope_at_50_digits(phi, x)),
        (phi.inflection, curvature),
    ):
        span = 3.4 if name in ("sin", "cos") else 7.0
        kinks = [(z, z) for z, _, _ in phi.kinks]
        pairs = sorted([*points(-span, span), *kinks])
        for low, high in pairs:
            assert low <= high <= low + 1e-13
            if (low, high) not in kinks:
                step = mpmath.mpf(10) ** -15 if high - low < 1e-20 else 0
                assert function(mpmath.mpf(low) - step) * function(mpmath.mpf(high) + step) < 0
        edges = [-span, *(x for pair in pairs for x in pair), span]
        for a, b in zip(edges[::2], edges[1::2], strict=True):
            inside = [a + (b - a) * t for t in np.linspace(0.001, 0.999, 40)]
            signs = {int(mpmath.sign(mpmath.chop(function(x), tol=1e-15))) for x in inside} - {0}
            assert len(signs) <= 1, (a, b)


@pytest.mark.parametrize("name", NAMES)
def test_symmetries(name):
    phi = activation(name)
    for z in (mpmath.mpf("0.3"), mpmath.mpf("-1.7"), mpmath.mpf(5)):
        if phi.degree is not None:
            for rho in (mpmath.mpf("0.25"), mpmath.mpf(3)):
                gap = at_50_digits(phi, rho * z) - rho**phi.degree * at_50_digits(phi, z)
                assert abs(gap) < mpmath.mpf(10) ** -40
        if phi.reflection is not None:
            s, c = phi.reflection
            gap = (
                at_50_digits(phi, -z)
                - s * at_50_digits(phi, z)
                - mpmath.mpf(c.numerator) / c.denominator
            )
            assert abs(gap) < mpmath.mpf(10) ** -40
    if phi.at_zero is not None:
        assert at_50_digits(phi, 0) == mpmath.mpf(phi.at_zero.numerator) / phi.at_zero.denominator


def test_symmetries_in_words():
    words = {name: activation(name).symmetry for name in NAMES}
    assert words["identity"] == "scale, sign" and words["abs"] == "scale, even"
    assert words["relu"] == words["leaky_relu"] == "scale"
    assert words["tanh"] == words["sin"] == words["hard_tanh"] == "sign"
    assert words["sigmoid"] == "complement"
    assert words["cos"] == words["gaussian"] == words["polynomial:0.5,0,2"] == "even"
    assert words["gelu"] == words["silu"] == words["softplus"] == words["elu"] == ""
    assert activation("polynomial:0,0,3").symmetry == "scale, even"
    assert activation("polynomial:1,2,0,3").symmetry == "complement"


@pytest.mark.parametrize("name", NAMES)
def test_exact_values(name):
    phi = activation(name)
    for z in (Fraction(0), Fraction(1, 3), Fraction(-7, 2)):
        value = phi.exact_value(z)
        if value is not None:
            gap = at_50_digits(phi, mpmath.mpf(z.numerator) / z.denominator)
            assert (
                abs(gap - mpmath.mpf(value.numerator) / value.denominator) < mpmath.mpf(10) ** -40
            )
    assert (phi.exact_value(Fraction(1, 3)) is None) == (not phi.pieces and not phi.coefficients)


ends = st.floats(-30, 30) | st.sampled_from([0.0, -1.0, 1.0, 6.0, 2**0.5, -1e-300])


@pytest.mark.parametrize("using", ["flint", "mpmath"])
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)
@given(ends, ends, st.sampled_from([1.0, 1e-3, 1e-9]), st.data())
def test_enclosures_contain_dense_samples(name, using, a, b, shrink, data):
    phi = activation(name)
    low, high = min(a, b), max(a, b)
    high = low + (high - low) * shrink
    value, slope = enclose(phi, low, high, using=using), enclose_slope(phi, low, high, using=using)
    kinks = {z for z, _, _ in phi.kinks} | set(phi.pieces.kinks if phi.pieces else ())
    for t in (0, 1, *data.draw(st.lists(st.floats(0, 1), max_size=6))):
        z = mpmath.mpf(low) + (mpmath.mpf(high) - low) * t
        for (below, above), exact in ((value, at_50_digits), (slope, slope_at_50_digits)):
            slack = mpmath.mpf(10) ** -45 * (1 + abs(exact(phi, z)))
            assert below - slack <= exact(phi, z) <= above + slack
        if z in kinks:  # the slope to the right belongs to it too
            assert slope[0] <= slope_at_50_digits(phi, z + mpmath.mpf(10) ** -30) <= slope[1]


@pytest.mark.parametrize("name", NAMES)
def test_both_arithmetics_agree_and_bounds_are_tight(name):
    rng = np.random.default_rng(0)
    phi = activation(name)
    centre, radius = 4 * rng.normal(size=60), np.abs(rng.normal(size=60))
    radius[:20] = 0
    for enclosing, function in ((enclose, phi), (enclose_slope, phi.slope)):
        one = enclosing(phi, centre - radius, centre + radius, using="flint")
        other = enclosing(phi, centre - radius, centre + radius, using="mpmath")
        for x, y in zip(one, other, strict=True):
            assert x == pytest.approx(y, rel=1e-15, abs=1e-17)
        # A point's bounds are a few steps apart, and a wide interval's are nearly reached.
        size = np.maximum(1e-17, np.abs(one[0][:20]))
        assert (one[1][:20] - one[0][:20] <= 1e-15 * np.maximum(size, 1e-2)).all()
        if not phi.kinks and phi.pieces is None:
            samples = function(np.linspace(centre - radius, centre + radius, 2001))
            scale = 1 + np.abs(samples).max(axis=0)
            missed = 1e-3 if name == "softsign" else 1e-4  # the slope of softsign has a corner
            assert (np.abs(samples.min(axis=0) - one[0]) <= missed * scale).all()
            assert (np.abs(samples.max(axis=0) - one[1]) <= missed * scale).all()


def test_slopes_at_a_kink_are_all_slopes_between():
    low, high = enclose_slope(activation("leaky_relu:0.2"), [-1, 0, 0, 1e-300], [0, 0, 1, 1])
    assert low.tolist() == [0.2, 0.2, 0.2, 1.0] and high.tolist() == [1.0] * 4
    low, high = enclose_slope(activation("elu:2"), [-1e-3, 0.0], [0.0, 0.5])
    assert low.tolist() == [1.0, 1.0] and high.tolist() == [2.0, 2.0]
    low, high = enclose(activation("elu:-1"), [-1.0], [1.0])  # the kink is its lowest point
    assert low[0] == 0


def test_far_out_and_without_end():
    for using in ("flint", "mpmath"):
        low, high = enclose(activation("tanh"), [1e300, -1e300], [1e300, 1e300], using=using)
        assert low.tolist() == [pytest.approx(1), -1] and high.tolist() == [1, 1]
        low, high = enclose(activation("sin"), [1e12], [1e12 + 1e-3], using=using)
        assert low[0] <= np.sin(1e12) <= high[0]
        low, high = enclose(activation("softplus"), [-1e300, 1e300], [-1e300, 1e300], using=using)
        assert low.tolist() == [0, pytest.approx(1e300)]
        assert 0 <= high[0] < 1e-37 and 1e300 <= high[1] < 1.001e300
        low, high = enclose(activation("exp"), [-1e4, 800.0], [-1e4, 1e4], using=using)
        assert low.tolist() == [0, pytest.approx(np.finfo(float).max)] and high[1] == np.inf
    low, high = enclose(activation("silu"), [-np.inf], [0.0])
    assert low[0] == activation("silu").range[0] and high[0] == np.inf
    assert enclose(activation("relu"), [-np.inf], [2.0])[1][0] == 2
    assert enclose_slope(activation("sigmoid"), [-np.inf], [np.inf])[1][0] == 0.25


def test_shapes_and_bad_intervals():
    low, high = enclose(activation("tanh"), np.zeros((2, 3)), 1.0)
    assert low.shape == high.shape == (2, 3)
    with pytest.raises(MethodError, match=r"interval 1 is \[2.0, 1.0\]"):
        enclose(activation("tanh"), [0.0, 2.0], [1.0, 1.0])
    with pytest.raises(MethodError, match="numbers"):
        enclose_slope(activation("relu"), np.nan, 1.0)
    with pytest.raises(MethodError, match="'floats' is unknown"):
        enclose(activation("tanh"), 0.0, 1.0, using="floats")


def test_the_normal_distribution_by_integers():
    """The series behind GELU without ball arithmetic, at its ends and where it is cut."""
    m = interval_functions("mpmath")
    for z in (0.0, 1e-300, -1e-300, 0.5, -8.9999, 8.9999, 9.0, -9.0, -40.0, 40.0, 1e300):
        low, high = m.bounds(m.normal(m.interval(z, z)))
        exact = mpmath.ncdf(z) if abs(z) < 1e5 else mpmath.mpf(z > 0)
        assert low <= exact <= high and high - low <= 3e-16


@pytest.mark.parametrize("name", NAMES)
def test_names_say_everything(name):
    phi = activation(name)
    again = pickle.loads(pickle.dumps(phi))
    assert activation(phi.name) == again == phi and hash(again) == hash(phi)
    z = np.linspace(-3, 3, 11)
    assert np.array_equal(again(z), phi(z))
    assert phi != activation("sigmoid" if name == "tanh" else "tanh")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("gelo", "Choose identity, tanh"),
        ("leaky_relu:x", "after the colon give 1 finite number"),
        ("leaky_relu:0.1,0.2", "give 1 finite number"),
        ("hard_tanh:1", "give 2 finite numbers"),
        ("hard_tanh:1,-1", "low < high"),
        ("elu:inf", "finite"),
        ("tanh:2", "unknown"),
        ("polynomial:" + "1," * 20 + "1", "1 to 13"),
    ],
)
def test_bad_names(name, says):
    with pytest.raises(NetworkError, match=says):
        activation(name)


@pytest.mark.parametrize("name", NAMES)
def test_torch_round_trip(name):
    network = sl.Network.dense([[[1.0, -0.5]], [[2.0]]], activation=name)
    module = sl.to_torch(network)
    again = sl.from_torch(module)
    assert again.chain.layers[0].activation == activation(name)
    x = np.array([[0.3, 0.7], [-2.0, 5.0]])
    assert module(torch.from_numpy(x)).detach().numpy() == pytest.approx(network(x), abs=1e-14)
