"""A bound of |f − f̂| in which what is added up is added up with its sign, as polynomials in the inputs.

Bands of a last hidden layer that are added up in size grow with its width, though most of it cancels: a
function of eight variables has few coefficients of low degree, however many units it is a sum of. So
two networks of two hidden layers each are expanded on a small box in a few inputs, and only what no
polynomial says is added up in size. Inputs are scaled to −1 ≤ t_j ≤ 1. Of a unit of the second layer:

1. Its pre-activation is z = m + ℓ + n + s + e. Here m + ℓ + n is a cubic in t (:mod:`.corners`), made from the
   cubics along the first layer's units; ℓ is linear and n the rest, s = Σ_j W_j·ρ_j with |ρ_j| ≤ r_j is what
   these leave, and e is rounding.
2. By Taylor's formula, every · being some number in the range in question,
   φ(z) = φ(m+ℓ) + φ'(m+ℓ)·(n + s) + φ''(·)·n²/2 + φ''(·)·n·s + φ''(·)·s²/2 + φ'(·)·e,
   and certified bands say φ(m+ℓ) = q(ℓ) ± R of degree 5, φ'(m+ℓ) = p(ℓ) ± P of degree 3 and σ(ℓ) ± S of
   degree 2, and φ''(·)/2 = b ± h.
3. Σ w·(q(ℓ) + p(ℓ)·n + b·n²) over all units of both networks, w being the output's weights, is one
   polynomial of degree 6, and is bounded by its coefficients (:mod:`.expansion`).
4. Σ w·σ(ℓ)·s = Σ_j ρ_j·v_j(t) with v_j = Σ w·σ(ℓ)·W_j. With c_j the constant of v_j, the sum of
   r_j·|v_j(t) − c_j| is convex in each input where v_j is affine in each, so it is largest at a corner;
   coefficients of 2·t² − 1 are added up in size. By a band of degree 5 around the first layer's unit j, c_j·ρ_j
   is a part of the polynomial in 3, and a smaller rest.
5. With numbers α² ≥ |w|, Σ |w|·x·|s| ≤ (Σ |w|·x²)^½·|α·s|₂, and |α·s|₂ is at most the spectral norm of α·W/β
   times |β·r|₂, for any β > 0. That bounds what S·s, φ''·n·s and φ''·s² add.
6. Σ c·n² with c ≥ 0 is a quadratic form in functions of t, whose entries are sums with signs. P·|n| is at most
   P·(a + n²/a)/2 for any a > 0.

Rounding: the coefficients of each polynomial are whatever floats they are. What is left out by choosing them
is in e, or in the last terms of each sum.

Underflow: a product loses at most 2⁻¹⁰⁷⁴, which later numbers multiply: coefficients of bands, an output's
weight, and at most five others. With these below 2³⁰⁰, 2¹⁰⁰ and 2⁶⁰ (else there is no bound) all of it is less
than 2⁻³⁰⁰. What is lost before a square root is counted there.

References
----------
Makino, Berz, "Taylor models and other validated functional inclusion methods", International Journal of Pure
and Applied Mathematics 4 (2003); Rump, "Verification of positive definiteness",
doi:10.1007/s10543-006-0056-1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from symlump.enclosures.affine import AffineMap
from symlump.enclosures.interval import TINY, UNIT, Interval, around, gamma, grow, up
from symlump.network.activations.activation import Activation
from symlump.network.bounds.bands import Band, bent
from symlump.network.bounds.corners import product
from symlump.network.bounds.curves import Curve, curve, slope_curve
from symlump.network.bounds.expansion import CubicTerms, Expansion, powers
from symlump.network.bounds.joint import SMALLEST
from symlump.network.bounds.pairing import Link, Stage
from symlump.network.bounds.steps import AffineForms, compose
from symlump.ode.exact import FloatArray

#: With more inputs than this, there are too many products of three, and too many corners.
MOST_INPUTS = 8
#: With more outputs, too many norms.
MOST_OUTPUTS = 16
_PARTS = 32  # of an interval, for a band of degree 5
_OVERHEAD = 2e8
#: More than all sums and products on the way to one coefficient, but for those over units.
_MANY = 1 << 20
#: What nothing on the way may reach: numbers, an output's weights, coefficients; and what then underflows.
_LARGE, _HEAVY, _STEEP, _LOST = 2.0**60, 2.0**100, 2.0**300, 2.0**-300


@dataclass(frozen=True, eq=False)
class Signed:
    """Two networks of two hidden layers, ready to be bounded on small boxes."""

    one: _Half
    two: _Half

    @classmethod
    def of(cls, stages: Sequence[Stage]) -> Signed | None:
        """From stages; None where they are not three, have kinks, or more than 8 inputs or 16 outputs."""
        if len(stages) != 3 or not stages[-1].is_linear:
            return None
        found = [
            _Half.of([stage.original for stage in stages]),
            _Half.of([stage.reduced for stage in stages]),
        ]
        one, two = found
        return None if one is None or two is None else cls(one, two)

    @property
    def cost(self) -> float:
        """About how many additions and multiplications one box takes, or could be made meanwhile."""
        return self.one.cost + self.two.cost + _OVERHEAD

    def __call__(self, box: Interval) -> FloatArray:
        """Bound |f − f̂| on boxes of inputs; infinite where numbers overflow.

        Parameters
        ----------
        box : Interval of shape (boxes, inputs)

        Returns
        -------
        ndarray, shape (boxes, outputs)
        """
        with np.errstate(all="ignore"):
            found = np.stack([self._on(*box[k].ball()) for k in range(box.shape[0])])
        return np.where(np.isnan(found), np.inf, found)

    def _on(self, centre: FloatArray, half: FloatArray) -> FloatArray:
        sums = Expansion(self.one.last.bias.size, centre.size)
        rest = self.one.expand(1.0, centre, half, sums) + self.two.expand(-1.0, centre, half, sums)
        middle, others = sums.bound()
        return up(grow(np.abs(middle) + others + rest, 4096))


@dataclass(frozen=True, eq=False)
class _Half:
    """One of them.

    Parameters
    ----------
    before : ndarray
        β, for units of the first layer.
    norms : ndarray, shape (outputs,)
        At least the spectral norm of α·W/β, where α² is at least the size of an output's weights.
    """

    first: Link
    second: Link
    last: AffineMap
    before: FloatArray
    norms: FloatArray

    @classmethod
    def of(cls, links: Sequence[Link]) -> _Half | None:
        first, second, last = links
        few = first.affine.weight.shape[1] <= MOST_INPUTS and last.affine.bias.size <= MOST_OUTPUTS
        if not few or not min(link.affine.bias.size for link in links):
            return None
        if any(
            not isinstance(link.activation, Activation)
            or link.activation.pieces is not None
            or link.activation.kinks
            for link in (first, second)
        ):
            return None
        weight = second.affine.weight
        with np.errstate(all="ignore"):
            before = np.sqrt((weight**2).sum(axis=0))
            before[~((before > 0) & np.isfinite(before))] = 1.0
            norms = [_weighted_norm(w, weight, before) for w in np.abs(last.affine.weight)]
        return cls(first, second, last.affine, before, np.array(norms))

    @property
    def cost(self) -> float:
        """About how many additions and multiplications one box takes."""
        outputs, units = self.last.weight.shape
        some = CubicTerms.of(self.first.affine.weight.shape[1])
        columns = some.signs.shape[1]
        inner = self.first.affine.bias.size
        through = 2.0 * units * inner * (columns + 45 * outputs)
        return float(through + 2.0 * units * columns * (256 + outputs * (3 * columns + 700)))

    def expand(
        self, sign: float, centre: FloatArray, half: FloatArray, sums: Expansion
    ) -> FloatArray:
        """Add sign times the network's polynomials to the sums; the rest is at most what is returned."""
        n = centre.size
        first, some = self._first(centre, half), CubicTerms.of(n)
        if first is None:
            return np.full(self.last.bias.size, np.inf)
        units, columns = first.matrix.shape
        affine, last = self.second.affine, self.last
        # z = middle + Σ sides·(functions of t) + s ± error, |s| ≤ far
        middle, sides = affine.weight @ first.constant + affine.bias, affine.weight @ first.matrix
        error = affine.error(first.size, gamma(units + columns + 8))
        far = grow(affine.size @ first.radius, units + 4)
        linear, rest = sides[:, :n], sides[:, n:]
        reach, most = grow(np.abs(linear).sum(axis=1), n), some.largest(sides)
        most = np.maximum(most, reach)
        whole = around(middle, grow(most + far + error, 8))
        parts = (sides, affine.size, first.size, first.radius, self.before)
        if not _are_below(_LARGE, whole.magnitude, *parts) or not _are_below(_HEAVY, last.size):
            return np.full(last.bias.size, np.inf)
        phi, slope = _curves(self.second, whole)
        quintic = bent(phi, around(middle, reach), middle, 5, _PARTS)
        line = bent(slope, around(middle, reach), middle, 3)
        sigma = bent(slope, around(middle, reach), middle, 2)
        bends = slope.slopes(around(middle, most))
        (b, loose), steep = (bends * 0.5).ball(), bends.magnitude
        coefficients = [c for band in (quintic, line, sigma) for c in _coefficients(band)]
        if not _are_below(_LARGE, steep) or not _are_below(_STEEP, *coefficients):
            return np.full(last.bias.size, np.inf)
        weight, sizes = sign * last.weight, last.size
        # |α·s|₂, and about the mean of |n|
        norm = self.norms * np.sqrt(grow((first.radius * self.before) ** 2, 4).sum())
        typical = 1.5 * np.sqrt((rest**2).sum(axis=1)) + 1e-100
        found = sizes @ (quintic.radius + phi.slopes(whole).magnitude * error)
        found = found + slope.slopes(whole).magnitude.max() / 2 * norm**2
        loud = grow(sizes @ grow(sigma.radius**2, 4), sizes.shape[1])
        found = found + norm * np.sqrt(loud)
        found = found + norm * np.sqrt(some.squares(sizes * grow(steep**2, 4), rest))
        found = found + sizes @ (line.radius * typical / 2)
        found = found + some.squares(sizes * (loose + line.radius / typical / 2), rest)
        # what is added up with its sign, and what it rounds
        found = found + self._inner(weight, sigma, linear, first, sums)
        levels = powers(linear, 3)
        _add_quintic(sums, weight, quintic, levels)
        for k, w in enumerate(weight):
            factors = [w * c for c in (line.offset, *_coefficients(line))]
            left = [x * c[:, None] for x, c in zip(levels, factors, strict=True)]
            sums.terms["crossed"][k] += np.concatenate(left, axis=1).T @ rest
            sums.terms["squares"][k] += (rest * (w * b)[:, None]).T @ rest
        sums.terms["plain"][:, 0] += sign * last.bias
        wide = 7 * np.abs(rest).sum(axis=1)
        total = np.abs(quintic.offset) + sum(_sizes(quintic, reach)) + np.abs(b) * wide**2
        total = total + (np.abs(line.offset) + sum(_sizes(line, reach))) * wide
        found = found + gamma(_MANY + last.weight.shape[1]) * (sizes @ total)
        found = found + last.error(phi.values(whole).magnitude, gamma(last.weight.shape[1] + 8))
        return grow(found + _LOST, 4 * (last.weight.shape[1] + units + columns**2))

    def _first(self, centre: FloatArray, half: FloatArray) -> _Inner | None:
        """The first layer's units along cubics, and along polynomials of degree 5."""
        affine, n = self.first.affine, centre.size
        middle, sides = affine.weight @ centre + affine.bias, affine.weight * half
        error = affine.error(np.abs(centre) + half, gamma(n + 8))
        reach = grow(np.abs(sides).sum(axis=1) + error, n + 4)
        z = around(middle, reach)
        if not _are_below(_LARGE, z.magnitude):
            return None
        phi, _ = _curves(self.first, z)
        inner = AffineForms(middle, sides, error)
        matrix, constant, radius = compose(phi, z, inner, None, 2, gamma(2 * n * n + 24))
        radius = grow(radius + 2 * SMALLEST * matrix.shape[1], 64)
        quintic = bent(phi, z, middle, 5, _PARTS)
        if not _are_below(_STEEP, *_coefficients(quintic)):
            return None
        steep = sum(k * size for k, size in enumerate(_sizes(quintic, reach), 1))
        # a polynomial at u ± error: the sum of k·|c_k|·|u|ᵏ⁻¹ is k·|c_k|·|u|ᵏ over |u|
        doubt = quintic.radius + steep * (error / np.where(reach > 0, reach, 1.0))
        wide = np.abs(matrix).sum(axis=1)
        size = grow(np.abs(constant) + wide + radius, matrix.shape[1] + 8)
        total = np.abs(quintic.offset) + sum(_sizes(quintic, reach)) + np.abs(constant) + 7 * wide
        return _Inner(constant, matrix, radius, size, sides, quintic, doubt, total)

    def _inner(
        self,
        weight: FloatArray,
        sigma: Band,
        linear: FloatArray,
        first: _Inner,
        sums: Expansion,
    ) -> FloatArray:
        """Add what Σ_j v_j(0)·ρ_j is up to degree 5; the rest of Σ_j |v_j(t)|·|ρ_j| is returned."""
        affine, (outputs, outer) = self.second.affine, weight.shape
        n, units = first.sides.shape[1], first.radius.size
        square, crossed = product(linear, linear)
        level, curl = sigma.offset + sigma.bend * square, sigma.bend[:, None] * crossed
        columns = np.column_stack([level, sigma.slope[:, None] * linear, curl])
        rows = (weight.T[:, :, None] * columns[:, None, :]).reshape(outer, -1)
        through = (affine.weight.T @ rows).reshape(units, outputs, -1)
        # (the sum in ``level`` may cancel)
        size = np.abs(columns).sum(axis=1) + 2 * np.abs(sigma.bend) * square
        doubt = np.abs(weight) * size @ affine.size
        mean = np.ascontiguousarray(through[:, :, 0].T)
        # t_j and t_j·t_k, which are affine in each input, and 2·t_j² − 1
        multilinear = np.concatenate([through[:, :, 1 : n + 1], through[:, :, 2 * n + 1 :]], axis=2)
        flat = np.abs(through[:, :, n + 1 : 2 * n + 1]).sum(axis=2)
        found = flat.T @ first.radius + gamma(2 * outer + 256) * (doubt @ first.radius)
        signs = CubicTerms.of(n).signs[:, : multilinear.shape[2]]
        for k in range(outputs):
            found[k] += (np.abs(signs @ multilinear[:, k].T) @ first.radius).max()
        _add_quintic(sums, mean, first.quintic, powers(first.sides, 3))
        sums.terms["plain"][:, 0] -= mean @ first.constant
        back = mean @ first.matrix
        sums.terms["plain"][:, 1 : n + 1] -= back[:, :n]
        sums.terms["crossed"][:, 0] -= back[:, n:]
        size = first.doubt + gamma(_MANY + units) * first.total
        return np.asarray(found + np.abs(mean) @ size)


