"""Each term that stands for a rounding, an underflow or a radius is deleted, and then a bound is wrong.

An example says what is true, in rational numbers, of a module as it stands; with the term deleted from its
source the same example must fail. Bands are given exactly, so that their slack does not stand in for another
term.
"""

import sys
from dataclasses import dataclass, replace
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from symlump.enclosures.affine import AffineMap
from symlump.enclosures.interval import Interval
from symlump.errors import SymlumpError
from symlump.network.activations.table import activation
from symlump.network.bounds.bands import Band
from symlump.network.bounds.corners import Forms
from symlump.network.bounds.joint import Joint, Pairs
from symlump.network.bounds.pairing import Link, Stage, side_by_side
from symlump.network.bounds.unrolled import unroll
from symlump.network.network import Network
from symlump.network.nodes import Affine, Doubt, Input, Pool
from symlump.network.precision import PRECISIONS

ETA = 2.0**-1074  # the smallest float
SMALL = 1.5 * 2.0**-54  # lost next to 1
MANY = np.concatenate([[1.0], np.full(40_000, 2.0**-54)])  # floats sum up to less

F = Fraction


def module(name, term="", instead=""):
    """A copy of a module of the room, with a term of its source deleted."""
    original = import_module(f"symlump.network.bounds.{name}")
    source = Path(original.__file__).read_text(encoding="utf-8")
    if term:
        assert source.count(term) == 1, f"{name}: {source.count(term)} times {term!r}"
        source = source.replace(term, instead)
    copy = ModuleType(f"{name}_without_a_term")
    sys.modules[copy.__name__] = copy  # dataclasses ask for it
    try:
        exec(compile(source, copy.__name__, "exec"), copy.__dict__)  # the package's own source
    finally:
        del sys.modules[copy.__name__]
    return copy


CASES = []


def example(name, *terms):
    """An example for a module, and the terms without which it fails: (term, what stands there instead)."""

    def add(check):
        for term, instead in terms:
            CASES.append(pytest.param(check, name, term, instead, id=f"{name}: {term}"))
        CASES.append(pytest.param(check, name, "", "", id=f"{name}: {check.__name__}"))
        return check

    return add


# unrolled.py and matrices.py


def ball_contains(ball, *truths):
    middle, radius = (F(float(np.ravel(part)[0])) for part in ball)
    assert all(abs(middle - truth) <= radius for truth in truths)


def ball(middle, radius=0.0):
    return np.array([middle]), np.array([radius])


@example("unrolled", ("np.where(rounded, UNIT * np.abs(total), 0.0)", "0.0"))
def sums_round(m):
    ball_contains(m._added(ball(1.0), ball(SMALL)), 1 + F(SMALL))
    ball_contains(m._added(ball(1.0), ball(-SMALL)), 1 - F(SMALL))


@example(
    "unrolled", ("a[1] + b[1] +", "b[1] +"), ("a[1] + b[1] +", "a[1] +"), ("up(doubt)", "doubt")
)
def sums_of_radii_round(m):
    ball_contains(m._added(ball(0.0, 1.0), ball(0.0, SMALL)), 1 + F(SMALL), -1 - F(SMALL))
    ball_contains(m._added(ball(0.0, SMALL), ball(0.0, 1.0)), 1 + F(SMALL))


@example(
    "unrolled",
    ("UNIT * np.abs(product) + ", ""),
    ("np.abs(f) * radius + ", ""),
    (" + g * (np.abs(weight) + radius)", ""),
    ("g * (np.abs(weight) + radius)", "g * np.abs(weight)"),
    ("grow(doubt, 4)", "doubt"),
)
def products_round(m):
    def times(f, g, w, r):
        return m._times((np.array([f]), np.array([g])), (np.array([[w]]), np.array([[r]])))

    ball_contains(times(1 / 3, 0.0, 0.7, 0.0), F(1 / 3) * F(0.7))
    ball_contains(times(3.0, 0.25, 5.0, 0.5), F(13, 4) * F(11, 2), F(11, 4) * F(9, 2))
    ball_contains(times(2.0**-600, 0.0, 2.0**-600, 0.0), F(2) ** -1200)
    ball_contains(times(0.0, 1.0, 1.0, SMALL), 1 + F(SMALL))


@example("matrices", ("np.spacing(weight)", "0.0"))
def averages_round(m):
    pool = Pool("p", ("x",), "average", (3,), (3,), (0,), (1,))
    found = m.write_out(pool, (1, 3), (1, 1))
    ball_contains((found.weight, found.weight_radius), F(1, 3))


@example(
    "matrices",
    ("radius = matrix(replace(node, weight=node.doubt.weight), before)", "pass"),
    ("doubt = np.repeat(node.doubt.bias, positions)", "pass"),
)
def what_reading_rounded_is_in_the_radius(m):
    node = Affine(
        "s",
        ("x",),
        np.array([[2.0]]),
        np.array([3.0]),
        (),
        (),
        (),
        True,
        doubt=Doubt(np.array([[0.25]]), np.array([0.5])),
    )
    found = m.write_out(node, (1, 2), (1, 2))
    assert (
        found.weight_radius.tolist() == [[0.25, 0], [0, 0.25]]
        and found.bias_radius.tolist() == [0.5] * 2
    )


# steps.py


@dataclass(frozen=True, eq=False)
class Line:
    """φ(z) = slope·(z − centre) + bend·(z − centre)² + offset ± radius, and its slopes, given exactly."""

    slope: float = 0.0
    offset: float = 0.0
    radius: float = 0.0
    bend: float = 0.0
    twist: float = 0.0  # u³, where it is asked for
    spread: float = 0.0
    tilt: float = 0.0  # of the slopes: slope + tilt·(ζ − centre) ± spread

    def band(self, z, centre=0.0, degree=2, slopes=False):
        one = np.ones_like(z.lower)
        if slopes:
            numbers = (self.slope, self.tilt, 0.0, self.spread)
        else:
            numbers = (self.offset, self.slope, self.bend, self.radius)
        offset, slope, bend, radius = (one * number for number in numbers)
        twist = one * self.twist if degree == 3 else 0.0
        return Band(one * centre, offset, slope, bend, radius, twist)

    def slopes(self, z):
        one = np.ones_like(z.lower)
        return SimpleNamespace(ball=lambda: (one * self.slope, one * self.spread))


