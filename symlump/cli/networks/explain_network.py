"""``symlump explain`` of two networks: what the smaller one is, seen as a lumping of the larger one."""

from __future__ import annotations

import argparse

from symlump.cli.answer import Answer
from symlump.cli.networks.box import certified_line, certify
from symlump.cli.networks.saved import open_saved, read_saved, refuse_unheeded
from symlump.compression.relaxed.explain_reduction import explain_reduction
from symlump.progress import working


def explain_networks(options: argparse.Namespace) -> Answer:
    """Run the command for two networks."""
    paths = options.file, options.x
    refuse_unheeded(options, *paths)
    with working("reading the networks"):
        original, reduced = (read_saved(open_saved(path), options)[0] for path in paths)
    with working("looking for the units that stand on each other"):
        explanation = explain_reduction(original, reduced)
    report = {"original": options.file, "reduced": options.x, **explanation.to_dict()}
    lines = [*explanation.lines]
    if options.box is not None:
        report["bound"] = certify(explanation, options.box)
        lines.append(certified_line(report["bound"], "no output of the two differs"))
    elif not explanation.exact:
        lines.append(
            "How far outputs differ: --box LOW HIGH certifies it for inputs in that range."
        )
    return Answer(lambda: report, lambda: "\n".join(lines))
