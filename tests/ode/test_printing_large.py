"""Numbers of thousands of digits are shown by their size."""

from fractions import Fraction

import pytest

import symlump as sl
from symlump.ode.notation import number_text


def test_numbers_beyond_floats_and_beyond_str():
    assert number_text(Fraction(10) ** 5000) == "1e+5000"
    assert number_text(-(Fraction(10) ** 400) * 3) == "-3e+400"
    assert number_text(Fraction(7 * 10**9000 + 1, 10**8000 + 1)) == "7.00000e+1000…"


@pytest.mark.parametrize("power", [-1000, -309, -30, -7, 0, 16, 30, 308, 309, 4000])
@pytest.mark.parametrize("factor", ["1", "-20/7", "123456", "9999995", "1.5", "999999.7"])
def test_a_number_is_read_back_as_it_is_unless_it_is_marked_as_cut(power, factor):
    value = Fraction(factor) * Fraction(10) ** power
    text = number_text(value)
    read = sl.ODE.from_text(f"x' = {text.rstrip('…')}*x").coefficients[0]
    assert text.endswith("…") or read == value
    assert abs(read / value - 1) <= Fraction(1, 10**5)
    assert text.endswith("…") or "/" in text or len(text.strip("-")) <= 16


def test_rounded_numbers_are_said_to_be_rounded():
    long = Fraction(2, 3) + Fraction(1, 10**6)
    rounded = sl.PolynomialODE.from_text(f"x' = {long}*x; y' = -y")
    assert str(rounded).splitlines() == [
        "x' = 0.666668…*x",
        "y' = -y",
        "(numbers with … are rounded to 6 digits here, not in the system)",
    ]
    assert (
        rounded.to_text(digits=4).splitlines()[-1].startswith("(numbers with … are rounded to 4 ")
    )
    whole = sl.PolynomialODE.from_text("; ".join(f"x{i}' = x{i}/3" for i in range(30)))
    assert "…" in str(whole) and "rounded" not in str(whole)  # "… 10 more equations"
