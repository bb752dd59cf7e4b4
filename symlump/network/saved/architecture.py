"""The architecture of a network as a line of JSON, beside its weights.

Of a chain of dense layers it is a list with an entry for each module of an ``nn.Sequential``: its class in
``torch.nn``, its arguments, and the prefix of its tensors in the file (empty where it has none).

Of any other network it is an object with what :mod:`symlump.network.torch_module` writes, step by step:
``inputs``, the names of what is given; where they are known ``given``, of each the name that it has in the
network, its type, and the shape of a sample; ``modules``, by the prefix of their tensors the class in
``torch.nn`` and its arguments; ``steps``, each with a name, what is done (``module`` or ``function``), which (a
prefix, or a name of ``torch.Tensor``, ``torch.nn.functional`` or ``torch``), the arguments, and those with
names; ``output``. An argument is a number, a word, a list of arguments (a tuple where it is called),
``{"value": name}``, ``{"tensor": name}``, ``{"dtype": name}``, ``{"slice": [start, stop, step]}`` or
``{"dict": {key: argument}}``. The module is the one in evaluation: dropout is an ``Identity``.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import fx, nn
from torch.nn import functional

from symlump.errors import NetworkError, first_line
from symlump.network.activations.torch_modules import (
    ACTIVATION_ARGUMENTS,
    known_activation,
    options_of,
)
from symlump.network.saved.load import FUNCTIONS
from symlump.network.torch_parts import computes_as_its_class

#: Under this name it stands in the metadata of a safetensors file.
KEY = "architecture"


def architecture(model: nn.Module, prefixes: Sequence[str] | None = None) -> str | None:
    """The JSON of a model that ``to_torch`` made; None where a module of it is not one of torch.

    Parameters
    ----------
    prefixes : sequence of str, optional
        Of the tensors of each dense layer; by default their places.

    Examples
    --------
    >>> architecture(nn.Sequential(nn.Linear(3, 2), nn.Tanh()))
    '[["Linear", {"in_features": 3, "out_features": 2, "bias": true}, "0"], ["Tanh", {}, ""]]'
    """
    rows: list[tuple[str, dict[str, object], str]] = []
    left = iter(prefixes or ())
    # Not its children, among which a layer that is tied is once.
    for place, module in enumerate(cast(nn.Sequential, model)):
        kind = type(module).__name__
        if isinstance(module, nn.Linear):
            sizes = {"in_features": module.in_features, "out_features": module.out_features}
            prefix = next(left) if prefixes is not None else str(place)
            rows.append((kind, {**sizes, "bias": module.bias is not None}, prefix))
        elif isinstance(module, nn.Flatten):
            rows.append((kind, {"start_dim": module.start_dim, "end_dim": module.end_dim}, ""))
        else:
            phi = known_activation(module)
            if phi is None or not phi.torch_class or kind != phi.torch_class:
                return None
            rows.append((kind, dict(phi.torch_options), ""))
    return json.dumps(rows)


_OTHER_NAMES: dict[Any, str] = {operator.getitem: "__getitem__", operator.truediv: "div"}
_TURNED = {"add": "add", "mul": "mul", "sub": "rsub"}
_DROPPED = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
_CONVOLUTION = (
    "in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups",
)  # fmt: skip
_RECURRENT = ("input_size", "hidden_size", "num_layers", "batch_first", "bidirectional", "bias")
_CELL = ("input_size", "hidden_size", "bias")
_MAX_POOL = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
_MEAN_POOL = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
_AXES = ("1d", "2d", "3d")
#: By the class in ``torch.nn`` of a module in a file, the names of the arguments that it may have.
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "Linear": ("in_features", "out_features", "bias"),
    "LayerNorm": ("normalized_shape", "eps", "elementwise_affine", "bias"),
    "RMSNorm": ("normalized_shape", "eps", "elementwise_affine"),
    "Flatten": ("start_dim", "end_dim"),
    "Embedding": ("num_embeddings", "embedding_dim", "padding_idx"),
    "GRUCell": _CELL,
    "LSTMCell": _CELL,
    "RNNCell": (*_CELL, "nonlinearity"),
    "GRU": _RECURRENT,
    "LSTM": _RECURRENT,
    "RNN": (*_RECURRENT, "nonlinearity"),
    **{f"Conv{d}": (*_CONVOLUTION, "bias") for d in _AXES},
    **{f"ConvTranspose{d}": (*_CONVOLUTION, "output_padding", "bias") for d in _AXES},
    **{f"AvgPool{d}": _MEAN_POOL for d in _AXES},
    **{f"MaxPool{d}": _MAX_POOL for d in _AXES},
    **{f"Adaptive{kind}Pool{d}": ("output_size",) for d in _AXES for kind in ("Avg", "Max")},
    **ACTIVATION_ARGUMENTS,
}


def graph_architecture(
    model: nn.Module, given: Sequence[tuple[str, str, Sequence[int]]] | None = None
) -> str:
    """The JSON of a module that is no chain.

    Parameters
    ----------
    given : sequence of (str, str, shape), optional
        Of each input its name, its type, and the shape of a sample.

    Raises
    ------
    NetworkError
        If a step has no name in torch; the message names it, and the files that hold it.

    Examples
    --------
    >>> class Sum(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.fc = nn.Linear(2, 2)
    ...     def forward(self, x):
    ...         return x + torch.relu(self.fc(x))
    >>> json.loads(graph_architecture(Sum()))["steps"]  # doctest: +NORMALIZE_WHITESPACE
    [['fc', 'module', 'fc', [{'value': 'x'}], {}],
     ['relu', 'function', 'relu', [{'value': 'fc'}], {}],
     ['add', 'function', 'add', [{'value': 'x'}, {'value': 'relu'}], {}]]
    """
    # symlump's own modules are followed to the functions that they call, torch's are not.
    try:
        graph = fx.Tracer().trace(model)
    except Exception as error:  # the model's own code runs here, and can raise anything
        reason = first_line(error)
        raise NetworkError(
            f"a {type(model).__name__} cannot be followed step by step: {reason}; write it as a program of "
            "torch (write_program(model, path, example=…))"
        ) from None
    found: dict[str, Any] = {"inputs": [], "modules": {}, "steps": [], "output": None}
    if given is not None:
        found["given"] = [[name, kind, list(shape)] for name, kind, shape in given]
    for node in graph.nodes:
        options = {name: _argument(node, value) for name, value in node.kwargs.items()}
        arguments = [_argument(node, value) for value in node.args]
        match node.op:
            case "placeholder":
                found["inputs"].append(node.name)
            case "output":
                found["output"] = arguments[0]
            case "call_module":
                place = str(node.target)
                found["modules"][place] = _described(node, model.get_submodule(place))
                found["steps"].append([node.name, "module", place, arguments, options])
            case "call_function" | "call_method":
                which, arguments = _value_first(node, _function(node), arguments)
                found["steps"].append([node.name, "function", which, arguments, options])
    return json.dumps(found)


def _function(node: fx.Node) -> str:
    name = str(getattr(node.target, "__name__", node.target))
    name = _OTHER_NAMES.get(node.target, name)
    own = name in FUNCTIONS and (
        node.op == "call_method"
        or node.target is getattr(functional, name, None)
        or node.target is getattr(torch, name, None)
        or getattr(node.target, "__module__", "") == "_operator"
    )
    if not own:
        raise _refused(node, name)
    return name


def _value_first(node: fx.Node, name: str, given: list[Any]) -> tuple[str, list[Any]]:
    """Torch's functions take a value first, Python's operators also a number."""
    if name in _TURNED and isinstance(given[0], int | float):
        return _TURNED[name], given[::-1]
    if name in ("div", "pow") and isinstance(given[0], int | float):
        raise _refused(node, f"{name} of a number by a value")
    return name, given


def _argument(node: fx.Node, value: Any) -> Any:
    if isinstance(value, fx.Node):
        return {"tensor": str(value.target)} if value.op == "get_attr" else {"value": value.name}
    if isinstance(value, list | tuple):
        return [_argument(node, part) for part in value]
    if isinstance(value, dict):
        return {"dict": {str(key): _argument(node, part) for key, part in value.items()}}
    if isinstance(value, slice):
        return {"slice": [value.start, value.stop, value.step]}
    if isinstance(value, torch.dtype):
        return {"dtype": str(value).removeprefix("torch.")}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise _refused(node, str(value))


def _described(node: fx.Node, module: nn.Module) -> tuple[str, dict[str, Any]]:
    if type(module) in _DROPPED and computes_as_its_class(module):
        return "Identity", {}
    kind = type(module).__name__
    names = ARGUMENTS.get(kind)
    if names is None or type(module) is not getattr(nn, kind):
        raise _refused(node, kind)
    options = {name: getattr(module, name) for name in names}
    if "bias" in options and not isinstance(options["bias"], bool):
        options["bias"] = options["bias"] is not None
    if not computes_as_its_class(module) or options_of(new_module(kind, options)) != options_of(
        module
    ):
        known = ", ".join(names) or "none"
        raise _refused(node, f"{kind} with hooks, or with options other than {known},")
    return kind, options


def new_module(kind: str, options: Mapping[str, Any]) -> nn.Module:
    """A module of torch whose tensors have shapes, but no numbers.

    Examples
    --------
    >>> new_module("Linear", {"in_features": 3, "out_features": 10**9}).weight.is_meta
    True
    """
    with torch.device("meta"):
        module: nn.Module = getattr(nn, kind)(**options)
    return module


def _refused(node: fx.Node, what: str) -> NetworkError:
    return NetworkError(
        f"{node.name}: the step {what} has no name in a safetensors file; write the network as a program of "
        "torch, -o NAME.pt2 (write_program), or as ONNX, -o NAME.onnx (write_onnx)"
    )
