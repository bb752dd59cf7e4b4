"""Stages in which units have different activations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from symlump.enclosures.interval import Interval
from symlump.network.activations.activation import Activation
from symlump.network.bounds.curves import Curve, curve
from symlump.ode.exact import FloatArray


@dataclass(frozen=True)
class Mixed:
    """Activations side by side: of units ``ends[k−1]`` to ``ends[k]`` the k-th.

    Examples
    --------
    >>> from symlump.network.activations.table import activation
    >>> Mixed.of([activation("relu"), activation("identity")], [1, 2])(-np.ones((1, 3))).tolist()
    [[0.0, -1.0, -1.0]]
    """

    activations: tuple[Activation, ...]
    ends: tuple[int, ...]

    @classmethod
    def of(cls, activations: Sequence[Activation], sizes: Sequence[int]) -> Mixed | Activation:
        """Of so many units each; one activation is just that."""
        if len(activations) == 1:
            return activations[0]
        return cls(tuple(activations), tuple(np.cumsum(sizes).tolist()))

    @property
    def parts(self) -> list[tuple[Activation, slice]]:
        """Each with its units."""
        starts = (0, *self.ends[:-1])
        return [
            (phi, slice(a, b))
            for phi, a, b in zip(self.activations, starts, self.ends, strict=True)
        ]

    def __call__(self, z: FloatArray) -> FloatArray:
        """φ(z), along the last axis."""
        return np.concatenate([phi(z[..., units]) for phi, units in self.parts], axis=-1)


def parts_of(phi: Mixed | Activation, units: int) -> list[tuple[Activation, slice]]:
    """Activations with their units."""
    return phi.parts if isinstance(phi, Mixed) else [(phi, slice(0, units))]


def curve_of(phi: Mixed | Activation, extent: float) -> Curve:
    """The curve of one activation, or of several side by side."""
    if not isinstance(phi, Mixed):
        return curve(phi, extent)
    curves = [(curve(part, extent), units) for part, units in phi.parts]
    return MixedCurve(curves)


@dataclass(frozen=True, eq=False)
class MixedCurve:
    """Curves side by side."""

    curves: list[tuple[Curve, slice]]

    def _each(self, of: Callable[[Curve, slice], Interval]) -> Interval:
        found = [of(one, units) for one, units in self.curves]
        return Interval(
            np.concatenate([x.lower for x in found], axis=-1),
            np.concatenate([x.upper for x in found], axis=-1),
        )

    def spaced(self, z: Interval) -> FloatArray:
        """Points of each; where a curve has fewer, its last one is repeated."""
        found = [one.spaced(z[..., units]) for one, units in self.curves]
        most = max(map(len, found))
        return np.concatenate([_longer(at, most) for at in found], axis=-1)

    def values(self, z: Interval) -> Interval:
        """All φ(z)."""
        return self._each(lambda one, units: one.values(z[..., units]))

    def slopes(self, z: Interval) -> Interval:
        """All slopes of φ between two points of the interval."""
        return self._each(lambda one, units: one.slopes(z[..., units]))

    def along(self, points: FloatArray) -> tuple[FloatArray, Interval, Interval]:
        """Points, φ there, and the slopes between them; where a curve has fewer, its last point is repeated."""
        found = [one.along(points[..., units]) for one, units in self.curves]
        most = max(len(at) for at, _, _ in found)
        if most == len(points):  # nowhere kinks between them
            joined = points
        else:
            joined = np.concatenate([_longer(at, most) for at, _, _ in found], axis=-1)

        def together(some: list[Interval], length: int) -> Interval:
            return Interval(
                np.concatenate([_longer(x.lower, length) for x in some], axis=-1),
                np.concatenate([_longer(x.upper, length) for x in some], axis=-1),
            )

        at, over = [f[1] for f in found], [f[2] for f in found]
        return joined, together(at, most), together(over, most - 1)


def _longer(values: FloatArray, length: int) -> FloatArray:
    return np.concatenate([values, np.repeat(values[-1:], length - len(values), axis=0)])
