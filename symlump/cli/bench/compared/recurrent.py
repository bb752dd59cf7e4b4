"""``symlump bench recurrent``: recurrent cells trained here, made smaller."""

from __future__ import annotations

import argparse

from symlump.cli.answer import Answer
from symlump.cli.arguments import names
from symlump.cli.bench.compared import output
from symlump.errors import MethodError
from symlump.progress import bar

DESCRIPTION = """\
Train an RNN, a GRU and an LSTM of 32 units on a sequence task, merge units until 70, 50 and 30 % of the
parameters are left, and compare the test errors: with what reads merged units refitted, with all weights of the
smaller cell fitted further in 300 steps, without targets, with sums of columns, and of magnitude pruning to as
many weights. Shown are mean and standard deviation over the seeds, and mean ranks.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--quick", action="store_true", help="hardly any training: seconds")
    parser.add_argument("--cells", metavar="A,B,…", help="only these: RNN, GRU, LSTM")
    output.add_options(parser, "of weights and sequences: 0 to N − 1 (default: 1)")


def run(options: argparse.Namespace) -> Answer:
    """Run the experiment.

    Raises
    ------
    MethodError
        If a cell is not known.
    """
    from symlump.bench.compared.tables import KINDS
    from symlump.bench.recurrent.cells import CELLS, KEYS, measure

    chosen = list(CELLS) if options.cells is None else names(options.cells)
    for name in chosen:
        if name not in CELLS:
            raise MethodError(f"--cells: there is no {name!r}; choose from {', '.join(CELLS)}")
    seeds = output.seeds_of(options, 1)
    with output.cache_of(options) as cache, bar("cells", len(chosen) * seeds) as step:
        rows = measure(cache, chosen, seeds, options.quick, step)
    methods = list(dict.fromkeys(row["method"] for row in rows))
    return output.answer(options, rows, KEYS, lambda: KINDS["errors"].make(rows, methods, {}))
