"""How far what a reader computes is, at most, from what a model means."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from symlump.enclosures.interval import Interval, down, up
from symlump.network.nodes import Doubt
from symlump.ode.exact import FloatArray

#: The smallest normal number.
_NORMAL = 2.0**-1022


def doubtful(weight: FloatArray, bias: FloatArray, size: FloatArray | None = None) -> Doubt | None:
    """Radii, if one is not 0."""
    return Doubt(weight, bias, size) if weight.any() or bias.any() else None


def radius_about(values: FloatArray, true: Interval) -> FloatArray:
    """How far floats are from the ends of intervals, at most."""
    far = np.maximum(true.upper - values, values - true.lower)
    return np.where(far == 0, 0.0, up(far))


def product(a: FloatArray | float, b: FloatArray | float) -> tuple[FloatArray, FloatArray]:
    """Products, and how far they are from the real ones: half a step at most, taken twice.

    By 0, and by a power of two where nothing underflows, they are exact.

    Examples
    --------
    >>> [part.tolist() for part in product(np.array([3.0, 0.5]), 0.1)]
    [[0.30000000000000004, 0.05], [5.551115123125783e-17, 0.0]]
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    values = a * b
    shifted = (_is_power_of_two(a) | _is_power_of_two(b)) & (np.abs(values) >= _NORMAL)
    return values, np.where((a == 0) | (b == 0) | shifted, 0.0, np.spacing(np.abs(values)))


def inverse(a: FloatArray) -> tuple[FloatArray, FloatArray]:
    """1/a, and how far it is from the real one.

    Examples
    --------
    >>> [part.tolist() for part in inverse(np.array([2.0, 3.0]))]
    [[0.5, 0.3333333333333333], [0.0, 5.551115123125783e-17]]
    """
    values = np.asarray(1 / a)
    return values, np.where(_is_power_of_two(a), 0.0, np.spacing(np.abs(values)))


def _is_power_of_two(values: FloatArray) -> npt.NDArray[np.bool_]:
    return np.asarray(np.abs(np.frexp(values)[0]) == 0.5)


def batch_norm(
    mean: FloatArray, variance: FloatArray, epsilon: float, gamma: FloatArray, beta: FloatArray
) -> tuple[FloatArray, ...]:
    """γ/√(variance + ε) and β − mean·γ/√(variance + ε), rounded; their radii; what the second is made of.

    Examples
    --------
    >>> one = np.ones(1)
    >>> [part.tolist() for part in batch_norm(0 * one, 4 * one, 0.0, one, one)][:2]
    [[0.5], [1.0]]
    """
    with np.errstate(all="ignore"):  # what is not finite is refused by name
        factor = gamma / np.sqrt(variance + epsilon)
        constant = beta - mean * factor
        # a sum, a root and a quotient, each rounded once and monotone in the one before it
        total = Interval.point(variance) + epsilon
        least, most = down(np.sqrt(total.lower)), up(np.sqrt(total.upper))
        true = gamma * Interval(down(1 / most), up(1 / least))
        radii = radius_about(factor, true), radius_about(constant, beta - mean * true)
        return factor, constant, *radii, np.abs(beta) + np.abs(mean * factor)
