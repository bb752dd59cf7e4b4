"""One table of activations: a row says all that the rest of symlump needs to know of h = φ(z).

What depends on the activation, and where it is used: the formula (forward pass, certified ranges), the
polynomial rule (state form), the symmetries (exact merging), torch class and ONNX operator (files). So a
new activation is one row; the documentation, "Activations", shows how to write one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import inf, log, pi, sqrt
from typing import Any

import numpy as np

from symlump.enclosures.functions import FLOATS, Formula
from symlump.errors import NetworkError
from symlump.network.activations.rules import Letters, Pieces, Rule
from symlump.network.activations.special_points import Points, at, multiples_of_pi, roots
from symlump.ode.exact import FloatArray
from symlump.suggest import did_you_mean


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
        """φ(z), entrywise."""
        return self._evaluated(self.formula, z)

    def slope(self, z: FloatArray) -> FloatArray:
        """φ'(z), entrywise; at a kink the slope to the left."""
        return self._evaluated(self.slope_formula, z)

    def _evaluated(self, formula: Formula, z: FloatArray) -> FloatArray:
        z = np.asarray(z, dtype=np.float64)
        with np.errstate(over="ignore", under="ignore"):
            found = formula(FLOATS, z)
            fresh = isinstance(found, np.ndarray) and found.base is None and found is not z
            if fresh and found.shape == z.shape:
                return np.asarray(found, dtype=np.float64)
            return np.array(np.broadcast_to(found, z.shape), dtype=np.float64)

    def __repr__(self) -> str:
        return f"activation({self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Activation) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __reduce__(self) -> tuple[Callable[[str], Activation], tuple[str]]:
        return activation, (self.name,)  # the name says everything, and formulas are not pickled

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


def _linear(
    name: str, kinks: Sequence[float], lines: Sequence[tuple[float, float]], **row: Any
) -> Activation:
    """A row for a piecewise linear activation."""
    pieces = Pieces(tuple(kinks), tuple(lines))
    slopes = [slope for slope, _ in lines]
    return Activation(
        name, pieces.formula, pieces.slope, pieces.rule(),
        slopes=(min(slopes), max(slopes)), pieces=pieces, **row,
    )  # fmt: skip


def _smooth(
    name: str,
    formula: Formula,
    slope: Formula,
    output: Letters,
    auxiliaries: dict[str, tuple[float, Letters]],
    **row: Any,
) -> Activation:
    """A row for a smooth activation."""
    return Activation(name, formula, slope, Rule(output, auxiliaries, {}), **row)


_ODD, _EVEN = (-1, Fraction(0)), (1, Fraction(0))

