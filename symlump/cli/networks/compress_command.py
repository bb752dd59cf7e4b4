"""``symlump compress``: a saved network in, a smaller one out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symlump.cli.answer import Answer
from symlump.cli.arguments import add_many, check_one, declare_files, shown_path
from symlump.cli.networks.box import add_box, certified_line, certify
from symlump.cli.networks.compress_methods import (
    METHODS,
    add_sizes,
    describe_methods,
    reduce_network,
    said_of_usual,
)
from symlump.cli.networks.compress_recurrent import run_recurrent
from symlump.cli.networks.data import Data, read_data
from symlump.cli.networks.saved import (
    add_shape,
    has_cells,
    is_onnx,
    norms_line,
    open_saved,
    read_saved,
    refuse_unheeded,
)
from symlump.cli.outputs import (
    add_picture,
    certificates_line,
    check_picture,
    draw_picture,
    write_certificates,
)
from symlump.cli.reading import NETWORKS
from symlump.errors import FileFormatError, MethodError
from symlump.progress import working

if TYPE_CHECKING:
    from symlump.compression.compression import Compression
    from symlump.network.network import Network
    from symlump.network.saved.onnx_file import OnnxFile
    from symlump.network.saved.tensors import TensorFile
    from symlump.network.saved.writing import SavedNetwork

_DESCRIPTION = """\
Read a network saved as a plain state dict or as ONNX, make it smaller, and write the smaller network. Asked
for a size (--retain), several methods are tried, and what changes the outputs least is kept; within a
tolerance (--eps) the units that act alike are merged.

In a state dict the layers are found by the names and shapes of the tensors (NAME.weight, NAME.bias); the
activation of the hidden layers must be given, because a state dict does not hold it. An ONNX file says
everything, and may hold convolutions and branches. Recurrent cells (RNN, GRU, LSTM) are known in a state
dict by the names that torch gives their tensors, and in ONNX by their operators. The equations that justify
the result go to --equations, its proofs to --certificates. The price in accuracy is measured on standard
normal inputs, and on your own data with --data; with --box it is certified.
"""

_EXAMPLES = """\
examples:
  merge only what is exactly equivalent (outputs unchanged, with a checked proof):
    symlump compress net.safetensors --activation relu --eps 0 -o small.safetensors
  keep 40 % of the parameters, and see what that costs on test data:
    symlump compress net.safetensors --activation tanh --retain 0.4 --data test.csv -o small.safetensors
  the same by merging units alone, so that layers become smaller, and fitted in 200 steps:
    symlump compress net.safetensors --activation tanh --retain 0.4 --steps 200 -o small.safetensors
  a convolutional network, half of its parameters:
    symlump compress net.onnx --retain 0.5 -o small.onnx
  as small as possible with an error of at most 0.01 on validation data:
    symlump compress net.safetensors --activation tanh --max-loss 0.01 --data valid.csv -o small.safetensors
  the change of the outputs certified, for all inputs between -2 and 2:
    symlump compress net.safetensors --activation tanh --retain 0.4 --box -2 2
  an int8 or ternary network, exactly, with proof:
    symlump compress net.onnx --method symmetric --eps 0 -o small.onnx
  the same size by pruning, for comparison:
    symlump compress net.safetensors --activation tanh --method magnitude --retain 0.4

  a folder of networks, a row for each, in two processes; the same again after an interruption:
    symlump compress networks --activation tanh --retain 0.5 --table sizes.csv --jobs 2

  as a program that needs nothing but torch:
    symlump compress net.onnx --retain 0.5 -o small.pt2

reading the result in Python, without symlump:
  model = torch.export.load("small.pt2").module()
  session = onnxruntime.InferenceSession("small.onnx")
  weights = safetensors.torch.load_file("small.safetensors")  # metadata "architecture" lists the layers

