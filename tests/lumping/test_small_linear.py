"""Parts of linear lumpings, each against its definition."""

import math
import pickle
import re
import tracemalloc
from copy import copy
from fractions import Fraction
from itertools import islice

import numpy as np
import pytest
import sympy
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import sparse
from sympy.polys.domains import GF
from sympy.polys.matrices import DomainMatrix

import symlump as sl
from symlump.errors import FailureError, MethodError, VariableError
from symlump.lumping.linear import approximate
from symlump.lumping.linear.irrational import field_of
from symlump.lumping.linear.rays import extreme_rays
from symlump.lumping.linear.spaces import small as small_systems
from symlump.lumping.linear.spaces import small_powers
from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.lumping.linear.spaces.merged import MergedTerms
from symlump.lumping.linear.spaces.sections import integer_section
from symlump.lumping.linear.spaces.small_terms import Terms

entries = st.one_of(st.just(0), st.integers(-3, 3), st.integers(-(10**30), 10**30))


@settings(max_examples=60)
@given(
    st.integers(1, 6).flatmap(
        lambda m: st.lists(st.lists(entries, min_size=6, max_size=6), min_size=m, max_size=m)
    )
)
def test_a_section_is_a_right_inverse_wherever_rows_are_independent(lines):
    rows = [{c: value for c, value in enumerate(line) if value} for line in lines]
    if sympy.Matrix(lines).rank() < len(lines):
        with pytest.raises(FailureError, match="linearly independent"):
            integer_section(rows)
        return
    forms, below = integer_section(rows)
    assert below > 0 and len(forms) == len(rows)
    for i, row in enumerate(rows):
        product = {}
        for c, value in row.items():
            for k, weight in forms.get(c, {}).items():
                product[k] = product.get(k, 0) + value * weight
        assert {k: v for k, v in product.items() if v} == {i: below}


def hidden(generator, size, rows, digits):
    """(I X)·A = B·(I X), with entries of X of so many digits: the lines of A, and (I X)."""
    wide = [
        [
            int(generator.integers(-9, 10)) * 10**digits + int(generator.integers(1, 9))
            for _ in range(size - rows)
        ]
        for _ in range(rows)
    ]
    inner = generator.integers(-3, 4, (rows, rows)).tolist()
    lower = generator.integers(-3, 4, (size - rows, size)).tolist()
    space = [[int(i == j) for j in range(rows)] + wide[i] for i in range(rows)]
    upper = [
        [
            sum(inner[i][k] * space[k][c] for k in range(rows))
            - sum(wide[i][k] * lower[k][c] for k in range(size - rows))
            for c in range(size)
        ]
        for i in range(rows)
    ]
    return upper + lower, space


def linear_system(matrix):
    names = sympy.symbols(f"x0:{len(matrix)}")
    equations = {
        name: sum(value * other for value, other in zip(line, names, strict=True))
        for name, line in zip(names, matrix, strict=True)
    }
    return sl.PolynomialODE.from_sympy(equations), [str(name) for name in names]


@settings(max_examples=25)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(1, 40),
    st.booleans(),
)
def test_what_the_kernel_takes_to_zero_is_invariant(seed, rows, others, digits, spoilt):
    generator = np.random.default_rng(seed)
    matrix, space = hidden(generator, rows + others, rows, digits)
    if spoilt:
        matrix[int(generator.integers(rows))][rows] += 1
    lines = [[(c, value) for c, value in enumerate(line) if value] for line in matrix]
    basis = [{c: value for c, value in enumerate(line) if value} for line in space]
    lead = int(generator.integers(1, 5))
    basis[-1] = {c: lead * value for c, value in basis[-1].items()}
    bits = 2 + sum(abs(v) for row in [*matrix, *space] for v in row).bit_length() * 4
    found = small_systems._is_invariant(lines, basis[:1], basis, lead, bits)
    assert found == (not spoilt)
    astray = dict(basis[0]) | {rows + others - 1: basis[0].get(rows + others - 1, 0) + 1}
    assert not small_systems._is_invariant(lines, [astray], basis, lead, bits)
    images = np.array(space, object) @ np.array(matrix, object)
    vectors = [{c: v for c, v in enumerate(image) if v} for image in images if image.any()]
    assert found == small_systems.spans(basis, vectors)


@pytest.mark.parametrize("digits", [2, 6, 9, 12, 20])
def test_entries_of_any_length_are_proved_by_their_residues(digits):
    """From short numbers, which a prime proves, over those that are multiplied out, to long ones."""
    matrix, space = hidden(np.random.default_rng(digits), 9, 4, digits)
    ode, names = linear_system(matrix)
    keep = [{n: Fraction(v) for n, v in zip(names, row, strict=True) if v} for row in space]
    lumping = sl.lump(ode, sl.Constrained(keep))
    assert len(lumping) == 4 and lumping.exact and lumping.smallest
    assert all(lumping.express(form) is not None for form in keep)


