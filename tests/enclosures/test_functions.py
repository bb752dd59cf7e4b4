"""Elementary functions in every arithmetic, and their Taylor coefficients, against 60 digits of mpmath."""

from itertools import product

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from symlump.enclosures.functions import (
    FLOATS,
    _odd_series,
    interval_functions,
    torch_functions,
)
from symlump.enclosures.jets import Jet, expand
from symlump.errors import MethodError, MissingExtraError

mp = mpmath.mp.clone() if hasattr(mpmath.mp, "clone") else mpmath.MPContext()
mp.dps = 60

EXACT = {
    "exp": mp.exp,
    "expm1": mp.expm1,
    "log1p": mp.log1p,
    "tanh": mp.tanh,
    "sigmoid": lambda z: 1 / (1 + mp.exp(-z)),
    "normal": mp.ncdf,
    "density": lambda z: mp.exp(-z * z / 2) / mp.sqrt(2 * mp.pi),
    "sin": mp.sin,
    "cos": mp.cos,
    "absolute": abs,
}
POINTS = [-30.0, -9.5, -2.3, -0.7, -1e-9, 0.0, 1e-300, 0.1, 0.9, 1.0, 3.7, 8.9, 9.1, 25.0]


def usable(name, z):
    return name != "log1p" or z > -1


@pytest.mark.parametrize("using", ["flint", "mpmath"])
@pytest.mark.parametrize("name", EXACT)
def test_values_at_points_are_certain_and_narrow(name, using):
    m = interval_functions(using)
    for z in POINTS:
        if usable(name, z):
            with m.working():
                low, high = m.bounds(getattr(m, name)(m.interval(z, z)))
            exact = EXACT[name](mp.mpf(z))
            assert low <= exact <= high
            # beyond 9 the tail of the normal distribution is only known to be below the density
            slack = 1e-18 if name == "normal" and using == "mpmath" else 0.0
            assert high - low <= 5e-16 * abs(float(exact)) + 1e-37 + slack


@pytest.mark.parametrize("using", ["flint", "mpmath"])
@pytest.mark.parametrize(
    "name, below, above", [("sigmoid", 0, 1), ("tanh", -1, 1), ("normal", 0, 1)]
)
def test_far_out_values_are_those_at_infinity(name, below, above, using):
    m = interval_functions(using)
    for size in (1e20, 1e100, 1e200, 1.7e308):
        for z, limit in ((-size, below), (size, above)):
            with m.working():
                low, high = m.bounds(getattr(m, name)(m.interval(z, z)))
            assert low <= limit <= high
            assert high - low <= 2**-50
            if not limit:
                assert high <= 5e-324  # what it is multiplied by may be 10³⁰⁰


@pytest.mark.parametrize("using", ["flint", "mpmath"])
@pytest.mark.parametrize("name", EXACT)
@settings(max_examples=15)
@given(st.sampled_from(POINTS), st.floats(0, 2), st.floats(0, 1))
def test_values_on_intervals_contain_those_of_members(name, using, low, width, share):
    if not usable(name, low):
        return
    m, high = interval_functions(using), low + width
    with m.working():
        below, above = m.bounds(getattr(m, name)(m.interval(low, high)))
    exact = EXACT[name](mp.mpf(min(max(low + share * width, low), high)))
    assert below <= exact <= above


@pytest.mark.parametrize("name", EXACT)
def test_floats_and_tensors_compute_the_same(name):
    z = np.array([z for z in POINTS if usable(name, z)])
    exact = np.array([float(EXACT[name](mp.mpf(x))) for x in z])
    allowed = (
        (1e-12 if name == "normal" else 4e-15) * np.abs(exact)
        + 1e-15 * (name in ("sin", "cos"))
        + 1e-300
    )
    assert (np.abs(getattr(FLOATS, name)(z) - exact) <= allowed).all()
    found = getattr(torch_functions(), name)(torch.from_numpy(z)).numpy()
    loose = 1e-12 * np.abs(exact) + 1e-15 * (name in ("sin", "cos", "normal"))
    assert (np.abs(found - exact) <= loose + 1e-40).all()


