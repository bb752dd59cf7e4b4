"""A network as people have them: a graph of dense layers, convolutions, activations, sums, joins.

:class:`~symlump.network.network.Network` is the chain of dense layers, to which every method applies. What
is no such chain (convolutions, residual connections, several branches) is a :class:`NetworkGraph`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from symlump.errors import NetworkError
from symlump.network.graphs.nodes import Affine, Apply, Input, Node, Shape, Untouched
from symlump.network.network import Network
from symlump.network.precision import PRECISIONS, Dtype
from symlump.ode.exact import FloatArray

#: Values with more entries or channels per sample are refused: a file can claim any size.
_MAX_ENTRIES = 1 << 26
_MAX_CHANNELS = 1 << 22


@dataclass(frozen=True, eq=False, repr=False)
class NetworkGraph:
    """A directed acyclic graph of nodes, in float64.

    Parameters
    ----------
    nodes : tuple of Node
        Each after the nodes it reads.
    outputs : tuple of str
        The names of the nodes whose values are the result.
    dtype : {"float64", "float32", "bfloat16", "float16"}
        What the weights were when they came, and will be when they leave.

    Raises
    ------
    NetworkError
        If names, shapes or weights do not fit.

    Examples
    --------
    >>> from symlump.network.graphs.nodes import Combine
    >>> graph = NetworkGraph(
    ...     (Input("x", (), (2,)), Affine("fc", ("x",), np.array([[1.0, 2.0], [3.0, 4.0]])),
    ...      Combine("sum", ("fc", "x"), "add")),
    ...     ("sum",))
    >>> graph, graph([[1.0, 1.0]]).tolist()
    (<NetworkGraph: (2) → (2), 1 layer, 4 parameters>, [[4.0, 8.0]])
    """

    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    dtype: Dtype = "float64"

    def __post_init__(self) -> None:
        if not self.outputs or not any(isinstance(node, Input) for node in self.nodes):
            raise NetworkError("the network has no input or no output")
        missing = [name for name in self.outputs if name not in self.shapes]
        if missing:
            raise NetworkError(f"the output {missing[0]!r} is no node of the network")

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """The shape of each node's value, without the samples."""
        shapes: dict[str, Shape] = {}
        for node in self.nodes:
            if node.name in shapes:
                raise NetworkError(f"two nodes are named {node.name!r}")
            for name in node.inputs:
                if name not in shapes:
                    raise node.refuse(f"it reads {name!r}, which does not come before it")
            shape = node.shape(*(shapes[name] for name in node.inputs))
            check_size(node, shape)
            shapes[node.name] = shape
        return shapes

    @cached_property
    def named(self) -> dict[str, Node]:
        """The nodes by name."""
        return {node.name: node for node in self.nodes}

    @cached_property
    def inputs(self) -> tuple[Input, ...]:
        """The inputs, in order."""
        return tuple(node for node in self.nodes if isinstance(node, Input))

    @cached_property
    def layers(self) -> tuple[Affine, ...]:
        """The nodes with weights, each after those it depends on."""
        return tuple(node for node in self.nodes if isinstance(node, Affine))

    @cached_property
    def untouched(self) -> tuple[Untouched, ...]:
        """The nodes that are carried along unread."""
        return tuple(node for node in self.nodes if isinstance(node, Untouched))

    @property
    def parameters(self) -> int:
        """Number of weights and biases, those of untouched nodes included."""
        layers = sum(node.parameters for node in self.layers)
        return layers + sum(node.parameters for node in self.untouched)

    @cached_property
    def readers(self) -> Counter[str]:
        """How often each value is read; being an output counts."""
        return Counter([name for node in self.nodes for name in node.inputs] + [*self.outputs])

    @classmethod
    def from_network(cls, network: Network) -> NetworkGraph:
        """A chain of dense layers as a graph; sums over groups become a layer of zeros and ones."""
        nodes: list[Node] = [Input("x", (), (network.inputs,))]
        for number, layer in enumerate(network.layers):
            stem = f"layers.{number}"
            nodes.append(Affine(stem, (nodes[-1].name,), layer.weight, layer.bias))
            if layer.activation.name != "identity":
                nodes.append(Apply(f"{stem}.activation", (nodes[-1].name,), layer.activation))
            if layer.groups is not None:
                sums = np.zeros((layer.outputs, layer.units))
                sums[layer.groups, np.arange(layer.units)] = 1.0
                nodes.append(Affine(f"{stem}.groups", (nodes[-1].name,), sums))
        return cls(tuple(nodes), (nodes[-1].name,), network.dtype)

    def rounded(self) -> NetworkGraph:
        """The network with weights that its dtype holds, as :meth:`Network.rounded`.

        Raises
        ------
        NetworkError
            If a weight is too large for it.
        """
        if self.dtype == "float64":
            return self
        nearest = PRECISIONS[self.dtype].nearest
        nodes = [
            replace(
                node,
                weight=nearest(node.weight, f"{node.name}: weight"),
                bias=None if node.bias is None else nearest(node.bias, f"{node.name}: bias"),
            )
            if isinstance(node, Affine)
            else node
            for node in self.nodes
        ]
        return replace(self, nodes=tuple(nodes))

    @cached_property
    def _module(self) -> Any:
        from symlump.network.graphs.torch_module import graph_to_torch

        return graph_to_torch(self).double().eval()

    def __call__(self, *x: npt.ArrayLike) -> FloatArray:
        """The forward pass in float64, for a network with one output.

        Parameters
        ----------
        x : array_like, shape (samples, …)
            One array per input.
        """
        import torch

        if len(self.outputs) != 1:
            raise NetworkError(
                f"this network has {len(self.outputs)} outputs; use to_torch(graph), which gives a tuple"
            )
        arrays = [np.array(array, dtype=np.float64) for array in x]
        wanted = [node.size for node in self.inputs]
        if [array.shape[1:] for array in arrays] != wanted:
            raise NetworkError(
                f"inputs are arrays of shape {', '.join(f'(samples, {_plain(s)})' for s in wanted)}; got "
                + ", ".join(str(array.shape) for array in arrays)
            )
        with torch.no_grad():
            return np.asarray(self._module(*map(torch.from_numpy, arrays)).numpy())

    def __repr__(self) -> str:
        ends = " → ".join(
            " + ".join(f"({_plain(self.shapes[name])})" for name in names)
            for names in ([node.name for node in self.inputs], self.outputs)
        )
        layers = f"{len(self.layers)} layer" + ("" if len(self.layers) == 1 else "s")
        rest = f", {len(self.untouched)} left untouched" if self.untouched else ""
        return f"<NetworkGraph: {ends}, {layers}, {self.parameters} parameters{rest}>"


def check_size(node: Node, shape: Shape) -> None:
    """Refuse a value that is too large to work with.

    Raises
    ------
    NetworkError
        With its shape.
    """
    if prod(shape) > _MAX_ENTRIES or prod(shape[:1]) > _MAX_CHANNELS:
        raise node.refuse(f"a value of shape {shape} is larger than symlump handles")


def _plain(shape: Iterable[int]) -> str:
    return ", ".join(map(str, shape))
