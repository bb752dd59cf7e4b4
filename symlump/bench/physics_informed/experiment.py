"""Compression of physics-informed networks: hierarchical matrices against the usual methods.

Each network is trained on its equation, compressed to equal storage by every method, compared with the
original, and trained further in its compressed form with the same number of loss evaluations.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from math import inf
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

from symlump.bench.compared.ranks import mean_ranks
from symlump.bench.physics_informed.forms import METHODS, Compressed, compress_form, recompress_to
from symlump.bench.physics_informed.training import Loss, minimize, pinn, train_pinn
from symlump.bench.train import one_thread
from symlump.compression.hierarchical.hlinear import rank_penalty
from symlump.compression.hierarchical.tangent_kernel import tangent_kernel_change
from symlump.datasets.pinn import PROBLEMS, BoundaryProblem, loss_function
from symlump.errors import FailureError, MethodError
from symlump.jobs import Job, run_jobs
from symlump.tables import markdown_table, table_text

IN_STEPS = "hierarchical, in steps"
_STEPS = 4
_PENALTY = 1e-7  # weight of the rank penalty between recompressions


@dataclass(frozen=True)
class PinnExperiment:
    """What is run.

    Parameters
    ----------
    problems : tuple of str
        Of :data:`symlump.datasets.pinn.PROBLEMS`.
    hidden : tuple of int
        Widths of the networks.
    adam, lbfgs : int
        Evaluations of the loss in the first training.
    shares : tuple of float
        Of the storage to keep.
    evaluations : int
        Of the loss, in the training after compression.
    seeds : tuple of int
        Each of the first weights and of the points.
    methods : tuple of str
        Of :data:`symlump.bench.physics_informed.forms.METHODS`, or "hierarchical, in steps".
    """

    problems: tuple[str, ...] = ("poisson", "burgers", "helmholtz")
    hidden: tuple[int, ...] = (64, 64, 64)
    adam: int = 300
    lbfgs: int = 1500
    shares: tuple[float, ...] = (0.5, 0.25)
    evaluations: int = 200
    seeds: tuple[int, ...] = (0,)
    methods: tuple[str, ...] = (*METHODS, IN_STEPS)

    def __post_init__(self) -> None:
        for name in self.methods:
            if name not in (*METHODS, IN_STEPS):
                known = ", ".join((*METHODS, IN_STEPS))
                raise MethodError(f"there is no method {name!r}; choose from {known}")
        for name in self.problems:
            if name not in PROBLEMS:
                raise MethodError(
                    f"there is no problem {name!r}; choose from {', '.join(PROBLEMS)}"
                )


QUICK = PinnExperiment(
    ("poisson",),
    (32, 32),
    100,
    400,
    (0.5,),
    80,
    methods=("truncated SVD", "magnitude pruning", "combined"),
)


@dataclass(frozen=True)
class PinnRow:
    """One network, compressed by one method.

    Parameters
    ----------
    problem : str
    seed : int
    method : str
    share : float
        Asked for, of the stored numbers.
    retained : float or None
        Reached.
    error_dense : float
        Relative error of the solution (2-norm on a grid) before compression.
    loss : float or None
        The loss after compression by that of the original; None where compression and training alternate, and
        where a method does not reach the share.
    error : float or None
        The relative error after compression.
    kernel : float or None
        ‖Θ̂ − Θ‖_F / ‖Θ‖_F for the tangent kernels with respect to dense weights.
    condition, largest, smallest : float or None
        Condition number and extreme eigenvalues of Θ̂ by those of Θ.
    time : float or None
        Of one evaluation, by that of the original.
    to_loss : int or None
        Evaluations until the loss is at most ten times that of the original; None if it was not.
    error_trained : float or None
        Relative error after all evaluations.
    """

    problem: str
    seed: int
    method: str
    share: float
    retained: float | None
    error_dense: float
    loss: float | None
    error: float | None
    kernel: float | None
    condition: float | None
    largest: float | None
    smallest: float | None
    time: float | None
    to_loss: int | None
    error_trained: float | None


def run(
    plan: PinnExperiment,
    cache: Path,
    step: Callable[[int, int, str], None] = lambda done, total, remark: None,
) -> list[PinnRow]:
    """Train, compress, compare, train further; what is in ``cache`` is not computed again.

    Parameters
    ----------
    plan : PinnExperiment
    cache : Path
    step : callable, optional
        Called with how many tasks are done, of how many, and a remark.
    """
    training = [
        Job(
            _trained,
            {
                "problem": title,
                "hidden": list(plan.hidden),
                "adam": plan.adam,
                "lbfgs": plan.lbfgs,
                "seed": seed,
            },
        )
        for title in plan.problems
        for seed in plan.seeds
    ]
    total = len(training) * (1 + len(plan.shares) * len(plan.methods))
    trained = run_jobs(training, cache, step=lambda done, said: step(done, total, said))
    jobs = [
        Job(
            _row,
            {
                "training": job.description,
                "method": name,
                "share": share,
                "evaluations": plan.evaluations,
            },
            weights,
        )
        for job, weights in zip(training, trained, strict=True)
        for share in plan.shares
        for name in plan.methods
    ]
    done = len(training)
    rows = run_jobs(jobs, cache, step=lambda k, said: step(done + k, total, said))
    return [PinnRow(**row) for row in rows]


@one_thread()
def _trained(description: dict[str, Any]) -> list[list[Any]]:
    """The parameters of a trained network, in their order."""
    problem, seed = PROBLEMS[description["problem"]](), description["seed"]
    model = pinn(problem, tuple(description["hidden"]), seed)
    train_pinn(problem, model, description["adam"], description["lbfgs"], seed)
    return [p.detach().tolist() for p in model.parameters()]


@one_thread()
def _row(description: dict[str, Any], weights: list[list[Any]]) -> dict[str, Any]:
    """The row of a method at one size, as plain data."""
    training = description["training"]
    problem, seed = PROBLEMS[training["problem"]](), training["seed"]
    model = pinn(problem, tuple(training["hidden"]), seed)
    with torch.no_grad():
        for parameter, values in zip(model.parameters(), weights, strict=True):
            parameter.copy_(torch.tensor(values, dtype=parameter.dtype))
    asked = description["method"], description["share"], description["evaluations"]
    row = asdict(measure(problem, model, *asked, seed))
    return {
        name: None if isinstance(value, float) and not np.isfinite(value) else value
        for name, value in row.items()
    }


def measure(
    problem: BoundaryProblem,
    model: nn.Sequential,
    name: str,
    share: float,
    evaluations: int,
    seed: int = 0,
) -> PinnRow:
    """Compress a trained network by one method, and train it further."""
    loss = loss_function(problem, seed=seed)
    before = float(loss(model).detach())
    in_steps = name == IN_STEPS
    first = share ** (1 / _STEPS) if in_steps else share
    start = "hierarchical, reordered" if in_steps else name
    row = PinnRow(problem.name, seed, name, share, None, problem.error(model), *[None] * 9)
    try:
        small = compress_form(model, start, first, problem.interior(512, seed))
    except (FailureError, MethodError):
        return row
    if in_steps:
        history = _in_steps(model, small.model, loss, share, evaluations)
        parameters, stored = (sum(p.numel() for p in m.parameters()) for m in (model, small.model))
        row = replace(row, retained=stored / parameters)
    else:
        kernel, condition, largest, smallest = _kernel(problem, model, small)
        row = replace(
            row,
            retained=small.retained,
            loss=float(loss(small.model).detach()) / before,
            error=problem.error(small.model),
            kernel=kernel,
            condition=condition,
            largest=largest,
            smallest=smallest,
        )
        history = minimize(small.model, loss, evaluations)
    reached = np.flatnonzero(np.array(history) <= 10 * before)
    return replace(
        row,
        time=_time_ratio(problem, small.model, model),
        to_loss=int(reached[0]) + 1 if reached.size else None,
        error_trained=problem.error(small.model),
    )


def _in_steps(
    original: nn.Module, model: nn.Module, loss: Loss, share: float, evaluations: int
) -> list[float]:
    """Recompress between stretches of training that favour low ranks; the last is without penalty.

    What comes before the last recompression does not count as having reached a loss.
    """
    parameters = sum(p.numel() for p in original.parameters())
    history: list[float] = []
    for number in range(2, _STEPS + 1):
        found = minimize(model, lambda m: loss(m) + _PENALTY * rank_penalty(m), evaluations // 8)
        history += [np.inf] * len(found)
        recompress_to(model, parameters, share ** (number / _STEPS))
    return history + minimize(model, loss, max(evaluations - len(history), 1))


def _kernel(
    problem: BoundaryProblem, model: nn.Sequential, small: Compressed
) -> tuple[float, float, float, float]:
    # Few points: with many the kernel of a smooth function is singular to rounding.
    points = problem.grid(12 if len(problem.low) == 1 else 6)
    change = tangent_kernel_change(model, small.dense, points)
    ratios = (
        after / before for before, after in (change.condition, change.largest, change.smallest)
    )
    return change.distortion, *ratios  # type: ignore[return-value]


def _time_ratio(problem: BoundaryProblem, model: nn.Module, original: nn.Module) -> float:
    """Least time of 1000 points by that of the original, measured in turns."""
    x = torch.from_numpy(problem.interior(1000))
    times: tuple[list[float], list[float]] = ([], [])
    with torch.no_grad():
        for _ in range(200):
            for module, spent in zip((model, original), times, strict=True):
                start = time.perf_counter()
                module(x)
                spent.append(time.perf_counter() - start)
    return min(times[0]) / min(times[1])


HEADER = (
    "method",
    "kept, %",
    "loss ×",
    "error",
    "kernel changed",
    "condition ×",
    "largest ×",
    "smallest ×",
    "time ×",
    "evaluations to 10 × loss",
    "error after training",
)


#: Of these the table shows the least and the largest over seeds, too.
_SPREAD = ("loss", "error", "kernel", "error_trained")
#: What methods are ranked by, and what it is called.
RANKED = {
    "loss": "loss",
    "error": "error",
    "kernel": "kernel changed",
    "error_trained": "error after training",
}


def _cells(rows: Sequence[PinnRow]) -> tuple[str, ...]:
    """One line of a table: medians over seeds, of some with the least and the largest."""

    def shown(name: str, form: str = ".2g", factor: float = 1.0) -> str:
        values = [getattr(row, name) for row in rows]
        if None in values:
            return "–"
        least, middle, most = (
            format(factor * value, form) for value in (min(values), median(values), max(values))
        )
        return f"{middle} ({least}–{most})" if name in _SPREAD and len(rows) > 1 else middle

    reached = [inf if row.to_loss is None else row.to_loss for row in rows]
    evaluations = "not reached" if median(reached) == inf else f"{median(reached):.0f}"
    trained = shown("error_trained")
    return (
        rows[0].method,
        shown("retained", ".1f", 100),
        *map(shown, ("loss", "error", "kernel", "condition", "largest", "smallest")),
        shown("time", ".1f"),
        "–" if trained == "–" else evaluations,
        trained,
    )


def groups_of(rows: Sequence[PinnRow]) -> list[tuple[str, list[tuple[str, ...]]]]:
    """The tables: for each problem and share a title and one line per method."""
    groups: dict[tuple[str, float], dict[str, list[PinnRow]]] = {}
    for row in rows:
        methods = groups.setdefault((row.problem, row.share), {})
        methods.setdefault(row.method, []).append(row)
    tables = []
    for (problem, share), methods in groups.items():
        first = next(iter(methods.values()))
        seeds = "" if len(first) == 1 else f"; medians of {len(first)} seeds (least–largest)"
        error = median(row.error_dense for row in first)
        title = f"{problem}, {share:.0%} of the storage; error uncompressed {error:.2g}{seeds}"
        tables.append((title, [_cells(found) for found in methods.values()]))
    return tables


def ranks_of(
    rows: Sequence[PinnRow],
) -> list[tuple[float, tuple[str, ...], list[tuple[str, ...]]]]:
    """For each share a header, and the mean ranks of every method over problems and seeds."""
    tables = []
    for share in dict.fromkeys(row.share for row in rows):
        plain = [asdict(row) | {"dataset": row.problem} for row in rows if row.share == share]
        methods = list(dict.fromkeys(row["method"] for row in plain))
        columns = []
        for what in RANKED:
            known = {row["method"] for row in plain if row[what] is not None}
            ranks = mean_ranks(plain, [name for name in methods if name in known], share, what)
            least = min((rank.mean for rank in ranks.values()), default=0.0)
            bold = {name: "**" if rank.mean == least else "" for name, rank in ranks.items()}
            columns.append(
                {name: f"{bold[name]}{rank}{bold[name]}" for name, rank in ranks.items()}
            )
        lines = [(name, *(column.get(name, "–") for column in columns)) for name in methods]
        tables.append((share, ("method", *RANKED.values()), lines))
    return tables


def text(rows: Sequence[PinnRow]) -> str:
    """One table for each problem and share, and mean ranks for each share."""
    parts = [f"{title}\n{table_text(HEADER, group)}" for title, group in groups_of(rows)]
    if len({(row.problem, row.seed) for row in rows}) > 1:
        parts += [
            f"{share:.0%} of the storage; mean ranks\n{table_text(header, lines)}"
            for share, header, lines in ranks_of(rows)
        ]
    return "\n\n".join(parts)


def markdown(rows: Sequence[PinnRow]) -> str:
    """The tables in Markdown."""
    return "\n\n".join(
        f"**{title}**\n\n{markdown_table(HEADER, group)}" for title, group in groups_of(rows)
    )
