"""The calls of a program that torch exported: their names, arguments and sizes."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves, tree_unflatten

from symlump.errors import NetworkError
from symlump.network.exchange.arranging import EACH_SAMPLE
from symlump.network.exchange.views import SAMPLES
from symlump.network.nodes import Shape

#: What moves or drops numbers of a tensor that the model holds, and rounds none.
MOVES = {
    "alias", "clone", "contiguous", "detach", "lift_fresh", "lift_fresh_copy", "view", "reshape",
    "_unsafe_view", "flatten", "squeeze", "unsqueeze", "expand", "expand_as", "t", "numpy_T", "mT",
    "transpose", "permute", "select", "slice", "narrow", "cat", "stack", "split", "chunk", "neg", "abs", "flip",
}  # fmt: skip

#: What draws random numbers.
_DRAWS = re.compile(
    r"(.*_)?dropout|rand(n|int|perm)?(_like)?|bernoulli|multinomial|normal|exponential|uniform|empty(_like)?"
)


def operation_of(schema: Any) -> str:
    """Name of an operation; ``relu_``, which works in place, is a ``relu``."""
    return re.sub(r"(?<=[a-z0-9])_$", "", schema.name.split("::")[-1])


def changed_as_well(node: Any) -> Any:
    """A value whose numbers a call that works in place changes beside its own, and that is read later; or None.

    A range of a value, or the value under another shape, holds the same numbers.
    """
    family = [node.args[0]]
    while _is_view(family[-1]):
        family.append(family[-1].args[0])
    family = family[-1:]
    place = {other: number for number, other in enumerate(node.graph.nodes)}
    for value in family:  # which grows
        before = [user for user in value.users if place[user] < place[node]]
        family += [user for user in before if _is_view(user) and user.args[0] is value]
        if value is not node.args[0] and any(place[user] > place[node] for user in value.users):
            return value
    return None


def _is_view(node: Any) -> bool:
    """Whether what a call gives shares its numbers with its first argument."""
    if node.op != "call_function" or not node.args or not isinstance(node.args[0], torch.fx.Node):
        return False
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return node.target is operator.getitem and _is_view(node.args[0])
    shares = any(part.alias_info is not None for part in schema.returns)
    return shares or operation_of(schema).endswith("dropout")  # which in evaluation gives it itself


def sizes_of(value: torch.Tensor) -> Shape:
    """Of a tensor without its samples."""
    found = tuple(value.shape[1:])
    if not all(isinstance(n, int) for n in found):
        raise NetworkError(
            f"a value of shape {tuple(value.shape)} has a size that is not fixed; "
            "give an example whose sizes are numbers, only that of the samples stays open"
        )
    return found


def size_of(size: Any) -> int | None:
    """A size, with the stand-in for the number of samples in it; None if it is no number then."""
    if isinstance(size, int):
        return size
    expression = size.node.expr
    value = expression.subs(dict.fromkeys(expression.free_symbols, SAMPLES))
    return int(value) if value.is_Integer else None


def has(value: Any, kind: type) -> bool:
    """True if a value of a kind is anywhere in the arguments of a call."""
    return any(isinstance(part, kind) for part in parts_of(value))


def parts_of(value: Any) -> Iterator[Any]:
    """The arguments of a call, one by one."""
    if isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from parts_of(part)
    else:
        yield value


def refuse_examples(given: tuple[Any, ...]) -> None:
    """Raise if the example does not fit the arguments of a module."""
    for tensor in given:
        if isinstance(tensor, torch.Tensor) and tensor.is_meta:
            raise NetworkError(
                f"the example of shape {tuple(tensor.shape)} is on the meta device, and the model runs on it; "
                f"give one with numbers, torch.zeros({tuple(tensor.shape)})"
            )
        least = 2 if isinstance(tensor, torch.Tensor) and tensor.is_floating_point() else 1
        if not isinstance(tensor, torch.Tensor) or tensor.ndim < least or not tensor.shape[0]:
            raise NetworkError(
                "example is a tensor of shape (samples, …), or a tuple of them, one per argument of forward; "
                f"got {_what(tensor)}"
            )


def _what(value: Any) -> str:
    """A value that is no example, in a few words."""
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, dict):
        return (
            f"a dict of {', '.join(repr(k) for k in list(value)[:8])}; a module whose forward takes these "
            "tensors one by one is read"
        )
    return f"a {type(value).__name__}"


def ordinary(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor that operations may record, wherever it was made."""
    return tensor.clone() if tensor.is_inference() else tensor