def test_both_proofs_are_used(monkeypatch):
    used = []
    inner = small_systems._is_invariant
    monkeypatch.setattr(small_systems, "_is_invariant", lambda *a: used.append(1) or inner(*a))
    for digits, times in ((0, 0), (5, 1)):
        matrix, space = hidden(np.random.default_rng(3), 9, 4, digits)
        terms = Terms.of(linear_system(matrix)[0])
        start = [{c: v for c, v in enumerate(space[0]) if v}]
        assert small_systems.close_small(terms, start, 9) is not None and len(used) == times


@settings(max_examples=60)
@given(
    st.integers(2, 7).flatmap(
        lambda n: st.tuples(
            st.lists(
                st.lists(st.sampled_from([0, 0, 0, 1, 1, -1, 2]), min_size=n, max_size=n),
                min_size=n,
                max_size=n,
            ),
            st.lists(st.sampled_from([0, 0, 1]), min_size=n, max_size=n).filter(any),
        )
    )
)
def test_small_linear_systems_are_merged_as_far_as_forward_equivalence_goes(system):
    """In the variables that the observable depends on, and no others; the rows are those of the definition."""
    matrix, observable = system
    ode, names = linear_system(matrix)
    krylov, reached = [observable], {c for c, value in enumerate(observable) if value}
    for _ in names:
        krylov.append(
            [
                sum(v * row[c] for v, row in zip(krylov[-1], matrix, strict=True))
                for c in range(len(names))
            ]
        )
        reached |= {c for i in reached for c, value in enumerate(matrix[i]) if value}
    kept = sorted(reached)
    part, _ = linear_system([[matrix[i][c] for c in kept] for i in kept])
    first = [[f"x{k}" for k, c in enumerate(kept) if observable[c] == value] for value in (0, 1)]
    forward = sl.lump(part, sl.Forward(), [block for block in first if block])
    start = {c: value for c, value in enumerate(observable) if value}
    merged = MergedTerms.of(Terms.of(ode), [start])
    expected = sorted(
        sorted(kept[int(n[1:])] for n in block) for block in forward.partition.named(part.variables)
    )
    assert merged.blocks == expected
    lumping = sl.lump(ode, sl.Constrained([{names[c]: value for c, value in start.items()}]))
    assert len(lumping) == sympy.Matrix(krylov).rank()
    assert lumping.exact and lumping.smallest


