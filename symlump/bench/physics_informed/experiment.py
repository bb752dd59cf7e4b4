"""Compression of physics-informed networks: hierarchical matrices against the usual methods.

Each network is trained on its equation, compressed to equal storage by every method, compared with the
original, and trained further in its compressed form with the same number of loss evaluations.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from math import inf
from statistics import median

import numpy as np
import torch
from torch import nn

from symlump.bench.physics_informed.forms import METHODS, Compressed, compress_form, recompress_to
from symlump.bench.physics_informed.training import Loss, minimize, pinn, train_pinn
from symlump.compression.hierarchical.hlinear import rank_penalty
from symlump.compression.hierarchical.tangent_kernel import tangent_kernel_change
from symlump.datasets.pinn import PROBLEMS, BoundaryProblem, loss_function
from symlump.errors import MethodError
from symlump.tables import table_text

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
    """

    problems: tuple[str, ...] = ("poisson", "burgers", "helmholtz")
    hidden: tuple[int, ...] = (64, 64, 64)
    adam: int = 300
    lbfgs: int = 1500
    shares: tuple[float, ...] = (0.5, 0.25)
    evaluations: int = 200
    seeds: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        for name in self.problems:
            if name not in PROBLEMS:
                raise MethodError(
                    f"there is no problem {name!r}; choose from {', '.join(PROBLEMS)}"
                )


QUICK = PinnExperiment(("poisson",), (32, 32), 100, 400, (0.5,), 80)


@dataclass(frozen=True)
class PinnRow:
    """One network, compressed by one method.

    Parameters
    ----------
    problem : str
    seed : int
    method : str
    share, retained : float
        Asked for and reached, of the stored numbers.
    error_dense : float
        Relative error of the solution (2-norm on a grid) before compression.
    error : float or None
        The same after compression; None where compression and training alternate.
    kernel : float or None
        ‖Θ̂ − Θ‖_F / ‖Θ‖_F for the tangent kernels with respect to dense weights.
    condition, largest, smallest : float or None
        Condition number and extreme eigenvalues of Θ̂ by those of Θ.
    time : float
        Of one evaluation, by that of the original.
    to_loss : int or None
        Evaluations until the loss is at most ten times that of the original; None if it was not.
    error_trained : float
        Relative error after all evaluations.
    """

    problem: str
    seed: int
    method: str
    share: float
    retained: float
    error_dense: float
    error: float | None
    kernel: float | None
    condition: float | None
    largest: float | None
    smallest: float | None
    time: float
    to_loss: int | None
    error_trained: float


def run(
    plan: PinnExperiment, each_step: Callable[[int, int, str], None] | None = None
) -> list[PinnRow]:
    """Train, compress, compare, train further.

    Parameters
    ----------
    plan : Plan
    each_step : callable, optional
        Called with what is done, of how much, and a remark.
    """
    names = [*METHODS, IN_STEPS]
    training = plan.adam + plan.lbfgs
    runs = [(title, seed) for title in plan.problems for seed in plan.seeds]
    total = len(runs) * (training + len(plan.shares) * len(names) * plan.evaluations)
    done = 0

    def step(further: int, remark: str) -> None:
        if each_step is not None:
            each_step(min(done + further, total), total, remark)

    rows: list[PinnRow] = []
    for title, seed in runs:
        problem = PROBLEMS[title]()
        model = pinn(problem, plan.hidden, seed)
        train_pinn(
            problem,
            model,
            plan.adam,
            plan.lbfgs,
            seed,
            lambda k, loss, title=title: step(k, f"{title}, loss {loss:.1e}"),  # type: ignore[misc]
        )
        done += training
        for share in plan.shares:
            for name in names:
                step(0, f"{title}, {name}, {share:.0%}")
                rows.append(measure(problem, model, name, share, plan.evaluations, seed))
                done += plan.evaluations
    return rows


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
    target = 10 * float(loss(model).detach())
    in_steps = name == IN_STEPS
    first = share ** (1 / _STEPS) if in_steps else share
    start = "hierarchical, reordered" if in_steps else name
    small = compress_form(model, start, first, problem.interior(512, seed))
    error = None if in_steps else problem.error(small.model)
    kernel, condition, largest, smallest = (
        (None,) * 4 if in_steps else _kernel(problem, model, small)
    )
    if in_steps:
        history = _in_steps(model, small.model, loss, share, evaluations)
    else:
        history = minimize(small.model, loss, evaluations)
    reached = np.flatnonzero(np.array(history) <= target)
    parameters = sum(p.numel() for p in model.parameters())
    stored = sum(p.numel() for p in small.model.parameters())
    return PinnRow(
        problem.name,
        seed,
        name,
        share,
        stored / parameters if in_steps else small.retained,
        problem.error(model),
        error,
        kernel,
        condition,
        largest,
        smallest,
        _time_ratio(problem, small.model, model),
        int(reached[0]) + 1 if reached.size else None,
        problem.error(small.model),
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
    "error",
    "kernel changed",
    "condition ×",
    "largest ×",
    "smallest ×",
    "time ×",
    "evaluations to 10 × loss",
    "error after training",
)


def _cells(rows: Sequence[PinnRow]) -> tuple[str, ...]:
    """One line of a table: medians over seeds."""

    def shown(name: str, form: str = ".2g") -> str:
        values = [getattr(row, name) for row in rows]
        return "–" if None in values else format(median(values), form)

    reached = [inf if row.to_loss is None else row.to_loss for row in rows]
    return (
        rows[0].method,
        f"{100 * median(row.retained for row in rows):.1f}",
        *map(shown, ("error", "kernel", "condition", "largest", "smallest")),
        shown("time", ".1f"),
        "not reached" if median(reached) == inf else f"{median(reached):.0f}",
        shown("error_trained"),
    )


def _groups(rows: Sequence[PinnRow]) -> list[tuple[str, list[tuple[str, ...]]]]:
    """The tables: for each problem and share a title and one line per method."""
    groups: dict[tuple[str, float], dict[str, list[PinnRow]]] = {}
    for row in rows:
        methods = groups.setdefault((row.problem, row.share), {})
        methods.setdefault(row.method, []).append(row)
    tables = []
    for (problem, share), methods in groups.items():
        first = next(iter(methods.values()))
        seeds = "" if len(first) == 1 else f"; medians of {len(first)} seeds"
        error = median(row.error_dense for row in first)
        title = f"{problem}, {share:.0%} of the storage; error uncompressed {error:.2g}{seeds}"
        tables.append((title, [_cells(found) for found in methods.values()]))
    return tables


def text(rows: Sequence[PinnRow]) -> str:
    """One table for each problem and share."""
    return "\n\n".join(f"{title}\n{table_text(HEADER, group)}" for title, group in _groups(rows))


def markdown(rows: Sequence[PinnRow]) -> str:
    """The tables in Markdown."""
    parts = []
    for title, group in _groups(rows):
        lines = [f"**{title}**", "", "| " + " | ".join(HEADER) + " |", "|---" * len(HEADER) + "|"]
        lines += ["| " + " | ".join(row) + " |" for row in group]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def csv_text(rows: Sequence[PinnRow]) -> str:
    """All rows with full precision."""
    out = io.StringIO()
    writer = csv.DictWriter(out, [field.name for field in fields(PinnRow)], lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: "" if v is None else v for k, v in asdict(row).items()} for row in rows)
    return out.getvalue()
