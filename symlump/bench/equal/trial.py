"""A network that is compressed to budgets: what calibrates, what it is tested on, and what fits a budget."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from symlump.bench.equal.methods import METHODS
from symlump.bench.forward_time import times_in_turns
from symlump.bench.published.trained import read_digits
from symlump.bench.tasks import data_of, network_of, pack
from symlump.bench.train import multilayer, one_thread, train
from symlump.compression.compress import CompressionPlan
from symlump.compression.compression import Compression, mean_squared_error
from symlump.datasets.dataset import Dataset
from symlump.errors import FailureError, FileFormatError, MethodError
from symlump.network.network import Network
from symlump.network.saved.writing import write_safetensors
from symlump.network.torch_io import to_torch
from symlump.ode.exact import FloatArray, IntArray

#: The ``dataset`` of images of digits.
DIGITS = "digits"
HIDDEN, EPOCHS, CALIBRATION, BATCH, ROUNDS = (64, 32), 30, 1000, 2000, 60
#: By how much less is asked for, at least, where a file was too large.
_LESS = 0.004
#: What is timed; the largest that is fast enough is found by halving.
_SHARES = (0.8, 0.6, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03)


@cache
def small_digits(path: str) -> tuple[FloatArray, IntArray]:
    """Images of 14 × 14 as rows, and their labels.

    Raises
    ------
    FileFormatError
        If the file has no images of 28 × 28.
    """
    images, labels = read_digits(path)
    if images.shape[1] != 784:
        raise FileFormatError(f"{path}: images are 28 × 28")
    return images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196), labels


@one_thread()
def train_digits(description: dict[str, Any], path: str) -> dict[str, Any]:
    """Train on the first half of the images; the result holds the weights, as :func:`network_of` takes them."""
    images, labels = small_digits(path)
    half = len(images) // 2
    names = tuple(f"x{k}" for k in range(images.shape[1])), tuple(f"y{k}" for k in range(10))
    data = Dataset(DIGITS, images[:half], np.eye(10)[labels[:half]], *names)
    hidden, seed = description["hidden"], description["seed"]
    model = multilayer(images.shape[1], hidden, 10, description["activation"], seed)
    train(model, data, description["epochs"], seed=seed)
    return pack(model)


@dataclass(frozen=True, eq=False)
class Trial:
    """A network and what it is tried on.

    Parameters
    ----------
    network : Network
    given : ndarray
        Inputs that methods may see.
    tested : ndarray
        Inputs of the test, which are also those whose forward pass is timed.
    error : callable
        Of a network on the test.
    """

    network: Network
    given: FloatArray
    tested: FloatArray
    error: Callable[[Network], float]

    @classmethod
    def of(cls, description: dict[str, Any], trained: dict[str, Any], place: str | None) -> Trial:
        """The trial of a trained network; the place is its file of digits, or the folder of the data sets."""
        network = network_of(description, trained)
        if description["dataset"] == DIGITS:
            assert place is not None
            images, labels = small_digits(place)
            half = len(images) // 2
            tested, right = images[half:], labels[half:]
            return cls(
                network,
                images[: min(CALIBRATION, half)],
                tested,
                lambda net: 100 * float((net(tested).argmax(axis=1) != right).mean()),
            )
        training, test = data_of(description, place)
        return cls(
            network,
            training.inputs[:CALIBRATION],
            test.inputs,
            lambda net: mean_squared_error(net, test.inputs, test.targets),
        )

    def plan(self, name: str) -> CompressionPlan:
        """What a method found out about the network."""
        return CompressionPlan.of(self.network, METHODS[name].make(self.given))

    @cached_property
    def file_size(self) -> int:
        """Of the network before, in bytes."""
        return _file_size(partial(write_safetensors, self.network))

    def retaining(
        self, plan: CompressionPlan, share: float | None
    ) -> tuple[Compression, float] | None:
        """What keeps a share, if there is one and the method reaches it; and the share."""
        if share is None:
            return None
        try:
            return plan.retain(share), share
        except (FailureError, MethodError):
            return None

    def fitting(
        self, plan: CompressionPlan, budget: float, as_file: bool
    ) -> tuple[Compression, float] | None:
        """A result within a share of the parameters, or of the bytes of the file; and its share.

        What a file takes besides, for its header and the places of zeros, is taken off what is asked for.
        """
        ask = budget
        while ask > 0:
            found = self.retaining(plan, ask)
            if found is None:
                return None
            result, used = found[0], found[0].retained
            if as_file:
                used = _file_size(partial(result.write, packed=True)) / self.file_size
            if used <= budget:
                return result, used
            ask -= max(used - budget, _LESS)
        return None

    def fast_enough(self, plan: CompressionPlan, budget: float) -> float | None:
        """The largest share found whose forward pass takes at most a share of the time."""
        x = torch.as_tensor(self.tested[:BATCH], dtype=torch.float32)
        x = x.repeat(-(-BATCH // len(x)), 1)[:BATCH]
        before = to_torch(self.network).eval()

        def fits(share: float) -> bool:
            found = self.retaining(plan, share)
            if found is None:
                return True  # larger ones have to be tried: this one is not there
            after = to_torch(found[0].network).eval()
            times = times_in_turns([after, before], (x,), ROUNDS)
            return times[0] <= budget * times[1]

        low, high = 0, len(_SHARES)  # the first that fits is among these
        while low < high:
            middle = (low + high) // 2
            if fits(_SHARES[middle]):
                high = middle
            else:
                low = middle + 1
        return None if low == len(_SHARES) else _SHARES[low]


def _file_size(write: Callable[[Path], None]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.safetensors"
        write(path)
        return path.stat().st_size
