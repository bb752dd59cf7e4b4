"""``symlump compress`` and ``symlump show`` of state dicts and ONNX files with recurrent cells."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symlump.cli.answer import Answer
from symlump.cli.arguments import names, refuse, shown_path
from symlump.cli.networks.saved import OF_ONNX, is_onnx, refuse_unheeded
from symlump.cli.outputs import certificates_line, write_certificates
from symlump.errors import FileFormatError, MethodError
from symlump.progress import working
from symlump.tables import table_text

if TYPE_CHECKING:
    from symlump.compression.recurrent.result import RecurrentCompression
    from symlump.network.recurrent.recurrent_network import RecurrentNetwork
    from symlump.network.recurrent.saved import SavedRecurrent
    from symlump.network.saved.onnx_file import OnnxFile
    from symlump.network.saved.tensors import TensorFile

#: Equations longer than this are not shown.
_LONGEST = 4_000
#: Options of the commands that recurrent cells do not take, and what they are where they are not given.
_NOT_HERE = {
    "output_activation": None, "max_loss": None, "max_bound": None, "bits": None, "on": None,
    "relative_to": None, "distance": None, "data": None, "box": None, "picture": None,
    "method": "afde", "packed": False, "count": None, "refit": False, **OF_ONNX,
}  # fmt: skip


def run_recurrent(options: argparse.Namespace, file: OnnxFile | TensorFile) -> Answer:
    """Run the command for a recurrent network."""
    from symlump.compression.merging.afde import AFDE
    from symlump.compression.recurrent.plan import RecurrentPlan

    options.method = options.method or "afde"
    refuse(
        options,
        {**_NOT_HERE, "equations": None},
        f"is for networks without recurrence; {options.model} has recurrent cells, which take --eps or "
        "--retain, --linkage, --steps, --layers, -o and --certificates",
    )
    _check_output(options)
    network, saved = read_cells(file, options)
    method = AFDE(
        eps=options.eps,
        retain=options.retain,
        linkage=options.linkage or "variance",
        steps=options.steps,
    )
    with working(f"compressing {network.parameters} parameters"):
        result = RecurrentPlan.of_network(network, method).settled()
    report, why = result.to_dict(), ""
    if options.certificates is not None:
        if not result.lumpings:
            raise MethodError("--certificates writes proofs, which there are with --eps 0")
        report["certificates"] = write_certificates(result.certificates, options.certificates)
    if options.output is not None:
        why = _write(options.output, result.network, saved)
        report["output"] = options.output
    return Answer(lambda: report, lambda: _text(result, report, why))


def show_recurrent(options: argparse.Namespace, file: OnnxFile | TensorFile) -> Answer:
    """Show the cells of a recurrent network, and the map of the first."""
    from symlump.network.recurrent.equations import cell_map

    why = f"is for networks without recurrence; {options.file} has recurrent cells"
    refuse(options, _NOT_HERE, why)
    network, _ = read_cells(file, options)
    first = cell_map(network.cells[0].cell)
    if options.latex:
        return Answer(
            lambda: _described(options.file, network),
            lambda: first.to_latex(options.equations, options.terms),
        )

    def text() -> str:
        rows = [
            (row["name"], row["kind"], row["reads"], str(row["units"]), str(row["parameters"]))
            for row in _rows(network)
        ]
        lines = [
            f"{Path(options.file).name}: recurrent, {network.parameters} parameters, {network.dtype}",
            "",
            table_text(("node", "what", "reads", "units", "parameters"), rows),
        ]
        if options.equations:
            name, equations = network.cells[0].name, first.to_text(options.equations, options.terms)
            said = f"{name} as a map:\n{equations}"
            if len(equations) > _LONGEST:
                said = f"{name} as a map has long equations; symlump.encode(module) gives them"
            lines += ["", said]
        return "\n".join(lines)

    return Answer(lambda: _described(options.file, network), text)


def read_cells(
    file: OnnxFile | TensorFile, options: argparse.Namespace
) -> tuple[RecurrentNetwork, SavedRecurrent | None]:
    """The network, and the state dict that it came from, if it did."""
    from symlump.network.saved.onnx_file import OnnxFile

    refuse_unheeded(options, str(file.path))
    if isinstance(file, OnnxFile):
        from symlump.network.recurrent.onnx_reading import read_recurrent_onnx

        return read_recurrent_onnx(file), None
    from symlump.network.recurrent.saved import read_saved

    order = getattr(options, "layers", None)
    saved = read_saved(file, options.activation, None if order is None else names(order))
    return saved.network, saved


def _check_output(options: argparse.Namespace) -> None:
    """Raise before any work if the output is of the other kind of file."""
    if options.output is not None and is_onnx(options.output) != is_onnx(options.model):
        kind = "ONNX" if is_onnx(options.model) else "a state dict"
        raise FileFormatError(
            f"{options.output}: the cells of {options.model} are written back as what they came from, {kind}"
        )


def _write(path: str, network: RecurrentNetwork, saved: SavedRecurrent | None) -> str:
    """Write it; why a state dict does not say its architecture, or nothing."""
    if saved is None:
        from symlump.network.exchange.onnx_write import write_onnx

        write_onnx(network, path)
        return ""
    from symlump.network.recurrent.saved import write_saved

    return write_saved(path, network, saved)


def _described(file: str, network: RecurrentNetwork) -> dict[str, Any]:
    return {
        "file": file,
        "kind": "recurrent",
        "dtype": network.dtype,
        "parameters": network.parameters,
        "reducible": network.reducible,
        "nodes": _rows(network),
    }


def _rows(network: RecurrentNetwork) -> list[dict[str, Any]]:
    cells = [
        {
            "name": node.name,
            "kind": node.cell.kind,
            "reads": ", ".join(node.reads) or f"{node.cell.inputs} inputs",
            "units": node.cell.units,
            "parameters": node.cell.parameters,
        }
        for node in network.cells
    ]
    return cells + [
        {
            "name": reader.name,
            "kind": "dense",
            "reads": ", ".join(reader.reads),
            "units": len(reader.weight),
            "parameters": reader.parameters,
        }
        for reader in network.readers
    ]


def _text(result: RecurrentCompression, report: dict[str, Any], why: str) -> str:
    lines = [str(result), *([result.measure] if result.eps else [])]
    if "output" in report:
        lines.append(f"output written to {shown_path(report['output'])}")
        if why:
            lines.append(f"a state dict alone, without an architecture: {why}")
    if "certificates" in report:
        lines.append(certificates_line(report["certificates"]))
    return "\n".join(lines)
