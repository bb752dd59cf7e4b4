"""A small transformer that counts, trained here, and what every method makes of it.

The task: how often does the last letter of a sequence occur in it? 16 letters of an alphabet of 6, equally
likely. The network is a transformer with a normalization before each part: two blocks, 48 channels, 4 heads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symlump.bench.train import one_thread
from symlump.compression.baselines.magnitude import Magnitude
from symlump.compression.baselines.svd import TruncatedSVD
from symlump.compression.baselines.wanda import Wanda
from symlump.compression.combined import Combined
from symlump.compression.compress import compress
from symlump.compression.dependences.dependence import Dependence
from symlump.compression.merging.afde import AFDE
from symlump.compression.reduction import CompressionMethod
from symlump.jobs import Job, run_jobs

if TYPE_CHECKING:
    import torch

LETTERS, LENGTH, MOST = 6, 16, 8  # counts from 1 on, MOST for more
_WIDTH, _HEADS, _BLOCKS = 48, 4, 2
_SAMPLES = 2048  # of the test; as many of what calibrates

SHARES = (0.7, 0.5)
#: What tells runs apart, besides seed and share.
KEYS = ("dataset",)
#: From a share and sequences of the training's kind to a method, which may look at them or not.
Make = Callable[[float, Any], CompressionMethod]

METHODS: dict[str, Make] = {
    "AFDE": lambda share, x: AFDE(retain=share),
    "AFDE, data": lambda share, x: AFDE(retain=share, inputs=x),
    "dependence": lambda share, x: Dependence(retain=share),
    "dependence, data": lambda share, x: Dependence(retain=share, inputs=x),
    "truncated SVD": lambda share, x: TruncatedSVD(retain=share),
    "magnitude": lambda share, x: Magnitude(share),
    "magnitude, refit, data": lambda share, x: Magnitude(share, refit=True, inputs=x),
    "Wanda, data": lambda share, x: Wanda(share, x),
    "combined": lambda share, x: Combined(retain=share),
    "combined, data": lambda share, x: Combined(retain=share, inputs=x),
}


#: A few of them, for a first impression.
QUICK = ("AFDE", "magnitude", "Wanda, data")


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


def _model() -> torch.nn.Module:
    from symlump.bench.transformers.model import Counter

    return Counter(LETTERS, LENGTH, MOST, _WIDTH, _HEADS, _BLOCKS)


def train(seed: int, steps: int = 600) -> torch.nn.Module:
    """The transformer, after so many steps of Adam on batches of 128 new sequences."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    model = _model()
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
    cache: Path,
    seeds: int = 5,
    shares: Sequence[float] = SHARES,
    steps: int = 600,
    methods: Sequence[str] = tuple(METHODS),
    step: Callable[[int, str], None] | None = None,
) -> list[dict[str, Any]]:
    """Train and compress; what is in ``cache`` is not computed again.

    Parameters
    ----------
    cache : Path
    seeds : int
        0, …, seeds − 1, each of weights and sequences.
    shares : sequence of float
        Of the parameters.
    steps : int
        Of the training.
    methods : sequence of str
        Of :data:`METHODS`.
    step : callable, optional
        Called with how many tasks are done, and a remark.

    Returns
    -------
    list of dict
        With ``dataset``, ``seed``, ``share``, ``method``, ``retained``; ``mse`` and ``mse_base``, per cent of
        the test sequences that are counted wrong; ``output``, the mean squared error of the outputs relative
        to their variance.
    """
    trained = [Job(_trained, {"seed": seed, "steps": steps}) for seed in range(seeds)]
    models = run_jobs(trained, cache)
    jobs = [
        Job(_row, {**job.description, "share": share, "method": name}, model)
        for job, model in zip(trained, models, strict=True)
        for share in shares
        for name in methods
    ]
    rows: list[dict[str, Any]] = run_jobs(jobs, cache, step=step)
    return rows


@one_thread()
def _trained(description: dict[str, Any]) -> dict[str, Any]:
    """The weights of the transformer of a seed, as plain data."""
    model = train(description["seed"], description["steps"])
    return {
        name: {"shape": list(value.shape), "data": value.flatten().tolist()}
        for name, value in model.state_dict().items()
    }


@one_thread()
def _row(description: dict[str, Any], weights: dict[str, Any]) -> dict[str, Any]:
    """One method on one network at one share."""
    import torch

    seed, share, name = (description[key] for key in ("seed", "share", "method"))
    model = _model()
    model.load_state_dict(
        {key: torch.tensor(v["data"]).reshape(v["shape"]) for key, v in weights.items()}
    )
    model.eval()
    x, y = sequences(_SAMPLES, 7 + seed)
    calibration, _ = sequences(_SAMPLES, 77 + seed)
    result = compress(model, METHODS[name](share, calibration), example=x[:1])
    with torch.no_grad():
        whole, found = model(x), result.model(x)
    return {
        "dataset": "counting",
        "seed": seed,
        "share": share,
        "method": name,
        "retained": result.retained,
        "mse": _wrong(found, y),
        "mse_base": _wrong(whole, y),
        "output": float(((found - whole) ** 2).mean() / whole.var()),
    }


def _wrong(outputs: torch.Tensor, y: torch.Tensor) -> float:
    return 100 * float((outputs.argmax(1) != y).double().mean())