exit codes: 0 done, 1 the size cannot be reached or a file cannot be written, 2 the input cannot be used
"""

#: What a table of many networks has of each.
_COLUMNS = (
    "method",
    "eps",
    "parameters",
    "retained_parameters",
    "retained",
    "exact",
    "defect",
    "rounding",
    "note",
)
#: Options that are for one network, when they are not given.
_OF_ONE = dict.fromkeys(("output", "equations", "certificates", "picture"))


def fill(parser: argparse.ArgumentParser) -> None:
    """Describe the command, and add its arguments."""
    parser.description = _DESCRIPTION
    parser.epilog = describe_methods() + "\n\n" + _EXAMPLES
    parser.set_defaults(run=run)
    parser.add_argument(
        "model", metavar="MODEL", help=".safetensors, torch.save(state_dict), or .onnx"
    )
    add_many(parser)
    parser.add_argument(
        "--activation",
        metavar="NAME",
        help="of the hidden layers: tanh, sigmoid, relu, identity, polynomial:c0,c1,… (one for all, or "
        "one for each, separated by semicolons)",
    )
    parser.add_argument(
        "--output-activation", metavar="NAME", help="of the last layer (default: identity)"
    )
    parser.add_argument(
        "--layers",
        metavar="A,B,…",
        help="the layers' names in order, if their names do not show it",
    )
    add_sizes(parser)
    parser.add_argument(
        "--method",
        choices=tuple(METHODS),
        help="how to reduce it; the methods are listed below (default: combined with --retain; afde with a "
        "tolerance, that is --eps, --max-loss or --max-bound, for recurrent cells, and with --equations, "
        "--certificates or an option of it; quantize with --bits)",
    )
    parser.add_argument(
        "--on",
        choices=("influence", "state", "both"),
        help="afde: units by incoming weights, by outgoing weights, or both (default: influence)",
    )
    parser.add_argument(
        "--linkage",
        choices=("variance", "closure", "diameter"),
        help="afde: how the tolerance groups units (default: variance)",
    )
    parser.add_argument(
        "--relative-to",
        choices=("output", "parameters", "layer", "nothing"),
        help="afde, dependence, svd: the unit of the tolerance; parameters means output divided by the share "
        "of parameters removed (default: output, for svd layer; with --retain afde tries all but the last, "
        "dependence the first two, and the best is kept); dependence takes output and parameters, svd output "
        "and layer",
    )
    parser.add_argument(
        "--distance",
        choices=("function", "coefficients"),
        help="afde: compare the values of units under the stated inputs, or the coefficients of the "
        "differential equation, as in the literature (default: function, and coefficients with "
        "--relative-to layer or nothing)",
    )
    parser.add_argument(
        "--steps",
        type=int,
        default=0,
        metavar="N",
        help="afde, dependence: afterwards fit all weights towards the original's outputs in N steps (200, "
        "say), on drawn inputs without any data; slower and much closer (default: 0)",
    )
    parser.add_argument(
        "--refit",
        action="store_true",
        help="magnitude, magnitude-layerwise, wanda: fit what is left to the original's layers, on "
        "--data if given, else on drawn inputs (afde, dependence and combined always do)",
    )
    parser.add_argument(
        "--count",
        choices=("parameters", "bytes"),
        help="combined: what a size is; with bytes weights are rounded, too (default: parameters)",
    )
    parser.add_argument(
        "--data",
        metavar="FILE.csv",
        help="samples, one a row (or an array, FILE.npy), used by afde, wanda, second-order, dependence, "
        "combined, hierarchical and --refit; with targets, or one class number (from 0), in the last columns: "
        "report the error, or the accuracy, before and after",
    )
    add_box(parser, "a range for all inputs: certify how much the outputs change on it")
    parser.add_argument("-o", "--output", metavar="FILE", help="write the reduced network here")
    parser.add_argument(
        "--packed",
        action="store_true",
        help="store each weight of -o NAME.safetensors or NAME.onnx in the fewest bytes that give it back "
        "exactly: rounded ones as whole numbers and steps, in safetensors also zeros by their places, and "
        "blocks of hierarchical by their factors",
    )
    parser.add_argument("--equations", metavar="FILE.tex", help="write the lumped equations here")
    parser.add_argument(
        "--certificates", metavar="DIR", help="write the proofs here, each for symlump check"
    )
    parser.add_argument(
        "--leave-untouched",
        action="store_true",
        help="ONNX: keep operators that symlump does not know unchanged",
    )
    add_shape(parser)
    add_picture(parser, "the size of each layer")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    declare_files(
        parser,
        reads=("model", "data", "others"),
        writes=("output", "equations", "picture", "table"),
    )


def run(options: argparse.Namespace) -> Answer:
    """Run the command."""
    if options.table is not None:
        from symlump.cli.many import Many, run_many

        return run_many(options, Many(__name__, _COLUMNS, sorted(NETWORKS), _OF_ONE, "model"))
    check_one(options)
    file = open_saved(options.model)
    if has_cells(file):
        return run_recurrent(options, file)
    check_picture(options)
    if options.packed and options.output is None:
        raise MethodError("--packed is about the file of -o FILE, which is not given")
    suffix = "" if options.output is None else _suffix(options)
    network, saved = _read(options, file)
    data = None
    if options.data is not None:
        data = read_data(options.data, network)
    with working(f"compressing {network.parameters} parameters"):
        result = reduce_network(options, network, data)
    report = _report(result, data)
    if options.box is not None:
        report["bound"] = certify(result, options.box)
    if options.equations is not None:
        _write_equations(result, options.equations)
        report["equations"] = options.equations
    if options.certificates is not None:
        certificates = result.certificates
        if not certificates:
            raise MethodError(
                f"--certificates writes proofs, and {result.method.label} has none for this network"
            )
        report["certificates"] = write_certificates(certificates, options.certificates)
    if options.output is not None:
        _write(options.output, suffix, result, saved, options.packed)
        report["output"] = options.output
        if options.packed:
            report["bytes"] = _bytes(options.output)
        elif result.network.parameters > result.retained_parameters:
            report["written_in_full"] = True
    if saved is not None and saved.norms:
        report["normalizations"] = saved.norms
        report["epsilons"] = saved.epsilons
    draw_picture(options, result)
    return Answer(lambda: report, lambda: _text(result, report, said_of_usual(options), suffix))


def _read(
    options: argparse.Namespace, file: OnnxFile | TensorFile
) -> tuple[Network, SavedNetwork | None]:
    """The network, and the state dict it came from, if it did."""
    refuse_unheeded(options, options.model)
    network, saved = read_saved(file, options)
    whole = options.output is None or _suffix(options) in (".onnx", ".pt2", ".safetensors")
    if saved is None and network.chain is None and not whole:
        raise MethodError(
            f"{options.model} is not a chain of dense layers, so the result is written as ONNX, -o NAME.onnx, "
            "as a program of torch, -o NAME.pt2, or with its architecture, -o NAME.safetensors"
        )
    return network, saved


def _suffix(options: argparse.Namespace) -> str:
    """What the result is written as, by the suffix; to a stream without one, as the input is.

    Raises
    ------
    FileFormatError
        If the suffix is unknown.
    """
    from symlump.files import is_stream
    from symlump.network.saved.writing import SUFFIXES

    suffix = Path(options.output).suffix.lower()
    if not suffix and is_stream(options.output):
        return ".onnx" if is_onnx(options.model) else SUFFIXES[0]
    known = (*SUFFIXES, ".onnx", ".pt2")
    if suffix not in known:
        raise FileFormatError(
            f"cannot write {options.output}: unknown suffix {suffix!r}; known are {', '.join(known)}"
        )
    return suffix


def _write(
    path: str, suffix: str, result: Compression, saved: SavedNetwork | None, packed: bool
) -> None:
    from symlump.network.saved.tensors import Packing
    from symlump.network.saved.writing import write_file

    packing = Packing(result.reduction.blocks) if packed else None
    write_file(result.network, path, suffix, saved, packing)


def _bytes(path: str) -> int | None:
    """The size of what was written; None where it went into a stream."""
    from symlump.files import is_stream

    return None if is_stream(path) else Path(path).stat().st_size


def _report(result: Compression, data: Data | None) -> dict[str, Any]:
    from symlump.compression.compression import mean_squared_error
    from symlump.compression.labels import accuracy, class_numbers
    from symlump.compression.merging.effect import observed_difference
    from symlump.network.rewrite import reducible

    difference = observed_difference(result.original, result.network)
    report = result.to_dict()
    report["reducible"] = reducible(result.original)
    report["difference"] = {
        "inputs": f"{difference.samples} standard normal samples, seed {difference.seed}",
        "root_mean_square": difference.root_mean_square,
        "largest": difference.largest,
        "output_root_mean_square": difference.output_root_mean_square,
    }
    if data is not None and data.targets is not None:
        labelled = class_numbers(result.original, data.targets) is not None
        measure = accuracy if labelled else mean_squared_error
        report["accuracy" if labelled else "mean_squared_error"] = {
            "before": measure(result.original, data.inputs, data.targets),
            "after": measure(result.network, data.inputs, data.targets),
            "samples": len(data.targets),
        }
    return report


def _text(result: Compression, report: dict[str, Any], usual: str, suffix: str) -> str:
    difference = report["difference"]
    lines = [
        str(result),
        f"outputs move by {difference['root_mean_square']:.3g} (root mean square), at most "
        f"{difference['largest']:.3g}, where they are {difference['output_root_mean_square']:.3g}: "
        f"observed on {difference['inputs']}",
        *([usual] if usual else []),
    ]
    if report["reducible"] < result.parameters and result.original.chain is None:
        lines.append(
            f"{report['reducible']} of {result.parameters} parameters are in layers whose units, or inputs, "
            "may merge"
        )
    if "normalizations" in report:
        lines.append(norms_line(report["normalizations"], report["epsilons"]))
    if "bound" in report:
        lines.append(certified_line(report["bound"], "no output moves"))
    if "mean_squared_error" in report:
        error = report["mean_squared_error"]
        lines.append(
            f"mean squared error on {error['samples']} samples: {error['before']:.6g} before, "
            f"{error['after']:.6g} after"
        )
    if "accuracy" in report:
        share = report["accuracy"]
        lines.append(
            f"accuracy on {share['samples']} samples: {100 * share['before']:.2f} % before, "
            f"{100 * share['after']:.2f} % after"
        )
    lines += [
        f"{what} written to {shown_path(report[what])}"
        for what in ("equations", "output")
        if what in report
    ]
    if "certificates" in report:
        lines.append(certificates_line(report["certificates"]))
    if report.get("bytes") is not None:
        lines.append(
            f"packed in {report['bytes']} bytes with its header, where what is kept counts as "
            f"{result.retained_parameters} numbers of {result.network.dtype}"
        )
    if "written_in_full" in report:
        lines.append(
            f"the file holds every weight in full, {result.network.parameters} numbers: what is kept is "
            f"counted as a packed or sparse format stores it; {_packed(suffix)} writes one"
        )
    return "\n".join(lines)


def _packed(suffix: str) -> str:
    """What to give for a file that holds zeros, blocks and rounded weights in fewer bytes."""
    from symlump.network.saved.writing import SUFFIXES

    return "--packed" if suffix == SUFFIXES[0] else f"-o NAME{SUFFIXES[0]} --packed"


def _write_equations(result: Compression, path: str) -> None:
    from symlump.display.document import equations_document
    from symlump.files import write_text

    if not result.lumpings:
        raise MethodError(f"--equations shows lumped equations; {result.method.label} has none")
    write_text(path, equations_document(result))