def with_lines(m):
    """The module with bands that are what lines say."""
    m.straight = lambda phi, z: phi.band(z)
    m.bent = lambda phi, z, centre, degree=2: phi.band(z, centre, degree)
    m.slope_line = lambda phi, z, centre: phi.band(z, centre, slopes=True)
    return m


def symmetric(size):
    return Interval(-np.array([[size]]), np.array([[size]]))


def pair(a=1.0, s=1.0, c=0.0):
    return Pairs(np.zeros(1, dtype=int), *(np.array([v]) for v in (a, s, c)))


def now(m, original=1.0, reduced=1.0, difference=1.0, outputs=1e300):
    """How large everything is; the range of δh is so wide that it is not chosen, unless it is asked for."""
    z, v, dz, dh = (symmetric(size) for size in (original, reduced, difference, outputs))
    return m.Ranges(z, v, dz, z, v, dh)


def how(m, phi, psi=None, mismatch=None):
    ends = symmetric(1.0)
    return m.Activated(phi, psi or Line(), ends, mismatch)


NO_FORMS = Forms(np.zeros((1, 3)), np.zeros((1, 3, 1)), np.zeros((1, 3)), 1, 1)
APART = {"spread": 1e300}  # slopes so uncertain that the difference of two bands is chosen
CLOSE = {"radius": 1e300}  # a band so wide that slopes are chosen


def later(m, weight, bias=(0.0, 0.0), radius=None, bias_radius=(0.0, 0.0), before=(1.0, 1.0), *, phi=None,
          psi=None, pairs=None, **sizes):  # fmt: skip
    """The step of a stage with rows (δz, ẑ) of weights for (δh, ĥ): ẑ does not depend on δh."""
    weight = np.array(weight, dtype=float)
    radius = np.zeros_like(weight) if radius is None else np.array(radius, dtype=float)
    pairs, parts = pairs or pair(), (weight, np.array(bias), radius, np.array(bias_radius))
    one = AffineMap(weight[:1, :1], parts[1][:1], radius[:1, :1], parts[3][:1])
    two = AffineMap(weight[1:, 1:], parts[1][1:], radius[1:, 1:], parts[3][1:])
    joint = Joint(one, two, pair(), pairs, weight[:1, 1:], weight[:1, 1:])
    # (the constant of δz is given exactly, not as a difference that was rounded)
    vars(joint)["_constants"] = (one.bias, one.bias), (one.bias_radius, one.bias_radius)
    link = Link(one, activation("identity"))
    stage = Stage(link, link, joint)
    mismatch = sizes.pop("mismatch", None)
    activated = how(m, phi or Line(), psi, mismatch)
    m, ranges = with_lines(m), now(m, **sizes)
    lines = m.both_straight(ranges, activated)
    paired = m.straight_differences(stage, ranges, activated, lines)
    return m.later_step(stage, ranges, lines, paired, np.array([before]), NO_FORMS)


def row_fits(step, row, at, truth, spread=0):
    """|truth − (M·y' + m)| ≤ radius + spread·|δz|, exactly."""
    matrix, constant = step.matrix, step.constant[0, row]
    if not isinstance(matrix, np.ndarray):  # of a later stage it is not written out
        matrix = np.eye(step.constant.shape[1])[None] @ matrix
    matrix = matrix[0, row]
    there = sum(F(float(a)) * F(t) for a, t in zip(matrix, at, strict=True)) + F(float(constant))
    assert abs(truth - there) <= F(float(step.radius[0, row])) + spread


@example("steps", ("+ 2 * lost, 64)", ", 64)"))
def entries_of_a_matrix_underflow(m):
    tiny, large = 2.0**-600, 2.0**1000
    step = later(m, [[0.0, 0.0], [0.0, tiny]], before=(0.0, large), psi=Line(tiny))
    row_fits(step, 1, (0, large), F(tiny) ** 2 * F(large))
    step = later(m, [[tiny, 0.0], [0.0, 0.0]], before=(large, 0.0), phi=Line(tiny))
    row_fits(step, 0, (large, 0), F(tiny) ** 2 * F(large))


@example(
    "steps",
    ("radius = grow(radius + 2 * lost, 64)", "radius = radius + 2 * lost"),
    ("two.radius +", "0.0 +"),
)
def radii_round(m):
    step = later(m, np.zeros((2, 2)), radius=[[0, 0], [0, SMALL]], psi=Line(1.0, radius=1.0))
    row_fits(step, 1, (0, 1), 1 + F(SMALL))


@example(
    "steps",
    ("grow(whole[..., :units] + spread * now.difference.magnitude, 4)", "whole[..., :units]"),
    (
        "grow(whole[..., :units] + spread * now.difference.magnitude, 4)",
        "(whole[..., :units] + spread * now.difference.magnitude)",
    ),
)
def spreads_are_in_the_whole(m):
    for spread, size in ((1.0, 1.0), (2.0**-30, 2.0**-25), (1 / 3, 0.7)):
        step = later(m, np.eye(2), phi=Line(1.0, spread=spread, **CLOSE), difference=size)
        radius, part = F(float(step.radius[0, 0])), F(float(step.spread[0, 0]))
        assert F(float(step.whole[0, 0])) >= radius + part * F(size) and part == F(spread)


@example(
    "steps",
    ("relative = gamma(sum(joint.shape) + 16)", "relative = 1e-300"),
    ("np.abs(two.slope) * error[..., units:]", "0.0"),
)
def entries_of_a_matrix_round(m):
    step = later(m, [[0.0, 0.0], [0.0, 0.7]], psi=Line(1 / 3))
    row_fits(step, 1, (0, 1), F(1 / 3) * F(0.7))


@example("steps", (" + relative * np.abs(two.offset)", ""))
def constants_round(m):
    step = later(m, np.zeros((2, 2)), (0.0, SMALL), psi=Line(1.0, 1.0))
    row_fits(step, 1, (0, 0), 1 + F(SMALL))


