"""Saved networks on the command line: what is said of a file, and the one place where it is read."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symlump.cli.arguments import names, refuse
from symlump.errors import ActivationMissingError, MethodError
from symlump.progress import working

if TYPE_CHECKING:
    from symlump.network.network import Network
    from symlump.network.saved.onnx_file import OnnxFile
    from symlump.network.saved.tensors import TensorFile
    from symlump.network.saved.writing import SavedNetwork

#: Options that say something of a state dict, and of an ONNX file, as they are when they are not given.
OF_STATE_DICTS: dict[str, Any] = {"activation": None, "output_activation": None, "layers": None}
OF_ONNX: dict[str, Any] = {"leave_untouched": False, "shape": []}


def is_onnx(path: str) -> bool:
    """Whether a file is ONNX, by its suffix."""
    return Path(path).suffix.lower() == ".onnx"


def refuse_unheeded(options: argparse.Namespace, *paths: str) -> None:
    """Raise if an option does not apply to any of these files.

    Raises
    ------
    MethodError
        With the option.
    """
    of_onnx = [is_onnx(path) for path in paths]
    if all(of_onnx):
        why = (
            "is for state dicts; an ONNX file itself says what its activations are, and its layers"
        )
        refuse(options, OF_STATE_DICTS, why)
    if not any(of_onnx):
        refuse(
            options,
            OF_ONNX,
            "is for ONNX networks; a state dict has tensors of known shapes, and no operations",
        )


def open_saved(path: str) -> OnnxFile | TensorFile:
    """The content of a file, read once, to be asked what it is and then read as that.

    Raises
    ------
    FileFormatError
        If the file cannot be read.
    """
    from symlump.network.saved.onnx_file import OnnxFile
    from symlump.network.saved.tensors import TensorFile

    with working(f"reading {path}"):
        return OnnxFile.of(path) if is_onnx(path) else TensorFile.of(path)


def has_cells(file: OnnxFile | TensorFile) -> bool:
    """Whether a file is a state dict or an ONNX file with recurrent cells."""
    from symlump.network.saved.onnx_file import OnnxFile

    if isinstance(file, OnnxFile):
        from symlump.network.recurrent.onnx_reading import holds_cells

        return holds_cells(file.model)
    from symlump.network.recurrent.saved import is_saved_recurrent

    return is_saved_recurrent(file.tensors)


def read_saved(
    file: OnnxFile | TensorFile, options: argparse.Namespace
) -> tuple[Network, SavedNetwork | None]:
    """Read a network as those options say that the command has; and the state dict it came from, if it did.

    Raises
    ------
    FileFormatError, NetworkError
        If the file cannot be read, or holds no such network.
    """
    from symlump.network.saved.onnx_file import OnnxFile

    if isinstance(file, OnnxFile):
        from symlump.network.exchange.onnx_io import read_onnx

        return read_onnx(file, getattr(options, "leave_untouched", False), shapes_of(options)), None
    from symlump.network.state_dict import read_network

    output, layers = (getattr(options, name, None) for name in ("output_activation", "layers"))
    order = None if layers is None else names(layers)
    try:
        saved = read_network(file, options.activation, output, order)
    except ActivationMissingError as error:
        raise ActivationMissingError(f"{file.path}: {error}") from None
    return saved.network, saved


def norms_line(norms: dict[str, str], epsilons: dict[str, float]) -> str:
    """What was taken of normalizations in a state dict, which does not say it.

    Examples
    --------
    >>> norms_line({"bn1": "fc1"}, {"bn1": 1e-5})
    'read with bn1 behind fc1, before the activation, and ε = 1e-05, which a state dict does not say'
    """
    from symlump.network.saved.tensors import quote

    pairs = ", ".join(f"{quote(norm)} behind {quote(layer)}" for norm, layer in norms.items())
    taken = ", ".join(f"{eps:g}" for eps in sorted({*epsilons.values()}))
    return f"read with {pairs}, before the activation, and ε = {taken}, which a state dict does not say"


def add_shape(parser: argparse.ArgumentParser) -> None:
    """Add ``--shape``."""
    parser.add_argument(
        "--shape",
        action="append",
        default=[],
        metavar="NAME=1,3,48,192",
        help="an ONNX network: the shape of an input that the file leaves open, samples first; once per input",
    )


def shapes_of(options: argparse.Namespace) -> dict[str, tuple[int, ...]]:
    """The shapes that were given, by the names of the inputs.

    Raises
    ------
    MethodError
        If one is no name with whole numbers.

    Examples
    --------
    >>> shapes_of(argparse.Namespace(shape=["x=1,3,48,192"]))
    {'x': (1, 3, 48, 192)}
    """
    found: dict[str, tuple[int, ...]] = {}
    for text in getattr(options, "shape", ()):
        name, _, numbers = text.rpartition("=")
        if not name or not re.fullmatch(r"[0-9]{1,9}(,[0-9]{1,9})*", numbers):
            raise MethodError(
                f"--shape {text}: give the name of an input and its sizes, as in --shape x=1,3,48,192"
            )
        found[name] = tuple(int(n) for n in numbers.split(","))
    return found
