"""Bounds of cells along a sequence: none exceeds them, drawn or found by ascent, and they say something."""

from dataclasses import replace
from math import log, tanh
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import symlump as sl
from symlump.compression.recurrent import along
from symlump.compression.recurrent.bound import bound_cells
from symlump.compression.recurrent.horizon import RecurrentBound
from symlump.network.recurrent.cells import GATES, Cell, Kind
from symlump.network.recurrent.recurrent_network import CellNode, Reader, RecurrentNetwork
from symlump.ode.exact import FloatArray


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


def pair(
    kind: Kind, seed: int, units: int = 3, weights: float = 1e-4, start: float = 1e-5
) -> tuple[RecurrentNetwork, RecurrentNetwork]:
    """A cell with a start and two equal units, all a little off, and the cell without one of the two."""
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
        input_weight=cell.input_weight[:, labels]
        + weights * rng.normal(size=(gates, units + 1, 2)),
        hidden_weight=cell.hidden_weight[:, labels][:, :, labels] * halves,
        input_bias=cell.input_bias[:, labels],
        hidden_bias=cell.hidden_bias[:, labels],
        start=cell.start[:, labels] + start,
    )
    weight = rng.normal(size=(2, units))
    return network(whole, weight[:, labels] * halves), network(cell, weight)


def network(cell: Cell, read: FloatArray) -> RecurrentNetwork:
    readers = (Reader("out", read, np.zeros(len(read)), ("cell",)),)
    return RecurrentNetwork((CellNode("cell", "", cell),), readers, "float64", 0, False)


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


LABELS = {"cell": np.array([0, 1, 2, 2])}


def with_one_changed(whole: RecurrentNetwork, name: str, array: FloatArray) -> RecurrentNetwork:
    (node,) = whole.cells
    changed: dict[str, Any] = {name: array}
    return replace(whole, cells=(replace(node, cell=replace(node.cell, **changed)),))


@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("name", ["input_bias", "hidden_bias", "start"])
def test_a_bias_or_a_start_alone_takes_equal_cells_apart(kind: Kind, name: str) -> None:
    whole, part = pair(kind, 1, weights=0.0, start=0.0)
    box, x = (-0.1, 0.1), np.random.default_rng(0).choice([-0.1, 0.1], (200, 3, 2))
    assert not bound_cells(whole, part, LABELS, 3, box, "float64").cells["cell"].any()
    own = getattr(whole.cells[0].cell, name)
    for row in range(len(own)):  # of a gate, or of a state
        array = own.copy()
        array[row] += 1e-3
        other = with_one_changed(whole, name, array)
        one, two = (net.cells[0].cell.run(x)[0] for net in (other, part))
        off = np.abs(one - two[..., LABELS["cell"]]).max(axis=0)
        read = one @ other.readers[0].weight.T - two @ part.readers[0].weight.T
        bound = bound_cells(other, part, LABELS, 3, box, "float64")
        assert (off <= bound.cells["cell"] + 1e-14).all() and off.max() > 1e-6
        assert (np.abs(read).max(axis=(0, 1)) <= bound.readers["out"] + 1e-14).all()


def gru_of_one(**options: Any) -> Cell:
    """A unit that reads nothing, not even itself, so that its values are known in closed form."""
    return Cell("gru", np.zeros((3, 1, 1)), np.zeros((3, 1, 1)), **options)


def bound_of(one: Cell, two: Cell, steps: int, arithmetic: str) -> RecurrentBound:
    nets = [network(cell, np.ones((1, 1))) for cell in (one, two)]
    return bound_cells(nets[0], nets[1], {"cell": np.array([0])}, steps, (-1, 1), arithmetic)


@pytest.mark.parametrize("arithmetic", ["float64", "flint"])
def test_biases_of_the_new_value_of_a_gru_are_not_one(arithmetic: str) -> None:
    b, d = np.zeros((3, 1)), np.zeros((3, 1))
    b[2], d[2] = 0.5, 0.25
    one, two = gru_of_one(input_bias=b, hidden_bias=d), gru_of_one(input_bias=d, hidden_bias=b)
    # r = z = 1/2, so h = tanh(b + d/2)/2 after a step, and 3/2 of that half after two
    apart = (tanh(0.5 + 0.125) - tanh(0.25 + 0.25)) / 2
    right, bound = np.array([1, 1.5]) * apart, bound_of(one, two, 2, arithmetic)
    ratios = bound.cells["cell"][:, 0] / right
    assert (ratios > 1 - 1e-14).all() and (ratios < 1.1).all()
    assert 1 - 1e-14 < bound["out"] / right[1] < 1.1
    # of the other gates only the sum counts
    b[2], d[2], b[:2] = 0.25, 0.25, 0.5
    one, two = gru_of_one(input_bias=b, hidden_bias=d), gru_of_one(input_bias=d, hidden_bias=b)
    assert bound_of(one, two, 2, arithmetic).value == 0


@pytest.mark.parametrize(
    ("arithmetic", "right"),
    [("float64", [1 / 8, 1 / 32, 1 / 128]), ("flint", [1 / 2, 1 / 8, 1 / 32])],
)
def test_the_bound_of_a_step_is_that_of_its_end(arithmetic: str, right: list[float]) -> None:
    """Where each step is taken by itself it holds from the beginning on, too."""
    b = np.array([[0.0], [-log(3)], [0.0]])
    one, two = (
        gru_of_one(input_bias=b, hidden_bias=0 * b, start=np.array([[at]])) for at in (0.75, 0.25)
    )
    # n = 0 and z = 1/4, so that each step leaves a quarter: of 1/2, 1/8, 1/32, 1/128
    bound = bound_of(one, two, 3, arithmetic)
    ratios = bound.cells["cell"][:, 0] / right
    assert (ratios > 1 - 1e-14).all() and (ratios < 1.001).all()
    assert 1 - 1e-14 < bound["out"] * 8 < 1.001  # what is read is of the states after steps


def test_old_unknowns_are_forgotten_and_the_bound_stays(monkeypatch: Any) -> None:
    torch.manual_seed(0)
    small: Any = sl.compress(Read("GRU", 6).double(), sl.AFDE(retain=0.7))
    kept = small.bound(60, (-0.1, 0.1))["head"]
    monkeypatch.setattr(along, "_UNKNOWNS", 16)
    fewer = small.bound(60, (-0.1, 0.1))["head"]
    assert kept * (1 - 1e-9) < fewer < 1.5 * kept
    monkeypatch.setattr(along, "_PER_ROW", 1)
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
