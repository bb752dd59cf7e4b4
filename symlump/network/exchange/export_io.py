"""Any torch module, read through ``torch.export``: nested, functional, with branches.

The module is traced on an example input with the number of samples left open, every operation is looked up
in :class:`~symlump.network.exchange.export_ops.Operations`, and what was read is run on the example: if its
outputs are not the module's own, that is an error and not a result.
"""

from __future__ import annotations

import operator
import re
import warnings
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.export.graph_signature import InputKind, OutputKind
from torch.utils._pytree import tree_leaves

from symlump.errors import NetworkError, first_line
from symlump.network.exchange.arranging import EACH_SAMPLE
from symlump.network.exchange.build import GraphBuilder
from symlump.network.exchange.calls import (
    MOVES,
    changed_as_well,
    draws,
    each_alone,
    has,
    instead_of,
    keys_of,
    not_one_step,
    operation_of,
    ordinary,
    parts_of,
    refuse_examples,
    size_of,
    sizes_of,
    source_of,
)
from symlump.network.exchange.export_ops import Operations
from symlump.network.exchange.export_shape_ops import Arguments, SampleCount
from symlump.network.exchange.views import SAMPLES, View
from symlump.network.gradients import evaluating
from symlump.network.network import Network
from symlump.network.nodes import Shape
from symlump.network.simplify import as_read
from symlump.network.step_nodes import Untouched
from symlump.network.torch_module import DTYPES, graph_module
from symlump.network.torch_parts import Held, Slot, TorchCall, agree, identity_of

_OFFER = "pass leave_untouched=True to carry it along as it is (the units it reads then stay alone)"


def read_exported(
    model: nn.Module,
    example: torch.Tensor | Sequence[torch.Tensor],
    leave_untouched: bool = False,
) -> Network:
    """Read a module by tracing it on an example.

    Parameters
    ----------
    model : torch.nn.Module
        It is read as in evaluation: dropout does nothing, batch normalisation uses its stored statistics.
    example : Tensor of shape (samples, …), or a tuple of them
        One tensor per argument of ``forward``. Only shapes matter.
    leave_untouched : bool
        Carry operations that are not known along as they are, instead of refusing the model.

    Raises
    ------
    NetworkError
        If the module cannot be traced, or holds an operation that is not known; the message names its place.

    Examples
    --------
    >>> _ = torch.manual_seed(0)
    >>> class Block(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.fc = nn.Linear(3, 3)
    ...     def forward(self, x):
    ...         return x + torch.tanh(self.fc(x))
    >>> read_exported(Block(), torch.zeros(2, 3))
    <Network: (3) → (3), 1 layer, 12 parameters>
    """
    several = isinstance(example, list | tuple)
    given: tuple[Any, ...] = tuple(example) if several else (example,)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    refuse_examples(given)
    given = tuple(ordinary(tensor).to(device) for tensor in given)
    if any(t.is_inference() for t in chain(model.parameters(), model.buffers())):
        model = deepcopy(model)  # torch.export takes no tensors that were made in inference_mode
    # Weights that are not finite are refused by name.
    with evaluating(model), torch.no_grad(), np.errstate(all="ignore"):
        program = _exported(model, given)
        network = as_read(_Reader(model, program, leave_untouched).network)
        try:
            expected = model(*(x.clone() for x in given))  # which it may change in place
        except Exception as error:  # the model's own code
            raise NetworkError(
                f"the module cannot be run on the example: {first_line(error, 300)}"
            ) from None
    _compare(network, given, expected)
    return network


def _exported(model: nn.Module, given: tuple[torch.Tensor, ...]) -> Any:
    if not hasattr(torch.export.Dim, "AUTO"):
        raise NetworkError("reading modules other than nn.Sequential needs torch 2.6 or later")
    # One sample would be taken for a constant, so it is doubled; a model that insists on one gets one.
    doubled = tuple(torch.cat([x, x]) if x.shape[0] == 1 else x for x in given)
    for arguments in (doubled, given):
        collection: Any = torch.export.ShapesCollection
        axes = collection()
        for tensor in arguments:
            axes[tensor] = {0: torch.export.Dim.AUTO}
        try:
            with warnings.catch_warnings():
                # Of functions that make a module: torch 2.6 says that its place is not known.
                warnings.filterwarnings("ignore", "Unable to find the path of the module")
                return torch.export.export(model, arguments, dynamic_shapes=axes, strict=False)
        except Exception as error:  # the model's own code runs here, and can raise anything
            reason = first_line(error, 300)
    raise NetworkError(
        f"a {type(model).__name__} cannot be traced by torch.export on an example of shape "
        f"{', '.join(str(tuple(x.shape)) for x in given)}: {reason}. {instead_of(model, given, reason)}"
    )


