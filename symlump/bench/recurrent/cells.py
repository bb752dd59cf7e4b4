"""Recurrent cells trained on a sequence task, and what it costs to make them smaller.

Inputs are standard normal sequences; the target is tanh(x_{−2} + x_{−4}·x_{−6}) of the last steps, which a cell
has to remember. Each cell has a dense layer behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from symlump.bench.train import one_thread
from symlump.compression.compress import compress
from symlump.compression.merging.afde import AFDE
from symlump.jobs import Job, run_jobs

_STEPS, _BATCH, _LENGTH, _UNITS = 1500, 128, 12, 32
CELLS: dict[str, Any] = {"RNN": nn.RNN, "GRU": nn.GRU, "LSTM": nn.LSTM}
SHARES = (0.7, 0.5, 0.3)
#: Steps in which the weights of smaller cells are fitted further.
_FITTED = 300


#: What tells runs apart, besides seed and share.
KEYS = ("dataset",)
_HOW: dict[str, dict[str, Any]] = {
    "AFDE, refit": {},
    "AFDE, steps": {"steps": _FITTED},
    "AFDE, sums": {"refit": False},
}


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


def measure(
    cache: Path,
    names: Sequence[str] = tuple(CELLS),
    seeds: int = 1,
    quick: bool = False,
    step: Callable[[int, str], None] | None = None,
) -> list[dict[str, Any]]:
    """Train cells, and make them smaller; what is in ``cache`` is not computed again.

    Parameters
    ----------
    cache : Path
    names : sequence of str
        Of :data:`CELLS`.
    seeds : int
        0, …, seeds − 1, each of weights and sequences.
    quick : bool
        With hardly any training.
    step : callable, optional
        Called with how many cells are done, and a remark.

    Returns
    -------
    list of dict
        With ``dataset`` (the cell), ``seed``, ``share``, ``method``, ``units`` (of 32), ``mse`` and
        ``mse_base`` on new sequences. Methods are AFDE with what reads merged units refitted to sample
        sequences, then all weights fitted to them further by steps, or added up; magnitude pruning to as many
        weights.
    """
    jobs = [
        Job(_cell_rows, {"cell": name, "seed": seed, "quick": quick})
        for seed in range(seeds)
        for name in names
    ]
    return [row for rows in run_jobs(jobs, cache, step=step) for row in rows]


@one_thread()
def _cell_rows(description: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of one cell and seed."""
    name, seed, quick = (description[key] for key in ("cell", "seed", "quick"))
    model = _trained(CELLS[name], 30 if quick else _STEPS, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    x, y = sequences(2000, generator)
    samples = sequences(500, generator)[0]
    before, rows = _error(model, x, y), []
    for share in SHARES:
        found = {}
        for method, how in _HOW.items():
            few = {"steps": 5} if quick and "steps" in how else how
            found[method] = compress(model, AFDE(retain=share, inputs=samples, **few))
        kept = int(found["AFDE, refit"].retained_parameters)
        errors = {method: _error(small.model, x, y) for method, small in found.items()}
        errors["magnitude"] = _error(_pruned(model, kept), x, y)
        rows += [
            {
                "dataset": name,
                "seed": seed,
                "share": share,
                "method": method,
                "units": int(found["AFDE, refit"].model.cell.hidden_size),
                "mse": error,
                "mse_base": before,
            }
            for method, error in errors.items()
        ]
    return rows


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
