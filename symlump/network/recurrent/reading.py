"""Which cells a model has, and what reads them: its forward pass, followed by torch.fx.

Every value of the forward pass either holds no units, or units of some cells along its last axis. Steps that
treat all units alike keep that; dense layers and other cells read units; any other step is refused by name,
since merged units would change what it computes.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from symlump.errors import NetworkError
from symlump.network.activations.torch_modules import known_activation
from symlump.network.recurrent.cells import Cell
from symlump.network.recurrent.recurrent_network import CellNode, Reader, RecurrentNetwork
from symlump.network.recurrent.torch_cells import RECURRENT, STEPS, cells_of, dtype_of, plain_again
from symlump.network.torch_parts import array_of, computes_as_its_class

#: Elementwise, and so the same for units that are equal.
_ELEMENTWISE = {
    torch.relu, torch.tanh, torch.sigmoid, functional.relu, functional.silu, functional.gelu,
    functional.leaky_relu, functional.elu, "relu", "tanh", "sigmoid",
}  # fmt: skip
_UNCHANGED = {functional.dropout, "contiguous", "clone", "detach", "float", "double"}
_DROPPED = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.AlphaDropout)


@dataclass(frozen=True)
class _Units:
    """A value with units of cells along its last axis."""

    cells: tuple[str, ...]
    axes: int
    linear: bool = True


@dataclass(frozen=True)
class _Rows:
    """The last states of all layers and directions of a module, one a row."""

    cells: tuple[str, ...]


def read_recurrent(model: nn.Module) -> RecurrentNetwork:
    """Read the recurrent part of a module.

    Parameters
    ----------
    model : torch.nn.Module
        A recurrent module of torch, or one with such modules inside whose forward pass torch.fx can follow.

    Raises
    ------
    NetworkError
        If units go somewhere where merging them would change what is computed; the message names the step.
    """
    if any(p.is_meta for p in model.parameters()):
        raise NetworkError(
            f"the weights of this {type(model).__name__} are on the meta device, which holds no numbers; give "
            "it some first: model.to_empty(device='cpu'), then model.load_state_dict(…)"
        )
    parameters = sum(p.numel() for p in model.parameters())
    dtype = dtype_of(model)
    if isinstance(model, RECURRENT):
        cells = _nodes("", cells_of(model), ())
        return RecurrentNetwork(tuple(cells), (), dtype, parameters, True)
    walk = _Walk(model)
    return RecurrentNetwork(
        tuple(walk.cells.values()), tuple(walk.readers.values()), dtype, parameters, walk.shown
    )


def _nodes(
    module: str, layers: tuple[tuple[Cell, ...], ...], reads: tuple[str, ...]
) -> list[CellNode]:
    """The cells of a module, each layer reading the one before."""
    found: list[CellNode] = []
    for k, layer in enumerate(layers):
        names = []
        for cell in layer:
            names.append(_cell_name(module, k, cell.backward))
            found.append(CellNode(names[-1], module, cell, reads))
        reads = tuple(names)
    return found


def _cell_name(module: str, layer: int, backward: bool) -> str:
    return (f"{module}." if module else "") + f"l{layer}" + "_reverse" * backward


class _Walk:
    """The forward pass, step by step."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self.cells: dict[str, CellNode] = {}
        self.readers: dict[str, Reader] = {}
        self.shown = False
        self._values: dict[fx.Node, Any] = {}
        for place, module in model.named_modules():
            if "forward" in vars(module):  # of which a copy would still call the original
                _refuse_changed(place, module)
        try:
            graph = fx.symbolic_trace(model).graph
        except Exception as error:  # whatever the model's own code raises
            raise NetworkError(
                f"the forward pass of this {type(model).__name__} cannot be followed by torch.fx ({error}). "
                "Compress the recurrent module inside it, and read .unit_maps for the layers behind"
            ) from None
        for node in graph.nodes:
            self._values[node] = self._value(node)
        if not self.cells:
            raise NetworkError(
                f"no recurrent module is called in the forward pass of this {type(model).__name__}; one that "
                "is called as a whole is read, as in self.gru(x)"
            )

    def _value(self, node: fx.Node) -> Any:
        given = fx.node.map_arg(node.args, lambda n: self._values[n])
        named = fx.node.map_arg(node.kwargs, lambda n: self._values[n])
        if node.op == "output":
            self.shown = _holds_units(given)
            if self.shown and not computes_as_its_class(self._model):
                _refuse_changed("", self._model)
            return None
        if node.op == "call_module":
            module = self._model.get_submodule(str(node.target))
            if isinstance(module, RECURRENT):
                return self._recurrent(str(node.target), module, node, given, named)
            if _holds_units((given, named)) and not computes_as_its_class(module):
                _refuse_changed(str(node.target), module)
            if isinstance(module, nn.Linear) and given and isinstance(given[0], _Units):
                return self._read(str(node.target), module, given[0])
            if isinstance(module, _DROPPED) and given:
                return given[0]
            if known_activation(module) is not None and given and isinstance(given[0], _Units):
                return replace(given[0], linear=False)
        if not _holds_units((given, named)):
            return None
        found = self._step(node, given, named)
        if found is None:
            units = ", ".join(_cells_in((given, named)))
            raise NetworkError(
                f"{node.name}: the step {_written(node)} on the units of {units} is not followed. Units may be "
                "read by dense layers and other recurrent modules, also after indexing or averaging over time, "
                "dropout or an activation"
            )
        return found

    def _recurrent(
        self, name: str, module: nn.Module, node: fx.Node, given: Any, named: Any
    ) -> Any:
        arguments = dict(zip(("input", "hx"), given, strict=False)) | named
        x, start = arguments.get("input"), arguments.get("hx")
        before = node.args[1] if len(node.args) > 1 else node.kwargs.get("hx")
        reads = x.cells if isinstance(x, _Units) else ()
        if isinstance(x, _Units) and not x.linear:
            raise NetworkError(
                f"{name}: it reads units of {', '.join(reads)} after an activation; put a dense layer between"
            )
        layers = cells_of(module, name)
        nodes = _nodes(name, layers, reads)
        known = [self.cells[n.name].reads == n.reads for n in nodes if n.name in self.cells]
        if not all(known):
            raise NetworkError(f"{name}: it is called on different inputs; call a module for each")
        held = _cells_in(start)
        own = held == [n.name for n in nodes][: len(held)]
        if not own or not (held or _from_outside(before)):
            raise NetworkError(
                f"{name}: the state that it starts from is computed by the model ({before}); leave it out, and "
                "torch starts at zeros, or take it as an argument of the forward pass"
            )
        self.cells |= {n.name: n for n in nodes}
        last = tuple(n.name for n in nodes[-len(layers[-1]) :])
        pair = nodes[0].cell.kind == "lstm"
        if isinstance(module, STEPS):
            units = _Units(last, 2)
            return (units, units) if pair else units
        rows = _Rows(tuple(n.name for n in nodes))
        return _Units(last, 3), (rows, rows) if pair else rows

    def _read(self, name: str, module: nn.Linear, units: _Units) -> None:
        bias = None if module.bias is None else array_of(module.bias)
        reader = Reader(name, array_of(module.weight), bias, units.cells, units.linear)
        before = self.readers.get(name)
        if before is not None and before.reads != reader.reads:
            raise NetworkError(f"{name}: this dense layer reads units of different cells")
        if before is not None and not before.linear:
            reader = before
        self.readers[name] = reader

    def _step(self, node: fx.Node, given: Any, named: Any) -> Any:
        """What a step that is no module makes of units; None where it is not known."""
        target: Any = node.target
        if target is operator.getitem:
            return _indexed(given[0], given[1])
        value, *others = given or (None,)
        if isinstance(value, _Rows) and target == "squeeze" and others == [0]:
            return _Units(value.cells, 2) if len(value.cells) == 1 else None
        if target in (torch.cat, torch.concat) and isinstance(value, list | tuple):
            axis = others[0] if others else named.get("dim", named.get("axis", 0))
            return _joined(value, axis)
        if not isinstance(value, _Units):
            return None
        if target in _UNCHANGED:
            return value
        if target in _ELEMENTWISE and not _holds_units(others):
            return replace(value, linear=False)
        if target in ("mean", "sum", torch.mean, torch.sum):
            axis = others[0] if others else named.get("dim")
            kept = named.get("keepdim", False) is True
            inside = isinstance(axis, int) and -value.axes <= axis < value.axes
            if inside and axis % value.axes != value.axes - 1:
                linear = value.linear and target in ("mean", torch.mean)
                return replace(value, axes=value.axes - (not kept), linear=linear)
        if target in ("transpose", torch.transpose) and len(others) == 2:
            inside = all(isinstance(a, int) and a % value.axes != value.axes - 1 for a in others)
            return value if inside else None
        return None


