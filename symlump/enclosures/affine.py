"""Affine maps known up to radii, on intervals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from symlump.enclosures.interval import Interval, Sizes, around, ball_product, grow
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
        total = np.broadcast_to(self.bias_radius, (*magnitude.shape[:-1], self.bias_radius.size))
        if not self._sizes.certain:
            total = total + magnitude @ self.weight_radius.T
        if relative:
            # the small number last: times a small weight it would underflow, and then be multiplied
            total = total + relative * (magnitude @ self._sizes.size + np.abs(self.bias))
        return grow(total, self.weight.shape[1] + 4)

    def __call__(self, x: Interval) -> Interval:
        """All W·x + b for x in the intervals, of shape (…, inputs)."""
        middle, radius = ball_product(*x.ball(), self.weight.T, self.weight_radius.T, self._sizes)
        return around(middle, radius) + around(self.bias, self.bias_radius)

    @property
    def size(self) -> FloatArray:
        """|W|."""
        return self._sizes.size.T

    @cached_property
    def _sizes(self) -> Sizes:
        return Sizes.of(self.weight.T, self.weight_radius.T)
