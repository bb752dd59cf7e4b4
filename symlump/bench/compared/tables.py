"""What pages show of paired runs, by name: each kind makes one Markdown table of the rows of a group."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from symlump.bench.compared.ranks import MeanRank, mean_ranks, ranks_table
from symlump.bench.compared.runs import WHOLE, Row
from symlump.bench.tables import Summary, TableCell, errors
from symlump.bench.tasks import PRUNING, REFITTED
from symlump.errors import FileFormatError
from symlump.tables import markdown_table

Options = Mapping[str, str]


@dataclass(frozen=True)
class Kind:
    """How a table is made, and which options it takes beside ``group`` and ``methods``.

    Parameters
    ----------
    make : callable
        From the rows of one group, their methods, and options.
    options : tuple of str
    """

    make: Callable[[Sequence[Row], Sequence[str], Options], str]
    options: tuple[str, ...] = ()


def shares_of(rows: Sequence[Row]) -> list[float]:
    """The sizes, the largest first."""
    return sorted({row["share"] for row in rows}, reverse=True)


def _ranks(rows: Sequence[Row], methods: Sequence[str], options: Options) -> str:
    return ranks_table(rows, methods)


def _means(rows: Sequence[Row], methods: Sequence[str], options: Options) -> str:
    """Mean and standard deviation at one size, a column for each data set, and mean ranks."""
    return errors(Summary([row for row in rows if row["method"] in methods]), _share(rows, options))


def _share(rows: Sequence[Row], options: Options) -> float:
    shares = shares_of(rows)
    try:
        share = float(options["share"])
    except (KeyError, ValueError):
        share = 0.0
    if share not in shares:
        raise FileFormatError(f"share={options.get('share', '')}: there are rows for {shares}")
    return share


def _against(rows: Sequence[Row], methods: Sequence[str], options: Options) -> str:
    """Methods against the best of the pruning baselines, without or with a refit; a column for each size."""
    rivals = {"plain": PRUNING, "refitted": REFITTED}.get(options.get("rivals", "plain"))
    if rivals is None:
        raise FileFormatError(f"rivals={options['rivals']}: choose plain or refitted")
    summary = Summary(rows)
    lines = []
    for method in (name for name in methods if name not in rivals):
        lines.append([method])
        for share in summary.shares:
            found = summary.against_pruning(method, share, rivals=rivals)
            counts = f"{found.lower}, {found.half} of {found.datasets}"
            lines[-1].append(f"{counts}; {found.ratio}" if found.ratios else "–")
    return markdown_table(("method", *(f"{share:.0%}" for share in summary.shares)), lines)


def _behind(rows: Sequence[Row], methods: Sequence[str], options: Options) -> str:
    """Where another method has a smaller mean error than one: which, by how much, and on how many seeds.

    A star is where that mean is smaller than that of the networks before, too.
    """
    own = options.get("of", "")
    if own not in methods:
        raise FileFormatError(f"of={own}: say of which method, one of {', '.join(methods)}")
    shares, lines = shares_of(rows), []
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        lines.append([dataset])
        for share in shares:
            found: dict[str, list[float]] = {name: [] for name in methods}
            before: dict[int, float] = {}
            for row in rows:
                if (row["dataset"], row["share"]) == (dataset, share) and row["method"] in found:
                    found[row["method"]].append(np.inf if row["mse"] is None else row["mse"])
                    before[row["seed"]] = row["mse_base"]
            means = {name: float(np.mean(errors)) for name, errors in found.items() if errors}
            best = min(means, key=lambda name: (means[name], name != own))
            if own not in means or means[own] == np.inf:
                lines[-1].append("–")
            elif best == own:
                lines[-1].append("first")
            else:
                lower = sum(a < b for a, b in zip(found[best], found[own], strict=True))
                more = 100 * (means[own] / means[best] - 1)
                star = " *" if means[best] < np.mean(list(before.values())) else ""
                lines[-1].append(
                    f"{best}: {more:{'.0f' if more >= 10 else '.2g'}} %, {lower} of {len(found[own])}{star}"
                )
    return markdown_table(("data set", *(f"{share:.0%}" for share in shares)), lines)


def _ratios(rows: Sequence[Row], methods: Sequence[str], options: Options) -> str:
    """The geometric mean of errors over those of the networks before, and ranks; a column for each size."""

    def cell(own: Sequence[Row], rank: MeanRank) -> str:
        known = [row["mse"] / row["mse_base"] for row in own if row["mse"] is not None]
        if not known:
            return "–"
        some = "" if len(known) == len(own) else f", {len(known)} of {len(own)}"
        return f"{np.exp(np.mean(np.log(known))):.3g} ×{some}; {rank}"

    return _by_size(rows, methods, cell)


def _right(rows: Sequence[Row], methods: Sequence[str], options: Options) -> str:
    """Per cent right, mean and standard deviation over seeds, and ranks; a column for each network and size."""

    def cell(own: Sequence[Row], rank: MeanRank) -> str:
        found = TableCell.of(row["mse"] for row in own)
        if found is None:
            return "–"
        return f"{percent(100 - found.mean, found.deviation)}; {rank}"

    return _by_size(
        rows, methods, cell, whole=lambda found: percent(100 - found.mean, found.deviation)
    )


def _errors(rows: Sequence[Row], methods: Sequence[str], options: Options) -> str:
    """Errors, mean and standard deviation over seeds, and ranks; a column for each data set and size."""

    def cell(own: Sequence[Row], rank: MeanRank) -> str:
        found = TableCell.of(row["mse"] for row in own)
        return "–" if found is None else f"{found}; {rank}"

    return _by_size(rows, methods, cell, whole=lambda found: str(found))


def percent(mean: float, deviation: float | None) -> str:
    """Per cents with two digits."""
    return f"{mean:.2f}" + ("" if deviation is None else f" ± {deviation:.2f}")


def _by_size(
    rows: Sequence[Row],
    methods: Sequence[str],
    cell: Callable[[Sequence[Row], MeanRank], str],
    whole: Callable[[TableCell], str] | None = None,
) -> str:
    """A line for each method, a column for each size; for each data set, too, where networks have a line."""
    sets = list(dict.fromkeys(row["dataset"] for row in rows))
    header, lines = ["method"], {name: [name] for name in methods}
    before = [f"({WHOLE})"]
    for name in sets if whole else [None]:
        own = [row for row in rows if name in (None, row["dataset"])]
        for share in shares_of(own):
            at = [row for row in own if row["share"] == share]
            ranks = mean_ranks(at, methods, share)
            best = min(rank.mean for rank in ranks.values())
            header.append(f"{name} {share:.0%}" if name and len(sets) > 1 else f"{share:.0%}")
            for method in methods:
                shown = cell([row for row in at if row["method"] == method], ranks[method])
                bold = ranks[method].mean == best and shown != "–"
                lines[method].append(f"**{shown}**" if bold else shown)
            if whole:
                found = TableCell.of({row["seed"]: row["mse_base"] for row in at}.values())
                before.append("–" if found is None else whole(found))
    return markdown_table(header, [*([before] if whole else []), *lines.values()])


#: What a page can show of a file of errors; a new one is one line here.
KINDS = {
    "ranks": Kind(_ranks),
    "means": Kind(_means, ("share",)),
    "against": Kind(_against, ("rivals",)),
    "behind": Kind(_behind, ("of",)),
    "ratios": Kind(_ratios),
    "right": Kind(_right),
    "errors": Kind(_errors),
}


def _pinn(text: str, options: Options) -> str:
    """Physics-informed networks: one problem at one size, a line for each method."""
    from symlump.bench.kept.rows import rows_of
    from symlump.bench.physics_informed.experiment import HEADER, PinnRow, groups_of

    groups = {}
    for title, lines in groups_of(rows_of(PinnRow, text, "bench pinn")):
        name, said = title.split("; ", 1)
        groups[name] = f"{said[0].upper()}{said[1:]}.\n\n{markdown_table(HEADER, lines)}"
    if options.get("group") not in groups:
        raise FileFormatError(f"say group=…, one of {', '.join(map(repr, groups))}")
    return groups[options["group"]]


def _pinn_ranks(text: str, options: Options) -> str:
    """Mean ranks over all equations and seeds at one size, a line for each method."""
    from symlump.bench.kept.rows import rows_of
    from symlump.bench.physics_informed.experiment import PinnRow, ranks_of

    tables = {
        f"{share:g}": markdown_table(header, lines)
        for share, header, lines in ranks_of(rows_of(PinnRow, text, "bench pinn"))
    }
    if options.get("share") not in tables:
        raise FileFormatError(f"say share=…, one of {', '.join(tables)}")
    return tables[options["share"]]


def _trained(text: str, options: Options) -> str:
    """Networks of others: a line for each network and method, the best of each in bold, rounding left aside."""
    from symlump.bench.kept.rows import rows_of
    from symlump.bench.published.trained import TrainedRow, table

    return markdown_table(*table(rows_of(TrainedRow, text, "bench trained"), bold=True))


def _packed(text: str, options: Options) -> str:
    """The same where bytes count, with the sizes of packed files."""
    from symlump.bench.kept.rows import rows_of
    from symlump.bench.published.trained import TrainedRow, packed_table

    return markdown_table(*packed_table(rows_of(TrainedRow, text, "bench trained")))


def _hmatrix(text: str, options: Options) -> str:
    """Kernel matrices: a line for each size."""
    from symlump.bench.hmatrix import KernelRow, markdown
    from symlump.bench.kept.rows import rows_of

    return markdown(rows_of(KernelRow, text, "bench hmatrix"))


@dataclass(frozen=True)
class Other:
    """How a table of a file with rows of its own is made, and which options it takes.

    Parameters
    ----------
    make : callable
        From the text and the options.
    options : tuple of str
    """

    make: Callable[[str, Options], str]
    options: tuple[str, ...] = ()


#: Kinds of files with rows of their own.
OTHERS = {
    "pinn": Other(_pinn, ("group",)),
    "pinn-ranks": Other(_pinn_ranks, ("share",)),
    "trained": Other(_trained),
    "packed": Other(_packed),
    "hmatrix": Other(_hmatrix),
}
