"""``symlump bench channels``: merging of channels against structured pruning."""

from __future__ import annotations

import argparse

from symlump.cli.answer import Answer
from symlump.cli.arguments import names
from symlump.cli.bench.compared import output
from symlump.progress import bar

DESCRIPTION = """\
Train three networks with convolutions on handwritten digits (scikit-learn's, 8 × 8), reduce them to the same
number of parameters by every method, and measure the accuracy on test images, without retraining. Structured
pruning by Torch-Pruning is measured beside it where that is installed (pip install torch-pruning). Shown are
per cent right, mean and standard deviation over the seeds, and mean ranks.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--quick", action="store_true", help="one network, briefly trained")
    parser.add_argument("--networks", metavar="A,B,…", help="only these: VGG, ResNet, MobileNet")
    parser.add_argument("--methods", metavar="A;B;…", help="only these, separated by semicolons")
    output.add_options(parser, "0 to N − 1 (default: 1)")


def run(options: argparse.Namespace) -> Answer:
    """Run the experiment.

    Raises
    ------
    MethodError
        If a network is not known.
    """
    from symlump.bench.compared.tables import KINDS
    from symlump.bench.convolutions.channels import KEYS, SHARES, measure
    from symlump.bench.convolutions.models import MODELS
    from symlump.errors import MethodError

    chosen = list(MODELS)[: 1 if options.quick else None]
    if options.networks is not None:
        chosen = names(options.networks)
    for name in chosen:
        if name not in MODELS:
            raise MethodError(f"--networks: there is no {name!r}; choose from {', '.join(MODELS)}")
    seeds = output.seeds_of(options, 1)
    shares, epochs = ((0.5,), 3) if options.quick else (SHARES, 15)
    with output.cache_of(options) as cache, bar("networks", len(chosen) * seeds) as step:
        asked = options.methods and [part.strip() for part in options.methods.split(";")]
        rows = measure(cache, chosen, seeds, shares, epochs, asked, step)
    methods = list(dict.fromkeys(row["method"] for row in rows))
    return output.answer(options, rows, KEYS, lambda: KINDS["right"].make(rows, methods, {}))
