"""Numbers that a fixed prime divides: every verb draws another prime."""

import pytest

import symlump as sl
from symlump.errors import FailureError
from symlump.proof.check import PRIMES, check
from symlump.proof.evaluations import evaluations

SYSTEMS = {
    "coefficients": "x1' = -x1/{p} + x3*x1*{p}; x2' = -x2/{p} + x3*x2*{p}; x3' = x1 + x2",
    "a constant below": "x1' = -x1/({p} + x1 + x2); x2' = -x2/({p} + x1 + x2)",
    "rates": "x1' = -x1/{p}/(1 + x1 + x2); x2' = -x2/{p}/(1 + x1 + x2)",
    "a sum on the blocks": "x1' = 1/(x1^2 + x1 + ({p} - 1)*x2); x2' = 1/(x2^2 + ({p} - 1)*x1 + x2)",
    "arguments": "x1' = exp(x1/{p}) + exp(x2/{p}); x2' = exp(x1/{p}) + exp(x2/{p})",
}


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("prime", [PRIMES[0], 2**31 - 1, 2**31 - 19, 8_388_593])
def test_another_prime_is_drawn(name, prime):
    ode = sl.ODE.from_text(SYSTEMS[name].format(p=prime))
    plain = sl.ODE.from_text(SYSTEMS[name].format(p=7))
    for method in (sl.Forward(), sl.Backward(), sl.Constrained(["x1 + x2"])):
        result, expected = sl.lump(ode, method), sl.lump(plain, method)
        assert len(result.quotient) == len(expected.quotient)
        verdict = check(result.certificate().data)
        assert verdict.accepted, verdict
        assert verdict.coarsest == check(expected.certificate().data).coarsest
        if not isinstance(method, sl.Constrained) and len(result.quotient) > 1:
            assert result.explain("x1", "x2").text


def test_a_record_has_the_first_prime_that_divides_nothing():
    ode = sl.ODE.from_text(f"x' = y/{2**31 - 1}/(1 + x); y' = x/{2**31 - 19}/(1 + y) + 1")
    data = sl.lump(ode, sl.Forward()).certificate().data
    assert data["evaluations"]["prime"] == evaluations(data)["prime"] == 2**31 - 61


def test_what_all_primes_divide_is_said():
    product = 1
    for prime in PRIMES:
        product *= prime
    ode = sl.ODE.from_text(f"x' = exp((x + y)/{product}); y' = exp((x + y)/{product})")
    with pytest.raises(FailureError, match="the prime .* divides a denominator"):
        sl.lump(ode, sl.Forward()).certificate()
