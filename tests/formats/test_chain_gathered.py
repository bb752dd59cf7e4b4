"""Transitions that come in pieces are what they are together; numbers of any kind are read exactly."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symlump as sl
from symlump.errors import InputError
from symlump.formats.chains import read_tra
from symlump.formats.chains.columns import read_columns
from symlump.formats.chains.gathered import Gathered
from symlump.formats.chains.numbers import written_number
from symlump.formats.chains.same_value import SameValue
from symlump.formats.source import Source
from symlump.ode import machine
from symlump.ode.exact import ExactArray

DENOMINATORS = st.sampled_from([1, 10, 1000, 10**9, 3, 7**20, 2**61])
NUMERATORS = st.one_of(st.integers(-9, 9), st.integers(-(2**61), 2**61), st.just(2**70))
PIECES = st.lists(
    st.tuples(
        DENOMINATORS,
        st.booleans(),
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), NUMERATORS), max_size=4),
    ),
    max_size=6,
)


def numbers(denominator, shared, numerators):
    """Numbers over one denominator that is stored once, where asked for and possible."""
    if shared and max(map(abs, numerators), default=0) < 2**62 and denominator < 2**62:
        return ExactArray.from_array(np.array(numerators, dtype=np.int64), denominator)
    return ExactArray.from_fractions([Fraction(n, denominator) for n in numerators])


@settings(max_examples=200, deadline=None)
@given(pieces=PIECES, expected=st.sampled_from([0, 3, 100]))
def test_pieces_are_the_whole(pieces, expected):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("symlump.formats.chains.gathered._LEAST", 1)
        patch.setattr("symlump.formats.chains.gathered._CHUNK", 2)
        found = Gathered(expected)
        whole = []
        for denominator, shared, lines in pieces:
            start, stop = (np.array([line[k] for line in lines], dtype=np.int64) for k in (0, 1))
            top = [line[2] for line in lines]
            found.append(start, stop, numbers(denominator, shared, top))
            whole += [(i, j, Fraction(n, denominator)) for i, j, n in lines]
            columns = found.start.tolist(), found.stop.tolist(), list(found.values)
            assert list(zip(*columns, strict=True)) == whole
        kept = found.copy()
        loops = found.pop_loops()
        assert loops.tolist() == [i for i, j, _ in whole if i == j]
        moves = [line for line in whole if line[0] != line[1]]
        columns = found.start.tolist(), found.stop.tolist(), list(found.values)
        assert list(zip(*columns, strict=True)) == moves
        keys, values = found.pop_terms(4)
        assert sorted(zip(keys.tolist(), values, strict=True)) == sorted(
            (4 * j + i, value) for i, j, value in moves
        )
        assert list(zip(kept[0].tolist(), kept[1].tolist(), kept[2], strict=True)) == whole


def test_what_is_there_is_not_looked_at_for_every_piece(monkeypatch):
    """Pieces over a shorter denominator than the first cost what they are long."""
    seen = []
    largest = machine.largest
    monkeypatch.setattr(machine, "largest", lambda a: seen.append(a.size) or largest(a))
    found = Gathered(0)
    for k in range(100):
        found.append(*np.full((2, 10), k), numbers(1000 if k == 3 else 10, True, [k] * 10))
    assert sum(seen) <= 3 * len(found.start)
    exact = [Fraction(k, 1000 if k == 3 else 10) for k in range(100) for _ in range(10)]
    assert list(found.values) == exact


NUMBERS = [
    "0", "00", "1", "1.", ".5", "0.5", "00.50", "12.25", "123456.7", "1234567.8", "12345678.9", "123456789.1",
    "0.1234567", "0.12345678", "0.123456789012345678", "1234567890123456.25", "99999999", "123456789",
    "9007199254740993", "9223372036854775807", "9223372036854775808", "123456789012345678901234567890",
    "1e-5", "2E3", "1.5e+3", "1.e2", ".5e1", "1/3", "0.5/4", "12345678.5/3", "-1", "-0.5", "-12345678.25",
    "0.000000000000000000000001", "1000000000000000000000000.5",
]  # fmt: skip


@pytest.mark.parametrize("alone", [True, False])
def test_numbers_of_any_length_are_exact(alone):
    """By themselves, and among others that have a point or none."""
    texts = [[one] for one in NUMBERS] if alone else [NUMBERS, [n for n in NUMBERS if "." not in n]]
    for some in texts:
        text = "".join(f"{k} {k + 1} {one}\n" for k, one in enumerate(some))
        columns = read_columns(text, 0, written_number)
        assert columns is not None
        expected = [written_number(one) for one in some]
        assert list(columns[2]) == expected
        assert columns[0].tolist() == list(range(len(some)))
    # What is compared with is right, too.
    assert written_number("1.5e+3") == 1500 and written_number("0.5/4") == Fraction(1, 8)


@pytest.mark.parametrize(
    "wrong",
    [".", "..", "1..5", "1.2.3", ".1.", "12345678x5", "1234567.x", "1x.5", "0.1234567x", "0.12345678x",
     "12345678..5", "123456789012345678x", "0.12345678.9", "x.5", "1.-5", "1,5"],
)  # fmt: skip
def test_a_point_makes_no_number_of_anything_else(wrong):
    with pytest.raises(InputError):
        written_number(wrong)
    with pytest.raises(InputError):
        read_columns(f"0 1 0.5\n1 0 {wrong}\n", 0, written_number)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
def test_ends_of_lines(tmp_path, end, last):
    lines = ["ctmc", "0 1 9007199254740993", "1 0 9223372036854775808", "1 1 5", "0 1 2e-3"]
    path = tmp_path / "c.tra"
    path.write_bytes((end.join(lines) + end * last).encode())
    model = sl.read(path)
    rate = 9007199254740993 + Fraction(2, 1000)
    text = f"S0' = -({rate})*S0 + {2**63}*S1; S1' = ({rate})*S0 - {2**63}*S1"
    assert model.ode == sl.PolynomialODE.from_text(text)
    assert any("'S0 → S1'" in note for note in model.notes)


def test_what_is_given_more_than_once_is_said_in_order():
    """By where it starts, loops of a chain in continuous time among it, which have no terms."""
    text = "ctmc\n2 0 1\n1 1 5\n2 0 3\n0 2 1\n1 1 7\n0 0 4\n0 2 2\n1 0 1\n"
    (note,) = read_tra(Source("c.tra", text)).notes
    assert note.endswith("added: 'S0 → S2', 'S1 → S1', 'S2 → S0'")
    discrete = read_tra(Source("c.tra", text.replace("ctmc", "dtmc"))).notes
    assert any(one.endswith("added: 'S0 → S2', 'S1 → S1', 'S2 → S0'") for one in discrete)
    once = read_tra(Source("c.tra", "ctmc\n0 1 1\n1 0 0\n1 1 2\n"))
    assert not once.notes and once.ode.terms == 2  # a rate of 0 is no repetition


def test_rewards_count_the_transitions_as_they_stand_in_the_file():
    """Although those to the same state are taken out of the equations, and the others sorted."""
    text = "ctmc\n1 0 3\n1 1 5\n0 1 0.5\n"
    rewards = Source("c.trew", "1 1 2\n0 1 4\n")
    model = read_tra(Source("c.tra", text), rewards=[rewards])
    (view,) = model.observables.values()
    assert view == {"S1": 10, "S0": 2}


def test_the_same_value_is_a_mapping_as_any_other():
    values = SameValue(["S0", "S1"], Fraction(0))
    table = {"S0": Fraction(0), "S1": Fraction(0)}
    assert values == table and table == values and len(values) == 2 and dict(values) == table
    assert list(values.values()) == [0, 0] and "S1" in values and "S2" not in values
    assert repr(values) == repr(table) and values != {"S0": Fraction(0)}
    with pytest.raises(KeyError):
        values["S2"]
    assert values | {"S1": Fraction(1)} == {"S0": 0, "S1": 1}
    model = read_tra(Source("c.tra", "ctmc\n0 1 3\n1 0 0.125\n"))
    assert model.initial_values == table
    assert model.initial_partition("values").labels.tolist() == [0, 0]
