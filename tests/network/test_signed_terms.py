"""What a bound by polynomials leaves to its remainders: with one deleted from the source, an example is wrong.

One unit in each layer and one input. Bands are given exactly, so that their slack does not stand in for
another term.
"""

from fractions import Fraction

import numpy as np
import pytest
from numpy.polynomial.polynomial import polyval

from symlump.enclosures.affine import AffineMap
from symlump.enclosures.interval import Interval
from symlump.network.activations.table import activation
from symlump.network.bounds.bands import Band
from symlump.network.bounds.expansion import Expansion
from symlump.network.bounds.pairing import Link
from tests.network.test_deleted_terms import module

F = Fraction


def one(x):
    return np.array([float(x)])


class Given:
    """A curve of which all is given: coefficients and radii of bands by degree, and the range of slopes."""

    def __init__(self, bands=None, radii=None, slopes=(0.0, 0.0), values=(0.0, 0.0)):
        self.bands, self.radii, self.ranges = bands or {}, radii or {}, (slopes, values)

    def band(self, centre, degree):
        c = [one(x) for x in self.bands.get(degree, [0.0] * (degree + 1))]
        radius = one(self.radii.get(degree, 0.0))
        return Band(centre, *c[:3], radius, c[3] if degree > 2 else 0.0, tuple(c[4:]))

    def _range(self, which, z):
        ends = self.ranges[which]
        ends = ends(float(z.magnitude.max())) if callable(ends) else ends
        return Interval(one(ends[0]), one(ends[1]))

    def slopes(self, z):
        return self._range(0, z)

    def values(self, z):
        return self._range(1, z)


def expanded(m, phi, slope, *, h=(0.0, 0.0, 0.0), r=0.0, w=1.0, doubts=(0.0, 0.0), inner=None):
    """P(t) and what is left, of w·φ(h) where h = h_0 + h_1·t + h_2·(2·t² − 1) ± r."""
    two = AffineMap(np.ones((1, 1)), np.zeros(1), np.full((1, 1), doubts[0]), np.zeros(1))
    last = AffineMap(np.full((1, 1), w), np.zeros(1), np.full((1, 1), doubts[1]), np.zeros(1))
    link = Link(two, activation("tanh"))
    m._curves = lambda link, z: (phi, slope)
    m.bent = lambda curve, z, centre, degree, parts=0: curve.band(centre, degree)
    level, line, square = h
    same = Given(
        {5: [level - square, line and 1.0, 2 * square / (line or 1.0) ** 2, 0.0, 0.0, 0.0]}
    )
    parts = {
        "constant": one(level),
        "matrix": np.array([[line, square, 0.0]]),
        "radius": one(r),
        "size": one(abs(level) + abs(line) + abs(square) + r),
        "sides": np.array([[line or 1.0]]),
        "quintic": same.band(np.zeros(1), 5),
        "doubt": one(r),
        "total": one(0.0),
    }
    found = m._Inner(**(parts | (inner or {})))
    m._Half._first = lambda self, centre, half: found
    half = m._Half(link, link, last, np.ones(1), one(abs(w) ** 0.5 * (1 + 1e-15)))
    p = Expansion(1, 1)
    rest = half.expand(1.0, np.zeros(1), np.ones(1), p)
    return p.terms, rest[0]


def at(terms, t):
    level, chi = t ** np.arange(4), np.array([2 * t * t - 1, 4 * t**3 - 3 * t])
    some = {kind: value[0] for kind, value in terms.items()}
    return (
        level @ some["plain"]
        + level @ some["crossed"] @ chi
        + chi @ some["squares"] @ chi
        + some["fourth"].item() * t**4
        + some["fifth"].item() * t**5
    )


def check_power(m, k, h, r):
    """φ = zᵏ, with bands about h_0 that are its Taylor series."""
    c = np.polynomial.polynomial.polypow([h[0], 1.0], k)
    c = np.concatenate([c, np.zeros(6)])[:6]
    d = np.polynomial.polynomial.polyder(c)
    bends = (2.0, 2.0) if k == 2 else lambda size: (-6 * size, 6 * size)
    slope = Given({3: d[:4], 2: d[:3]}, slopes=bends)
    terms, rest = expanded(m, Given({5: c}), slope, h=h, r=r)
    for t in np.linspace(-1, 1, 9):
        for rho in (-r, r):
            z = polyval(t, [h[0] - h[2], h[1], 2 * h[2]]) + rho
            assert abs(z**k - at(terms, t)) <= rest * (1 + 1e-9)


def squares_of_rests(m):
    check_power(m, 2, (0.0, 0.0, 0.0), 0.5)