def _compare(network: Network, given: tuple[torch.Tensor, ...], expected: Any) -> None:
    wanted = [part for part in tree_leaves(expected) if part is not None]
    if not wanted or not all(isinstance(part, torch.Tensor) for part in wanted):
        raise NetworkError(
            f"the module gives a {type(expected).__name__}; symlump reads modules that give tensors, alone or "
            "in tuples, lists and dicts"
        )
    with torch.no_grad():
        result = graph_module(network).eval()(*(x.cpu() for x in given))
    found = tree_leaves(result)
    for a, b in zip(found, wanted, strict=True):
        # Some steps on whole numbers give real ones in one of the two, and whole ones in the other.
        if not agree(a, b, network.dtype):
            raise NetworkError(
                "the network that was read does not give the module's values on the example; a module that "
                "draws random numbers, keeps a state or is changed by hooks cannot be read"
            )


#: What takes of a value only the type of its numbers.
_FILLED = ("new_zeros", "new_ones", "new_full")


class _Reader:
    """Turns an exported program into a graph."""

    def __init__(self, model: nn.Module, program: Any, leave_untouched: bool) -> None:
        self._model, self._leave = model, leave_untouched
        self._build = GraphBuilder()
        self._operations = Operations(self._build)
        self._values: dict[Any, Any] = {}
        self._names: dict[int, str] = {}  # of tensors that the model holds
        self._arrays: dict[tuple[object, ...], str] = {}  # and what is computed of them alone
        self._dtype: torch.dtype | None = None
        kinds = [p.dtype for p in model.parameters() if p.dtype in DTYPES]
        self._real = kinds[0] if kinds else torch.float32  # where no input says it
        self._operations.precision = torch.finfo(self._real).eps
        self._samples = ""
        self._made: dict[int, Any] = {}  # tensors that torch computed of them, kept for their ids
        self._held(program)
        outputs: list[Any] = []
        keys: tuple[str, ...] = ()
        for node in program.graph.nodes:
            if node.op == "placeholder" and node not in self._values:
                self._input(node)
            elif node.op == "call_function":
                self._values[node] = self._call(node)
            elif node.op == "output":
                specs = program.graph_signature.output_specs
                found = [
                    self._value(value)
                    for value, spec in zip(node.args[0], specs, strict=True)
                    if spec.kind == OutputKind.USER_OUTPUT
                ]
                keys = keys_of(program, found)
                outputs = [value for value in found if value is not None]
        if not outputs or not all(isinstance(value, View) for value in outputs):
            raise NetworkError(
                f"the outputs of a {type(model).__name__} must be tensors that depend on its input; "
                "wrap it in a module that returns these only"
            )
        network = self._build.network(outputs, DTYPES[self._real])
        self.network: Network = replace(network, output_names=keys, as_dict=bool(keys))

    def _held(self, program: Any) -> None:
        """Parameters, buffers and constants, by their placeholders."""
        nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
        for spec in program.graph_signature.input_specs:
            node = nodes[spec.arg.name] if hasattr(spec.arg, "name") else None
            if spec.kind == InputKind.USER_INPUT:
                if node is not None and not isinstance(node.meta.get("val"), torch.Tensor):
                    self._values[node] = node.meta.get("val")
                continue
            tensor = program.state_dict.get(spec.target)
            if tensor is None:
                tensor = program.constants.get(spec.target)
            self._values[node] = tensor
            self._names[id(tensor)] = spec.target
            if isinstance(tensor, torch.Tensor):
                self._arrays.setdefault(identity_of(tensor), spec.target)

    def _input(self, node: Any) -> None:
        value = node.meta["val"]
        whole_numbers = value.dtype in (torch.int64, torch.int32)
        if not whole_numbers and (
            value.dtype not in DTYPES or (self._dtype or value.dtype) != value.dtype
        ):
            raise NetworkError(
                f"input {node.name} is of {value.dtype}; symlump reads real inputs of one type, and "
                "integer inputs: convert the model and the example, as with .float()"
            )
        if not whole_numbers:
            self._dtype = self._real = value.dtype
        count = value.shape[0]
        self._samples = str(count)
        # A model that asks for len(x) fixes it after the fact, which its expression then says.
        self._build.samples = size_of(count) or SAMPLES
        kind = str(value.dtype).removeprefix("torch.")
        self._values[node] = self._build.given(
            node.name, sizes_of(value), whole_numbers, whole=kind
        )

    def _value(self, argument: Any) -> Any:
        """An argument with nodes replaced by what they stand for."""
        if isinstance(argument, torch.fx.Node):
            return self._values[argument]
        if isinstance(argument, list | tuple):
            return [self._value(part) for part in argument]
        return argument

    def _call(self, node: Any) -> Any:
        if node.target is operator.getitem:
            parts, number = (self._value(argument) for argument in node.args)
            return parts[number]
        schema = getattr(node.target, "_schema", None)
        if schema is None:
            value = node.meta.get("val")
            if isinstance(value, torch.SymInt | torch.SymBool):  # what sizes are made of
                return SampleCount(itself=False)
            return value if isinstance(value, int) else self._unknown(node, str(node.target))
        a = self._arguments(node, schema)
        operation = operation_of(schema)
        if operation == "sym_size":
            size = node.meta["val"]
            return int(size) if isinstance(size, int) else SampleCount()
        if operation in _FILLED and not has(
            {k: v for k, v in a.items() if k != "self"}, SampleCount
        ):
            like = torch.empty(0, dtype=node.meta["val"].dtype)
            return node.target(like, *map(self._value, node.args[1:]))
        if not has(a, View):
            return self._constant(node, a)
        result = node.meta.get("val")
        shape: Shape | None = None
        known = True
        if isinstance(result, torch.Tensor):
            found = tuple(size_of(n) for n in result.shape)
            shape = tuple(n for n in found if n is not None)
            known = len(shape) == len(found)
        made = len(self._build.nodes)
        value, why = None, ""
        if known and not self._is_rounded(operation, a, result):
            try:
                value = self._operations.read(operation, self._name(node), a, shape)
            except NetworkError as error:
                why = str(error).removeprefix(f"{self._name(node)}: ")
        self._build.name_arrays(made, self._held_in(operation, a))
        if value is None:
            value = self._unknown(node, operation, why)
        if self._computed(a):
            self._build.mark_computed(made)
        if schema.name.endswith("_") and isinstance(node.args[0], torch.fx.Node):
            self._values[node.args[0]] = value  # it was changed in place
            other = changed_as_well(node)
            if other is not None:
                raise NetworkError(
                    f"{self._name(node)}: {self._said(node, operation)} works in place, so it also changes "
                    f"what {self._name(other)} gives, which is read after it; let it give a new value"
                )
        return value

    def _is_rounded(self, operation: str, a: Arguments, result: Any) -> bool:
        """Whether numbers are put into a type that does not hold them."""
        if not isinstance(result, torch.Tensor) or result.dtype == self._real:
            return False
        value = a.get("self")
        is_whole = isinstance(value, View) and self._build.is_whole(value.name)
        return result.is_floating_point() or (operation in ("to", "_to_copy") and not is_whole)

    def _arguments(self, node: Any, schema: Any) -> Arguments:
        values = (
            dict(zip((s.name for s in schema.arguments), node.args, strict=False)) | node.kwargs
        )
        return {
            s.name: self._value(values[s.name]) if s.name in values else s.default_value
            for s in schema.arguments
            if s.name in values or s.has_default_value()
        }

    def _held_in(self, operation: str, a: Arguments) -> tuple[str, str]:
        """Names for the weights and the biases that a call makes of tensors that the model holds, or ""."""
        tensors = {k: v for k, v in a.items() if isinstance(v, torch.Tensor)}
        names = {k: self._arrays.get(identity_of(v), "") for k, v in tensors.items()}
        if operation == "linear" or operation.startswith("conv"):
            return names["weight"], names.get("bias", "")
        plain = [f"{k}={v}" for k, v in a.items() if isinstance(v, int | float)]
        whole = f"{operation}({', '.join([*names.values(), *plain])})"
        return (whole, whole) if names and all(names.values()) else ("", "")

    def _constant(self, node: Any, a: Arguments) -> Any:
        """A call on what the model holds, such as the product behind a weight normalisation."""
        if has(a, SampleCount):
            held: Any = a.get("self")
            sizes: Any = a.get("size")
            alone = isinstance(held, torch.Tensor) and isinstance(sizes, list)
            if alone and sizes[0] == SampleCount() and not has(sizes[1:], SampleCount):
                return held.expand(1, *sizes[1:])  # the same for all samples
            return self._unknown(node, str(node.target))
        if draws(operation_of(node.target._schema)) and node.users:
            return self._unknown(node, operation_of(node.target._schema))
        found = node.target(
            *map(self._value, node.args), **{k: self._value(v) for k, v in node.kwargs.items()}
        )
        weight, _ = self._held_in(str(node.target), a)
        if isinstance(found, torch.Tensor) and weight and not has(a, list):
            self._arrays.setdefault(identity_of(found), weight)
        exact = operation_of(node.target._schema) in MOVES or not has(a, torch.Tensor)
        if self._computed(a) or not exact:
            parts = found if isinstance(found, list | tuple) else (found,)
            self._made |= {id(part): part for part in parts}
        return found

    def _computed(self, a: Arguments) -> bool:
        """Whether a tensor among the arguments is one that torch rounded."""
        return any(id(part) in self._made for part in parts_of(a))

    def _unknown(self, node: Any, operation: str, why: str = "") -> Any:
        if not node.users:
            return None  # such as an assertion
        result = node.meta.get("val")
        place = self._name(node)
        stays = not_one_step(operation, result, self._real, self._samples)
        if not stays:
            try:
                left = self._untouched(node, operation, place, result)
            except NetworkError as error:
                stays = str(error).removeprefix(f"{place}: ")
            else:
                if self._leave:
                    return left
        what = self._said(node, operation)
        if draws(operation):
            raise NetworkError(f"{place}: {what}: {stays}")
        if not why:
            raise NetworkError(
                f"{place}: {what} is not known, or not in this form; {stays or _OFFER}"
            )
        if EACH_SAMPLE in stays:
            why = why.removesuffix(f"; {EACH_SAMPLE}")
        raise NetworkError(f"{place}: {why} ({what}); {stays or _OFFER}")

    @staticmethod
    def _said(node: Any, operation: str) -> str:
        """A call as messages name it."""
        stack = node.meta.get("nn_module_stack") or {}
        owner = str(list(stack.values())[-1][1]).rpartition(".")[2] if stack else ""
        return f"the operation {operation}{f' in a {owner}' if owner else ''}{source_of(node)}"

    def _untouched(self, node: Any, operation: str, place: str, result: torch.Tensor) -> View:
        inputs: list[str] = []
        held: dict[str, torch.Tensor] = {}

        def kept(argument: Any) -> Any:
            if isinstance(argument, list | tuple):
                return [kept(part) for part in argument]
            if not isinstance(argument, torch.fx.Node):
                return argument
            value = self._values[argument]
            if value == SampleCount():
                return Slot(0, samples=True)
            if isinstance(value, torch.Tensor):
                name = self._names.get(id(value), f"{place}.constant{len(held)}")
                held[name] = value
                return Held(name)
            if not isinstance(value, View):
                raise NetworkError(f"{place}: the operation {operation} cannot be left untouched")
            stored = self._build.plain(place, value)
            if stored not in inputs:
                inputs.append(stored)
            return Slot(inputs.index(stored))

        arguments = tuple(kept(argument) for argument in node.args)
        keywords = {name: kept(argument) for name, argument in node.kwargs.items()}
        if not inputs:
            raise NetworkError(f"{place}: the operation {operation} cannot be left untouched")
        call = TorchCall(node.target, arguments, keywords, held)
        given = [self._build.shapes[x] for x in inputs]
        if each_alone(call, given, sizes_of(result), torch.double) is False:
            raise NetworkError(
                f"{place}: the operation {operation} computes samples from one another, so it cannot be left "
                f"untouched either; {EACH_SAMPLE}"
            )
        numbers = sum(t.numel() for t in held.values() if isinstance(t, nn.Parameter))
        name = self._build.free(place)
        size = sizes_of(result)
        step = Untouched(name, tuple(inputs), operation, size, numbers, call)
        return self._build.view(self._build.add(step))

    def _name(self, node: Any) -> str:
        """The place of a call in the model: its module's, or the operation's inside of one."""
        schema = getattr(node.target, "_schema", None)
        own = operation_of(schema) if schema is not None else str(node.name)
        stack = node.meta.get("nn_module_stack") or {}
        path = re.sub(r"@\d+", "", str(list(stack.values())[-1][0])) if stack else ""
        try:
            module = self._model.get_submodule(path)
        except AttributeError:
            return own
        alone = not list(module.children()) or isinstance(
            module, nn.Linear | nn.modules.conv._ConvNd
        )
        if path and alone and type(module).__module__.startswith("torch."):
            return path
        return f"{path}.{own}" if path else own