def _refuse_changed(place: str, module: nn.Module) -> None:
    raise NetworkError(
        f"{place or 'this module'}: a {type(module).__name__} with hooks, or a forward pass set on it, may "
        "compute anything of the units of recurrent cells; "
        + (plain_again(module, place) or "take them off, or write them into the model's class")
    )


def _indexed(value: Any, index: Any) -> Any:
    if isinstance(value, tuple):
        return value[index]
    if isinstance(value, _Rows):
        if isinstance(index, int) and -len(value.cells) <= index < len(value.cells):
            return _Units((value.cells[index],), 2)
        return None
    entries = index if isinstance(index, tuple) else (index,)
    if any(not isinstance(e, int | slice | type(None) | type(...)) for e in entries):
        return None
    used = sum(isinstance(e, int | slice) for e in entries)
    if ... in entries:
        after = entries[entries.index(...) + 1 :]
        touched = bool(after) and after[-1] != slice(None)
        touched |= bool(after) and after[-1] is None
    else:
        touched = used == value.axes and entries[-1] != slice(None)
    if touched or used > value.axes:
        return None
    axes = value.axes - sum(isinstance(e, int) for e in entries) + entries.count(None)
    return replace(value, axes=axes)


def _joined(parts: Any, axis: Any) -> _Units | None:
    if not all(isinstance(part, _Units) for part in parts) or not isinstance(axis, int):
        return None
    if len({part.axes for part in parts}) != 1 or axis % parts[0].axes != parts[0].axes - 1:
        return None
    cells = tuple(name for part in parts for name in part.cells)
    return _Units(cells, parts[0].axes, all(part.linear for part in parts))


def _cells_in(value: Any) -> list[str]:
    """The cells that a value holds units of, each once."""
    if isinstance(value, _Units | _Rows):
        return list(dict.fromkeys(value.cells))
    parts = value.values() if isinstance(value, dict) else value
    if not isinstance(value, tuple | list | dict):
        return []
    return list(dict.fromkeys(name for part in parts for name in _cells_in(part)))


def _holds_units(value: Any) -> bool:
    return bool(_cells_in(value))


def _from_outside(start: Any) -> bool:
    """Whether a starting state is left out, or an argument of the forward pass."""
    if isinstance(start, tuple | list):
        return all(map(_from_outside, start))
    return start is None or (isinstance(start, fx.Node) and start.op == "placeholder")


def _written(node: fx.Node) -> str:
    target = node.target
    if node.op == "call_module":
        return f"{target} (a {_class_of(node)})"
    return target if isinstance(target, str) else getattr(target, "__name__", str(target))


def _class_of(node: fx.Node) -> str:
    owner = node.graph.owning_module
    return "module" if owner is None else type(owner.get_submodule(str(node.target))).__name__
