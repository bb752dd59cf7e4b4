"""The smallest linear lumpings of a family with one parameter."""

import json
from fractions import Fraction
from random import Random

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

import symlump as sl
from symlump.cli.main import main
from symlump.errors import MethodError, VariableError
from symlump.formats import Model
from symlump.lumping.linear.parametric import _read_forms
from symlump.lumping.linear.splitting.polynomial_matrices import (
    PolynomialMatrices,
    close_rows,
    derive,
    is_most,
)

K = sympy.Symbol("k")
RATIONAL = st.fractions(-3, 3, max_denominator=4)


def companion(eigenvalues):
    """A matrix with these eigenvalues, for which the first unit row is cyclic."""
    x = sympy.Symbol("x")
    product = sympy.Poly(sympy.prod([x - v for v in eigenvalues]), x)
    size = len(eigenvalues)
    matrix = sympy.zeros(size, size)
    for i in range(size - 1):
        matrix[i, i + 1] = 1
    matrix[size - 1, :] = sympy.Matrix([[-c for c in reversed(product.all_coeffs()[1:])]])
    return matrix


def unimodular(draw, size):
    lower, upper = np.eye(size, dtype=int), np.eye(size, dtype=int)
    for i in range(size):
        for j in range(i):
            lower[i, j], upper[j, i] = draw(st.integers(-2, 2)), draw(st.integers(-2, 2))
    return sympy.Matrix((lower @ upper).tolist())


def planted(draw, factor):
    """A linear system and an observable that lies in a space of a rows iff the factor vanishes.

    x' = A·x with A = diag(A1, A2) without a common eigenvalue, and r1 + factor·r2 with r1, r2 cyclic:
    it generates both parts unless the factor is 0. A random change of variables hides the parts.
    """
    eigenvalues = draw(st.lists(st.integers(-9, 9), min_size=3, max_size=6, unique=True))
    a = draw(st.integers(1, len(eigenvalues) - 1))
    size = len(eigenvalues)
    whole = sympy.diag(companion(eigenvalues[:a]), companion(eigenvalues[a:]))
    change = unimodular(draw, size)
    hidden = change.inv() * whole * change
    x = sympy.symbols(f"x0:{size}")
    equations = hidden * sympy.Matrix(x)
    row = (sympy.eye(size).row(0) + factor * sympy.eye(size).row(a)) * change
    observable = sympy.expand(sum(c * v for c, v in zip(row, x, strict=True)))
    first = {str(v): Fraction(int(c)) for v, c in zip(x, change.row(0), strict=True) if c}
    return sl.ODE.from_sympy(dict(zip(x, equations, strict=True))), observable, first, a


def contains(large, small):
    return all(large.express(row) is not None for row in small.combinations.values())


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_planted_value_is_found_and_no_other(data):
    value = data.draw(RATIONAL)
    ode, observable, first, a = planted(data.draw, K - sympy.Rational(*value.as_integer_ratio()))
    family = sl.lump_family(ode, "k", [observable])
    assert family.dimension == len(ode)
    (special,) = family.special
    assert special.value == value and special.dimension == len(special.lumping) == a
    assert special.lumping.exact and special.lumping.smallest
    expected = sl.lump(ode, sl.Constrained([first]))
    assert contains(special.lumping, expected) and contains(expected, special.lumping)
    assert special.lumping.certificate().check().accepted
    other = family.at(value + 1)
    assert len(other) == family.dimension and other.exact


@settings(max_examples=15, deadline=None)
@given(st.data(), st.sampled_from([(1, 0, -2), (1, 0, 1), (2, 0, 0, -1), (1, 1, -1)]))
def test_planted_irrational_values_are_named_by_their_polynomial(data, polynomial):
    ode, observable, _, a = planted(data.draw, sympy.Poly(polynomial, K).as_expr())
    family = sl.lump_family(ode, "k", [observable])
    (special,) = family.special
    assert special.polynomial == polynomial and special.dimension == a
    assert special.value is None and special.lumping is None
    assert "in the field of a root, not written down" in str(family)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_systems_with_a_parameter_agree_with_each_of_its_values(seed):
    """Found for all values at once, and for many values one by one; with quadratic terms, too."""
    random = Random(seed)
    size = random.randint(2, 4)
    names = [f"x{i}" for i in range(size)]

    def term():
        factors = random.sample(names, random.choice([1, 1, 1, 2]))
        factor = random.choice(["", "k*", "(k-1)*", "(2*k+1)*", "k^2*"])
        return f"{random.choice([-2, -1, 1, 2])}*{factor}{'*'.join(factors)}"

    lines = [" + ".join(term() for _ in range(random.randint(1, 2))) for _ in names]
    text = "; ".join(f"{name}' = {line}" for name, line in zip(names, lines, strict=True))
    ode = sl.ODE.from_text(text, parameters=["k"])
    family = sl.lump_family(ode, "k", ["k*x0 + x1"])
    special = {s.value: s for s in family.special if s.value is not None}
    for value in {*special, *(Fraction(n, d) for n in range(-4, 5) for d in (1, 2, 3))}:
        number = f"({value.numerator}/{value.denominator})"
        there = sl.ODE.from_text(text.replace("k", number))
        one = sl.lump(there, sl.Constrained([f"{number}*x0 + x1"]))
        expected = special[value].dimension if value in special else family.dimension
        assert len(one) == expected, (text, value)
    generic(family)


