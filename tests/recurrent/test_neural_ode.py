"""Neural ODEs: states that stay equal are merged with a proof, and so are the field's units."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from recurrent_planted import GRID, on_grid, orders, split_columns
from torch import nn

import symlump as sl
from symlump.errors import MethodError, NetworkError
from symlump.network.activations.table import activation
from symlump.network.nodes import Affine, Apply, Combine, Input

ACTIVATIONS = {"tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "relu": nn.ReLU, "silu": nn.SiLU}


class Field(nn.Module):
    """f(t, h), as solvers call it."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, t: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        derivative: torch.Tensor = self.net(h)
        return derivative


def field_with_copies(
    states: list[int], units: list[int], phi: str = "tanh", seed: int = 0
) -> tuple[nn.Sequential, nn.Sequential, torch.Tensor]:
    """A small field; a larger one with copies of states and of units; which state each is a copy of."""
    generator = torch.Generator().manual_seed(seed)
    n, m = len(states), len(units)
    small = nn.Sequential(nn.Linear(n, m), ACTIVATIONS[phi](), nn.Linear(m, n))
    on_grid(small, generator)
    of, to = orders(states, n, generator), orders(units, m, generator)
    large = nn.Sequential(
        nn.Linear(len(of), len(to)), ACTIVATIONS[phi](), nn.Linear(len(to), len(of))
    )
    with torch.no_grad():
        large[0].weight.copy_(split_columns(small[0].weight[to], of, generator))  # type: ignore[index,union-attr,operator]
        large[0].bias.copy_(small[0].bias[to])  # type: ignore[index,union-attr,operator]
        large[2].weight.copy_(split_columns(small[2].weight[of], to, generator))  # type: ignore[index,union-attr,operator]
        large[2].bias.copy_(small[2].bias[of])  # type: ignore[index,union-attr,operator]
    return small, large, of


@given(st.integers(0, 10**6), st.sampled_from(list(ACTIVATIONS)))
@settings(max_examples=10, deadline=None)
def test_hidden_copies_are_merged_again(seed: int, phi: str) -> None:
    small, large, of = field_with_copies([2, 1, 3], [1, 2, 2, 1], phi, seed)
    result: Any = sl.compress(sl.NeuralODE(large), sl.AFDE(eps=0))
    assert result.exact and result.field.states <= 3
    assert all(len(set(result.labels[(of == b).numpy()].tolist())) == 1 for b in range(3))
    assert result.retained_parameters <= sum(p.numel() for p in small.parameters())
    # the commuting square, at any state with equal copies
    h = np.random.default_rng(seed).normal(size=(5, result.field.states))
    with torch.no_grad():
        left = large(torch.tensor(result.lift(h), dtype=torch.float32)).numpy()
        right = result.lift(result.model(torch.tensor(h, dtype=torch.float32)).numpy())
    assert np.allclose(left, right, rtol=1e-4, atol=1e-4)


def test_trajectories_of_both() -> None:
    _, large, _ = field_with_copies([2, 1, 2], [1, 2, 1, 1], seed=7)
    field = sl.NeuralODE(Field(large))
    result: Any = sl.compress(field, sl.AFDE(eps=0))
    assert field.takes_time and (len(large[0].weight[0]), result.field.states) == (5, 3)
    assert [tuple(p.shape) for p in result.model.parameters()] == [(4, 3), (4,), (3, 4), (3,)]
    start = np.array([0.3, -0.2, 0.5])
    times = np.linspace(0, 2, 51)
    whole = sl.simulate(sl.encode(field), result.lift(start), times).states
    part = sl.simulate(result.lumping.quotient, start, times).states
    assert np.allclose(result.lift(part.T).T, whole, atol=1e-8)
    kept = sl.simulate(result.field.ode(), start, times).states
    assert np.allclose(part, kept, atol=1e-5)  # the weights that are returned
    with torch.no_grad():  # called as a solver calls it
        found = result.model(torch.tensor(0.5), torch.tensor(start, dtype=torch.float32))
    assert np.allclose(found, result.field.ode().rhs(start), atol=1e-5)
    assert [c.check().accepted for c in result.certificates] == [True, True]
    assert "time" not in result.certificates[0].data
    text = str(result)
    assert text.startswith(
        "5 → 3 states by backward equivalence, exact, proof checked; 60 → 31 parameters;"
    )


