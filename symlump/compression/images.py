"""Inputs that look like images, drawn without any: as the first layers' weights see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from symlump.network.evaluate import evaluate, pull_back
from symlump.network.network import Network
from symlump.network.nodes import Affine, Input, Node
from symlump.ode.exact import FloatArray

_CHUNK = 128
#: Inputs with fewer numbers are not taken for images.
_FEWEST = 64


@dataclass(frozen=True)
class Images:
    """Random images: values from 0 to 1, correlated where the network's first layers read them together.

    With ξ standard normal, one number for each unit of the first layers, x = clip(s, 0, 1), where s is Wᵀ·ξ
    divided by its standard deviation. Training leaves in W the directions in which the data varies, so such
    inputs are nearer to what the network has seen than independent pixels are; that values are at least 0, half
    of them 0, is an assumption. It is what is used for inputs of the shape of an image when nothing is said of
    them.

    Examples
    --------
    >>> net = Network.dense([np.ones((2, 3)), np.ones((1, 2))])
    >>> (x,) = Images().sample(net, 4)
    >>> x.shape, bool(((x >= 0) & (x <= 1)).all()), bool((x[:, :1] == x).all())
    ((4, 3), True, True)
    """

    def sample(self, network: Network, count: int, seed: int = 0) -> tuple[FloatArray, ...]:
        """Draw samples of each input.

        Parameters
        ----------
        network : Network
        count : int
            How many samples.
        seed : int
            Of the random numbers.

        Returns
        -------
        tuple of ndarray, shape (count, …)
            One array for each input.

        Examples
        --------
        >>> Images().sample(Network.dense([np.ones((2, 3))]), 5)[0].shape
        (5, 3)
        """
        generator = np.random.default_rng(seed)
        parts = [
            _directions(network, min(_CHUNK, count - start), generator)
            for start in range(0, count, _CHUNK)
        ]
        drawn = [np.concatenate(part) for part in zip(*parts, strict=True)]
        return tuple(np.clip(x / (float(x.std()) or 1.0), 0.0, 1.0) for x in drawn)


def looks_like_images(network: Network) -> bool:
    """Whether inputs have more than one axis and many numbers, and dense layers read them at once.

    To convolutions, which look at a few numbers at a time, standard normal inputs did better.

    Examples
    --------
    >>> from symlump.network.nodes import Flatten
    >>> looks_like_images(Network((Input("x", (), (1, 8, 8)), Flatten("flat", ("x",)),
    ...                            Affine("fc", ("flat",), np.ones((1, 64)))), ("fc",)))
    True
    """
    sizes = [node.size for node in network.inputs]
    dense = bool(network.layers) and network.layers[0].is_dense
    return dense and all(len(size) > 1 and prod(size) >= _FEWEST for size in sizes)


def _directions(
    network: Network, count: int, generator: np.random.Generator
) -> Sequence[FloatArray]:
    """Random combinations of what the first layers read."""
    values: dict[str, FloatArray] = {}  # of what is before the first layers, at zero
    first: list[Node] = []
    for node in network.nodes:
        if isinstance(node, Input):
            values[node.name] = np.zeros((count, *node.size))
        elif all(name in values for name in node.inputs):
            if isinstance(node, Affine) and not node.depthwise:
                first.append(node)
            else:
                values[node.name] = evaluate(node, *(values[name] for name in node.inputs))
    gradients: dict[str, FloatArray] = {}
    for node in reversed(network.nodes):
        if node in first:
            gradient = generator.standard_normal((count, *network.shapes[node.name]))
        elif node.name in gradients and not isinstance(node, Input):
            gradient = gradients.pop(node.name)
        else:
            continue
        given = [values[name] for name in node.inputs]
        for name, part in zip(node.inputs, pull_back(node, given, gradient), strict=True):
            if part is not None:
                gradients[name] = gradients[name] + part if name in gradients else part
    return [
        gradients.get(node.name, generator.standard_normal((count, *node.size)))
        for node in network.inputs
    ]
