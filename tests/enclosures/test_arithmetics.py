"""Three arithmetics behind one interface, each against exact rationals."""

from fractions import Fraction

import flint
import mpmath
import mpmath.ctx_iv
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symlump.enclosures.arithmetics import arithmetic
from symlump.enclosures.ends import flint_ends, mpmath_ends
from symlump.enclosures.interval import Interval
from symlump.enclosures.iv_array import IvArray
from symlump.errors import MethodError, MissingExtraError
from symlump.ode.exact import ExactArray

ARITHMETICS = ("float64", "flint", "mpmath")

# Ordinary numbers, and ones whose products underflow or need all digits.
numbers = st.one_of(
    st.floats(-1e3, 1e3),
    st.sampled_from([0.0, 1.0, -1.0, 0.1, 1 / 3, 5e-324, -5e-324, 1e-200, -3e-160, 1e60]),
)
intervals = st.tuples(numbers, numbers).map(sorted)


def boxes(*shape):
    size = int(np.prod(shape))
    return st.lists(intervals, min_size=size, max_size=size).map(
        lambda rows: np.array(rows).T.reshape(2, *shape)
    )


def inside(m, enclosure, exact):
    """True if every exact rational is enclosed."""
    low, high = m.lower(enclosure).ravel(), m.upper(enclosure).ravel()
    return all(
        (a == -np.inf or Fraction(float(a)) <= value)
        and (b == np.inf or value <= Fraction(float(b)))
        for a, value, b in zip(low, exact, high, strict=True)
    )


def member(box, share):
    """A float in each interval of a box."""
    return np.clip(box[0] + share * (box[1] - box[0]), box[0], box[1])


@pytest.mark.parametrize("name", ARITHMETICS)
@settings(max_examples=60)
@given(a=boxes(4), b=boxes(4), s=st.floats(0, 1), t=st.floats(0, 1), k=st.integers(1, 5))
def test_operations_enclose_exact_results(name, a, b, s, t, k):
    m = arithmetic(name)
    x, y = member(a, s), member(b, t)
    p, q = [Fraction(v) for v in x.tolist()], [Fraction(v) for v in y.tolist()]
    left, right = m.between(*a), m.between(*b)
    assert inside(m, left + right, [u + v for u, v in zip(p, q, strict=True)])
    assert inside(m, left - right, [u - v for u, v in zip(p, q, strict=True)])
    assert inside(m, left * right, [u * v for u, v in zip(p, q, strict=True)])
    assert inside(m, m.powers(left, np.full(4, k)), [u**k for u in p])
    groups = np.array([0, 1, 0, 0])
    assert inside(m, m.sums(left, groups, 2), [p[0] + p[2] + p[3], p[1]])


@pytest.mark.parametrize("name", ARITHMETICS)
@settings(max_examples=40)
@given(a=boxes(2, 3), b=boxes(3, 2), s=st.floats(0, 1), t=st.floats(0, 1))
def test_matrix_products_enclose_exact_results(name, a, b, s, t):
    m = arithmetic(name)
    x, y = member(a, s), member(b, t)
    exact = [
        sum(Fraction(float(x[i, k])) * Fraction(float(y[k, j])) for k in range(3))
        for i in range(2)
        for j in range(2)
    ]
    assert inside(m, m.between(*a) @ m.between(*b), exact)
    assert inside(m, m.point(x) @ m.point(y), exact)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_long_products_of_floats_enclose_exact_results(seed, terms):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(2, terms)) * 10.0 ** generator.integers(-9, 9, (2, terms))
    y = generator.normal(size=(terms, 2)) * 10.0 ** generator.integers(-9, 9, (terms, 2))
    exact = [
        sum(Fraction(float(x[i, k])) * Fraction(float(y[k, j])) for k in range(terms))
        for i in range(2)
        for j in range(2)
    ]
    assert inside(arithmetic("float64"), Interval.of(x) @ Interval.of(y), exact)


@pytest.mark.parametrize("name", ARITHMETICS)
def test_rationals_enter_as_they_are(name):
    m = arithmetic(name)
    values = [
        Fraction(1, 3),
        Fraction(-7, 10),
        Fraction(5),
        Fraction(10**40 + 1, 3),
        Fraction(2, 10**400),
    ]
    enclosed = m.exact(ExactArray.from_fractions(values))
    assert inside(m, enclosed, values)
    width = m.upper(enclosed) - m.lower(enclosed)
    assert (width <= 5e-16 * np.abs(m.upper(enclosed)) + 1e-323).all() and width[2] == 0