def test_the_error_is_bounded_over_a_horizon() -> None:
    _, large, _ = field_with_copies([2, 1], [1, 2, 1], seed=3)
    with torch.no_grad():
        large[0].weight.add_(1e-4 * torch.randn(large[0].weight.shape))  # type: ignore[index,union-attr,operator]
    field = sl.NeuralODE(large)
    exact: Any = sl.compress(field, sl.AFDE(eps=0))
    assert exact.field.states == 3  # nothing is equal any more
    result: Any = sl.compress(field, sl.AFDE(retain=0.8, refit=False))
    assert result.retained < 0.81
    bound = result.bound(0.5, [(0.1, 0.2)] * 3, steps=8)
    start = np.array([0.15, 0.1, 0.2])
    a, b = (sl.simulate(s.ode(), start, [0, 0.25, 0.5]).states for s in (field, result.field))
    assert 1e-6 < np.abs(a - b).max() <= bound.value < 1


def test_inputs_and_residual_fields() -> None:
    generator = np.random.default_rng(0)
    w = generator.integers(-8, 9, (3, 4)) / 8
    w[:, 1] = w[:, 0]
    v = generator.integers(-8, 9, (2, 3)) / 8
    network = sl.Network(
        (
            Input("h", (), (3,)),
            Input("u", (), (1,)),
            sl_concatenate("both", ("h", "u")),
            Affine("fc", ("both",), w),
            Apply("act", ("fc",), activation("tanh")),
            Affine("out", ("act",), v[[0, 0, 1]]),
            Affine("decay", ("h",), -np.eye(3)),
            Combine("sum", ("out", "decay"), "add"),
        ),
        ("sum",),
    )
    field = sl.NeuralODE(network, inputs=1)
    result: Any = sl.compress(field, sl.AFDE(eps=0))
    assert result.lumping.exact and result.labels.tolist() == [0, 0, 1]
    y, u = np.array([[0.5, -0.25]]), np.array([[2.0]])
    assert np.allclose(result.lift(result.model(y, u)), network(result.lift(y), u), atol=1e-12)
    assert result.field.ode().parameters == ("u1",)


def sl_concatenate(name: str, inputs: tuple[str, ...]) -> Any:
    from symlump.network.nodes import Concatenate

    return Concatenate(name, inputs)


def test_only_states_that_start_equal_may_merge() -> None:
    _, large, of = field_with_copies([3, 1], [2, 1], seed=1)
    copies = np.flatnonzero((of == 0).numpy())
    apart = [[f"h{copies[0] + 1}"]]
    result: Any = sl.compress(sl.NeuralODE(large, initial=apart), sl.AFDE(eps=0))
    assert result.field.states > 2 and result.lumping.exact
    assert np.count_nonzero(result.labels == result.labels[copies[0]]) == 1
    every = np.eye(result.field.states)
    assert np.allclose(result.aggregate(result.lift(every)), every)


