"""Summaries and pictures of the evaluation."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from symlump.bench.compared.ranks import (
    LEVEL,
    mean_interval,
    mean_ranks,
    ranks_table,
    seeds_again,
)
from symlump.bench.tasks import METHODS, PRUNING, REFITTED, SOURCES
from symlump.ode.exact import FloatArray
from symlump.ode.notation import count_text
from symlump.tables import markdown_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = (
    "dataset",
    "activation",
    "hidden",
    "seed",
    "method",
    "share",
    "parameters",
    "retained_parameters",
    "mse",
    "mse_tuned",
    "mse_base",
    "variance",
    "r2",
    "eps",
    "seconds",
    "bound",
    "bound_seconds",
    "observed",
    "reason",
)

Row = dict[str, Any]


@dataclass(frozen=True)
class TableCell:
    """Mean and standard deviation over seeds; one seed has no deviation."""

    mean: float
    deviation: float | None

    @classmethod
    def of(cls, values: Iterable[float | None]) -> TableCell | None:
        """Of values, if there are some and none is missing.

        Examples
        --------
        >>> print(TableCell.of([1.0, 2.0]), TableCell.of([1.0, None]))
        1.5 ± 0.71 None
        """
        known = list(values)
        if not known or any(value is None for value in known):
            return None
        array = np.array(known, dtype=np.float64)
        return cls(float(array.mean()), float(array.std(ddof=1)) if array.size > 1 else None)

    def __str__(self) -> str:
        return f"{self.mean:.3g}" + (
            f" ± {self.deviation:.2g}" if self.deviation is not None else ""
        )


class Summary:
    """The rows of one architecture, averaged over seeds.

    Parameters
    ----------
    rows : sequence of dict
        As :func:`symlump.bench.afde.evaluate` gives them, of one activation and one choice of widths.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        self.datasets = [name for name in SOURCES if any(r["dataset"] == name for r in rows)]
        self.methods = [name for name in METHODS if any(r["method"] == name for r in rows)]
        self.shares = sorted({r["share"] for r in rows}, reverse=True)
        self.seeds = len({r["seed"] for r in rows})
        self._groups: dict[tuple[str, str, float], list[Row]] = {}
        for row in rows:
            key = row["dataset"], row["method"], row["share"]
            self._groups.setdefault(key, []).append(row)

    @property
    def seeds_text(self) -> str:
        """How many seeds, in words."""
        return count_text(self.seeds, "seed")

    def cell(self, dataset: str, method: str, share: float, what: str = "mse") -> TableCell | None:
        """Mean and deviation of one column."""
        return TableCell.of(row.get(what) for row in self._groups.get((dataset, method, share), []))

    def base(self, dataset: str) -> TableCell | None:
        """Test error of the uncompressed networks."""
        seeds = {r["seed"]: r["mse_base"] for r in self.rows if r["dataset"] == dataset}
        return TableCell.of(seeds.values())

    def against_pruning(
        self,
        method: str,
        share: float,
        what: str = "mse",
        rivals: Sequence[str] = PRUNING,
    ) -> MethodComparison:
        """Compare a method with all three pruning baselines, on each data set."""
        ratios, excess, drawn = {}, {}, []
        for dataset in self.datasets:
            mine = self.cell(dataset, method, share, what)
            others = [self.cell(dataset, name, share, what) for name in rivals]
            reached = [cell.mean for cell in others if cell is not None]
            base = self.base(dataset)
            if mine is None or not reached or base is None:
                continue
            best = min(reached)
            ratios[dataset] = mine.mean / best
            excess[dataset] = (
                (mine.mean - base.mean) / (best - base.mean) if best > base.mean else np.inf
            )
            known = [name for name, cell in zip(rivals, others, strict=True) if cell is not None]
            drawn.append(np.log(self._ratios_again(dataset, method, known, share, what)))
        interval = tuple(np.exp(mean_interval(drawn))) if drawn else (np.nan, np.nan)
        return MethodComparison(ratios, excess, len(self.datasets), interval)

    def _ratios_again(
        self, dataset: str, method: str, rivals: Sequence[str], share: float, what: str
    ) -> FloatArray:
        """The ratio to the best rival, as it comes out when seeds are drawn again, the same for all."""
        found = np.array(
            [
                [row[what] for row in self._groups[dataset, name, share]]
                for name in (method, *rivals)
            ]
        )
        again = found[:, seeds_again(found.shape[1])].mean(axis=2)
        ratios: FloatArray = again[0] / again[1:].min(axis=0)
        return ratios