def test_unknown_arithmetic():
    with pytest.raises(
        MethodError, match="choose 'float64', 'flint', 'mpmath' or 'multiprecision'"
    ):
        arithmetic("double")
    assert arithmetic("multiprecision").name in ("flint arb", "mpmath iv")


def test_flint_is_named_when_it_is_missing(monkeypatch):
    import symlump.enclosures.arithmetics as module

    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match='extra "fast"'):
        module.arithmetic("flint")
    assert module.arithmetic("multiprecision").name == "mpmath iv"


@pytest.mark.parametrize("name", ARITHMETICS)
def test_every_operation_by_hand(name):
    """Values so simple that ends are known; nothing is wider than a few roundings."""
    m = arithmetic(name)
    slack = 1e-6 if name == "flint" else 1e-14  # flint's radii have 30 bits

    def close(found, low, high):
        assert m.lower(found) == pytest.approx(np.array(low), rel=slack, abs=slack)
        assert m.upper(found) == pytest.approx(np.array(high), rel=slack, abs=slack)
        assert (m.lower(found) <= low).all() and (m.upper(found) >= high).all()

    a = m.between(np.array([-2.0, 1.0, -3.0]), np.array([1.0, 2.0, -1.0]))
    close(m.powers(a, np.array([1, 2, 3])), [-2, 1, -27], [1, 4, -1])
    close(m.powers(a, np.array([2, 1, 2])), [0, 1, 1], [4, 2, 9])
    close(m.powers(a, np.array([3, 4, 4])), [-8, 1, 1], [1, 16, 81])
    across = m.between(np.array([-1.0, -0.5, 0.5, 0.0]), np.array([0.5, 1.0, 2.0, 3.0]))
    close(m.powers(across, np.full(4, 2)), [0, 0, 0.25, 0], [1, 1, 4, 9])
    assert m.lower(m.powers(m.point(np.zeros(0)), np.zeros(0, dtype=int))).shape == (0,)
    close(m.powers(m.point(np.array([1e200, 2.0])), np.array([1, 3])), [1e200, 8], [1e200, 8])
    close(m.sums(a, np.array([1, 0, 1]), 3), [1, -5, 0], [2, 0, 0])
    close(m.concatenate([a[:1], m.point(np.array([5.0]))]), [-2, 5], [1, 5])
    close(m.number(Fraction(1, 4)) * a, [-0.5, 0.25, -0.75], [0.25, 0.5, -0.25])
    assert m.magnitude(a) == pytest.approx([2, 2, 3])
    middle, radius = m.ball(a)
    assert middle == pytest.approx([-0.5, 1.5, -2.0]) and radius == pytest.approx([1.5, 0.5, 1.0])
    assert m.number(Fraction(1, 3)) is m.number(Fraction(1, 3))  # made once


@pytest.mark.parametrize("name", ARITHMETICS)
def test_first_powers_are_the_numbers_themselves(name):
    m = arithmetic(name)
    a = m.between(np.array([0.1, -1 / 3, 1e-9]), np.array([0.3, 0.7, 1e9]))
    same = m.powers(a, np.ones(3, dtype=int))
    assert (m.lower(same) == m.lower(a)).all() and (m.upper(same) == m.upper(a)).all()


@pytest.mark.parametrize("name", ARITHMETICS)
def test_lengths_that_differ_are_refused(name):
    m = arithmetic(name)
    a = m.point(np.ones(3))
    with pytest.raises(ValueError):
        m.powers(a, np.array([1, 2]))
    with pytest.raises(ValueError):
        m.sums(a, np.array([0, 1]), 2)
    if name != "float64":
        with pytest.raises(ValueError):
            m.between(np.ones(3), np.ones(2))


@pytest.mark.parametrize("name", ARITHMETICS)
def test_sums_by_group_are_outward(name):
    """1 + u + u + … is rounded to 1 at every step, and −1 − u − … to −1; one number alone is exact."""
    m, small = arithmetic(name), 2.0**-53
    values = np.array([1.0] + [small] * 9 + [-1.0] + [-small] * 9 + [1.0, small, 0.1])
    groups = np.array([0] * 10 + [1] * 10 + [2, 2, 3])
    found = m.sums(m.point(values), groups, 5)
    u = Fraction(small)
    assert inside(m, found, [1 + 9 * u, -1 - 9 * u, 1 + u, Fraction(0.1), Fraction(0)])
    assert m.lower(found)[3:].tolist() == m.upper(found)[3:].tolist() == [0.1, 0.0]
    assert (m.upper(found) - m.lower(found) < 1e-14).all()


