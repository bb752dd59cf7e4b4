"""Markov chains in .tra files."""

from fractions import Fraction as Q

import pytest

from symlump.errors import FileFormatError, InputError
from symlump.formats.model import Model
from symlump.formats.mrmc import read_tra, write_tra
from symlump.formats.source import Source
from symlump.ode.polynomial import PolynomialODE


def chain(text):
    return read_tra(Source("c.tra", text))


def test_probability_flows_from_row_to_column():
    read = chain("STATES 3\nTRANSITIONS 4\n1 2 0.5\n1 2 0.1\n\n2 3 1\n3 1 1/3\n")
    assert read.name == "c"
    assert str(read.ode) == "S1' = 1/3*S3\nS2' = 3/5*S1\nS3' = S2"
    assert read.initial_values == {"S1": 0, "S2": 0, "S3": 0}


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
    text = "STATES 2\nTRANSITIONS 3\n1 1 0.25\n1 2 1/3\n2 1 1\n"
    assert write_tra(chain(text)) == text