def products_with_rests(m):
    check_power(m, 2, (0.0, 0.0, 1.0), 0.01)


def rests_at_corners(m):
    check_power(m, 2, (0.0, 1.0, 0.0), 0.01)


def rests_in_the_middle(m):
    check_power(m, 2, (1.0, 0.0, 0.0), 0.01)


def rests_between_corners(m):
    check_power(m, 3, (0.0, 1.0, 0.0), 0.01)


def at_least(m, truth, *curves, **numbers):
    """Nothing of the truth is in the polynomial; what is left has to be as much."""
    terms, rest = expanded(m, *curves, **numbers)
    assert rest >= truth - abs(at(terms, 1.0)) and rest >= truth


def bands_of_values(m):
    at_least(m, 1.0, Given(radii={5: 1.0}), Given())


def errors_before(m):
    at_least(m, 1.0, Given(slopes=(1.0, 1.0)), Given(), h=(1.0, 0.0, 0.0), doubts=(1.0, 0.0))


def weights_of_outputs(m):
    at_least(m, 1.0, Given(values=(1.0, 1.0)), Given(), doubts=(0.0, 1.0))


def bands_of_slopes(m):
    for square in (0.01, 1.0):
        at_least(m, square, Given(), Given(radii={3: 1.0}), h=(0.0, 0.0, square))


def bands_of_slopes_of_rests(m):
    at_least(m, 1.0, Given(), Given(radii={2: 1.0}), r=1.0)


def second_derivatives(m):
    at_least(m, 1.0, Given(), Given(slopes=(-2.0, 2.0)), h=(0.0, 0.0, 1.0))


def products_round(m):
    w, c = 1 / 3, 0.7
    terms, rest = expanded(m, Given({5: [c, 0, 0, 0, 0, 0]}), Given(), w=w)
    assert abs(F(w) * F(c) - F(terms["plain"][0, 0].item())) <= F(float(rest))


def products_of_the_first_layer_round(m):
    """Its two expansions differ by what rounds, and the product with one of them rounds to the other."""
    side, c = 1 / 3, 0.7
    line = side * c
    off = float(abs(F(side) * F(c) - F(line)))
    band = Given({5: [0, c, 0, 0, 0, 0]}).band(np.zeros(1), 5)
    inner = {"sides": np.array([[side]]), "quintic": band, "doubt": one(0.0), "total": one(line)}
    sigma = Given({2: [1.0, 0.0, 0.0]})
    terms, rest = expanded(m, Given(), sigma, h=(0.0, line, 0.0), r=off, inner=inner)
    assert abs(F(terms["plain"][0, 1].item()) - (F(side) * F(c) - F(line))) <= F(float(rest))


S = "found = found + "
CASES = [
    (squares_of_rests, S + "slope.slopes(whole).magnitude.max() / 2 * norm**2", "pass"),
    (squares_of_rests, "magnitude.max() / 2 * norm**2", "magnitude.max() / 2.1 * norm**2"),
    (
        products_with_rests,
        S + "norm * np.sqrt(some.squares(sizes * grow(steep**2, 4), rest))",
        "pass",
    ),
    (
        rests_at_corners,
        "found[k] += (np.abs(signs @ multilinear[:, k].T) @ first.radius).max()",
        "pass",
    ),
    (rests_in_the_middle, "size = first.doubt + ", "size = "),
    (rests_between_corners, "found = flat.T @ first.radius + ", "found = "),
    (rests_between_corners, "grow(most + far + error, 8)", "grow(most + error, 8)"),
    (bands_of_values, "(quintic.radius + phi", "(phi"),
    (errors_before, " + phi.slopes(whole).magnitude * error", ""),
    (weights_of_outputs, S + "last.error(", S + "0 * last.error("),
    (bands_of_slopes, S + "sizes @ (line.radius * typical / 2)", "pass"),
    (bands_of_slopes, "loose + line.radius / typical / 2", "loose"),
    (bands_of_slopes_of_rests, S + "norm * np.sqrt(loud)", "pass"),
    (second_derivatives, "loose + line.radius / typical / 2", "line.radius / typical / 2"),
    (
        products_round,
        S + "gamma(_MANY + last.weight.shape[1]) * (sizes @ total)",
        "found = 0 * found",
    ),
    (products_of_the_first_layer_round, " + gamma(_MANY + units) * first.total", ""),
]


@pytest.mark.parametrize("check", dict.fromkeys(case[0] for case in CASES))
def test_what_is_left_is_counted(check):
    check(module("signed"))


@pytest.mark.parametrize(("check", "term", "instead"), CASES)
def test_every_term_is_needed(check, term, instead):
    without = module("signed", term, instead)
    with pytest.raises(AssertionError):
        check(without)
