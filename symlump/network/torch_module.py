"""A network as a plain torch module, where that is no ``nn.Sequential``: a ``torch.fx.GraphModule``.

The module that is made can be read as Python (``model.code``), and its parts keep the names they had
(``layer1.0.conv1``), so a state dict looks as before.
"""

from __future__ import annotations

import operator
import re
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from symlump.errors import NetworkError
from symlump.network.activations.torch_modules import activation_module, known_activation
from symlump.network.network import Network
from symlump.network.nodes import (
    Affine,
    Apply,
    Combine,
    Concatenate,
    Flatten,
    GroupSum,
    Input,
    Node,
    Pool,
    Select,
    Squeeze,
    Unsqueeze,
)
from symlump.network.operations import apply, attend
from symlump.network.precision import PRECISIONS, Dtype
from symlump.network.shared import SharedModules
from symlump.network.step_nodes import Attention, ByPlace, Operation, Reorder, Softmax, Untouched
from symlump.network.torch_parts import BlockSum, Scale, Slot, TorchCall, array_of, pool_module
from symlump.network.written.channels_last import ChannelsLast
from symlump.network.written.grouped import Grouped, as_written, held_by_parts
from symlump.network.written.transposed import geometry, spread_grids, turn_round
from symlump.ode.exact import FloatArray, IntArray

#: The names of torch's formats.
DTYPES: dict[torch.dtype, Dtype] = {getattr(torch, p.name): p.name for p in PRECISIONS.values()}


def graph_module(network: Network) -> fx.GraphModule:
    """Write a network as a plain torch module in its dtype, ready for training or ``state_dict``.

    Examples
    --------
    >>> network = Network((Input("x", (), (3,)), Affine("head", ("x",), np.ones((1, 3)))), ("head",))
    >>> module = graph_module(network)
    >>> [(name, tuple(p.shape)) for name, p in module.named_parameters()]
    [('head.weight', (1, 3))]
    """
    return Writer(as_written(network)).module


def with_weights_of(network: Network, module: fx.GraphModule) -> Network:
    """A network with what the module written from it holds now: weights, their dtype, activations.

    Raises
    ------
    NetworkError
        If the module was not written from this network, or its layers have other shapes now.

    Examples
    --------
    >>> net = Network((Input("x", (), (3,)), Affine("head", ("x",), np.ones((1, 3)))), ("head",))
    >>> module = graph_module(net)
    >>> _ = module.head.weight.data.mul_(2)
    >>> with_weights_of(net, module).layers[0].weight.tolist()
    [[2.0, 2.0, 2.0]]
    """
    calls = [call for call in module.graph.nodes if call.op == "call_module"]
    places = {str(call.meta.get("symlump")): str(call.target) for call in calls}
    modules = {name: module.get_submodule(place) for name, place in places.items()}
    modules = held_by_parts(network, modules)
    nodes: list[Node] = []
    dtypes: set[torch.dtype] = set()
    for node in network.nodes:
        if isinstance(node, Affine) or node.name in places:
            held: Any = modules.get(node.name) or module.get_submodule(node.name)
            if isinstance(node, Apply):
                node = replace(node, activation=known_activation(held) or node.activation)
            elif isinstance(node, Affine):
                dtypes.add(held.weight.dtype)
                node = with_arrays_of(node, held)
        nodes.append(node)
    dtype = DTYPES.get(dtypes.pop(), network.dtype) if len(dtypes) == 1 else network.dtype
    return replace(network, nodes=tuple(nodes), dtype=dtype)


def with_arrays_of(node: Affine, held: Any) -> Affine:
    """A layer with the weights that a module written from it holds now."""
    weight, bias = (
        None if tensor is None else array_of(tensor) for tensor in (held.weight, held.bias)
    )
    if weight is None or weight.size != node.weight.size or (bias is None) != (node.bias is None):
        raise NetworkError(
            f"{node.name}: the module holds other arrays than it was written with; read it anew, with "
            "from_torch(module, example)"
        )
    if getattr(held, "transposed", False):
        weight = turn_round(weight, 0, node.depthwise)
    return replace(node, weight=weight.reshape(node.weight.shape), bias=bias)