@dataclass(frozen=True)
class MethodComparison:
    """Error of a method over that of the best baseline, by data set.

    Parameters
    ----------
    ratios : dict
        Mean error by the smallest mean error of the baselines.
    excess : dict
        The same after taking the uncompressed network's error off both: what compression costs.
    datasets : int
        How many there are.
    interval : (float, float)
        95 % of the geometric means of the ratios of data sets and seeds that were drawn again.
    """

    ratios: dict[str, float]
    excess: dict[str, float]
    datasets: int
    interval: tuple[float, float]

    @property
    def lower(self) -> int:
        """On how many data sets the error is lower than every baseline's."""
        return sum(ratio < 1 for ratio in self.ratios.values())

    @property
    def half(self) -> int:
        """On how many it is at most half of every baseline's."""
        return sum(ratio <= 0.5 for ratio in self.ratios.values())

    @property
    def half_excess(self) -> int:
        """On how many the cost of compression is at most half."""
        return sum(ratio <= 0.5 for ratio in self.excess.values())

    @property
    def geometric_mean(self) -> float:
        """Of the ratios."""
        return float(np.exp(np.mean(np.log(list(self.ratios.values()))))) if self.ratios else np.nan

    @property
    def ratio(self) -> str:
        """The geometric mean and its interval."""
        low, high = self.interval
        return f"{self.geometric_mean:.3g} ({low:.3g}–{high:.3g})"


def by_architecture(rows: Sequence[Row]) -> dict[tuple[str, str], Summary]:
    """Summaries by activation and hidden widths, in order of appearance."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["activation"], row["hidden"]), []).append(row)
    return {key: Summary(group) for key, group in groups.items()}


def csv_text(rows: Sequence[Row]) -> str:
    """All rows, with R² = 1 − error/variance."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        r2 = None if row["mse"] is None else 1 - row["mse"] / row["variance"]
        filled = {key: value for key, value in (row | {"r2": r2}).items() if value is not None}
        writer.writerow(filled)
    return text.getvalue()


def headline(summary: Summary, rivals: Sequence[str] = PRUNING) -> str:
    """The comparison with pruning, as a Markdown table: one line per method and share."""
    lines = [
        "| method | kept | lower than all pruning | at most half | cost at most half | mean ratio |",
        "|---|---|---|---|---|---|",
    ]
    for method in summary.methods:
        if method in rivals:
            continue
        for share in summary.shares:
            found = summary.against_pruning(method, share, rivals=rivals)
            if not found.ratios:
                continue
            counts = (found.lower, found.half, found.half_excess)
            shown = " | ".join(f"{count} of {found.datasets}" for count in counts)
            lines.append(f"| {method} | {share:.0%} | {shown} | {found.ratio} |")
    return "\n".join(lines)


def errors(summary: Summary, share: float, what: str = "mse") -> str:
    """Mean ± standard deviation by method and data set, and mean ranks, in Markdown; * the smallest mean."""
    titles = [SOURCES[name].title for name in summary.datasets]
    lines = [["uncompressed", *_cells([summary.base(name) for name in summary.datasets], []), ""]]
    cells = {
        m: [summary.cell(d, m, share, what) for d in summary.datasets] for m in summary.methods
    }
    best = [
        min((cell.mean for row in cells.values() if (cell := row[c]) is not None), default=np.nan)
        for c in range(len(titles))
    ]
    known = [name for name, row in cells.items() if any(cell is not None for cell in row)]
    ranks = mean_ranks(summary.rows, known, share, what)
    least = min(rank.mean for rank in ranks.values()) if ranks else np.nan
    for name in known:
        rank = f"**{ranks[name]}**" if ranks[name].mean == least else str(ranks[name])
        lines.append([name, *_cells(cells[name], best), rank])
    return markdown_table(("method", *titles, "mean rank, first"), lines)


def _cells(cells: Sequence[TableCell | None], best: Sequence[float]) -> list[str]:
    shown = []
    for c, cell in enumerate(cells):
        mark = "*" if best and cell is not None and cell.mean == best[c] else ""
        shown.append("–" if cell is None else f"{cell}{mark}")
    return shown


def seconds(summary: Summary) -> str:
    """Mean seconds of one compression by method, over data sets, seeds and shares."""
    lines = ["| method | seconds |", "|---|---|"]
    for method in summary.methods:
        times = [r["seconds"] for r in summary.rows if r["method"] == method and r["seconds"]]
        if times:
            lines.append(f"| {method} | {np.mean(times):.2g} |")
    return "\n".join(lines)