def generic(family):
    """The rows for almost all values, by sympy's arithmetic: they hold the observables, and are invariant."""
    k = sympy.Symbol(family.parameter)
    x = [v for v in family.ode.to_sympy() if str(v) != family.parameter]
    rows = sympy.Matrix([[row.get(str(v), 0) for v in x] for row in family.combinations])
    right = sympy.Matrix([family.ode.to_sympy()[v] for v in x])
    images = [
        [sympy.Poly(entry, *x).coeff_monomial(m) for entry in line]
        for line in (rows * right.jacobian(x)).tolist()
        for m in {m for entry in line for m in sympy.Poly(entry, *x).monoms()}
    ]
    kept = [
        [sum((c * k**e for e, c in form.get(str(v), {}).items()), sympy.S.Zero) for v in x]
        for form in family.observables.values()
    ]
    assert rows.rank(simplify=True) == family.dimension
    assert sympy.Matrix([*rows.tolist(), *images, *kept]).rank(simplify=True) == family.dimension


def test_a_value_that_no_partition_shows():
    ode = sl.ODE.from_text("s' = -s; a' = s - k*a; b' = s - 2*b; y' = k*a + 2*b", parameters=["k"])
    family = sl.lump_family(ode, "k", "y")
    assert [s.value for s in family.special] == [0, Fraction(2, 3), 2]
    assert family.dimension == 4 and [s.dimension for s in family.special] == [3, 3, 3]
    conditions = sl.conditions(ode, [["a", "b"], ["s"], ["y"]])
    assert str(conditions) == "forward equivalence iff  k - 2 = 0"


def test_columns_that_depend_on_each_other_at_a_root():
    """The minor of the first columns, 2 − k², vanishes at √2; there are two rows all the same."""
    ode = sl.ODE.from_text("x' = -x; y' = -y; z' = -z")
    matrices = PolynomialMatrices(ode, "k", _read_forms(ode, "k", ["x + k*y", "k*x + 2*y + z"]))
    at = close_rows(matrices, [1, 0, -2]).rows
    assert len(at) == 2 and 2 in at
    generic = derive(matrices)
    assert len(generic.basis) == 2 and [1, 0, -2] in generic.factors
    assert is_most(matrices, [1, 0, -2], 2, seed=0)  # as there are two rows all the same


def test_more_paths_than_a_minor_could_be_expanded_for():
    """s → a_i → y with rates k for every other path: fewer rows where k is one of the others, or 0."""
    rates = ["k" if i % 2 else str(i + 2) for i in range(24)]
    text = "; ".join(["s' = -s", *(f"a{i}' = s - {r}*a{i}" for i, r in enumerate(rates))])
    text += "; y' = " + " + ".join(f"{r}*a{i}" for i, r in enumerate(rates))
    family = sl.lump_family(sl.ODE.from_text(text, parameters=["k"]), "k", ["y"])
    assert family.dimension == 2 + 12 + 1
    values = [special.value for special in family.special]
    assert set(values) >= {0, *range(2, 26, 2)} and all(v is not None for v in values)
    for special in family.special:
        assert special.dimension == len(special.lumping) < 15 and special.lumping.exact
    generic(family)


def test_only_in_the_observable_and_all_of_it_zero():
    ode = sl.ODE.from_text("x' = -x; y' = -y + x^2")
    family = sl.lump_family(ode, "c", ["c*y", "c^2*x"])
    (special,) = family.special
    assert (special.value, special.dimension, special.lumping) == (0, 0, None)
    assert str(family).endswith("c = 0: all observables are zero")
    assert repr(family).startswith(
        "<LumpingFamily: smallest linear lumpings that keep c*y, c^2*x: 2"
    )
    assert family._repr_html_().startswith("<pre>smallest")
    with pytest.raises(MethodError, match="all observables are zero at c = 0"):
        family.at(0)
    with pytest.raises(MethodError, match="c = 'pi' is no rational number"):
        family.at("pi")


def test_no_value_is_special():
    family = sl.lump_family(sl.ODE.from_text("x' = -k*x; y' = x*y", ["k"]), "k", ["x"])
    assert family.special == () and family.combinations == ({"x": 1},)
    assert (
        family.headline() == "smallest linear lumpings that keep x: 1 row, fewer at no value of k"
    )


