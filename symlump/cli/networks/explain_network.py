"""``symlump explain`` of two networks: what the smaller one is, seen as a lumping of the larger one."""

from __future__ import annotations

import argparse
from pathlib import Path

from symlump.cli.answer import Answer
from symlump.compression.relaxed.explain_reduction import explain_reduction
from symlump.enclosures.wording import at_most
from symlump.errors import MethodError
from symlump.network.exchange.onnx_io import read_onnx
from symlump.network.network import Network
from symlump.network.state_dict import read_network
from symlump.progress import working


def explain_networks(options: argparse.Namespace) -> Answer:
    """Run the command for two networks."""
    with working("reading the networks"):
        original, reduced = (_read(path, options) for path in (options.file, options.x))
    with working("looking for the units that stand on each other"):
        explanation = explain_reduction(original, reduced)
    report = {"original": options.file, "reduced": options.x, **explanation.to_dict()}
    lines = [str(explanation)]
    if options.box is not None:
        with working("certifying the difference"):
            bound = explanation.bound(tuple(options.box))
        report["bound"] = {
            "box": options.box,
            "largest": bound.largest,
            "vacuous": bound.vacuous,
            "remarks": bound.remarks,
        }
        low, high = options.box
        lines.append(
            f"certified: for all inputs in [{low:g}, {high:g}] no output of the two differs by more than "
            + "; ".join([at_most(bound.largest), *bound.remarks])
        )
    return Answer(lambda: report, lambda: "\n".join(lines))


def _read(path: str, options: argparse.Namespace) -> Network:
    if Path(path).suffix.lower() == ".onnx":
        return read_onnx(path)
    if options.activation is None:
        raise MethodError(
            f"{path} does not name the activation of its hidden layers: add --activation, as in "
            "--activation tanh"
        )
    return read_network(path, options.activation, options.output_activation).network
