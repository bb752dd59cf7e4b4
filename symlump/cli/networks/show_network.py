"""``symlump show`` of a network: its layers, and the equations of its influence form."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symlump.cli.answer import Answer
from symlump.cli.networks.compress_recurrent import show_recurrent
from symlump.cli.networks.saved import has_cells, open_saved, read_saved, refuse_unheeded
from symlump.errors import ActivationMissingError, MethodError
from symlump.network.encode import encode
from symlump.network.network import Network
from symlump.network.nodes import Affine, Apply, Combine, Node, Pool
from symlump.network.rewrite import reducible
from symlump.network.state_dict import read_network
from symlump.network.step_nodes import ByPlace, Operation, Untouched
from symlump.ode.notation import count_text
from symlump.ode.polynomial import PolynomialODE
from symlump.progress import working
from symlump.tables import table_text

if TYPE_CHECKING:
    from symlump.network.saved.onnx_file import OnnxFile
    from symlump.network.saved.tensors import TensorFile

_ROWS = 100
_ENCODED = 5_000_000  # parameters; above, no equations are shown


def run_network(options: argparse.Namespace) -> Answer:
    """Run the command for a network."""
    file = open_saved(options.file)
    if has_cells(file):
        return show_recurrent(options, file)
    if options.picture is not None:
        raise MethodError(
            "--picture draws models; a network is drawn by symlump compress --picture"
        )
    with working(f"reading {options.file}"):
        network, known = _read(options, file)
        ode = None
        if options.latex and not known:
            raise MethodError(
                f"{options.file} does not name the activation of its hidden layers, which the equations need: "
                "add --activation"
            )
        if known and (options.latex or (options.equations and network.parameters <= _ENCODED)):
            ode = encode(network)
    return Answer(
        lambda: _report(options, network, known),
        lambda: (
            ode.to_latex(options.equations, options.terms)
            if options.latex and ode is not None
            else _text(options, network, ode, known)
        ),
    )


def _read(options: argparse.Namespace, file: OnnxFile | TensorFile) -> tuple[Network, bool]:
    """The network, and whether its activations are known."""
    refuse_unheeded(options, options.file)
    try:
        return read_saved(file, options)[0], True
    except ActivationMissingError:
        from symlump.network.saved.tensors import TensorFile

        assert isinstance(file, TensorFile)  # an ONNX file says its activations
        return read_network(file, "identity").network, False


def _described(network: Network, known: bool) -> str:
    text = repr(network)
    return text if known else text.replace(", identity", "")


def _rows(network: Network) -> list[dict[str, Any]]:
    held = dict(zip((layer.name for layer in network.layers), network.held, strict=True))
    held |= {node.name: node.parameters for node in network.untouched}
    return [
        {
            "name": node.name,
            "kind": _kind(node),
            "reads": list(node.inputs),
            "shape": list(network.shapes[node.name]),
            "parameters": held.get(node.name, int(getattr(node, "parameters", 0))),
        }
        for node in network.nodes
    ]


def _kind(node: Node) -> str:
    """What a node is, for people.

    Examples
    --------
    >>> _kind(Combine("sum", ("a", "b"), "add"))
    'add'
    """
    match node:
        case Affine():
            size = "×".join(map(str, node.kernel))
            if node.is_scale:
                return "scale"
            return ("depthwise " if node.depthwise else "") + (
                f"convolution {size}" if size else "dense"
            )
        case Apply(activation=phi):
            return phi.name
        case Combine(operation=operation):
            return operation
        case Pool(operation=operation, size=size, adaptive=adaptive):
            return f"{operation} {'to ' if adaptive else ''}{'×'.join(map(str, size))}"
        case Operation(kind="function", options=options):
            return str(options["name"])
        case Operation(kind=kind):
            return kind
        case ByPlace(operation=operation):
            return f"{operation} by place"
        case Untouched(what=what):
            return f"{what}, untouched"
    return type(node).__name__.lower()


def _report(options: argparse.Namespace, network: Network, known: bool) -> dict[str, Any]:
    return {
        "file": options.file,
        "kind": "graph" if network.chain is None else "chain",
        "dtype": network.dtype,
        "activations_known": known,
        "parameters": network.parameters,
        "reducible": reducible(network),
        "outputs": list(network.outputs),
        "nodes": _rows(network),
    }


def _text(
    options: argparse.Namespace,
    network: Network,
    ode: PolynomialODE | None,
    known: bool,
) -> str:
    rows = _rows(network)
    chain = network.chain is not None
    reached = reducible(network)
    table = [
        (
            row["name"],
            row["kind"],
            *(() if chain else (", ".join(row["reads"]),)),
            "×".join(map(str, row["shape"])) or "1",
            str(row["parameters"] or ""),
        )
        for row in rows[:_ROWS]
    ]
    columns = ("node", "what", *(() if chain else ("reads",)), "shape", "parameters")
    lines = [
        f"{Path(options.file).name}: {_described(network, known)}, {network.dtype}",
        "a chain of dense layers" if chain else "a graph",
        *(
            []
            if chain
            else [
                f"{reached} of {network.parameters} parameters are in layers whose units, or inputs, may "
                "merge"
            ]
        ),
        *(
            []
            if known
            else ["activations: the file does not name them; give them with --activation"]
        ),
        "",
        table_text(columns, table),
    ]
    if len(rows) > _ROWS:
        lines.append(f"… {count_text(len(rows) - _ROWS, 'more node')}")
    if ode is not None:
        lines += ["", "influence form:", ode.to_text(options.equations, options.terms)]
    return "\n".join(lines)
