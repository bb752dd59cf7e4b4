"""Functions of the inputs on a box: affine, quadratic or cubic, with an error.

On a box each input is x_j = c_j + r_j·t_j with −1 ≤ t_j ≤ 1, and a function of the inputs is written as a
combination of t_j, of 2·t_j² − 1 and of t_j·t_k for j < k; cubes add 4·t_j³ − 3·t_j, (2·t_j² − 1)·t_k and
t_i·t_j·t_k. All of these are between −1 and 1.

What is left of δh = σ·δz after the middle of the slopes is at most rad·|δz|, and δz is nearly affine in the
inputs. A sum Σ w_i·|δz_i| of affine functions with w ≥ 0 is convex, so on a box it is largest at a corner;
that is less than the sum of the largest values, which different units take at different corners. All
corners are tried in the inputs that matter most, and what is left is bounded term by term.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from symlump.enclosures.interval import UNIT, Interval, down, grow, up
from symlump.ode.exact import FloatArray, IntArray

#: Inputs in which all corners are tried, at most.
MOST_INPUTS = 9


def product(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(Σ a_j·t_j)·(Σ b_j·t_j): its constant, and its coefficients of 2·t_j² − 1 and of t_j·t_k.

    Parameters
    ----------
    a, b : ndarray, shape (…, inputs)

    Examples
    --------
    >>> constant, rest = product(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    >>> constant.item(), rest.tolist()
    (5.5, [1.5, 4.0, 10.0])
    """
    squares = a * b / 2
    j, k = np.triu_indices(a.shape[-1], 1)
    crossed = a[..., j] * b[..., k] + a[..., k] * b[..., j]
    return squares.sum(axis=-1), np.concatenate([squares, crossed], axis=-1)


def cube(a: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(Σ a_j·t_j)³: its coefficients of t_j, and of 4·t_j³ − 3·t_j, of (2·t_j² − 1)·t_k and of t_i·t_j·t_k.

    Parameters
    ----------
    a : ndarray, shape (…, inputs)

    Examples
    --------
    >>> first, rest = cube(np.array([1.0, 2.0]))
    >>> first.tolist(), rest.tolist()
    ([6.75, 9.0], [0.25, 2.0, 3.0, 6.0])
    """
    n = a.shape[-1]
    squares = a * a
    first = a * (1.5 * squares.sum(axis=-1, keepdims=True) - 0.75 * squares)
    j, k = np.nonzero(~np.eye(n, dtype=bool))
    three = np.array(list(combinations(range(n), 3)), dtype=np.int64).reshape(-1, 3).T
    rest = [
        squares * a / 4,
        1.5 * squares[..., j] * a[..., k],
        6 * a[..., three[0]] * a[..., three[1]] * a[..., three[2]],
    ]
    return first, np.concatenate(rest, axis=-1)


@dataclass(frozen=True, eq=False)
class Forms:
    """Functions middle + Σ sides·(t_j; 2·t_j² − 1, t_j·t_k; cubes) ± error, each on its own box.

    Parameters
    ----------
    middle, error : ndarray, shape (boxes, functions)
        The error is computed in floats from ``terms`` summands and not yet rounded up; what underflowed in it
        was multiplied by nothing.
    sides : ndarray, shape (boxes, functions, inputs or more)
    inputs : int
    """

    middle: FloatArray
    sides: FloatArray
    error: FloatArray
    terms: int
    inputs: int

    def __getitem__(self, some: Any) -> Forms:
        return Forms(self.middle[some], self.sides[some], self.error[some], self.terms, self.inputs)

    def beyond(self, inputs: IntArray) -> tuple[FloatArray, FloatArray]:
        """Affine sides of the given inputs, and a bound of everything else but the middle."""
        among = np.ones(self.sides.shape[-1], dtype=bool)
        among[inputs] = False
        others = np.flatnonzero(among)
        rest = self.error + np.abs(self.sides[..., others]).sum(axis=-1)
        return self.sides[..., inputs], grow(rest, self.terms + others.size + 8)

    def range(self) -> Interval:
        """All values.

        g·t + d·(2t² − 1) is largest at an end, where it is d + |g|, or inside, where it is |d| + g²/(8|d|)
        for d < 0 and |g| < 4|d|.
        """
        n = self.inputs
        g = np.abs(self.sides[..., :n])
        if self.sides.shape[-1] == n:
            above = below = g
        else:
            d = self.sides[..., n : 2 * n]
            size = np.abs(d)
            inside = size + g / 8 * (g / np.where(size > 0, size, 1.0))  # g·g might underflow
            against = np.where(g < 4 * size, inside, g - size)
            above = np.where(d >= 0, g + size, against)
            below = np.where(d <= 0, g + size, against)
        crossed = np.abs(self.sides[..., 2 * n :]).sum(axis=-1)
        # the last term is for the two roundings at the end, as are down and up: either would do
        error = self.error + crossed + 4 * UNIT * np.abs(self.middle)
        terms = self.terms + self.sides.shape[-1] + 16
        low = grow(below.sum(axis=-1) + error, terms)
        high = grow(above.sum(axis=-1) + error, terms)
        return Interval(down(self.middle - low), up(self.middle + high))


def over_corners(target: Forms, parts: Sequence[tuple[FloatArray, Forms]]) -> Interval:
    """All values of target ± Σ w·|q|, summed over the functions q of every part.

    Parameters
    ----------
    parts : sequence of (ndarray of shape (boxes, target functions, functions), Forms)
        The weights w ≥ 0 and the functions q.
    """
    n = target.inputs
    influence = np.abs(target.sides[..., :n]).sum(axis=(0, 1))
    for weight, forms in parts:
        size = np.abs(forms.sides[..., :n])
        influence = influence + (weight.sum(axis=1)[..., None] * size).sum(axis=(0, 1))
    chosen = np.argsort(-influence, kind="stable")[:MOST_INPUTS]
    signs = 1.0 - 2 * ((np.arange(1 << chosen.size)[:, None] >> np.arange(chosen.size)) & 1)
    sides, rest = target.beyond(chosen)
    at = target.middle[:, None, :] + signs @ np.swapaxes(sides, 1, 2)
    # sums over signs round by at most this
    reach = np.abs(target.middle) + np.abs(sides).sum(axis=-1)
    spread = (rest + (4 + chosen.size) * 2 * UNIT * reach)[:, None, :]
    terms = n + 8
    for weight, forms in parts:
        sides, rest = forms.beyond(chosen)
        there = np.abs(forms.middle[:, None, :] + signs @ np.swapaxes(sides, 1, 2))
        reach = np.abs(forms.middle) + np.abs(sides).sum(axis=-1)
        # mostly what grow adds below covers this: no example needs it, and no proof does without it
        there = there + (rest + (4 + chosen.size) * 2 * UNIT * reach)[:, None, :]
        spread = spread + there @ np.swapaxes(weight, 1, 2)
        terms += weight.shape[-1] + 8
    spread = grow(spread, terms)
    return Interval(down(at - spread).min(axis=1), up(at + spread).max(axis=1))
