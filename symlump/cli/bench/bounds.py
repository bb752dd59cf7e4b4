"""``symlump bench bounds``: certified bounds of very many networks, attacked."""

from __future__ import annotations

import argparse
from statistics import median

from symlump.cli.answer import Answer
from symlump.progress import working

DESCRIPTION = """\
Compress random and trained networks, bound the difference, and look for inputs beyond the bound: samples,
corners, gradients. Exit code 1 if one is found. Dense ones come in float64, float32 and bfloat16 and with
twelve activations, and the worst points are evaluated by intervals of 128 bits; --graphs are convolutional and
residual.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--models", type=int, default=50, metavar="N", help="so many (default: 50)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="seed (default: 0)")
    parser.add_argument(
        "--samples", type=int, default=1000, metavar="N", help="a model (default: 1000)"
    )
    parser.add_argument("--graphs", action="store_true", help="convolutional and residual networks")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")


def run(options: argparse.Namespace) -> Answer:
    """Run the experiment."""
    from symlump.bench.bounds import chains, graphs

    kind = graphs if options.graphs else chains
    with working("attacking bounds"):
        found = kind.attack(options.models, options.seed, options.samples)
    summary = {
        "bounds": found.bounds,
        "violations": found.violations,
        "violations when computed": found.computed,
        "median of bound / largest difference found": median(found.ratios)
        if found.ratios
        else None,
        "refused": dict(found.refused),
    }
    return Answer(
        lambda: summary,
        lambda: "\n".join(f"{what}: {value}" for what, value in summary.items()),
        1 if found.violations or found.computed else 0,
    )
