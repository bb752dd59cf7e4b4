"""``symlump sweep``: one reduction at many tolerances."""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symlump.cli.answer import Answer
from symlump.cli.arguments import (
    add_many,
    add_observable,
    check_linear,
    check_one,
    declare_files,
    kept_forms,
    reading_forms,
    refuse,
)
from symlump.cli.networks.box import add_box
from symlump.cli.networks.compress_methods import METHODS, make_method
from symlump.cli.networks.compress_recurrent import read_cells
from symlump.cli.networks.data import read_data
from symlump.cli.networks.saved import add_shape, has_cells, open_saved, read_saved, refuse_unheeded
from symlump.cli.outputs import add_picture, check_picture, draw_picture
from symlump.cli.reading import NETWORKS, READ, add_reading, read_model, refuse_options_of_models
from symlump.errors import FileFormatError, MethodError
from symlump.progress import bar, working

if TYPE_CHECKING:
    from symlump.formats.model import Model
    from symlump.network.saved.onnx_file import OnnxFile
    from symlump.network.saved.tensors import TensorFile
    from symlump.tolerances.sweep import Sweep

_DESCRIPTION = """\
Reduce a model file, or a saved network, at several tolerances, and show what each costs: blocks, terms or
parameters, the defect δ (how far the coefficients are from exact), the certified error where a box is given,
and the error that was observed.

Without --eps the tolerances are shares of the smallest one that merges all that may merge. With --breakpoints
(small systems, linkage closure) they are the exact ones at which the blocks change. With --method constrained
they are those at which the dimension of the linear lumping changes, which keeps what --observable names.
"""

_EXAMPLES = """\
examples:
  a model, at its exact breakpoints:
    symlump sweep tree.ode --method backward --breakpoints
  a certified error for all initial states near the file's own, up to time 5:
    symlump sweep tree.ode --method backward --eps 0,1e-4,6e-4 --spread 0.01 --horizon 5
  the linear lumpings that keep x1, from itself alone to the exact one, with certified errors:
    symlump sweep tree.ode --method constrained --observable x1 --horizon 5
  a network by another method, with its loss on data:
    symlump sweep net.safetensors --activation tanh --method dependence --data test.csv
  a network on the inputs from -1 to 1, with a picture and a table:
    symlump sweep net.safetensors --activation tanh --box -1 1 --picture sweep.png --csv sweep.csv
  recurrent cells, with a certified error over 10 steps for inputs from -1 to 1 at each:
    symlump sweep gru.safetensors --box -1 1 --horizon 10
  a folder of models, a row for each and each tolerance, in four processes; again after an interruption:
    symlump sweep models --method backward --table sweeps.csv --jobs 4

exit codes: 0 done, 1 the request cannot be met or a file cannot be written, 2 the input cannot be used
"""

#: What a table of many files has of each tolerance.
_COLUMNS = (
    "subject", "eps", "blocks", "parameters", "defect", "bound", "observed", "loss", "accuracy",
)  # fmt: skip
#: Options that are for one file, when they are not given.
_OF_ONE = dict.fromkeys(("csv", "picture", "labels", "states", "rewards"))
#: Options of systems with the values they have when they are not given. (Recurrent cells have a horizon, too.)
_OF_SYSTEMS: dict[str, Any] = {
    "breakpoints": False, "spread": 0.0, "relative": False, "initial": "file",
    "observable": [],
}  # fmt: skip


def fill(parser: argparse.ArgumentParser) -> None:
    """Describe the command, and add its arguments."""
    parser.description = _DESCRIPTION
    parser.epilog = _EXAMPLES
    parser.set_defaults(run=run)
    add_sweeping(parser, linear=True)
    add_many(parser)
    add_observable(parser, "must still be determined")
    parser.add_argument("--csv", metavar="FILE", help="write all columns here")
    add_picture(parser, "the table")
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    declare_files(parser, reads=(*READ, "data", "others"), writes=("csv", "picture", "table"))


