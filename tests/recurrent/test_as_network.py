"""Bounds of cells without gates over all steps at once: never exceeded, and far below those step by step."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import symlump as sl
from symlump.compression.recurrent import bound as module
from symlump.compression.recurrent.as_network import bound_unrolled
from symlump.network.recurrent.torch_cells import cells_of


class Read(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.cells = nn.RNN(2, 12, nonlinearity=kind, batch_first=True)  # type: ignore[arg-type]
        self.head = nn.Linear(12, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.head(self.cells(x)[0])
        return result


@pytest.mark.parametrize("kind", ["relu", "tanh"])
def test_no_sequence_exceeds_the_bound(kind: str, monkeypatch: Any) -> None:
    torch.manual_seed(0)
    model = Read(kind).double().eval()
    small: Any = sl.compress(model, sl.AFDE(retain=0.7))
    bound = small.bound(6, (-1, 1))
    corners = torch.randint(0, 2, (4000, 6, 2)).double() * 2 - 1
    with torch.no_grad():
        off = (model(corners) - small.model(corners)).abs().max()
        states, fewer = model.cells(corners)[0], small.model.cells(corners)[0]
    (labels,) = small.unit_maps
    apart = (states - fewer[..., torch.from_numpy(labels.copy())]).abs().amax(dim=0)
    assert 0.1 * bound["head"] < off <= bound["head"]
    (cells,) = bound.cells.values()
    assert (apart.numpy() <= cells + 1e-12).all()  # torch rounds
    monkeypatch.setattr(module, "can_be_unrolled", lambda *a: False)
    along, alone = small.bound(6, (-1, 1)), small.bound(6, (-1, 1), arithmetic="flint")
    assert bound["head"] <= along["head"] < 1.3 * bound["head"]
    assert bound["head"] < 0.5 * alone["head"]
    assert (cells <= along.cells["cells.l0"]).all()
    assert (cells[-1] <= alone.cells["cells.l0"][-1]).all()


def test_a_state_that_is_given_is_where_the_sequence_starts() -> None:
    torch.manual_seed(1)
    ((cell,),) = cells_of(nn.RNN(1, 3, nonlinearity="relu").double())
    start = np.array([[0.5, 2.0, 1.0]])
    other = replace(cell, hidden_weight=cell.hidden_weight * 1.01, start=start)
    cell = replace(cell, start=start)
    box, read = np.array([[-0.5, 1.0]]), (np.eye(3), None)
    found = bound_unrolled((cell, other), (read, read), box, 3)
    rng = np.random.default_rng(0)
    h, g = np.tile(start, (2, 2000, 1))
    for t in range(3):
        u = rng.choice([-0.5, 1.0], (2000, 1))
        h, g = (
            np.maximum(
                u @ c.input_weight[0].T + s @ c.hidden_weight[0].T + c.input_bias[0] + c.hidden_bias[0], 0
            )
            for c, s in ((cell, h), (other, g))
        )  # fmt: skip
        assert (np.abs(h - g).max(axis=0) <= found[t]).all()
    assert (found > 0).any() and np.isfinite(found).all()
