"""Two networks side by side: which unit of one stands for which unit of the other, and their difference.

Both networks become chains of links h = φ(W·h + b) of equal length. Each hidden unit i of the original
gets a partner p in the same layer of the other network (ĥ), with an identity of the activation that
holds for all v:

    φ(a·v) = s·φ(v) + c        (a, s, c) = (1, 1, 0), or a sign, or a positive scale, or (0, 0, φ(0)).

Then the differences δz = z − a·ẑ_p and δh = h − s·ĥ_p − c obey, exactly,

    δz = W·δh + (W·S − A·Ŵ_p)·ĥ + (b + W·c − A·b̂_p),

with S, A the matrices of the scales: the coefficients of ĥ are what the reduction changed. Any choice of
partners gives a correct bound; a good one gives a small one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from symlump.enclosures.affine import AffineMap
from symlump.enclosures.boxes import samples_of
from symlump.enclosures.interval import Interval
from symlump.errors import SubjectError
from symlump.network.activations.activation import Activation
from symlump.network.activations.table import activation
from symlump.network.bounds.joint import Joint, Pairs
from symlump.network.bounds.mixed import Mixed, parts_of
from symlump.ode.exact import FloatArray, IntArray

#: Partners are compared on so many samples; of layers wider than 256 on fewer, of so many numbers.
_SAMPLES, _FEWEST, _NUMBERS = 256, 64, 1 << 16
_SEED = 0
_IDENTITY = activation("identity")


@dataclass(frozen=True, eq=False)
class Link:
    """One stage of a network: h = φ(W·h + b), with weights known up to a radius."""

    affine: AffineMap
    activation: Activation | Mixed


@dataclass(frozen=True, eq=False)
class Stage:
    """One layer of both networks, and the affine map (δh, ĥ) ↦ (δz, ẑ) into it."""

    original: Link
    reduced: Link
    joint: Joint

    @property
    def pairs(self) -> Pairs:
        """Who is compared with whom."""
        return self.joint.pairs

    @property
    def is_linear(self) -> bool:
        """Whether nothing happens to either network here, and no partner is scaled."""
        one, two, pairs = self.original.activation, self.reduced.activation, self.pairs
        plain = bool(np.all(pairs.before == 1) and np.all(pairs.after == 1))
        return one == two == _IDENTITY and plain and not pairs.offset.any()

    def parted(self, units: npt.NDArray[np.bool_]) -> tuple[Stage, IntArray]:
        """The same stage, where some units are compared with φ(0) instead of a partner.

        Then δz = z there; also said is which rows of (δz, ẑ, z) are now those of (δz, ẑ).
        """
        pairs, count = self.pairs, self.pairs.partner.size
        taken = np.arange(self.joint.shape[0])
        taken[:count] = np.where(units, self.joint.whole, taken[:count])
        at_zero = self.original.activation(np.zeros(count))
        new = Pairs(
            pairs.partner,
            np.where(units, 0.0, pairs.before),
            np.where(units, 0.0, pairs.after),
            np.where(units, at_zero, pairs.offset),
        )
        return replace(self, joint=self.joint.parted(units, new)), taken

    def after(self, before: Pairs) -> Stage:
        """The same stage behind other pairs."""
        joint = Joint.of(self.original.affine, self.reduced.affine, before, self.pairs)
        return replace(self, joint=joint)


def side_by_side(
    original: Sequence[Link],
    reduced: Sequence[Link],
    box: Interval,
    unit_maps: Sequence[IntArray] | None = None,
) -> list[Stage]:
    """Align two networks with equal inputs and outputs.

    Parameters
    ----------
    unit_maps : sequence of ndarray of int, optional
        For each hidden layer the partner of each unit, −1 for none. It is used where it fits the
        layers; elsewhere partners are sought by comparing what units do on samples from the box.

    Raises
    ------
    MethodError
        If inputs or outputs differ in number.
    """
    first, second = list(original), list(reduced)
    sizes = [(c[0].affine.weight.shape[1], c[-1].affine.bias.size) for c in (first, second)]
    if sizes[0] != sizes[1]:
        raise SubjectError(
            f"the networks have {sizes[0][0]} and {sizes[1][0]} inputs, {sizes[0][1]} and {sizes[1][1]} "
            "outputs; a bound of the difference needs equal numbers"
        )
    _lengthen(first, len(second))
    _lengthen(second, len(first))
    maps = _fitting_maps(unit_maps, first, second)
    widest = max(link.affine.bias.size for link in (*first, *second))
    count = int(np.clip(_NUMBERS // widest, _FEWEST, _SAMPLES))
    x = samples_of(box, count, np.random.default_rng(_SEED))
    h = g = x
    before: Pairs | None = None
    stages: list[Stage] = []
    for number, (one, two) in enumerate(zip(first, second, strict=True)):
        with np.errstate(all="ignore"):  # samples are a guide only
            z = h @ one.affine.weight.T + one.affine.bias
            v = g @ two.affine.weight.T + two.affine.bias
            # Outputs are compared in their order, not with what happens to be nearest.
            last = number == len(first) - 1
            pairs = _same(z.shape[1]) if last else _chosen(one, two, z, v, maps[number])
            h, g = one.activation(z), two.activation(v)
        stages.append(Stage(one, two, Joint.of(one.affine, two.affine, before, pairs)))
        before = pairs
    return stages


def _chosen(one: Link, two: Link, z: FloatArray, v: FloatArray, hint: IntArray | None) -> Pairs:
    """Partners for every unit, among those with its activation: of parts with the same one in their order."""
    if not isinstance(one.activation, Mixed) and not isinstance(two.activation, Mixed):
        return choose(one.activation, two.activation, z, v, hint)
    others = parts_of(two.activation, v.shape[1])
    found: list[Pairs] = []
    for phi, units in parts_of(one.activation, z.shape[1]):
        place = next((k for k, (psi, _) in enumerate(others) if psi == phi), None)
        if place is None:
            none = _none(phi, _Far.of(z[:, units], phi(z[:, units])))
            found.append(Pairs(none.partner, none.before, none.after, none.offset))
            continue
        _, there = others.pop(place)
        # As many units: each its own. (Windows that overlap may have equal values, and are not the same.)
        count = units.stop - units.start
        own = np.arange(count) if there.stop - there.start == count else None
        pairs = choose(phi, phi, z[:, units], v[:, there], own)
        found.append(replace(pairs, partner=pairs.partner + there.start))
    return Pairs(
        *(
            np.concatenate([getattr(pairs, name) for pairs in found])
            for name in ("partner", "before", "after", "offset")
        )
    )


def alone(network: Sequence[Link]) -> list[Stage]:
    """One network in the same form: the original has no units."""
    found: list[Stage] = []
    for link in network:
        nothing = AffineMap.exactly(np.zeros((0, link.affine.weight.shape[1])), None)
        joint = Joint.of(nothing, link.affine, None, _same(0))
        found.append(Stage(Link(nothing, activation("identity")), link, joint))
    return found


def choose(
    phi: Activation, psi: Activation, z: FloatArray, v: FloatArray, hint: IntArray | None = None
) -> Pairs:
    """Partners by what the units do on samples.

    Parameters
    ----------
    z, v : ndarray, shape (samples, units)
        Pre-activations of the original and of the other network.
    hint : ndarray of int, optional
        The partner of each unit, −1 where it is to be sought; only the identity is chosen for others.
    """
    same = phi == psi
    h, g = phi(z), psi(v)
    far = _Far.of(z, h)
    best = _none(phi, far) if same else _Candidate.worst(z.shape[1])
    identities = [(1.0, 1.0, 0.0)]
    # φ(−v) = s·φ(v) + c is used as an identity, so c has to be a float, not the nearest one.
    if same and phi.reflection is not None and phi.reflection[1] == float(phi.reflection[1]):
        identities.append((-1.0, float(phi.reflection[0]), float(phi.reflection[1])))
    for sign, s, c in identities:
        partner = np.full(z.shape[1], -1) if hint is None else hint
        if np.any(partner < 0):
            partner = np.where(partner < 0, far.nearest(sign * v, s * g + c), partner)
        found = far.measured(sign * v[:, partner], s * g[:, partner] + c)
        ones = np.ones(z.shape[1])
        best = best.or_better(_Candidate(found, partner, sign * ones, s * ones, c * ones))
        if same and phi.degree == 1:
            # The scale a > 0 for which a·v is nearest to z in least squares; φ(a·v) = a·φ(v) holds for any.
            target = sign * v[:, partner]
            size = (target**2).sum(axis=0)
            scale = (z * target).sum(axis=0) / np.where(size > 0, size, 1.0)
            scale = np.where(scale > 0, scale, 1.0)
            found = far.measured(scale * target, scale * s * g[:, partner])
            # a scale must pay well: outgoing weights were added up with the scales of the reduction
            scaled = _Candidate(4 * found, partner, sign * scale, s * scale, 0 * scale)
            best = best.or_better(scaled)
    return Pairs(best.partner, best.before, best.after, best.offset)


@dataclass(frozen=True, eq=False)
class _Candidate:
    cost: FloatArray
    partner: IntArray
    before: FloatArray
    after: FloatArray
    offset: FloatArray

    @classmethod
    def worst(cls, units: int) -> _Candidate:
        zero = np.zeros(units)
        return cls(zero + np.inf, zero.astype(np.int64), zero, zero, zero)

    def or_better(self, other: _Candidate) -> _Candidate:
        # A partner is better than none that is as good on the samples: what is constant there need not be.
        better = (other.cost < self.cost) | ((other.cost == self.cost) & (self.before == 0))
        return _Candidate(
            *(
                np.where(better, getattr(other, name), getattr(self, name))
                for name in ("cost", "partner", "before", "after", "offset")
            )
        )


def _none(phi: Activation, far: _Far) -> _Candidate:
    """No partner: the unit is compared with φ(0)."""
    zero = np.zeros(far.z.shape[1])
    at_zero = float(phi(np.zeros(1))[0])
    cost = far.measured(0.0, at_zero)
    return _Candidate(cost, zero.astype(np.int64), zero, zero, zero + at_zero)


@dataclass(frozen=True, eq=False)
class _Far:
    """How far units are from others: mean squared distances relative to the spread of each.

    Relative to the variance, so units of any size count alike. What is constant on the samples has none:
    1e-300 makes 0/0 a 0, and any distance from it enormous.
    """

    z: FloatArray
    h: FloatArray
    spread_z: FloatArray
    spread_h: FloatArray

    @classmethod
    def of(cls, z: FloatArray, h: FloatArray) -> _Far:
        return cls(z, h, z.var(axis=0) + 1e-300, h.var(axis=0) + 1e-300)

    def measured(self, v: FloatArray | float, g: FloatArray | float) -> FloatArray:
        """From one other each."""
        far_z, far_h = ((self.z - v) ** 2).mean(axis=0), ((self.h - g) ** 2).mean(axis=0)
        return np.asarray(far_z / self.spread_z + far_h / self.spread_h)

    def nearest(self, v: FloatArray, g: FloatArray) -> IntArray:
        """For each column of (z, h) the nearest column of (v, g)."""
        cost = _distances(self.z, v) / self.spread_z[:, None]
        cost += _distances(self.h, g) / self.spread_h[:, None]
        return np.asarray(cost.argmin(axis=1), dtype=np.int64)


def _distances(a: FloatArray, b: FloatArray) -> FloatArray:
    # |a − b|² = |a|² + |b|² − 2·a·b for all pairs of columns in one product; it can round to below 0.
    squares = (a**2).sum(axis=0)[:, None] + (b**2).sum(axis=0) - 2 * a.T @ b
    return np.asarray(np.maximum(squares, 0.0) / a.shape[0])


def _same(units: int) -> Pairs:
    one, zero = np.ones(units), np.zeros(units)
    return Pairs(np.arange(units), one, one, zero)


def _lengthen(chain: list[Link], length: int) -> None:
    """Put layers that do nothing before the last one."""
    last = chain[-1].affine
    # Multiplying by the unit matrix is exact in floats, so the function stays the same to the last bit.
    nothing = Link(AffineMap.exactly(np.eye(last.weight.shape[1]), None), activation("identity"))
    while len(chain) < length:
        chain.insert(len(chain) - 1, nothing)


def _fitting_maps(
    unit_maps: Sequence[IntArray] | None, first: list[Link], second: list[Link]
) -> list[IntArray | None]:
    """The given maps where each of them fits its layers, else none."""
    hidden = list(zip(first, second, strict=True))[:-1]
    none: list[IntArray | None] = [None] * len(hidden)
    if unit_maps is None or len(unit_maps) != len(hidden):
        return none
    return [
        np.asarray(given)
        if np.shape(given) == one.affine.bias.shape
        and np.all(np.asarray(given) < two.affine.bias.size)
        else None
        for given, (one, two) in zip(unit_maps, hidden, strict=True)
    ]
