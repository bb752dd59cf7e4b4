"""The architecture of a network as a line of JSON, beside its weights.

Of a chain of dense layers it is a list with an entry for each module of an ``nn.Sequential``: its class in
``torch.nn``, its arguments, and the prefix of its tensors in the file (empty where it has none).

Of any other network it is an object with what :mod:`symlump.network.torch_module` writes, step by step:
``inputs``, the names of what is given; ``modules``, by the prefix of their tensors the class in ``torch.nn``
and its arguments; ``steps``, each with a name, what is done (``module`` or ``function``), which (a prefix, or
a name of ``torch.Tensor``, ``torch.nn.functional`` or ``torch``), the arguments, and those with names;
``output``. An argument is a number, a word, a list of arguments (a tuple where it is called), ``{"value":
name}``, ``{"tensor": name}``, ``{"dtype": name}``, ``{"slice": [start, stop, step]}`` or
``{"dict": {key: argument}}``. The module is the one in evaluation: dropout is an ``Identity``.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from symlump.errors import NetworkError
from symlump.network.activations.torch_modules import known_activation

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
    for place, module in enumerate(model.children()):
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


#: Functions that a written step may call; what a file names is looked up among these only.
FUNCTIONS = frozenset({
    "__getitem__", "abs", "add", "amax", "amin", "argmax", "avg_pool2d", "cat", "ceil", "celu", "clamp",
    "conv_transpose2d", "cos", "div", "elu", "embedding", "eq", "erf", "exp", "expand", "flatten", "floor",
    "gelu",
    "hardsigmoid", "hardswish", "hardtanh", "index_select", "interpolate", "layer_norm", "leaky_relu", "log",
    "log_softmax", "long", "matmul", "maximum", "mean", "minimum", "mish", "movedim", "mul", "narrow", "neg",
    "pad",
    "permute", "pow", "reciprocal", "relu", "reshape", "round", "rsqrt", "rsub", "scaled_dot_product_attention",
    "selu", "sigmoid", "sign", "silu", "sin", "size", "softmax", "softplus", "softsign", "sqrt", "square",
    "squeeze", "sub", "sum", "tanh", "to", "transpose", "unflatten", "unsqueeze", "view",
    "zeros_like",
})  # fmt: skip
_OTHER_NAMES: dict[Any, str] = {operator.getitem: "__getitem__", operator.truediv: "div"}
_TURNED = {"add": "add", "mul": "mul", "sub": "rsub"}
_OPTIONS: dict[type[nn.Module], tuple[str, ...]] = {
    nn.LayerNorm: ("normalized_shape", "eps", "elementwise_affine"),
    nn.RMSNorm: ("normalized_shape", "eps", "elementwise_affine"),
    nn.Flatten: ("start_dim", "end_dim"),
    nn.Embedding: ("num_embeddings", "embedding_dim", "padding_idx"),
    **dict.fromkeys((nn.RNNCell, nn.GRUCell, nn.LSTMCell), ("input_size", "hidden_size")),
    **dict.fromkeys(
        (nn.RNN, nn.GRU, nn.LSTM),
        ("input_size", "hidden_size", "num_layers", "batch_first", "bidirectional"),
    ),
}
_DROPPED = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
_CONVOLUTION = (
    "in_channels",
    "out_channels",
    "kernel_size",
    "stride",
    "padding",
    "dilation",
    "groups",
)
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_POOLS = (
    nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d,
    nn.AdaptiveMaxPool3d,
)  # fmt: skip
_POOLING = (
    "kernel_size", "stride", "padding", "dilation", "ceil_mode", "count_include_pad", "output_size",
)  # fmt: skip


def graph_architecture(model: nn.Module) -> str:
    """The JSON of a module that is no chain.

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
        reason = str(error).strip().split("\n")[0][:200]
        raise NetworkError(
            f"a {type(model).__name__} cannot be followed step by step: {reason}; write it as a program of "
            "torch (write_program(model, path, example=…))"
        ) from None
    found: dict[str, Any] = {"inputs": [], "modules": {}, "steps": [], "output": None}
    for node in graph.nodes:
        options = {name: _argument(node, value) for name, value in node.kwargs.items()}
        given = [_argument(node, value) for value in node.args]
        match node.op:
            case "placeholder":
                found["inputs"].append(node.name)
            case "output":
                found["output"] = given[0]
            case "call_module":
                place = str(node.target)
                found["modules"][place] = _described(node, model.get_submodule(place))
                found["steps"].append([node.name, "module", place, given, options])
            case "call_function" | "call_method":
                which, given = _value_first(node, _function(node), given)
                found["steps"].append([node.name, "function", which, given, options])
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
    kind, names = type(module), _OPTIONS.get(type(module))
    phi = known_activation(module)
    if isinstance(module, nn.Linear) and kind is nn.Linear:
        names = ("in_features", "out_features")
    elif kind in _CONVOLUTIONS:
        names = _CONVOLUTION
    elif kind in _TRANSPOSED:
        names = (*_CONVOLUTION, "output_padding")
    elif kind in _POOLS:
        names = tuple(name for name in _POOLING if hasattr(module, name))
    elif kind in _DROPPED:
        return "Identity", {}
    elif names is None and phi is not None and phi.torch_class == kind.__name__:
        return kind.__name__, dict(phi.torch_options)
    if names is None:
        raise _refused(node, kind.__name__)
    options = {name: getattr(module, name) for name in names}
    if isinstance(module, nn.RNN | nn.RNNCell):
        options["nonlinearity"] = module.nonlinearity
    if isinstance(module, nn.RNNBase) and module.proj_size:
        raise _refused(node, f"{kind.__name__} with projections")
    if hasattr(module, "bias") and kind is not nn.RMSNorm:
        options["bias"] = (
            bool(module.bias) if isinstance(module.bias, bool) else module.bias is not None
        )
    return kind.__name__, options


def _refused(node: fx.Node, what: str) -> NetworkError:
    return NetworkError(
        f"{node.name}: the step {what} has no name in a safetensors file; write the network as a program of "
        "torch, -o NAME.pt2 (write_program), or as ONNX, -o NAME.onnx (write_onnx)"
    )
