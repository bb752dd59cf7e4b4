"""``symlump bench transformer``: a small transformer trained here, by every method, with and without data."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from symlump.cli.answer import Answer
from symlump.progress import working

DESCRIPTION = """\
Train a transformer of two blocks to count how often the last letter of a sequence occurs in it, and compress
it to 70 % and 50 % by every method; those with "data" in their name are given 2048 sequences without answers.
What is shown, as a mean over the seeds: what was kept, the share of 2048 other sequences that are counted right
and its least value, the relative mean squared error of the outputs. No retraining.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--seeds", type=int, default=3, help="networks to train (default: 3)")
    parser.add_argument("--steps", type=int, default=600, help="of training (default: 600)")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")


def run(options: argparse.Namespace) -> Answer:
    """Run the experiment."""
    from symlump.bench.transformers.counting import HEADER, measure, table
    from symlump.tables import table_text

    with working("training and compressing"):
        rows = list(measure(range(options.seeds), steps=options.steps))
    return Answer(lambda: [asdict(row) for row in rows], lambda: table_text(HEADER, table(rows)))
