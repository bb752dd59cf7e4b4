"""``symlump demo``: the whole path once, on generated data."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symlump.cli.answer import Answer
from symlump.progress import bar

if TYPE_CHECKING:
    from symlump.bench.demo import Demonstration

_DESCRIPTION = """\
The whole path once. Generates data of the yeast glycolytic oscillator (7 variables), trains a network
7–96–96–7 on its derivative, shows some of the network's differential equations, merges units at several
tolerances ε, and compares with magnitude pruning and Wanda at the same number of parameters, without
retraining, each with a least-squares refit and without one. Takes well under a minute on two cores.

Writes into --out: reduced.safetensors (the network at about 40 % of the parameters), equations.tex (its
lumped equations, all of them), table.csv, tradeoff.png.
"""


_FILES = ("reduced.safetensors", "equations.tex", "table.csv", "tradeoff.png")


def fill(parser: argparse.ArgumentParser) -> None:
    """Describe the command, and add its arguments."""
    parser.description = _DESCRIPTION
    parser.set_defaults(run=run)
    parser.add_argument(
        "--out",
        default="symlump-demo",
        metavar="DIR",
        help="folder to write (default: symlump-demo)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of data, training (default: 0)"
    )
    parser.add_argument("--json", action="store_true", help="print the table as JSON, nothing else")


def run(options: argparse.Namespace) -> Answer:
    """Run the command."""
    from symlump.display.drawing import new_figure
    from symlump.files import make_folder

    new_figure(1, 1)  # a missing matplotlib is said before a minute of work, not after
    if not 0 <= options.seed < 2**32:
        from symlump.errors import MethodError

        raise MethodError(f"--seed {options.seed}: a seed is a whole number from 0 to 4294967295")
    folder = make_folder(options.out)

    from symlump.bench.demo import EPOCHS, SHARES, compare, trained_network

    with bar("training", EPOCHS) as step:
        network, training, test = trained_network(
            options.seed, lambda epoch, loss: step(epoch, f"loss {loss:.4f}")
        )
    if not options.json:
        print(
            f"data     {training!r}, {len(test)} more for testing; standardized, seed {options.seed}"
        )
        print(f"network  {network!r}")
        print(_equations(network), flush=True)
    with bar("compressing", len(SHARES)) as step:
        shown = compare(network, training, test, each_share=step)
    _write(shown, folder)
    return Answer(lambda: _report(shown, folder), lambda: _text(shown, folder))


def _text(shown: Demonstration, folder: Path) -> str:
    return "\n".join(
        [
            _table_text(shown),
            "",
            f"written to {folder}, at about 40 %:",
            str(shown.reduced),
            *(f"  {folder / name}" for name in _FILES),
        ]
    )


def _equations(network: Any) -> str:
    from symlump.network.encode import encode
    from symlump.ode.printing import equation_text

    lines = ["\nits differential equations, influence form (how outputs weigh on units):"]
    influence = encode(network, "influence")
    for name in ("u1", "h1_1", "one"):
        lines.append(f"  {name}' = {equation_text(influence, influence.index[name], 5, 4)}")
    lines.append("state form (tends to the forward pass; a stays equal to tanh z):")
    state = encode(network, "state")
    for name in ("z1_1", "a1_1", "h1_1", "y1"):
        lines.append(f"  {name}' = {equation_text(state, state.index[name], 5, 4)}")
    return "\n".join([*lines, ""])


def _table_text(shown: Demonstration) -> str:
    from symlump.tables import table_text

    labels = list(shown.rows[0].errors)
    rows = [
        (
            f"{100 * row.retained:.1f}",
            str(row.retained_parameters),
            f"{row.eps:.4f}",
            *(
                f"{row.errors[label]:.4f}" + ("*" if row.errors[label] == best else " ")
                for label in labels
            ),
        )
        for row in shown.rows
        for best in [min(row.errors.values())]
    ]
    return (
        f"test error (mean squared, standardized targets; uncompressed {shown.base_error:.5f}), no "
        "retraining, * = best;\nε is a share of the outputs' spread:\n"
        + table_text(("kept, %", "parameters", "ε of AFDE", *labels), rows)
    )


def _report(shown: Demonstration, folder: Path) -> dict[str, Any]:
    return {
        "network": repr(shown.network),
        "error_uncompressed": shown.base_error,
        "rows": [asdict(row) for row in shown.rows],
        "reduced": shown.reduced.to_dict(),
        "files": [str(folder / name) for name in _FILES],
    }


def _write(shown: Demonstration, folder: Path) -> None:
    import csv
    import io

    from symlump.display.document import equations_document
    from symlump.display.drawing import draw_tradeoff, save_picture
    from symlump.files import write_text
    from symlump.network.saved.writing import write_network

    write_network(folder / "reduced.safetensors", shown.reduced.network)
    write_text(folder / "equations.tex", equations_document(shown.reduced))
    labels = list(shown.rows[0].errors)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["retained", "retained_parameters", "eps", *labels])
    for row in shown.rows:
        writer.writerow(
            [row.retained, row.retained_parameters, row.eps, *(row.errors[k] for k in labels)]
        )
    write_text(folder / "table.csv", text.getvalue())
    figure = draw_tradeoff(
        {label: [(row.retained, row.errors[label]) for row in shown.rows] for label in labels},
        shown.base_error,
        "Glycolytic oscillator, tanh 7–96–96–7, no retraining",
    )
    save_picture(figure, folder / "tradeoff.png")