def keys_of(program: Any, outputs: list[Any]) -> tuple[str, ...]:
    """The keys of a model that gives a dict of tensors; what is None in it is left out."""
    given = tree_unflatten(outputs, program.call_spec.out_spec)
    if not isinstance(given, dict) or any(tree_leaves(v) != [v] for v in given.values()):
        return ()
    return tuple(str(key) for key, value in given.items() if value is not None)


def draws(operation: str) -> str:
    """What is said of an operation that draws random numbers; nothing of others.

    Examples
    --------
    >>> draws("randn_like").partition(";")[0], draws("normalize")
    ('it draws random numbers, where a network gives the same for the same input', '')
    """
    if not _DRAWS.fullmatch(operation):
        return ""
    return (
        "it draws random numbers, where a network gives the same for the same input; make it depend on "
        "self.training, as dropout does, or take it out"
    )


def not_one_step(operation: str, value: Any, real: torch.dtype, samples: str) -> str:
    """Why a call cannot be carried along as it is, and what to do instead; nothing where it can.

    Parameters
    ----------
    value : Tensor, or what else it gives
    real : torch.dtype
        Of the network's numbers.
    samples : str
        The number of samples, as torch.export writes it.
    """
    if draws(operation):
        return draws(operation)
    if not isinstance(value, torch.Tensor):
        return (
            "it gives no single tensor, so it cannot be left untouched either; a module that ends before it is "
            "read, and one that begins behind it"
        )
    first, others = value.shape[:1], value.shape[1:]
    if str(first) != f"torch.Size([{samples}])" or not all(isinstance(n, int) for n in others):
        if f"*{samples}]" in str(first):
            return (
                f"along axis 0 its value of shape {tuple(value.shape)} holds several parts of each sample, as "
                "windows are, so it cannot be left untouched either; write it in operations that are known, or "
                "put it where axis 0 holds the samples alone"
            )
        return (
            f"its value of shape {tuple(value.shape)} has not one part for each sample, along axis 0, so it "
            f"cannot be left untouched either; {EACH_SAMPLE}"
        )
    if value.dtype != real:
        return (
            f"it gives {value.dtype} in a network of {real}, so it cannot be left untouched either; what stays "
            f"in {real} is read"
        )
    return ""


def each_alone(
    compute: Callable[..., Any], given: Sequence[Shape], shape: Shape, dtype: torch.dtype
) -> bool | None:
    """Whether each sample's result has a shape, and is the one that it has alone: three samples are tried.

    It is None where nothing that is tried can be computed.

    Parameters
    ----------
    given : sequence of tuple
        Shapes of the values, without the samples.
    shape : tuple of int
        Of the result.

    Examples
    --------
    >>> [each_alone(f, [(2,)], (2,), torch.double) for f in (torch.sinh, lambda h: h.cumsum(0))]
    [True, False]
    """
    draws, found = torch.Generator().manual_seed(0), None
    for few in (False, True):  # any numbers, and 0 and 1, which may stand for places
        drawn = [torch.randn(3, *size, generator=draws).to(dtype) for size in given]
        values = [(value > 0).to(dtype) if few else value for value in drawn]
        try:
            with torch.no_grad():
                together = compute(*(v.clone() for v in values))
                alone = [compute(*(v[k : k + 1].clone() for v in values)) for k in range(3)]
        except Exception:  # nothing computes it, or it does not take these
            continue
        if tuple(together.shape) != (3, *shape) or any(one.shape != (1, *shape) for one in alone):
            return False
        if not torch.allclose(together, torch.cat(alone), rtol=1e-3, atol=1e-5, equal_nan=True):
            return False
        found = True
    return found


def source_of(node: Any) -> str:
    """Where in a model's own code a call stands, as far as torch.export tells: the file and the line."""
    own = Path(torch.__file__).parent
    places = re.findall(r'File "([^"]+)", line (\d+)', node.meta.get("stack_trace") or "")
    found = [f"{Path(file).name}:{line}" for file, line in places if own not in Path(file).parents]
    return f" at {found[-1]}" if found else ""


def instead_of(model: nn.Module, given: tuple[torch.Tensor, ...], reason: str) -> str:
    """What to try where a module cannot be traced on an example."""
    kinds = {p.dtype for p in model.parameters() if p.is_floating_point()}
    other = next((x.dtype for x in given if x.is_floating_point() and x.dtype not in kinds), None)
    if len(kinds) == 1 and other is not None:
        (kind,) = kinds
        return f"Its weights are of {kind} and the example is of {other}; give it as example.to({kind})"
    if "data-dependent" in reason or ".numpy()" in reason:
        return (
            "Its forward pass asks what a value is (if, while, .item(), .numpy()), and a network takes the "
            "same steps for every input; give a module that takes one branch"
        )
    return "What torch exports as ONNX is read, too: read_onnx(path)"
