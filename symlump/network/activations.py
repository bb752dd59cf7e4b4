"""One table of activations: name, torch class, function, and how h = φ(z) enters a polynomial ODE.

Three kinds of rule make the state form exact, with no approximation of φ:

``polynomial``
    φ(z) = Σ c_k z^k, and h' = −h + φ(z).
``derivative``
    φ' = ρ(φ) with a polynomial ρ = Σ c_k a^k: a further variable a with a' = ρ(a)·z' stays equal to
    φ(z) once it starts there, and h' = −h + a.
``switch``
    φ is linear on each side of 0 with slopes (c_0, c_1): a further constant s, 0 or 1, tells the side,
    and h' = −h + (c_0 + (c_1 − c_0)·s)·z. It holds as long as z does not change sign, which at the
    forward pass it does not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from symlump.errors import NetworkError
from symlump.ode.exact import FloatArray

#: An entrywise function on arrays of floats.
ScalarFunction = Callable[[FloatArray], npt.NDArray[np.floating]]


@dataclass(frozen=True)
class Activation:
    """One row of the table.

    Parameters
    ----------
    name : str
        As on the command line.
    torch_class : str
        Class name in ``torch.nn``; empty for the identity, which has no module, and for
        ``polynomial``, which is :class:`symlump.network.torch_io.Polynomial`.
    function, slope : callable
        φ and its derivative φ', entrywise on arrays.
    rule : {"polynomial", "derivative", "switch"}
        How φ enters the state form; see the module's text.
    coefficients : tuple of Fraction
        The c_k of the rule, lowest power first.
    """

    name: str
    torch_class: str
    function: ScalarFunction
    slope: ScalarFunction
    rule: Literal["polynomial", "derivative", "switch"]
    coefficients: tuple[Fraction, ...]

    def __call__(self, z: FloatArray) -> FloatArray:
        """φ(z), entrywise."""
        return np.asarray(self.function(z), dtype=np.float64)


def _row(
    name: str,
    torch_class: str,
    function: ScalarFunction,
    slope: ScalarFunction,
    rule: Literal["polynomial", "derivative", "switch"],
    *coefficients: int,
) -> Activation:
    return Activation(name, torch_class, function, slope, rule, tuple(map(Fraction, coefficients)))


ACTIVATIONS: dict[str, Activation] = {
    row.name: row
    for row in (
        _row("identity", "Identity", lambda z: z, np.ones_like, "polynomial", 0, 1),
        _row("tanh", "Tanh", np.tanh, lambda z: 1 - np.tanh(z) ** 2, "derivative", 1, 0, -1),
        _row("sigmoid", "Sigmoid", expit, lambda z: expit(z) * expit(-z), "derivative", 0, 1, -1),
        _row("relu", "ReLU", lambda z: np.maximum(z, 0.0), lambda z: (z > 0) * 1.0, "switch", 0, 1),
    )
}

_MAX_DEGREE = 12


def polynomial(coefficients: tuple[float, ...] | list[float]) -> Activation:
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
    name = "polynomial:" + ",".join(f"{c:.17g}" for c in values)
    return Activation(
        name,
        "",
        lambda z: np.polynomial.polynomial.polyval(z, values),
        lambda z: np.polynomial.polynomial.polyval(z, np.polynomial.polynomial.polyder(values)),
        "polynomial",
        tuple(Fraction(float(c)) for c in values),
    )


def activation(name: str) -> Activation:
    """Look an activation up by name; ``"polynomial:0,1,0.5"`` gives z + z²/2.

    Raises
    ------
    NetworkError
        If there is none of that name.
    """
    if name in ACTIVATIONS:
        return ACTIVATIONS[name]
    if name.startswith("polynomial:"):
        try:
            values = [float(part) for part in name.removeprefix("polynomial:").split(",")]
        except ValueError:
            raise NetworkError(
                f"activation {name!r}: write the coefficients as numbers, lowest power first, for "
                "example polynomial:0,1,0.5"
            ) from None
        return polynomial(values)
    raise NetworkError(
        f"activation {name!r} is unknown; choose {', '.join(ACTIVATIONS)}, or polynomial:c0,c1,…"
    )
