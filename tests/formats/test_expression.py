"""The grammar of expressions: precedence, numbers, bounds, and what is refused."""

import math
import time
from fractions import Fraction as Q

import pytest

from symlump.errors import FileFormatError, InputError, NotPolynomialError
from symlump.formats import numerals
from symlump.formats.expression import ERODE, ORDINARY, ExpressionReader, Tokens
from symlump.formats.polynomials import PolynomialArithmetic
from symlump.formats.source import Source
from symlump.ode.functions import algebra

X, Y = ((0, 1),), ((1, 1),)
NAMES = {"x": {X: Q(1)}, "y": {Y: Q(1)}, "k": {(): Q(3)}, "größe": {(): Q(2)}, "zero": {}}


def value(text, dialect=ERODE):
    tokens = Tokens(Source("f", text), 0, len(text))
    result = ExpressionReader(NAMES, dialect, PolynomialArithmetic()).read(tokens)
    assert tokens.kind == "end", tokens.text
    return result


@pytest.mark.parametrize(
    ("text", "erode", "ordinary"),
    [
        ("-2^2", 4, -4),
        ("2^3^2", 64, 512),
        ("-2**2", -4, -4),
        ("2**3**2", 512, 512),
        ("1-2^2", -3, -3),
        ("0 - -2^2", -4, 4),
        ("2*-3^2", 18, -18),
        ("-k^2", 9, -9),
        ("2^-1", Q(1, 2), Q(1, 2)),
        ("2^-1*4", 2, 2),
        ("-2^-2", Q(1, 4), Q(-1, 4)),
        ("8/4/2", 1, 1),
        ("1-2-3", -4, -4),
        ("2-(3-4)*5", 7, 7),
        ("+-+3", -3, -3),
        ("0^0", 1, 1),
        ("( 3) * (-(1))+-(2)+-(5)", -10, -10),
        ("1/2*2/3", Q(1, 3), Q(1, 3)),
        ("größe*3", 6, 6),
    ],
)
def test_precedence(text, erode, ordinary):
    assert algebra.constant_of(value(text)) == erode
    assert algebra.constant_of(value(text, ORDINARY)) == ordinary


def test_the_sign_of_a_square():
    assert value("-x^2") == {((0, 2),): 1}
    assert value("-x^2", ORDINARY) == {((0, 2),): -1}
    assert value("-x**2") == {((0, 2),): -1}
    assert value("y - x^2") == {Y: 1, ((0, 2),): -1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.1", Q(1, 10)),
        ("1.", 1),
        (".5", Q(1, 2)),
        ("1e3", 1000),
        ("2.50E-3", Q(1, 400)),
        ("9.11709813671959E-26", Q(911709813671959, 10**40)),
    ],
)
def test_numbers_are_exact_decimals(text, expected):
    assert algebra.constant_of(value(text)) == expected
    assert algebra.constant_of(value("1e10000")) == 10**10000


def test_long_integers_survive_text():
    for number in (7**5000, -(10**12000) - 1, 0, 10**numerals._CHUNK):
        text = numerals.integer_text(number)
        assert numerals._integer(text.lstrip("-")) == abs(number)
        assert text.startswith("-") == (number < 0)


def test_polynomials():
    assert value("(x+y)^2 - x^2 - y^2") == {((0, 1), (1, 1)): 2}
    assert value("x*y - y*x") == {}
    assert value("(x - x)*y + 0*x") == {}
    assert value("x^0 + x^2.0") == {(): 1, ((0, 2),): 1}
    assert value("(2*x)^3/4") == {((0, 3),): 2}
    assert value("zero + x/k") == {X: Q(1, 3)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4^0.5", 2),
        ("(8/27)^(-2/3)", Q(9, 4)),
        ("sqrt(1/4) + abs(-2)", Q(5, 2)),
        ("log10(1000) + log10(1/100) + log2(8)", 4),
        ("exp(0) + ln(1) + cos(x - x)", 2),
        ("min(3, 1, 2)*max(1/2, k)", 3),
        ("floor(-3/2) + ceil(3/2) + ceiling(1/3)", 1),
        ("pow(2, 10)", 1024),
    ],
)
def test_functions_of_numbers_are_exact_where_they_can_be(text, expected):
    arithmetic = PolynomialArithmetic()
    tokens = Tokens(Source("f", text), 0, len(text))
    result = ExpressionReader(NAMES, ORDINARY, arithmetic).read(tokens)
    assert algebra.constant_of(result) == expected
    assert not arithmetic.notes