@example("steps", ("np.abs(d) * error[..., :units] +", "0.0 +"))
def differences_round(m):
    step = later(m, [[0.7, 0.0], [0.0, 0.0]], phi=Line(1 / 3))
    row_fits(step, 0, (1, 0), F(1 / 3) * F(0.7))


@example("steps", ("error[..., :units] + relative * np.abs(c)", "error[..., :units]"))
def constants_of_differences_round(m):
    one = Interval(np.ones((1, 1)), np.ones((1, 1)))
    step = later(m, np.zeros((2, 2)), (SMALL, 0.0), phi=Line(1.0, **CLOSE), mismatch=one)
    row_fits(step, 0, (0, 0), 1 + F(SMALL))


@example("steps", ("rho = rho + np.abs(t) * error[..., units:][..., partner]", "pass"))
def shares_of_the_other_network_round(m):
    radius = [[0.0, 0.0], [0.0, 0.25]]
    step = later(m, np.zeros((2, 2)), radius=radius, phi=Line(0.0, **APART), psi=Line(2.0))
    row_fits(step, 0, (0, 1), F(-1, 2))


@example("steps", ("np.abs(s * slope) * size +", "0.0 +"))
def slopes_that_nearly_cancel_round(m):
    """ẑ is what its bias says, and the share of it is nearly 0."""
    slope, a = 1 / 3, 0.7
    step = later(m, np.zeros((2, 2)), (0.0, 1e5), phi=Line(slope, **APART), psi=Line(slope * a),
                 pairs=pair(a), reduced=1e5)  # fmt: skip
    row_fits(step, 0, (0, 0), (F(slope) * F(a) - F(slope * a)) * 10**5)


@example(
    "steps",
    (" + np.abs(s * offset) + np.abs(pairs.offset)", ""),
    (" + np.abs(s * offset) +", " +"),
    (" + np.abs(pairs.offset)\n    separate = one", "\n    separate = one"),
)
def offsets_that_nearly_cancel_round(m):
    for one, s, two, c in (
        (1.0, 1.0, 1 - 2.0**-53, SMALL),
        (0.7, 1 / 3, 2.1, 0.0),
        (SMALL, 1.0, -1.0, 1.0),
        (1.0, 1.0, SMALL, 1.0),
    ):
        step = later(
            m,
            np.zeros((2, 2)),
            phi=Line(0.0, one, **APART),
            psi=Line(0.0, two),
            pairs=pair(1.0, s, c),
        )
        row_fits(step, 0, (0, 0), F(one) - F(s) * F(two) - F(c))


@example(
    "steps",
    ("one.radius + np.abs(s)", "np.abs(s)"),
    ("one.radius + np.abs(s) * two.radius[..., partner]", "one.radius"),
)
def radii_of_two_bands(m):
    step = later(
        m,
        np.zeros((2, 2)),
        phi=Line(0.0, radius=1.0, **APART),
        psi=Line(0.0, radius=2.0),
        pairs=pair(1.0, 3.0),
    )
    row_fits(step, 0, (0, 0), F(7))


@example(
    "steps",
    ("lost = lost + (SMALLEST / relative) * error.sum(axis=-1, keepdims=True)", "pass"),
    ("separate + 4 * UNIT * rounding", "separate"),
)
def slopes_underflow(m):
    """A slope of 2⁻¹²⁰⁰ on 2¹⁰⁰⁰."""
    tiny, large = 2.0**-600, 2.0**1000
    step = later(
        m, np.zeros((2, 2)), (0.0, large), phi=Line(tiny, **APART), pairs=pair(tiny), reduced=large
    )
    row_fits(step, 0, (0, 0), F(tiny) ** 2 * F(large))
    # an entry of a row times a slope, which a large weight is multiplied by
    step = later(m, [[large, 0.0], [0.0, 0.0]], phi=Line(tiny))
    assert F(step.lost.item()) >= F(tiny) ** 2 * F(large)
    slopes_that_nearly_cancel_round(m)


@example("steps", ("zero) if how.mismatch is None else how.mismatch.ball()", "zero)"))
def activations_that_differ(m):
    step = later(m, np.zeros((2, 2)), phi=Line(**CLOSE), mismatch=symmetric(2.0))
    row_fits(step, 0, (0, 0), F(2))


def first(m, sides, middle=(0.0, 0.0, 0.0), error=(0.0, 0.0, 0.0), *, phi=None, psi=None, pairs=None,
          squared=False, cubed=False, terms=1, **sizes):  # fmt: skip
    """The step of a first stage with rows (δz, ẑ, z) of sides."""
    sides = np.array(sides, dtype=float)
    nothing = AffineMap.exactly(np.zeros((1, sides.shape[1])), None)
    link = Link(nothing, activation("identity"))
    stage = Stage(link, link, Joint.of(nothing, nothing, None, pairs or pair()))
    forms = Forms(np.array([middle]), sides[None], np.array([error]), terms, sides.shape[1])
    mismatch = sizes.pop("mismatch", None)
    activated = how(m, phi or Line(), psi, mismatch)
    m, ranges = with_lines(m), now(m, **sizes)
    lines = None if squared else m.both_straight(ranges, activated)
    return m.first_step(stage, ranges, activated, forms, lines, cubed)


def affine(row, t):
    return sum(F(a) * x for a, x in zip(row, t, strict=True))


def basis(t, squared):
    """t, and with squares 2·t² − 1 and the products of two."""
    more = [2 * x * x - 1 for x in t] + [a * b for i, a in enumerate(t) for b in t[i + 1 :]]
    return [*t, *more] if squared else t


@example("steps", ("error = grow(forms.error, forms.terms + 16)", "error = forms.error"))
def errors_of_many_terms_round(m):
    """What was summed up to 1 is 1 + 40000·2⁻⁵⁴."""
    step = first(m, np.zeros((3, 1)), error=(0.0, 1.0, 0.0), psi=Line(1.0), terms=40_000)
    row_fits(step, 1, (0,), sum(map(F, MANY)))


@example("steps", (" + relative * np.abs(pairs.offset),", ","))
def offsets_of_pairs_round(m):
    step = first(m, np.zeros((3, 1)), phi=Line(0.0, SMALL, **APART), pairs=pair(c=-1.0))
    row_fits(step, 0, (0,), 1 + F(SMALL))


