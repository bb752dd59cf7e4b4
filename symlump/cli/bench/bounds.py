"""``symlump bench bounds``: certified bounds of very many networks, attacked; wide ones beside CROWN."""

from __future__ import annotations

import argparse
from statistics import median

from symlump.cli.answer import Answer
from symlump.cli.arguments import refuse
from symlump.cli.bench.speed.measured import Measured, add_output
from symlump.progress import bar, working

DESCRIPTION = """\
Compress random and trained networks, bound the difference, and look for inputs beyond the bound: samples,
corners, gradients. Exit code 1 if one is found. Dense ones come in float64, float32 and bfloat16 and with
twelve activations, and the worst points are evaluated by intervals of 128 bits; --graphs are convolutional and
residual. --crown instead bounds wide tanh networks, and compares with CROWN on the network of the difference:
in numpy, and by auto_LiRPA where it can be imported (from a clone on PYTHONPATH).
"""
_MODELS, _SAMPLES, _FEW = 50, 1000, 5


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--quick", action="store_true", help="a small version: seconds")
    parser.add_argument(
        "--models", type=int, metavar="N", help=f"so many (default: {_MODELS}, --quick: {_FEW})"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="seed (default: 0)")
    parser.add_argument("--samples", type=int, metavar="N", help=f"a model (default: {_SAMPLES})")
    parser.add_argument("--graphs", action="store_true", help="convolutional and residual networks")
    parser.add_argument("--crown", action="store_true", help="wide networks, beside CROWN")
    parser.add_argument(
        "--width",
        type=int,
        metavar="N",
        help="with --crown: of them (default: 64, 256 and 1024, --quick: 64)",
    )
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    add_output(parser)


def run(options: argparse.Namespace) -> Answer:
    """Run the experiment."""
    from symlump.bench.bounds import chains, graphs

    if options.crown:
        return _beside_crown(options)
    refuse(options, {"width": None, "output": None}, "is for --crown")
    kind = graphs if options.graphs else chains
    default = _FEW if options.quick else _MODELS
    models = default if options.models is None else options.models
    samples = _SAMPLES if options.samples is None else options.samples
    with working("attacking bounds"):
        found = kind.attack(models, options.seed, samples)
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


def _beside_crown(options: argparse.Namespace) -> Answer:
    from symlump.bench.bounds.crown import TABLE, WIDTHS, measure
    from symlump.errors import MethodError

    if options.graphs or options.models is not None or options.samples is not None:
        raise MethodError(
            "--crown takes neither --graphs, --models nor --samples; --width says how wide"
        )
    widths = WIDTHS[: 1 if options.quick else None] if options.width is None else (options.width,)
    if min(widths) < 4:
        raise MethodError(f"--width {options.width}: give 4 or more")
    measured = Measured(options, TABLE)
    with bar("bounding", len(widths)) as step:
        for done, row in enumerate(measure(widths, options.seed), start=1):
            measured.add(row)
            step(done, f"width {row.width}")
    return measured.answer()
