"""What symlump needs to know of an activation h = φ(z): one row of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import inf
from typing import Any

import numpy as np

from symlump.enclosures.functions import FLOATS, Formula
from symlump.network.activations.rules import Letters, Pieces, Rule
from symlump.network.activations.special_points import Points, at
from symlump.ode.exact import FloatArray


@dataclass(frozen=True, eq=False, repr=False)
class Activation:
    """One row of the table.

    Parameters
    ----------
    name : str
        As on the command line, with its parameters after a colon.
    formula, slope_formula : callable
        φ and φ' in any arithmetic; see :mod:`symlump.enclosures.functions`.
    rule : Rule
        How φ enters the state form.
    range, slopes : (float, float)
        Bounds of φ and of φ' over all z, rounded outward; ±inf where there is none.
    turning, inflection : Points
        Where φ', respectively φ'', changes its sign (kinks apart).
    kinks : tuple of (float, float, float)
        (z, slope to the left, slope to the right), for smooth pieces; piecewise linear ones have
        ``pieces``.
    degree : int or None
        If k: φ(ρ·z) = ρ^k·φ(z) for all ρ > 0.
    reflection : (int, Fraction) or None
        If (s, c): φ(−z) = s·φ(z) + c.
    at_zero : Fraction or None
        φ(0), where it is rational.
    torch_class, torch_options : str, dict
        Class in ``torch.nn`` with its arguments; empty where torch has none (then
        :func:`symlump.network.activations.torch_modules.module_of` makes a module from the formula).
    onnx, onnx_attributes : str, dict
        Operator of ONNX with its attributes; empty where there is no single one.
    pieces : Pieces or None
        For piecewise linear ones.
    coefficients : tuple of Fraction
        For polynomials, the c_k of Σ c_k·z^k, lowest power first.

    Examples
    --------
    >>> from symlump.network.activations.table import activation
    >>> phi = activation("relu")
    >>> phi(np.array([-1.0, 2.0])).tolist(), phi.symmetry, phi.lipschitz
    ([0.0, 2.0], 'scale', 1.0)
    """

    name: str
    formula: Formula
    slope_formula: Formula
    rule: Rule
    range: tuple[float, float] = (-inf, inf)
    slopes: tuple[float, float] = (-inf, inf)
    turning: Points = at()
    inflection: Points = at()
    kinks: tuple[tuple[float, float, float], ...] = ()
    degree: int | None = None
    reflection: tuple[int, Fraction] | None = None
    at_zero: Fraction | None = None
    torch_class: str = ""
    torch_options: tuple[tuple[str, Any], ...] = ()
    onnx: str = ""
    onnx_attributes: tuple[tuple[str, Any], ...] = ()
    pieces: Pieces | None = None
    coefficients: tuple[Fraction, ...] = ()

    def __call__(self, z: FloatArray) -> FloatArray:
        """φ(z), entrywise; in single precision if z is."""
        return self._evaluated(self.formula, z)

    def slope(self, z: FloatArray) -> FloatArray:
        """φ'(z), entrywise; at a kink the slope to the left."""
        return self._evaluated(self.slope_formula, z)

    def _evaluated(self, formula: Formula, z: FloatArray) -> FloatArray:
        z = np.asarray(z)
        dtype = np.float32 if z.dtype == np.float32 else np.float64
        z = z.astype(dtype, copy=False)
        with np.errstate(over="ignore", under="ignore"):
            found = formula(FLOATS, z)
            fresh = isinstance(found, np.ndarray) and found.base is None and found is not z
            if fresh and found.shape == z.shape:
                return np.asarray(found, dtype=dtype)
            return np.array(np.broadcast_to(found, z.shape), dtype=dtype)

    def __repr__(self) -> str:
        return f"activation({self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Activation) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    @cached_property
    def symmetry(self) -> str:
        """The symmetries in words: scale, sign, even, complement; empty if there is none."""
        words = [] if self.degree is None else ["scale"]
        if self.reflection is not None:
            s, c = self.reflection
            words.append("complement" if c else "sign" if s < 0 else "even")
        return ", ".join(words)

    @property
    def lipschitz(self) -> float:
        """An upper bound of |φ'|; inf where there is none."""
        return max(abs(self.slopes[0]), abs(self.slopes[1]))

    def exact_value(self, z: Fraction) -> Fraction | None:
        """φ(z) where it is rational and known; None elsewhere (then a float is a rounding of it)."""
        if self.pieces is not None:
            piece = sum(z > kink for kink in self.pieces.kinks)
            slope, intercept = self.pieces.lines[piece]
            return Fraction(slope) * z + Fraction(intercept)
        if self.coefficients:
            return sum((c * z**k for k, c in enumerate(self.coefficients)), Fraction(0))
        return self.at_zero if z == 0 else None


def piecewise_linear(
    name: str, kinks: Sequence[float], lines: Sequence[tuple[float, float]], **row: Any
) -> Activation:
    """A row for a piecewise linear activation."""
    pieces = Pieces(tuple(kinks), tuple(lines))
    slopes = [slope for slope, _ in lines]
    return Activation(
        name, pieces.formula, pieces.slope, pieces.rule(),
        slopes=(min(slopes), max(slopes)), pieces=pieces, **row,
    )  # fmt: skip


def smooth(
    name: str,
    formula: Formula,
    slope: Formula,
    output: Letters,
    auxiliaries: dict[str, tuple[float, Letters]],
    switches: dict[str, tuple[float, float]] | None = None,
    **row: Any,
) -> Activation:
    """A row for an activation with a formula, smooth except for its kinks."""
    return Activation(name, formula, slope, Rule(output, auxiliaries, switches or {}), **row)
