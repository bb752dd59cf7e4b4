"""What the inputs of a network are like: arrays, tensors, loaders, or a distribution."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from symlump.compression.images import Images, looks_like_images
from symlump.compression.moments import SAMPLES, Normal
from symlump.errors import MethodError, NetworkError
from symlump.network.bounds.inputs import split_inputs
from symlump.network.network import Network
from symlump.ode.exact import FloatArray

#: A distribution, or samples: an array or tensor with the samples first, a loader of batches (their targets are
#: not looked at), for a network of several inputs a tuple of arrays.
Inputs: TypeAlias = Any

#: Numbers that the largest value on a grid may have, all samples together; and at least so many samples.
_NUMBERS = 1 << 23
_FEWEST = 128
_COMPLEX = (
    "samples are complex; inputs are real numbers, so give their real and imaginary parts as two"
)
#: Of so many inputs it is said that samples help.
_MANY = 64


def check_inputs(inputs: Inputs, method: str) -> None:
    """Raise if `inputs` does not describe inputs.

    Raises
    ------
    MethodError
        With what was given.
    """
    array = hasattr(inputs, "__array__") or hasattr(inputs, "__iter__")
    if isinstance(inputs, str) or not (isinstance(inputs, Normal | Images) or array):
        raise MethodError(
            f"{method} takes inputs=… as an array of shape (samples, …), a tensor, a DataLoader, or a "
            f"distribution, Normal(mean, covariance) or Images(); got a {type(inputs).__name__}"
        )


def refuse_overflow(layer: str, consequence: str, *found: FloatArray) -> None:
    """Raise if what was computed of a layer's values is not finite.

    Raises
    ------
    MethodError
        With what to state instead.
    """
    if not all(np.isfinite(part).all() for part in found):
        raise MethodError(
            f"layer {layer!r} overflows on these inputs, so that {consequence}; state how large inputs are, as "
            "in inputs=Normal(mean, covariance), or give samples of them"
        )


def assume_inputs(network: Network) -> Normal | Images:
    """What inputs are taken to be like when nothing is said of them.

    Examples
    --------
    >>> assume_inputs(Network.dense([[[1.0, 2.0]]]))
    Normal()
    """
    return Images() if looks_like_images(network) else Normal()


def advice(network: Network, method: str) -> str:
    """What to say once where inputs were assumed and samples would help; nothing for few inputs."""
    if sum(prod(node.size) for node in network.inputs) < _MANY:
        return ""
    drawn = "drawn images" if looks_like_images(network) else "standard normal inputs"
    return f"measured on {drawn}; samples of your inputs help: {method}(inputs=X), or --data"


def samples_of(
    inputs: Inputs,
    network: Network,
    count: int | None = None,
    seed: int = 0,
    all_given: bool = False,
    dtype: npt.DTypeLike = np.float64,
) -> tuple[FloatArray, ...]:
    """Samples of each input of a network.

    Parameters
    ----------
    inputs : Normal, Images, array_like, tensor, DataLoader, or a tuple of arrays
    network : Network
    count : int, optional
        How many to draw from a distribution, and the most to take of given samples; by default 4096, and two
        for each unit of the widest layer if these are more, but fewer where values on grids are large.
    all_given : bool
        Take all samples that are given, however many, unless a value of the network has several axes.
    dtype : dtype
        Of what is drawn from a normal distribution.

    Raises
    ------
    MethodError
        If they do not fit the network.

    Examples
    --------
    >>> net = Network.dense([[[1.0, 2.0]]])
    >>> samples_of(Normal(), net, 3)[0].shape, samples_of([[0.0, 1.0]], net)[0].tolist()
    ((3, 2), [[0.0, 1.0]])
    """
    if isinstance(inputs, Images):
        return inputs.sample(network, count or sample_count(network), seed)
    if isinstance(inputs, Normal):
        drawn = count or sample_count(network)
        if len(network.inputs) > 1 and (inputs.mean is not None or inputs.covariance is not None):
            entries = sum(prod(node.size) for node in network.inputs)
            return tuple(split_inputs(network, inputs.sample(drawn, entries, seed, dtype)))
        return tuple(
            node.drawn(np.random.default_rng(seed + number), drawn)
            if node.values
            else inputs.sample(drawn, prod(node.size), seed + number, dtype).reshape(
                drawn, *node.size
            )
            for number, node in enumerate(network.inputs)
        )
    try:
        arrays = network.arranged(*map(as_samples, as_parts(inputs, len(network.inputs))))
    except NetworkError as error:
        raise MethodError(f"inputs=…: {error}") from None
    if len({len(a) for a in arrays}) != 1 or not len(arrays[0]):
        raise MethodError("inputs=… needs at least one sample, and as many of each input")
    if not all(np.isfinite(a).all() for a in arrays):
        raise MethodError("inputs=… holds numbers that are not finite")
    most = count or max(sample_count(network), 4 * SAMPLES if not _grids(network) else 0)
    every = all_given and all(len(shape) < 2 for shape in network.shapes.values())
    if every or len(arrays[0]) <= most:
        return tuple(arrays)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(arrays[0]))[:most])
    return tuple(a[chosen] for a in arrays)


def sample_count(network: Network) -> int:
    """How many samples to draw where nothing is said.

    Examples
    --------
    >>> sample_count(Network.dense([np.ones((5000, 2)), np.ones((1, 5000))]))
    10000
    """
    widest = max((layer.units for layer in network.layers), default=1)
    wanted = max(SAMPLES, 2 * widest)
    largest = max(_grids(network), default=0)
    return int(np.clip(_NUMBERS // largest, _FEWEST, wanted)) if largest else wanted


def _grids(network: Network) -> list[int]:
    """Numbers of each value on a grid, of one sample."""
    return [prod(shape) for shape in network.shapes.values() if prod(shape[1:]) > 1]


def as_parts(given: Any, count: int) -> tuple[Any, ...]:
    """One for each of several inputs, or outputs: a tuple, or the first parts of a loader's batches.

    Examples
    --------
    >>> as_parts(([1.0], [2.0]), 2), as_parts(([1.0], [2.0]), 1)
    (([1.0], [2.0]), (([1.0], [2.0]),))
    """
    if count > 1 and isinstance(given, tuple):
        return given
    if count > 1 and _is_loader(given):
        batches = [b for b in given if isinstance(b, list | tuple) and len(b) >= count]
        if batches:
            parts = ([as_samples(b[k]) for b in batches] for k in range(count))
            return tuple(map(_put_together, parts))
    return (given,)


def _put_together(batches: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Batches one after the other."""
    shapes = sorted({str(batch.shape[1:]) for batch in batches})
    if len(shapes) > 1 or not batches[0].ndim:
        raise MethodError(
            f"samples in batches have one shape behind the number of samples; got {' and '.join(shapes)}"
        )
    return np.concatenate(batches)


