"""``symlump bench transformer``: a small transformer trained here, by every method, with and without data."""

from __future__ import annotations

import argparse

from symlump.cli.answer import Answer
from symlump.cli.bench.compared import output
from symlump.progress import bar

DESCRIPTION = """\
Train a transformer of two blocks to count how often the last letter of a sequence occurs in it, and compress
it to 70 % and 50 % by every method; those with "data" in their name are given 2048 sequences without answers.
Shown are the share of 2048 other sequences that are counted right, its mean and standard deviation over the
seeds, and mean ranks. No retraining.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--steps", type=int, metavar="N", help="of training (default: 600)")
    parser.add_argument(
        "--quick", action="store_true", help="one network, 60 steps, half of it, three methods"
    )
    output.add_options(parser, "networks to train, of seeds 0 to N − 1 (default: 5)")


def run(options: argparse.Namespace) -> Answer:
    """Run the experiment."""
    from symlump.bench.compared.tables import KINDS
    from symlump.bench.transformers.counting import KEYS, METHODS, QUICK, SHARES, measure

    seeds = output.seeds_of(options, 1 if options.quick else 5)
    steps = options.steps if options.steps is not None else 60 if options.quick else 600
    shares, methods = ((0.5,), QUICK) if options.quick else (SHARES, tuple(METHODS))
    total = seeds * len(shares) * len(methods)
    with output.cache_of(options) as cache, bar("compressing", total) as step:
        rows = measure(cache, seeds, shares, steps, methods, step)
    return output.answer(options, rows, KEYS, lambda: KINDS["right"].make(rows, methods, {}))