@example(
    "steps",
    ("np.abs(s) * own[2][:, partner] +", "0.0 +"),
    ("radius + np.abs(s) * own", "np.abs(s) * own"),
)
def radii_of_two_first_bands(m):
    step = first(
        m,
        np.zeros((3, 1)),
        phi=Line(0.0, radius=1.0, **APART),
        psi=Line(0.0, radius=2.0),
        pairs=pair(1.0, 3.0),
    )
    row_fits(step, 0, (0,), F(7))


@example(
    "steps",
    ("band.radius + np.abs(band.slope) * error + relative * size", "band.radius + relative * size"),
    (
        "band.radius + np.abs(band.slope) * error + relative * size",
        "np.abs(band.slope) * error + relative * size",
    ),
    ("* error + relative * size", "* error"),
    ("np.abs(band.offset) + np.abs(band.slope) * (", "np.abs(band.slope) * ("),
    ("(np.abs(inner.middle) + reach)", "np.abs(inner.middle)"),
    ("(np.abs(inner.middle) + reach)", "reach"),
)
def first_bands_round(m):
    zero = np.zeros((3, 1))
    row_fits(first(m, zero, error=(0.0, 1.0, 0.0), psi=Line(3.0, radius=1.0)), 1, (0,), F(4))
    row_fits(first(m, zero, (0.0, SMALL, 0.0), psi=Line(1.0, 1.0)), 1, (0,), 1 + F(SMALL))
    row_fits(first(m, [[0], [0.7], [0]], psi=Line(1 / 3)), 1, (1,), F(0.7) * F(1 / 3))
    row_fits(first(m, zero, (0.0, 0.7, 0.0), psi=Line(1 / 3)), 1, (0,), F(0.7) * F(1 / 3))


@example(
    "steps",
    ("radius = band.radius + (slope + bend * (2 * reach + error)) * error", "radius = band.radius"),
    ("band.radius + (slope +", "(slope +"),
    ("(slope + bend * (2 * reach + error))", "(bend * (2 * reach + error))"),
    ("(slope + bend * (2 * reach + error))", "slope"),
    ("bend * (2 * reach + error)", "bend * (2 * reach)"),
    ("bend * (2 * reach + error)", "bend * error"),
)
def errors_through_a_parabola(m):
    for slope, bend, side, error in (
        (2.0, 0.0, 0.0, 1.0),
        (0.0, 1.0, 0.0, 1.0),
        (0.0, 1.0, 1.0, 2.0**-30),
    ):
        step = first(
            m,
            [[0], [side], [0]],
            error=(0.0, error, 0.0),
            psi=Line(slope, 0.0, 1.0, bend),
            squared=True,
        )
        w = F(side) + F(error)
        row_fits(step, 1, basis((F(1),), True), F(slope) * w + F(bend) * w * w + 1)


@example(
    "steps",
    ("radius = radius + relative * (np.abs(band.offset) + (slope + bend * reach) * reach)", "pass"),
    ("(np.abs(band.offset) + (slope + bend * reach) * reach)", "((slope + bend * reach) * reach)"),
    ("(slope + bend * reach) * reach)", "(bend * reach) * reach)"),
    ("(slope + bend * reach) * reach)", "slope * reach)"),
)
def parabolas_round(m):
    one = (F(1),)
    step = first(m, [[0], [2.0**-27], [0]], psi=Line(0.0, 1.0, bend=3.0), squared=True)
    row_fits(step, 1, basis(one, True), 1 + 3 * F(2) ** -54)
    step = first(m, [[0], [0.7], [0]], psi=Line(1 / 3), squared=True)
    row_fits(step, 1, basis(one, True), F(0.7) * F(1 / 3))
    step = first(m, [[0], [0.7], [0]], psi=Line(bend=1 / 3), squared=True)
    row_fits(step, 1, basis(one, True), F(0.7) ** 2 * F(1 / 3))


@example(
    "steps", ("radius = radius + matrix.shape[-1] * SMALLEST * (bend + reach + error)", "pass")
)
def parabolas_underflow(m):
    """(2⁻⁶⁰⁰·t)², times 2¹⁰⁰⁰."""
    step = first(m, [[0], [2.0**-600], [0]], psi=Line(bend=2.0**1000), squared=True)
    row_fits(step, 1, basis((F(1),), True), F(2) ** -200)


def twisted(m, side, twist=1.0, error=0.0):
    """The step of twist·u³ with u = side·t ± error, at t = 1."""
    step = first(
        m,
        [[0], [side], [0]],
        error=(0.0, error, 0.0),
        psi=Line(twist=twist),
        squared=True,
        cubed=True,
    )
    row_fits(step, 1, (1, 1, 1), F(twist) * (F(side) + F(error)) ** 3)


@example(
    "steps",
    ("size * (3 * reach * (reach + error) + error**2) * error", "0.0"),
    ("(3 * reach * (reach + error) + error**2)", "(3 * reach * (reach + error))"),
    ("(3 * reach * (reach + error) + error**2)", "error**2"),
    ("3 * reach * (reach + error)", "3 * reach * reach"),
    ("radius = radius + relative * size * reach**3", "pass"),
    ("radius = radius + 16 * matrix.shape[-1] * SMALLEST * size * (reach + 1)", "pass"),
)
def cubes_round(m):
    twisted(m, 0.0, error=1.0)
    twisted(m, 1.0, error=2.0**-20)
    twisted(m, 1.0, error=0.5)
    for side in (1 / 3, 0.7, 0.9, 1.1):
        twisted(m, side, 0.7)
    twisted(m, 2.0**-600, 2.0**1000)


@example("bands", ("[1:]) + beyond", "[1:])"), ("[1:]) - beyond", "[1:])"))
def cubes_bend_between_two_points(m):
    """z − z³ is 0 at both ends of [−1, 1], and not between them."""
    points, zero = np.array([[-1.0], [1.0]]), np.zeros(1)
    for sign in (1.0, -1.0):
        at, over = Interval.point(sign * points), Interval.point(np.full((1, 1), sign))
        found = m._around(points, at, over, zero, zero, zero, np.full(1, sign))
        low, high = found.offset - found.radius, found.offset + found.radius
        assert low.item() <= -0.384 and high.item() >= 0.384


