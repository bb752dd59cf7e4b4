"""Data with labels: class numbers as targets, and the share of samples classified correctly."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from symlump.compression.inputs import as_samples, predict
from symlump.errors import MethodError
from symlump.network.network import Network
from symlump.ode.exact import IntArray


def class_numbers(network: Network, targets: Any) -> IntArray | None:
    """The targets as class numbers, if they are some: one a sample, for a network of several outputs.

    Parameters
    ----------
    network : Network
    targets : array_like or tensor

    Returns
    -------
    ndarray of int, shape (samples,), or None
        None where targets are values of the outputs.

    Raises
    ------
    MethodError
        If there is one number a sample, and it is not the number of an output, counted from 0.

    Examples
    --------
    >>> net = Network.dense([[[1.0], [2.0], [3.0]]])
    >>> class_numbers(net, [0, 2]).tolist(), class_numbers(net, [[1.0, 2.0, 3.0]])
    ([0, 2], None)
    """
    outputs = prod(network.shapes[network.outputs[0]])
    if len(network.outputs) != 1 or outputs < 2 or isinstance(targets, tuple):
        return None
    given = as_samples(targets)
    if given.ndim == 2 and given.shape[1] == 1:
        given = given[:, 0]
    if given.ndim != 1:
        return None
    numbers = np.rint(given)
    if not given.size or (numbers != given).any() or not 0 <= given.min() <= given.max() < outputs:
        raise MethodError(
            f"targets with one number a sample are classes of this network, from 0 to {outputs - 1}; else give "
            f"{outputs} numbers a sample"
        )
    return np.asarray(numbers, dtype=np.int64)


def accuracy(network: Network, inputs: Any, targets: Any) -> float:
    """The share of samples whose largest output is that of their class.

    Parameters
    ----------
    network : Network
        With one output of several entries, one for each class.
    inputs : array_like or tensor, shape (samples, …)
    targets : array_like or tensor, shape (samples,)
        Class numbers, from 0.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    MethodError
        If they do not fit the network.

    Examples
    --------
    >>> net = Network.dense([[[1.0], [-1.0]]])
    >>> accuracy(net, [[1.0], [2.0], [-1.0], [-2.0]], [0, 0, 1, 0])
    0.75
    """
    numbers = class_numbers(network, targets)
    if numbers is None:
        raise MethodError(
            "accuracy takes one class number a sample, and a network with an output for each"
        )
    found = predict(network, inputs)
    if len(found) != len(numbers):
        raise MethodError(f"there are {len(found)} inputs and {len(numbers)} class numbers")
    return float(np.mean(found.argmax(axis=1) == numbers))
