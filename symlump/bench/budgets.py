"""Three tables of the same methods: at equal parameters, at equal bytes of the file, at equal time.

The networks are dense ones, trained here on images of digits; a size is a share of what the network before had.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch

from symlump.bench.forward_time import times_in_turns
from symlump.bench.kept.rows import csv_of as table_of_text
from symlump.bench.kept.rows import rows_of as read_rows
from symlump.bench.published.trained import read_digits
from symlump.bench.ranks import mean_ranks
from symlump.bench.train import multilayer, one_thread, train
from symlump.compression.baselines.magnitude import Magnitude
from symlump.compression.baselines.quantize import Quantize
from symlump.compression.baselines.second_order import SecondOrder
from symlump.compression.baselines.svd import TruncatedSVD
from symlump.compression.baselines.wanda import Wanda
from symlump.compression.combined import Combined
from symlump.compression.compress import CompressionPlan
from symlump.compression.compression import Compression
from symlump.compression.dependences.dependence import Dependence
from symlump.compression.hierarchical.method import Hierarchical
from symlump.compression.merging.afde import AFDE
from symlump.compression.reduction import CompressionMethod
from symlump.datasets.dataset import Dataset
from symlump.errors import FailureError, FileFormatError, MethodError
from symlump.network.network import Network
from symlump.network.saved.writing import write_safetensors
from symlump.network.torch_io import from_torch, to_torch
from symlump.ode.exact import FloatArray, IntArray

TABLES = ("parameters", "bytes", "time")
BUDGETS = (0.5, 0.25, 0.1)
HIDDEN, EPOCHS, CALIBRATION, BATCH = (64, 32), 30, 1000, 2000
#: What is asked for where a file must fit: less and less, for its header and the places of zeros.
_LESS = (0.0, 0.015, 0.03, 0.045, 0.06, 0.09)
#: What is timed, until one is fast enough.
_SHARES = (0.8, 0.6, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03)


@dataclass(frozen=True)
class BudgetMethod:
    """One line of the tables.

    Parameters
    ----------
    make : callable
        From samples to the method, at any size.
    tables : tuple of str
        Those in which it has a place.
    """

    make: Callable[[FloatArray], CompressionMethod]
    tables: tuple[str, ...] = TABLES


_SIZES = ("parameters", "bytes")
METHODS = {
    "AFDE": BudgetMethod(lambda x: AFDE(retain=1.0, inputs=x)),
    "dependence": BudgetMethod(lambda x: Dependence(retain=1.0, inputs=x)),
    "truncated SVD": BudgetMethod(lambda x: TruncatedSVD(retain=1.0)),
    "hierarchical": BudgetMethod(lambda x: Hierarchical(retain=1.0, inputs=x), _SIZES),
    "magnitude, refit": BudgetMethod(lambda x: Magnitude(1.0, refit=True, inputs=x), _SIZES),
    "magnitude, layerwise, refit": BudgetMethod(
        lambda x: Magnitude(1.0, "layerwise", refit=True, inputs=x), _SIZES
    ),
    "Wanda, refit": BudgetMethod(lambda x: Wanda(1.0, x, refit=True), _SIZES),
    "second order": BudgetMethod(lambda x: SecondOrder(1.0, x), _SIZES),
    "quantized": BudgetMethod(lambda x: Quantize(retain=1.0), ("bytes",)),
    "combined": BudgetMethod(lambda x: Combined(retain=1.0, inputs=x), ("parameters",)),
    "combined, bytes": BudgetMethod(
        lambda x: Combined(retain=1.0, inputs=x, count="bytes"), ("bytes",)
    ),
}


#: A few of them, for a first impression.
QUICK = ("AFDE", "magnitude, refit", "second order", "quantized")


@dataclass(frozen=True)
class BudgetRow:
    """One method on one network at one budget.

    Parameters
    ----------
    table : {"parameters", "bytes", "time"}
    budget : float
        The share of the network's own.
    method : str
    seed : int
        Of the network.
    right : float or None
        Per cent of the test images; None where the budget was not reached.
    share : float or None
        What was used of the network's own, at most the budget; of time as it was measured on the first network.
    """

    table: str
    budget: float
    method: str
    seed: int
    right: float | None
    share: float | None


def measure(
    digits: str,
    seeds: int = 5,
    tables: Sequence[str] = TABLES,
    methods: Sequence[str] = tuple(METHODS),
    budgets: Sequence[float] = BUDGETS,
) -> Iterator[BudgetRow]:
    """Train, compress and test; the first half of the images trains and calibrates, the second is tested on.

    Raises
    ------
    FileFormatError
        If the file has no such images.
    MethodError
        If a method is not known.
    """
    for name in methods:
        if name not in METHODS:
            raise MethodError(f"there is no method {name!r}; choose from {', '.join(METHODS)}")
    images, labels = read_digits(digits)
    if images.shape[1] != 784:
        raise FileFormatError(f"{digits}: images are 28 × 28")
    small = images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196)
    fast: dict[tuple[str, float], tuple[float, float] | None] = {}
    for seed in range(seeds):
        trial = _Trial.of(small, labels, seed)
        yield BudgetRow("parameters", 1.0, "(as it is)", seed, trial.right(trial.network), 1.0)
        for name in methods:
            plan = trial.plan(METHODS[name])
            for table in [table for table in METHODS[name].tables if table in tables]:
                for budget in budgets:
                    if table == "time":
                        key = name, budget
                        if key not in fast:
                            fast[key] = trial.fast_enough(plan, budget)
                        found = trial.retained(plan, fast[key])
                    else:
                        found = trial.fitting(plan, budget, as_file=table == "bytes")
                    right = None if found is None else trial.right(found[0].network)
                    used = None if found is None else found[1]
                    yield BudgetRow(table, budget, name, seed, right, used)


@dataclass(frozen=True, eq=False)
class _Trial:
    """A network and what it is tried on."""

    network: Network
    given: FloatArray
    tested: FloatArray
    labels: IntArray

    @classmethod
    def of(cls, images: FloatArray, labels: IntArray, seed: int) -> _Trial:
        half = len(images) // 2
        names = tuple(f"x{k}" for k in range(images.shape[1])), tuple(f"y{k}" for k in range(10))
        data = Dataset("digits", images[:half], np.eye(10)[labels[:half]], *names)
        with one_thread():
            model = train(
                multilayer(images.shape[1], HIDDEN, 10, "relu", seed), data, EPOCHS, seed=seed
            )
        network = from_torch(model)
        return cls(network, images[:CALIBRATION], images[half:], labels[half:])

    @cached_property
    def file_size(self) -> int:
        """Of the network before, in bytes."""
        return _file_size(partial(write_safetensors, self.network))

    def plan(self, method: BudgetMethod) -> CompressionPlan:
        return CompressionPlan.of(self.network, method.make(self.given))

    def right(self, network: Network) -> float:
        return 100 * float((network(self.tested).argmax(axis=1) == self.labels).mean())

    def retained(
        self, plan: CompressionPlan, found: tuple[float, float] | None
    ) -> tuple[Compression, float] | None:
        """What keeps a share, with the share of the time that was found for it."""
        return None if found is None else (plan.retain(found[0]), found[1])

    def fitting(
        self, plan: CompressionPlan, budget: float, as_file: bool
    ) -> tuple[Compression, float] | None:
        """The largest result within a share of the parameters, or of the bytes of the file."""
        for less in _LESS if as_file else (0.0,):
            try:
                result = plan.retain(budget - less)
            except (FailureError, MethodError):
                continue
            used = result.retained
            if as_file:
                used = _file_size(partial(result.write, packed=True)) / self.file_size
            if used <= budget:
                return result, used
        return None

    def fast_enough(self, plan: CompressionPlan, budget: float) -> tuple[float, float] | None:
        """The largest share whose forward pass takes at most a share of the time, and what it takes."""
        x = (torch.as_tensor(self.tested[:BATCH], dtype=torch.float32),)
        before = to_torch(self.network).eval()
        for share in _SHARES:
            try:
                after = to_torch(plan.retain(share).network).eval()
            except (FailureError, MethodError):
                continue
            times = times_in_turns([after, before], x, 60)
            if times[0] <= budget * times[1]:
                return share, times[0] / times[1]
        return None


def _file_size(write: Callable[[Path], None]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.safetensors"
        write(path)
        return path.stat().st_size


def csv_of(rows: Sequence[BudgetRow]) -> str:
    """The rows as a table of text, from which :func:`rows_of` reads them."""
    rounded = [
        replace(
            row,
            right=None if row.right is None else round(row.right, 3),
            share=None if row.share is None else round(row.share, 4),
        )
        for row in rows
    ]
    return table_of_text(BudgetRow, rounded)


def rows_of(text: str) -> list[BudgetRow]:
    """The rows of such a table.

    Raises
    ------
    FileFormatError
        If it is none.

    Examples
    --------
    >>> rows = [BudgetRow("bytes", 0.5, "AFDE", 0, 97.5, 0.49), BudgetRow("time", 0.1, "AFDE", 0, None, None)]
    >>> rows_of(csv_of(rows)) == rows
    True
    """
    return read_rows(BudgetRow, text, "bench budgets")


def markdown(rows: Sequence[BudgetRow]) -> str:
    """The tables: per cent right, mean and standard deviation over seeds, and the mean rank with its interval.

    Examples
    --------
    >>> rows = [BudgetRow("bytes", 0.5, m, s, 90.0 + s + k, 0.5) for s in (0, 1) for k, m in enumerate("ab")]
    >>> print(markdown(rows))
    Equal bytes:
    <BLANKLINE>
    | method | 50 % |
    |---|---|
    | a | 90.50 ± 0.71, rank 2.0 (2.0–2.0) |
    | b | **91.50 ± 0.71**, rank 1.0 (1.0–1.0) |
    <BLANKLINE>
    """
    parts = []
    before = [row.right for row in rows if row.method == "(as it is)" and row.right is not None]
    if before:
        parts.append(f"The networks before: {_cell(before)} % right.\n")
    for table in TABLES:
        own = [row for row in rows if row.table == table and row.method != "(as it is)"]
        if not own:
            continue
        budgets = sorted({row.budget for row in own}, reverse=True)
        methods = list(dict.fromkeys(row.method for row in own))
        lines = {name: [name] for name in methods}
        for budget in budgets:
            for name, cell in _column(
                [row for row in own if row.budget == budget], methods
            ).items():
                lines[name].append(cell)
        header = ["method", *(f"{100 * budget:g} %" for budget in budgets)]
        text = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
        text += ["| " + " | ".join(line) + " |" for line in lines.values()]
        parts.append(f"Equal {table}:\n\n" + "\n".join(text) + "\n")
    return "\n".join(parts)


def _cell(right: Sequence[float]) -> str:
    deviation = f" ± {np.std(right, ddof=1):.2f}" if len(right) > 1 else ""
    return f"{np.mean(right):.2f}{deviation}"


def _column(rows: Sequence[BudgetRow], methods: Sequence[str]) -> dict[str, str]:
    """The cells of one budget, the best mean in bold."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row.right is not None:
            found.setdefault(row.method, []).append(row.right)
    seeds = len({row.seed for row in rows})
    means = {name: np.mean(right) for name, right in found.items() if len(right) == seeds}
    wrong = [
        {
            "dataset": row.table,
            "seed": row.seed,
            "method": row.method,
            "share": row.budget,
            "mse": None if row.right is None else 100 - row.right,
        }
        for row in rows
    ]
    ranks = mean_ranks(wrong, methods, rows[0].budget)
    cells = {}
    for name in methods:
        if name not in means:
            cells[name] = "–"
            continue
        best = means[name] == max(means.values())
        text = f"**{_cell(found[name])}**" if best else _cell(found[name])
        rank = ranks[name]
        cells[name] = f"{text}, rank {rank.mean:.1f} ({rank.low:.1f}–{rank.high:.1f})"
    return cells
