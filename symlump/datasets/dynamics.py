"""Data generated from systems with known dynamics."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.integrate import solve_ivp

from symlump.datasets.dataset import Dataset
from symlump.datasets.systems import complex_formation, h_tree, polymerization
from symlump.errors import FailureError, MethodError
from symlump.ode.exact import FloatArray
from symlump.ode.polynomial import PolynomialODE

#: From states, shape (samples, variables), to their derivatives.
Rates = Callable[[FloatArray], FloatArray]

#: Ranges of the seven concentrations in mM, as used for initial states in the literature.
GLYCOLYTIC_RANGES = (
    (0.15, 1.60),
    (0.19, 2.16),
    (0.04, 0.20),
    (0.10, 0.35),
    (0.08, 0.30),
    (0.14, 2.67),
    (0.05, 0.10),
)


def glycolytic_rates(s: FloatArray) -> FloatArray:
    """Right-hand side of the yeast glycolytic oscillator, seven variables.

    With v1 = k1·S1·S6 / (1 + (S6/K1)^q):

    S1' = J0 − v1,
    S2' = 2·v1 − k2·S2·(N − S5) − k6·S2·S5,
    S3' = k2·S2·(N − S5) − k3·S3·(A − S6),
    S4' = k3·S3·(A − S6) − k4·S4·S5 − κ·(S4 − S7),
    S5' = k2·S2·(N − S5) − k4·S4·S5 − k6·S2·S5,
    S6' = −2·v1 + 2·k3·S3·(A − S6) − k5·S6,
    S7' = ψ·κ·(S4 − S7) − k·S7.

    Parameters
    ----------
    s : ndarray, shape (…, 7)
        Concentrations in mM: glucose, triose phosphates, 1,3-bisphosphoglycerate, pyruvate with
        acetaldehyde, NADH, ATP, and pyruvate with acetaldehyde outside the cell.

    Returns
    -------
    ndarray, shape (…, 7), in mM per minute.

    References
    ----------
    Ruoff, Christensen, Wolf, Heinrich, Biophysical Chemistry 106 (2003),
    doi:10.1016/S0301-4622(03)00191-1; in this form and with these constants in Daniels, Nemenman, PLoS
    ONE 10 (2015), doi:10.1371/journal.pone.0119821.

    Examples
    --------
    >>> glycolytic_rates(np.array([1.0, 1.0, 0.1, 0.2, 0.1, 2.0, 0.05])).round(3).tolist()
    [1.59, -4.78, 2.2, -0.75, 2.2, 2.02, 0.105]
    """
    j0, k1, k2, k3, k4, k5, k6, k = 2.5, 100.0, 6.0, 16.0, 100.0, 1.28, 12.0, 1.8
    kappa, q, half, psi, n, a = 13.0, 4, 0.52, 0.1, 1.0, 4.0
    s1, s2, s3, s4, s5, s6, s7 = np.moveaxis(np.asarray(s, dtype=np.float64), -1, 0)
    v1 = k1 * s1 * s6 / (1 + (s6 / half) ** q)
    v2, v3 = k2 * s2 * (n - s5), k3 * s3 * (a - s6)
    v4, v6, out = k4 * s4 * s5, k6 * s2 * s5, kappa * (s4 - s7)
    return np.stack(
        [
            j0 - v1,
            2 * v1 - v2 - v6,
            v2 - v3,
            v3 - v4 - out,
            v2 - v4 - v6,
            -2 * v1 + 2 * v3 - k5 * s6,
            psi * out - k * s7,
        ],
        axis=-1,
    )


def glycolytic_oscillator(samples: int = 8000, seed: int = 0, step: float | None = None) -> Dataset:
    """The glycolytic oscillator, states uniform in the literature's ranges; see :func:`learning_task`.

    Examples
    --------
    >>> glycolytic_oscillator(100)
    <Dataset glycolytic oscillator: 100 samples, 7 inputs, 7 targets>
    """
    low, high = np.array(GLYCOLYTIC_RANGES).T
    names = tuple(f"S{i}" for i in range(1, 8))
    return learning_task(
        "glycolytic oscillator", names, glycolytic_rates, low, high, samples, seed, step
    )


def reaction_network(samples: int = 8000, seed: int = 0, step: float | None = None) -> Dataset:
    """Binding of B to a protein A that is phosphorylated or not; concentrations uniform in [0, 1].

    The system is :func:`symlump.datasets.systems.complex_formation` with rates 1, 2, 3, 4: concentrations
    and time in arbitrary units, as in the literature.

    Examples
    --------
    >>> reaction_network(100).input_names
    ('A_u', 'A_p', 'B', 'A_uB', 'A_pB')
    """
    return _polynomial_task("reaction network", complex_formation(), 1.0, samples, seed, step)


def h_tree_circuit(
    samples: int = 8000,
    seed: int = 0,
    step: float | None = None,
    depth: int = 4,
    tolerance: float = 0.01,
) -> Dataset:
    """Voltages of an H-tree of resistors and capacitors, uniform between 0 and the source's 2 V.

    The system is :func:`symlump.datasets.systems.h_tree`, ``tolerance`` in per cent, its deviations drawn
    with seed 0: another ``seed`` gives other states of the same circuit.

    Examples
    --------
    >>> h_tree_circuit(100)
    <Dataset H-tree circuit: 100 samples, 15 inputs, 15 targets>
    """
    return _polynomial_task("H-tree circuit", h_tree(depth, tolerance), 2.0, samples, seed, step)


def polymer_growth(samples: int = 8000, seed: int = 0, step: float | None = None) -> Dataset:
    """Perturbed polymerization; concentrations uniform in [0, 10], which spans the published initial state.

    The system is :func:`symlump.datasets.systems.polymerization`, rates perturbed by 0.01; arbitrary units.

    Examples
    --------
    >>> polymer_growth(100, step=0.01)
    <Dataset polymerization, Δt = 0.01: 100 samples, 9 inputs, 9 targets>
    """
    return _polynomial_task("polymerization", polymerization(), 10.0, samples, seed, step)


def learning_task(
    name: str,
    variables: tuple[str, ...],
    rates: Rates,
    low: FloatArray,
    high: FloatArray,
    samples: int,
    seed: int,
    step: float | None = None,
) -> Dataset:
    """State → derivative, or state(t) → state(t + Δt), for states uniform in a box.

    Parameters
    ----------
    rates : callable
        From states, shape (samples, variables), to derivatives of the same shape.
    low, high : ndarray, shape (variables,)
        The box.
    step : float, optional
        Δt, in the system's unit of time. Without it the targets are derivatives; with it, states after that
        time, integrated to a relative tolerance of 1e-9.

    Raises
    ------
    MethodError
        If the step or the number of samples is not positive.
    FailureError
        If the solver gives up.

    Examples
    --------
    >>> decay = learning_task("decay", ("x",), lambda x: -x, np.zeros(1), np.ones(1), 5, 0, step=1.0)
    >>> bool(np.allclose(decay.targets, decay.inputs * np.exp(-1), rtol=1e-8))
    True
    """
    if samples < 1:
        raise MethodError(f"samples={samples}: a data set has at least one sample")
    if step is not None and not step > 0:
        raise MethodError(f"step={step}: a time step is positive; leave it out for derivatives")
    states = np.random.default_rng(seed).uniform(low, high, size=(samples, len(variables)))
    if step is None:
        names = tuple(f"d{variable}/dt" for variable in variables)
        return Dataset(name, states, rates(states), variables, names)
    # All samples as one system: its right-hand side is one call on arrays.
    solution = solve_ivp(
        lambda _, x: rates(x.reshape(states.shape)).ravel(),
        (0.0, step),
        states.ravel(),
        method="DOP853",
        t_eval=[step],
        rtol=1e-9,
        atol=1e-12 * float(np.abs(high).max()),
    )
    if not solution.success:
        raise FailureError(f"{name} could not be integrated over {step}: {solution.message}")
    names = tuple(f"{variable}(t+Δt)" for variable in variables)
    after = solution.y[:, -1].reshape(states.shape)
    return Dataset(f"{name}, Δt = {step:g}", states, after, variables, names)


def _polynomial_task(
    name: str, ode: PolynomialODE, high: float, samples: int, seed: int, step: float | None
) -> Dataset:
    return learning_task(
        name,
        ode.variables,
        lambda states: ode.rhs(states.T).T,
        np.zeros(len(ode)),
        np.full(len(ode), high),
        samples,
        seed,
        step,
    )