_ROWS = (
    _linear("identity", (), [(1.0, 0.0)], degree=1, reflection=_ODD, torch_class="Identity", onnx="Identity"),
    _smooth("tanh", lambda m, z: m.tanh(z), lambda m, z: 1 - m.tanh(z) * m.tanh(z),
            {"a": 1}, {"a": (0.0, {"": 1, "aa": -1})},
            range=(-1.0, 1.0), slopes=(0.0, 1.0), inflection=at(0.0), reflection=_ODD,
            at_zero=Fraction(0), torch_class="Tanh", onnx="Tanh"),
    _smooth("sigmoid", lambda m, z: m.sigmoid(z), lambda m, z: m.sigmoid(z) * m.sigmoid(-z),
            {"a": 1}, {"a": (0.5, {"a": 1, "aa": -1})},
            range=(0.0, 1.0), slopes=(0.0, 0.25), inflection=at(0.0), reflection=(-1, Fraction(1)),
            at_zero=Fraction(1, 2), torch_class="Sigmoid", onnx="Sigmoid"),
    _linear("relu", (0.0,), [(0.0, 0.0), (1.0, 0.0)], range=(0.0, inf), degree=1,
            torch_class="ReLU", onnx="Relu"),
    _smooth("softplus", lambda m, z: m.maximum(z, 0.0) + m.log1p(m.exp(-m.absolute(z))),
            lambda m, z: m.sigmoid(z),
            {"a": 1}, {"a": (log(2), {"b": 1}), "b": (0.5, {"b": 1, "bb": -1})},
            range=(0.0, inf), slopes=(0.0, 1.0), torch_class="Softplus", onnx="Softplus"),
    _smooth("silu", lambda m, z: z * m.sigmoid(z),
            lambda m, z: m.sigmoid(z) * (1 + z * m.sigmoid(-z)),
            {"az": 1}, {"a": (0.5, {"a": 1, "aa": -1})},
            range=(-0.27846454276107384, inf), slopes=(-0.09983932012886693, 1.0998393201288672),
            turning=at(-1.2784645427610737), inflection=at(-2.3993572805154675, 2.3993572805154675),
            at_zero=Fraction(0), torch_class="SiLU", onnx="Swish"),
    _smooth("gelu", lambda m, z: z * m.normal(z), lambda m, z: m.normal(z) + z * m.density(z),
            {"az": 1}, {"a": (0.5, {"b": 1}), "b": (1 / sqrt(2 * pi), {"bz": -1})},
            range=(-0.1699712074799037, inf), slopes=(-0.12890414518515481, 1.128904145185155),
            turning=at(-0.7517915246935645), inflection=at(-(2**0.5), 2**0.5),
            at_zero=Fraction(0), torch_class="GELU", onnx="Gelu"),
    _smooth("exp", lambda m, z: m.exp(z), lambda m, z: m.exp(z), {"a": 1}, {"a": (1.0, {"a": 1})},
            range=(0.0, inf), slopes=(0.0, inf), at_zero=Fraction(1), onnx="Exp"),
    _smooth("sin", lambda m, z: m.sin(z), lambda m, z: m.cos(z),
            {"a": 1}, {"a": (0.0, {"b": 1}), "b": (1.0, {"a": -1})},
            range=(-1.0, 1.0), slopes=(-1.0, 1.0),
            turning=multiples_of_pi(0.5), inflection=multiples_of_pi(0.0), reflection=_ODD,
            at_zero=Fraction(0), onnx="Sin"),
    _smooth("cos", lambda m, z: m.cos(z), lambda m, z: -m.sin(z),
            {"a": 1}, {"a": (1.0, {"b": -1}), "b": (0.0, {"a": 1})},
            range=(-1.0, 1.0), slopes=(-1.0, 1.0),
            turning=multiples_of_pi(0.0), inflection=multiples_of_pi(0.5), reflection=_EVEN,
            at_zero=Fraction(1), onnx="Cos"),
    _smooth("gaussian", lambda m, z: m.exp(-z * z / 2), lambda m, z: -z * m.exp(-z * z / 2),
            {"a": 1}, {"a": (1.0, {"az": -1})},
            range=(0.0, 1.0), slopes=(-0.6065306597126335, 0.6065306597126335),
            turning=at(0.0), inflection=at(-1.0, 1.0), reflection=_EVEN, at_zero=Fraction(1)),
    _linear("relu6", (0.0, 6.0), [(0.0, 0.0), (1.0, 0.0), (0.0, 6.0)], range=(0.0, 6.0),
            torch_class="ReLU6", onnx="Clip", onnx_attributes=(("min", 0.0), ("max", 6.0))),
    _linear("abs", (0.0,), [(-1.0, 0.0), (1.0, 0.0)], range=(0.0, inf), degree=1, reflection=_EVEN,
            onnx="Abs"),
)  # fmt: skip


def leaky_relu(slope: float = 0.01) -> Activation:
    """max(z, 0) + slope·min(z, 0).

    Examples
    --------
    >>> leaky_relu(0.25)(np.array([-2.0, 2.0])).tolist()
    [-0.5, 2.0]
    """
    low = -inf if slope > 0 else 0.0
    return _linear(
        f"leaky_relu:{slope!r}", (0.0,), [(slope, 0.0), (1.0, 0.0)], range=(low, inf), degree=1,
        torch_class="LeakyReLU", torch_options=(("negative_slope", slope),),
        onnx="LeakyRelu", onnx_attributes=(("alpha", slope),),
    )  # fmt: skip


def hard_tanh(low: float = -1.0, high: float = 1.0) -> Activation:
    """z, cut to [low, high].

    Raises
    ------
    NetworkError
        If the ends are not finite, or not in order.

    Examples
    --------
    >>> hard_tanh()(np.array([-2.0, 0.5])).tolist()
    [-1.0, 0.5]
    """
    if not -inf < low < high < inf:
        raise NetworkError(f"hard_tanh cuts to [low, high] with low < high; got {low} and {high}")
    return _linear(
        f"hard_tanh:{low!r},{high!r}", (low, high), [(0.0, low), (1.0, 0.0), (0.0, high)],
        range=(low, high), reflection=_ODD if low == -high else None,
        torch_class="Hardtanh", torch_options=(("min_val", low), ("max_val", high)),
        onnx="Clip", onnx_attributes=(("min", low), ("max", high)),
    )  # fmt: skip