@pytest.mark.parametrize("using", ["flint", "mpmath"])
def test_larger_smaller_and_chosen(using):
    m = interval_functions(using)
    with m.working():
        for (a, b), c in product([(-2.0, -1.0), (-1.0, 2.0), (1.0, 3.0)], [-1.5, 0.0, 2.5]):
            z = m.interval(a, b)
            low, high = m.bounds(m.maximum(z, c))
            assert low == pytest.approx(max(a, c), abs=1e-8) and high == pytest.approx(
                max(b, c), abs=1e-8
            )
            assert low <= max(a, c) and max(b, c) <= high
            low, high = m.bounds(m.minimum(z, c))
            assert low == pytest.approx(min(a, c), abs=1e-8) and high == pytest.approx(
                min(b, c), abs=1e-8
            )
            assert low <= min(a, c) and min(b, c) <= high
        assert m.where(True, 1, 2) == 1 and m.where(False, 1, 2) == 2
        low, high = m.bounds(m.interval(0.1, 0.3))
        assert low <= 0.1 and high >= 0.3 and high - low < 0.2001


def test_floats_larger_smaller_and_chosen():
    z = np.array([-1.0, 0.5, 2.0])
    for f, t in ((FLOATS, np.asarray), (torch_functions(), torch.from_numpy)):
        assert np.asarray(f.maximum(t(z), 0.0)).tolist() == [0.0, 0.5, 2.0]
        assert np.asarray(f.minimum(t(z), 1.0)).tolist() == [-1.0, 0.5, 1.0]
        assert np.asarray(f.where(t(z) > 0, t(z), -t(z))).tolist() == [1.0, 0.5, 2.0]


def test_intervals_know_more_than_floats():
    """Twice the digits of a float: what is lost is the last rounding only."""
    for using in ("flint", "mpmath"):
        m = interval_functions(using)
        with m.working():
            x = m.exp(m.interval(0.1, 0.1))
            low, high = m.bounds(x - m.interval(float(np.exp(0.1)), float(np.exp(0.1))))
        exact = mp.exp(mp.mpf(0.1)) - mp.mpf(float(np.exp(0.1)))
        assert low <= exact <= high and high - low <= 1e-30


@pytest.mark.parametrize("z", [0, 1, 2, 2**64, 2**127, 2**128 - 1, 3 * 2**128 + 5, 2**131 + 2**127])
def test_the_series_of_the_normal_distribution_is_bounded_on_both_sides(z):
    """Σ x^(2n+1)/(2n+1)!! = √(π/2)·e^(x²/2)·erf(x/√2), for both ends of [z, z + 1]/2¹²⁸."""
    low, high = _odd_series(z)
    ends = []
    with mp.workdps(120):
        for x in (mp.mpf(z) / 2**128, mp.mpf(z + 1) / 2**128):
            ends.append(mp.sqrt(mp.pi / 2) * mp.exp(x * x / 2) * mp.erf(x / mp.sqrt(2)) * 2**128)
        slack = mp.mpf(10) ** -60 * ends[1]
        assert low <= ends[0] + slack and ends[1] <= high + slack
        assert high - low <= 10 + ends[1] / 2**110


def test_names_of_interval_functions(monkeypatch):
    assert interval_functions().name == interval_functions("flint").name == "flint"
    assert interval_functions("mpmath").name == "mpmath"
    with pytest.raises(MethodError, match="'floats' is unknown; choose 'flint' or 'mpmath'"):
        interval_functions("floats")
    monkeypatch.setattr("symlump.enclosures.functions.find_spec", lambda name: None)
    assert interval_functions().name == "mpmath"
    with pytest.raises(MissingExtraError, match='"fast", or use mpmath'):
        interval_functions("flint")


# Taylor coefficients

FORMULAS = {
    "exp": (lambda m, z: m.exp(2 * z - 1), lambda z: mp.exp(2 * z - 1)),
    "expm1": (lambda m, z: m.expm1(z) * z, lambda z: mp.expm1(z) * z),
    "log1p": (lambda m, z: m.log1p(m.exp(2 * z)), lambda z: mp.log(1 + mp.exp(2 * z))),
    "tanh": (lambda m, z: 1 - m.tanh(z * z), lambda z: 1 - mp.tanh(z * z)),
    "sigmoid": (lambda m, z: -m.sigmoid(z) / 3.0, lambda z: -1 / (1 + mp.exp(-z)) / 3),
    "normal": (lambda m, z: z * m.normal(z), lambda z: z * mp.ncdf(z)),
    "density": (lambda m, z: m.density(z + 1), lambda z: mp.npdf(z + 1)),
    "sin": (lambda m, z: m.sin(z) / m.exp(z), lambda z: mp.sin(z) / mp.exp(z)),
    "cos": (lambda m, z: 3.0 - m.cos(3 * z), lambda z: 3 - mp.cos(3 * z)),
    "quotient": (lambda m, z: 1 / (2.0 + z * z), lambda z: 1 / (2 + z * z)),
    "difference": (lambda m, z: z * z - z / (z - 4), lambda z: z * z - z / (z - 4)),
    "absolute": (lambda m, z: m.absolute(z) * z, lambda z: abs(z) * z),
    "maximum": (lambda m, z: m.maximum(z, 0.25) * z, lambda z: max(z, mp.mpf(0.25)) * z),
    "minimum": (lambda m, z: m.minimum(z, 0.25) * z, lambda z: min(z, mp.mpf(0.25)) * z),
    "chosen": (lambda m, z: m.where(z > 0, z * z, m.exp(z)), lambda z: z * z if z > 0 else mp.exp(z)),
    "constant": (lambda m, z: m.where(z > 0, 2.0, z), lambda z: mp.mpf(2) if z > 0 else z),
}  # fmt: skip


