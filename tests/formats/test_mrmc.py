"""Markov chains in .tra files."""

from fractions import Fraction as Q

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symlump as sl
from symlump.errors import FileFormatError, InputError
from symlump.formats.chains import columns, read_tra, write_tra
from symlump.formats.chains import tra as mrmc
from symlump.formats.model import Model
from symlump.formats.source import Source
from symlump.ode.polynomial import PolynomialODE


def chain(text, kind=None):
    return read_tra(Source("c.tra", text), chain=kind)


FLOW = "STATES 3\nTRANSITIONS 4\n1 2 0.5\n1 2 0.1\n\n2 3 1\n3 1 1/3\n"
CTMC = "STATES 4\nTRANSITIONS 6\n1 2 1\n1 3 1\n2 3 7\n2 4 2\n3 4 2\n4 1 1\n"


def test_probability_flows_from_row_to_column():
    read = chain(FLOW, "dtmc")
    assert read.name == "c"
    assert str(read.ode) == "S1' = 1/3*S3\nS2' = 3/5*S1\nS3' = S2"
    assert read.initial_values == {"S1": 0, "S2": 0, "S3": 0}
    assert read.notes == ()


def test_rates_leave_where_they_come_from():
    read = chain(CTMC)
    assert str(read.ode).split("\n")[:2] == ["S1' = -2*S1 + S4", "S2' = S1 - 9*S2"]
    assert "rows sum to 1 … 9: taken as rates" in read.notes[0]
    assert chain(CTMC, "ctmc").ode == read.ode and chain(CTMC, "ctmc").notes == ()
    assert chain(CTMC.replace("4 1 1\n", "4 1 1\n3 3 5\n").replace("S 6", "S 7")).ode == read.ode
    # As a chain in continuous time, {2, 3} lumps: both go on to 4 at rate 2.
    found = sl.lump(
        read.ode, sl.Forward(), sl.Partition.from_names(read.ode, [["S1"], ["S2", "S3"], ["S4"]])
    )
    assert found.blocks == (("S1",), ("S2", "S3"), ("S4",))
    assert len(sl.lump(chain(CTMC, "dtmc").ode, sl.Forward(), found.initial).partition) == 4


def test_sums_of_rows_tell_probabilities_from_rates():
    thirds = (
        "STATES 4\nTRANSITIONS 4\n" + "".join(f"1 {k} 0.333333\n" for k in (2, 3, 4)) + "2 1 1\n"
    )
    assert "S1' = S2" in str(chain(thirds).ode)
    assert "all rows sum to 1: taken as probabilities" in chain(thirds).notes[0]
    generator = "STATES 2\nTRANSITIONS 4\n1 1 -3\n1 2 3\n2 1 1\n2 2 -1\n"
    read = chain(generator)
    assert str(read.ode) == "S1' = -3*S1 + S2\nS2' = 3*S1 - S2"
    assert "the whole matrix" in read.notes[0]
    assert chain(generator, "ctmc").ode == read.ode
    assert len(chain("STATES 2\nTRANSITIONS 0\n").ode) == 2


def test_what_would_be_read_as_rates_is_not_written():
    with pytest.raises(FileFormatError, match=r"its rows do not sum to 1; write \.ode"):
        write_tra(chain(FLOW, "dtmc"))
    for text in (CTMC, FLOW):
        model = chain(text, "ctmc")
        assert chain(write_tra(model)).ode == model.ode


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("STATES 2\nTRANSITIONS 1\n1 3 0.5", "c.tra:3:1: state outside 1 … 2"),
        ("STATES 2\nTRANSITIONS 1\n0 1 0.5", "c.tra:3:1: state outside 1 … 2"),
        ("STATES 2\nTRANSITIONS 2\n1 2 0.5", "c.tra:2:13: 2 transitions announced, 1"),
        ("STATES 2\nTRANSITIONS 1\n1 2", "c.tra:3:1: expected 'from to probability'"),
        ("STATES 2\nTRANSITIONS 1\n1 2 p", "c.tra:3:1: expected 'from to probability'"),
        ("STATES 2\nTRANSITIONS 1\n1 2 1/0", "c.tra:3:5: division by zero"),
        ("STATES 2\nTRANSITIONS 1\n1 2 1e99999", "c.tra:3:5: the exponent of a number"),
        ("STATES 999999999999\nTRANSITIONS 0\n", "c.tra:1:8: more than"),
        ("2 1\n0 1 0.5", "c.tra:1:1: expected 'STATES n'"),
    ],
)
def test_refusals(text, message):
    with pytest.raises(FileFormatError) as caught:
        chain(text)
    assert str(caught.value).startswith(message)


def test_what_is_not_a_chain_is_not_written():
    import sympy

    x, y, k = sympy.symbols("x y k")
    for equations, parameters in (
        ({x: x * y, y: 0}, []),
        ({x: 1}, []),
        ({x: x**2}, []),
        ({x: x}, [k]),
    ):
        ode = PolynomialODE.from_sympy(equations, parameters)
        with pytest.raises(InputError, match="tra file"):
            write_tra(Model("m", ode, dict.fromkeys(ode.variables, Q(0))))


def test_decimals_are_written_where_they_are_exact():
    text = "STATES 2\nTRANSITIONS 4\n1 1 0.25\n1 2 0.75\n2 1 1/3\n2 2 2/3\n"
    assert write_tra(chain(text)) == text


NUMBERS = st.one_of(
    st.decimals(0, 10**6, allow_nan=False, places=6).map(str),
    st.integers(0, 10**20).map(str),
    st.floats(0, 1e6).map(repr),
    st.fractions(0, 100).map(str),
    st.sampled_from(
        ["1.", ".5", "00.50", "1e-05", "2E3", "123456789.123456789", "0.1234567890123456789"]
    ),
)
BLANKS = st.sampled_from([" ", " ", " ", "\t", "  "])


@settings(max_examples=150, deadline=None)
@given(
    lines=st.lists(
        st.tuples(st.integers(1, 3000), BLANKS, st.integers(1, 3000), BLANKS, NUMBERS), min_size=1
    ),
    end=st.sampled_from(["", "\n", "\n\n", " \n"]),
)
def test_many_lines_at_once_are_read_as_one_by_one(lines, end):
    text = f"STATES 3000\nTRANSITIONS {len(lines)}\n"
    text += "\n".join("".join(map(str, line)) for line in lines) + end
    at_once = chain(text, "dtmc")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mrmc, "read_columns", lambda *_: None)
        one_by_one = chain(text, "dtmc")
    assert at_once.ode == one_by_one.ode
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "_CHUNK", 40)
        assert chain(text, "dtmc").ode == one_by_one.ode


@pytest.mark.parametrize(
    "line",
    ["1 2", "1 2 3 4", "x 2 3", "1 x 3", "1 2 x", "1 2 1..2", "1 2 .", "1 2 -", "1 2 0x1", "1 2 1_0", "1 2 ²",
     "1 2 nan", "12345678901234567 2 1", "1 2 --1", "1 2 1e", "1 2 3;", "1/2 2 3"],
)  # fmt: skip
def test_lines_that_are_none_are_not_read_at_once(line):
    text = f"STATES 3\nTRANSITIONS 3\n1 2 0.5\n{line}\n2 3 0.5\n"
    with pytest.raises(FileFormatError, match=r"^c\.tra:4:1: "):
        chain(text)