def elu(alpha: float = 1.0) -> Activation:
    """The function z for z > 0, alpha·(e^z − 1) elsewhere.

    Examples
    --------
    >>> elu()(np.array([-1.0, 2.0])).round(4).tolist()
    [-0.6321, 2.0]
    """
    rule = Rule(
        {"sz": 1, "ta": alpha, "t": -alpha},
        {"a": (1.0, {"a": 1})},
        {"s": (0.0, inf), "t": (-inf, 0.0)},
    )
    return Activation(
        f"elu:{alpha!r}",
        lambda m, z: m.where(z > 0, z, alpha * m.expm1(m.minimum(z, 0.0))),
        lambda m, z: m.where(z > 0, 1.0, alpha * m.exp(m.minimum(z, 0.0))),
        rule,
        range=(min(-alpha, 0.0), inf), slopes=(min(alpha, 0.0), max(alpha, 1.0)),
        kinks=((0.0, alpha, 1.0),), at_zero=Fraction(0),
        torch_class="ELU", torch_options=(("alpha", alpha),),
        onnx="Elu", onnx_attributes=(("alpha", alpha),),
    )  # fmt: skip


_MAX_DEGREE = 12


def polynomial(coefficients: Sequence[float]) -> Activation:
    """The activation φ(z) = Σ c_k z^k.

    Raises
    ------
    NetworkError
        If a coefficient is not finite, or the degree exceeds 12.

    Examples
    --------
    >>> phi = polynomial([0.0, 1.0, 0.5])
    >>> phi.name, float(phi(np.array(2.0)))
    ('polynomial:0,1,0.5', 4.0)
    """
    values = np.asarray(coefficients, dtype=np.float64)
    if values.ndim != 1 or not 1 <= values.size <= _MAX_DEGREE + 1 or not np.isfinite(values).all():
        raise NetworkError(
            f"a polynomial activation takes 1 to {_MAX_DEGREE + 1} finite coefficients, lowest power "
            f"first; got {list(coefficients)}"
        )
    exact = tuple(Fraction(float(c)) for c in values)
    first = tuple(k * c for k, c in enumerate(exact))[1:]
    second = tuple(k * c for k, c in enumerate(first))[1:]
    powers = [k for k, c in enumerate(exact) if c]
    reflection = None
    if all(k % 2 or k == 0 for k in powers):
        reflection = (-1, 2 * exact[0])
    elif all(k % 2 == 0 for k in powers):
        reflection = _EVEN
    constant_slope = max(powers, default=0) <= 1
    slope = float(first[0]) if constant_slope and first else 0.0
    return Activation(
        "polynomial:" + ",".join(f"{c:.17g}" for c in values),
        lambda m, z: _horner(values.tolist(), z)[0],
        lambda m, z: _horner(values.tolist(), z)[1],
        Rule({"z" * k: c for k, c in enumerate(exact)}, {}, {}),
        slopes=(slope, slope) if constant_slope else (-inf, inf),
        turning=roots(first), inflection=roots(second),
        degree=powers[0] if len(powers) == 1 else None,
        reflection=reflection, at_zero=exact[0], coefficients=exact,
    )  # fmt: skip


def _horner(coefficients: list[float], z: Any) -> tuple[Any, Any]:
    """Σ c_k·z^k and its derivative, without forming k·c_k, which would round."""
    value, slope = coefficients[-1] + 0 * z, 0 * z
    for c in coefficients[-2::-1]:
        slope = slope * z + value
        value = value * z + c
    return value, slope


#: Activations with parameters: how to make one, and how many numbers follow the colon (None: any).
FAMILIES: dict[str, tuple[Callable[..., Activation], int | None]] = {
    "leaky_relu": (leaky_relu, 1),
    "elu": (elu, 1),
    "hard_tanh": (hard_tanh, 2),
    "polynomial": (lambda *values: polynomial(values), None),
}

#: The table by name; those with parameters stand here with torch's defaults.
ACTIVATIONS: dict[str, Activation] = {
    **{row.name: row for row in _ROWS},
    "leaky_relu": leaky_relu(),
    "elu": elu(),
    "hard_tanh": hard_tanh(),
}


def activation(name: str) -> Activation:
    """Look an activation up by name; ``"polynomial:0,1,0.5"`` gives z + z²/2, ``"leaky_relu:0.2"`` a slope.

    Raises
    ------
    NetworkError
        If there is none of that name.
    """
    if name in ACTIVATIONS:
        return ACTIVATIONS[name]
    family, colon, text = name.partition(":")
    if colon and family in FAMILIES:
        make, count = FAMILIES[family]
        try:
            values = [float(part) for part in text.split(",")]
        except ValueError:
            values = [float("nan")]
        if not np.isfinite(values).all() or count not in (None, len(values)):
            wanted = "the coefficients as numbers, lowest power first, as in polynomial:0,1,0.5"
            raise NetworkError(
                f"activation {name!r}: after the colon give "
                + (wanted if count is None else f"{count} finite number" + "s" * (count > 1))
            )
        return make(*values)
    raise NetworkError(
        f"activation {name!r} is unknown{did_you_mean(name, ACTIVATIONS, 'choose ')}"
        f"{', '.join(ACTIVATIONS)}, or with numbers "
        "leaky_relu:slope, elu:alpha, hard_tanh:low,high, polynomial:c0,c1,…"
    )
