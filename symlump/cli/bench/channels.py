"""``symlump bench channels``: merging of channels against structured pruning."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from symlump.cli.answer import Answer
from symlump.cli.arguments import names
from symlump.progress import bar

DESCRIPTION = """\
Train three networks with convolutions on handwritten digits (scikit-learn's, 8 × 8), reduce them to the same
number of parameters by every method, and measure the accuracy on test images, without retraining. Structured
pruning by Torch-Pruning is measured beside it where that is installed (pip install torch-pruning).
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--quick", action="store_true", help="one network, briefly trained")
    parser.add_argument("--networks", metavar="A,B,…", help="only these: VGG, ResNet, MobileNet")
    parser.add_argument(
        "--seeds", type=int, default=1, metavar="N", help="seeds 0 to N − 1 (default: 1)"
    )
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")


def run(options: argparse.Namespace) -> Answer:
    """Run the experiment."""
    from symlump.bench.convolutions.channels import measure
    from symlump.bench.convolutions.models import MODELS
    from symlump.errors import MethodError
    from symlump.tables import table_text

    chosen = list(MODELS)[: 1 if options.quick else None]
    if options.networks is not None:
        chosen = names(options.networks)
    for name in chosen:
        if name not in MODELS:
            raise MethodError(f"--networks: there is no {name!r}; choose from {', '.join(MODELS)}")
    if options.seeds < 1:
        raise MethodError(f"--seeds {options.seeds}: give 1 or more")
    rows = []
    with bar("networks", len(chosen) * options.seeds) as step:
        for row in measure(chosen, range(options.seeds), epochs=3 if options.quick else 15):
            rows.append(row)
            step(len({(r.network, r.seed) for r in rows}) - 1, f"{row.network}, {row.method}")
    header = ("network", "seed", "asked", "method", "sees", "retained", "accuracy", "original")
    cells = [
        (
            row.network,
            str(row.seed),
            f"{row.retain:.0%}",
            row.method,
            row.data,
            f"{row.retained:.3f}",
            f"{row.accuracy:.3f}",
            f"{row.original:.3f}",
        )
        for row in rows
    ]
    return Answer(lambda: [asdict(row) for row in rows], lambda: table_text(header, cells))
