"""The worked examples of the theory, with exactly their answers."""

from fractions import Fraction

import numpy as np
import pytest
import sympy

import symlump as sl

x1, x2, x3, y1 = sympy.symbols("x1 x2 x3 y1")
TOGETHER = (("x1", "x2"), ("x3",))


def lumped(equations, method):
    return sl.lump(sl.PolynomialODE.from_sympy(equations), method)


def test_e1_linear_forward():
    result = lumped({x1: -3 * x1 + x3, x2: -3 * x2 + x3, x3: x1 + x2 - 2 * x3}, sl.Forward())
    assert result.blocks == TOGETHER
    assert result.exact
    assert result.quotient.to_sympy() == {y1: -3 * y1 + 2 * x3, x3: y1 - 2 * x3}


def test_e2_nonlinear_forward():
    result = lumped({x1: -x1 * x3, x2: -x2 * x3, x3: -(x1 + x2) * x3}, sl.Forward())
    assert result.blocks == TOGETHER
    assert result.exact
    assert result.quotient.to_sympy() == {y1: -y1 * x3, x3: -y1 * x3}


def test_e3_backward_and_not_forward():
    system = {x1: x3 - x1**2, x2: x3 - x2**2, x3: 1 - 2 * x1 - x2}
    backward = lumped(system, sl.Backward())
    assert backward.blocks == TOGETHER
    assert backward.exact
    assert backward.quotient.to_sympy() == {y1: x3 - y1**2, x3: 1 - 3 * y1}
    assert len(lumped(system, sl.Forward()).partition) == 3


def rows_of_e6():
    a, b, c, u, v = sympy.symbols("a b c u v")
    decimal = sympy.Rational
    return sl.PolynomialODE.from_sympy(
        {
            a: u + 2 * v,
            b: decimal("1.04") * u + decimal("1.97") * v,
            c: decimal("1.5") * u + 2 * v,
            u: 0,
            v: 0,
        }
    )


def test_e6_tolerance_and_reference():
    ode = rows_of_e6()
    result = sl.lump(ode, sl.Backward(eps=0.1), [["u"], ["v"]])
    assert result.blocks == (("a", "b"), ("c",), ("u",), ("v",))
    u, v = sympy.symbols("u v")
    row = result.quotient.to_sympy()[y1]
    assert row == sympy.Rational("1.02") * u + sympy.Rational("1.985") * v
    assert result.defect == pytest.approx(np.sqrt(2 * (0.02**2 + 0.015**2)), rel=1e-12)
    assert not result.exact and "exact" not in str(result)


@pytest.mark.parametrize(
    ("linkage", "eps", "blocks"),
    [("closure", 0.495, 1), ("diameter", 0.495, 2), ("closure", 0.489, 2), ("variance", 0.1, 2)],
)
def test_e6_linkages(linkage, eps, blocks):
    result = sl.lump(rows_of_e6(), sl.Backward(eps, linkage), [["u"], ["v"]])
    assert len(result.partition) == blocks + 2


def test_e6_distances_are_the_ones_stated():
    for eps, pair in ((0.07, "ab"), (0.49, "bc"), (0.50, "ac")):
        keep = [s for s in "abc" if s not in pair]
        initial = [list(pair), keep, ["u"], ["v"]]
        at = sl.lump(rows_of_e6(), sl.Backward(eps), initial)
        below = sl.lump(rows_of_e6(), sl.Backward(eps - 1e-6), initial)
        assert (len(at.partition), len(below.partition)) == (4, 5)


def test_e7_network():
    network = sl.Network.dense([[[1, 2], [1, 2], [-1, -2]], [[0.5, 0.25, 1.0]]], activation="tanh")
    result = sl.compress(network, sl.AFDE(eps=0))
    assert result.exact
    assert result.unit_maps[0].tolist() == [0, 0, 1]
    hidden, output = result.network.layers
    assert hidden.weight.tolist() == [[1.0, 2.0], [-1.0, -2.0]]
    assert output.weight.tolist() == [[0.75, 1.0]]


def test_outgoing_weights_are_summed_in_the_quotient():
    network = sl.Network.dense([[[1, 2], [1, 2], [-1, -2]], [[0.5, 0.25, 1.0]]], activation="tanh")
    lumping = sl.lump(sl.encode(network), sl.Forward())
    coefficients = {str(k): v for k, v in lumping.quotient.to_sympy().items()}
    assert coefficients["Y1"] == sympy.Rational(3, 4) * y1
    assert Fraction(0.75) == Fraction(3, 4)
