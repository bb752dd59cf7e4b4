"""The demonstration: train, encode, compress at several sizes, compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

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
from symlump.ode.exact import FloatArray

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
            "magnitude, refitted": refit(network, magnitude.network, drawn),
            "Wanda, refitted": refit(network, wanda.network, drawn),
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


def refit(network: Network, pruned: Network, inputs: FloatArray) -> Network:
    """A pruned chain, the weights that are left and the biases fitted again, layer by layer.

    For each unit, min Σ (w·x̂ + b − z)² over all w with the zeros of the pruned row, where z is what the
    original computes on these inputs and x̂ what the layers before it, already fitted, give. No target is used.

    Parameters
    ----------
    network, pruned : Network
        Chains of the same shape.
    inputs : ndarray of float, shape (samples, inputs)

    Examples
    --------
    >>> net = Network.dense([[[1.0, 2.0]], [[2.0]]])
    >>> pruned = Network.dense([[[0.0, 2.0]], [[2.0]]])
    >>> x = np.array([[1.0, 1.0], [-1.0, -1.0], [2.0, 2.0]])
    >>> refit(net, pruned, x).chain.layers[0].weight.round(9).tolist()   # x₁ and x₂ are equal here
    [[0.0, 3.0]]
    """
    whole, less = network.dense_chain("a refit"), pruned.dense_chain("a refit")
    before = after = inputs
    layers = []
    for old, new in zip(whole.layers, less.layers, strict=True):
        wanted = old.pre_activation(before)
        columns = np.column_stack([after, np.ones(len(after))])
        moments, towards = columns.T @ columns, columns.T @ wanted
        weight, bias = np.zeros_like(new.weight), np.zeros(len(new.weight))
        for i, kept in enumerate(new.weight != 0):
            at = np.flatnonzero(np.append(kept, True))
            fit = np.linalg.lstsq(moments[np.ix_(at, at)], towards[at, i], rcond=None)[0]
            weight[i, kept], bias[i] = fit[:-1], fit[-1]
        layers.append(replace(new, weight=weight, bias=bias))
        before = old.activation(wanted)
        after = old.activation(layers[-1].pre_activation(after))
    return Network.from_chain(replace(less, layers=tuple(layers)))
