"""Three tables of the same methods: at equal parameters, at equal bytes of the file, at equal time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symlump.bench.equal.methods import METHODS, TABLES, methods_here
from symlump.bench.equal.trial import DIGITS, EPOCHS, HIDDEN, Trial, train_digits
from symlump.bench.tasks import SOURCES, VERSION, train_network, training_description
from symlump.bench.train import one_thread
from symlump.errors import FailureError, MethodError
from symlump.jobs import Job, file_digest, run_jobs

BUDGETS = (0.5, 0.25, 0.1)
#: What tells runs apart, besides seed and budget.
KEYS = ("table", "activation", "hidden", "dataset")


@dataclass(frozen=True)
class BudgetPlan:
    """What is measured.

    Parameters
    ----------
    digits : str or None
        A file of images, on which ReLU networks are trained.
    datasets : tuple of str
        Of :data:`symlump.bench.tasks.SOURCES`.
    activations : tuple of str
        Of the networks for these, 64–64, trained as in ``bench afde``.
    seeds : int
    tables, methods : tuple of str
    budgets : tuple of float
        Shares of what the network before has, or takes.
    samples, epochs : int
        Of the training on data sets.
    """

    digits: str | None = None
    datasets: tuple[str, ...] = ()
    activations: tuple[str, ...] = ("tanh", "relu")
    seeds: int = 5
    tables: tuple[str, ...] = TABLES
    methods: tuple[str, ...] | None = None
    budgets: tuple[float, ...] = BUDGETS
    samples: int = 10_000
    epochs: int = 60

    def __post_init__(self) -> None:
        for what, given, known in (
            ("data set", self.datasets, SOURCES),
            ("method", self.methods or (), METHODS),
            ("table", self.tables, TABLES),
        ):
            for name in given:
                if name not in known:
                    raise MethodError(
                        f"there is no {what} {name!r}; choose from {', '.join(known)}"
                    )

    @property
    def chosen(self) -> tuple[str, ...]:
        """The methods; by default all that are installed."""
        return methods_here() if self.methods is None else self.methods

    def training(self, folder: str | None) -> list[Job]:
        """The networks, all of one seed after those of the seed before."""
        jobs = []
        for seed in range(self.seeds):
            if self.digits is not None:
                description = {
                    "version": VERSION,
                    "dataset": DIGITS,
                    "data": file_digest(Path(self.digits)),
                    "activation": "relu",
                    "hidden": list(HIDDEN),
                    "seed": seed,
                    "epochs": EPOCHS,
                }
                jobs.append(Job(train_digits, description, self.digits))
            for activation in self.activations if self.datasets else ():
                for name in self.datasets:
                    asked = name, folder, activation, (64, 64), seed, self.samples, self.epochs
                    jobs.append(Job(train_network, training_description(*asked), folder))
        return jobs


def measure(
    plan: BudgetPlan,
    cache: Path,
    folder: str | None = None,
    step: Callable[[int, int, str], None] = lambda done, total, remark: None,
) -> list[dict[str, Any]]:
    """Train, compress and test; what is in ``cache`` is not computed again.

    Parameters
    ----------
    plan : BudgetPlan
    cache : Path
    folder : str, optional
        With the files of the public sets.
    step : callable, optional
        Called with how many tasks are done, how many there are, and a remark.

    Returns
    -------
    list of dict
        With ``table``, ``activation``, ``hidden``, ``dataset``, ``seed``, ``share`` (the budget), ``method``,
        ``mse`` (of digits, per cent of the test images that are wrong; None where the budget is not reached),
        ``mse_base``, ``used`` (the share that was used; of time, the share of parameters at which the first
        network of its kind was fast enough).
    """
    training = plan.training(folder)
    timed = "time" in plan.tables
    methods = [name for name in plan.chosen if set(METHODS[name].tables) & set(plan.tables)]
    first: dict[tuple[str, str], tuple[Job, Any]] = {}
    fast = [name for name in methods if timed and "time" in METHODS[name].tables]
    kinds = {_kind(job) for job in training}
    total = len(training) * (1 + len(methods)) + len(kinds) * len(fast)
    done = 0

    def run(jobs: Sequence[Job], **how: Any) -> list[Any]:
        nonlocal done
        begun = done
        found = run_jobs(jobs, cache, step=lambda k, said: step(begun + k, total, said), **how)
        done += len(jobs)
        return found

    trained = run(training)
    for job, result in zip(training, trained, strict=True):
        first.setdefault(_kind(job), (job, result))
    asked = [(kind, name) for kind in first for name in fast]
    shares = run(
        [
            Job(
                _fast_shares,
                {
                    "training": first[kind][0].description,
                    "method": name,
                    "budgets": list(plan.budgets),
                },
                {"trained": first[kind][1], "place": first[kind][0].extra},
            )
            for kind, name in asked
        ]
    )
    known = dict(zip(asked, shares, strict=True))
    jobs = [
        Job(
            _measured,
            {
                "training": job.description,
                "method": name,
                "tables": [table for table in plan.tables if table in METHODS[name].tables],
                "budgets": list(plan.budgets),
                "fast": known.get((_kind(job), name)),
            },
            {"trained": result, "place": job.extra},
        )
        for job, result in zip(training, trained, strict=True)
        for name in methods
    ]
    hidden = ("-".join(map(str, job.description["training"]["hidden"])) for job in jobs)
    found = zip(hidden, run(jobs, check=_check), strict=True)
    return [row | {"hidden": widths} for widths, rows in found for row in rows]


def _kind(job: Job) -> tuple[str, str]:
    return job.description["dataset"], job.description["activation"]


@one_thread()
def _fast_shares(description: dict[str, Any], extra: dict[str, Any]) -> list[float | None]:
    """For each budget of time the share of the parameters at which a method is fast enough."""
    trial = Trial.of(description["training"], extra["trained"], extra["place"])
    plan = trial.plan(description["method"])
    return [trial.fast_enough(plan, budget) for budget in description["budgets"]]


@one_thread()
def _measured(description: dict[str, Any], extra: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of one network and method."""
    training = description["training"]
    trial = Trial.of(training, extra["trained"], extra["place"])
    plan = trial.plan(description["method"])
    before = trial.error(trial.network)
    rows = []
    for table in description["tables"]:
        for k, budget in enumerate(description["budgets"]):
            found = None
            if table == "time":
                found = trial.retaining(plan, description["fast"][k])
            else:
                found = trial.fitting(plan, budget, as_file=table == "bytes")
            rows.append(
                {
                    "table": table,
                    "activation": training["activation"],
                    "dataset": training["dataset"],
                    "seed": training["seed"],
                    "share": budget,
                    "method": description["method"],
                    "mse": None if found is None else trial.error(found[0].network),
                    "mse_base": before,
                    "used": None if found is None else found[1],
                }
            )
    return rows


def _check(job: Job, rows: list[dict[str, Any]]) -> None:
    """Refuse what cannot be the rows of a network.

    Raises
    ------
    FailureError
        If a budget is missing or not kept, or an error is negative.
    """
    asked = [(t, b) for t in job.description["tables"] for b in job.description["budgets"]]
    good = [(row["table"], row["share"]) for row in rows] == asked and all(
        row["mse"] is None
        or (row["mse"] >= 0 and (row["table"] == "time" or 0 < row["used"] <= row["share"]))
        for row in rows
    )
    if not good:
        raise FailureError(f"the rows of {job.description} are not what was requested: {rows}")
