"""What a file of tensors says of its architecture, rebuilt: as a module of torch, and read as a network.

A file may be anybody's, so nothing is taken on trust. Only classes and functions of the lists in
:mod:`symlump.network.saved.architecture` are called; modules are made without numbers and get those of the
file, where shapes agree. Before a number is computed all steps run on shapes alone, which says what does not
fit, and how much memory the values would take.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional
from torch.utils._pytree import tree_leaves

from symlump.errors import FileFormatError, NetworkError, first_line
from symlump.memory import memory_errors
from symlump.network.network import Network
from symlump.network.rewrite import rename_nodes
from symlump.network.saved.architecture import KEY, new_module
from symlump.network.saved.steps import TYPES, Steps, WrongError, check_module, demand, parse_plan
from symlump.network.saved.tensors import TensorFile, quote
from symlump.network.torch_io import from_torch

_PLAIN = re.compile(
    r"[\w \-]+"
)  # part of the name of a tensor; it stands in the code of the module
#: Bytes of all values of two samples together; what takes more is refused before it is computed.
MAX_VALUES = 1 << 32
#: Where recurrent cells stand whose tensors have no prefix.
_WHOLE = "module_itself"
_CELLS = ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell")


@memory_errors()
def read_module(path: str | Path) -> nn.Module:
    """Read the module of torch that a safetensors file with its architecture is of, packed or not.

    It does what was written, with its tensors under the same names, in evaluation.

    Parameters
    ----------
    path : path
        Written by :func:`symlump.write_safetensors`, ``result.write``, or ``symlump compress -o``.

    Returns
    -------
    torch.nn.Module
        Of a chain of dense layers an ``nn.Sequential``. Several inputs are given one after the other.

    Raises
    ------
    FileFormatError
        If the file is missing, damaged, names no architecture, or one that does not fit its tensors.

    Examples
    --------
    >>> import tempfile
    >>> from symlump import write_safetensors
    >>> path = Path(tempfile.mkdtemp()) / "gru.safetensors"
    >>> gru, x = nn.GRU(3, 5), torch.ones(4, 2, 3)
    >>> write_safetensors(gru, path)
    >>> torch.equal(read_module(path)(x)[0], gru(x)[0])
    True
    """
    file = TensorFile.of(path)
    try:
        demand(KEY in file.metadata, "it has none; symlump writes one, where each step has a name")
        plan = parse_plan(file.metadata[KEY])
        if isinstance(plan, list):
            return _sequential(plan, file).eval()
        model, _ = _rebuilt(plan, file)
        _fill(model, file, {_WHOLE: ""})
    except WrongError as error:
        raise _refused(file, error) from None
    return model.eval()


def has_steps(file: TensorFile) -> bool:
    """Whether a file says its architecture step by step, as that of no chain."""
    return file.metadata.get(KEY, "").lstrip().startswith("{")


def read_steps(file: TensorFile, example: Any = None) -> Network:
    """The network of a file with an architecture of steps.

    Parameters
    ----------
    example : Tensor or tuple of them, optional
        Inputs of any values, where the file does not say their shapes.

    Raises
    ------
    FileFormatError
        If the architecture does not fit the tensors, or its values would not fit in memory.
    NetworkError
        If it is of recurrent cells, or the shapes of its inputs are not known.
    """
    try:
        model, steps = _rebuilt(parse_plan(file.metadata[KEY]), file)
        cells = next((kind for kind, _ in steps.modules.values() if kind in _CELLS), None)
        if cells is not None:
            raise NetworkError(
                f"{file.path} holds recurrent cells ({cells}), which are no graph of layers; "
                "read_module(path) gives the module back, and compress(module, …) takes it"
            )
        if example is None and steps.given is None:
            raise NetworkError(
                f"{file.path} was written from a module, and does not say the shape of what it reads; give "
                "an input: read_safetensors(path, example=torch.zeros(1, …)), one for each of "
                f"{', '.join(steps.inputs)}"
            )
        shapes = _zeros(steps) if example is None else _parts(example, steps)
        _fill(model, file, {_WHOLE: ""}, without_numbers=True)
        _check_size(model, shapes)
        _fill(model, file, {_WHOLE: ""})
    except WrongError as error:
        raise _refused(file, error) from None
    given = tuple(x.new_zeros(x.shape, device="cpu") for x in shapes)
    network = from_torch(model.eval(), given)
    own = [name for name, _, _ in steps.given] if steps.given else steps.inputs
    names = dict(zip((node.name for node in network.inputs), own, strict=True))
    return rename_nodes(network, names, {*names.values()} - {*names})


def _refused(file: TensorFile, error: Exception) -> FileFormatError:
    return FileFormatError(f"{file.path}: its architecture cannot be read: {error}")


def _rebuilt(plan: Any, file: TensorFile) -> tuple[fx.GraphModule, Steps]:
    """The module of steps, with shapes and no numbers yet, and the steps."""
    steps, root = Steps.of(plan), nn.Module()
    for prefix, (kind, options) in steps.modules.items():
        whole = _WHOLE if kind in _CELLS else ""
        owner, last = _place(root, prefix or whole)
        owner.add_module(last, _new_module(prefix, kind, options, file))
    for name in steps.tensors:
        owner, last = _place(root, name)
        owner.register_buffer(last, _tensor(file, name).to("meta"))
    graph = fx.Graph()
    seen = {name: graph.placeholder(name) for name in steps.inputs}
    for name, kind, which, given, options in steps.steps:
        values = tuple(_argument(part, graph, seen) for part in given)
        named = {key: _argument(part, graph, seen) for key, part in options.items()}
        if kind == "module":
            seen[name] = graph.call_module(which or _WHOLE, values, named)
        elif which == "__getitem__":
            seen[name] = graph.call_function(operator.getitem, values, named)
        elif isinstance(values[0], fx.Node) and hasattr(torch.Tensor, which):
            seen[name] = graph.call_method(which, values, named)
        else:
            called: Any = getattr(functional, which, None) or getattr(torch, which, None)
            demand(called is not None, f"the step {quote(name)} calls {which} of what has none")
            seen[name] = graph.call_function(called, values, named)
    graph.output(_argument(steps.output, graph, seen))
    try:
        return fx.GraphModule(root, graph, "Rebuilt"), steps
    except SyntaxError as error:
        said = quote((error.text or "").strip())
        raise WrongError(f"a part of a name in {said} is a word of Python") from None
    except Exception as error:  # of torch, which writes the steps as code
        raise WrongError(f"its steps make no module: {first_line(error)}") from None


def _argument(argument: Any, graph: fx.Graph, seen: dict[str, fx.Node]) -> Any:
    if isinstance(argument, list):
        return tuple(_argument(part, graph, seen) for part in argument)
    if not isinstance(argument, dict):
        return argument
    ((kind, what),) = argument.items()
    match kind:
        case "value":
            return seen[what]
        case "tensor":
            return graph.get_attr(what)
        case "dtype":
            return getattr(torch, what)
        case "slice":
            return slice(*what)
    return {key: _argument(part, graph, seen) for key, part in what.items()}


def _new_module(prefix: str, kind: str, options: dict[str, Any], file: TensorFile) -> nn.Module:
    layers = options.get("num_layers", 1)
    demand(
        type(layers) is int and layers <= len(file.tensors) + 1,
        f"the module {quote(prefix)} has more layers than the file has tensors",
    )
    try:
        return new_module(kind, options)
    except Exception as error:
        raise WrongError(
            f"the module {quote(prefix)} cannot be made: {first_line(error)}"
        ) from None


def _fill(
    model: nn.Module, file: TensorFile, prefixes: dict[str, str], without_numbers: bool = False
) -> None:
    """Put the tensors of the file, or their types and shapes, where shapes are."""
    parameters: dict[int, nn.Parameter] = {}
    for path, owner in model.named_modules():
        before = prefixes.get(path, path)
        for name in [*owner._buffers, *owner._parameters]:
            held = owner._parameters.get(name, owner._buffers.get(name))
            if held is None:
                continue
            tensor = _tensor(file, f"{before}.{name}" if before else name)
            demand(
                tensor.shape == held.shape
                and (name in owner._buffers or tensor.is_floating_point()),
                f"the tensor {quote(f'{before}.{name}')} has shape {tuple(tensor.shape)} in "
                f"{tensor.dtype}; its {type(owner).__name__} has real numbers of shape "
                f"{tuple(held.shape)}",
            )
            own = tensor.to("meta") if without_numbers else tensor
            if name in owner._parameters:
                own = parameters.setdefault(id(tensor), nn.Parameter(own))
            setattr(owner, name, own)


def _zeros(steps: Steps) -> tuple[torch.Tensor, ...]:
    """One sample of each input, without numbers."""
    return tuple(
        torch.zeros(1, *shape, dtype=TYPES[kind], device="meta")
        for _, kind, shape in steps.given or ()
    )


def _parts(example: Any, steps: Steps) -> tuple[torch.Tensor, ...]:
    """An example as one tensor for each input."""
    parts = tuple(example) if isinstance(example, list | tuple) else (example,)
    if len(parts) != len(steps.inputs) or not all(
        isinstance(x, torch.Tensor) and x.dim() for x in parts
    ):
        raise NetworkError(
            f"example is a tensor (samples, …) for each input, {', '.join(steps.inputs)}; got "
            f"{len(parts)}"
        )
    return parts


def _place(root: nn.Module, path: str) -> tuple[nn.Module, str]:
    """The module that holds what stands at a path, made where there is none, and the last part."""
    owner, parts = root, path.split(".")
    for number, part in enumerate(parts, 1):
        plain, free = _PLAIN.fullmatch(part) is not None, not hasattr(owner, part)
        within = number < len(parts) and type(owner._modules.get(part)) is nn.Module
        demand(
            plain and (free or within) and type(owner) is nn.Module,
            f"{quote(path)} is no place in a module, or another stands there",
        )
        if number == len(parts):
            break
        if free:
            owner.add_module(part, nn.Module())
        owner = owner.get_submodule(part)
    return owner, parts[-1]


def _tensor(file: TensorFile, name: str) -> torch.Tensor:
    """A tensor of the file, by its name or that of the one that it is."""
    tensor = file.tensors.get(name, file.tensors.get(file.metadata.get(name, "")))
    if tensor is None:
        raise WrongError(f"the file has no tensor {quote(name)}")
    return tensor


def _check_size(model: fx.GraphModule, given: Sequence[torch.Tensor]) -> None:
    """Take all steps on shapes alone, and refuse what would take too much memory."""
    counting = _Counting(model)
    try:
        with torch.no_grad():
            counting.run(*(x.new_empty((2, *x.shape[1:]), device="meta") for x in given))
    except WrongError:
        raise
    except Exception as error:  # whatever torch's functions raise for what does not fit
        raise WrongError(
            f"the step {quote(counting.step)} does not fit: {first_line(error)}"
        ) from None


class _Counting(fx.Interpreter):
    """Counts the bytes of the values of two samples, and of the weights of modules that are called again."""

    def __init__(self, model: fx.GraphModule) -> None:
        super().__init__(model)
        self.extra_traceback = False
        self.step, self._total = "", 0
        self._called: set[str] = set()

    def run_node(self, n: fx.Node) -> Any:
        """Take one step."""
        self.step = n.name
        value = super().run_node(n)
        parts = [part for part in tree_leaves(value) if isinstance(part, torch.Tensor)]
        self._total += sum(part.numel() * part.element_size() for part in parts)
        if n.op == "call_module":
            target = str(n.target)
            if target in self._called:
                module = self.module.get_submodule(target)
                self._total += 8 * sum(p.numel() for p in module.parameters())
            self._called.add(target)
        demand(
            self._total <= MAX_VALUES,
            f"with the step {quote(n.name)} the values of two samples would take more than "
            f"{MAX_VALUES >> 30} GiB",
        )
        return value


def _sequential(plan: list[Any], file: TensorFile) -> nn.Sequential:
    """The chain of dense layers that a list of modules is."""
    model, prefixes = nn.Sequential(), dict[str, str]()
    for number, row in enumerate(plan):
        form = isinstance(row, list) and len(row) == 3 and isinstance(row[2], str)
        demand(form, "a module is not given by its class, its arguments and a prefix")
        kind, options, prefixes[str(number)] = row
        check_module(row[2], [kind, options])
        model.append(_new_module(row[2], kind, options, file))
    _fill(model, file, prefixes)
    return model
