"""A small transformer that counts, trained here, and what every method makes of it.

The task: how often does the last letter of a sequence occur in it? 16 letters of an alphabet of 6, equally
likely. The network is a transformer with a normalization before each part: two blocks, 48 channels, 4 heads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from symlump.compression.baselines.magnitude import Magnitude
from symlump.compression.baselines.svd import TruncatedSVD
from symlump.compression.baselines.wanda import Wanda
from symlump.compression.compress import compress
from symlump.compression.dependences.dependence import Dependence
from symlump.compression.merging.afde import AFDE
from symlump.compression.reduction import CompressionMethod

if TYPE_CHECKING:
    import torch

LETTERS, LENGTH, MOST = 6, 16, 8  # counts from 1 on, MOST for more
_WIDTH, _HEADS, _BLOCKS = 48, 4, 2
_SAMPLES = 2048  # of the test; as many of what calibrates

#: From a share and sequences of the training's kind to a method, which may look at them or not.
Make = Callable[[float, Any], CompressionMethod]

METHODS: dict[str, Make] = {
    "AFDE": lambda share, x: AFDE(retain=share, up_to=0),
    "AFDE, data": lambda share, x: AFDE(retain=share, inputs=x, up_to=0),
    "dependence": lambda share, x: Dependence(retain=share),
    "dependence, data": lambda share, x: Dependence(retain=share, inputs=x),
    "truncated SVD": lambda share, x: TruncatedSVD(retain=share),
    "magnitude": lambda share, x: Magnitude(share),
    "Wanda, data": lambda share, x: Wanda(share, x),
}


@dataclass(frozen=True)
class CountingRow:
    """One method on one network at one share.

    Parameters
    ----------
    seed : int
    method : str
    share : float
        Of the parameters that was asked for; 1 for the network itself.
    retained : float
    accuracy : float
        Share of the test sequences that are counted right.
    error : float
        Mean squared error of the outputs, relative to their variance.
    """

    seed: int
    method: str
    share: float
    retained: float
    accuracy: float
    error: float


def sequences(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Sequences, and the class of each: how often its last letter occurs, less one.

    Examples
    --------
    >>> x, y = sequences(3, 0)
    >>> x.shape, bool(((x == x[:, -1:]).sum(1).clamp(max=MOST) - 1 == y).all())
    (torch.Size([3, 16]), True)
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(LETTERS, (count, LENGTH), generator=generator)
    return x, (x == x[:, -1:]).sum(1).clamp(max=MOST) - 1


def train(seed: int, steps: int = 600) -> torch.nn.Module:
    """The transformer, after so many steps of Adam on batches of 128 new sequences."""
    import torch
    from torch import nn

    from symlump.bench.transformers.model import Counter

    torch.manual_seed(seed)
    model = Counter(LETTERS, LENGTH, MOST, _WIDTH, _HEADS, _BLOCKS)
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, steps)
    for step in range(steps):
        x, y = sequences(128, 1_000_000 * (seed + 1) + step)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return model.eval()


def measure(
    seeds: Iterable[int], shares: Iterable[float] = (0.7, 0.5), steps: int = 600
) -> Iterator[CountingRow]:
    """A row for each network, method and share; first the network itself."""
    import torch

    shares = tuple(shares)
    for seed in seeds:
        model = train(seed, steps)
        x, y = sequences(_SAMPLES, 7 + seed)
        calibration, _ = sequences(_SAMPLES, 77 + seed)
        with torch.no_grad():
            whole = model(x)
        yield CountingRow(seed, "", 1.0, 1.0, _right(whole, y), 0.0)
        for share in shares:
            for name, make in METHODS.items():
                result = compress(model, make(share, calibration), example=x[:1])
                with torch.no_grad():
                    found = result.model(x)
                error = float(((found - whole) ** 2).mean() / whole.var())
                yield CountingRow(seed, name, share, result.retained, _right(found, y), error)


def _right(outputs: torch.Tensor, y: torch.Tensor) -> float:
    return float((outputs.argmax(1) == y).double().mean())


HEADER = ("method", "share", "kept", "accuracy", "least", "error")


def table(rows: Iterable[CountingRow]) -> list[tuple[str, ...]]:
    """A line for each method and share: means over the seeds, and the least accuracy.

    Examples
    --------
    >>> table([CountingRow(0, "", 1.0, 1.0, 0.99, 0.0)])
    [('(as trained)', '100 %', '100 %', '0.990', '0.990', '0')]
    """
    groups: dict[tuple[float, str], list[CountingRow]] = {}
    for row in rows:
        groups.setdefault((row.share, row.method), []).append(row)
    return [
        (
            method or "(as trained)",
            f"{100 * share:.0f} %",
            f"{100 * np.mean([row.retained for row in own]):.0f} %",
            f"{np.mean([row.accuracy for row in own]):.3f}",
            f"{min(row.accuracy for row in own):.3f}",
            f"{np.mean([row.error for row in own]):.2g}",
        )
        for (share, method), own in groups.items()
    ]
