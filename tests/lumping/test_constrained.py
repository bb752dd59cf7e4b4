"""The smallest linear lumping that keeps observables: exact, then within a tolerance."""

import itertools
import pickle
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sympy import QQ, ZZ
from sympy.polys.matrices import DomainMatrix

import symlump as sl
from symlump.errors import CertificateError, FailureError, InputError, MethodError, VariableError
from symlump.lumping.linear import approximate, linear_lumping, smallest, walk
from symlump.lumping.linear.readable import readable
from symlump.lumping.linear.spaces import invariant, sections
from symlump.lumping.linear.spaces import small as small_systems
from symlump.lumping.linear.spaces.echelon import Echelon, eliminate
from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.lumping.linear.spaces.family import MatrixFamily
from symlump.lumping.linear.spaces.invariant import read_fractions, smallest_invariant
from symlump.lumping.linear.spaces.residues import apply, multiply
from symlump.lumping.linear.spaces.rowspace import RowSpace
from symlump.lumping.linear.walk import BlockWalk, FullWalk
from symlump.ode.exact import ExactArray
from symlump.proof import check as checker
from symlump.proof import closure as closure_module
from symlump.proof.closure import check_closure

X = sympy.symbols("x1:9")
x1, x2, x3, x4 = X[:4]
E5 = {x1: x2**2 + 4 * x2 * x3 + 4 * x3**2, x2: 4 * x3 - 2 * x1, x3: x1 + x2}


def ode_of(equations, parameters=()):
    return sl.PolynomialODE.from_sympy(equations, parameters)


def closure_by_definition(equations, observables):
    """One matrix per monomial of the Jacobian, dense, in sympy: the definition, read off."""
    symbols = list(equations)
    jacobian = sympy.Matrix([equations[s] for s in symbols]).jacobian(symbols)
    matrices = {}
    for i, j in itertools.product(range(len(symbols)), repeat=2):
        for monomial, value in sympy.Poly(jacobian[i, j], *symbols).terms():
            matrix = matrices.setdefault(monomial, sympy.zeros(len(symbols), len(symbols)))
            matrix[i, j] = value
    space = sympy.Matrix([[sympy.expand(o).coeff(s) for s in symbols] for o in observables])
    while True:
        larger = sympy.Matrix.vstack(space, *(space * m for m in matrices.values()))
        reduced, pivots = larger.rref()
        if len(pivots) == space.rref()[0].rank():
            return reduced[: len(pivots), :]
        space = reduced[: len(pivots), :]


def same_row_space(lumping, space):
    rows = sympy.Matrix(
        [
            [row.get(name, 0) for name in lumping.ode.variables]
            for row in lumping.combinations.values()
        ]
    )
    return rows.rref()[0] == space.rref()[0][: space.rank(), :]


def test_the_example_of_the_literature():
    lumping = sl.lump(ode_of(E5), sl.Constrained(["x1"]))
    assert lumping.combinations == {"x1": {"x1": 1}, "y1": {"x2": 1, "x3": 2}}
    assert str(lumping.quotient) == "x1' = y1^2\ny1' = 2*y1"
    assert lumping.exact and lumping.smallest and lumping.defect == 0
    assert lumping.verdict.accepted
    assert lumping.headline() == (
        "3 → 2 variables by the smallest linear lumping that keeps x1, exact, proof checked"
    )
    assert "x_{2} + 2\\,x_{3}" in lumping._repr_latex_()
    assert repr(lumping).startswith("<LinearLumping: 3 → 2")


def test_an_observable_may_be_given_in_many_ways():
    ode = ode_of(E5)
    for observable in (
        "x2 + 2*x3",
        "2*(x3 + x2/2)",
        {"x2": 1, x3: "2"},
        {"x2": Fraction(1, 2), "x3": 1.0},
        x2 + 2 * x3,
        0.5 * x2 + x3,
    ):
        for given_as in (observable, [observable]):
            lumping = sl.lump(ode, sl.Constrained(given_as))
            assert lumping.combinations == {"y1": {"x2": 1, "x3": 2}}
            assert lumping.exact and lumping.smallest
    assert len(sl.lump(ode, sl.Constrained(["x1", "x3"]))) == 3
    odd = sl.PolynomialODE.from_reactions([({"A(b,c!1)": 1}, {"B-2": 1}, 1)])
    assert sl.lump(odd, sl.Constrained("A(b,c!1)")).combinations == {"A(b,c!1)": {"A(b,c!1)": 1}}


@pytest.mark.parametrize(
    ("observables", "error", "says"),
    [
        ([], MethodError, "at least one observable"),
        ("nope", VariableError, "it has x1, x2, x3"),
        ("x1 + nope", VariableError, "nope"),
        ("x1 +", VariableError, "cannot be read"),
        ("x1*x2", MethodError, "not a linear form"),
        ("x1 + 1", MethodError, "not a linear form"),
        (x1**2, MethodError, "not a linear form"),
        (sympy.sin(x1), MethodError, "not a linear form"),
        (sympy.Symbol("w"), VariableError, "'w' is not a variable"),
        ("x1 - x1", MethodError, "zero"),
        ({"x1": 0}, MethodError, "zero"),
        ({"x1": "a"}, MethodError, "not a rational number"),
        ({"x1": float("nan")}, MethodError, "not a rational number"),
        (3, MethodError, "neither a name"),
        ("__import__('os').getcwd()", VariableError, "cannot be read"),
    ],
)
def test_what_cannot_be_an_observable(observables, error, says):
    with pytest.raises(error, match=says):
        sl.lump(ode_of(E5), sl.Constrained(observables))


def test_options_are_checked():
    for eps in (-1, float("nan"), "0.1"):
        with pytest.raises(MethodError, match="eps"):
            sl.Constrained("x1", eps=eps)
    with pytest.raises(MethodError, match="no initial partition"):
        sl.lump(ode_of(E5), sl.Constrained("x1"), [["x1"]])
    assert sl.Constrained("x1") == sl.Constrained(["x1"])