@dataclass(frozen=True, eq=False)
class _Inner:
    """Units of the first layer: constant + matrix·(functions of t) ± radius, in size at most ``size``.

    Also q(sides·t) ± doubt with q of degree 5; ``total`` is at least what is added up for either.
    """

    constant: FloatArray
    matrix: FloatArray
    radius: FloatArray
    size: FloatArray
    sides: FloatArray
    quintic: Band
    doubt: FloatArray
    total: FloatArray


def _are_below(limit: float, *numbers: FloatArray) -> bool:
    """Whether all are, in size; what overflowed is not."""
    return all(bool((np.abs(some) < limit).all()) for some in numbers)


def _curves(link: Link, z: Interval) -> tuple[Curve, Curve]:
    """The activation and its slope where z is."""
    assert isinstance(link.activation, Activation)
    extent = float(z.magnitude.max())
    return curve(link.activation, extent), slope_curve(link.activation, extent)


def _coefficients(band: Band) -> list[FloatArray]:
    """Of u, u², …"""
    return [band.slope, band.bend, np.asarray(band.twist), *band.higher]


def _sizes(band: Band, reach: FloatArray) -> list[FloatArray]:
    """At least the size of each power's term where u is at most ``reach`` in size."""
    return [np.abs(c) * reach**k for k, c in enumerate(_coefficients(band), 1)]


