"""The problems: their equations hold for their solutions, and a small network learns one."""

from math import pi

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from symlump.bench.physics_informed.training import minimize, pinn, train_pinn
from symlump.datasets.pinn import PROBLEMS, burgers, helmholtz, loss_function, poisson
from symlump.errors import MethodError

EXACT = {
    "poisson": lambda p: torch.sin(2 * pi * p[:, :1]) + torch.sin(6 * pi * p[:, :1]) / 3,
    "helmholtz": lambda p: torch.sin(pi * p[:, :1]) * torch.sin(2 * pi * p[:, 1:]),
}


@pytest.mark.parametrize("name", ["poisson", "helmholtz"])
def test_the_exact_solution_has_no_residual_and_no_loss(name):
    problem = PROBLEMS[name]()
    points = torch.from_numpy(problem.interior(64))
    assert float(problem.residual(EXACT[name], points).abs().max().detach()) < 1e-11
    assert float(loss_function(problem)(EXACT[name]).detach()) < 1e-20
    assert problem.error(EXACT[name]) < 1e-14
    wrong = loss_function(problem)(lambda p: 1.1 * EXACT[name](p))
    assert float(wrong.detach()) > 1e-4


def test_residuals_of_a_wrong_solution_are_what_the_equation_says():
    """By differences, not by automatic differentiation."""
    problem, step = burgers(0.05), 1e-4
    field = lambda p: torch.sin(p[:, 1:]) * torch.exp(-p[:, :1])  # noqa: E731
    points = torch.from_numpy(problem.interior(10))
    at = lambda dt, dx: field(points + torch.tensor([dt, dx]))[:, 0]  # noqa: E731
    expected = (
        (at(step, 0) - at(-step, 0)) / (2 * step)
        + at(0, 0) * (at(0, step) - at(0, -step)) / (2 * step)
        - 0.05 * (at(0, step) - 2 * at(0, 0) + at(0, -step)) / step**2
    )
    assert torch.allclose(problem.residual(field, points).detach(), expected, atol=1e-6)


@pytest.mark.parametrize("viscosity", [0.05, 0.02])
def test_the_solution_of_burgers_equation_by_another_method(viscosity):
    """Against central differences in space and an ODE solver in time."""
    n = 801
    x = np.linspace(-1, 1, n)
    h = x[1] - x[0]

    def rate(t, u):
        out = np.zeros(n)
        flux = (u[2:] ** 2 - u[:-2] ** 2) / (4 * h)
        out[1:-1] = -flux + viscosity * (u[2:] - 2 * u[1:-1] + u[:-2]) / h**2
        return out

    times = [0.25, 1.0]
    found = solve_ivp(
        rate, (0, 1), -np.sin(pi * x), "LSODA", times, rtol=1e-6, atol=1e-8, lband=1, uband=1
    )
    for t, values in zip(times, found.y.T, strict=True):
        exact = burgers(viscosity).solution(np.stack([np.full(n, t), x], axis=1))
        assert np.abs(values - exact).max() < 2e-3


def test_points_and_boundary_values():
    for make in PROBLEMS.values():
        problem = make()
        inside = problem.interior(100, seed=3)
        assert inside.shape == (100, len(problem.low))
        assert (inside > problem.low).all() and (inside < problem.high).all()
        assert np.array_equal(inside, problem.interior(100, seed=3))
        at, values = problem.boundary(20)
        on_side = np.any([at[:, axis] == value for axis, value in problem.sides], axis=0)
        assert on_side.all()
        assert np.allclose(values, problem.solution(at))
    at, values = burgers().boundary(50)
    assert np.allclose(values[at[:, 0] == 0], -np.sin(pi * at[at[:, 0] == 0, 1]))
    assert np.allclose(values[at[:, 0] > 0], 0, atol=1e-8)
    with pytest.raises(MethodError, match="viscosity"):
        burgers(1e-4)
    assert helmholtz((2, 1)).solution(np.array([[0.25, 0.5]]))[0] == pytest.approx(1.0)


def test_a_small_network_learns_the_equation_and_training_repeats():
    problem = poisson()
    errors, steps = [], []
    for _ in range(2):
        model = pinn(problem, (16, 16), seed=1)
        before = problem.error(model)
        last = train_pinn(
            problem, model, 10, 150, each_step=lambda done, loss: steps.append((done, loss))
        )
        errors.append(problem.error(model))
    assert errors[0] == errors[1] < 0.7 * before
    assert last < 0.05 * steps[0][1]
    history = minimize(model, loss_function(problem), 5)
    assert history[0] == pytest.approx(last)
    assert minimize(model, loss_function(problem), 0) == []
