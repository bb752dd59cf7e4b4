"""The demonstration: train, encode, compress at several sizes, compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from symlump.bench.train import multilayer, one_thread, train
from symlump.compression.baselines.magnitude import Magnitude
from symlump.compression.baselines.masked_fit import fit_masked
from symlump.compression.baselines.wanda import Wanda
from symlump.compression.compress import compress
from symlump.compression.compression import Compression, mean_squared_error
from symlump.compression.merging.afde import AFDE
from symlump.datasets.dataset import Dataset
from symlump.datasets.dynamics import glycolytic_oscillator
from symlump.network.network import Network
from symlump.network.torch_io import from_torch

HIDDEN = (96, 96)
EPOCHS = 60
SHARES = (0.9, 0.8, 0.6, 0.4, 0.3, 0.2)


@dataclass(frozen=True)
class DemoRow:
    """One size: AFDE with the ε that gives it, and pruning to the same number of parameters."""

    retained: float
    retained_parameters: int
    eps: float
    errors: dict[str, float]


@dataclass(frozen=True, eq=False)
class Demonstration:
    """Everything the demonstration shows."""

    train: Dataset
    test: Dataset
    network: Network
    base_error: float
    rows: tuple[DemoRow, ...]
    reduced: Compression


@one_thread()
def trained_network(
    seed: int, each_epoch: Callable[[int, float], None] | None = None
) -> tuple[Network, Dataset, Dataset]:
    """A tanh network for the derivative of the glycolytic oscillator, and its data."""
    training, test = glycolytic_oscillator(seed=seed).split(seed=seed)
    model = multilayer(7, HIDDEN, 7, "tanh", seed)
    train(model, training, EPOCHS, seed=seed, each_epoch=each_epoch)
    network = from_torch(model)
    assert isinstance(network, Network)
    return network, training, test


def compare(
    network: Network,
    training: Dataset,
    test: Dataset,
    shares: tuple[float, ...] = SHARES,
    each_share: Callable[[int, str], None] | None = None,
) -> Demonstration:
    """AFDE at several ε against pruning at equal numbers of parameters, no retraining.

    Each stands there with a least-squares refit on drawn inputs and without one. The result holds the reduced
    network at the share nearest to 40 %.
    """
    drawn = np.random.default_rng(1).normal(size=(4000, training.inputs.shape[1]))
    rows: list[DemoRow] = []
    reduced: list[Compression] = []
    for done, share in enumerate(shares, start=1):
        # One unit for all rows, so that their ε can be compared.
        afde = compress(network, AFDE(retain=share, relative_to="output"))
        keep = afde.retained
        magnitude = compress(network, Magnitude(keep))
        wanda = compress(network, Wanda(keep, training.inputs))
        reductions = {
            "AFDE": afde.network,
            "AFDE, no refit": compress(
                network, AFDE(retain=keep, relative_to="output", refit=False)
            ).network,
            "magnitude": magnitude.network,
            "Wanda": wanda.network,
            "magnitude, refitted": fit_masked(network, magnitude.network, [drawn]),
            "Wanda, refitted": fit_masked(network, wanda.network, [drawn]),
        }
        errors = {
            name: mean_squared_error(small, test.inputs, test.targets)
            for name, small in reductions.items()
        }
        assert afde.eps is not None
        rows.append(DemoRow(keep, afde.retained_parameters, afde.eps, errors))
        reduced.append(afde)
        if each_share is not None:
            each_share(done, f"{share:.0%} kept")
    chosen = min(reduced, key=lambda c: abs(c.retained - 0.4))
    base = mean_squared_error(network, test.inputs, test.targets)
    return Demonstration(training, test, network, base, tuple(rows), chosen)