coefficients = st.integers(-3, 3).map(Fraction) | st.fractions(-2, 2, max_denominator=4)


@st.composite
def planted(draw):
    """A lumping of known size at most m, hidden by a change of coordinates; and a row to observe."""
    m, rest = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    n = m + rest
    z = sympy.symbols(f"z1:{n + 1}")

    def polynomial(variables):
        monomials = [1, *variables, *(a * b for a in variables for b in variables)]
        chosen = draw(st.lists(st.sampled_from(monomials), min_size=1, max_size=4))
        return sum(draw(coefficients) * monomial for monomial in chosen)

    right = [polynomial(z[:m]) for _ in range(m)] + [polynomial(z) for _ in range(rest)]
    entries = st.integers(-2, 2)
    change = sympy.Matrix(n, n, lambda i, j: draw(entries))
    if change.det() == 0:
        change = sympy.eye(n) + sympy.Matrix(n, n, lambda i, j: i > j and draw(entries) or 0)
    x = sympy.Matrix(X[:n])
    inside = dict(zip(z, change * x, strict=True))
    moved = change.inv() * sympy.Matrix([sympy.sympify(r).xreplace(inside) for r in right])
    equations = {s: sympy.expand(e) for s, e in zip(X[:n], moved, strict=True)}
    weights = [draw(st.integers(0, 2)) for _ in range(m)]
    weights[draw(st.integers(0, m - 1))] = 1
    observable = sympy.expand((sympy.Matrix([weights]) * change[:m, :] * x)[0])
    return equations, observable, m


@settings(max_examples=15)
@given(planted())
def test_a_planted_lumping_is_found_and_is_the_smallest(case):
    equations, observable, m = case
    lumping = sl.lump(ode_of(equations), sl.Constrained(observable))
    assert len(lumping) <= m
    assert lumping.exact and lumping.smallest
    assert same_row_space(lumping, closure_by_definition(equations, [observable]))
    keeps = {str(s): Fraction(str(v)) for s, v in observable.as_coefficients_dict().items()}
    assert lumping.express(keeps) is not None
    y = np.linspace(-1, 1, len(lumping))
    assert np.allclose(lumping.aggregate(lumping.lift(y)), y)
    # The commuting square at a point: the rows of q(x) are g at the rows of x.
    x = np.linspace(-1, 2, len(lumping.ode))
    moved = lumping.aggregate(lumping.ode.rhs(x))
    assert np.allclose(moved, lumping.quotient.rhs(lumping.aggregate(x)), rtol=1e-8, atol=1e-8)


@settings(max_examples=12)
@given(planted(), st.integers(0, 20))
def test_neither_seeds_nor_small_primes_change_the_result(case, seed):
    equations, observable, _ = case
    ode, method = ode_of(equations), sl.Constrained(observable)
    expected = sl.lump(ode, method)
    small = [p for p in range(3, 2000) if all(p % d for d in range(2, 45) if d < p)]
    for arrays in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(invariant, "primes", lambda: iter(small))
            patch.setattr(small_systems, "small_primes", lambda: iter(small))
            patch.setattr(small_systems, "_MODULI", (small[1:3], small[:4]))
            if arrays:
                patch.setattr(smallest, "MOST_TERMS", -1)
            found = sl.lump(ode, method, seed=seed)
        assert found.combinations == expected.combinations
        assert found.quotient == expected.quotient
        assert len(found.derivation.steps) == len(found) - len(found.derivation.start)
    assert sl.lump(ode, method, seed=seed).combinations == expected.combinations


def test_entries_that_need_many_primes():
    """A chain of generic matrices: its echelon form has fractions of dozens of digits."""
    generator = np.random.default_rng(1)
    matrix = generator.integers(-9, 10, (8, 8))
    matrix[:5, :5] *= 10**12  # five rows that close, hidden by an integer change of coordinates
    matrix[:5, 5:] = 0
    change = sympy.Matrix(np.eye(8, dtype=int) + np.tril(generator.integers(-4, 5, (8, 8)), -1))
    hidden = change.inv() * sympy.Matrix(matrix) * change
    equations = dict(zip(X, hidden * sympy.Matrix(X), strict=True))
    observable = (sympy.Matrix([[1, 0, 0, 0, 0, 0, 0, 0]]) * change * sympy.Matrix(X))[0]
    lumping = sl.lump(ode_of(equations), sl.Constrained([observable]))
    assert len(lumping) == 5 and lumping.exact and lumping.smallest
    assert same_row_space(lumping, closure_by_definition(equations, [observable]))
    bad = ode_of({x1: Fraction(1, 2**31 - 1) * x2, x2: x1})  # the first prime divides a denominator
    assert sl.lump(bad, sl.Constrained("x1")).exact


long_numbers = st.builds(Fraction, st.integers(-(10**200), 10**200), st.integers(10**199, 10**200))