def rounded(truth):
    """A float, and a radius about it that holds a rational."""
    value = float(truth)
    return value, float(np.nextafter(float(abs(truth - F(value))), np.inf)) if truth != F(
        value
    ) else 0.0


def slopes_of(
    m,
    phi,
    z=0.0,
    v=0.0,
    *,
    a=0.0,
    middle=(0.0, 0.0),
    error=(0.0, 0.0),
    mu=0,
    squared=False,
    mismatch=None,
):
    """δh = slope·δz + μ at t = 1, where z and ẑ are as far off as they may be, and δz = z − a·ẑ."""
    parts = [rounded(F(one) - F(a) * F(other)) for one, other in ((middle[0], middle[1]), (z, v))]
    far = F(error[0]) - F(a) * F(error[1])
    difference = rounded(
        sum(F(radius) for _, radius in parts) + abs(F(error[0])) + abs(F(a) * F(error[1]))
    )
    dz_error = float(np.nextafter(difference[0], np.inf)) if difference[0] else 0.0
    sides = [[parts[1][0]], [v], [z]]
    middles, errors = (parts[0][0], middle[1], middle[0]), (dz_error, abs(error[1]), abs(error[0]))
    phi = replace(phi, **CLOSE)
    step = first(
        m, sides, middles, errors, phi=phi, pairs=pair(a), squared=squared, mismatch=mismatch
    )
    whole, other = (F(x) + F(y) + F(e) for x, y, e in zip((z, v), middle, error, strict=True))
    dz = whole - F(a) * other
    assert dz == F(middle[0]) - F(a) * F(middle[1]) + F(z) - F(a) * F(v) + far
    slope, centre = F(phi.slope), F(0.5 * middle[0] + 0.5 * a * middle[1])
    if squared:
        slope += F(phi.tilt) * ((whole + F(a) * other) / 2 - centre)
    row_fits(step, 0, basis([F(1)], squared), slope * dz + mu)


@example(
    "steps",
    ("np.abs(slope) * (difference.error + relative * far)", "np.abs(slope) * (relative * far)"),
    ("np.abs(slope) * (difference.error + relative * far)", "np.abs(slope) * difference.error"),
    (
        "level, radius = level + centre, radius + more + relative * np.abs(centre)",
        "level = level + centre",
    ),
    ("radius + more + relative * np.abs(centre)", "radius + relative * np.abs(centre)"),
    ("radius + more + relative * np.abs(centre)", "radius + more"),
)
def slopes_of_a_first_stage(m):
    slopes_of(m, Line(3.0), error=(1.0, 0.0))
    slopes_of(m, Line(1 / 3), 0.7)
    slopes_of(m, Line(1 / 3), middle=(0.7, 0.0))
    slopes_of(m, Line(), mismatch=symmetric(2.0), mu=2)
    one = Interval(np.ones((1, 1)), np.ones((1, 1)))
    slopes_of(m, Line(1.0), middle=(SMALL, 0.0), mismatch=one, mu=1)


LINE = Line(0.0, tilt=1.0)


@example(
    "steps",
    ("off = 0.5 * whole.error + 0.5 * np.abs(a) * reduced.error[:, partner]", "off = 0.0"),
    ("off = 0.5 * whole.error + 0.5", "off = 0.5"),
    (" + 0.5 * np.abs(a) * reduced.error[:, partner]", ""),
    (
        "(np.abs(line.offset) + tilt * (reach + off)) * difference.error + tilt * off * far",
        "tilt * off * far",
    ),
    (
        "(np.abs(line.offset) + tilt * (reach + off)) * difference.error",
        "np.abs(line.offset) * difference.error",
    ),
    ("(np.abs(line.offset) + tilt * (reach + off))", "(tilt * (reach + off))"),
    ("tilt * (reach + off)", "tilt * reach"),
    ("tilt * (reach + off)", "tilt * off"),
    (" + tilt * off * far", ""),
)
def errors_through_a_line_of_slopes(m):
    slopes_of(m, Line(3.0), error=(1.0, 0.0), squared=True)
    slopes_of(m, LINE, error=(1.0, 0.0), squared=True)  # e·e/2
    slopes_of(m, LINE, 1.0, error=(2.0**-30, 0.0), squared=True)
    slopes_of(m, LINE, middle=(1.0, 0.0), error=(0.0, 2.0**-30), a=1.0, squared=True)
    slopes_of(m, LINE, 1.0, 1.0, error=(2.0**-30, 0.0), a=1.0, squared=True)


@example(
    "steps",
    ("off = off + relative * (size + whole.reach + np.abs(a) * reduced.reach[:, partner])", "pass"),
    ("relative * (size + whole.reach +", "relative * (whole.reach +"),
    ("(size + whole.reach + np.abs(a) * reduced.reach[:, partner])", "size"),
    ("radius = radius + relative * np.abs(line.offset) * far", "pass"),
)
def lines_of_slopes_round(m):
    slopes_of(m, Line(1 / 3), 0.7, squared=True)
    slopes_of(m, Line(0.0, tilt=1 / 3), 0.7, squared=True)
    # the mean of z and a·ẑ is 2⁻⁵⁴ away from the float for its middle, or for its side
    slopes_of(m, LINE, middle=(1.0, 2.0**-53), a=1.0, squared=True)
    a, v = 1 / 3, 0.7
    slopes_of(m, LINE, -(a * v), v, a=a, squared=True)


@example("steps", ("radius = radius + matrix.shape[-1] * SMALLEST * large", "pass"))
def lines_of_slopes_underflow(m):
    """2⁻⁶⁰⁰·2⁻⁶⁰⁰, times 2¹⁰⁰⁰."""
    tiny, large = 2.0**-600, 2.0**1000
    step = first(m, [[0], [large], [large]], (tiny, 0.0, tiny), phi=Line(0.0, tilt=tiny, **CLOSE),
                 pairs=pair(1.0), squared=True)  # fmt: skip
    # δz = tiny, and the mean of z and ẑ is large·t + tiny/2, about a centre of tiny/2
    row_fits(step, 0, basis([F(1)], True), F(tiny) * F(large) * F(tiny))


