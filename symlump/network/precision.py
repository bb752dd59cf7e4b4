"""The formats of floating-point numbers that networks come in, and what each of them holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from symlump.errors import FailureError, NetworkError
from symlump.ode.exact import FloatArray

#: The name of a format.
Dtype = Literal["float64", "float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class Precision:
    """One format: the numbers k·2^e with \\|k\\| < 2^digits and e ≥ lowest, up to the largest.

    Parameters
    ----------
    name : str
    digits : int
        Binary digits of k.
    lowest : int
        The smallest number above 0 is 2^lowest.
    largest : float
    """

    name: Dtype
    digits: int
    lowest: int
    largest: float

    @property
    def bits(self) -> int:
        """The bits that storing a number takes."""
        return {"float64": 64, "float32": 32}.get(self.name, 16)

    @property
    def unit(self) -> float:
        """The unit roundoff 2^−digits: the relative error of rounding to nearest."""
        return float(2.0**-self.digits)

    @property
    def smallest(self) -> float:
        """The smallest number above 0: twice the largest error of rounding near it, by gradual underflow."""
        return float(2.0**self.lowest)

    def nearest(self, values: FloatArray, what: str) -> FloatArray:
        """The number of this format nearest to each float; of two the one with even k.

        Raises
        ------
        NetworkError
            If one is too large for the format; ``what`` says where it is.

        Examples
        --------
        >>> PRECISIONS["bfloat16"].nearest(np.array([1.0, 0.1]), "weight").tolist()
        [1.0, 0.10009765625]
        """
        if self.name == "float64":
            return values
        if self.name == "bfloat16":
            result = self._rounded(values, np.rint)
        else:  # which numpy rounds to in the same way
            with np.errstate(over="ignore", under="ignore"):
                result = values.astype(self.name).astype(np.float64)
        if not max(result.max(initial=0.0), -result.min(initial=0.0)) <= self.largest:
            wrong = np.argwhere(np.abs(result) > self.largest)
            at = tuple(int(i) for i in wrong[0])
            raise NetworkError(
                f"{what}{list(at)} is {values[at]:.6g}, beyond what {self.name} holds (±{self.largest:.6g}); "
                "convert the model to float64"
            )
        return result

    def above(self, values: FloatArray) -> FloatArray:
        """The least number of this format that is not below each float; it may be beyond the largest.

        Examples
        --------
        >>> PRECISIONS["bfloat16"].above(np.array([1.0, 1.001])).tolist()
        [1.0, 1.0078125]
        """
        return self._rounded(values, np.ceil)

    def before(self, values: FloatArray) -> FloatArray:
        """The largest number of this format that is below each float.

        Examples
        --------
        >>> PRECISIONS["bfloat16"].before(np.array([1.0, 1.001])).tolist()
        [0.99609375, 1.0]
        """
        return self._rounded(np.nextafter(values, -np.inf), np.floor)

    def _rounded(self, values: FloatArray, towards: np.ufunc) -> FloatArray:
        """Numbers with as many digits as this format holds."""
        if self.name == "float64":
            return values
        exponents = np.frexp(values)[1]
        step = np.ldexp(1.0, np.maximum(exponents - self.digits, self.lowest))
        return np.asarray(towards(values / step) * step)  # divided by a power of two: exact


def refuse_overflow(layer: str, weight: FloatArray, bias: FloatArray | None) -> None:
    """Refuse weights of a smaller network, sums of those of another, that are beyond what float64 holds."""
    for what, array in (("weight", weight), ("bias", bias)):
        if array is not None and not np.isfinite(array).all():
            raise FailureError(
                f"{layer}: a {what} of the smaller network, a sum of {what}s of this one, is beyond what "
                "floats hold; rescale the network"
            )


#: The formats by name.
PRECISIONS: dict[str, Precision] = {
    "float64": Precision("float64", 53, -1074, float(np.finfo(np.float64).max)),
    "float32": Precision("float32", 24, -149, float(np.finfo(np.float32).max)),
    "bfloat16": Precision("bfloat16", 8, -133, (2 - 2.0**-7) * 2.0**127),
    "float16": Precision("float16", 11, -24, 65504.0),
}
