"""Weights and biases that several layers share: equal, kept equal, counted and written once.

A layer says what it shares by a name for its weights and one for its biases (see
:class:`symlump.network.nodes.Affine`). A module that a model calls three times is three layers with the same
names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from symlump.errors import NetworkError
from symlump.network.nodes import Affine
from symlump.ode.exact import FloatArray


def check_shared(layers: Iterable[Affine]) -> None:
    """Refuse layers that are said to share what differs.

    Raises
    ------
    NetworkError
        With the names of two.
    """
    first: dict[tuple[str, str], tuple[Affine, FloatArray]] = {}
    for layer in layers:
        for what, name, array in _named(layer):
            other, held = first.setdefault((what, name), (layer, array))
            if held is not array and not np.array_equal(held, array):
                raise layer.refuse(f"it shares its {what} with {other.name}, but the two differ")


def held_by_each(layers: Sequence[Affine]) -> tuple[int, ...]:
    """How many weights and biases each layer holds; shared ones are held by the first layer that has them.

    Examples
    --------
    >>> a = Affine("a", ("x",), np.eye(2), weight_name="w")
    >>> held_by_each([a, replace(a, name="b")])
    (4, 0)
    """
    counted: set[tuple[str, str]] = set()
    found: list[int] = []
    for layer in layers:
        own = layer.parameters
        for what, name, array in _named(layer):
            own -= int(array.size) if (what, name) in counted else 0
            counted.add((what, name))
        found.append(own)
    return tuple(found)


def holders(layers: Iterable[Affine]) -> tuple[int, ...]:
    """For each layer the number of the first that has its weights: its own, unless they are shared.

    Examples
    --------
    >>> a = Affine("a", ("x",), np.eye(2), weight_name="w")
    >>> holders([a, replace(a, name="b"), replace(a, name="c", weight_name="")])
    (0, 0, 2)
    """
    first: dict[str, int] = {}
    return tuple(
        first.setdefault(layer.weight_name, number) if layer.weight_name else number
        for number, layer in enumerate(layers)
    )


def sharing(layers: Iterable[Affine]) -> dict[str, tuple[Affine, ...]]:
    """The layers that share their weights, or only biases, by the names of these.

    Examples
    --------
    >>> a = Affine("a", ("x",), np.eye(2), weight_name="w")
    >>> {name: [layer.name for layer in users] for name, users in sharing([a, replace(a, name="b")]).items()}
    {'w': ['a', 'b']}
    """
    users: dict[tuple[str, str], list[Affine]] = {}
    for layer in layers:
        for what, name, _ in _named(layer):
            users.setdefault((what, name), []).append(layer)
    return {f"{name}": tuple(found) for (_, name), found in users.items() if len(found) > 1}


def refuse_shared(layers: Iterable[Affine], what: str) -> None:
    """Refuse weights that several layers share, for a method that changes layers one by one.

    Raises
    ------
    NetworkError
        With the names of such layers.
    """
    for users in sharing(layers).values():
        names = ", ".join(layer.name for layer in users)
        raise NetworkError(
            f"{what} changes layers one by one, and {names} share their weights; AFDE, Dependence, "
            "Hierarchical and the baselines keep them shared"
        )


def refuse_transposed(layers: Sequence[Affine], parameters: Iterable[FloatArray]) -> None:
    """Refuse a weight that one layer uses as it is, and another transposed, as tied autoencoders do.

    Read as two weights it would count twice, and be changed in one place only.

    Parameters
    ----------
    layers : sequence of Affine
    parameters : iterable of ndarray
        What the module holds, each once.

    Raises
    ------
    NetworkError
        With the names of such layers.

    Examples
    --------
    >>> w = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> layers = Affine("a", ("x",), w), Affine("b", ("a",), w.T)
    >>> refuse_transposed(layers, [w, w.T])   # two parameters, that happen to be equal now
    >>> refuse_transposed(layers, [w])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    symlump.errors.NetworkError: a and b use one weight, b transposed; units of...
    """
    dense = [layer for layer in layers if layer.weight.ndim == 2]
    held = [array for array in parameters if array.ndim == 2]
    for number, one in enumerate(dense):
        for other in dense[number + 1 :]:
            turned = one.weight.T
            if one.weight_name and one.weight_name == other.weight_name:
                continue  # one weight, used in the same way
            if other.weight.shape != turned.shape or not np.array_equal(other.weight, turned):
                continue
            same = [a for a in held if np.array_equal(a, turned) or np.array_equal(a.T, turned)]
            if len(same) == 1:
                raise NetworkError(
                    f"{one.name} and {other.name} use one weight, {other.name} transposed; units of either "
                    "would merge in both, which is not supported. Give the second one of its own, as in "
                    "decoder.weight = nn.Parameter(encoder.weight.detach().T.clone())"
                )


def keep_shared(layers: Sequence[Affine]) -> Iterator[Affine]:
    """The layers without the names that occur once, and without those of biases beside other weights.

    Files often hold equal biases once, such as zeros; that ties nothing together.

    Examples
    --------
    >>> [layer.weight_name for layer in keep_shared([Affine("a", ("x",), np.eye(2), weight_name="w")])]
    ['']
    """
    weights = Counter(layer.weight_name for layer in layers)
    beside: dict[str, list[str]] = {}
    for layer in layers:
        if layer.bias is not None:
            beside.setdefault(layer.bias_name, []).append(layer.weight_name)
    for layer in layers:
        weight = layer.weight_name if weights[layer.weight_name] > 1 else ""
        others = beside[layer.bias_name] if weight and layer.bias is not None else []
        bias = layer.bias_name if len(others) > 1 and len({*others}) == 1 else ""
        same = (weight, bias) == (layer.weight_name, layer.bias_name)
        yield layer if same else replace(layer, weight_name=weight, bias_name=bias)


class SharedModules:
    """The modules of torch for layers that share weights or biases, so that these are written once."""

    def __init__(self) -> None:
        self._whole: dict[tuple[object, ...], Any] = {}
        self._parameters: dict[str, Any] = {}

    def find(self, layer: Affine) -> Any:
        """The module of a layer that shares all it has and does the same; None if there is none."""
        return self._whole.get(_shared_key(layer)) if _reusable(layer) else None

    def add(self, layer: Affine, module: Any) -> None:
        """Give a new module the parameters that its layer shares with earlier ones."""
        for what, name in (("weight", layer.weight_name), ("bias", layer.bias_name)):
            own = getattr(module, what)
            if name and own is not None:
                setattr(module, what, self._parameters.setdefault(f"{what} {name}", own))
        if _reusable(layer):
            self._whole.setdefault(_shared_key(layer), module)


def _reusable(layer: Affine) -> bool:
    """Whether all of a layer is shared; what a kernel per channel reads is no matter of its weights alone."""
    whole = layer.weight_name and (layer.bias is None or layer.bias_name)
    return bool(whole) and (layer.is_scale or not layer.depthwise)


def _shared_key(layer: Affine) -> tuple[object, ...]:
    bias = None if layer.bias is None else layer.bias_name
    geometry = (layer.stride, layer.padding, layer.dilation, layer.depthwise)
    return (layer.weight_name, bias, *geometry)


def _named(layer: Affine) -> list[tuple[str, str, FloatArray]]:
    """The weights and biases that have a name, with what they are."""
    arrays = (
        ("weight", layer.weight_name, layer.weight),
        ("bias", layer.bias_name, layer.bias),
    )
    return [(what, name, a) for what, name, a in arrays if name and a is not None]