# corners.py


@example(
    "corners",
    ("g / 8 * (g / np.where(size > 0, size, 1.0))", "g * g / np.where(size > 0, 8 * size, 1.0)"),
)
def squares_of_sides_underflow(m):
    """g·t + d·(2·t² − 1) with g = −d is largest inside, where it is 9/8·g."""
    g = 2.0**-560
    found = m.Forms(np.zeros((1, 1)), np.array([[[g, -g]]]), np.zeros((1, 1)), 1, 1).range()
    assert F(float(found.upper[0, 0])) >= F(9, 8) * F(g)


# relaxation.py


def point(*values):
    return Interval.point(np.array([values]))


def a_step(matrix, constant, radius=None, *, spread=(0.0,), q=0.0, lost=0.0):
    matrix, constant = np.array([matrix], dtype=float), np.array([constant], dtype=float)
    radius = np.zeros_like(constant) if radius is None else np.array([radius], dtype=float)
    difference = Forms(np.array([[q]]), np.zeros((1, 1, 1)), np.zeros((1, 1)), 1, 1)
    return SimpleNamespace(
        matrix=matrix, constant=constant, radius=radius, whole=radius, lost=np.array([[lost]]),
        spread=np.array([spread]), difference=difference,
    )  # fmt: skip


def a_row(weight, bias=0.0, radius=0.0):
    """A stage that reads nothing but what is before it, of one unit without a partner."""
    weight = np.array([weight], dtype=float)
    one = AffineMap(weight, np.array([bias]), np.full_like(weight, radius), np.zeros(1))
    two = AffineMap.exactly(np.zeros_like(weight), None)
    return SimpleNamespace(joint=Joint.of(one, two, None, pair()), pairs=pair())


def carried(m, weight, steps, *, radius=0.0, bias=0.0, before=(1.0,), corners=False):
    """The range of a row of weights behind steps, and with corners that of δz, which is the same row."""
    stage = a_row(weight, bias, radius)
    box, before = symmetric(1.0), np.array([before])
    (forms,) = m._backward(stage, steps, before, box)
    if not corners:
        return forms.range()[0, 0]
    return m._with_corners(stage, steps, before, forms, symmetric(np.inf))[0, 0]


def contains(interval, truth):
    assert F(float(interval.lower)) <= truth <= F(float(interval.upper))


@example(
    "relaxation",
    (
        "error = joint.error(np.abs(centre) + half, gamma(inputs + 8))",
        "error = 0 * joint.bias[None]",
    ),
)
def products_with_the_inputs_round(m):
    rng = np.random.default_rng(0)
    for _ in range(20):
        w, x = rng.uniform(0.5, 2.0, (2, 5))
        w[4], x[4] = -1.0, float(w[:4] @ x[:4])
        (forms,) = m._backward(a_row(w), [], np.zeros((1, 5)), point(*x))
        contains(forms.range()[0, 0], sum(F(a) * F(b) for a, b in zip(w, x, strict=True)))


THREE = [
    a_step([[w]], [c]) for w, c in ((0.0, -1.0), (1.0, SMALL), (1.0, 1.0))
]  # 1, then 2⁻⁵⁴, then −1 on the way back
TINY_ROW, LARGE = 2.0**-600, 2.0**1000


def behind_a_product_that_underflows():
    return [a_step([[0.0]], [LARGE]), a_step([[TINY_ROW]], [0.0], lost=ETA * LARGE)]


def many_radii():
    count = MANY.size
    return [a_step(np.zeros((count, 1)), np.zeros(count), MANY, spread=np.zeros(1))]


@example("relaxation",
         ("error = joint.error(before, 0.0)  #", "error = 0.0 * joint.bias[None]  #"),
         ("rows.error + _each(np.abs(rows.sides), behind.whole)", "rows.error"),
         ("error = error + joint.times(behind.whole.T, sizes=True).T", "pass"),
         ("error = error + 2 * UNIT * np.abs(constant) + behind.lost\n    return",
          "error = error + behind.lost\n    return"),
         ("2 * UNIT * np.abs(constant) + behind.lost\n    return", "2 * UNIT * np.abs(constant)\n    return"),
         ("terms + behind.matrix.shape[-2] + 4", "terms"))  # fmt: skip
def rows_carried_backward_round(m):
    contains(carried(m, [2.0], [a_step([[0.0]], [1.0])], radius=0.5), F(5, 2))
    contains(carried(m, [2.0], [a_step([[0.0]], [0.0], [1.0])]), F(2))
    two = [a_step([[0.0]], [0.0], [1.0]), a_step([[2.0]], [0.0])]
    contains(carried(m, [1.0], two), F(2))
    two = [a_step([[0.0]], [0.0]), a_step([[2.0]], [0.0], [1.0])]
    contains(carried(m, [1.0], two), F(1))
    contains(carried(m, [1.0], THREE, before=(0.0,)), F(SMALL))
    contains(
        carried(m, [TINY_ROW], behind_a_product_that_underflows()), F(TINY_ROW) ** 2 * F(LARGE)
    )
    contains(
        carried(m, np.ones(MANY.size), many_radii(), before=np.zeros(MANY.size)), sum(map(F, MANY))
    )


@example("relaxation",
         ("error = stage.joint.error(before, 0.0)[:, :units]", "error = np.zeros((1, units))"),
         ("error = error + (size @ behind.radius[..., None])[..., 0]", "pass"),
         ("error = error + 2 * UNIT * np.abs(constant) + behind.lost\n        some",
          "error = error + behind.lost\n        some"),
         ("* np.abs(constant) + behind.lost\n        some", "* np.abs(constant)\n        some"),
         ("(weight + SMALLEST, behind.difference[:, some])", "(weight, behind.difference[:, some])"),
         ("row, error, forms.terms, forms.inputs)", "row, error, 1, forms.inputs)"),
         ("np.minimum(high[:, :units], tight.upper)", "0.0"),
         ("np.maximum(low[:, :units], tight.lower)", "0.0"))  # fmt: skip