def test_other_functions_of_numbers_are_computed_and_said():
    arithmetic = PolynomialArithmetic()
    tokens = Tokens(Source("f", "x*exp(2*k) + sqrt(2)"), 0, 20)
    result = ExpressionReader(NAMES, ORDINARY, arithmetic).read(tokens)
    assert result == {X: Q(repr(math.exp(6))), (): Q(repr(math.sqrt(2)))}
    assert [note.split(" taken as ")[0] for note in arithmetic.notes] == ["exp(6)", "sqrt(2)"]


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("1/0", NotPolynomialError, "division by zero"),
        ("1/zero", NotPolynomialError, "division by zero"),
        ("0^-1", NotPolynomialError, "division by zero"),
        ("1/(x - x)", NotPolynomialError, "division by zero"),
        ("k/x", NotPolynomialError, "rational rate: not polynomial"),
        ("x^-1", NotPolynomialError, "negative exponent"),
        ("x^y", NotPolynomialError, "symbolic exponent"),
        ("2^x", NotPolynomialError, "symbolic exponent"),
        ("x^0.5", NotPolynomialError, "fractional exponent"),
        ("(-4)^0.5", NotPolynomialError, "negative number"),
        ("min(2, x)", NotPolynomialError, "the function 'min' is not polynomial"),
        ("log(2)", NotPolynomialError, "write ln or log10"),
        ("exp(1000)", FileFormatError, "too large"),
        ("exp(1, 2)", FileFormatError, "exp with 2 arguments"),
        ("ln(-1)", NotPolynomialError, "no real value"),
        ("acoth(zero)", NotPolynomialError, "division by zero"),
        ("if(x > 1, 1, 2)", NotPolynomialError, "the function 'if'"),
        ("(1, 2)", FileFormatError, "expected an operator or the ')'"),
        ("min(x, y)", NotPolynomialError, "the function 'min' is not polynomial"),
        ("1 + abs(x)", NotPolynomialError, "the function 'abs' is not polynomial"),
        ("sin(x)", NotPolynomialError, "the function 'sin' is not polynomial"),
        ("f(x)", FileFormatError, "unknown function 'f'"),
        ("z", FileFormatError, "the name 'z' is not defined"),
        ("x^1000000000", NotPolynomialError, "exponent above 1000"),
        ("2^1000000000", FileFormatError, "bits"),
        ("(1/3)^1000000000", FileFormatError, "bits"),
        ("(x+y+1)^900", NotPolynomialError, "takes more than"),
        ("(x^1000)^1000", NotPolynomialError, "degree above 1000"),
        ("x^600*x^600", NotPolynomialError, "degree above 1000"),
        ("1e10001", FileFormatError, "exponent of a number"),
        ("1e-99999999999999999999", FileFormatError, "exponent of a number"),
        ("1e9999*1e9999*1e9999", NotPolynomialError, "bits"),
        ("9" * 30000, FileFormatError, "digits"),
        ("x +", FileFormatError, "expected a number"),
        ("", FileFormatError, "expected a number"),
        ("(x", FileFormatError, "'(' is never closed"),
        ("(x y)", FileFormatError, "expected an operator"),
        ("x + §", FileFormatError, "unexpected character '§'"),
        ("x * * y", FileFormatError, "expected a number"),
    ],
)
def test_refusals(text, kind, message):
    start = time.process_time()
    with pytest.raises(kind, match=r"^f:1:[0-9]+: ") as caught:
        value(text)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 400
    assert time.process_time() - start < 60  # no hang, on a busy machine either


def test_deep_nesting_needs_no_recursion():
    n = 10_000
    assert value("(" * n + "x" + ")" * n) == {X: 1}
    assert value("-(" * n + "x" + ")" * n) == {X: 1}
    assert value("(x+" * n + "1" + ")" * n) == {X: n, (): 1}
    assert value("-" * n + "x") == {X: 1}
    assert algebra.constant_of(value("1^" * n + "1", ORDINARY)) == 1
    with pytest.raises(FileFormatError, match=r"f:1:10000: '\(' is never closed"):
        value("(" * n + "x")


def test_long_lines():
    n = 300_000
    assert value(" + ".join(["x"] * n)) == {X: n}
    with pytest.raises(InputError, match="degree above"):
        value("*".join(["x"] * n))
    with pytest.raises(InputError, match="unexpected character"):
        value(" " * 2_000_000 + "§")
    with pytest.raises(InputError, match="bits"):
        value("+".join(f"1/{k}" for k in range(1, 200_000)))