def bounds(summary: Summary) -> str:
    """Certified bound over the largest observed change, median over data sets and seeds."""
    lines = ["| method | kept | median bound / observed | seconds |", "|---|---|---|---|"]
    for method in summary.methods:
        for share in summary.shares:
            found = [
                r
                for r in summary.rows
                if r["method"] == method
                and r["share"] == share
                and r.get("bound")
                and r["observed"]
            ]
            if found:
                ratio = np.median([r["bound"] / r["observed"] for r in found])
                time = np.median([r["bound_seconds"] for r in found])
                lines.append(f"| {method} | {share:.0%} | {ratio:.3g} | {time:.2g} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def markdown(rows: Sequence[Row], shown: Sequence[float] = (0.6, 0.3, 0.1)) -> str:
    """The whole summary."""
    parts = ["# Evaluation of compression\n"]
    for (activation, hidden), summary in by_architecture(rows).items():
        parts.append(f"## {activation}, hidden widths {hidden}, {summary.seeds_text}\n")
        parts.append("Against magnitude pruning (both scopes) and Wanda, no retraining:\n")
        parts.append(headline(summary) + "\n")
        if any(name in REFITTED for name in summary.methods):
            parts.append("Against the same three with a least-squares refit, no retraining:\n")
            parts.append(headline(summary, REFITTED) + "\n")
        if len(summary.methods) > 1:
            parts.append(
                f"Mean rank ({LEVEL} % interval by bootstrap over data sets and seeds), and in how many runs a "
                "method is first:\n"
            )
            parts.append(ranks_table(summary.rows, summary.methods) + "\n")
        for share in summary.shares:
            if share in shown or len(summary.shares) <= len(shown):
                parts.append(f"Test error at {share:.0%} of the parameters, no retraining:\n")
                parts.append(errors(summary, share) + "\n")
                if any(row.get("mse_tuned") is not None for row in summary.rows):
                    parts.append("The same after further training, equally long for each method:\n")
                    parts.append(errors(summary, share, "mse_tuned") + "\n")
        parts.append("Time of one compression:\n")
        parts.append(seconds(summary) + "\n")
        if table := bounds(summary):
            parts.append("Certified bounds on the box of the training inputs:\n")
            parts.append(table + "\n")
    return "\n".join(parts)


def picture(summary: Summary, title: str, methods: Sequence[str], what: str = "mse") -> Figure:
    """Error against size, one panel a data set; bands are one standard deviation.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    from symlump.display.drawing import PALETTE, new_figure

    figure = new_figure(1.0, 1.0)
    from matplotlib.ticker import LogLocator

    columns = min(4, len(summary.datasets))
    count = -(-len(summary.datasets) // columns)
    figure.set_size_inches(3.1 * columns, 2.5 * count + 0.6)
    panels = figure.subplots(count, columns, squeeze=False)
    order = (4, 5, 2, 6, 0, 1, 7, 3)
    for axes in panels.ravel()[len(summary.datasets) :]:
        axes.set_axis_off()
    for axes, dataset in zip(panels.ravel(), summary.datasets, strict=False):
        for number, method in enumerate(methods):
            points = [
                (share, summary.cell(dataset, method, share, what)) for share in summary.shares
            ]
            known = [(100 * share, cell) for share, cell in points if cell is not None]
            if not known:
                continue
            x = np.array([share for share, _ in known])
            mean = np.array([cell.mean for _, cell in known])
            deviation = np.array([cell.deviation or 0.0 for _, cell in known])
            colour = PALETTE[order[number % len(order)]]
            axes.plot(
                x, mean, color=colour, marker="osD^vP*X"[number % 8], markersize=4, label=method
            )
            axes.fill_between(
                x,
                np.maximum(mean - deviation, mean / 3),
                mean + deviation,
                color=colour,
                alpha=0.15,
            )
        base = summary.base(dataset)
        if base is not None:
            axes.axhline(
                base.mean, color="black", linestyle="--", linewidth=1, label="uncompressed"
            )
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        axes.yaxis.set_major_formatter("{x:g}")
        if high < 30 * low:
            axes.yaxis.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
            axes.yaxis.set_minor_formatter("{x:g}")
        axes.set_title(SOURCES[dataset].title, fontsize=10)
        axes.tick_params(which="both", labelsize=8)
        axes.grid(True, alpha=0.25)
    for axes in panels[-1]:  # a label of the whole figure would stand below the legend
        axes.set_xlabel("retained parameters, %", fontsize=9)
    figure.supylabel("mean squared error on test data", fontsize=10)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=11)
    return figure
