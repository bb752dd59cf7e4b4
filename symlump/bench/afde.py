"""The evaluation: eight data sets, every method, several sizes, seeds, activations and widths."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from symlump.bench.tasks import (
    METHODS,
    SOURCES,
    check_measured,
    check_trained,
    measure,
    methods_here,
    train_network,
    training_description,
)
from symlump.errors import MethodError
from symlump.jobs import Job, run_jobs

SHARES = (0.9, 0.8, 0.6, 0.4, 0.3, 0.2, 0.1)
BOUND_SAMPLES = 1_000_000
POLYNOMIAL = "polynomial:0,1,0.2"


@dataclass(frozen=True)
class Evaluation:
    """What to evaluate.

    Parameters
    ----------
    datasets, methods : tuple of str
        Names of the tables in :mod:`symlump.bench.tasks`.
    architectures : tuple of (str, tuple of int)
        Activation and hidden widths.
    seeds : int
        0, …, seeds − 1, each of the data, the split and the training.
    shares : tuple of float
        Retained parameters.
    samples, epochs : int
        Of training; a data set with more samples is sampled.
    steps : int
        Of further training after compression; 0 for none.
    bound : bool
        Also compute certified bounds, for methods with a partition of units.
    """

    datasets: tuple[str, ...] = tuple(SOURCES)
    methods: tuple[str, ...] = field(default_factory=methods_here)
    architectures: tuple[tuple[str, tuple[int, ...]], ...] = (
        ("tanh", (64, 64)),
        ("relu", (64, 64)),
        (POLYNOMIAL, (64, 64)),
    )
    seeds: int = 5
    shares: tuple[float, ...] = SHARES
    samples: int = 10_000
    epochs: int = 60
    steps: int = 200
    bound: bool = False

    def __post_init__(self) -> None:
        for given, known, what in (
            (self.datasets, SOURCES, "data set"),
            (self.methods, METHODS, "method"),
        ):
            for name in given:
                if name not in known:
                    raise MethodError(
                        f"{what} {name!r} is unknown; choose from {', '.join(map(repr, known))}"
                    )
        if not self.datasets or not self.methods or self.seeds < 1:
            raise MethodError("there is nothing to evaluate: give data sets, methods and seeds")


#: A small version: one seed, one architecture, three sizes; minutes on two cores.
QUICK = Evaluation(
    methods=("AFDE", "AFDE, sums", "magnitude, global", "magnitude, layerwise", "Wanda"),
    architectures=(("tanh", (48, 48)),),
    seeds=1,
    shares=(0.6, 0.3, 0.1),
    samples=5_000,
    epochs=30,
    steps=100,
)


def evaluate(
    plan: Evaluation,
    cache: Path,
    folder: str | None = None,
    workers: int = 1,
    scheduler: str | None = None,
    step: Callable[[str, int, int, str], None] | None = None,
) -> list[dict[str, Any]]:
    """Run a plan; what is in ``cache`` is not computed again.

    Parameters
    ----------
    folder : str, optional
        Where the files of the public sets are; see :mod:`symlump.datasets.fetch`. On a cluster it must be the
        same on every machine.
    workers, scheduler
        See :func:`symlump.jobs.run_jobs`.
    step : callable, optional
        Called with the phase, how many of its tasks are done, how many there are, and a remark.

    Returns
    -------
    list of dict
        One row per data set, architecture, seed, method and share. Keys: ``dataset``, ``activation``,
        ``hidden``, ``seed``, ``method``, ``share``, ``parameters``, ``retained_parameters``, ``mse``,
        ``mse_tuned``, ``mse_base``, ``variance`` (of the targets), ``eps``, ``seconds``, ``reason``.
    """
    if folder is not None:
        folder = os.path.abspath(folder)
    training = [
        Job(
            train_network,
            training_description(name, folder, activation, hidden, seed, plan.samples, plan.epochs),
            folder,
        )
        for seed in range(plan.seeds)
        for activation, hidden in plan.architectures
        for name in plan.datasets
    ]
    run = partial(run_jobs, cache=cache, workers=workers, scheduler=scheduler)
    trained = run(
        training,
        check=lambda job, result: check_trained(job.description, result, folder),
        step=_named(step, "training", len(training)),
    )
    measuring = [
        Job(
            measure,
            {
                "training": job.description,
                "method": method,
                "share": share,
                "steps": plan.steps,
                "bound": BOUND_SAMPLES if plan.bound else 0,
            },
            {"trained": result, "folder": folder},
        )
        for job, result in zip(training, trained, strict=True)
        for method in plan.methods
        if not METHODS[method].slow
        or (job.description["activation"], tuple(job.description["hidden"]))
        == plan.architectures[0]
        for share in plan.shares
    ]
    measured = run(
        measuring,
        check=lambda job, row: check_measured(job.description, row),
        step=_named(step, "compressing", len(measuring)),
    )
    return _rows(measuring, measured)


def _named(
    step: Callable[[str, int, int, str], None] | None, phase: str, total: int
) -> Callable[[int, str], None] | None:
    if step is None:
        return None
    return lambda done, remark: step(phase, done, total, remark)


def _rows(jobs: Sequence[Job], results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for job, row in zip(jobs, results, strict=True):
        training, trained = job.description["training"], job.extra["trained"]
        rows.append(
            {
                "dataset": training["dataset"],
                "activation": training["activation"],
                "hidden": "-".join(map(str, training["hidden"])),
                "seed": training["seed"],
                "method": job.description["method"],
                "mse_base": trained["mse"],
                "variance": trained["variance"],
                "mse_tuned": None,
                "retained_parameters": None,
                "eps": None,
                "seconds": None,
                "reason": "",
                **row,
            }
        )
    return rows