@pytest.mark.parametrize("using", ["flint", "mpmath"])
@pytest.mark.parametrize("name", FORMULAS)
def test_jets_are_taylor_coefficients(name, using):
    formula, function = FORMULAS[name]
    m = interval_functions(using)
    for z in (-1.3, 0.7):
        with m.working():
            found = expand(formula, m, z, z, 5)
            bounds = [m.bounds(m.interval(0.0, 0.0) + c) for c in found.c]
        assert len(bounds) == 6
        for k, exact in enumerate(mp.taylor(function, mp.mpf(z), 5)):
            low, high = bounds[k]
            slack = mp.mpf(10) ** -25 * (1 + abs(exact))  # of differentiating numerically
            assert low - slack <= exact <= high + slack
            assert high - low <= 1e-14 * (1 + abs(float(exact)))


@pytest.mark.parametrize("using", ["flint", "mpmath"])
@pytest.mark.parametrize("name", FORMULAS)
def test_jets_over_an_interval_hold_all_derivatives(name, using):
    formula, function = FORMULAS[name]
    m = interval_functions(using)
    low, high = 0.5, 0.75
    with m.working():
        found = expand(formula, m, low, high, 3)
        bounds = [m.bounds(m.interval(0.0, 0.0) + c) for c in found.c]
    for z in (low, 0.6, high):
        for k, exact in enumerate(mp.taylor(function, mp.mpf(z), 3)):
            slack = mp.mpf(10) ** -25 * (1 + abs(exact))
            assert bounds[k][0] - slack <= exact <= bounds[k][1] + slack


def test_order_zero_is_the_value():
    m = interval_functions("mpmath")
    found = expand(lambda m, z: z, m, 2.0, 2.0, 0)
    assert [m.bounds(c) for c in found.c] == [(2.0, 2.0)]


def test_the_side_of_a_number_is_that_of_the_whole_interval():
    m = interval_functions("mpmath")
    above, below = (lambda m, z: m.maximum(z, 0.45)), (lambda m, z: m.minimum(z, 0.8))
    for formula in (above, below):
        found = expand(formula, m, 0.5, 0.75, 1)
        assert [m.bounds(c) for c in found.c] == [(0.5, 0.75), (1.0, 1.0)]


def test_jets_of_different_orders_are_refused():
    short, long = Jet([1.0, 2.0], 0.0), Jet([1.0, 2.0, 3.0], 0.0)
    for operation in (Jet.__add__, Jet.__sub__, Jet.__rsub__):
        for pair in ((short, long), (long, short)):
            with pytest.raises(ValueError, match="zip"):
                operation(*pair)


def test_jets_of_numbers():
    """1 + 2s + 3s² and 4 + 5s + 6s², by hand."""
    a, b = Jet([1.0, 2.0, 3.0], 0.5), Jet([4.0, 5.0, 6.0], 0.5)
    for found, expected in (
        (a + b, [5, 7, 9]), (a - b, [-3, -3, -3]), (a * b, [4, 13, 28]), (-a, [-1, -2, -3]),
        (b / a, [4, -3, 0]), (a + 1, [2, 2, 3]), (1 - a, [0, -2, -3]), (a - 1, [0, 2, 3]), (2 * a, [2, 4, 6]),
        (a / 2, [0.5, 1, 1.5]), (1 / a, [1, -2, 1]), (3 + a, [4, 2, 3]), (a * 2, [2, 4, 6]),
    ):  # fmt: skip
        assert found.c == expected
        with pytest.raises(ValueError, match="may ask of z alone"):
            _ = found > 0.25
    assert a > 0.25 and not a > 0.5
