from fractions import Fraction

import pytest
import sympy

import symlump as sl
from symlump.errors import InputError, VariableError


def test_michaelis_menten_with_products():
    ode = sl.PolynomialODE.from_reactions(
        [
            ({"S": 1, "E": 1}, {"C": 1}, "k1"),
            ({"C": 1}, {"S": 1, "E": 1}, "km1"),
            ({"C": 1}, {"E": 1, "P": 1}, "k2"),
            ({"E": 1, "P": 1}, {"C": 1}, "km2"),
        ],
        parameters=["k1", "km1", "k2", "km2"],
    )
    assert ode.variables == ("S", "E", "C", "P", "k1", "km1", "k2", "km2")
    assert len(ode.monomials) == 4  # one per reaction
    S, E, C, k1, km1 = sympy.symbols("S E C k1 km1")
    assert ode.to_sympy()[S] == -k1 * S * E + km1 * C


def test_one_monomial_per_reaction_and_multiplicities():
    products = {f"P{i}": 1 for i in range(50)}
    ode = sl.PolynomialODE.from_reactions(
        [({"A": 2, "B": 1}, {**products, "B": 1}, Fraction(1, 3))]
    )
    assert len(ode.monomials) == 1 and ode.terms == 51  # B is a catalyst
    A, B = sympy.symbols("A B")
    assert ode.to_sympy()[A] == -sympy.Rational(2, 3) * A**2 * B
    assert ode.to_sympy()[B] == 0


def test_floats_stay_floats():
    ode = sl.PolynomialODE.from_reactions([({"A": 1}, {"B": 1}, 0.1), ({"B": 1}, {}, 0.25)])
    assert ode.coefficients.is_float


@pytest.mark.parametrize(
    ("reactions", "options", "error", "says"),
    [
        ([({"A": 1}, {"B": 1}, "k")], {}, VariableError, "'k' is not among the parameters"),
        ([({"A": 1}, {"B": 1}, 1)], {"variables": ["A"]}, VariableError, "names 'B'"),
        ([({"A": -1}, {}, 1)], {}, InputError, "-1 copies"),
        ([({"A": 0.5}, {}, 1)], {}, InputError, "0.5 copies"),
        ([({"A": 1}, {}, None)], {}, InputError, "the rate is None"),
        ([({"A": 1}, {}, 1), ({"A": 1}, {}, float("nan"))], {}, InputError, "not a finite"),
        ([({"A": 1}, {}, float("inf"))], {}, InputError, "finite"),
    ],
)
def test_bad_reactions(reactions, options, error, says):
    with pytest.raises(error, match=says):
        sl.PolynomialODE.from_reactions(reactions, **options)
