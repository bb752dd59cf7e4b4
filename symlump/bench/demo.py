"""The demonstration: train, encode, compress at several sizes, compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from symlump.bench.train import multilayer, train
from symlump.compression.baselines.magnitude import Magnitude
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
class Row:
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
    rows: tuple[Row, ...]
    reduced: Compression


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

    The result holds the reduced network at the share nearest to 40 %.
    """
    rows: list[Row] = []
    reduced: list[Compression] = []
    for done, share in enumerate(shares, start=1):
        afde = compress(network, AFDE(retain=share))
        keep = afde.retained
        others = [
            compress(network, Magnitude(keep)),
            compress(network, Magnitude(keep, "layerwise")),
            compress(network, Wanda(keep, training.inputs)),
        ]
        errors = {
            c.method.label: c.mean_squared_error(test.inputs, test.targets) for c in [afde, *others]
        }
        assert afde.eps is not None
        rows.append(Row(keep, afde.retained_parameters, afde.eps, errors))
        reduced.append(afde)
        if each_share is not None:
            each_share(done, f"{share:.0%} kept")
    chosen = min(reduced, key=lambda c: abs(c.retained - 0.4))
    base = mean_squared_error(network, test.inputs, test.targets)
    return Demonstration(training, test, network, base, tuple(rows), chosen)
