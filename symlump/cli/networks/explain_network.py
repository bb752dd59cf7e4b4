"""``symlump explain`` of two networks: what the smaller one is, seen as a lumping of the larger one."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from symlump.cli.answer import Answer
from symlump.cli.networks.box import certified_line, certify
from symlump.cli.networks.compress_recurrent import read_cells
from symlump.cli.networks.saved import has_cells, open_saved, read_saved, refuse_unheeded
from symlump.compression.relaxed.explain_reduction import explain_reduction
from symlump.compression.relaxed.recurrent_explanation import RecurrentExplanation
from symlump.errors import SubjectError
from symlump.progress import working

if TYPE_CHECKING:
    from symlump.network.network import Network
    from symlump.network.recurrent.recurrent_network import RecurrentNetwork

_HINT = "How far outputs differ: --box LOW HIGH certifies it for inputs in that range."


def explain_networks(options: argparse.Namespace) -> Answer:
    """Run the command for two networks."""
    paths = options.file, options.x
    refuse_unheeded(options, *paths)
    with working("reading the networks"):
        original, reduced = (_read(path, options) for path in paths)
    with working("looking for the units that stand on each other"):
        try:
            explanation = explain_reduction(original, reduced)
        except SubjectError as error:
            raise SubjectError(f"{' and '.join(paths)}: {error}") from None
    report = {"original": options.file, "reduced": options.x, **explanation.to_dict()}
    lines = [*explanation.lines]
    other = isinstance(explanation, RecurrentExplanation) or bool(explanation.unbounded)
    refused = options.box is not None and other
    if refused:
        report |= {"bound": None, "refused": explanation.hint}
        lines.append(explanation.hint)
    elif options.box is not None:
        report["bound"] = certify(explanation, options.box)
        lines.append(certified_line(report["bound"], "no output of the two differs"))
    elif not explanation.exact:
        lines.append(explanation.hint if other else _HINT)
    return Answer(lambda: report, lambda: "\n".join(lines), code=int(refused))


def _read(path: str, options: argparse.Namespace) -> Network | RecurrentNetwork:
    file = open_saved(path)
    return read_cells(file, options)[0] if has_cells(file) else read_saved(file, options)[0]
