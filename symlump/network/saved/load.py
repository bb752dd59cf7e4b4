"""Load networks that symlump wrote as safetensors, packed or not; needs torch and safetensors, not symlump.

Of a file ``small.safetensors``, in a folder with this one::

    from load import load
    network = load("small.safetensors")
    outputs = network(inputs)

``tensors("small.safetensors")`` are its weights alone, unpacked. Nothing in a file is executed: only classes of
``torch.nn`` and the functions listed here are called.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import torch
from safetensors import safe_open
from torch import nn
from torch.nn import functional

#: Functions that a written step may call; what a file names is looked up among these only.
FUNCTIONS = frozenset({
    "__getitem__", "abs", "add", "amax", "amin", "argmax", "avg_pool2d", "cat", "ceil", "celu", "clamp",
    "conv_transpose2d", "cos", "div", "elu", "embedding", "eq", "erf", "exp", "expand", "flatten", "floor",
    "gelu", "hardsigmoid", "hardswish", "hardtanh", "index_select", "interpolate", "layer_norm",
    "leaky_relu", "log", "log_softmax", "long", "matmul", "maximum", "mean", "minimum", "mish", "movedim",
    "mul", "narrow", "neg", "pad", "permute", "pow", "reciprocal", "relu", "reshape", "round", "rsqrt",
    "rsub", "scaled_dot_product_attention", "selu", "sigmoid", "sign", "silu", "sin", "size", "softmax",
    "softplus", "softsign", "sqrt", "square", "squeeze", "sub", "sum", "tanh", "to", "transpose",
    "unflatten", "unsqueeze", "view", "zeros_like",
})  # fmt: skip

#: What may be stored of a packed tensor, each under its name and this.
PARTS = ("codes", "steps", "numbers", "places", "rows", "columns")

#: Under this name a file says why it does not say its architecture.
UNSAID = "no architecture"

Tensors = dict[str, torch.Tensor]


def load(path: Any) -> Loaded:
    """The network in a file as a module of torch, with the number types of the file."""
    held, metadata = _read(path)
    if "architecture" not in metadata:
        why = f" ({metadata[UNSAID]})" if UNSAID in metadata else ""
        raise ValueError(
            f"{path} does not say its architecture{why}; tensors(path) are its weights, for load_state_dict of "
            "the module that they are of"
        )
    return Loaded(json.loads(metadata["architecture"]), held).eval()


def tensors(path: Any) -> Tensors:
    """The tensors of a file by name, those that are packed or tied as well."""
    return _read(path)[0]


def _read(path: Any) -> tuple[Tensors, dict[str, str]]:
    with safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
        held = {name: file.get_tensor(name) for name in list(file.keys())}
    for name, entry in json.loads(metadata.get("packed", '{"tensors": {}}'))["tensors"].items():
        parts = {p: held.pop(f"{name}.{p}") for p in PARTS if f"{name}.{p}" in held}
        held[name] = unpack(entry, parts)
    return held | {name: held[one] for name, one in metadata.items() if one in held}, metadata


def unpack(entry: dict[str, Any], parts: Tensors) -> torch.Tensor:
    """A tensor from its entry in the header, and what is stored of it."""
    shape, bits, places = torch.Size(entry["shape"]), entry.get("bits"), parts.get("places")
    kept = torch.ones(shape, dtype=torch.bool)
    if places is not None:
        kept = _bits(places, shape.numel()).view(shape).bool()
    if bits is None:
        numbers = parts["numbers"].double()
    else:
        codes = _bits(parts["codes"], bits * int(kept.sum())).view(-1, bits)
        numbers = (codes @ 2 ** torch.arange(bits) - 2 ** (bits - 1)).double()
    whole = torch.zeros(shape, dtype=torch.float64)
    if "blocks" not in entry:
        count = int(kept.sum())
        whole[kept], numbers = numbers[:count].view(count), numbers[count:]
    for top, bottom, left, right, rank in entry.get("blocks", ()):
        m, n = bottom - top, right - left
        count = m * n if rank < 0 else (m + n) * rank
        block, numbers = numbers[:count], numbers[count:]
        if rank >= 0:  # added up in this order, so that rounding is that of the network
            a, b = block[: m * rank].view(m, rank), block[m * rank :].view(rank, n)
            block = torch.zeros(m, n, dtype=torch.float64)
            for k in range(rank):
                block += a[:, k, None] * b[k]
        whole[top:bottom, left:right] = block.view(m, n)
    if numbers.numel():
        raise ValueError(
            f"{numbers.numel()} numbers more than a packed tensor of shape {shape} has"
        )
    for axis, order in enumerate(("rows", "columns")):
        if order in parts:
            whole = whole.index_select(axis, parts[order].long().argsort())
    dtype: torch.dtype = getattr(torch, entry["dtype"])
    return (whole * parts["steps"].double() if "steps" in parts else whole).to(dtype)


def _bits(packed: torch.Tensor, count: int) -> torch.Tensor:
    """So many bits of bytes, the lowest of each first."""
    return ((packed[:, None] >> torch.arange(8)) & 1).flatten()[:count].long()


class Loaded(nn.Module):
    """A network, step by step as its architecture says.

    Of a chain this is a list of modules, each with a class, its arguments and the prefix of its tensors.
    """

    inputs: list[Any]
    steps: list[Any]
    output: Any

    def __init__(self, architecture: Any, held: Tensors) -> None:
        super().__init__()
        net: dict[str, Any]
        modules: dict[Any, Any]
        if isinstance(architecture, list):
            count = len(architecture)
            steps = [[k + 1, "module", k, [{"value": k}], {}] for k in range(count)]
            net = {"inputs": [0], "steps": steps, "output": {"value": count}}
            modules = dict(enumerate(architecture))
        else:
            net = architecture
            modules = {prefix: [*made, prefix] for prefix, made in net["modules"].items()}
        self.inputs, self.steps, self.output = net["inputs"], net["steps"], net["output"]
        for _, kind, which, _, _ in self.steps:
            if kind != "module" and which not in FUNCTIONS:
                raise ValueError(f"files of symlump do not call {which!r}")
        self.places = {place: k for k, place in enumerate(modules)}
        self.parts = nn.ModuleList([_module(held, *made) for made in modules.values()])
        self.names = {name: f"tensor{k}" for k, name in enumerate(sorted(set(_named(net))))}
        for name, buffer in self.names.items():
            self.register_buffer(buffer, held[name])

    def forward(self, *inputs: torch.Tensor) -> Any:
        """The outputs."""
        seen = dict(zip(self.inputs, inputs, strict=True))
        for name, kind, which, given, options in self.steps:
            values = self._value(given, seen)
            options = {key: self._value(a, seen) for key, a in options.items()}
            if kind == "module":
                call = self.parts[self.places[which]]
            else:
                homes = (type(values[0]), functional, torch)
                call = getattr(next(home for home in homes if hasattr(home, which)), which)
            seen[name] = call(*values, **options)
        return self._value(self.output, seen)

    def _value(self, argument: Any, seen: dict[Any, Any]) -> Any:
        if isinstance(argument, list):
            return tuple(self._value(a, seen) for a in argument)
        if not isinstance(argument, dict):
            return argument
        ((kind, what),) = argument.items()
        if kind == "dict":
            return {key: self._value(a, seen) for key, a in what.items()}
        if kind == "slice":
            return slice(*what)
        if kind == "tensor":
            return getattr(self, self.names[what])
        found = {"value": seen, "dtype": vars(torch)}[kind][what]
        if kind == "dtype" and not isinstance(found, torch.dtype):
            raise ValueError(f"torch.{what} is no type of numbers")
        return found


def _named(argument: Any) -> Iterator[str]:
    """The tensors that steps read themselves."""
    if isinstance(argument, dict):
        if isinstance(argument.get("tensor"), str):
            yield argument["tensor"]
        argument = list(argument.values())
    if isinstance(argument, list):
        for part in argument:
            yield from _named(part)


def _module(held: Tensors, kind: str, options: dict[str, Any], prefix: str) -> nn.Module:
    made = getattr(nn, kind)
    if not (isinstance(made, type) and issubclass(made, nn.Module)):
        raise ValueError(f"torch.nn.{kind} is no module")
    if any(count > len(held) for name, count in options.items() if "layers" in name):
        raise ValueError(f"the {kind} {prefix!r} has more layers than the file has tensors")
    with torch.device("meta"):  # without numbers: those of the file are taken
        module = made(**options)
    before = f"{prefix}." if prefix else ""
    own = {name: held[before + name] for name in module.state_dict()}
    module.load_state_dict(own, assign=True)
    return module
