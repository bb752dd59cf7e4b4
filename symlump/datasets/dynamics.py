"""Data generated from systems with known dynamics."""

from __future__ import annotations

import numpy as np

from symlump.datasets.dataset import Dataset
from symlump.ode.exact import FloatArray

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


def glycolytic_oscillator(samples: int = 8000, seed: int = 0) -> Dataset:
    """State → derivative of the glycolytic oscillator, states uniform in the literature's ranges.

    Examples
    --------
    >>> glycolytic_oscillator(100)
    <Dataset glycolytic oscillator: 100 samples, 7 inputs, 7 targets>
    """
    low, high = np.array(GLYCOLYTIC_RANGES).T
    states = np.random.default_rng(seed).uniform(low, high, size=(samples, 7))
    names = tuple(f"S{i}" for i in range(1, 8))
    return Dataset(
        "glycolytic oscillator",
        states,
        glycolytic_rates(states),
        names,
        tuple(f"d{name}/dt" for name in names),
    )