def test_floats_are_the_numbers_that_they_are():
    m = arithmetic("float64")
    found = m.exact(ExactArray.from_floats(np.array([0.1, -3.0])))
    assert m.lower(found).tolist() == m.upper(found).tolist() == [0.1, -3.0]
    wide = m.exact(ExactArray.from_fractions([Fraction(1, 3), Fraction(-1, 3)]))
    assert (m.upper(wide) > m.lower(wide)).all() and inside(
        m, wide, [Fraction(1, 3), Fraction(-1, 3)]
    )


def test_what_flint_cannot_bound_is_without_bounds():
    from flint import arb

    m = arithmetic("flint")
    unknown = np.array([arb("nan"), arb(1) / arb(0)], dtype=object)
    assert m.lower(unknown).tolist() == [-np.inf] * 2 and m.upper(unknown).tolist() == [np.inf] * 2
    with np.errstate(all="ignore"):
        assert not m.powers(unknown, np.array([2, 3]))[0].is_finite()
    wide = m.powers(m.between(np.array([-1.0]), np.array([2.0])), np.array([2]))
    assert m.lower(wide).item() <= 0 and m.upper(wide).item() < 4.01


@pytest.mark.parametrize("name", ["flint", "mpmath"])
def test_floats_around_what_is_no_float(name):
    m = arithmetic(name)
    third = m.exact(ExactArray.from_fractions([Fraction(1, 3), Fraction(-1, 3), Fraction(10**400)]))
    for k, exact in enumerate((Fraction(1, 3), Fraction(-1, 3))):
        low, high = m.lower(third)[k], m.upper(third)[k]
        assert Fraction(low) <= exact <= Fraction(high) and high - low <= 2.0**-52
    assert m.lower(third)[2] == np.finfo(float).max and m.upper(third)[2] == np.inf
    same = m.point(np.array([0.1]))
    assert m.lower(same).item() == m.upper(same).item() == 0.1


def test_floats_around_numbers_of_54_bits_and_of_large_exponents():
    """2⁵³ + 1 is rounded down, 2⁵³ + 3 up: each needs the neighbour on the other side."""
    context = mpmath.ctx_iv.MPIntervalContext()
    least, most = 5e-324, np.finfo(float).max
    for mantissa, exponent, low, high in (
        (2**53 + 1, 0, 2.0**53, 2.0**53 + 2), (2**53 + 3, 0, 2.0**53 + 2, 2.0**53 + 4),
        (1, -1075, 0.0, least), (3, -1075, least, 2 * least), (2**53 - 1, 972, most, np.inf),
        (2**53 - 1, 971, most, most), (1, -1074, least, least), (0, 0, 0.0, 0.0),
    ):  # fmt: skip
        for sign, expected in ((1, (low, high)), (-1, (-high, -low))):
            end = mpmath.libmp.from_man_exp(sign * mantissa, exponent)
            assert mpmath_ends(context.make_mpf((end, end))) == expected
            ball = flint.arb((sign * mantissa, exponent))
            assert flint_ends(ball) == expected


def test_the_precision_of_mpmath_is_our_own():
    before = mpmath.iv.prec
    try:
        mpmath.iv.prec = 10
        found = arithmetic("mpmath").exact(ExactArray.from_fractions([Fraction(2, 7)]))
    finally:
        mpmath.iv.prec = before
    m = arithmetic("mpmath")
    assert (m.upper(found) - m.lower(found)).item() < 1e-15


def test_names_of_arithmetics():
    names = [arithmetic(name).name for name in ARITHMETICS]
    assert names == ["float64 intervals, rounded outward", "flint arb", "mpmath iv"]
    assert arithmetic("multiprecision") is arithmetic("flint")


@settings(max_examples=40)
@given(a=boxes(2, 3), b=boxes(3, 2), s=st.floats(0, 1), t=st.floats(0, 1))
def test_products_by_integers_are_those_entry_by_entry(a, b, s, t):
    """mpmath's own operators give what is no wider but for rounding; both contain the exact product."""
    m = arithmetic("mpmath")
    left, right = m.between(*a), m.between(*b)
    ours, plain = left @ right, np.asarray(left) @ np.asarray(right)
    assert (
        isinstance(ours, IvArray) and isinstance(left[0], IvArray) and isinstance(left.T, IvArray)
    )
    low, high = m.lower(plain), m.upper(plain)
    slack = 1e-12 * (np.abs(low) + np.abs(high)) + 1e-300
    reach = m.magnitude(left).max(axis=1)[:, None] * m.magnitude(right).max(axis=0)
    assert (m.lower(ours) <= low + slack).all() and (m.upper(ours) >= high - slack).all()
    assert (m.upper(ours) - m.lower(ours) <= 2.5 * (high - low) + 1e-12 * reach + 1e-300).all()
    x, y = member(a, s), member(b, t)
    exact = [sum(Fraction(float(p)) * Fraction(float(q)) for p, q in zip(x[i], y[:, j], strict=True))
             for i in range(2) for j in range(2)]  # fmt: skip
    assert inside(m, ours, exact)


