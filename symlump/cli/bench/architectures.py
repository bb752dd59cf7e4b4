"""``symlump bench architectures``: models of timm with planted copies, through every step."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from symlump.cli.answer import Answer
from symlump.progress import bar

DESCRIPTION = """\
Build models of timm with drawn weights (nothing is downloaded; pictures of 64 × 64, seed 0), make the
second half of the units of chosen layers a copy of the first, and go through every step: read from torch
and from the ONNX file that torch exports, the copies found again where ε is 0, compressed to half of the
parameters, written as ONNX and run by onnxruntime. What is shown: the share of the parameters that merging
can reach; in how many layers with copies half of the units are left, in both readings; the largest
difference of the outputs there; what was kept at half, with the relative mean squared error on 16 standard
normal pictures and the time of the forward pass over that before; the largest difference from onnxruntime.
Differences are relative to the largest output. Needs timm and onnxruntime; several minutes a model.
"""


_MODELS = 5


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="of timm: resnet18, mobilenetv3_small_100, convnext_tiny, vit_tiny_patch16_224, mixer_s32_224 "
        "(default: all of these)",
    )
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")


def run(options: argparse.Namespace) -> Answer:
    """Run the experiment."""
    from symlump.bench.published.architectures import HEADER, measure, table
    from symlump.tables import table_text

    rows = []
    with bar("reading and reducing", len(options.names) or _MODELS) as step:
        for row in measure(options.names):
            rows.append(row)
            step(len(rows), row.name)
    return Answer(lambda: [asdict(row) for row in rows], lambda: table_text(HEADER, table(rows)))
