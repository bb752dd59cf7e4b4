"""Recurrent cells trained on a sequence task, and what it costs to make them smaller.

Inputs are standard normal sequences; the target is tanh(x_{−2} + x_{−4}·x_{−6}) of the last steps, which a cell
has to remember. Each cell has a dense layer behind it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from symlump.compression.compress import compress
from symlump.compression.merging.afde import AFDE

_STEPS, _BATCH, _LENGTH, _UNITS = 1500, 128, 12, 32
CELLS: dict[str, Any] = {"RNN": nn.RNN, "GRU": nn.GRU, "LSTM": nn.LSTM}
SHARES = (0.7, 0.5, 0.3)
#: Steps in which the weights of smaller cells are fitted further.
_FITTED = 300


@dataclass(frozen=True)
class CellRow:
    """Test errors of one trained cell at one share of its parameters.

    Parameters
    ----------
    cell : str
    share : float
    units : int
        Hidden units that are left, of 32.
    before, refit, steps, sums, magnitude : float
        Mean squared errors: of the cell as it was trained; with units merged and what reads them refitted to
        sample sequences; then all weights fitted to them further, by steps; or added up; with as many weights
        left, the largest, in the full cell.
    """

    cell: str
    share: float
    units: int
    before: float
    refit: float
    steps: float
    sums: float
    magnitude: float


class SequenceModel(nn.Module):
    """A recurrent module, and a dense layer that reads its last output."""

    def __init__(self, cell: Any) -> None:
        super().__init__()
        self.cell = cell(1, _UNITS, batch_first=True)
        self.head = nn.Linear(_UNITS, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One number for each sequence."""
        out, _ = self.cell(x)
        found: torch.Tensor = self.head(out[:, -1])
        return found


def sequences(count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs of shape (count, steps, 1), and targets."""
    x = torch.randn(count, _LENGTH, 1, generator=generator)
    return x, torch.tanh(x[:, -2] + x[:, -4] * x[:, -6])


def measure(quick: bool = False, seed: int = 0) -> Iterator[CellRow]:
    """Train each cell, and make it smaller."""
    for name, cell in CELLS.items():
        model = _trained(cell, 30 if quick else _STEPS, seed)
        generator = torch.Generator().manual_seed(seed + 1)
        x, y = sequences(2000, generator)
        samples = sequences(500, generator)[0]
        for share in SHARES:
            refit, steps, sums = (
                compress(model, AFDE(retain=share, inputs=samples, **how))
                for how in ({}, {"steps": 5 if quick else _FITTED}, {"refit": False})
            )
            kept = int(refit.retained_parameters)
            yield CellRow(
                name,
                share,
                int(refit.model.cell.hidden_size),
                _error(model, x, y),
                _error(refit.model, x, y),
                _error(steps.model, x, y),
                _error(sums.model, x, y),
                _error(_pruned(model, kept), x, y),
            )


def _trained(cell: Any, steps: int, seed: int) -> SequenceModel:
    torch.manual_seed(seed)
    model, generator = SequenceModel(cell), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        x, y = sequences(_BATCH, generator)
        optimizer.zero_grad()
        (model(x) - y).pow(2).mean().backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def _pruned(model: SequenceModel, kept: int) -> SequenceModel:
    """The model with its largest weights and biases, so many, and 0 for the others."""
    pruned = SequenceModel(type(model.cell))
    pruned.load_state_dict(model.state_dict())
    with torch.no_grad():
        every = torch.cat([p.abs().ravel() for p in pruned.parameters()])
        least = every.sort(descending=True).values[kept - 1]
        for p in pruned.parameters():
            p.mul_(p.abs() >= least)
    return pruned.eval()


def _error(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    with torch.no_grad():
        return float((model(x) - y).pow(2).mean())