def add_sweeping(parser: argparse.ArgumentParser, linear: bool = False) -> None:
    """The arguments that say what to reduce, and at which tolerances; ``linear``: also linear lumpings."""
    add_reading(
        parser,
        "a model: .ode, .net, .tra, .xml, .sbml, .txt; or a network: .safetensors, .pt, .onnx",
    )
    parser.add_argument("--eps", metavar="E,E,…", help="the tolerances (default: chosen)")
    parser.add_argument(
        "--breakpoints",
        action="store_true",
        help="a system: all tolerances at which its blocks change, exactly",
    )
    parser.add_argument(
        "--method",
        choices=("forward", "backward", *(("constrained",) if linear else ()), *METHODS),
        metavar="NAME",
        help="a system: forward, backward"
        + (" or constrained, linear lumpings that keep observables" if linear else "")
        + " (default: forward); a network: any method of symlump compress (default: afde)",
    )
    parser.add_argument(
        "--initial",
        default="file",
        choices=("one", "file", "values"),
        help="a system: what may merge, as for symlump lump (default: file)",
    )
    parser.add_argument(
        "--linkage",
        choices=("closure", "diameter", "variance"),
        help="how the tolerance groups (default: closure for systems, variance for networks)",
    )
    parser.add_argument("--relative", action="store_true", help="a system: relative tolerances")
    parser.add_argument(
        "--horizon",
        type=float,
        metavar="T",
        help="a system: certify the error up to this time; recurrent cells: over so many steps",
    )
    parser.add_argument(
        "--spread",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="a system: the box is the file's initial state ± this share of it (default: 0)",
    )
    parser.add_argument("--activation", metavar="NAME", help="a network: of its hidden layers")
    add_shape(parser)
    add_box(parser, "a network: certify the error for inputs in this range")
    parser.add_argument(
        "--data",
        metavar="FILE.csv",
        help="a network: inputs (or an array, FILE.npy), then targets (show the loss), one class number from "
        "0 (show the accuracy) or neither, a sample a row; methods that look at inputs do",
    )


def run(options: argparse.Namespace) -> Answer:
    """Run the command."""
    if options.table is not None:
        from symlump.cli.many import Many, run_many
        from symlump.formats import IN_FOLDERS

        suffixes = (*IN_FOLDERS, *NETWORKS)
        return run_many(options, Many(__name__, _COLUMNS, suffixes, _OF_ONE))
    check_one(options)
    check_picture(options)
    table, _ = run_sweep(options)
    if options.csv is not None:
        table.to_csv(options.csv)
    draw_picture(options, table)
    return Answer(lambda: sweep_report(options, table), lambda: str(table))


def sweep_report(options: argparse.Namespace, table: Sweep) -> dict[str, Any]:
    """The rows of a sweep as plain data, for JSON."""
    from symlump.tolerances.rows import MEASURED

    names = ("eps", "blocks", "parameters", *MEASURED)
    rows = [{name: getattr(row, name) for name in names} for row in table.rows]
    return {"file": options.file, "subject": table.subject, "rows": rows}


def run_sweep(options: argparse.Namespace) -> tuple[Sweep, Model | None]:
    """The sweep that the arguments ask for, and the model that was read, if it was one."""
    if Path(options.file).suffix.lower() in NETWORKS:
        _refuse_of_systems(options)
        file = open_saved(options.file)
        return (_recurrent(options, file) if has_cells(file) else _network(options, file)), None
    if options.method == "constrained":
        return _linear(options)
    if getattr(options, "observable", None):
        raise MethodError("--observable needs --method constrained")
    return _system(options)


def _only_systems(options: argparse.Namespace) -> None:
    if options.method in METHODS:
        raise MethodError(f"--method {options.method} is for networks; {options.file} is a system")
    if options.shape:
        raise MethodError("--shape is for ONNX files; it says the sizes that one leaves open")
    unset = dict.fromkeys(("activation", "box", "data"))
    refuse(options, unset, f"belongs to networks; {options.file} is a system")
    if not 0 <= options.spread < math.inf:
        raise MethodError(f"--spread {options.spread}: a share is a finite number, 0 or larger")
    if options.spread and options.horizon is None:
        raise MethodError("--spread is the box of a certified error; give its end with --horizon")


def _linear(options: argparse.Namespace) -> tuple[Sweep, Model]:
    from symlump.lumping.linear.constrained import Constrained

    _only_systems(options)
    partitions = (
        (options.initial != "file", "--initial"),
        (options.linkage is not None, "--linkage"),
        (options.relative, "--relative"),
    )
    check_linear(options, partitions)
    if options.breakpoints:
        raise MethodError(
            "--breakpoints is for partitions; without --eps, --method constrained takes the tolerances at "
            "which the dimension changes"
        )
    eps = _numbers(options.eps)
    model = read_model(options)
    box = _certified_box(options, model)
    method = Constrained(kept_forms(options, model))
    with reading_forms(options):
        return _swept(model.ode, eps, method, box=box, horizon=options.horizon), model