class OfTime(Field):
    """A field that looks at the time, in one of the ways in which people write it."""

    def __init__(self, net: nn.Module, how: str) -> None:
        super().__init__(net)
        self.how = how

    def forward(self, t: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        if self.how == "factor":
            return self.net(h) * torch.cos(t)  # type: ignore[no-any-return]
        column = torch.ones_like(h[:, :1]) * t if self.how == "ones" else t.expand(len(h), 1)
        return self.net(torch.cat([h, column], dim=-1))  # type: ignore[no-any-return]


@pytest.mark.parametrize("how", ["ones", "expand", "factor"])
def test_fields_of_the_time(how: str) -> None:
    _, large, of = field_with_copies([2, 1], [2, 1], seed=5)
    first: Any = large[0]
    if how != "factor":
        with torch.no_grad():
            column = torch.randint(-64, 64, (2, 1), generator=torch.Generator().manual_seed(0))
            _, to = np.unique(first.bias.detach().numpy(), return_inverse=True)
            first.weight = nn.Parameter(torch.cat([first.weight, column[to] * GRID], dim=1))
    module = OfTime(large.double(), how)
    field = sl.NeuralODE(module)
    assert field.uses_time and field.states == 3 and "of the time" in repr(field)
    result: Any = sl.compress(field, sl.AFDE(eps=0))
    assert result.exact and result.field.states == 2 and result.field.uses_time
    assert result.units.network.layers[0].weight.shape[0] == 2
    start, times = np.array([0.3, -0.5]), np.linspace(0, 1, 5)
    whole = sl.simulate(sl.encode(field), result.lift(start), times).states
    part = sl.simulate(result.field.ode(), start, times).states
    assert np.allclose(result.lift(part.T).T, whole, atol=1e-8)
    h = torch.tensor(start)
    with torch.no_grad():  # one state or several, as solvers call it
        for t in (0.0, 1.7):
            wanted = module(torch.tensor(t), torch.tensor(result.lift(h))[None])
            found = result.model(torch.tensor(t), h)
            assert np.allclose(result.lift(found), wanted[0], atol=1e-12)
            assert torch.equal(result.model(torch.tensor(t), h[None])[0], found)
    near: Any = sl.compress(field, sl.AFDE(retain=0.8, refit=False))
    assert near.bound(0.1, [(0, 0.1)] * 3, steps=4).value >= 0


@pytest.mark.parametrize(
    "method",
    [
        sl.Magnitude(0.5),
        sl.Quantize(4),
        sl.Hierarchical(retain=0.9),
        sl.Dependence(retain=0.5),
        sl.AFDE(retain=0.5),
    ],
    ids=lambda method: method.label,
)
def test_the_size_of_a_field_is_what_its_method_keeps(method: Any) -> None:
    """Weights that are zero or rounded count as they do in any network, and factors are stored as such."""
    torch.manual_seed(0)
    field = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3))
    small = sl.compress(sl.NeuralODE(field), method)
    assert small.retained_parameters == small.units.retained_parameters < small.parameters
    assert small.retained <= (method.retain or 0.5)
    assert f"{small.parameters} → {small.retained_parameters} parameters" in small.headline()
    if isinstance(method, sl.Hierarchical):
        held = sum(p.numel() for p in small.model.parameters())
        assert held == small.retained_parameters
    h = torch.randn(9, 3)
    found = small.model(h).detach().double().numpy()
    assert found == pytest.approx(small.units.network(h.double().numpy()), abs=1e-5)


def test_a_share_is_one_of_what_there_was_before_states_merged() -> None:
    """States 1 and 2 are one; what is left is no more than the share, so that no unit has to go."""
    rng = np.random.default_rng(0)
    first = rng.normal(size=(6, 3))
    last = rng.normal(size=(3, 6))
    last[1] = last[0]
    flow = sl.NeuralODE(sl.Network.dense([first, last]))
    small = sl.compress(flow, sl.AFDE(retain=2 / 3))
    assert small.field.states == 2 and small.parameters == 36
    assert small.retained_parameters == 24 and small.units.eps == 0
    assert sl.compress(flow, sl.AFDE(retain=0.6)).retained_parameters == 20


def test_sweeps_of_a_field_are_those_of_its_parts() -> None:
    flow = sl.NeuralODE(sl.Network.dense([[[1.0, 2.0]], [[0.5], [-1.0]]]))
    with pytest.raises(MethodError, match=r"give its \.ode\(\) to merge states, or its \.network"):
        sl.sweep(flow, [0.0])
    assert len(sl.sweep(flow.network, [0.0]).rows) == len(sl.sweep(flow.ode(), [0.0]).rows) == 1


def test_what_is_no_vector_field_is_named() -> None:
    class Timed(Field):
        def forward(self, t: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
            return self.net(h) * float(t)  # type: ignore[no-any-return]

    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))
    with pytest.raises(
        NetworkError, match="a field that uses the time is read where this can be a column"
    ):
        sl.NeuralODE(Timed(net))
    with pytest.raises(NetworkError, match="does not give 1 derivatives for 1 states"):
        sl.NeuralODE(Field(nn.Linear(2, 3)))
    with pytest.raises(NetworkError, match="one derivative for each of its 2 states"):
        sl.NeuralODE(nn.Linear(2, 3))
    with pytest.raises(NetworkError, match="a torch.nn.Module or a Network; got a function"):
        sl.NeuralODE(lambda h: h)
    gelu = nn.Sequential(nn.Linear(2, 3), nn.GELU(), nn.Linear(3, 2))
    with pytest.raises(NetworkError, match="gelu is not written in symbols"):
        sl.encode(sl.NeuralODE(gelu))
    result: Any = sl.compress(sl.NeuralODE(net), sl.AFDE(eps=0))
    with pytest.raises(MethodError, match="states have shape"):
        result.lift(np.zeros(5))
    assert GRID > 0
