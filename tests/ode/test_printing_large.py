"""Numbers of thousands of digits are shown by their size."""

from fractions import Fraction

from symlump.ode.printing import number_text


def test_numbers_beyond_floats_and_beyond_str():
    assert number_text(Fraction(10) ** 5000) == "≈10^5000"
    assert number_text(-(Fraction(10) ** 400) * 3) == "-≈10^400"
    assert number_text(Fraction(7 * 10**9000 + 1, 10**8000 + 1)) == "≈10^1000"
