"""The reference system: as near as its closed form says, and exact."""

from fractions import Fraction

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from test_refine import systems, to_ode

import symlump as sl
from symlump.datasets.systems import h_tree
from symlump.errors import FailureError, MethodError, VariableError

METHODS = {"forward": sl.Forward, "backward": sl.Backward}


def squared_distance(a, b):
    """Σ (coefficient of a − coefficient of b)², exactly."""
    terms = {}
    for ode, sign in ((a, 1), (b, -1)):
        for row, column, value in zip(
            ode.rows.tolist(), ode.columns.tolist(), ode.coefficients, strict=True
        ):
            key = (row, tuple(ode.monomials.factors(column)))
            terms[key] = terms.get(key, Fraction(0)) + sign * value
    return sum(value**2 for value in terms.values())


@pytest.mark.parametrize("direction", METHODS)
@settings(max_examples=100, deadline=None)
@given(system=systems(max_variables=5), eps=st.sampled_from([0.5, 1.0, 2.0, 5.0]))
def test_distance_is_the_defect_and_the_partition_is_exact(direction, system, eps):
    lumping = sl.lump(to_ode(system), METHODS[direction](eps))
    reference = lumping.reference
    assert float(squared_distance(reference, lumping.ode)) == pytest.approx(lumping.defect**2)
    again = sl.lump(reference, METHODS[direction](), lumping.blocks)
    assert again.partition == lumping.partition
    assert again.exact
    assert again.quotient == lumping.quotient


def test_floats_keep_the_quotient_that_was_printed():
    lumping = sl.lump(h_tree(4, 0.01, seed=1), sl.Backward(6e-4))
    assert lumping.certificate().check().accepted
    assert squared_distance(lumping.reference, lumping.ode) > 0


def test_too_large_a_reference_system_is_refused():
    n = 1500
    reactions = [({f"x{i}": 1, f"x{(i + 1) % n}": 1}, {}, 1 + i % 2) for i in range(n)]
    lumping = sl.lump(sl.PolynomialODE.from_reactions(reactions), sl.Backward(10.0))
    assert len(lumping.partition) == 1
    with pytest.raises(FailureError, match="may have 1688625"):
        lumping.certificate()


def test_named_parameters_move_no_further_than_they_must():
    circuit = sl.PolynomialODE.from_reactions(
        [
            ({"A": 1}, {"C": 1}, "a"),
            ({"B": 1}, {"C": 1}, "b"),
            ({"C": 1}, {"A": 1}, "c"),
            ({"C": 1}, {"B": 1}, "d"),
        ],
        parameters=["a", "b", "c", "d"],
    )
    values = {"a": Fraction(1), "b": Fraction(11, 10), "c": Fraction(2), "d": Fraction(3)}
    found = sl.nearest_parameters(circuit, [["A", "B"], ["C"]], sl.Backward(), values)
    assert found.values == {
        "a": Fraction(21, 20),
        "b": Fraction(21, 20),
        "c": Fraction(5, 2),
        "d": Fraction(5, 2),
    }
    assert found.distance == pytest.approx(np.sqrt(2 * 0.05**2 + 2 * 0.5**2))
    assert sl.lump(found.system, sl.Backward()).blocks == (("A", "B"), ("C",))
    only = sl.nearest_parameters(
        circuit, [["A", "B"], ["C"]], sl.Backward(), values, move=["a", "c"]
    )
    assert only.values == {**values, "a": values["b"], "c": values["d"]}
    with pytest.raises(FailureError, match="no values of a make"):
        sl.nearest_parameters(circuit, [["A", "B"], ["C"]], sl.Backward(), values, move=["a"])
    with pytest.raises(VariableError, match="no value is given for the parameter 'd'"):
        sl.nearest_parameters(circuit, [["A", "B"], ["C"]], sl.Backward(), {"a": 1, "b": 1, "c": 1})
    a, b, x, y = sympy.symbols("a b x y")
    product = sl.PolynomialODE.from_sympy({x: -a * b * x, y: -a * y}, parameters=[a, b])
    with pytest.raises(MethodError, match="is not linear in a, b"):
        sl.nearest_parameters(product, [["x", "y"]], sl.Forward(), {"a": 1, "b": 2})
    fixed = sl.nearest_parameters(product, [["x", "y"]], sl.Forward(), {"a": 3, "b": 2}, move=["b"])
    assert fixed.values == {"a": 3, "b": 1}


def test_more_parameters_than_sympy_nests():
    """Conditions that share no parameter are solved apart: 600 pairs meet in their means."""
    count = 1200
    values = {f"k{i}": Fraction(i % 7 + 1, 3) for i in range(count)}
    text = "; ".join(f"x{i}' = -k{i}*x{i}" for i in range(count))
    ode = sl.ODE.from_text(text, parameters=list(values))
    pairs = [[f"x{i}", f"x{i + 1}"] for i in range(0, count, 2)]
    found = sl.nearest_parameters(ode, pairs, sl.Forward(), values)
    for i in range(0, count, 2):
        mean = (values[f"k{i}"] + values[f"k{i + 1}"]) / 2
        assert found.values[f"k{i}"] == found.values[f"k{i + 1}"] == mean
    gaps = sum((values[name] - found.values[name]) ** 2 for name in values)
    assert found.distance == pytest.approx(float(gaps) ** 0.5, rel=1e-12)


def test_groups_of_conditions_that_share_parameters():
    """k0 = k1 and k1 = k2 meet in the mean of three; k3 = k4 apart, and k5 stays."""
    text = "; ".join(f"x{i}' = -k{i}*x{i}" for i in range(6))
    ode = sl.ODE.from_text(text, parameters=[f"k{i}" for i in range(6)])
    values = {"k0": 1, "k1": 2, "k2": 6, "k3": 4, "k4": 5, "k5": 7}
    blocks = [["x0", "x1", "x2"], ["x3", "x4"], ["x5"]]
    found = sl.nearest_parameters(ode, blocks, sl.Forward(), values)
    assert list(found.values.values()) == [3, 3, 3, Fraction(9, 2), Fraction(9, 2), 7]