def _add_quintic(
    sums: Expansion, weight: FloatArray, band: Band, levels: Sequence[FloatArray]
) -> None:
    """Add Σ w·(the band's polynomial of degree 5), given the powers of its argument up to the third."""
    *lower, fourth, fifth = (band.offset, *_coefficients(band))
    start = 0
    for level, c in zip(levels, lower, strict=True):
        sums.terms["plain"][:, start : start + level.shape[1]] += (weight * c) @ level
        start += level.shape[1]
    for k, w in enumerate(weight):
        square = levels[2] * w[:, None]
        sums.terms["fourth"][k] += (square * fourth[:, None]).T @ levels[2]
        sums.terms["fifth"][k] += (square * fifth[:, None]).T @ levels[3]


def _weighted_norm(size: FloatArray, weight: FloatArray, before: FloatArray) -> float:
    """At least the spectral norm of α·W/β with α² ≥ size.

    Examples
    --------
    >>> found = _weighted_norm(np.ones(2), np.array([[3.0, 0.0], [4.0, 0.0]]), np.ones(2))
    >>> bool(5.0 <= found < 5.1)
    True
    """
    scaled = up(np.sqrt(size))[:, None] * weight / before
    gram = scaled.T @ scaled if weight.shape[0] >= weight.shape[1] else scaled @ scaled.T
    norm = np.sqrt(_largest_eigenvalue(gram, max(weight.shape)))
    # each entry was rounded twice, or underflowed
    norm = norm + 4 * UNIT * np.sqrt(np.trace(gram)) + weight.size * SMALLEST / before.min()
    return float(norm * (1 + 1e-9))


def _largest_eigenvalue(gram: FloatArray, terms: int) -> float:
    """At least the largest eigenvalue of MᵀM, computed in floats from sums of so many products.

    λ·I − MᵀM is positive semidefinite if Cholesky's method comes to its end with a bit less.
    """
    size, trace = len(gram), float(np.trace(gram))
    if not np.isfinite(trace):
        return float("inf")
    vector = np.ones(size)
    for _ in range(32):
        image = gram @ vector
        vector = image / max(float(np.sqrt(image @ image)), 1e-300)
    # (what is less than TINY is in the doubt; a subnormal guess might never grow)
    guess = max(float(vector @ gram @ vector), trace / size, TINY)
    while (guess := guess * 1.02) < trace:
        try:
            np.linalg.cholesky(guess * np.eye(size) - gram)
        except np.linalg.LinAlgError:
            continue
        break
    # the product is off by γ·trace in norm; the difference by one unit, and the method by γ times its trace
    doubt = 8 * gamma(terms + size + 8) * (trace + size * guess)
    return (min(guess, trace) + doubt) * (1 + 8 * UNIT) + TINY