class Writer:
    """Builds the modules and the calls, node by node."""

    def __init__(self, graph: Network) -> None:
        self.graph = graph
        self._dtype = getattr(torch, graph.dtype)
        self._root, self.calls = nn.Module(), fx.Graph()
        self._recorder = fx.proxy.GraphAppendingTracer(self.calls)
        self.values: dict[str, fx.Node] = {}
        self._shared = SharedModules()
        self._paths: dict[int, str] = {}  # of modules that are called again
        self._last = ChannelsLast(self)
        self._zeros = spread_grids(graph)
        within = {zeros.name for zeros in self._zeros.values()}
        for node in graph.nodes:
            if node.name not in within and not self._last.write(node):
                value = self._write(node, [self._value(name) for name in self._read(node)])
                value.meta["symlump"] = node.name
                self.values[node.name] = value
        results = [self._value(name) for name in graph.outputs]
        self.calls.output(self._given(results))
        self.module = fx.GraphModule(self._root, self.calls)

    def _given(self, results: list[fx.Node]) -> Any:
        """The outputs as the module that was read gives them."""
        if self.graph.as_dict:
            return dict(zip(self.graph.output_names, results, strict=True))
        return results[0] if len(results) == 1 else tuple(results)

    def _read(self, node: Node) -> tuple[str, ...]:
        """What a node reads; a transposed convolution what is before its zeros."""
        return self._zeros[node.name].inputs if node.name in self._zeros else node.inputs

    def _value(self, name: str) -> fx.Node:
        if name not in self.values:
            self.values[name] = self._last.turned_back(name)
        return self.values[name]

    def combined(self, node: Combine, given: list[fx.Node]) -> fx.Node:
        """A sum or a product, value by value."""
        what = operator.add if node.operation == "add" else operator.mul
        value = given[0]
        for other in given[1:]:
            value = self.calls.call_function(what, (value, other))
        return value

    def _write(self, node: Node, given: list[fx.Node]) -> fx.Node:
        calls = self.calls
        match node:
            case Input():
                return calls.placeholder(_identifier(node.name))
            case Affine():
                return self.call(node.name, self.affine(node), given)
            case Apply():
                return self.apply(node, given[0])
            case Pool():
                return self.call(node.name, pool_module(node), given)
            case Flatten():
                return calls.call_function(torch.flatten, (given[0], 1))
            case Squeeze():
                return calls.call_function(torch.squeeze, (given[0], 1))
            case Unsqueeze():
                value = given[0]
                for _ in range(node.axes):
                    value = calls.call_function(torch.unsqueeze, (value, -1))
                return value
            case Reorder():
                samples, channels = (
                    calls.call_method("size", (given[0], 0)),
                    (-1,) * (node.kept - 1),
                )
                value = given[0]
                for step, numbers in node.steps(self.graph.shapes[node.inputs[0]]):
                    if step == "reshape":
                        value = calls.call_method("reshape", (value, samples, *channels, *numbers))
                    else:
                        value = calls.call_method("permute", (value, *numbers))
                return value
            case ByPlace(operation=operation, constant=constant):
                what = operator.add if operation == "add" else operator.mul
                held = self.parameter(f"{node.name}.constant", constant)
                return calls.call_function(what, (given[0], held))
            case Operation():
                return self.operation(node, given)
            case Combine():
                return self.combined(node, given)
            case Concatenate():
                return calls.call_function(torch.cat, (given, 1))
            case Select():
                return self.selected(node, given[0], 1)
            case GroupSum(groups=groups):
                return self.call(node.name, BlockSum(groups, axis=1), given)
            case Softmax():
                what = torch.log_softmax if node.logarithm else torch.softmax
                return calls.call_function(what, (given[0], 1))
            case Untouched(call=TorchCall() as call):
                return self._untouched(call, given)
            case Untouched(call=nn.Module() as module):
                return self.call(node.name, deepcopy(module).to(self._dtype), given)
        kind = str(getattr(node, "what", type(node).__name__))
        raise node.refuse(
            f"the step {kind} cannot be written as torch, for only ONNX knows it; write_onnx writes it"
        )

    def operation(self, node: Operation, given: list[fx.Node]) -> fx.Node:
        """The calls of torch that its function makes, recorded, or that of a module which is this function."""
        shape = self.graph.shapes.get(node.name, ())
        along_last = node.kind == "normalise" and node.options["axes"] == (len(shape),)
        if along_last and all(array.size == shape[-1] for array in node.arrays):
            return self.call(node.name, self.norm(node, shape[-1]), given)
        arrays = [self.parameter(f"{node.name}.{name}", array) for name, array in node.held]
        values, held = ([fx.Proxy(v, self._recorder) for v in part] for part in (given, arrays))
        result: fx.Node = apply(node, values, held).node
        return result

    def norm(self, node: Operation, width: int) -> nn.Module:
        """A normalisation along the last axis."""
        kind: Any = nn.LayerNorm if node.options["centred"] else nn.RMSNorm
        more = {"bias": len(node.arrays) > 1} if node.options["centred"] else {}
        affine = bool(node.arrays)
        module: nn.Module = kind(
            width, node.options["eps"], elementwise_affine=affine, dtype=self._dtype, **more
        )
        with torch.no_grad():
            for name, array in node.held:
                getattr(module, name).copy_(self._tensor(array.ravel()))
        return module

    def attention(self, node: Attention, given: list[fx.Node]) -> fx.Node:
        """The calls of torch that attention makes, of values with the channels last, recorded."""
        values = [fx.Proxy(value, self._recorder) for value in given]
        held = [
            None
            if array is None
            else fx.Proxy(self._hold(f"{node.name}.{name}", self._tensor(array)), self._recorder)
            for name, array in (("mask", node.mask), ("times", node.times))
        ]
        result: fx.Node = attend(node, *values, *held).node
        return result

    def apply(self, node: Apply, x: fx.Node) -> fx.Node:
        """An activation: the function that torch's module of it calls, where there is one."""
        module = activation_module(node.activation)
        if isinstance(module, nn.ReLU):
            return self.calls.call_function(torch.relu, (x,))
        if not node.activation.torch_class:
            return self.call(node.name, module, [x])
        result: fx.Node = module.forward(fx.Proxy(x, self._recorder)).node
        return result

    def selected(self, node: Select, x: fx.Node, axis: int) -> fx.Node:
        """Some channels; those that follow one another are a part of the value, without a copy."""
        first, count = int(node.index[0]), node.index.size
        if np.array_equal(node.index, np.arange(first, first + count)):
            return self.calls.call_function(torch.narrow, (x, axis, first, count))
        index = self._hold(f"{node.name}.index", torch.from_numpy(np.array(node.index)))
        return self.calls.call_function(torch.index_select, (x, axis, index))

    def affine(self, node: Affine) -> nn.Module:
        """The module of a layer; one that shares all it has is that of another."""
        module: nn.Module | None = self._shared.find(node)
        if module is None:
            module = self._new_affine(node)
            self._shared.add(node, module)
        return module

    def _new_affine(self, node: Affine) -> nn.Module:
        if node.is_scale:
            return self.scale(node, len(self.graph.shapes[node.inputs[0]]) - 1)
        array = node.weight
        if node.name in self._zeros:
            channels = self.graph.shapes[node.inputs[0]][0]
            array = turn_round(array, channels, node.depthwise)
        weight, bias = self._tensor(array), None if node.bias is None else self._tensor(node.bias)
        with torch.random.fork_rng(devices=[]):  # the initial values drawn here are overwritten
            module = self._empty(node, bias is not None)
        with torch.no_grad():
            module.weight.copy_(weight)  # type: ignore[operator]
            if bias is not None:
                module.bias.copy_(bias)  # type: ignore[operator]
        return module

    def scale(self, node: Affine, behind: int) -> Scale:
        """One factor, and one constant, for each channel, with so many axes behind it."""
        bias = None if node.bias is None else self._tensor(node.bias)
        return Scale(self._tensor(node.weight[:, 0]).clone(), bias, behind)

    def _empty(self, node: Affine, bias: bool) -> nn.Module:
        reads, units = int(node.weight.shape[1]), node.units
        if node.is_dense:
            return nn.Linear(reads, units, bias, dtype=self._dtype)
        channels, rank = self.graph.shapes[node.inputs[0]][0], len(node.kernel)
        if node.name in self._zeros:
            numbers = geometry(node, self._zeros[node.name], self.graph.shapes)
            kind = getattr(nn, f"ConvTranspose{rank}d")
            transposed: nn.Module = kind(
                channels, units, node.kernel, bias=bias, dtype=self._dtype, **numbers
            )
            return transposed
        groups = node.groups if isinstance(node, Grouped) else 1
        module: nn.Module = getattr(nn, f"Conv{rank}d")(
            channels,
            units,
            node.kernel,
            node.stride,
            node.padding,
            node.dilation,
            groups=channels if node.depthwise else groups,
            bias=bias,
            dtype=self._dtype,
        )
        return module

    def parameter(self, name: str, array: FloatArray) -> fx.Node:
        """A new parameter of the module."""
        return self._hold(name, nn.Parameter(self._tensor(array)))

    def _tensor(self, array: FloatArray | IntArray) -> torch.Tensor:
        return torch.from_numpy(np.array(array)).to(self._dtype)

    def _untouched(self, call: TorchCall, given: list[fx.Node]) -> fx.Node:
        held = {name: self._hold(name, tensor) for name, tensor in call.held.items()}

        def chosen(slot: Slot) -> fx.Node:
            value = given[slot.number]
            return self.calls.call_method("size", (value, 0)) if slot.samples else value

        arguments, keywords = call.filled(chosen, held.__getitem__)
        return self.calls.call_function(call.function, arguments, keywords)

    def call(self, name: str, module: nn.Module, given: list[fx.Node]) -> fx.Node:
        """A call of a module, which gets its place with the first."""
        if id(module) in self._paths:
            return self.calls.call_module(self._paths[id(module)], tuple(given))
        path = self._place(name)
        self._paths[id(module)] = path
        parent, _, last = path.rpartition(".")
        self._parent(parent).add_module(last, module)
        return self.calls.call_module(path, tuple(given))

    def _hold(self, name: str, tensor: torch.Tensor) -> fx.Node:
        """A tensor of the module: a parameter if it was one, else a buffer."""
        path = self._place(name)
        parent, _, last = path.rpartition(".")
        owner = self._parent(parent)
        copy = tensor.detach().cpu().clone()
        if tensor.is_floating_point():
            copy = copy.to(self._dtype)
        if isinstance(tensor, nn.Parameter):
            owner.register_parameter(last, nn.Parameter(copy, tensor.requires_grad))
        else:
            owner.register_buffer(last, copy)
        return self.calls.get_attr(path)

    def _parent(self, path: str) -> nn.Module:
        """The module at a place, made if there is none."""
        module = self._root
        for part in path.split(".") if path else []:
            if part not in module._modules:
                module.add_module(part, nn.Module())
            module = module.get_submodule(part)
        return module

    def _place(self, name: str) -> str:
        """A free place for a module, as near to its name as torch allows."""
        parts = [re.sub(r"\W", "_", part) for part in name.split(".") if part] or ["value"]
        parts = [f"{part}_" if hasattr(nn.Module(), part) else part for part in parts]
        path, number = ".".join(parts), 1
        while self._taken(path):
            number += 1
            path = ".".join([*parts[:-1], f"{parts[-1]}_{number}"])
        return path

    def _taken(self, path: str) -> bool:
        module: Any = self._root
        for part in path.split("."):
            if not hasattr(module, part):
                return False
            module = getattr(module, part)
            if not isinstance(module, nn.Module):
                return True
        return True


def _identifier(name: str) -> str:
    plain = re.sub(r"\W", "_", name)
    return plain if plain[:1].isalpha() or plain[:1] == "_" else f"x_{plain}"