def _certified_box(
    options: argparse.Namespace, model: Model
) -> dict[str, tuple[float, float]] | None:
    """The initial states that a certified error is asked for; None where it is not."""
    if model.events and options.horizon is not None:
        raise MethodError(
            "--horizon bounds the error of solutions of the equations, and this model has events, which "
            "change solutions beside them; leave it out"
        )
    if options.horizon is None:
        return None
    box = {}
    for name, value in model.initial_values.items():
        half = abs(float(value)) * options.spread
        box[name] = (float(value) - half, float(value) + half)
    return box


def _system(options: argparse.Namespace) -> tuple[Sweep, Model]:
    from symlump.lumping.backward import Backward
    from symlump.lumping.forward import Forward
    from symlump.lumping.tolerance.breakpoints import breakpoints

    _only_systems(options)
    model = read_model(options)
    box = _certified_box(options, model)
    kind = Backward if options.method == "backward" else Forward
    method = kind(linkage=options.linkage or "closure", relative=options.relative)
    initial = model.initial_partition(options.initial)
    eps = _numbers(options.eps)
    if options.breakpoints:
        if eps is not None:
            raise MethodError("--breakpoints finds the tolerances; leave --eps out")
        with working("finding breakpoints"):
            steps = breakpoints(model.ode, method, initial)
        # lump measures in float64, so a breakpoint is passed by a hair to be reached.
        eps = [float(step.eps) * (1 + 1e-9) for step in steps]
    return _swept(model.ode, eps, method, initial=initial, box=box, horizon=options.horizon), model


def _refuse_of_systems(options: argparse.Namespace) -> None:
    why = f"belongs to systems; {options.file} is a network"
    refuse(options, _OF_SYSTEMS, why)
    if options.method not in (None, *METHODS):
        raise MethodError(f"--method {why}")
    refuse_options_of_models(options)


def _network(options: argparse.Namespace, file: OnnxFile | TensorFile) -> Sweep:
    why = f"belongs to systems and recurrent cells; {options.file} is a network without any"
    refuse(options, {"horizon": None}, why)
    refuse_unheeded(options, options.file)
    network, _ = read_saved(file, options)
    if options.linkage is not None and options.method not in (None, "afde"):
        raise MethodError(f"--linkage is for afde, not for --method {options.method}")
    data = None if options.data is None else read_data(options.data, network)
    settings = argparse.Namespace(
        linkage=options.linkage,
        relative_to=None,
        distance=None,
        on=None,
        steps=0,
        refit=False,
        count=None,
        box=options.box,
    )
    method = make_method(options.method or "afde", {"eps": 0.0}, settings, network, data)
    pair = None if data is None else data.pair
    return _swept(network, _numbers(options.eps), method, box=options.box, data=pair)


def _recurrent(options: argparse.Namespace, file: OnnxFile | TensorFile) -> Sweep:
    from symlump.compression.merging.afde import AFDE

    what = f"{options.file} has recurrent cells"
    if options.method not in (None, "afde"):
        raise MethodError(f"--method {options.method} is not for cells: they take afde; {what}")
    refuse(options, {"data": None}, f"is for networks without recurrence; {what}")
    if (options.box is None) != (options.horizon is None):
        raise MethodError(
            f"{what}: to certify the error give both --box LOW HIGH, of the inputs, and --horizon, the steps"
        )
    network, _ = read_cells(file, options)
    method = AFDE(eps=0.0, linkage=options.linkage or "variance")
    eps = _numbers(options.eps)
    return _swept(network, eps, method, box=options.box, horizon=options.horizon)


def _swept(subject: Any, eps: list[float] | None, method: Any, **more: Any) -> Sweep:
    """The sweep, with a bar; ``more`` are further arguments of it."""
    from symlump.tolerances.sweep import sweep

    with bar("sweeping", 100) as advance:
        return sweep(
            subject,
            eps,
            method,
            **more,
            progress=lambda done, total: advance(100 * done // total, ""),
        )


def _numbers(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(part) for part in re.split(r"[,\s]+", text.strip(" ,"))]
    except ValueError:
        raise FileFormatError(f"{text!r} is not a list of numbers such as 0,1e-4,6e-4") from None
