"""Annealing on handwritten digits: an over-parametrized network down to 1 % of its parameters."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from symlump.bench.train import multilayer
from symlump.compression.annealing.anneal import anneal
from symlump.compression.annealing.result import AnnealingStep
from symlump.compression.dependences.dependence import Dependence
from symlump.errors import FailureError, MissingExtraError
from symlump.jobs import Job, run_jobs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Digits = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


@dataclass(frozen=True)
class AnnealExperiment:
    """What to anneal, and how.

    Parameters
    ----------
    seeds : tuple of int
        Each of the split, the initial weights and the order of the samples.
    hidden : tuple of int
        Widths of the ReLU network 64–…–10.
    retained : float
        Share of the parameters at the end.
    steps, epochs : int
        Removals, and epochs of training after each.
    before : int
        Epochs of training before the first removal.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    hidden: tuple[int, ...] = (512, 512)
    retained: float = 0.01
    steps: int = 6
    epochs: int = 12
    before: int = 15
    rate: float = 2e-3
    batch: int = 64


QUICK = AnnealExperiment((0,), (96, 96), 0.06, 3, 6, 15)


@dataclass(frozen=True)
class AnnealRow:
    """One seed: accuracies on test data of the network, and of three small networks of equal size.

    Parameters
    ----------
    accuracy : float
        Of the whole network.
    annealed : float
        Removal in steps, with training between them.
    at_once : float
        The same removal in one step, then as many epochs of training in all.
    from_scratch : float
        A fresh network of the annealed one's widths, trained for as many epochs as all stages of that.
    """

    seed: int
    parameters: int
    retained_parameters: int
    retained: float
    widths: tuple[int, ...]
    accuracy: float
    annealed: float
    at_once: float
    from_scratch: float

    @property
    def points_lost(self) -> float:
        """Points of accuracy lost by annealing."""
        return 100 * (self.accuracy - self.annealed)


@dataclass(frozen=True, eq=False)
class Digit:
    """The experiment for one seed.

    Parameters
    ----------
    row : AnnealRow
    steps : tuple of AnnealingStep
        The record of its annealing.
    text : str
        The same as a table.
    """

    row: AnnealRow
    steps: tuple[AnnealingStep, ...]
    text: str


def run(
    plan: AnnealExperiment | None = None,
    quick: bool = False,
    folder: str | Path | None = None,
    each: Callable[[int, str], None] | None = None,
    workers: int = 1,
    scheduler: str | None = None,
) -> tuple[Digit, ...]:
    """Anneal a network for each seed, and compare.

    Parameters
    ----------
    plan : Plan, optional
        The one of the documentation if not given.
    quick : bool
        Instead a small version: seconds.
    folder : path, optional
        Where checkpoints and the results of seeds are kept; a run that was interrupted goes on from there.
    each : callable, optional
        Called with the number of finished seeds and a remark.
    workers, scheduler
        Where seeds are computed; see :func:`symlump.jobs.run_jobs`.

    Raises
    ------
    MissingExtraError
        If scikit-learn, which brings the data, is not installed.
    """
    from symlump import __version__

    plan = QUICK if quick else plan or AnnealExperiment()
    common = asdict(plan) | {"version": __version__}
    del common["seeds"]
    place = None if folder is None else os.path.abspath(folder)
    jobs = [Job(anneal_seed, common | {"seed": seed}, place or "") for seed in plan.seeds]
    with TemporaryDirectory() as temporary:
        cache = Path(temporary if place is None else place) / "results"
        results = run_jobs(jobs, cache, workers, scheduler, check=_check, step=each)
    return tuple(
        Digit(
            AnnealRow(**found["row"] | {"widths": tuple(found["row"]["widths"])}),
            tuple(AnnealingStep(**step) for step in found["steps"]),
            found["text"],
        )
        for found in results
    )


def anneal_seed(description: dict[str, Any], folder: str = "") -> dict[str, Any]:
    """The task of one seed; checkpoints are kept in a folder, if it has a name."""
    given = {k: v for k, v in description.items() if k not in ("seed", "version")}
    plan = AnnealExperiment(**given | {"hidden": tuple(given["hidden"])})
    return _one(plan, description["seed"], Path(folder) if folder else None)


