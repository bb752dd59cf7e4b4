"""Transposed convolutions: a convolution that reads a grid with zeros between its points.

With stride s, kernel k, padding p and dilation d a transposed convolution is zeros, s − 1 of them between any
two points, and then the convolution with the kernel turned round, stride 1 and padding d·(k − 1) − p. So its
units merge as those of any convolution. It is written as one layer where nothing else reads the zeros.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from symlump.network.network import Network
from symlump.network.nodes import Affine, Shape
from symlump.network.step_nodes import Operation
from symlump.ode.exact import FloatArray


def spread_grids(network: Network) -> dict[str, Operation]:
    """For the layers, by name, that are transposed convolutions: the step with the zeros that they alone read.

    Examples
    --------
    >>> from symlump.network.nodes import Input
    >>> zeros = Operation("z", ("x",), "dilate", {"steps": (2,), "size": (5,)})
    >>> conv = Affine("c", ("z",), np.ones((1, 1, 2)), None, (1,), (1,), (1,))
    >>> spread_grids(Network((Input("x", (), (1, 3)), zeros, conv), ("c",))).keys()
    dict_keys(['c'])
    """
    found: dict[str, Operation] = {}
    for layer in network.layers:
        before = network.named[layer.inputs[0]]
        if isinstance(before, Operation) and before.kind == "dilate":
            alone = network.readers[before.name] == 1 and set(layer.stride) == {1}
            reach = _reach(layer)
            if alone and all(0 <= p <= r for p, r in zip(layer.padding, reach, strict=True)):
                found[layer.name] = before
    return found


def _reach(layer: Affine) -> Shape:
    return tuple(d * (k - 1) for d, k in zip(layer.dilation, layer.kernel, strict=True))


def geometry(layer: Affine, zeros: Operation, shapes: Mapping[str, Shape]) -> dict[str, Any]:
    """Stride, padding, output padding, dilation and groups, as torch names them."""
    before = shapes[zeros.inputs[0]]
    steps, size = zeros.options["steps"], zeros.options["size"]
    return {
        "stride": steps,
        "padding": tuple(r - p for r, p in zip(_reach(layer), layer.padding, strict=True)),
        "output_padding": tuple(
            n - (m - 1) * s - 1 for n, m, s in zip(size, before[1:], steps, strict=True)
        ),
        "dilation": layer.dilation,
        "groups": before[0] if layer.depthwise else 1,
    }


def turn_round(weight: FloatArray, channels: int, depthwise: bool) -> FloatArray:
    """The weight of the one as that of the other; twice is once.

    Parameters
    ----------
    weight : ndarray, shape (units, channels, *kernel) or, transposed, (channels, units, *kernel)
        Where depthwise (units, 1, *kernel) or (channels, units / channels, *kernel).
    channels : int
        That are read: 0 for a weight that is transposed.

    Examples
    --------
    >>> turn_round(np.array([[[1.0, 2.0], [3.0, 4.0]]]), 2, False).tolist()
    [[[2.0, 1.0]], [[4.0, 3.0]]]
    """
    back = np.flip(weight, tuple(range(2, weight.ndim)))
    if not depthwise:
        return np.ascontiguousarray(back.swapaxes(0, 1))
    kernel = weight.shape[2:]
    return np.ascontiguousarray(
        back.reshape(channels or weight.shape[0] * weight.shape[1], -1, *kernel)
    )
