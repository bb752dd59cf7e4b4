"""The recurrent modules of torch as cells, and cells as modules of the same class.

References
----------
The equations and the layout of the weights: torch.nn.RNN, torch.nn.GRU, torch.nn.LSTM.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from symlump.errors import NetworkError
from symlump.network.recurrent.cells import GATES, Cell, Kind
from symlump.network.torch_module import DTYPES
from symlump.network.torch_parts import array_of, computes_as_its_class
from symlump.ode.exact import FloatArray

#: The modules that are read; those that take one step end in Cell.
SEQUENCES = (nn.RNN, nn.GRU, nn.LSTM)
STEPS = (nn.RNNCell, nn.GRUCell, nn.LSTMCell)
RECURRENT = SEQUENCES + STEPS
#: How the names of a cell's tensors begin, in the order of :attr:`Cell.arrays`.
PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def holds_recurrent(model: object) -> bool:
    """Whether a module is recurrent, or has a recurrent one inside."""
    return isinstance(model, nn.Module) and any(isinstance(m, RECURRENT) for m in model.modules())


def cells_of(module: nn.Module, name: str = "") -> tuple[tuple[Cell, ...], ...]:
    """The cells of a recurrent module, by layer and direction.

    Raises
    ------
    NetworkError
        If the module has something that is not read here, such as projections; the message names it.

    Examples
    --------
    >>> layers = cells_of(nn.GRU(3, 4, num_layers=2, bidirectional=True))
    >>> [[(cell.kind, cell.inputs, cell.backward) for cell in layer] for layer in layers][1]
    [('gru', 8, False), ('gru', 8, True)]
    """
    kind, place = _kind(module), f"{name}: " if name else ""
    if type(module) not in RECURRENT or not computes_as_its_class(module):
        if is_parametrized(module):
            first = next(name for name, _ in module.parametrizations.named_children())  # type: ignore[union-attr]
            raise NetworkError(
                f"{place}the weight {first!r} of this {type(module).__name__} is computed from others; make it "
                f"plain first: torch.nn.utils.parametrize.remove_parametrizations(module, {first!r})"
            )
        raise NetworkError(
            f"{place}a {type(module).__name__} with a forward pass or hooks of its own is not read; "
            + (plain_again(module, name) or "torch's own RNN, GRU and LSTM are")
        )
    if getattr(module, "proj_size", 0):
        raise NetworkError(
            f"{place}an LSTM with proj_size={module.proj_size} mixes its units at every step; one without "
            "projections is reduced"
        )
    if isinstance(module, STEPS):
        return ((_cell(kind, module, "", False),),)
    assert isinstance(module, SEQUENCES)
    directions = ("", "_reverse") if module.bidirectional else ("",)
    return tuple(
        tuple(_cell(kind, module, f"_l{k}{end}", end == "_reverse") for end in directions)
        for k in range(module.num_layers)
    )


def plain_again(module: nn.Module, name: str) -> str:
    """How to take the hook away with which older functions of torch compute a weight; "" for other hooks.

    Examples
    --------
    >>> plain_again(torch.nn.utils.spectral_norm(nn.Linear(2, 2)), "head")
    'make its weight plain first: torch.nn.utils.remove_spectral_norm(model.head)'
    >>> plain_again(nn.Linear(2, 2), "head")
    ''
    """
    olds = {"SpectralNorm": "remove_spectral_norm", "WeightNorm": "remove_weight_norm"}
    kinds = (olds.get(type(hook).__name__) for hook in module._forward_pre_hooks.values())
    whole = f"model.{name}" if name else "model"
    told = (
        f"make its weight plain first: torch.nn.utils.{kind}({whole})" for kind in kinds if kind
    )
    return next(told, "")


def module_of(cells: Sequence[Sequence[Cell]], like: nn.Module) -> nn.Module:
    """A module of the class, options, dtype, device and mode of another, with the weights of some cells.

    All of them have one number of units.

    Examples
    --------
    >>> gru = nn.GRU(3, 4, batch_first=True)
    >>> same = module_of(cells_of(gru), gru)
    >>> bool(torch.equal(same(torch.ones(2, 5, 3))[0], gru(torch.ones(2, 5, 3))[0]))
    True
    """
    first = cells[0][0]
    weight: Any = next(like.parameters())
    bias = first.input_bias is not None
    where = {"device": weight.device, "dtype": weight.dtype}
    kind: Any = type(like)
    options: dict[str, Any] = {"bias": bias, **where}
    if isinstance(like, nn.RNN | nn.RNNCell):
        options["nonlinearity"] = like.nonlinearity
    if isinstance(like, SEQUENCES):
        for option in ("num_layers", "batch_first", "dropout", "bidirectional"):
            options[option] = getattr(like, option)
    with torch.random.fork_rng(devices=[]):  # the initial values drawn here are overwritten
        module: nn.Module = kind(first.inputs, first.units, **options)
    with torch.no_grad():
        for k, layer in enumerate(cells):
            for cell in layer:
                end = "" if isinstance(like, STEPS) else f"_l{k}" + "_reverse" * cell.backward
                for part, array in rows_of(cell).items():
                    getattr(module, f"{part}{end}").copy_(torch.from_numpy(array))
    for parameter in module.parameters():
        parameter.requires_grad_(weight.requires_grad)
    return module.train(like.training)


def cell_of(kind: Kind, parts: Mapping[str, torch.Tensor | None], backward: bool) -> Cell:
    """The cell of tensors by the beginning of their names, the rows of one gate below those of another.

    Examples
    --------
    >>> cell_of("gru", dict(nn.GRUCell(3, 4).named_parameters()), False).input_weight.shape
    (3, 4, 3)
    """
    gates = len(GATES[kind])

    def by_gate(tensor: torch.Tensor | None) -> Any:
        if tensor is None:
            return None
        array = array_of(tensor)
        return array.reshape(gates, len(array) // gates, *array.shape[1:])

    read, kept, *biases = (by_gate(parts.get(part)) for part in PARTS)
    return Cell(kind, read, kept, biases[0], biases[1], backward)


def rows_of(cell: Cell) -> dict[str, FloatArray]:
    """The arrays of a cell as torch has them, by the beginning of their names.

    Examples
    --------
    >>> (cell,), = cells_of(nn.GRU(3, 4, bias=False))
    >>> {part: array.shape for part, array in rows_of(cell).items()}
    {'weight_ih': (12, 3), 'weight_hh': (12, 4)}
    """
    arrays = map(np.concatenate, cell.arrays.values())
    return dict(zip(PARTS, arrays, strict=False))


def dtype_of(module: nn.Module) -> str:
    """The name of the format of a module's weights.

    Raises
    ------
    NetworkError
        If it is not one that networks have.
    """
    dtypes = {p.dtype for p in module.parameters()}
    if len(dtypes) != 1 or next(iter(dtypes)) not in DTYPES:
        raise NetworkError(f"weights of one floating-point format are read; got {_named(dtypes)}")
    return DTYPES[dtypes.pop()]


def _named(dtypes: set[torch.dtype]) -> str:
    return ", ".join(sorted(str(dtype) for dtype in dtypes)) or "none"


def _kind(module: nn.Module) -> Kind:
    if isinstance(module, nn.RNN | nn.RNNCell):
        return "relu" if module.nonlinearity == "relu" else "tanh"
    return "gru" if isinstance(module, nn.GRU | nn.GRUCell) else "lstm"


def _cell(kind: Kind, module: nn.Module, end: str, backward: bool) -> Cell:
    return cell_of(kind, {part: getattr(module, f"{part}{end}", None) for part in PARTS}, backward)