def test_products_by_integers_round_outward():
    """Rows are scaled by their largest entry: what is 2⁻²⁰⁰ times smaller is not lost but enclosed."""
    m = arithmetic("mpmath")
    a, b = np.array([[1.0, 2.0**-200], [0.0, 0.0]]), np.array([[1.0, -1.0], [2.0**-200, 3.0]])
    found = m.point(a) @ m.point(b)
    exact = [1 + Fraction(1, 2**400), -1 + 3 * Fraction(1, 2**200), Fraction(0), Fraction(0)]
    assert inside(m, found, exact)
    assert m.lower(found)[1].tolist() == m.upper(found)[1].tolist() == [0.0, 0.0]
    vector = m.point(a) @ m.point(b[:, 0])
    assert vector.shape == (2,) and inside(m, vector, exact[::2])
    thirds = m.exact(ExactArray.from_fractions([Fraction(1, 3), Fraction(-1, 3)]))[None, :]
    assert inside(m, thirds @ thirds.T, [Fraction(2, 9)])


def test_products_by_integers_lose_nothing_to_cancellation():
    """1 + 2⁻⁶⁰ − 1 is 2⁻⁶⁰; entry by entry, with 53 bits, it is only known to be below 2⁻⁵²."""
    m = arithmetic("mpmath")
    row, ones = m.point(np.array([[1.0, 2.0**-60, -1.0]])), m.point(np.ones(3))
    for found in (row @ ones, row @ ones[:, None], row @ m.point(np.ones((3, 2)))):
        assert (m.lower(found) == 2.0**-60).all() and (m.upper(found) == 2.0**-60).all()


def test_products_by_integers_keep_numbers_of_any_size():
    m = arithmetic("mpmath")
    for size in (2.0**-300, 2.0**300, -(2.0**-300)):
        found = m.point(np.array([[size, 0.0], [0.0, 0.0]])) @ m.point(np.ones(2))
        assert m.lower(found).tolist() == m.upper(found).tolist() == [size, 0.0]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((1, 1), (1, 1)), ((2, 3), (5, 3, 4)),
        ((5, 2, 3), (3,)), ((5, 2, 3), (3, 4)), ((0, 3), (3, 2)), ((2, 3), (3, 0)),
    ],
)  # fmt: skip
def test_products_of_all_shapes(left, right):
    m = arithmetic("mpmath")
    a = np.arange(np.prod(left)).reshape(left) - 2.0
    b = np.arange(np.prod(right)).reshape(right) + 1.0
    product = m.point(a) @ m.point(b)
    assert product.tolist() == m.point(a @ b).tolist() if np.ndim(a @ b) else product == a @ b


def test_products_with_what_is_infinite_are_infinite():
    m = arithmetic("mpmath")
    wide = m.between(np.array([[-np.inf, 1.0]]), np.array([[np.inf, 1.0]]))
    found = wide @ m.point(np.ones((2, 1)))
    assert m.lower(found).item() == -np.inf and m.upper(found).item() == np.inf


@pytest.mark.parametrize("name", ["flint", "mpmath"])
@pytest.mark.parametrize(
    ("left", "right"), [((2, 0), (0, 3)), ((2, 0), (0,)), ((0,), (0, 3)), ((0,), (0,)), ((2, 0), (4, 0, 3))]
)  # fmt: skip
def test_empty_sums_are_enclosures_of_zero(name, left, right):
    m = arithmetic(name)
    plain = np.zeros(left) @ np.zeros(right)
    a, b = m.concatenate([m.point(np.zeros(left))]), m.point(np.zeros(right))
    for found in (a @ b, a @ np.zeros(right), np.zeros(left) @ b):
        assert np.shape(found) == plain.shape
        for what in (found, found + found):
            assert np.array_equal(m.lower(what), plain) and np.array_equal(m.upper(what), plain)
