"""Means and covariances of the units of a network when its inputs follow a stated distribution.

Everything is kept as a square root: a matrix H with one column a unit, such that HᵀH is the matrix of
second moments E[h_i·h_j]. QR factorisations of H then see residuals down to rounding, where a Gram
matrix would lose half of the digits. Rows of H are samples (divided by the root of their number), or,
where all activations are polynomials and the inputs normal, coefficients in orthonormal Hermite
polynomials of the inputs; the second kind has no sampling error.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy.fft import dct

from symlump.compression.dependences.polynomials import (
    MOST_MONOMIALS,
    PolynomialTable,
    monomial_count,
    polynomial_of,
)
from symlump.errors import MethodError
from symlump.network.chain import Chain, Layer
from symlump.ode.exact import FloatArray

#: Samples drawn from a distribution: this many, and at least four for each unit of the widest layer.
SAMPLES = 4096
#: So many numbers at a time, as new memory takes time.
_DRAWN = 1 << 16
#: From so many inputs on, samples of single precision have orthogonal directions, as many as there are inputs.
_DIRECTIONS = 64
#: Of so many cosine transforms their rotation is made.
_TRANSFORMS = 3
#: So many numbers of single precision are added up in it.
_ADDED = 64


@dataclass(frozen=True, eq=False, repr=False)
class Normal:
    """A normal distribution of a network's inputs; standard normal unless told otherwise.

    Parameters
    ----------
    mean : array_like, shape (inputs,), optional
        0 if not given.
    covariance : array_like, shape (inputs, inputs), optional
        The identity if not given.

    Raises
    ------
    MethodError
        If shapes do not fit, an entry is not finite, or the covariance is not symmetric and positive
        semidefinite.

    Examples
    --------
    >>> Normal()
    Normal()
    >>> Normal.of([[0.0, 1.0], [2.0, 1.0]]).covariance.tolist()
    [[1.0, 0.0], [0.0, 0.0]]
    """

    mean: npt.ArrayLike | None = None
    covariance: npt.ArrayLike | None = None

    def __post_init__(self) -> None:
        for name, dimensions in (("mean", 1), ("covariance", 2)):
            given = getattr(self, name)
            if given is None:
                continue
            array = np.array(given, dtype=np.float64)
            if array.ndim != dimensions or not np.isfinite(array).all():
                raise MethodError(
                    f"Normal takes {'a vector' if dimensions == 1 else 'a matrix'} of finite numbers "
                    f"as {name}; got an array of shape {array.shape}"
                )
            object.__setattr__(self, name, array)
        if self.covariance is not None:
            covariance = np.asarray(self.covariance)
            if covariance.shape[0] != covariance.shape[1]:
                raise MethodError(f"a covariance is a square matrix; got shape {covariance.shape}")
            size = float(np.abs(covariance).max(initial=0.0))
            if np.abs(covariance - covariance.T).max(initial=0.0) > 1e-8 * size:
                raise MethodError("the covariance is not symmetric")
            if np.linalg.eigvalsh(covariance).min(initial=0.0) < -1e-8 * size:
                raise MethodError("the covariance has a negative eigenvalue")

    @classmethod
    def of(cls, inputs: npt.ArrayLike) -> Normal:
        """The normal distribution with the mean and covariance of some samples.

        Parameters
        ----------
        inputs : array_like, shape (samples, inputs)

        Returns
        -------
        Normal

        Raises
        ------
        MethodError
            If the samples are not an array of two axes.

        Examples
        --------
        >>> Normal.of([[0.0, 1.0], [2.0, 1.0]]).mean.tolist()
        [1.0, 1.0]
        """
        x = np.asarray(inputs, dtype=np.float64)
        if x.ndim != 2 or not x.size:
            raise MethodError(f"Normal.of takes samples × inputs; got an array of shape {x.shape}")
        return cls(x.mean(axis=0), np.cov(x.T, bias=True).reshape(x.shape[1], x.shape[1]))

    def affine(self, inputs: int) -> tuple[FloatArray, FloatArray]:
        """μ and A such that μ + A·ξ has this distribution for standard normal ξ.

        Parameters
        ----------
        inputs : int
            The number of inputs.

        Returns
        -------
        mean : ndarray, shape (inputs,)
        root : ndarray, shape (inputs, inputs)

        Raises
        ------
        MethodError
            If mean and covariance are not of this number of inputs.

        Examples
        --------
        >>> mean, root = Normal(mean=[1.0, 2.0]).affine(2)
        >>> mean.tolist(), root.tolist()
        ([1.0, 2.0], [[1.0, 0.0], [0.0, 1.0]])
        """
        mean = np.zeros(inputs) if self.mean is None else np.asarray(self.mean)
        root = np.eye(inputs)
        if self.covariance is not None:
            values, vectors = np.linalg.eigh(np.asarray(self.covariance))
            root = vectors * np.sqrt(np.maximum(values, 0.0))
        if mean.shape != (inputs,) or root.shape != (inputs, inputs):
            raise MethodError(
                f"the network has {inputs} inputs in all; the mean has shape {mean.shape}, the covariance "
                f"{root.shape}"
            )
        return mean, root

    def sample(
        self, count: int, inputs: int, seed: int = 0, dtype: npt.DTypeLike = np.float64
    ) -> FloatArray:
        """Draw samples of the inputs.

        Parameters
        ----------
        count : int
            How many samples.
        inputs : int
            The number of inputs.
        seed : int
            Of the random numbers.
        dtype : dtype
            In single precision they are other numbers, which take a third of the time; see :func:`is_turned`.

        Returns
        -------
        ndarray, shape (count, inputs)

        Examples
        --------
        >>> Normal(mean=[1.0, 2.0]).sample(100, 2).shape
        (100, 2)
        """
        generator, precision = np.random.default_rng(seed), np.dtype(dtype)
        if precision == np.float32 and is_turned(count, inputs):
            drawn = _turned_normal(generator, count, inputs)
        else:
            drawn = _standard_normal(generator, count * inputs, precision).reshape(count, inputs)
        if self.mean is None and self.covariance is None:
            return drawn
        mean, root = self.affine(inputs)
        if self.covariance is not None:
            drawn = drawn @ root.T
        return np.asarray(mean + drawn, dtype)

    def __repr__(self) -> str:
        given = [name for name in ("mean", "covariance") if getattr(self, name) is not None]
        return f"Normal({', '.join(f'{name}=…' for name in given)})"


def _standard_normal(
    generator: np.random.Generator, count: int, dtype: np.dtype[Any]
) -> FloatArray:
    """So many standard normal numbers, in the same memory as far as may be; of single precision two at a time.

    A radius and an angle make two of them: Box, Muller, doi:10.1214/aoms/1177706645.
    """
    drawn = np.empty(count, dtype)
    for start in range(0, count, _DRAWN):
        some = drawn[start : start + _DRAWN]
        if dtype != np.float32:
            some[:] = generator.standard_normal(some.size)
            continue
        both = generator.random((2, -(-some.size // 2)), np.float32)
        radius, angle = both
        np.sqrt(-2 * np.log1p(np.negative(radius, out=radius), out=radius), out=radius)
        angle *= np.float32(2 * np.pi)
        np.multiply(radius, np.cos(angle), out=some[: radius.size])
        rest = some[radius.size :]
        np.multiply(radius[: rest.size], np.sin(angle[: rest.size]), out=rest)
    return drawn


def is_turned(count: int, inputs: int) -> bool:
    """Whether samples of single precision have orthogonal directions, as many at a time as there are inputs.

    Each is normal all the same. Second moments of linear functions of them have hardly any sampling error, so a
    fit of units that are nearly linear needs fewer of them.

    Examples
    --------
    >>> is_turned(1280, 256), is_turned(1280, 4), is_turned(1280, 1000)
    (True, False, False)
    """
    return _DIRECTIONS <= inputs <= count // 2


def _turned_normal(generator: np.random.Generator, count: int, inputs: int) -> FloatArray:
    """Standard normal samples: random rotations of the axes, each by its own length.

    Cosine transforms with random signs between them make sums of many independent terms of all numbers; after
    one more, in another order, they turn the samples before to the next.
    """
    rotation = np.eye(inputs, dtype=np.float32)
    for _ in range(_TRANSFORMS):
        rotation = dct(rotation * _signs(generator, inputs), norm="ortho", overwrite_x=True)
    drawn: FloatArray = np.empty((count, inputs), np.float32)
    for start in range(0, count, inputs):
        if start:
            rotation = np.take(rotation, generator.permutation(inputs), axis=1)
            rotation *= _signs(generator, inputs)
            rotation = dct(rotation, norm="ortho", overwrite_x=True)
        some = drawn[start : start + inputs]
        lengths = np.sqrt(generator.chisquare(inputs, (len(some), 1)))
        lengths *= _signs(generator, len(some))[:, None]
        np.multiply(rotation[: len(some)], lengths.astype(np.float32), out=some)
    return drawn


def _signs(generator: np.random.Generator, count: int) -> FloatArray:
    """So many random −1 and 1."""
    return np.asarray(2 * generator.integers(0, 2, count).astype(np.float32) - 1)


class Moments(Protocol):
    """Functions of the inputs, as columns, with their means and second moments."""

    def start(self) -> FloatArray:
        """The inputs themselves."""

    def pre_activation(self, layer: Layer, h: FloatArray) -> FloatArray:
        """W·h + b."""

    def after(self, layer: Layer, h: FloatArray) -> FloatArray:
        """φ(W·h + b)."""

    def mean(self, h: FloatArray) -> FloatArray:
        """E[h]."""

    def root(self, h: FloatArray, centred: bool = True) -> FloatArray:
        """H with HᵀH the covariance of the columns, or their second moments if not centred."""

    def products(
        self, h: FloatArray, other: FloatArray, means: tuple[FloatArray, FloatArray] | None
    ) -> tuple[FloatArray, FloatArray]:
        """HᵀH and HᵀO, where H and O are roots of two sets of columns; about their means, if given.

        The second set may be overwritten.
        """


@dataclass(frozen=True, eq=False)
class Sampled:
    """Moments over samples: a column holds a unit's values. They are double, whatever the values are.

    Examples
    --------
    >>> moments = Sampled(np.array([[1.0], [3.0]]))
    >>> h = moments.start()
    >>> moments.mean(h).tolist(), (moments.root(h).T @ moments.root(h)).round(12).tolist()
    ([2.0], [[1.0]])
    """

    inputs: FloatArray

    def start(self) -> FloatArray:
        """The inputs themselves."""
        return self.inputs

    def pre_activation(self, layer: Layer, h: FloatArray) -> FloatArray:
        """W·h + b."""
        return layer.pre_activation(h)

    def after(self, layer: Layer, h: FloatArray) -> FloatArray:
        """φ(W·h + b)."""
        return layer(h)

    def mean(self, h: FloatArray) -> FloatArray:
        """E[h]."""
        if h.dtype == np.float64 or h.ndim != 2 or len(h) % _ADDED:
            return np.asarray(h.mean(axis=0, dtype=np.float64))
        parts = np.ones(_ADDED, h.dtype) @ h.reshape(-1, _ADDED, h.shape[1])
        return np.asarray(parts.sum(axis=0, dtype=np.float64) / len(h))

    def root(self, h: FloatArray, centred: bool = True) -> FloatArray:
        """The values, minus their mean if centred, over the root of their number."""
        root = h - self.mean(h) if centred else h.astype(np.float64)
        root /= np.sqrt(len(h))
        return np.asarray(root)

    def products(
        self, h: FloatArray, other: FloatArray, means: tuple[FloatArray, FloatArray] | None
    ) -> tuple[FloatArray, FloatArray]:
        """Second moments of h, and of h with another value in its precision, from some samples at a time.

        The other value is overwritten if its precision is double, and the second result has that precision.
        """
        gram, cross = (
            np.zeros((h.shape[1],) * 2),
            np.zeros((h.shape[1], other.shape[1]), other.dtype),
        )
        step = max(1024, h.shape[1] // 2)
        step = len(h) if len(h) <= 2 * step else step
        about: Any = (0.0, 0.0)
        if means is not None:  # about one of them is enough, so the other may be rounded
            about = means[0], means[1].astype(other.dtype)
        root = np.empty((step, h.shape[1]))  # a Gram matrix needs all digits
        for start in range(0, len(h), step):  # in the same memory, as new memory takes time
            some = slice(start, start + step)
            a, b = root[: len(h[some])], other[some]
            a[:] = h[some]  # made double first: subtracting from single takes longer
            a -= about[0]
            gram += a.T @ a
            if other.shape[1]:
                if means is not None and b.dtype == np.float64:
                    b -= about[1]
                cross += a.astype(other.dtype, copy=False).T @ b
        gram /= len(h)
        cross /= len(h)
        return gram, cross


@dataclass(frozen=True, eq=False)
class Hermite:
    """Moments of polynomial units under a normal distribution, without sampling.

    A column holds a unit's coefficients as a polynomial of ξ, where the inputs are μ + A·ξ with standard
    normal ξ. In Hermite polynomials he_α, orthonormal under that distribution, second moments are sums
    of products of coefficients, and the mean is the coefficient of he_0.

    Examples
    --------
    >>> from symlump.network.activations.table import polynomial
    >>> square = Layer(np.eye(1), None, polynomial([0.0, 0.0, 1.0]))
    >>> moments = Hermite(Normal(), PolynomialTable(1, 2))
    >>> h = moments.after(square, moments.start())
    >>> moments.mean(h).tolist(), (moments.root(h).T @ moments.root(h)).round(12).tolist()
    ([1.0], [[2.0]])
    """

    distribution: Normal
    table: PolynomialTable = field(repr=False)

    def start(self) -> FloatArray:
        """The inputs themselves."""
        mean, root = self.distribution.affine(self.table.variables)
        return np.vstack([mean, root.T])

    def pre_activation(self, layer: Layer, h: FloatArray) -> FloatArray:
        """W·h + b."""
        return self.table.linear(layer.weight, layer.bias, h)

    def after(self, layer: Layer, h: FloatArray) -> FloatArray:
        """φ(W·h + b)."""
        return self.table.apply(layer.activation, self.pre_activation(layer, h))

    def mean(self, h: FloatArray) -> FloatArray:
        """E[h]."""
        return np.asarray(self._coefficients(h)[0])

    def root(self, h: FloatArray, centred: bool = True) -> FloatArray:
        """The Hermite coefficients, without that of the constant if centred."""
        return self._coefficients(h)[1 if centred else 0 :]

    def products(
        self, h: FloatArray, other: FloatArray, means: tuple[FloatArray, FloatArray] | None
    ) -> tuple[FloatArray, FloatArray]:
        """Second moments of h, and of h with another value, at once: there are few rows."""
        root, second = (self.root(columns, means is not None) for columns in (h, other))
        return root.T @ root, root.T @ second

    def _coefficients(self, h: FloatArray) -> FloatArray:
        return np.asarray(self.table.hermite[: len(h), : len(h)] @ h)


def moments_of(
    network: Chain, inputs: npt.ArrayLike | Normal, seed: int = 0
) -> tuple[Moments, FloatArray]:
    """Moments of the hidden units of a network, and samples of its inputs.

    Under a normal distribution they are free of sampling error if the hidden units are polynomials of
    the inputs with at most 2500 coefficients; otherwise 4096 samples are drawn, or four for each unit
    of the widest layer if these are more.

    Raises
    ------
    MethodError
        If samples or distribution do not fit the network.

    Examples
    --------
    >>> network = Chain.dense([[[1.0], [2.0]], [[1.0, 1.0]]], activation="relu")
    >>> moments_of(network, Normal())[1].shape
    (4096, 1)
    """
    if not isinstance(inputs, Normal):
        x = np.asarray(inputs, dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != network.inputs or not len(x) or not np.isfinite(x).all():
            raise MethodError(
                f"inputs are finite samples of shape (samples, {network.inputs}), a Normal "
                f"distribution, or 'exact'; got an array of shape {x.shape}"
            )
        return Sampled(x), x
    widest = max(layer.units for layer in network.layers)
    x = inputs.sample(max(SAMPLES, 4 * widest), network.inputs, seed)
    degree = hidden_degree(network)
    if degree is None or monomial_count(network.inputs, degree) > MOST_MONOMIALS:
        return Sampled(x), x
    return Hermite(inputs, PolynomialTable(network.inputs, degree)), x


def hidden_degree(network: Chain) -> int | None:
    """The largest degree of hidden units as polynomials of the inputs; None if they are none."""
    degree = largest = 1
    for layer in network.hidden:
        coefficients = polynomial_of(layer.activation)
        if coefficients is None:
            return None
        degree *= len(coefficients) - 1
        largest = max(largest, degree)
    return largest
