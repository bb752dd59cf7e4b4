"""Boundary value problems for physics-informed networks, with reference solutions.

A network u is trained on nothing but the equation: the mean squared residual at points inside, by
automatic differentiation, plus the mean squared mismatch on the boundary.

References
----------
Raissi, Perdikaris, Karniadakis, doi:10.1016/j.jcp.2018.10.045 (the method, and Burgers' equation as its
test); Basdevant et al., "Spectral and finite difference solutions of the Burgers equation",
doi:10.1016/0045-7930(86)90036-8 (its solution by the Cole–Hopf transform); Wang, Teng, Perdikaris,
doi:10.1137/20M1318043 (the Helmholtz problem).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import pi

import numpy as np
import torch
from scipy.stats import qmc

from symlump.errors import MethodError
from symlump.network.gradients import gradients
from symlump.ode.exact import FloatArray

#: A function of points, shape (points, coordinates), with values of shape (points, 1).
Field = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, eq=False)
class BoundaryProblem:
    """An equation on a box, with values on (part of) its boundary.

    Parameters
    ----------
    name : str
    coordinates : tuple of str
    low, high : tuple of float
        The box.
    residual : callable
        Of a field and points, shape (points, coordinates): the residual of the equation, shape (points,),
        in units in which a typical term is 1.
    sides : tuple of (int, float)
        Where values are given: coordinate and its value.
    solution : callable
        The reference, of points as an array: values, shape (points,). On ``sides`` it is the given value.
    """

    name: str
    coordinates: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    residual: Callable[[Field, torch.Tensor], torch.Tensor]
    sides: tuple[tuple[int, float], ...]
    solution: Callable[[FloatArray], FloatArray]

    def interior(self, count: int, seed: int = 0) -> FloatArray:
        """Low-discrepancy points inside the box (a scrambled Sobol sequence).

        Returns
        -------
        ndarray, shape (count, coordinates)
        """
        sequence = qmc.Sobol(len(self.low), seed=seed)
        unit = sequence.random_base2(max(count - 1, 1).bit_length())[:count]
        return np.asarray(qmc.scale(unit, self.low, self.high))

    def boundary(self, count: int, seed: int = 0) -> tuple[FloatArray, FloatArray]:
        """Points on the sides where values are given, ``count`` on each, and the values."""
        points = []
        for number, (axis, value) in enumerate(self.sides):
            side = self.interior(count if len(self.low) > 1 else 1, seed + 1 + number)
            side[:, axis] = value
            points.append(side)
        at = np.concatenate(points)
        return at, self.solution(at)

    def grid(self, count: int) -> FloatArray:
        """A regular grid with ``count`` points along each coordinate, ends included."""
        axes = [np.linspace(a, b, count) for a, b in zip(self.low, self.high, strict=True)]
        return np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)

    def error(self, field: Field, count: int = 101) -> float:
        """‖u − reference‖ / ‖reference‖ on the grid, in 2-norm."""
        points = self.grid(count)
        with torch.no_grad():
            found = field(torch.from_numpy(points)).to(torch.float64).cpu().numpy()[:, 0]
        exact = self.solution(points)
        return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def loss_function(
    problem: BoundaryProblem,
    inside: int | None = None,
    on_side: int = 128,
    weight: float = 10.0,
    seed: int = 0,
) -> Callable[[Field], torch.Tensor]:
    """The loss of a field: mean squared residual + weight × mean squared mismatch on the boundary.

    Parameters
    ----------
    problem : BoundaryProblem
    inside : int, optional
        Number of points inside; default 256 on a line, else 1024.
    on_side : int
        Number of points on each side.
    weight : float
    seed : int
    """
    if inside is None:
        inside = 256 if len(problem.low) == 1 else 1024
    points = torch.from_numpy(problem.interior(inside, seed))
    at, values = (torch.from_numpy(array) for array in problem.boundary(on_side, seed))

    def loss(field: Field) -> torch.Tensor:
        residual = problem.residual(field, points)
        return residual.square().mean() + weight * (field(at)[:, 0] - values).square().mean()

    return loss


@gradients()
def derivatives(
    field: Field, points: torch.Tensor, second: Sequence[int]
) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
    """Value, gradient, and the second derivatives along some coordinates.

    Parameters
    ----------
    field : callable
    points : Tensor, shape (points, coordinates)
    second : sequence of int
        The coordinates to derive twice by.

    Examples
    --------
    >>> x = torch.tensor([[1.0, 2.0]])
    >>> u, du, (uyy,) = derivatives(lambda p: p[:, :1] * p[:, 1:] ** 3, x, [1])
    >>> u.tolist(), du.tolist(), uyy.tolist()
    ([8.0], [[8.0, 12.0]], [12.0])
    """
    x = points.detach().clone().requires_grad_(True)
    value = field(x)[:, 0]
    (gradient,) = torch.autograd.grad(value.sum(), x, create_graph=True)
    twice = [
        torch.autograd.grad(gradient[:, axis].sum(), x, create_graph=True)[0][:, axis]
        for axis in second
    ]
    return value, gradient, twice


def poisson() -> BoundaryProblem:
    """−u'' = f on [0, 1], u = 0 at both ends, with u = sin(2πx) + sin(6πx)/3.

    Examples
    --------
    >>> problem = poisson()
    >>> exact = lambda x: torch.sin(2 * pi * x) + torch.sin(6 * pi * x) / 3
    >>> residual = problem.residual(exact, torch.rand(5, 1, dtype=torch.float64))
    >>> bool(residual.abs().max() < 1e-12)
    True
    """
    size = 12 * pi**2  # amplitude of the larger term of f

    def residual(field: Field, points: torch.Tensor) -> torch.Tensor:
        _, _, (uxx,) = derivatives(field, points, [0])
        x = points[:, 0]
        force = 4 * pi**2 * torch.sin(2 * pi * x) + 12 * pi**2 * torch.sin(6 * pi * x)
        return (-uxx - force) / size

    return BoundaryProblem(
        "Poisson, 1-D",
        ("x",),
        (0.0,),
        (1.0,),
        residual,
        ((0, 0.0), (0, 1.0)),
        lambda p: np.sin(2 * pi * p[:, 0]) + np.sin(6 * pi * p[:, 0]) / 3,
    )


def burgers(viscosity: float = 0.02) -> BoundaryProblem:
    """u_t + u·u_x = ν·u_xx on t in [0, 1], x in [−1, 1], u(0, x) = −sin πx, u = 0 at x = ±1.

    Raises
    ------
    MethodError
        If the viscosity is not in [0.003, 1]: below, the quadrature of the reference loses accuracy.

    Examples
    --------
    >>> burgers().solution(np.array([[0.0, 0.5], [1.0, 0.0], [1.0, 0.5]])).round(4) + 0.0
    array([-1.    ,  0.    , -0.3716])
    """
    if not 0.003 <= viscosity <= 1:
        raise MethodError(f"viscosity={viscosity!r}: choose it in [0.003, 1], such as 0.02")

    def residual(field: Field, points: torch.Tensor) -> torch.Tensor:
        u, gradient, (uxx,) = derivatives(field, points, [1])
        return gradient[:, 0] + u * gradient[:, 1] - viscosity * uxx

    return BoundaryProblem(
        f"Burgers, ν = {viscosity:g}",
        ("t", "x"),
        (0.0, -1.0),
        (1.0, 1.0),
        residual,
        ((0, 0.0), (1, -1.0), (1, 1.0)),
        lambda points: _cole_hopf(points, viscosity),
    )


def _cole_hopf(points: FloatArray, viscosity: float) -> FloatArray:
    """The solution of Burgers' equation from −sin πx, by Gauss–Hermite quadrature.

    u = −∫ sin(π(x − s))·F(x − s)·e^(−s²/4νt) ds / ∫ F(x − s)·e^(−s²/4νt) ds, with F(y) = e^(−cos(πy)/2πν).
    """
    nodes, weights = np.polynomial.hermite.hermgauss(160)
    t, x = points[:, 0], points[:, 1]
    values = -np.sin(pi * x)
    later = t > 0
    y = x[later, None] - np.sqrt(4 * viscosity * t[later, None]) * nodes
    exponent = -np.cos(pi * y) / (2 * pi * viscosity)
    kernel = weights * np.exp(exponent - exponent.max(axis=1, keepdims=True))
    values[later] = -(kernel * np.sin(pi * y)).sum(axis=1) / kernel.sum(axis=1)
    return values


def helmholtz(waves: tuple[int, int] = (1, 2)) -> BoundaryProblem:
    """u_xx + u_yy + u = q on [−1, 1]², u = 0 on the boundary, with u = sin(a·πx)·sin(b·πy).

    Parameters
    ----------
    waves : pair of int
        a and b.

    Examples
    --------
    >>> helmholtz().solution(np.array([[0.5, 0.25]])).round(6).tolist()
    [1.0]
    """
    a, b = waves
    factor = 1 - (a * pi) ** 2 - (b * pi) ** 2

    def residual(field: Field, points: torch.Tensor) -> torch.Tensor:
        u, _, (uxx, uyy) = derivatives(field, points, [0, 1])
        exact = torch.sin(a * pi * points[:, 0]) * torch.sin(b * pi * points[:, 1])
        return (uxx + uyy + u - factor * exact) / abs(factor)

    return BoundaryProblem(
        f"Helmholtz, 2-D, waves {a} and {b}",
        ("x", "y"),
        (-1.0, -1.0),
        (1.0, 1.0),
        residual,
        ((0, -1.0), (0, 1.0), (1, -1.0), (1, 1.0)),
        lambda p: np.sin(a * pi * p[:, 0]) * np.sin(b * pi * p[:, 1]),
    )


#: The problems by name.
PROBLEMS: dict[str, Callable[[], BoundaryProblem]] = {
    "poisson": poisson,
    "burgers": burgers,
    "helmholtz": helmholtz,
}