def test_sums_that_one_number_does_not_tell_apart_are_compared_one_by_one(monkeypatch):
    monkeypatch.setattr("symlump.lumping.linear.spaces.merged.hash", lambda _: 1, raising=False)
    ode, _ = linear_system([[0, 2, 1, 1], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    merged = MergedTerms.of(Terms.of(ode), [{0: 1}])
    assert merged.blocks == [[0], [1], [2, 3]]
    assert merged.expanded([{1: 2, 2: 3}]) == [{1: 2, 2: 3, 3: 3}]


def defect_by_definition(system, basis, start, cut):
    """From the coefficient matrices themselves, dense: the defect of what a vector reaches inside a space.

    All in coordinates of the basis, so that nothing that rounding adds leads out of the space.
    """
    matrices = [part.toarray() for part in jacobian_matrices(system)]
    reached = start[None, :] @ basis.T / np.linalg.norm(start)
    while True:
        inside = np.vstack([reached, *(reached @ basis @ m @ basis.T for m in matrices)])
        _, size, directions = np.linalg.svd(inside, full_matrices=False)
        larger = directions[size > cut]
        if len(larger) == len(reached):
            break
        reached = larger
    outside = np.eye(len(basis.T)) - basis.T @ basis
    return np.linalg.norm(np.vstack([reached @ basis @ m @ outside for m in matrices]), 2)


def jacobian_matrices(system):
    """J_k for all k, from the derivatives of each monomial."""
    size = len(system)
    found = {}
    for i, m, value in zip(
        system.rows.tolist(), system.columns.tolist(), system.coefficients, strict=True
    ):
        factors = system.monomials.factors(m)
        for place, (variable, power) in enumerate(factors):
            rest = [
                *factors[:place],
                *([(variable, power - 1)] if power > 1 else []),
                *factors[place + 1 :],
            ]
            matrix = found.setdefault(tuple(rest), np.zeros((size, size)))
            matrix[i, variable] += power * float(value)
    return [sparse.csr_array(matrix) for matrix in found.values()]


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(3, 7), st.integers(0, 4), st.booleans())
@example(65, 7, 2, False)
def test_the_defect_of_each_observable_is_that_of_what_it_reaches(seed, size, coupled, apart):
    """Two groups of variables with some terms between them; nothing leads from one to the other where apart."""
    generator = np.random.default_rng(seed)
    names = sympy.symbols(f"x0:{2 * size}")
    equations = {}
    for i, name in enumerate(names):
        own = [j for j in range(2 * size) if (j < size) == (i < size)]
        drawn = generator.choice(own, (3, 2))
        equations[name] = sum(
            int(generator.integers(1, 9)) * names[a] * (names[b] if square else 1)
            for square, (a, b) in enumerate(drawn.tolist())
        ) / sympy.Integer(4)
    for _ in range(0 if apart else coupled):
        a, b = generator.integers(0, size), generator.integers(size, 2 * size)
        equations[names[a]] += sympy.Rational(1, 1000) * names[b]
    ode = sl.PolynomialODE.from_sympy(equations)
    plan = sl.Constrained(["x0", f"x{size}"]).plan(ode)
    for point in plan.path.points():
        for (name, found), start in zip(
            point.observable_defects().items(), plan.path.start, strict=True
        ):
            # What is reached with a billionth, more or less, may count or not; mostly there is no such thing.
            ways = [defect_by_definition(ode, point.basis, start, c) for c in (1e-7, 1e-9, 1e-11)]
            least, most = (min(ways), max(ways)) if point.defect else (0.0, 0.0)
            assert least * (1 - 1e-6) - 1e-9 <= found <= most * (1 + 1e-6) + 1e-9, name
            assert found <= point.defect * (1 + 1e-9)


def test_defects_in_many_variables_take_no_matrix_of_all_of_them():
    """Ten groups in a ring, each the observable of its sum, and leaking a hundredth to the one before it."""
    size = 2000
    each = size // 10
    text = "; ".join(
        f"x{i}' = 1/{100 * (1 + i // each)}*x{(i + each) % size} - {1 + i // each}*x{i}"
        for i in range(size)
    )
    groups = [" + ".join(f"x{i}" for i in range(k * each, (k + 1) * each)) for k in (0, 5)]
    path = sl.Constrained(groups).plan(sl.ODE.from_text(text)).path
    points = list(path.points())
    assert [point.dimension for point in points] == list(range(2, 11))
    tracemalloc.start()
    try:
        found = list(points[0].observable_defects().values())
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == pytest.approx([1 / 100, 1 / 600])
    assert most < 8 * size**2 / 8


@pytest.mark.parametrize(
    ("number", "field"),
    [
        ("sqrt(2)", "in Q(√2), and"),
        ("2^(1/2)", "in Q(√2), and"),
        ("3^(1/3)", "in Q(3^(1/3)), and"),
        ("(sqrt(8) + 5^( 1/2))", "in Q(√2, √5), and"),
        ("exp(1)", "exp(1) is not rational"),
    ],
)
def test_observables_are_rational(number, field):
    """y' = sqrt(2)*y is what sqrt(2)*x + y obeys alone; over the rationals both variables are needed."""
    ode = sl.ODE.from_text("x' = y; y' = 2*x")
    with pytest.raises((MethodError, VariableError), match=re.escape(field)):
        sl.lump(ode, sl.Constrained(f"{number}*x + y"))
    value = sympy.sympify(number)
    said = field if "Q" in field else "not a linear form"
    with pytest.raises(MethodError, match=re.escape(said)):
        sl.lump(ode, sl.Constrained([value * sympy.Symbol("x")]))
    with pytest.raises(MethodError, match="not a rational number"):
        sl.lump(ode, sl.Constrained([{"x": value}]))
    assert sl.Constrained("sqrt(4)*x").forms(ode) == {"sqrt(4)*x": {"x": Fraction(2)}}


@pytest.mark.parametrize(
    ("number", "field"),
    [
        ("(1 + sqrt(2))**2", "Q(√2)"),  # a power of what has roots is no root
        ("1/(1 + sqrt(2))", "Q(√2)"),
        ("sqrt(1 + sqrt(2))", "Q(√(1 + sqrt(2)))"),
        ("(-1)**(1/3)", "Q((-1)^(1/3))"),
        ("2**(n/2)", None),  # algebraic for integers n, but which?
        ("sqrt(x)", None),
        ("1/2", None),
    ],
)
def test_the_field_of_a_number(number, field):
    value = sympy.sympify(number, rational=True, locals={"n": sympy.Symbol("n", integer=True)})
    assert field_of(value) == field
    if not value.is_rational:
        with pytest.raises(MethodError, match="not a rational number"):
            sl.lump(sl.ODE.from_text("x' = -x"), sl.Constrained({"x": value}))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 14), st.integers(1, 3))
