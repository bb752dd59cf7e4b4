"""A cell with merged units fitted further by steps of Adam, running on its own, towards the original's states.

With R the weights that read the original's units, H its states over sample sequences and Ĥ(θ) those of the
smaller cell in a closed loop, the weights θ, A and a that minimise ‖(H − Ĥ(θ)·Aᵀ − a)·Rᵀ‖² are looked for from
the least-squares fit on. What was closest on the sequences is kept, so a fit never ends further away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from symlump.compression.recurrent.fitting import FittedCell, Readout, take_constants
from symlump.errors import MethodError, SubjectError
from symlump.network.gradients import gradients
from symlump.network.recurrent.cells import Cell
from symlump.network.recurrent.recurrent_network import CellNode, RecurrentNetwork
from symlump.network.recurrent.torch_cells import cell_of, rows_of
from symlump.ode.exact import FloatArray

_RATE = 5e-3
_MODULES: dict[str, Any] = {"tanh": nn.RNN, "relu": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


def fit_further(
    network: RecurrentNetwork, states: dict[str, FloatArray], steps: int
) -> Callable[[CellNode, FittedCell, FloatArray], FittedCell]:
    """What fits each cell by steps, given the sequences that its smaller version reads.

    Raises
    ------
    MethodError
        If units leave the model, or something else than a linear layer or a cell reads them: then they have to
        be what was merged.
    """
    others = [reader.name for reader in network.readers if not reader.linear]
    if network.shown or others:
        what = f"{others[0]} reads them" if others else "they leave the model"
        raise MethodError(
            f"steps={steps} gives cells other units, and {what} as they are; it is for cells behind which "
            "linear layers and other cells stand"
        )

    def further(node: CellNode, start: FittedCell, x: FloatArray) -> FittedCell:
        rows = [(reader.reads, reader.weight) for reader in network.readers] + [
            (other.reads, other.cell.input_weight.reshape(-1, other.cell.inputs))
            for other in network.cells
        ]
        weights = [
            _columns(network, node.name, reads, weight)
            for reads, weight in rows
            if node.name in reads
        ]
        read_by = np.concatenate(weights) if weights else np.eye(node.cell.units)
        constants = take_constants(network, node.name)
        return fit_by_steps(node.name, start, x, states[node.name][0], read_by, steps, constants)

    return further


def _columns(
    network: RecurrentNetwork, name: str, reads: tuple[str, ...], weight: FloatArray
) -> FloatArray:
    """The columns of a reader that read one cell."""
    first = 0
    for other in reads:
        units = network.by_name[other].cell.units
        if other == name:
            return weight[:, first : first + units]
        first += units
    raise AssertionError(name)


@gradients()
def fit_by_steps(
    name: str,
    start: FittedCell,
    x: FloatArray,
    wanted: FloatArray,
    read_by: FloatArray,
    steps: int,
    constants: bool,
) -> FittedCell:
    """The closest cell that is found in so many steps.

    Parameters
    ----------
    x, wanted : ndarray, shape (samples, steps, inputs) and (samples, steps, units)
        What the smaller cell reads, and the original's states.
    read_by : ndarray, shape (outputs, units)
        The weights that read the original's units.
    constants : bool
        Whether what reads the cell can take constants.

    Raises
    ------
    MethodError
        If torch has no such cell.
    """
    cell = start.cell
    if cell.kind not in _MODULES or cell.start is not None:
        raise SubjectError(
            f"{name}: steps={steps} is for cells as torch has them, which start at 0; leave it out"
        )
    module = _module(cell)
    matrix = nn.Parameter(torch.from_numpy(start.readout.matrix.copy()))
    constant = nn.Parameter(torch.from_numpy(start.readout.constant.copy()), constants)
    given = torch.from_numpy(np.ascontiguousarray(x[:, ::-1] if cell.backward else x))
    target = torch.from_numpy(np.ascontiguousarray(wanted[:, ::-1] if cell.backward else wanted))
    reading = torch.from_numpy(np.ascontiguousarray(read_by))
    fitted = [*module.parameters(), matrix] + [constant] * constants
    optimiser = torch.optim.Adam(fitted, _RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    least, best = np.inf, [p.detach().clone() for p in fitted]
    for step in range(steps + 1):
        states = module(given)[0]
        loss = ((target - states @ matrix.T - constant) @ reading.T).pow(2).mean()
        value = float(loss.detach())
        if value < least:
            least, best = value, [p.detach().clone() for p in fitted]
        if step == steps or not np.isfinite(value):
            break
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        for parameter, held in zip(fitted, best, strict=True):
            parameter.copy_(held)
    parts = {key.removesuffix("_l0"): p for key, p in module.named_parameters()}
    small = cell_of(cell.kind, parts, cell.backward)
    readout = Readout(matrix.detach().numpy().copy(), constant.detach().numpy().copy())
    states = small.run(x)[0]
    off = wanted - states @ readout.matrix.T - readout.constant
    return replace(
        start, cell=small, readout=readout, states=states, error=float(np.sqrt(np.mean(off**2)))
    )


def _module(cell: Cell) -> Any:
    options: dict[str, Any] = {"nonlinearity": "relu"} if cell.kind == "relu" else {}
    with torch.random.fork_rng(devices=[]):
        module = _MODULES[cell.kind](
            cell.inputs, cell.units, bias=cell.input_bias is not None, batch_first=True,
            dtype=torch.float64, **options,
        )  # fmt: skip
    with torch.no_grad():
        for part, array in rows_of(cell).items():
            getattr(module, f"{part}_l0").copy_(torch.from_numpy(array))
    return module
