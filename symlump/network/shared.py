"""Weights and biases that several layers share: equal, kept equal, counted and written once.

A layer says what it shares by a name for its weights and one for its biases (see
:class:`symlump.network.nodes.Affine`). A module that a model calls three times is three layers with the same
names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from symlump.errors import NetworkError
from symlump.network.nodes import Affine, Node
from symlump.ode.exact import FloatArray

if TYPE_CHECKING:
    from symlump.network.network import Network


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


def held_by_each(
    layers: Sequence[Affine], rearranged: Sequence[tuple[str, str]] = ()
) -> tuple[int, ...]:
    """How many weights and biases each layer holds; shared ones are held by the first layer that has them.

    Parameters
    ----------
    layers : sequence of Affine
    rearranged : sequence of pairs of str
        Layers that use one weight in two arrangements; the first of two holds it.

    Examples
    --------
    >>> a = Affine("a", ("x",), np.eye(2), weight_name="w")
    >>> held_by_each([a, replace(a, name="b")]), held_by_each([a, replace(a, name="b", weight_name="")])
    ((4, 0), (4, 4))
    >>> held_by_each([a, replace(a, name="b", weight_name="")], [("a", "b")])
    (4, 0)
    """
    counted: set[tuple[str, str]] = set()
    found: list[int] = []
    elsewhere = {other for _, other in rearranged}
    for layer in layers:
        own = layer.parameters
        if layer.name in elsewhere and layer.weight_name:
            counted.add(("weight", layer.weight_name))  # an earlier layer has it
        elif layer.name in elsewhere:
            own -= int(layer.weight.size)
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


def holding(layers: Sequence[Affine]) -> list[Affine]:
    """The layers that hold their weights: all but those that share them with an earlier one.

    Examples
    --------
    >>> a = Affine("a", ("x",), np.eye(2), weight_name="w")
    >>> [layer.name for layer in holding([a, replace(a, name="b"), replace(a, name="c", weight_name="")])]
    ['a', 'c']
    """
    return [layers[number] for number in sorted({*holders(layers)})]


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


def find_transposed(
    layers: Sequence[Affine], parameters: Iterable[FloatArray]
) -> tuple[tuple[str, str], ...]:
    """Layers, by name, of which one uses a weight as it is, and the other transposed, as tied autoencoders do.

    Parameters
    ----------
    layers : sequence of Affine
    parameters : iterable of ndarray
        What the module holds, each once.

    Examples
    --------
    >>> w = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> layers = Affine("a", ("x",), w), Affine("b", ("a",), w.T)
    >>> find_transposed(layers, [w, w.T])   # two parameters, that happen to be equal now
    ()
    >>> find_transposed(layers, [w])
    (('a', 'b'),)
    """
    dense = [layer for layer in layers if layer.weight.ndim == 2]
    turned = [
        (one, other)
        for one, other in combinations(dense, 2)
        if not one.weight_name or one.weight_name != other.weight_name
        if np.array_equal(one.weight.T, other.weight)
    ]
    if not turned:
        return ()
    held = list(parameters)  # not made before, as they may be copies
    return tuple(
        (one.name, other.name)
        for one, other in turned
        if sum(_is_either(array, other.weight) for array in held) == 1
    )


def _is_either(array: FloatArray, weight: FloatArray) -> bool:
    """Whether an array is a weight, or a weight transposed."""
    return np.array_equal(array, weight) or np.array_equal(array.T, weight)


def refuse_rearranged(pairs: Iterable[tuple[str, str]]) -> None:
    """Refuse layers that use one weight in two arrangements.

    Raises
    ------
    NetworkError
        With the names of such layers.
    """
    for one, other in pairs:
        raise NetworkError(
            f"{one} and {other} use one weight, {other} transposed or in another order; units of either "
            "would merge in both, which is not supported. Give the second one of its own, as in "
            "decoder.weight = nn.Parameter(encoder.weight.detach().T.clone())"
        )


class Origins:
    """The arrays of a file behind the values that a reader computes, and behind the layers that it makes.

    Examples
    --------
    >>> w, origins = np.array([[1.0, 2.0], [3.0, 4.0]]), Origins()
    >>> a, b = Affine("a", ("x",), w), Affine("b", ("a",), w.T)
    >>> origins.stored("w", w)
    >>> origins.made([w], [], [a])
    >>> origins.made([w], [], [b])
    >>> origins.rearranged([a, b])
    (('a', 'b'),)
    """

    def __init__(self) -> None:
        self._arrays: dict[int, frozenset[str]] = {}  # by identity; a reader keeps its arrays
        self._layers: dict[str, frozenset[str]] = {}

    def stored(self, name: str, array: object) -> None:
        """An array of the file."""
        self._arrays[id(array)] = frozenset([name])

    def made(
        self, given: Iterable[object], results: Iterable[object], nodes: Iterable[Node]
    ) -> None:
        """What was made of some values."""
        origin = frozenset[str]().union(
            *(self._arrays.get(id(value), frozenset()) for value in given)
        )
        for result in results:
            if isinstance(result, np.ndarray):
                self._arrays.setdefault(id(result), origin)
        self._layers |= {node.name: origin for node in nodes if isinstance(node, Affine)}

    def marked(self, network: Network, layers: Iterable[Affine]) -> Network:
        """The network, which now says what :meth:`rearranged` finds of its layers, as they were made."""
        object.__setattr__(network, "rearranged", self.rearranged(layers))  # and keeps its source
        return network

    def rearranged(self, layers: Iterable[Affine]) -> tuple[tuple[str, str], ...]:
        """Layers, by name, whose weights are the same numbers of one array, but not shared as they are."""
        found = []
        for one, other in combinations(layers, 2):
            shared = one.weight_name and one.weight_name == other.weight_name
            common = self._layers.get(one.name, frozenset()) & self._layers.get(
                other.name, frozenset()
            )
            if shared or not common or one.weight.size != other.weight.size or one.depthwise:
                continue
            if np.array_equal(np.sort(one.weight, axis=None), np.sort(other.weight, axis=None)):
                found.append((one.name, other.name))
        return tuple(found)


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