def test_the_ways_to_close_a_small_linear_system_agree(seed, size, chains):
    """Row by row in whole numbers, and a block of powers at a time in arrays."""
    generator = np.random.default_rng(seed)
    matrix = generator.integers(-3, 4, (size, size)) * (generator.random((size, size)) < 0.3)
    start = generator.integers(0, 3, (chains, size))
    start[~start.any(axis=1), 0] = 1
    ode, _ = linear_system(matrix.tolist())
    rows = [{c: v for c, v in enumerate(line) if v} for line in start.tolist()]
    found = []
    for most in (48, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(small_systems, "_MANY", most)
            closure = small_systems.close_small(Terms.of(ode), rows, size)
        found.append(closure.rows)
        assert len(closure.kept) + len(closure.steps) == len(closure.rows)
        # The derivation, as the checker replays it.
        derived = [start[k].astype(object) for k in closure.kept]
        for parent, _ in closure.steps:
            derived.append(derived[parent] @ matrix.astype(object) % closure.prime)
        assert sympy.Matrix(derived).rank() == len(derived)
    assert all(rows == found[0] for rows in found)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_monomials_are_multiplied_out_as_by_hand(degree):
    generator = np.random.default_rng(degree)
    count = 7 if degree else 1
    factors = np.sort(generator.integers(0, 5, (count, degree)), axis=1)
    factors = factors[np.lexsort(factors.T[::-1])] if degree else factors
    values = generator.standard_normal((count, 3))
    inverse = generator.standard_normal((5, 3))
    found = approximate._multiplied_out(values, factors, inverse).reshape(3, *(3,) * degree)
    y = generator.standard_normal(3)
    for _ in range(degree):
        found = found @ y
    by_hand = sum(v * np.prod(inverse[f] @ y) for v, f in zip(values, factors, strict=True))
    assert np.allclose(found, by_hand)


def test_defects_are_found_when_they_are_read():
    ode = sl.ODE.from_text("x' = 3*y - x; y' = z/8 - y; z' = -z; w' = w*z/4")
    lumping = sl.lump(ode, sl.Constrained(["x", "w"], eps=0.2))
    assert "_found" not in vars(lumping.defects) and len(lumping.defects) == 2
    read = pickle.loads(pickle.dumps(lumping))
    assert type(read.defects) is dict and read.defects == lumping.defects
    assert list(lumping.defects) == ["x", "w"] and max(lumping.defects.values()) <= 0.2
    assert repr(lumping.defects) == repr(read.defects)


def test_a_quotient_is_a_system_like_any_other_once_it_is_read():
    ode = sl.ODE.from_text("x' = y/2 - z/3 + 1; y' = -y; z' = -z + x; w' = w*x")
    for keep in ("x", "w", "y"):  # listed, multiplied out, a part of the system
        lumping = sl.lump(ode, sl.Constrained(keep))
        copies = pickle.loads(pickle.dumps(lumping.quotient)), copy(lumping.quotient)
        assert all(other == lumping.quotient for other in copies)
        assert type(lumping.quotient) is sl.PolynomialODE and type(lumping.rows).__name__[0] == "_"
        assert pickle.loads(pickle.dumps(lumping.rows)).rows() == lumping.rows.rows()
        assert type(lumping.rows) is ExactMatrix and lumping.rows.shape[1] == 4
        with pytest.raises(AttributeError, match="no attribute 'term'"):
            getattr(sl.lump(ode, sl.Constrained(keep)).quotient, "term")  # noqa: B009


@pytest.mark.parametrize("digits", [6, 8, 16, 400])
def test_long_numbers_are_left_to_what_can_hold_them(digits):
    """Thirteen of 26 variables, in pairs that are alike but for an output of their own."""
    generator = np.random.default_rng(digits)
    size, long = 13, 10**digits + 7
    matrix = [[0] * (2 * size) for _ in range(2 * size)]
    for i in range(size):
        for j in generator.integers(0, size, 7).tolist():
            value = long + int(generator.integers(9))
            matrix[i][j], matrix[i][size + j] = value, 2 * value
            matrix[size + i][j], matrix[size + i][size + j] = 3 * value, 6 * value
    ode, names = linear_system(matrix)
    lumping = sl.lump(ode, sl.Constrained([{names[0]: 1, names[size]: 2}]))
    assert len(lumping) <= size and lumping.exact and lumping.smallest


def test_coefficients_that_a_prime_of_the_search_divides():
    """x0' = p·(x1 + 2·x2), where (x1 + 2·x2)' = 2·x0: modulo p alone one row would do."""
    few, large = small_systems.PRIMES_OF_FEW[0], next(small_systems.small_primes())
    for size, prime in [(49, large), (6, few), (15, few)]:
        lines = [[0] * size for _ in range(size)]
        lines[0][1:3] = prime, 2 * prime
        for j in range(3, size):
            lines[1][j], lines[2][j] = 2 * j, -j
        lines[2][0] = 1
        for i in range(3, size):
            lines[i] = [1 + (i * j + j * j) % 7 for j in range(size)]
        lumping = sl.lump(linear_system(lines)[0], sl.Constrained("x0"))
        assert len(lumping) == 2 and lumping.certificate().check().accepted, (size, prime)


@pytest.mark.parametrize(
    "text",
    [
        "x0' = x1; x1' = x0",
        "x0' = x1; x1' = x0 + x2^2; x2' = x0*x1",
        "x0' = x1/(1 + x2); x1' = x0/(2 + x2); x2' = -x2",
        "; ".join(f"x{i}' = x{(i + 1) % 50}" for i in range(50)),
    ],
)
def test_primes_of_the_search_may_divide_the_observables(text):
    """All variables are needed. Modulo the first primes an observable is 0, has no value, or is another."""
    first = [small_systems.PRIMES_OF_FEW[0], *small_systems.PRIMES[:4]]
    long = math.prod([*first, *islice(small_systems.small_primes(), 2)])
    ode = sl.ODE.from_text(text)
    for keep in ([f"{long}*x0"], [f"1/{long}*x0"], ["x0 + x1", f"x0 + {long + 1}*x1"]):
        lumping = sl.lump(ode, sl.Constrained(keep))
        assert len(lumping) == len(ode) and lumping.exact and lumping.smallest, keep


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("others", [1, 4])
def test_units_are_pivots_only_if_every_prime_leaves_them(others, linear):
    """x0' = p·x1: modulo p the derivation of x1 is zero, so p is no prime to claim it by."""
    prime = small_systems.PRIMES_OF_FEW[0] if linear else small_systems.PRIMES[0]
    text = f"x0' = {prime}*x1; x1' = 0; " + "; ".join(
        f"y{i}' = x0 + y{i} + x1" for i in range(others)
    )
    text += "" if linear else "; z' = z^2"
    lumping = sl.lump(sl.ODE.from_text(text), sl.Constrained("x0"))
    certificate = lumping.certificate()
    assert len(lumping) == 2 and lumping.smallest and certificate.check().accepted
    assert certificate.data["closure"]["prime"] != prime


def test_a_cone_may_have_no_rays():
    """Once nothing but 0 is left, further inequalities change nothing."""
    assert extreme_rays(2, [(-1, 0), (1, -1), (0, -1), (1, 1)]) == []


def test_the_primes_are_prime_and_leave_room_for_all_sums():
    most = small_powers.MOST_VARIABLES
    assert all(sympy.isprime(prime) for prime in small_powers.PRIMES)
    assert 2 * most * (max(small_powers.PRIMES) - 1) ** 2 < 2**64
    assert most >= small_systems._MANY


@pytest.mark.parametrize("prime", [2, 3, small_powers.PRIMES[0]])
def test_powers_of_a_matrix_have_the_rank_that_they_have(prime):
    """Full and sparse, to as many variables as there may be."""
    generator = np.random.default_rng(prime)
    for size in (1, 2, 7, 30, small_powers.MOST_VARIABLES):
        matrix = generator.integers(-prime, 2 * prime, (size, size))
        matrix[:, : size // 3] = 0
        start = generator.integers(0, prime, (2, size))
        lines = [[(c, int(v)) for c, v in enumerate(line) if v] for line in matrix]
        rows = [{c: int(v) for c, v in enumerate(line) if v} for line in start]
        powers = small_powers.SmallPowers.of(lines, rows, prime)
        vectors = [start.astype(object)]
        for _ in range(size):
            vectors.append(vectors[-1] @ matrix.astype(object) % prime)
        every = DomainMatrix(np.vstack(vectors).tolist(), (2 * size + 2, size), GF(prime))
        assert len(powers.pivots) == every.convert_to(GF(prime)).rank()
        assert len(powers.kept) + len(powers.parents) == len(powers.pivots)
        if not powers.pivots:
            continue
        for pivot, row in powers.reduced().items():
            assert row[pivot] == 1 and not row.keys() & set(powers.pivots) - {pivot}
            assert all(0 < value < prime for value in row.values())
