"""One table of activations: a row says all that the rest of symlump needs to know of h = φ(z).

What depends on the activation, and where it is used: the formula (forward pass, certified ranges), the
polynomial rule (state form), the symmetries (exact merging), torch class and ONNX operator (files). So a
new activation is one row; the documentation, "Activations", shows how to write one.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import inf, log, nextafter, pi, sqrt
from typing import Any

import numpy as np

from symlump.enclosures.functions import Functions
from symlump.errors import NetworkError
from symlump.network.activations.activation import Activation, piecewise_linear, smooth
from symlump.network.activations.rules import Letters, Rule
from symlump.network.activations.special_points import at, multiples_of_pi, roots
from symlump.ode.notation import count_text
from symlump.suggest import did_you_mean

_ODD, _EVEN = (-1, Fraction(0)), (1, Fraction(0))

#: The constants of SELU and of GELU's approximation, as torch has them.
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805
_SELU_STEEPEST = nextafter(_SELU_SCALE * _SELU_ALPHA, inf)
_GELU_SCALE, _GELU_CUBIC = 0.7978845608028654, 0.044715
_SELU_PRODUCT = Fraction(_SELU_SCALE) * Fraction(_SELU_ALPHA)
_GELU_TANH_RULE: Letters = {
    letters: sign * 2 * Fraction(_GELU_SCALE) * factor
    for powers, factor in (("", 1), ("zz", 3 * Fraction(_GELU_CUBIC)))
    for letters, sign in (("a" + powers, 1), ("aa" + powers, -1))
}  # a = (1 + tanh u)/2, so a' = 2a(1 − a)·u', and u' = scale·(1 + 3·cubic·z²)
_SIXTH = nextafter(1 / 6, inf)


def _softplus(m: Functions, z: Any) -> Any:
    return m.maximum(z, 0.0) + m.log1p(m.exp(-m.absolute(z)))


def _mish_slope(m: Functions, z: Any) -> Any:
    t = m.tanh(_softplus(m, z))
    return t + z * m.sigmoid(z) * (1 - t * t)


def _gelu_tanh(m: Functions, z: Any) -> Any:
    return (1 + m.tanh(_GELU_SCALE * (z + _GELU_CUBIC * z * z * z))) / 2


def _gelu_tanh_slope(m: Functions, z: Any) -> Any:
    a = _gelu_tanh(m, z)
    steep = _GELU_SCALE * (1 + 3 * (_GELU_CUBIC * z * z))
    return a + 2 * (z * (a * (1 - a))) * steep


def _hard(m: Functions, z: Any, above: Any, between: Any) -> Any:
    return m.where(z > -3, m.where(z > 3, above, between), 0.0)


def _squashed_inverse(m: Functions, z: Any) -> Any:
    return 1 / (1 + m.absolute(z))


_ROWS = (
    piecewise_linear("identity", (), [(1.0, 0.0)], degree=1, reflection=_ODD,
                     torch_class="Identity", onnx="Identity"),
    smooth("tanh", lambda m, z: m.tanh(z), lambda m, z: 1 - m.tanh(z) * m.tanh(z),
            {"a": 1}, {"a": (0.0, {"": 1, "aa": -1})},
            range=(-1.0, 1.0), slopes=(0.0, 1.0), inflection=at(0.0), reflection=_ODD,
            at_zero=Fraction(0), torch_class="Tanh", onnx="Tanh"),
    smooth("sigmoid", lambda m, z: m.sigmoid(z), lambda m, z: m.sigmoid(z) * m.sigmoid(-z),
            {"a": 1}, {"a": (0.5, {"a": 1, "aa": -1})},
            range=(0.0, 1.0), slopes=(0.0, 0.25), inflection=at(0.0), reflection=(-1, Fraction(1)),
            at_zero=Fraction(1, 2), torch_class="Sigmoid", onnx="Sigmoid"),
    piecewise_linear("relu", (0.0,), [(0.0, 0.0), (1.0, 0.0)], range=(0.0, inf), degree=1,
            torch_class="ReLU", onnx="Relu"),
    smooth("softplus", _softplus, lambda m, z: m.sigmoid(z),
            {"a": 1}, {"a": (log(2), {"b": 1}), "b": (0.5, {"b": 1, "bb": -1})},
            range=(0.0, inf), slopes=(0.0, 1.0), torch_class="Softplus", onnx="Softplus"),
    smooth("silu", lambda m, z: z * m.sigmoid(z),
            lambda m, z: m.sigmoid(z) * (1 + z * m.sigmoid(-z)),
            {"az": 1}, {"a": (0.5, {"a": 1, "aa": -1})},
            range=(-0.27846454276107384, inf), slopes=(-0.09983932012886693, 1.0998393201288672),
            turning=at(-1.2784645427610737), inflection=at(-2.3993572805154675, 2.3993572805154675),
            at_zero=Fraction(0), torch_class="SiLU", onnx="Swish"),
    smooth("gelu", lambda m, z: z * m.normal(z), lambda m, z: m.normal(z) + z * m.density(z),
            {"az": 1}, {"a": (0.5, {"b": 1}), "b": (1 / sqrt(2 * pi), {"bz": -1})},
            range=(-0.1699712074799037, inf), slopes=(-0.12890414518515481, 1.128904145185155),
            turning=at(-0.7517915246935645), inflection=at(-(2**0.5), 2**0.5),
            at_zero=Fraction(0), torch_class="GELU", onnx="Gelu"),
    smooth("gelu_tanh", lambda m, z: z * _gelu_tanh(m, z), _gelu_tanh_slope,
           {"az": 1}, {"a": (0.5, _GELU_TANH_RULE)},
           range=(-0.17004075057125406, inf), slopes=(-0.12899306865877178, 1.128993068658772),
           turning=at(-0.7524614220710162), inflection=at(-1.4185040087908283, 1.4185040087908283),
           at_zero=Fraction(0), torch_class="GELU", torch_options=(("approximate", "tanh"),),
           onnx="Gelu", onnx_attributes=(("approximate", "tanh"),)),
    smooth("mish", lambda m, z: z * m.tanh(_softplus(m, z)), _mish_slope,
           {"az": 1}, {"a": (0.6, {"b": 1, "aab": -1}), "b": (0.5, {"b": 1, "bb": -1})},
           range=(-0.30884341301725043, inf), slopes=(-0.11252612238946257, 1.0884981612517282),
           turning=at(-1.1924312145154952), inflection=at(-2.256376396360793, 1.4905711794854284),
           at_zero=Fraction(0), torch_class="Mish", onnx="Mish"),
    smooth("log_sigmoid", lambda m, z: m.minimum(z, 0.0) - m.log1p(m.exp(-m.absolute(z))),
           lambda m, z: m.sigmoid(-z),
           {"a": 1}, {"a": (-log(2), {"b": 1}), "b": (0.5, {"b": -1, "bb": 1})},
           range=(-inf, 0.0), slopes=(0.0, 1.0), torch_class="LogSigmoid"),
    smooth("softsign", lambda m, z: z * _squashed_inverse(m, z),
           lambda m, z: _squashed_inverse(m, z) * _squashed_inverse(m, z),
           {"az": 1}, {"a": (1.0, {"saa": -1, "taa": 1})}, {"s": (0.0, inf), "t": (-inf, 0.0)},
           range=(-1.0, 1.0), slopes=(0.0, 1.0), inflection=at(0.0), reflection=_ODD,
           at_zero=Fraction(0), torch_class="Softsign", onnx="Softsign"),
    smooth("selu",
           lambda m, z: m.where(
               z > 0, _SELU_SCALE * z, _SELU_SCALE * (_SELU_ALPHA * m.expm1(m.minimum(z, 0.0)))),
           lambda m, z: m.where(
               z > 0, _SELU_SCALE, _SELU_SCALE * (_SELU_ALPHA * m.exp(m.minimum(z, 0.0)))),
           {"sz": _SELU_SCALE, "ta": _SELU_PRODUCT, "t": -_SELU_PRODUCT}, {"a": (1.0, {"a": 1})},
           {"s": (0.0, inf), "t": (-inf, 0.0)},
           range=(-_SELU_STEEPEST, inf), slopes=(0.0, _SELU_STEEPEST),
           kinks=((0.0, _SELU_STEEPEST, _SELU_SCALE),), at_zero=Fraction(0),
           torch_class="SELU", onnx="Selu"),
    smooth("hard_sigmoid", lambda m, z: _hard(m, z, 1.0, (z + 3) / 6),
           lambda m, z: _hard(m, z, 0.0, (1 + 0 * z) / 6),
           {"s": Fraction(1, 2), "sz": Fraction(1, 6), "t": 1}, {},
           {"s": (-3.0, 3.0), "t": (3.0, inf)},
           range=(0.0, 1.0), slopes=(0.0, _SIXTH), kinks=((-3.0, 0.0, _SIXTH), (3.0, _SIXTH, 0.0)),
           reflection=(-1, Fraction(1)), at_zero=Fraction(1, 2), torch_class="Hardsigmoid",
           onnx="HardSigmoid", onnx_attributes=(("alpha", 1 / 6), ("beta", 0.5))),
    smooth("hard_swish", lambda m, z: _hard(m, z, z, z * (z + 3) / 6),
           lambda m, z: _hard(m, z, 1.0, z / 3 + 0.5),
           {"szz": Fraction(1, 6), "sz": Fraction(1, 2), "tz": 1}, {},
           {"s": (-3.0, 3.0), "t": (3.0, inf)},
           range=(-0.375, inf), slopes=(-0.5, 1.5), turning=at(-1.5),
           kinks=((-3.0, 0.0, -0.5), (3.0, 1.5, 1.0)), at_zero=Fraction(0),
           torch_class="Hardswish", onnx="HardSwish"),
    smooth("exp", lambda m, z: m.exp(z), lambda m, z: m.exp(z), {"a": 1}, {"a": (1.0, {"a": 1})},
            range=(0.0, inf), slopes=(0.0, inf), at_zero=Fraction(1), onnx="Exp"),
    smooth("sin", lambda m, z: m.sin(z), lambda m, z: m.cos(z),
            {"a": 1}, {"a": (0.0, {"b": 1}), "b": (1.0, {"a": -1})},
            range=(-1.0, 1.0), slopes=(-1.0, 1.0),
            turning=multiples_of_pi(0.5), inflection=multiples_of_pi(0.0), reflection=_ODD,
            at_zero=Fraction(0), onnx="Sin"),
    smooth("cos", lambda m, z: m.cos(z), lambda m, z: -m.sin(z),
            {"a": 1}, {"a": (1.0, {"b": -1}), "b": (0.0, {"a": 1})},
            range=(-1.0, 1.0), slopes=(-1.0, 1.0),
            turning=multiples_of_pi(0.0), inflection=multiples_of_pi(0.5), reflection=_EVEN,
            at_zero=Fraction(1), onnx="Cos"),
    smooth("gaussian", lambda m, z: m.exp(-z * z / 2), lambda m, z: -z * m.exp(-z * z / 2),
            {"a": 1}, {"a": (1.0, {"az": -1})},
            range=(0.0, 1.0), slopes=(-0.6065306597126335, 0.6065306597126335),
            turning=at(0.0), inflection=at(-1.0, 1.0), reflection=_EVEN, at_zero=Fraction(1)),
    piecewise_linear("relu6", (0.0, 6.0), [(0.0, 0.0), (1.0, 0.0), (0.0, 6.0)], range=(0.0, 6.0),
            torch_class="ReLU6", onnx="Clip", onnx_attributes=(("min", 0.0), ("max", 6.0))),
    piecewise_linear("abs", (0.0,), [(-1.0, 0.0), (1.0, 0.0)], range=(0.0, inf), degree=1, reflection=_EVEN,
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
    return piecewise_linear(
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
    return piecewise_linear(
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
    return smooth(
        f"elu:{alpha!r}",
        lambda m, z: m.where(z > 0, z, alpha * m.expm1(m.minimum(z, 0.0))),
        lambda m, z: m.where(z > 0, 1.0, alpha * m.exp(m.minimum(z, 0.0))),
        {"sz": 1, "ta": alpha, "t": -alpha}, {"a": (1.0, {"a": 1})},
        {"s": (0.0, inf), "t": (-inf, 0.0)},
        range=(min(-alpha, 0.0), inf), slopes=(min(alpha, 0.0), max(alpha, 1.0)),
        kinks=((0.0, alpha, 1.0),), at_zero=Fraction(0),
        torch_class="ELU", torch_options=(("alpha", alpha),),
        onnx="Elu", onnx_attributes=(("alpha", alpha),),
    )  # fmt: skip


def celu(alpha: float = 1.0) -> Activation:
    """The function z for z > 0, alpha·(e^(z/alpha) − 1) elsewhere.

    Raises
    ------
    NetworkError
        If alpha is not positive.

    Examples
    --------
    >>> celu(2.0)(np.array([-1.0, 2.0])).round(4).tolist()
    [-0.7869, 2.0]
    """
    if not 0 < alpha < inf:
        raise NetworkError(f"celu takes a positive alpha; got {alpha}")
    return smooth(
        f"celu:{alpha!r}",
        lambda m, z: m.where(z > 0, z, alpha * m.expm1(m.minimum(z, 0.0) / alpha)),
        lambda m, z: m.where(z > 0, 1.0, m.exp(m.minimum(z, 0.0) / alpha)),
        {"sz": 1, "ta": alpha, "t": -alpha}, {"a": (1.0, {"a": 1 / Fraction(alpha)})},
        {"s": (0.0, inf), "t": (-inf, 0.0)},
        range=(-alpha, inf), slopes=(0.0, 1.0), kinks=((0.0, 1.0, 1.0),), at_zero=Fraction(0),
        torch_class="CELU", torch_options=(("alpha", alpha),),
        onnx="Celu", onnx_attributes=(("alpha", alpha),),
    )  # fmt: skip


def soft_shrink(width: float = 0.5) -> Activation:
    """z, moved towards 0 by a width, and 0 where it is no larger.

    Raises
    ------
    NetworkError
        If the width is not positive.

    Examples
    --------
    >>> soft_shrink()(np.array([-2.0, 0.25, 1.0])).tolist()
    [-1.5, 0.0, 0.5]
    """
    if not 0 < width < inf:
        raise NetworkError(f"soft_shrink takes a positive width; got {width}")
    return piecewise_linear(
        f"soft_shrink:{width!r}", (-width, width), [(1.0, width), (0.0, 0.0), (1.0, -width)],
        reflection=_ODD, torch_class="Softshrink", torch_options=(("lambd", width),),
        onnx="Shrink", onnx_attributes=(("bias", width), ("lambd", width)),
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
    "celu": (celu, 1),
    "soft_shrink": (soft_shrink, 1),
    "hard_tanh": (hard_tanh, 2),
    "polynomial": (lambda *values: polynomial(values), None),
}

#: The table by name; those with parameters stand here with torch's defaults.
ACTIVATIONS: dict[str, Activation] = {
    **{row.name: row for row in _ROWS},
    "leaky_relu": leaky_relu(),
    "elu": elu(),
    "celu": celu(),
    "soft_shrink": soft_shrink(),
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
                + (wanted if count is None else count_text(count, "finite number"))
            )
        return make(*values)
    raise NetworkError(
        f"activation {name!r} is unknown{did_you_mean(name, ACTIVATIONS, 'choose ')}"
        f"{', '.join(ACTIVATIONS)}, or with numbers "
        "leaky_relu:slope, elu:alpha, celu:alpha, soft_shrink:width, hard_tanh:low,high, polynomial:c0,c1,…"
    )


# A name says everything, and formulas are not pickled.
copyreg.pickle(Activation, lambda phi: (activation, (phi.name,)))
