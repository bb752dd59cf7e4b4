"""Linear lumpings are sought in sums over blocks: the same space, found by the same steps, as without them."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import symlump as sl
from symlump.bench.linear.growth import planted_linear
from symlump.datasets.chains import planted_chain
from symlump.lumping.linear import approximate, smallest
from symlump.lumping.linear.block_sums import _square_of_power
from symlump.lumping.linear.nearly import order_of_recurrence
from symlump.lumping.linear.spaces.echelon import primes
from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.lumping.linear.spaces.family import MatrixFamily
from symlump.lumping.linear.spaces.invariant import smallest_invariant
from symlump.proof.closure import check_closure


@st.composite
def systems(draw, degree=3):
    """A system of small rationals with a planted forward equivalence, shuffled; and observables."""
    seed, blocks = draw(st.integers(0, 2**32 - 1)), draw(st.integers(1, 5))
    generator = np.random.default_rng(seed)
    sizes = generator.integers(1, 4, blocks)
    labels = generator.permutation(np.repeat(np.arange(blocks), sizes))
    members = [np.flatnonzero(labels == b) for b in range(blocks)]
    names = [f"x{i}" for i in range(labels.size)]
    linear = draw(st.booleans())
    equations = {name: [] for name in names}

    def number():
        return Fraction(int(generator.integers(1, 6)), int(generator.integers(1, 4)))

    def total(b):
        return "(" + "+".join(names[i] for i in members[b]) + ")"

    for b in range(blocks):
        for _ in range(generator.integers(0, 4)):
            # The sum over block b gets the term in sums; who in b gets it is drawn for each part of it.
            power = 1 if linear else int(generator.integers(0, degree + 1))
            factors = [total(int(c)) for c in generator.integers(0, blocks, power)]
            weight = number() * int(generator.choice([-1, 1]))
            share = [number() for _ in members[b]]
            for i, part in zip(members[b], share, strict=True):
                term = "*".join([f"({weight * part / sum(share)})", *factors])
                equations[names[i]].append(term)
    # What stays inside a block: given to one member and taken from another.
    for _ in range(draw(st.integers(0, 3))):
        inside = members[int(generator.integers(blocks))]
        i, j = generator.choice(inside, 2)
        power = 1 if linear else int(generator.integers(1, degree + 1))
        term = "*".join(names[k] for k in generator.integers(0, len(names), power))
        equations[names[i]].append(f"({number()})*{term}")
        equations[names[j]].append(f"-({number()})*{term}" if draw(st.booleans()) else "0")
    text = "; ".join(f"{n}' = {' + '.join(e) or '0'}" for n, e in equations.items())
    ode = sl.ODE.from_text(text)
    observables = []
    for _ in range(draw(st.integers(1, 3))):
        if draw(st.booleans()):  # a combination of sums
            chosen = generator.integers(0, blocks, 2)
            worth = [number() for _ in members]
            observables.append({names[i]: worth[b] for b in chosen for i in members[b]})
        else:
            observables.append({names[i]: number() for i in generator.integers(0, len(names), 2)})
    return ode, observables


@settings(max_examples=150)
@given(systems())
def test_the_space_in_sums_is_the_one_in_variables(case):
    ode, observables = case
    search = smallest.Search(ode, sl.Constrained(observables).forms(ode))
    start = smallest.form_matrix(search.forms.values(), ode)
    family = MatrixFamily.of_jacobian(ode)
    expected = smallest_invariant(family, start)
    found, sums = search.space, search.sums
    assert np.array_equal(sums.partition.representatives[found.pivots], expected.pivots)
    assert sums.spread(found.basis).rows() == expected.basis.rows()
    # The blocks are a forward equivalence, and the observables are sums of multiples of theirs.
    assert sl.Forward().agrees(ode, sums.partition)
    assert sums.spread(search.start).rows() == start.rows()
    # The same steps derive independent rows in the variables.
    lumping = smallest.lumping_in_sums(
        sums,
        search.space.basis,
        "",
        None,
        smallest.derivation(sums.system, search.forms, search.space),
    )
    assert lumping.exact and lumping.smallest
    direct = smallest.exact_lumping(ode, expected.basis, "")
    assert lumping.quotient.parameters == direct.quotient.parameters
    assert lumping.quotient.variables == direct.quotient.variables
    assert smallest_invariant(family, lumping.rows).basis.rows() == expected.basis.rows()


@settings(max_examples=4)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_the_sum_of_a_block_of_a_chain_gives_its_blocks(seed, recurrence):
    """Rows from a recurrence, or by elimination: the blocks, with a derivation that the checker replays."""
    ode, planted, labels = planted_chain(600, 60, seed)
    keep = {ode.variables[i]: 1 for i in np.flatnonzero(labels)}
    expected = sl.lump(ode, sl.Forward(), sl.Partition(labels))
    assert expected.partition == sl.Partition(planted)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(smallest, "SOME", 2 if recurrence else 10**9)
        lumping = sl.lump(ode, sl.Constrained([keep]))
    assert len(lumping) == 60 and lumping.exact and lumping.smallest
    assert len(lumping.derivation.steps) == 59
    assert lumping.quotient.variables == expected.quotient.variables
    assert str(lumping.quotient) == str(expected.quotient)
    parts = [set(row) for row in lumping.combinations.values()]
    assert parts == [{ode.variables[i] for i in block} for block in expected.partition.blocks]
    # A changed step is not accepted.
    claim = lumping.claim()
    claim["closure"]["steps"][-1][0] = 0
    assert not check_closure(claim).accepted


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(2, 5))
def test_a_coarser_lumping_than_the_sums_is_found_in_them(seed, copies):
    """Variables of a planted linear system, each split among some: its lumping is one of their sums."""
    small, observable = planted_linear(24, 6, seed)
    generator = np.random.default_rng(seed)
    parts = {name: [f"{name}_{k}" for k in range(copies)] for name in small.variables}
    equations = {part: [] for own in parts.values() for part in own}
    for name, own in parts.items():
        for factors, value in small.equation(small.index[name]).items():
            ((v, _),) = factors
            whole = " + ".join(parts[small.variables[v]])
            equations[own[generator.integers(copies)]].append(f"({value})*({whole})")
    text = "; ".join(f"{name}' = {' + '.join(e) or '0'}" for name, e in equations.items())
    ode = sl.ODE.from_text(text)
    keep = {part: value for name, value in observable.items() for part in parts[name]}
    search = smallest.Search(ode, sl.Constrained(keep).forms(ode))
    rows = len(sl.lump(small, sl.Constrained(observable)))
    assert len(search.space.pivots) == rows <= 6 < len(search.sums) <= 24
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(smallest, "MOST_TERMS", -1)
        lumping = sl.lump(ode, sl.Constrained(keep))
    assert len(lumping) == rows and lumping.exact and lumping.smallest


def test_the_prime_divides_no_denominator_of_the_variables():
    """In the sum a + b the fractions cancel; the checker replays the derivation in a and b."""
    prime = next(primes())
    ode = sl.ODE.from_text(f"x' = a + b; a' = c/{prime} + x; b' = c - c/{prime}; c' = 2*c + x")
    search = smallest.Search(ode, sl.Constrained("x").forms(ode))
    assert len(search.sums) == 3
    found = search.space
    assert found.closure.space.prime < prime
    why = smallest.derivation(search.sums.system, search.forms, found)
    lumping = smallest.lumping_in_sums(search.sums, found.basis, "", None, why)
    assert len(lumping) == 3 and lumping.exact and lumping.smallest
    order, other = order_of_recurrence(
        MatrixFamily.of_jacobian(search.sums.system), search.start, 0, [ode.coefficients]
    )
    assert order == 3 and other < prime


def test_a_bound_is_one_for_what_several_observables_span():
    """x + y + z and 2x + 3y decay for themselves, 2x + 3y + z is no combination of them."""
    ode = sl.ODE.from_text("x' = -3*x; y' = 2/3*x - 2*y; z' = 3*x - (x + y + z) - 2/3*x + 2*y")
    family = MatrixFamily.of_jacobian(ode)
    rows = ExactMatrix.from_rows([{0: 1, 1: 1, 2: 1}, {0: 2, 1: 3}], 3)
    assert len(smallest_invariant(family, rows).pivots) == 2
    assert [order_of_recurrence(family, rows, seed)[0] for seed in range(20)] == [2] * 20
    outside = ExactMatrix.from_rows([{0: 2, 1: 3, 2: 1}], 3)
    assert order_of_recurrence(family, outside)[0] == 3


@settings(max_examples=40)
@given(systems())
def test_distances_in_sums_are_those_in_variables(case):
    """Every space on the path is orthonormal in the variables, and has the defect of the definition there."""
    ode, observables = case
    path = approximate.Path(smallest.Search(ode, sl.Constrained(observables).forms(ode)))
    family = MatrixFamily.of_jacobian(ode)
    labels = path.sums.partition.labels
    for point in path.points():
        basis = (point.basis / path.sums.lengths)[:, labels]
        assert np.allclose(basis @ basis.T, np.eye(point.dimension), atol=1e-9)
        images = [np.zeros((1, len(ode)))]
        for row in basis:
            values = sparse.csr_array(row[None, :]) @ family.unfolded.to_float()
            dense = np.zeros((family.count, len(ode)))
            np.add.at(dense, (family.generators, family.columns), values.toarray()[0])
            images.append(dense)
        outside = np.vstack(images) @ (np.eye(len(ode)) - basis.T @ basis)
        scale = max(1.0, float(np.abs(family.unfolded.to_float().data).max(initial=0)))
        assert np.linalg.norm(outside, 2) == pytest.approx(point.defect, rel=1e-6, abs=1e-8 * scale)
    assert point.defect == 0


@settings(max_examples=40)
@given(systems(), st.floats(0.01, 3))
def test_a_quotient_within_a_tolerance_is_that_of_the_rows(case, eps):
    """g(y) = L·q(L⁺·y), with all of it in the variables, whatever was added up before."""
    ode, observables = case
    lumping = sl.lump(ode, sl.Constrained(observables, eps=eps))
    rows = lumping.matrix.toarray()
    state = np.linspace(0.2, 1.0, len(lumping))
    expected = rows @ ode.rhs(np.linalg.pinv(rows) @ state)
    found = lumping.quotient.rhs(state)
    size = max(1.0, float(np.abs(expected).max(initial=0)))
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-7 * size)
    forms = smallest.form_matrix(sl.Constrained(observables).forms(ode).values(), ode)
    dense = forms.to_float().toarray()
    assert np.allclose(dense @ np.linalg.pinv(rows) @ rows, dense, atol=1e-9)


def test_coefficients_of_powers_of_sums():
    """Against the powers multiplied out."""
    for power, size in itertools.product(range(5), range(1, 5)):
        names = sympy.symbols(f"x0:{size}")
        poly = sympy.Poly(sum(names) ** power, *names)
        assert _square_of_power(power, size) == sum(int(c) ** 2 for c in poly.coeffs())
