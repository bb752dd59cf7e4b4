"""``symlump bench channels``: merging of channels against structured pruning."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from symlump.cli.progress import bar

DESCRIPTION = """\
Train three networks with convolutions on handwritten digits (scikit-learn's, 8 × 8), reduce them to the same
number of parameters by every method, and measure the accuracy on test images, without retraining. Structured
pruning by Torch-Pruning is measured beside it where that is installed (pip install torch-pruning).
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--quick", action="store_true", help="one network, briefly trained")
    parser.add_argument("--networks", metavar="A,B,…", help="only these: VGG, ResNet, MobileNet")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="seeds 0 to N − 1 (default: 1)")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")


def run(options: argparse.Namespace) -> int:
    """Run the experiment."""
    from symlump.bench.channel_models import MODELS
    from symlump.bench.channels import measure
    from symlump.display.tables import table_text
    from symlump.errors import MethodError

    names = list(MODELS)[: 1 if options.quick else None]
    if options.networks is not None:
        names = options.networks.split(",")
    for name in names:
        if name not in MODELS:
            raise MethodError(f"--networks: there is no {name!r}; choose from {', '.join(MODELS)}")
    if options.seeds < 1:
        raise MethodError(f"--seeds {options.seeds}: give 1 or more")
    rows = []
    with bar("networks", len(names) * options.seeds) as step:
        for row in measure(names, range(options.seeds), epochs=3 if options.quick else 15):
            rows.append(row)
            step(len({(r.network, r.seed) for r in rows}) - 1, f"{row.network}, {row.method}")
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return 0
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
    print(table_text(header, cells))
    return 0
