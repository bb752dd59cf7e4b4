"""Parts of small linear lumpings in plain integers, against their definitions."""

from fractions import Fraction

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

import symlump as sl
from symlump.errors import FailureError
from symlump.lumping.linear.spaces import small as small_systems
from symlump.lumping.linear.spaces.small_quotient import small_section
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
            small_section(rows)
        return
    forms, below = small_section(rows)
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
def test_closed_in_words_is_closed_where_little_can_be_left_over(
    seed, rows, others, digits, spoilt
):
    generator = np.random.default_rng(seed)
    matrix, space = hidden(generator, rows + others, rows, digits)
    if spoilt:
        matrix[int(generator.integers(rows))][rows] += 1
    lines = [[(c, value) for c, value in enumerate(line) if value] for line in matrix]
    basis = [{c: value for c, value in enumerate(line) if value} for line in space]
    found = small_systems._is_closed_in_words(lines, basis[:1], basis, 1)
    assert found == (not spoilt)
    images = np.array(space, object) @ np.array(matrix, object)
    vectors = [{c: v for c, v in enumerate(image) if v} for image in images if image.any()]
    assert found == small_systems.spans(basis, vectors)


@pytest.mark.parametrize("digits", [2, 6, 9, 12, 20])
def test_entries_of_any_length_are_proved_by_their_residues(digits):
    """From short numbers, which two primes prove, over those that words are needed for, to long ones."""
    matrix, space = hidden(np.random.default_rng(digits), 9, 4, digits)
    ode, names = linear_system(matrix)
    keep = [{n: Fraction(v) for n, v in zip(names, row, strict=True) if v} for row in space]
    lumping = sl.lump(ode, sl.Constrained(keep))
    assert len(lumping) == 4 and lumping.exact and lumping.smallest
    assert all(lumping.express(form) is not None for form in keep)


def test_words_are_used(monkeypatch):
    used = []
    inner = small_systems._is_closed_in_words
    monkeypatch.setattr(
        small_systems, "_is_closed_in_words", lambda *a: used.append(1) or inner(*a)
    )
    matrix, space = hidden(np.random.default_rng(3), 9, 4, 5)
    terms = Terms.of(linear_system(matrix)[0])
    start = [{c: v for c, v in enumerate(space[0]) if v}]
    assert small_systems.close_small(terms, start) is not None and used
