"""Affine maps known up to radii, on intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symlump.enclosures.interval import Interval, around, ball_product, gamma, grow
from symlump.ode.exact import FloatArray


@dataclass(frozen=True, eq=False)
class AffineMap:
    """The map x ↦ W·x + b with W and b known up to radii: |W − weight| ≤ weight_radius, entrywise.

    Parameters
    ----------
    weight, weight_radius : ndarray, shape (units, inputs)
    bias, bias_radius : ndarray, shape (units,)

    Examples
    --------
    >>> halves = AffineMap.exactly(np.array([[0.5, 0.5]]), None)
    >>> z = halves(Interval(np.array([0.0, 1.0]), np.array([1.0, 1.0])))
    >>> z.lower.round(6).tolist(), z.upper.round(6).tolist()
    ([0.5], [1.0])
    """

    weight: FloatArray
    bias: FloatArray
    weight_radius: FloatArray
    bias_radius: FloatArray

    @classmethod
    def exactly(cls, weight: FloatArray, bias: FloatArray | None) -> AffineMap:
        """The map of these floats themselves."""
        constant = np.zeros(weight.shape[0]) if bias is None else bias
        return cls(weight, constant, np.zeros_like(weight), np.zeros_like(constant))

    def error(self, magnitude: FloatArray, relative: float) -> FloatArray:
        """At least relative·(|W|·|x| + |b|) plus what the radii add, for |x| ≤ ``magnitude``.

        Parameters
        ----------
        magnitude : ndarray, shape (…, inputs)
        """
        total = magnitude @ (relative * np.abs(self.weight) + self.weight_radius).T
        return grow(
            total + (relative * np.abs(self.bias) + self.bias_radius), self.weight.shape[1] + 4
        )

    def __call__(self, x: Interval) -> Interval:
        """All W·x + b for x in the intervals, of shape (…, inputs)."""
        middle, radius = ball_product(*x.ball(), self.weight.T, self.weight_radius.T)
        return around(middle, radius) + around(self.bias, self.bias_radius)

    def after(self, before: AffineMap) -> AffineMap:
        """The composition self ∘ before, as one map."""
        weight, radius = ball_product(
            self.weight, self.weight_radius, before.weight, before.weight_radius
        )
        moved, doubt = ball_product(
            self.weight, self.weight_radius, before.bias[:, None], before.bias_radius[:, None]
        )
        bias = moved[:, 0] + self.bias
        shift = doubt[:, 0] + self.bias_radius + gamma(1) * np.abs(bias)
        return AffineMap(weight, bias, radius, grow(shift, 3))
