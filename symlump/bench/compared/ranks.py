"""Ranks of methods over paired runs: the same network, data and size for each of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from symlump.bench.compared.runs import Row, errors_of, groups_of
from symlump.ode.exact import FloatArray, IntArray
from symlump.tables import markdown_table

_DRAWS = 2000
#: Of the intervals, in per cent.
LEVEL = 95
_LIMITS = ((100 - LEVEL) / 2, (100 + LEVEL) / 2)


@dataclass(frozen=True)
class MeanRank:
    """The place of a method among the others, averaged; 1 is first.

    Parameters
    ----------
    mean : float
        Over data sets, of the means over seeds.
    low, high : float
        95 % of the means of data sets and seeds that were drawn again, with replacement.
    first : float
        In what share of all runs it has the smallest error; each of equal ones has it.
    """

    mean: float
    low: float
    high: float
    first: float

    def __str__(self) -> str:
        return f"{self.mean:.1f} ({self.low:.1f}–{self.high:.1f}), {100 * self.first:.0f} %"


def mean_ranks(
    rows: Iterable[Row], methods: Sequence[str], share: float, what: str = "mse", seed: int = 0
) -> dict[str, MeanRank]:
    """Ranks at one size, with intervals by bootstrap over data sets and the seeds inside each.

    A method that does not reach the size in a run is last there; equal errors share their mean rank.

    Parameters
    ----------
    rows : iterable of dict
        As :func:`symlump.bench.afde.evaluate` gives them, of one architecture.
    methods : sequence of str
        Those to compare; each has a row for every run.
    share : float
        Of the parameters.
    what : str
        The column of errors.
    seed : int
        Of the draws.

    Returns
    -------
    dict
        A :class:`MeanRank` for each method.

    Examples
    --------
    >>> rows = [
    ...     {"dataset": d, "seed": s, "method": m, "share": 0.5, "mse": e}
    ...     for d in "ab" for s in range(3) for m, e in (("good", 1.0 + s), ("bad", 2.0 + s))
    ... ]
    >>> for name, rank in mean_ranks(rows, ["good", "bad"], 0.5).items():
    ...     print(name, rank)
    good 1.0 (1.0–1.0), 100 %
    bad 2.0 (2.0–2.0), 0 %
    """
    errors: dict[str, dict[int, dict[str, float]]] = {}
    for row in rows:
        if row["share"] == share and row["method"] in methods:
            value = row.get(what)
            run = errors.setdefault(row["dataset"], {}).setdefault(row["seed"], {})
            run[row["method"]] = np.inf if value is None else value
    ranks = [
        np.array([rankdata([run[m] for m in methods]) for run in seeds.values()])
        for seeds in errors.values()
    ]
    if not ranks:
        return {}
    generator = np.random.default_rng(seed)
    drawn = np.empty((_DRAWS, len(methods)))
    for draw in drawn:
        sets = generator.integers(len(ranks), size=len(ranks))
        draw[:] = np.mean(
            [
                ranks[k][generator.integers(len(ranks[k]), size=len(ranks[k]))].mean(axis=0)
                for k in sets
            ],
            axis=0,
        )
    low, high = np.percentile(drawn, _LIMITS, axis=0)
    mean = np.mean([r.mean(axis=0) for r in ranks], axis=0)
    found = np.array(
        [[run[m] for m in methods] for runs in errors.values() for run in runs.values()]
    )
    first = ((found == found.min(axis=1, keepdims=True)) & (found < np.inf)).mean(axis=0)
    return {
        name: MeanRank(float(mean[k]), float(low[k]), float(high[k]), float(first[k]))
        for k, name in enumerate(methods)
    }


def mean_interval(values: Sequence[FloatArray], seed: int = 0) -> tuple[float, float]:
    """The interval of a mean over data sets, where each is drawn again, too.

    Parameters
    ----------
    values : sequence of ndarray
        For each data set what comes out when its seeds are drawn again, many times.
    seed : int
        Of the draws.

    Examples
    --------
    >>> mean_interval([np.array([1.0]), np.array([1.0])])
    (1.0, 1.0)
    """
    generator, count = np.random.default_rng(seed), len(values)
    sets = generator.integers(count, size=(_DRAWS, count))
    lengths = np.array([len(own) for own in values])
    places = generator.integers(lengths[sets])
    starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
    means = np.concatenate(values)[starts[sets] + places].mean(axis=1)
    low, high = np.percentile(means, _LIMITS)
    return float(low), float(high)


def seeds_again(count: int, seed: int = 0) -> IntArray:
    """Seeds drawn again with replacement, many times: a row for each time.

    Examples
    --------
    >>> seeds_again(3).shape
    (2000, 3)
    """
    return np.random.default_rng(seed).integers(count, size=(_DRAWS, count))


def ranks_table(rows: Sequence[Row], methods: Sequence[str]) -> str:
    """Mean ranks as a Markdown table: a line for each method, a column for each size."""
    shares = sorted({row["share"] for row in rows}, reverse=True)
    columns = [mean_ranks(rows, methods, share) for share in shares]
    best = [min(rank.mean for rank in column.values()) for column in columns]
    lines = [
        (
            name,
            *(
                f"**{column[name]}**" if column[name].mean == least else str(column[name])
                for column, least in zip(columns, best, strict=True)
            ),
        )
        for name in methods
    ]
    return markdown_table(("method", *(f"{share:.0%}" for share in shares)), lines)


def ranks_tables(text: str, source: object = "the text") -> str:
    """The Markdown tables of mean ranks of a table of errors, one for each group of runs that are compared."""
    rows, methods = errors_of(text, source)
    parts = [f"{title}:\n\n{ranks_table(own, methods)}\n" for title, own in groups_of(rows)]
    return "\n".join(parts)