def rows_with_corners_round(m):
    contains(carried(m, [2.0], [a_step([[0.0]], [1.0])], radius=0.5, corners=True), F(5, 2))
    contains(carried(m, [2.0], [a_step([[0.0]], [-1.0])], radius=0.5, corners=True), F(-5, 2))
    contains(carried(m, [2.0], [a_step([[0.0]], [0.0], [1.0])], corners=True), F(2))
    contains(carried(m, [1.0], THREE, before=(0.0,), corners=True), F(SMALL))
    steps = behind_a_product_that_underflows()
    contains(carried(m, [TINY_ROW], steps, corners=True), F(TINY_ROW) ** 2 * F(LARGE))
    steps = [a_step([[0.0]], [0.0], spread=(TINY_ROW,), q=LARGE)]
    contains(carried(m, [TINY_ROW], steps, corners=True), F(TINY_ROW) ** 2 * F(LARGE))
    found = carried(m, np.ones(MANY.size), many_radii(), before=np.zeros(MANY.size), corners=True)
    contains(found, sum(map(F, MANY)))


@example("relaxation", ("rows = _where_finite(rows)", "pass"))
def rows_that_overflow_say_nothing(m):
    net = Network.dense([[[1.0, 2.0]], [[0.5]]], activation="tanh")
    box = Interval(np.full((1, 2), -1e200), np.full((1, 2), 1e200))
    stages = side_by_side(unroll(net), unroll(net), box[0])
    found = m.ranges(stages, box, relax=True)[-1].output_difference
    assert float(found.magnitude.max()) <= 1.001


# difference.py


@example(
    "difference",
    (
        "grow(one + two, 2)",
        "one + two",
    ),
    ("np.nextafter(self.values + self.rounding, np.inf)", "self.values + self.rounding"),
)
def sums_of_bounds_round(m):
    f, g = (Network.dense([[[1.0]]]) for _ in "fg")
    m.evaluation_error = lambda network, box, dtype: np.array([1.0 if network is f else SMALL])
    bound = m.bound_difference(f, g, (0, 1), splits=0)
    assert F(bound.rounding.item()) >= 1 + F(SMALL)
    m.evaluation_error = lambda network, box, dtype: np.array([SMALL / 2])
    bound = replace(bound, relaxation=None, intervals=np.array([1.0]))
    assert F(bound.computed.item()) >= 1 + F(SMALL)


# evaluation.py: what is claimed for one step, from the sizes and errors of what it reads


UNIT64 = 2.0**-53


def known(m, low, high, error=0.0):
    return m._Known(Interval(np.array([low]), np.array([high])), np.array([error]))


def walk(m, dtype="float64"):
    return m._Walk(Network.dense([[[1.0]]]), PRECISIONS[dtype])


def pairs_of_values(m):
    for size, error, other, more in (
        (1.0, 0.0, SMALL, 0.0), (0.0, 1.0, 0.0, 0.25), (0.0, 1.99, 0.0, 0.99 * UNIT64), (1.0, 0.5, 2.0, 0.25),
        (1.0, 0.0, 1.0, 0.0), (1.0, 0.0, 0.0, 1.0), (0.0, 1.0, 1.0, 0.0), (2.0**-600, 0.0, 2.0**-600, 0.0),
        *(np.random.default_rng(0).uniform(0.1, 1.0, (30, 4)) * [1, 0, 0, 1]).tolist(),
    ):  # fmt: skip
        for x, y in (((size, error), (other, more)), ((other, more), (size, error))):
            yield known(m, -x[0], x[0], x[1]), known(m, -y[0], y[0], y[1]), x, y


@example(
    "evaluation",
    ("a.error + b.error + self._unit * size", "b.error + self._unit * size"),
    ("a.error + b.error + self._unit * size", "a.error + self._unit * size"),
    ("a.error + b.error + self._unit * size", "a.error + b.error"),
    ("grow(a.error + b.error + self._unit * size, 4)", "a.error + b.error + self._unit * size"),
)
def sums_of_values(m):
    for a, b, (x, e), (y, d) in pairs_of_values(m):
        found = walk(m)._sum(a, b).error.item()
        assert F(found) >= F(e) + F(d) + F(UNIT64) * (F(x) + F(y) + F(e) + F(d))


@example(
    "evaluation",
    ("spread = a.size * b.error + a.error * b.size", "spread = a.error * b.size"),
    ("spread = a.size * b.error + a.error * b.size", "spread = a.size * b.error"),
    ("self._unit * a.size * b.size + self._precision.smallest", "self._precision.smallest"),
    ("self._unit * a.size * b.size + self._precision.smallest", "self._unit * a.size * b.size"),
    (
        "self._precision.smallest\n        return _Known(a.range * b.range, grow(spread + own, 6))",
        "self._precision.smallest\n        return _Known(a.range * b.range, spread + own)",
    ),
)
def products_of_values(m):
    for a, b, (x, e), (y, d) in pairs_of_values(m):
        found = F(walk(m)._product(a, b).error.item())
        sizes = (F(x) + F(e)) * (F(y) + F(d))
        assert found >= (F(x) + F(e)) * F(d) + F(e) * F(y) + F(UNIT64) * sizes
    single = walk(m, "float32")._product(
        known(m, 2.0**-100, 2.0**-100), known(m, 2.0**-50, 2.0**-50)
    )
    assert single.error.item() >= 2.0**-150  # which float32 rounds to 0


def own_error(m, name, z, dtype="float32"):
    phi, at = activation(name), Interval.point(np.array([z]))
    value = np.abs(phi(np.array([z])))
    return F(m._own(phi, at, value, PRECISIONS[dtype]).item())


@example(
    "evaluation",
    ("4 * unit * (slope * size + intercept) + 2 *", "2 *"),
    ("+ 2 * precision.smallest)", ")"),
    ("4 * unit * (slope * size + intercept)", "4 * unit * intercept"),
    ("(slope * size + intercept)", "(slope * size)"),
)
def lines_are_evaluated(m):
    for z in (-1.0, -0.7, -(2.0**-149)):
        z = float(np.float32(z))
        computed = np.float32(0.3) * np.float32(z)
        assert own_error(m, "leaky_relu:0.3", z) >= abs(F(0.3) * F(z) - F(float(computed)))
    # clipped at a number that float32 does not hold
    assert own_error(m, "hard_tanh:0.1,0.3", 0.0) >= abs(F(0.1) - F(float(np.float32(0.1))))