@settings(max_examples=5)
@given(st.data())
def test_planted_spaces_with_entries_of_two_hundred_digits(data):
    """x = (x1, x2) + X·(x3, x4) closes: (I X)·A = B·(I X), with long numbers in X."""
    wide = [[data.draw(long_numbers) for _ in range(2)] for _ in range(2)]
    small = st.integers(-3, 3)
    inner, below = (
        [[data.draw(small) for _ in range(columns)] for _ in range(2)] for columns in (2, 4)
    )
    rows = [[1, 0, *wide[0]], [0, 1, *wide[1]]]
    above = [
        [
            sum(inner[i][k] * rows[k][c] for k in range(2))
            - sum(wide[i][k] * below[k][c] for k in range(2))
            for c in range(4)
        ]
        for i in range(2)
    ]
    names = ["a", "b", "c", "d"]
    ode = ode_of(
        {
            sympy.Symbol(name): sum(
                sympy.Rational(v.numerator, v.denominator) * sympy.Symbol(other)
                for v, other in zip(map(Fraction, line), names, strict=True)
            )
            for name, line in zip(names, above + below, strict=True)
        }
    )
    keep = [dict(zip(names, map(Fraction, row), strict=True)) for row in rows]
    lumping = sl.lump(ode, sl.Constrained(keep))
    assert len(lumping) == 2 and lumping.exact and lumping.smallest
    assert all(lumping.express(form) is not None for form in keep)
    one = sl.lump(ode, sl.Constrained([keep[0]]))
    assert len(one) == (2 if inner[0][1] else 1) and one.exact and one.smallest
    # Verifying by residues is verifying by multiplying out, whatever the answer.
    family = MatrixFamily.of_jacobian(ode)
    space = smallest_invariant(family, smallest.form_matrix([keep[0]], ode))
    moved = list(space.basis.values)
    moved[-1] += data.draw(st.integers(0, 1))
    basis = replace(space.basis, values=ExactArray.from_fractions(moved))
    closed = invariant.contains(basis, space.pivots, family.images(basis)[0])
    assert invariant.is_invariant(family, basis, space.pivots) == closed


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1), st.integers(1, 150), st.integers(1, 150))
def test_an_echelon_form_grows_as_its_rows_say(seed, height, width):
    """Against the elimination of one row after the other; unit vectors come in between."""
    generator = np.random.default_rng(seed)
    prime = int(generator.choice([7, 10007, 8388593]))
    rows = generator.integers(-(prime // 2), prime // 2 + 1, (height, width))
    rows[generator.random((height, width)) < generator.random()] = 0
    space, reference = Echelon(width, prime), RowSpace(width, prime)
    half = height // 2
    kept = space.extend(rows[:half].astype(np.float64))
    assert kept == reference.extend(sparse.csr_array(rows[:half])).tolist()
    space.settle()
    fresh = np.setdiff1d(generator.integers(0, width, 3), np.flatnonzero(space.unit))
    units = np.eye(width, dtype=np.int64)[fresh]
    before = len(space)
    if space.add_units(fresh):
        assert len(space) == before + fresh.size
        assert reference.extend(sparse.csr_array(units)).size == fresh.size
    else:
        assert reference.extend(sparse.csr_array(units)).size < fresh.size
        space.extend(units.astype(np.float64))
    kept = space.extend(rows[half:].astype(np.float64))
    assert kept == reference.extend(sparse.csr_array(rows[half:])).tolist()
    reference.sort()
    assert np.array_equal(space.matrix().toarray() % prime, reference.basis.toarray() % prime)
    kernel = space.kernel(2, generator).astype(np.int64)
    assert not (reference.basis @ kernel % prime).any()


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_a_block_is_eliminated_as_row_by_row(seed, confined):
    generator = np.random.default_rng(seed)
    height, width = int(generator.integers(1, 65)), int(generator.integers(1, 90))
    prime = int(generator.choice([7, 8388593]))
    inner = int(generator.integers(1, 65))  # of at most this rank
    left = generator.integers(0, prime, (height, inner)) % prime
    right = generator.integers(0, prime, (inner, width)) % prime
    right[generator.random((inner, width)) < generator.random()] = 0
    rows = (left.astype(object) @ right.astype(object) % prime).astype(np.int64)
    rows -= prime * (rows > prime // 2)
    allowed = generator.random(width) < 0.8 if confined else None
    block, reference = rows.astype(np.float64), RowSpace(width, prime)
    found = eliminate(block, prime, allowed)
    assert [i for i, _ in found] == reference.extend(sparse.csr_array(rows), allowed).tolist()
    assert [pivot for _, pivot in found] == reference.pivots.tolist()
    kept = block[[i for i, _ in found]].astype(np.int64)
    assert np.array_equal(kept % prime, reference.basis.toarray() % prime)
    others = np.delete(block, [i for i, _ in found], axis=0)
    assert not (others if allowed is None else others[:, allowed]).any()


@settings(max_examples=8)
@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.floats(0, 1))
def test_the_order_of_a_recurrence_is_the_number_of_rows(seed, size, share):
    from symlump.bench.linear.growth import planted_linear
    from symlump.lumping.linear.nearly import order_of_recurrence

    ode, observable = planted_linear(size + 1, 1 + int(share * (size - 1)), seed)
    row = smallest.form_matrix([{k: Fraction(v) for k, v in observable.items()}], ode)
    order, _ = order_of_recurrence(MatrixFamily.of_jacobian(ode), row, seed)
    assert order == len(sl.lump(ode, sl.Constrained(observable)))


def test_where_nearly_everything_is_needed_the_search_stops_and_says_so(monkeypatch):
    """A cycle with a twin of one variable: the forward equivalence is the smallest, and a bound tells."""

    names = sympy.symbols("x0:30")
    ring = {x: y - 2 * x for x, y in zip(names, names[1:] + names[:1], strict=True)}
    twin = sympy.Symbol("t")
    ring[names[0]] += twin
    ode = ode_of(ring | {twin: -2 * twin})
    expected = sl.lump(ode, sl.Constrained("x0"))
    monkeypatch.setattr(smallest, "LARGE", 10)
    monkeypatch.setattr(smallest, "SOME", 10)
    monkeypatch.setattr(smallest, "MOST_TERMS", -1)
    lumping = sl.lump(ode, sl.Constrained("x0"))
    assert len(lumping) == len(expected) == lumping.at_least == 30
    assert lumping.exact and not lumping.smallest
    assert "nearly all is needed: none has fewer than 30 rows" in lumping.headline()
    # Where fewer rows do, the search goes on.
    assert sl.lump(ode, sl.Constrained([sum(names) + twin])).at_least is None


def test_a_small_basis_that_is_too_long_to_multiply_out_is_not_taken(monkeypatch):
    """The sparsest nonnegative rows share every column; the echelon form does not."""
    ode, keep = ode_of({x: -x * X[4] for x in X[:4]} | {X[4]: 0}), ["x1 + x2", "x2 + x3", "x3 + x4"]
    lumping = sl.lump(ode, sl.Constrained(keep))
    assert min(min(row.values()) for row in lumping.combinations.values()) > 0
    monkeypatch.setattr(sections, "MOST_STEPS", 0)
    echelon = sl.lump(ode, sl.Constrained(keep))
    assert min(min(row.values()) for row in echelon.combinations.values()) < 0
    for found in (lumping, echelon):
        assert found.exact and found.smallest and len(found) == 4
        assert all(found.express(dict.fromkeys(form.split(" + "), 1)) for form in keep)


def test_numbers_are_read_from_their_residues():
    fractions = [Fraction(-7, 3), Fraction(0), Fraction(10**9, 7), Fraction(1, 10**8 + 7)]
    moduli = [2**31 - 1, 2147483629]
    rows = [[f.numerator * pow(f.denominator, -1, p) % p for p in moduli] for f in fractions]
    assert read_fractions(rows, moduli) == fractions
    assert read_fractions([[50_000 * pow(40_001, -1, moduli[0]) % moduli[0]]], moduli[:1]) != [
        Fraction(50_000, 40_001)
    ]


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from([7, 10007, 2**31 - 1]))
def test_products_of_residues_do_not_overflow(seed, prime):
    generator = np.random.default_rng(seed)
    a, b = (
        sl.lumping.linear.spaces.residues.centre(generator.integers(0, prime, (20, 20)), prime)
        for _ in range(2)
    )
    from scipy import sparse

    expected = np.mod(a.astype(object).dot(b.astype(object)), prime)
    assert np.array_equal(np.mod(apply(sparse.csr_array(a), b, prime), prime), expected)
    found = multiply(sparse.csr_array(a), sparse.csr_array(b), prime).toarray()
    assert np.array_equal(np.mod(found, prime), expected)


@settings(max_examples=20)
@given(st.data())
def test_exact_matrices_compute_as_sympy_does(data):
    def matrix(rows, columns):
        values = st.sampled_from([0, 0, 1, -2, Fraction(1, 3), Fraction(5, 7), 10**25])
        return [[data.draw(values) for _ in range(columns)] for _ in range(rows)]

    def exact(table, columns):
        return ExactMatrix.from_rows([dict(enumerate(row)) for row in table], columns)

    def back(m):
        table = sympy.zeros(*m.shape)
        for i, row in enumerate(m.rows()):
            for j, value in row.items():
                table[i, j] = sympy.Rational(value.numerator, value.denominator)
        return table

    a, b, c = matrix(3, 4), matrix(4, 2), matrix(3, 4)
    assert back(exact(a, 4) @ exact(b, 2)) == sympy.Matrix(a) * sympy.Matrix(b)
    assert back(exact(a, 4) - exact(c, 4)) == sympy.Matrix(a) - sympy.Matrix(c)
    assert back(exact(a, 4).transpose()) == sympy.Matrix(a).T
    index = np.array([2, 0])
    assert back(exact(a, 4).take_columns(index)) == sympy.Matrix(a)[:, [2, 0]]


def test_a_partition_is_a_linear_lumping():
    """Where variables may be added up, the rows found are at most the block sums."""
    from symlump.datasets.systems import multisite_phosphorylation

    ode = multisite_phosphorylation(3)
    blocks = sl.lump(ode, sl.Forward())
    rows = [dict.fromkeys(block, 1) for block in blocks.blocks]
    lumping = sl.lump(ode, sl.Constrained(rows))
    assert len(lumping) == len(blocks.partition) == 22
    assert lumping.exact and lumping.smallest
    # The same rows come out, as they are sparse and have no minus sign.
    found = {frozenset(row.items()) for row in lumping.combinations.values()}
    assert found == {frozenset(row.items()) for row in rows}
    assert len(sl.lump(ode, sl.Constrained(["E", "F"]))) == 6


@settings(max_examples=20)
@given(st.data())
def test_nonnegative_rows_are_found_where_they_exist(data):
    """Nonnegative rows, mixed by an invertible matrix, come back nonnegative and span the same space."""
    count, width = data.draw(st.integers(1, 4)), data.draw(st.integers(4, 7))
    rows = sympy.Matrix(count, width, lambda i, j: data.draw(st.sampled_from([0, 0, 1, 2])))
    reduced, pivots = rows.rref()
    if not pivots:
        return
    echelon = [
        {j: Fraction(int(v.p), int(v.q)) for j, v in enumerate(reduced.row(i)) if v}
        for i in range(len(pivots))
    ]
    found = readable(ExactMatrix.from_rows(echelon, width))
    values = list(found.values)
    assert all(value > 0 and value.denominator == 1 for value in values)
    table = sympy.zeros(len(pivots), width)
    for i, row in enumerate(found.rows()):
        for j, value in row.items():
            table[i, j] = int(value)
    assert table.rref()[0] == reduced[: len(pivots), :]


@pytest.mark.parametrize("top", [1, 3, 100])
@pytest.mark.parametrize(("most", "wider"), [(4, 1), (10, 1), (18, 5)])
def test_planted_nonnegative_rows_have_no_minus_sign(most, wider, top):
    """As many extreme rays of the cone as there are rows, whatever the numbers of the echelon form are."""
    generator = np.random.default_rng([most, top])
    largest = 0
    for _ in range(400 // most):
        count = int(generator.integers(most // 2, most + 1))
        width = int(generator.integers(count + wider, 3 * count + 1))
        planted = generator.integers(1, top + 1, (count, width))
        planted *= generator.random(planted.shape) < generator.uniform(0.2, 1)
        exact = DomainMatrix(planted.tolist(), planted.shape, ZZ).convert_to(QQ)
        reduced, pivots = exact.rref()
        table = reduced.to_list()[: len(pivots)]
        echelon = [
            {j: Fraction(int(v.numerator), int(v.denominator)) for j, v in enumerate(row) if v}
            for row in table
        ]
        rows = readable(ExactMatrix.from_rows(echelon, width)).rows()
        assert all(v > 0 and v.denominator == 1 for row in rows for v in row.values())
        found = [[QQ(int(row.get(j, 0))) for j in range(width)] for row in rows]
        back = DomainMatrix(found, (len(found), width), QQ).rref()[0]
        assert back.to_list() == table
        for row in rows:  # its zeros determine it
            zeros = [[line[j] for j in range(width) if j not in row] for line in table]
            size = width - len(row)
            assert DomainMatrix(zeros, (len(table), size), QQ).rank() == len(table) - 1
        largest = max([largest, *(v.denominator for row in echelon for v in row.values())])
    assert top < 100 or most < 10 or largest > 2**40


def test_rows_that_are_many_and_long_stay_as_they_are():
    """Long numbers have their signs turned where linear programs are quick, and only there."""
    generator = np.random.default_rng(0)

    def planted(count, width):
        table = generator.integers(1, 100, (count, width)).tolist()
        reduced, pivots = DomainMatrix(table, (count, width), ZZ).convert_to(QQ).rref()
        rows = [
            {j: Fraction(int(v.numerator), int(v.denominator)) for j, v in enumerate(row) if v}
            for row in reduced.to_list()
        ]
        return ExactMatrix.from_rows(rows, width)

    def negative(matrix):
        return any(value < 0 for value in matrix.values)

    for count, width, stays in [(16, 24, False), (30, 36, True), (16, 18, True), (12, 14, False)]:
        echelon = planted(count, width)
        assert negative(echelon)
        found = readable(echelon)
        assert negative(found) == stays
        assert not stays or len(found.values) <= len(echelon.values)


def test_rows_of_both_signs_stay_where_there_are_no_others():
    equations = {x1: x1 - x2, x2: 2 * x1 - 2 * x2}
    lumping = sl.lump(ode_of(equations), sl.Constrained("x1 - x2"))
    assert lumping.combinations == {"y1": {"x1": 1, "x2": -1}}
    assert str(lumping.quotient) == "y1' = -y1"


def test_names_do_not_collide():
    y1, y2, y3 = sympy.symbols("y1 y2 y3")
    ode = ode_of({y1: -y1 + y3, y2: -y2 - y3, y3: y3**2})
    lumping = sl.lump(ode, sl.Constrained("y1 + y2"))
    assert lumping.quotient.variables == ("Y1",)
    k, w = sympy.symbols("k w")
    symbolic = ode_of({x1: -k * x1 - w * x2, x2: w * x2 - k * x2}, [k, w])
    lumping = sl.lump(symbolic, sl.Constrained("x1 + x2"))
    assert lumping.quotient.parameters == ("k",)
    assert str(lumping.quotient).splitlines()[0] == "y1' = -y1*k"


def test_reducing_and_solving_commute():
    ode = ode_of({x1: x2 * x3 - x1, x2: x3 - 2 * x2 - x1 * x2, x3: x1 * x2 - x3, x4: x1 - x4})
    lumping = sl.lump(ode, sl.Constrained("x1 + x3"))
    assert len(lumping) == 3 and lumping.exact
    times = np.linspace(0, 2, 9)
    start = np.array([1.0, 0.5, 0.25, 2.0])
    large = sl.simulate(ode, start, times)
    small = sl.simulate(lumping.quotient, lumping.aggregate(start), times)
    assert np.allclose(lumping.aggregate(large.states), small.states, rtol=1e-7, atol=1e-9)


def test_a_state_must_fit():
    lumping = sl.lump(ode_of(E5), sl.Constrained("x1"))
    many = np.arange(6.0).reshape(2, 3)
    assert lumping.lift(many).shape == (3, 3)
    assert np.allclose(lumping.aggregate(lumping.lift(many)), many)
    again = pickle.loads(pickle.dumps(lumping))
    assert again.headline() == lumping.headline()
    with pytest.raises(InputError, match="a state of the system has 3 entries"):
        lumping.aggregate([1.0, 2.0])
    with pytest.raises(InputError, match="a state of the quotient has 2 entries"):
        lumping.lift(np.zeros((3, 2)))


# Proofs.


def test_the_certificate_travels(tmp_path):
    lumping = sl.lump(ode_of(E5), sl.Constrained(["x1", "2*x1"]))
    path = tmp_path / "c.json"
    lumping.certificate().write(path)
    again = sl.Certificate.read(path)
    assert again.check().accepted
    verdict = check_closure(again.data)
    assert verdict.accepted and verdict.coarsest
    assert verdict.reason == "no linear lumping with fewer than 2 rows keeps the observables"
    assert again.data["closure"]["start"] == [0]  # the second observable adds nothing
    nameless = again.without_system()
    assert check_closure(nameless.data).answer == "inconclusive"
    assert check_closure(nameless.data, again.data["system"]).accepted
    other = again.data["system"] | {"x1": []}
    assert check_closure(nameless.data, other).answer == "rejected"
    assert "Print Assumptions" in again.to_coq()


def test_a_changed_derivation_is_not_accepted(monkeypatch):
    claim = sl.lump(ode_of(E5), sl.Constrained("x1")).claim()
    closure = claim["closure"]

    def verdict(**changes):
        return check_closure(claim | {"closure": closure | changes})

    assert verdict().accepted
    assert verdict(steps=[]).answer == "inconclusive"  # too few vectors
    assert verdict(steps=[[0, [["x1", 1]]]]).answer == "inconclusive"  # that coefficient is zero
    assert verdict(steps=[[5, []]]).answer == "rejected"
    assert verdict(observables=[[[["1", [["x3", 1]]]], [["1", [["x1", 1]]]]]]).answer == "rejected"
    with pytest.raises(checker.Unreadable):
        verdict(prime=2**31 - 3)
    with pytest.raises(checker.Unreadable):  # 10^999999999 is not even begun
        verdict(observables=[[[["1e999999999", [["x1", 1]]]], [["1", [["x1", 1]]]]]])
    monkeypatch.setattr(closure_module, "MAX_STEPS", 1)
    assert verdict().reason == "replaying the derivation takes too long"
    monkeypatch.undo()
    # A larger lumping is a lumping, but the derivation does not show that it is the smallest.
    whole = sl.lump(ode_of(E5), sl.Constrained(["x1", "x2"])).claim()
    assert len(whole["matrix"]) == 3 and checker.check(whole).accepted
    express = whole["closure"]["observables"][0]
    larger = whole | {"closure": closure | {"observables": [express]}}
    assert check_closure(larger).answer == "inconclusive"


def test_nothing_is_called_exact_that_the_checker_did_not_accept(monkeypatch):
    def fresh():
        return sl.lump(ode_of(E5), sl.Constrained("x1"))

    wrong = replace(fresh(), quotient=ode_of({x1: x2**2, x2: 3 * x2}))
    with pytest.raises(CertificateError, match="the checker refused this lumping: row"):
        str(wrong)
    monkeypatch.setattr(closure_module, "MAX_STEPS", 1)
    assert fresh().headline() == (
        "3 → 2 variables by linear lumping that keeps x1 (not checked to be the smallest: replaying the "
        "derivation takes too long), exact, proof checked"
    )
    monkeypatch.undo()
    monkeypatch.setattr(checker, "MAX_STEPS", 1)
    monkeypatch.setattr(checker, "STEPS_PER_ITEM", 0)
    headline = fresh().headline()
    assert "exact" not in headline and "smallest" not in headline
    assert "proof not checked (adding up rows takes too long)" in headline
    monkeypatch.undo()
    monkeypatch.setattr(linear_lumping, "CHECKED_TERMS", 1)
    assert fresh().headline().endswith("defect 0, proof not checked (large; call .check())")
    assert fresh().check().accepted


@pytest.mark.parametrize("arrays", [False, True])
def test_a_basis_that_is_too_long_to_multiply_out_is_not_taken(monkeypatch, arrays):
    if arrays:
        monkeypatch.setattr(smallest, "MOST_TERMS", -1)
    rows = {x1: x1 * (x1 + x2), x2: x2 * x3 + x1 * x3, x3: x3 * (x2 + x3), x4: x4}
    observables = ["x1 + x2", "x2 + x3", "x1 + x3"]
    plain = sl.lump(ode_of(rows), sl.Constrained(observables))
    monkeypatch.setattr(sections, "MOST_STEPS", 0)
    echelon = sl.lump(ode_of(rows), sl.Constrained(observables))
    assert plain.exact and echelon.exact and len(plain) == len(echelon)


# Within a tolerance.


def dense_defect(equations, basis):
    """The largest singular value by definition, with one dense matrix per monomial."""
    symbols = list(equations)
    jacobian = sympy.Matrix([equations[s] for s in symbols]).jacobian(symbols)
    matrices = {}
    for i, j in itertools.product(range(len(symbols)), repeat=2):
        for monomial, value in sympy.Poly(jacobian[i, j], *symbols).terms():
            matrices.setdefault(monomial, np.zeros((len(symbols),) * 2))[i, j] = float(value)
    frame = np.linalg.qr(basis.T)[0].T
    outside = np.eye(len(symbols)) - frame.T @ frame
    stacked = np.hstack([frame @ matrix @ outside for matrix in matrices.values()])
    # Rows b·J_k·(I − P), over all b and k: a unit vector on the right, all k and b on the left.
    stacked = np.vstack(np.split(stacked, len(matrices), axis=1))
    return np.linalg.norm(stacked, 2)


NOISY = {
    x1: -x1 + 2 * x2 + sympy.Rational(21, 10) * x3 + x2 * x4,
    x2: -3 * x2 + x1**2 / 50,
    x3: -3 * x3 + x4 / 100,
    x4: x1 - x4,
}


def test_the_table_of_tolerances():
    ode = ode_of(NOISY)
    steps = sl.Constrained("x1").plan(ode).steps()
    assert [s.dimension for s in steps] == sorted(s.dimension for s in steps)
    assert [s.eps for s in steps] == sorted((s.eps for s in steps), reverse=True)
    assert steps[0].dimension == 1
    exact = sl.lump(ode, sl.Constrained("x1"))
    assert (steps[-1].eps, steps[-1].dimension) == (0.0, len(exact))
    for step in steps[:-1]:
        lumping = sl.lump(ode, sl.Constrained("x1", eps=step.eps))
        assert len(lumping) == step.dimension
        assert lumping.defect == pytest.approx(step.defect)
        assert lumping.defect == pytest.approx(dense_defect(NOISY, lumping.matrix.toarray()))
        assert lumping.defects == {"x1": pytest.approx(step.defect)}
        assert not lumping.exact and "exact" not in lumping.headline()
        assert lumping.headline().startswith(f"4 → {step.dimension} variables by ε-linear lumping")
        with pytest.raises(MethodError, match="tolerance"):
            lumping.certificate()
        # The quotient is g(y) = L·q(L⁺·y), and lift is L⁺.
        y = np.linspace(-1, 1, len(lumping))
        assert np.allclose(
            lumping.quotient.rhs(y), lumping.aggregate(ode.rhs(lumping.lift(y))), atol=1e-9
        )
        assert lumping.express({"x1": 1}) == {"x1": 1}


@settings(max_examples=15)
@given(planted(), st.floats(1e-9, 1), st.floats(0, 1))
def test_a_larger_tolerance_never_gives_more_rows(case, small, more):
    equations, observable, _ = case
    ode = ode_of(equations)
    fine, coarse = (
        sl.lump(ode, sl.Constrained(observable, eps=eps)) for eps in (small, small + more)
    )
    exact = sl.lump(ode, sl.Constrained(observable))
    assert 1 <= len(coarse) <= len(fine) <= len(exact)
    assert fine.defect <= small and coarse.defect <= small + more


def test_a_turn_of_linear_coordinates_changes_nothing():
    """The defect is a matter of the space: an orthogonal matrix leaves the table as it is."""
    generator = np.random.default_rng(3)
    matrix = sympy.Matrix(generator.integers(-5, 6, (5, 5)))
    turn = sympy.eye(5)
    for i, j in ((0, 1), (1, 3), (2, 4), (0, 4)):
        plane = sympy.eye(5)
        plane[i, i] = plane[j, j] = sympy.Rational(3, 5)
        plane[i, j], plane[j, i] = sympy.Rational(4, 5), -sympy.Rational(4, 5)
        turn = turn * plane
    x = sympy.Matrix(X[:5])
    plain = ode_of(dict(zip(x, matrix * x, strict=True)))
    turned = ode_of(dict(zip(x, turn.T * matrix * turn * x, strict=True)))
    one = sl.Constrained(x1).plan(plain).steps()
    two = sl.Constrained((turn * x)[0]).plan(turned).steps()
    assert [s.dimension for s in one] == [s.dimension for s in two]
    assert [s.eps for s in one] == pytest.approx([s.eps for s in two])


def test_each_observable_has_its_own_defect():
    ode = ode_of({x1: 3 * x2 - x1, x2: x3 / 8 - x2, x3: -x3, x4: x4})
    steps = sl.Constrained(["x1", "x4"]).plan(ode).steps()
    assert [(s.eps, s.dimension, s.defects) for s in steps] == [
        (3.0, 2, {"x1": 3.0, "x4": 0.0}),
        (0.125, 3, {"x1": 0.125, "x4": 0.0}),
        (0.0, 4, {"x1": 0.0, "x4": 0.0}),
    ]
    lumping = sl.lump(ode, sl.Constrained(["x1", "x4"], eps=0.2))
    assert str(lumping).splitlines()[1:] == ["x1' = -x1 + 3*x2", "x4' = x4", "x2' = -x2"]


def test_a_quotient_that_is_too_long_stays_in_factors(monkeypatch):
    """It says what it cannot do, and does the rest as the system with terms does."""
    method = sl.Constrained("x1", eps=0.2)
    written = sl.lump(ode_of(NOISY), method)
    monkeypatch.setattr(approximate, "_MOST_TERMS", 3)
    lumping = sl.lump(ode_of(NOISY), method)
    state = np.linspace(-1, 1, len(lumping))
    assert np.allclose(lumping.quotient.rhs(state), written.quotient.rhs(state))
    jacobians = [found.quotient.jacobian(state).toarray() for found in (lumping, written)]
    assert np.allclose(*jacobians)
    runs = [sl.simulate(found.quotient, state, [0, 1, 2]).states for found in (lumping, written)]
    assert np.allclose(*runs, rtol=1e-7)
    assert "as factors of" in str(lumping)
    with pytest.raises(sl.errors.FailureError, match="not written out in terms"):
        lumping.quotient.to_sympy()
    with pytest.raises(VariableError, match="entries"):
        lumping.quotient.rhs([1.0] * 9)


@settings(max_examples=6)
@given(st.integers(0, 2**32 - 1), st.integers(3, 40), st.booleans())
def test_large_systems_are_walked_as_small_ones_are(seed, size, quadratic):
    """Both walks agree on each defect of a space, and end in the same exact lumping."""
    generator = np.random.default_rng(seed)
    names = [f"x{i}" for i in range(size)]
    reactions = []
    for _ in range(3 * size):
        a, b, c = (names[i] for i in generator.integers(0, size, 3))
        left = {a: 1, b: 1} if quadratic and a != b else {a: 1}
        reactions.append((left, {c: 1}, round(float(generator.random()), 3)))
    ode = sl.PolynomialODE.from_reactions(reactions, names)
    forms = sl.Constrained(names[:2]).forms(ode)
    path = approximate.Path(smallest.Search(ode, forms))
    exact = path.walk.exact
    large = BlockWalk(path.walk.family, path.start, exact)
    before, done = 0, 0.0
    while (step := large.advance()) is not None:
        dimension, defect = step
        basis = large.basis(dimension) if defect else large.whole
        assert np.allclose(basis @ basis.T, np.eye(dimension), atol=1e-9)
        assert before < dimension <= len(exact.pivots) or (
            not defect and dimension == len(exact.pivots)
        )
        images = np.vstack([large.images(v).toarray() for v in basis])
        outside = images - images @ basis.T @ basis
        assert np.linalg.norm(outside, 2) == pytest.approx(defect, rel=1e-5, abs=1e-6 * large.scale)
        before, done = dimension, defect
    assert before == len(exact.pivots) and done == 0


@settings(max_examples=8)
@given(st.integers(0, 2**32 - 1), st.integers(2, 60))
def test_a_walk_in_blocks_is_the_walk_in_full_where_one_direction_sticks_out(seed, size):
    """From one observable of a linear system each space reaches one further direction."""
    generator = np.random.default_rng(seed)
    names = [f"x{i}" for i in range(size)]
    sources = [names[i] for i in generator.permutation(size)]
    reactions = [
        ({a: 1}, {b: 1}, round(1 + float(generator.random()), 3))
        for a, b in zip(sources, [*sources[1:], sources[0]], strict=True)
    ]
    ode = sl.PolynomialODE.from_reactions(reactions, names)
    path = approximate.Path(smallest.Search(ode, sl.Constrained(names[:1]).forms(ode)))
    given_to = path.walk.family, path.start, path.walk.exact
    large, full = BlockWalk(*given_to), FullWalk(*given_to)
    while (step := full.advance()) is not None:
        dimension, defect = large.advance()
        assert dimension == step[0] and defect == pytest.approx(step[1], rel=1e-8)
        assert len(large._images) <= 1
        if defect:
            one, two = large.basis(dimension), full.basis(dimension)
            assert np.linalg.norm(one - one @ two.T @ two, 2) < 1e-8
    assert large.advance() is None and dimension == size and not defect


def test_a_space_whose_defect_rounds_to_zero_is_not_the_exact_one():
    """Of floats, which are dyadic rationals: they are not the decimals for which fewer rows will do."""
    ode = sl.ODE.from_text(
        "x0' = 2*k - x0 - x2 + 2439*x3/1000 + 93931*x4/1000000; x2' = -439*x3/1000; x3' = 0; "
        "x4' = 189*x4/1000",
        parameters=["k"],
    )
    for weight, exact in ((Fraction(-79, 1000), 2), (-0.079, 3)):
        plan = sl.Constrained([{"x0": 1, "x2": 1, "x3": -2, "x4": weight}]).plan(ode)
        steps = {step.dimension: step.eps for step in plan.steps()}
        assert plan.size(0.0) == len(plan.at(0.0)) == exact == max(steps) and steps[exact] == 0
        assert plan.size(0.1) == len(plan.at(0.1)) == 2 and steps[2] < 1e-12
        assert plan.size(0.9) == len(plan.at(0.9)) == 1


@pytest.mark.parametrize(("place", "small"), [(0, "1e-13"), (5, "1e-13"), (10, "1e-9")])
def test_a_large_space_that_hardly_sticks_out_is_on_the_path(monkeypatch, place, small):
    """In blocks it is not told how much less than 10⁻⁷ of the largest coefficient its defect is."""
    steps = "; ".join(f"x{i}' = {small if i == place else 2}*x{i + 1}" for i in range(11))
    ode = sl.ODE.from_text(steps + "; x11' = 0")
    monkeypatch.setattr(walk, "LARGE", 3)
    plan = sl.Constrained("x0").plan(ode)
    found = [(step.dimension, step.eps) for step in plan.steps()]
    assert found == [(1, 2.0), (place + 1, pytest.approx(2e-7)), (12, 0.0)][place == 0 :]
    lumping = sl.lump(ode, sl.Constrained("x0", eps=0.5))
    assert len(lumping) == plan.size(0.5) == place + 1
    basis = np.linalg.qr(lumping.matrix.toarray().T)[0].T
    slopes = np.diag([float(small) if i == place else 2.0 for i in range(11)], 1)
    outside = basis @ slopes @ (np.eye(12) - basis.T @ basis)
    assert np.linalg.norm(outside, 2) == pytest.approx(float(small))
    assert len(sl.lump(ode, sl.Constrained("x0", eps=1e-10))) == 12


def test_rows_that_have_no_room_are_refused(monkeypatch):
    """Within a tolerance rows are dense; where they are too long, one is told how many there may be."""
    ode = sl.ODE.from_text("; ".join(f"x{i}' = x{(i + 1) % 12} - {i + 2}*x{i}" for i in range(12)))
    monkeypatch.setattr(walk, "LARGE", 3)
    assert len(sl.lump(ode, sl.Constrained("x0", eps=0.5))) == 12
    monkeypatch.setattr(walk, "_MOST_NUMBERS", 60)
    with pytest.raises(FailureError, match="more than 5 rows for this tolerance, of 12 variables"):
        sl.lump(ode, sl.Constrained("x0", eps=0.5))
    assert len(sl.lump(ode, sl.Constrained("x0", eps=2))) == 1


@settings(max_examples=6)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from([1.0, 1e-4, 1e-9]))
def test_walks_of_dozens_of_rows_find_every_defect_however_small(seed, quadratic, small):
    """Squares are taken while they tell, of one of several equal images; the definition takes none."""
    generator, size = np.random.default_rng(seed), 60
    names = [f"x{i}" for i in range(size)]
    twins = {
        f"t{i}": f"x{i}" for i in range(size)
    }  # species whose sum with x_i is what the rest depends on
    reactions = []
    for k in range(2 * size):
        a, b, c = (names[i] for i in generator.integers(0, size, 3))
        rate = round(float(generator.random()), 3) * (small if k > size else 1.0)
        for source in (a, "t" + a[1:]):
            left = {source: 1, b: 1} if quadratic and b not in (a, source) else {source: 1}
            reactions.append((left, {**({b: 1} if len(left) == 2 else {}), c: 1}, rate))
    ode = sl.PolynomialODE.from_reactions(reactions, [*names, *twins])
    keep = [{names[0]: 1, "t0": 1}]
    family, start = MatrixFamily.of_jacobian(ode), smallest.form_matrix(keep, ode)
    exact = smallest_invariant(family, start)
    walk = FullWalk(family, start.to_float().toarray(), exact)
    while (step := walk.advance()) is not None:
        dimension, defect = step
        basis = walk.basis(dimension)
        images = np.vstack([walk.images(v).toarray() for v in basis])
        outside = np.linalg.norm(images - images @ basis.T @ basis, 2)
        assert outside == pytest.approx(defect, rel=1e-7, abs=1e-13 * walk.scale)
    assert dimension == len(exact.pivots) and not defect


def test_the_family_has_one_matrix_for_each_monomial_of_the_jacobian():
    family = MatrixFamily.of_jacobian(ode_of(E5))
    rows, parents, generators = family.images(ExactMatrix.from_rows([{0: 1}, {1: 1}], 3))
    assert len(rows.rows()) == 3 and parents.tolist() == [0, 0, 1]
    assert len(set(generators.tolist())) == 3
    space = smallest_invariant(family, ExactMatrix.from_rows([{0: 1}], 3))
    assert space.pivots.tolist() == [0, 1]
    assert family.transpose().transpose().unfolded.rows() == family.unfolded.rows()


def test_observables_that_are_shown_alike_are_all_kept():
    """What is cut from a headline is a sixth digit, or what comes after six terms."""
    eight = {f"x{i}": 1 for i in range(1, 9)}
    ode = sl.ODE.from_text("; ".join(f"{name}' = -{name}" for name in eight))
    long, other = ({n: 1 for n in eight if n != left} for left in ("x7", "x8"))
    near = [{"x1": 1, "x2": Fraction(n, 10**9)} for n in (333333333, 333333334)]
    for observables in ([long, other], near):
        lumping = sl.lump(ode, sl.Constrained(observables))
        assert len(lumping) == 2 and lumping.exact and lumping.smallest
        assert all(lumping.express(observable) is not None for observable in observables)
    assert "keeps x1 + 0.333333…*x2, x1 + 166666667/500000000*x2, exact" in lumping.headline()
