from fractions import Fraction
from math import lcm

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symlump.errors import InputError
from symlump.ode.codes import Codes
from symlump.ode.distinct import sort_with_order
from symlump.ode.exact import ExactArray

PRIME = 2**31 - 1
floats = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=12)
fractions = st.lists(
    st.one_of(
        st.fractions(max_denominator=10**6),
        st.builds(Fraction, st.integers(-(10**40), 10**40), st.integers(1, 10**30)),
    ),
    min_size=1,
    max_size=12,
)


@given(floats)
def test_floats_are_the_dyadic_rationals_they_are(values):
    array = ExactArray.from_floats(values)
    expected = [Fraction(v) for v in values]
    assert list(array) == expected
    assert list(array.as_integers()) == expected
    assert array.to_float().tolist() == values


@given(floats)
def test_residues_of_floats(values):
    residues = ExactArray.from_floats(values).residues(PRIME)
    for v, r in zip(map(Fraction, values), residues.tolist(), strict=True):
        assert r == v.numerator * pow(v.denominator, -1, PRIME) % PRIME


@given(fractions)
def test_fractions_round_trip_and_residues(values):
    array = ExactArray.from_fractions(values)
    assert list(array) == values
    assert array.to_float().tolist() == [float(v) for v in values]
    try:
        residues = array.residues(PRIME)
    except InputError:
        assert any(v.denominator % PRIME == 0 for v in values)
        return
    for v, r in zip(values, residues.tolist(), strict=True):
        assert r == v.numerator * pow(v.denominator, -1, PRIME) % PRIME


@given(
    st.one_of(floats.map(ExactArray.from_floats), fractions.map(ExactArray.from_fractions)),
    st.data(),
)
def test_group_sum_and_times_are_exact(array, data):
    n = len(array)
    groups = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    factors = np.array(data.draw(st.lists(st.integers(-9, 9), min_size=n, max_size=n)))
    sums = array.group_sum(groups, 4)
    for g in range(4):
        assert sums[g] == sum(
            (v for v, k in zip(array, groups, strict=True) if k == g), Fraction(0)
        )
    assert list(array.times(factors)) == [v * int(f) for v, f in zip(array, factors, strict=True)]


def test_small_numbers_stay_in_machine_integers():
    assert ExactArray.from_fractions([Fraction(1, 3), 5]).numerators.dtype == np.int64
    single = ExactArray.from_floats(np.float32([0.1, 2.5, -3e-3]).astype(float))
    assert single.as_integers().numerators.dtype == np.int64


def test_not_finite_is_refused():
    with pytest.raises(InputError, match="coefficient 1 is nan"):
        ExactArray.from_floats([1.0, float("nan")])


@given(
    st.lists(st.tuples(st.integers(-(2**61), 2**61), st.integers(1, 10**6)), min_size=1, max_size=3)
)
def test_numbers_over_one_denominator_stay_over_one(parts):
    """Joined over the least common one where the numerators fit, and added up over it."""
    arrays = [ExactArray.from_array(np.array([p, 1, 0]), q) for p, q in parts]
    array = ExactArray.concatenate(arrays)
    expected = [value for p, q in parts for value in (Fraction(p, q), Fraction(1, q), Fraction(0))]
    assert list(array) == expected
    shared = lcm(*(q for _, q in parts))
    fits = all(q == shared or max(abs(p), 1) * (shared // q) < 2**62 for p, q in parts)
    assert (array.denominators.strides == (0,)) == fits
    sums = array.group_sum(np.array([0, 1, 1] * len(parts)), 2)
    assert sums[0] == sum(expected[0::3]) and sums[1] == sum(expected[1::3])
    keys, totals = array.sums_by(np.arange(len(array)))
    assert dict(zip(keys.tolist(), totals, strict=True)) == {
        k: value for k, value in enumerate(expected) if value
    }
    codes = Codes.of(totals)
    assert list(codes.meaning(codes.numbers)) == list(totals)
    assert codes.ends[0] <= codes.numbers.min(initial=codes.ends[0])
    assert codes.ends[1] >= codes.numbers.max(initial=codes.ends[1])
    for i, a in enumerate(totals):
        for j, b in enumerate(totals):
            assert (codes.numbers[i] == codes.numbers[j]) == (a == b)
    halves = ExactArray.from_array(np.array([1, 2, 4]), 4)
    assert halves.same_as(ExactArray.from_fractions([Fraction(1, 4), Fraction(1, 2), 1])).all()
    assert halves.in_lowest_terms().denominators.tolist() == [4, 2, 1]
    assert halves.residues(7).tolist() == [2, 4, 1]


@pytest.mark.parametrize("count", [3, 5000])
@pytest.mark.parametrize("size", [1, 1000, 2**40, 2**61])
@pytest.mark.parametrize("kind", ["whole", "over one", "each", "floats", "long"])
def test_numbers_are_sorted_with_their_keys(count, size, kind):
    generator = np.random.default_rng(count)
    numbers = generator.integers(-size, size, count)
    keys = generator.integers(-(10**6), 10**6, count)
    array = {
        "whole": ExactArray.from_array(numbers),
        "over one": ExactArray.from_array(numbers, 10**6),
        "each": ExactArray(numbers, generator.integers(1, 9, count)),
        "floats": ExactArray(numbers / 8),
        "long": ExactArray(numbers.astype(object) * 10**30, np.full(count, 7, dtype=object)),
    }[kind]
    expected = sorted(zip(keys.tolist(), array, strict=True))
    ordered, values = array.sorted_by(keys.copy())
    assert sorted(zip(ordered.tolist(), values, strict=True)) == expected
    assert ordered.tolist() == [key for key, _ in expected]
    order, again = sort_with_order(keys.copy())
    assert again.tolist() == keys[order].tolist() == ordered.tolist()


def test_codes_are_read_back_of_floats_and_of_far_and_mixed_numbers():
    floats = ExactArray.from_floats([0.1, -2.5, 0.1, 1e300])
    far = ExactArray.from_fractions([10**12, -3, 10**12, 7])
    mixed = ExactArray.from_fractions([Fraction(10**12, 7), Fraction(-1, 3), Fraction(4), 4])
    for numbers, same in ((floats, 2), (far, 2), (mixed, None)):
        codes = Codes.of(numbers)
        assert list(codes.meaning(codes.numbers)) == list(numbers)
        assert codes.ends[0] <= codes.numbers.min() <= codes.numbers.max() <= codes.ends[1]
        assert same is None or codes.numbers[0] == codes.numbers[same] != codes.numbers[1]
    assert Codes.of(ExactArray.from_fractions([2**80])) is None