def _check(job: Job, result: dict[str, Any]) -> None:
    row = result["row"]
    if row["seed"] != job.description["seed"] or row["retained"] > job.description["retained"]:
        raise FailureError(f"the result of seed {job.description['seed']} cannot be right: {row}")


def digits(seed: int, test_share: float = 0.25) -> tuple[Digits, Digits]:
    """The 1797 handwritten digits of 8 × 8 pixels in [0, 1] that come with scikit-learn, split.

    Returns
    -------
    training, test : (inputs of shape (samples, 64), class numbers of shape (samples,))

    Raises
    ------
    MissingExtraError
        If scikit-learn is not installed.

    References
    ----------
    Alpaydin, Kaynak, Optical Recognition of Handwritten Digits, UCI (1998), doi:10.24432/C50P49.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise MissingExtraError(
            "the digits come with scikit-learn: pip install scikit-learn"
        ) from None
    data = load_digits()
    order = np.random.default_rng(seed).permutation(len(data.target))
    cut = len(order) - round(test_share * len(order))
    pixels, classes = data.data / 16.0, data.target.astype(np.int64)
    train, test = order[:cut], order[cut:]
    return (pixels[train], classes[train]), (pixels[test], classes[test])


def draw(results: Sequence[Digit]) -> Figure:
    """Mean accuracy over the seeds against the share of retained parameters.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    from symlump.display.drawing import draw_tradeoff

    def mean(values: list[float | None]) -> float:
        return float(np.mean([value or 0.0 for value in values]))

    columns = list(zip(*(result.steps for result in results), strict=True))
    shares = [mean([step.retained for step in steps]) for steps in columns]
    after = [100 * mean([step.accuracy for step in steps]) for steps in columns]
    before = [100 * mean([step.accuracy_before for step in steps]) for steps in columns]
    rows = [result.row for result in results]
    figure = draw_tradeoff(
        {
            "annealing, after each training": list(zip(shares, after, strict=True)),
            "annealing, just after each removal": list(zip(shares, before, strict=True))[1:],
            "removed at once, then trained": [(shares[-1], 100 * mean([r.at_once for r in rows]))],
            "small network trained from scratch": [
                (shares[-1], 100 * mean([r.from_scratch for r in rows]))
            ],
        },
        after[0],
        f"Handwritten digits, {rows[0].parameters} parameters, mean of {len(rows)} seeds",
        "accuracy on test data, %",
    )
    axes = figure.axes[0]
    axes.set_xscale("log")
    axes.set_yscale("linear")
    axes.set_xticks([100, 50, 20, 10, 5, 2, 1], ["100", "50", "20", "10", "5", "2", "1"])
    axes.minorticks_off()
    return figure


def _one(plan: AnnealExperiment, seed: int, folder: Path | None) -> dict[str, Any]:
    training, test = digits(seed)
    options: dict[str, Any] = {
        "rate": plan.rate,
        "batch": plan.batch,
        "seed": seed,
        "test": test,
    }

    def kept(name: str) -> Path | None:
        return None if folder is None else folder / f"digits-{seed}-{name}.safetensors"

    model = multilayer(64, plan.hidden, 10, "relu", seed)
    full = anneal(model, training, [], before=plan.before, checkpoint=kept("full"), **options)
    share = plan.retained ** (1 / plan.steps)
    annealed = anneal(
        full.model,
        training,
        [Dependence(retain=share, inputs=training[0])] * plan.steps,
        epochs=plan.epochs,
        checkpoint=kept("annealed"),
        **options,
    )
    total = plan.steps * plan.epochs
    at_once = anneal(
        full.model,
        training,
        [Dependence(retain=plan.retained, inputs=training[0])],
        epochs=total,
        checkpoint=kept("at-once"),
        **options,
    )
    widths = [
        p.shape[0] for name, p in annealed.model.named_parameters() if name.endswith("weight")
    ]
    fresh = multilayer(64, widths[:-1], 10, "relu", seed)
    scratch = anneal(
        fresh, training, [], before=plan.before + total, checkpoint=kept("scratch"), **options
    )
    last = [result.steps[-1].accuracy or 0.0 for result in (full, annealed, at_once, scratch)]
    row = AnnealRow(
        seed,
        annealed.original.parameters,
        annealed.parameters,
        annealed.retained,
        (64, *widths),
        *last,
    )
    steps = [asdict(step) for step in annealed.steps]
    return {"row": asdict(row), "steps": steps, "text": str(annealed)}