@example(
    "evaluation",
    ("relative * total + below", "below"),
    ("relative * total + below", "relative * total"),
    (
        "np.where(total <= precision.largest, relative * total + below, np.inf)",
        "relative * total + below",
    ),
)
def polynomials_are_evaluated(m):
    coefficients = [float(np.float32(c)) for c in (0.1, 0.7, 0.3)]
    name = f"polynomial:{','.join(map(repr, coefficients))}"
    for z in (float(np.float32(0.7)), 1.5, -3.0):
        computed = np.float32(0)
        for c in reversed(coefficients):
            computed = np.float32(computed * np.float32(z)) + np.float32(c)
        truth = sum(F(c) * F(z) ** k for k, c in enumerate(coefficients))
        assert own_error(m, name, z) >= abs(truth - F(float(computed)))
    least, z = 3 * 2.0**-149, float(np.float32(0.3))  # the product is a multiple of 2⁻¹⁴⁹
    computed = np.float32(least) * np.float32(z)
    error = own_error(m, f"polynomial:0,{least!r}", z)
    assert error >= abs(F(least) * F(z) - F(float(computed)))
    large = Interval.point(np.array([1e30]))
    assert m._own(activation("polynomial:0,0,1.0"), large, 0, PRECISIONS["float32"]) == np.inf


@example(
    "evaluation",
    ("error = error * max(1.0, abs(phi.slopes[1]))", "pass"),
    ("LIBRARY_ERROR * unit * (1 + size + value)", "0.0"),
)
def an_elu_with_a_large_factor_is_evaluated(m):
    """alpha·(e^z − 1), each step rounded."""
    z = float(np.float32(-1e-4))
    computed = np.float32(1000) * (np.exp(np.float32(z)) - np.float32(1))
    assert own_error(m, "elu:1000.0", z) >= abs(F(float(1000 * np.expm1(z))) - F(float(computed)))


@example(
    "evaluation",
    ("error = error + np.where(z.upper > _THRESHOLD, 1.01 * exp(-_THRESHOLD), 0.0)", "pass"),
)
def a_softplus_beyond_its_threshold_is_evaluated(m):
    """torch gives z itself there, which is e⁻ᶻ too little."""
    z = 20.0 + 2.0**-30
    assert own_error(m, "softplus", z, "float64") >= F(float(np.exp(-z)))


@example(
    "evaluation",
    ("np.minimum(slope * x.error, values.upper - values.lower)", "0.0"),
    ("apart + own", "apart"),
    ("down(x.range.lower - x.error), up(x.range.upper + x.error)", "x.range.lower, x.range.upper"),
)
def errors_pass_activations(m):
    w = walk(m)
    assert w._applied(activation("leaky_relu:0.5"), known(m, 1.0, 1.0, 0.25)).error.item() >= 0.25
    assert w._applied(activation("relu"), known(m, -1.0, -1.0, 2.0)).error.item() >= 1  # relu(1)
    assert w._applied(activation("tanh"), known(m, 1.0, 1.0)).error.item() >= UNIT64


@example("evaluation", ("terms += LIBRARY_ERROR", "pass"),
         ("lost += LIBRARY_ERROR * self._precision.smallest * ((size > 0) @ x.size)", "pass"),
         ("lost[size.max(axis=1) > self._precision.largest] = np.inf", "pass"),
         ("constant = np.maximum(constant, np.repeat(doubt.size, prod(after[1:])))", "pass"))  # fmt: skip
def factors_made_in_the_dtype_are_evaluated(m):
    """As far as :data:`ASSUMED` goes: sixteen units of the factor, and of the smallest number times x."""

    def error(factor, x, constant=0.0, size=0.0):
        node = Affine("n", ("x",), np.array([[factor]]), np.array([constant]), (), (), (), True,
                      doubt=Doubt(np.zeros((1, 1)), np.zeros(1), np.array([size])))  # fmt: skip
        network = Network((Input("x", (), (1,)), node), ("n",))
        w = m._Walk(network, PRECISIONS["float32"])
        return w._linear(node, known(m, x, x), (1,), (1,)).error.item()

    unit = 2.0**-24
    assert error(1.0, 1.0) >= 16 * unit
    assert error(2.0**-149, 2.0**60) >= 16 * 2.0**-89
    assert error(1e39, 1e-20) == np.inf
    assert error(1.0, 0.0, 0.0, 3.0) >= 16 * unit * 3


def evaluated_apart(m, nodes, x):
    network = Network((Input("x", (), (len(x),)), *nodes), (nodes[-1].name,), "float32")
    return F(m.evaluation_error(network, Interval.point(np.array(x)), "float32").item())


@example(
    "evaluation",
    ("(self._multiplied(n) for n in", "(0.0 for n in"),
    (" + (LIBRARY_ERROR if reader.is_scale else 0)", ""),
)
def layers_multiplied_beforehand_are_evaluated(m):
    """The sums of 2⁻²⁵ are lost in one column of the product; or each weight is off by a factor's error."""
    count = 4000
    first = np.full((count, 2), [2.0**-25, 0.0])
    first[0] = 1.0
    layers = Affine("a", ("x",), first), Affine("b", ("a",), np.ones((1, count)))
    assert evaluated_apart(m, layers, [1.0, -1.0]) >= count // 2 * F(2) ** -25
    doubt = Doubt(np.zeros((1, 1)), np.zeros(1))
    scale = Affine("b", ("a",), np.ones((1, 1)), None, (), (), (), True, doubt=doubt)
    # the two products are off by sixteen units each, and the values nearly cancel
    layers = Affine("a", ("x",), np.array([[1.0, 1.0]])), scale
    assert evaluated_apart(m, layers, [1.0, -1.0]) >= 2 * 16 * F(2) ** -24


@pytest.mark.parametrize(("check", "name", "term", "instead"), CASES)
def test_every_term_is_needed(check, name, term, instead):
    found = module(name, term, instead)
    with np.errstate(all="ignore"):
        if not term:
            check(found)
            return
        try:
            check(found)
        except (AssertionError, SymlumpError):
            return
    pytest.fail("the example holds without the term")