def test_other_parameters_are_variables_and_maps_are_taken():
    ode = sl.ODE.from_text("x' = -m*x; y' = -m*k*y; z' = x + y", parameters=["k", "m"])
    family = sl.lump_family(ode, "k", ["z"])
    assert [(s.value, s.dimension) for s in family.special] == [(1, 3)]
    assert family.special[0].lumping.combinations["m"] == {"m": 1}
    steps = sl.ODE.from_text("x+ = x/2; y+ = k*y; z+ = x + y", parameters=["k"])
    found = sl.lump_family(steps, "k", ["z"]).special
    assert Fraction(1, 2) in [s.value for s in found] and all(s.lumping.exact for s in found)


def test_floats_in_expressions_are_the_rationals_that_they_denote():
    """They are shown with 15 digits."""
    x, y = sympy.symbols("x y")
    ode = sl.ODE.from_text("x' = -x; y' = -y")
    values = [1 / 3, 1 / 3 + 2**-54]
    for expression in (x + sympy.Float(values[0]) * K * y, x + sympy.Float(values[0]) * y):
        (form,) = _read_forms(ode, "k", [expression]).values()
        assert [*form["y"].values()] == [Fraction(1 / 3)]
    family = sl.lump_family(ode, "k", [x + sympy.Float(v) * K * y for v in values])
    assert len(family.observables) == family.dimension == 2
    assert [(s.value, s.dimension) for s in family.special] == [(0, 1)]
    near = [{"x": 1, "y": v} for v in values]
    assert sl.lump_family(ode, "k", ["k*x", *near]).dimension == 2


def test_high_degrees_are_counted():
    ode = sl.ODE.from_text("x' = -x; y' = -2*y")
    family = sl.lump_family(ode, "k", ["x + (k^7 - 2)*y"])
    assert "fewer at 7 values of k" in str(family)
    assert "k a root of a polynomial of degree 7: 1 row" in str(family)


def test_what_cannot_be_asked():
    ode = sl.ODE.from_text("x' = -k*x; y' = x*y", parameters=["k"])
    for arguments, words in (
        (("x", ["y"]), "x is a variable of the system; declare it with parameters"),
        (("k", []), "needs at least one observable"),
        (("k", ["x*y"]), "'x\\*y' is not a linear form in the variables"),
        (("k", ["k"]), "'k' is not a linear form in the variables"),
        (("k", ["x + 1"]), "not a linear form"),
        (("k", ["k*x - x*k"]), "is zero, so there is nothing to keep"),
        (("m", ["x"]), "neither the system nor an observable depends on m"),
        (("k", ["sqrt(2)*x"]), "Q\\(√2\\)"),
    ):
        with pytest.raises(MethodError, match=words):
            sl.lump_family(ode, *arguments)
    with pytest.raises(VariableError, match="w"):
        sl.lump_family(ode, "k", ["w"])
    with pytest.raises(MethodError, match="takes polynomial systems; with quotients and functions"):
        sl.lump_family(sl.ODE.from_text("x' = x/(k + x)", parameters=["k"]), "k", ["x"])


@pytest.fixture
def file(tmp_path):
    ode = sl.ODE.from_text(
        "s' = -m*s; a' = s - k*a; b' = s - 2*b; y' = k*a + 2*b", parameters=["k", "m"]
    )
    path = tmp_path / "model.ode"
    values = {**dict.fromkeys(ode.variables, 1), "m": Fraction(3), "k": Fraction(5)}
    sl.write(Model("m", ode, values), path)
    return str(path)


def test_the_command(file, capsys):
    assert main(["family", file, "--parameter", "k", "--observable", "y"]) == 0
    out = capsys.readouterr().out
    assert "smallest linear lumpings that keep y: 4 rows, fewer at 3 values of k" in out
    assert "\nk = 2: 4 → 3 variables by the smallest linear lumping that keeps y, exact" in out
    for parameters, size in (("values", 4), ("symbolic", 5)):
        command = ["family", file, "--parameter", "k", "--observable", "k*y + s", "--json"]
        assert main([*command, "--parameters", parameters]) == 0
        report = json.loads(capsys.readouterr().out)
        assert report["dimension"] == size == len(report["combinations"])
        assert all(s["exact"] for s in report["special"] if s["value"] is not None)
        assert "0" in [special["value"] for special in report["special"]]


def test_mistakes_at_the_command(file, capsys):
    for arguments, words in (
        (["--parameter", "k"], "family needs at least one --observable"),
        (["--parameter", "y", "--observable", "y"], "y is a variable of the system"),
        (
            ["--parameter", "w", "--observable", "y"],
            "neither the system nor an observable depends on w",
        ),
    ):
        assert main(["family", file, *arguments]) == 2
        assert words in capsys.readouterr().err


def test_a_misspelled_parameter_is_called_unknown_before_others_lack_a_value(tmp_path, capsys):
    path = tmp_path / "two.txt"
    path.write_text("x' = -k*x + y\ny' = -l*y\n", encoding="utf-8")
    assert main(["family", str(path), "--parameter", "kk", "--observable", "x"]) == 2
    assert "'kk' is not a variable of this system; it has x, y, k, l" in capsys.readouterr().err
