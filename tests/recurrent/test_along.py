"""Bounds of cells along a sequence: none exceeds them, drawn or found by ascent, and they say something."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import symlump as sl
from symlump.compression.recurrent import along
from symlump.compression.recurrent.bound import bound_cells
from symlump.network.recurrent.cells import GATES, Cell, Kind
from symlump.network.recurrent.recurrent_network import CellNode, Reader, RecurrentNetwork


class Read(nn.Module):
    def __init__(self, kind: str, units: int, **options: Any) -> None:
        super().__init__()
        self.cells = getattr(nn, kind)(2, units, batch_first=True, **options)
        self.head = nn.Linear(units * (1 + self.cells.bidirectional), 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.head(self.cells(x)[0])
        return result


def ascended(one: nn.Module, two: nn.Module, steps: int, half: float, rounds: int = 30) -> float:
    """The largest difference of outputs that projected ascent finds, from 16 sequences on."""
    x = (torch.rand(16, steps, 2, dtype=torch.double) * 2 - 1) * half
    best = 0.0
    for k in range(rounds):
        x.requires_grad_(True)
        off = (one(x) - two(x)).abs().amax(dim=(1, 2))
        best = max(best, float(off.detach().max()))
        (up,) = torch.autograd.grad(off.sum(), x)
        x = (x + 0.3 * half * 0.9**k * up.sign()).clamp(-half, half).detach()
    return best


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
@pytest.mark.parametrize("units", [8, 24])
def test_twenty_steps_are_bounded_by_less_than_outputs_vary(kind: str, units: int) -> None:
    torch.manual_seed(0)
    model = Read(kind, units).double()
    small: Any = sl.compress(model, sl.AFDE(retain=0.7))
    bound = small.bound(20, (-0.2, 0.2))
    found = ascended(model, small.model, 20, 0.2)
    assert small.observed(20, (-0.2, 0.2), 500) < found <= bound["head"] < 40 * found
    assert not bound.vacuous
    # after these many steps nothing is added any more
    assert small.bound(50, (-0.2, 0.2))["head"] < 1.05 * bound["head"]


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("seed", range(3))
def test_nothing_exceeds_it_where_weights_are_large(kind: str, seed: int) -> None:
    torch.manual_seed(seed)
    model = Read(kind, 4).double()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(2.5)
    small: Any = sl.compress(model, sl.AFDE(retain=0.6))
    for half, steps in ((1.0, 3), (0.3, 7), (0.05, 12)):
        bound = small.bound(steps, (-half, half))
        assert ascended(model, small.model, steps, half) <= bound["head"]
        x = (torch.rand(300, steps, 2).double() * 2 - 1) * half
        with torch.no_grad():
            apart = model.cells(x)[0] - small.model.cells(x)[0][..., small.unit_maps[0].tolist()]
        assert (apart.abs().amax(dim=0).numpy() <= bound.cells["cells.l0"] + 1e-14).all()


@pytest.mark.parametrize("options", [{"num_layers": 2}, {"bidirectional": True}])
def test_layers_and_directions(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = Read("GRU", 5, **options).double()
    small: Any = sl.compress(model, sl.AFDE(retain=0.7))
    bound = small.bound(6, (-0.2, 0.2))
    assert 0.01 * bound["head"] < ascended(model, small.model, 6, 0.2) <= bound["head"]


def pair(kind: Kind, seed: int, units: int = 3) -> tuple[RecurrentNetwork, RecurrentNetwork]:
    """A cell with a start and two equal units, one of which is a little off, and the cell without it."""
    rng = np.random.default_rng(seed)
    gates = len(GATES[kind])
    labels = np.array([*range(units), units - 1])
    cell = Cell(
        kind,
        rng.normal(size=(gates, units, 2)),
        rng.normal(size=(gates, units, units)) / 2,
        rng.normal(size=(gates, units)) / 4,
        rng.normal(size=(gates, units)) / 4,
        start=rng.uniform(-0.5, 0.5, (2 if kind == "lstm" else 1, units)),
    )
    assert cell.input_bias is not None and cell.hidden_bias is not None and cell.start is not None
    halves = np.array([1.0] * (units - 1) + [0.5, 0.5])
    whole = replace(
        cell,
        input_weight=cell.input_weight[:, labels] + 1e-4 * rng.normal(size=(gates, units + 1, 2)),
        hidden_weight=cell.hidden_weight[:, labels][:, :, labels] * halves,
        input_bias=cell.input_bias[:, labels],
        hidden_bias=cell.hidden_bias[:, labels],
        start=cell.start[:, labels] + 1e-5,
    )
    weight = rng.normal(size=(2, units))
    nets = []
    for some, read in ((whole, weight[:, labels] * halves), (cell, weight)):
        nodes = (CellNode("cell", "", some),)
        readers = (Reader("out", read, np.zeros(2), ("cell",)),)
        nets.append(RecurrentNetwork(nodes, readers, "float64", 0, False))
    return nets[0], nets[1]


@pytest.mark.parametrize("kind", GATES)
def test_both_arithmetics_hold_what_is_computed(kind: Kind) -> None:
    whole, part = pair(kind, 1)
    labels = {"cell": np.array([0, 1, 2, 2])}
    box, rng = (-0.1, 0.1), np.random.default_rng(0)
    x = rng.choice([-0.1, 0.1], (3000, 6, 2))
    one, two = (net.cells[0].cell.run(x)[0] for net in (whole, part))
    off = np.abs(one - two[..., labels["cell"]]).max(axis=0)
    outputs = one @ whole.readers[0].weight.T - two @ part.readers[0].weight.T
    found = [
        bound_cells(whole, part, labels, 6, box, name).readers["out"]
        for name in ("float64", "flint")
    ]
    cells = bound_cells(whole, part, labels, 6, box, "float64").cells["cell"]
    assert (off <= cells + 1e-14).all() and (cells.max(axis=0) < 60 * off.max(axis=0)).all()
    for readers in found:
        assert (np.abs(outputs).max(axis=(0, 1)) <= readers).all()
    assert (found[0] < 1.01 * found[1]).all()


def test_old_unknowns_are_forgotten_and_the_bound_stays(monkeypatch: Any) -> None:
    torch.manual_seed(0)
    small: Any = sl.compress(Read("GRU", 6).double(), sl.AFDE(retain=0.7))
    kept = small.bound(60, (-0.1, 0.1))["head"]
    monkeypatch.setattr(along, "_UNKNOWNS", 16)
    fewer = small.bound(60, (-0.1, 0.1))["head"]
    assert kept * (1 - 1e-9) < fewer < 1.5 * kept
    monkeypatch.setattr(along, "_STEPS", 1)
    assert fewer < small.bound(60, (-0.1, 0.1))["head"]


def test_exact_merges_are_exact_for_any_number_of_steps() -> None:
    torch.manual_seed(0)
    model = Read("GRU", 6).double()
    with torch.no_grad():
        for p in model.cells.parameters():
            rows = p.view(3, 6, -1)
            rows.copy_((rows * 256).round() / 256)
            rows[:, 3:] = rows[:, :3]
        model.head.weight.copy_((model.head.weight * 256).round() / 256)
    small: Any = sl.compress(model, sl.AFDE(eps=0))
    assert small.retained < 0.5 and small.bound(40, (-1, 1)).value == 0
    with torch.no_grad():
        small.model.cells.weight_hh_l0[4, 0] += 1e-9
    assert 0 < small.bound(3, (-1, 1)).value < 1e-7


def test_weights_whose_sums_overflow_are_refused_in_words() -> None:
    whole, part = pair("gru", 0)
    (node,) = whole.cells
    huge = replace(node.cell, hidden_weight=np.full_like(node.cell.hidden_weight, 1e308))
    whole = replace(whole, cells=(replace(node, cell=huge),))
    with pytest.raises(sl.errors.FailureError, match="overflow"):
        bound_cells(whole, part, {"cell": np.array([0, 1, 2, 2])}, 2, (-1, 1), "float64")