def _is_loader(given: Any) -> bool:
    numbers = hasattr(given, "__array__") or isinstance(given, list | tuple)
    return isinstance(given, Iterable) and not numbers and not isinstance(given, str | bytes)


def as_samples(given: Any) -> npt.NDArray[Any]:
    """An array of samples, of an array, a tensor, numbers or a loader.

    Raises
    ------
    MethodError
        If they are no real numbers in one array.
    """
    if hasattr(given, "detach"):
        if given.is_complex():
            raise MethodError(_COMPLEX)
        return np.asarray(given.detach().cpu().double().numpy())
    if isinstance(given, Mapping):
        key = next(iter(given), "x")
        raise MethodError(
            "samples are arrays, and batches arrays or tuples of them; these are dicts; give one array, as in "
            f"torch.cat([batch[{key!r}] for batch in loader])"
        )
    if hasattr(given, "__array__") or isinstance(given, list | tuple):
        try:
            array = np.asarray(given)
            reals = array if array.dtype.kind == "c" else np.asarray(array, dtype=np.float64)
        except (TypeError, ValueError):
            raise MethodError(
                "samples are numbers, as many of each; of several inputs, or outputs, give a tuple"
            ) from None
        if reals.dtype.kind == "c":
            raise MethodError(_COMPLEX)
        return reals
    if _is_loader(given):
        batches = [as_samples(b[0] if isinstance(b, list | tuple) else b) for b in given]
        if batches:
            return _put_together(batches)
    raise MethodError("inputs=… has no samples")


def predict(network: Network, inputs: Any) -> FloatArray:
    """What a network gives for samples, its outputs side by side.

    Raises
    ------
    MethodError
        If there are no samples, or some that are not finite.

    Examples
    --------
    >>> predict(Network.dense([[[1.0, 2.0]]]), [[1.0, 1.0]]).tolist()
    [[3.0]]
    """
    samples = [as_samples(part) for part in as_parts(inputs, len(network.inputs))]
    if not all(part.size for part in samples):
        raise MethodError("an error is measured on at least one sample")
    if not all(np.isfinite(part).all() for part in samples):
        raise MethodError("inputs hold numbers that are not finite")
    return network.flat(*samples)
