"""Training of physics-informed networks, and going on with it in compressed form."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from symlump.datasets.pinn import BoundaryProblem, loss_function

#: Called with the number of steps done and the loss.
EachStep = Callable[[int, float], None]
Loss = Callable[[nn.Module], torch.Tensor]


def pinn(
    problem: BoundaryProblem,
    hidden: tuple[int, ...] = (64, 64, 64),
    seed: int = 0,
    scale: float = 2.0,
) -> nn.Sequential:
    """A fresh tanh network in float64 for a problem.

    The first layer maps the box to [−1, 1] and multiplies by random weights of standard deviation
    ``scale``/√coordinates; larger ones let the network bend more often. The others are
    Xavier-initialized.

    Examples
    --------
    >>> from symlump.datasets.pinn import poisson
    >>> pinn(poisson(), (8,))[0]
    Linear(in_features=1, out_features=8, bias=True)
    """
    low, high = (torch.tensor(side, dtype=torch.float64) for side in (problem.low, problem.high))
    modules: list[nn.Module] = []
    widths = (len(problem.low), *hidden, 1)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for inputs, outputs in zip(widths[:-1], widths[1:], strict=True):
            linear = nn.Linear(inputs, outputs, dtype=torch.float64)
            if modules:
                nn.init.xavier_normal_(linear.weight)
                nn.init.zeros_(linear.bias)
            else:
                linear.weight.normal_(std=scale / inputs**0.5).div_((high - low) / 2)
                shift = torch.empty_like(linear.bias).uniform_(-scale, scale)
                linear.bias.copy_(shift - linear.weight @ ((high + low) / 2))
            modules += [linear, nn.Tanh()]
    return nn.Sequential(*modules[:-1])


def train_pinn(
    problem: BoundaryProblem,
    model: nn.Module,
    adam: int = 300,
    lbfgs: int = 1500,
    seed: int = 0,
    each_step: EachStep | None = None,
) -> float:
    """Adam, then L-BFGS, on fixed points; returns the last loss.

    Parameters
    ----------
    adam, lbfgs : int
        Evaluations of the loss in each.
    each_step : callable, optional
        Called with the evaluations done and the loss.
    """
    loss = loss_function(problem, seed=seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(adam, 1), 2e-4)
    for step in range(adam):
        optimizer.zero_grad()
        found = loss(model)
        found.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if each_step is not None:
            each_step(step, float(found.detach()))
    minimize(model, loss, lbfgs, each_step, adam)
    return float(loss(model).detach())


def minimize(
    model: nn.Module,
    loss: Loss,
    evaluations: int,
    each_step: EachStep | None = None,
    done: int = 0,
) -> list[float]:
    """L-BFGS with a strong Wolfe line search; returns the loss at each evaluation, in order.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place.
    loss : callable
        Of the model.
    evaluations : int
        At most so many (the last line search may add a few).
    """
    optimizer = torch.optim.LBFGS(
        [p for p in model.parameters() if p.requires_grad],
        max_iter=evaluations,
        max_eval=evaluations,
        history_size=50,
        tolerance_grad=1e-12,
        tolerance_change=1e-15,
        line_search_fn="strong_wolfe",
    )
    history: list[float] = []

    def closure() -> float:
        optimizer.zero_grad()
        found = loss(model)
        found.backward()  # type: ignore[no-untyped-call]
        history.append(float(found.detach()))
        if each_step is not None:
            each_step(done + len(history), history[-1])
        return history[-1]

    if evaluations > 0:
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    return history
