"""ONNX files as others publish them: read, compared with onnxruntime, reduced, written back, and timed."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from symlump.bench.forward_time import times_in_turns
from symlump.compression.compress import compress
from symlump.compression.merging.afde import AFDE
from symlump.errors import FailureError, FileFormatError, MissingExtraError, SymlumpError
from symlump.network.exchange.onnx_io import read_onnx
from symlump.network.exchange.onnx_write import write_onnx
from symlump.network.network import Network
from symlump.network.rewrite import reducible
from symlump.network.torch_io import to_torch
from symlump.ode.exact import FloatArray

_SAMPLES = 64  # that the error is measured on
_BATCH, _RUNS = 16, 20  # of what is timed


@dataclass(frozen=True)
class PublishedRow:
    """One file.

    Parameters
    ----------
    file : str
    parameters : int
    touched : float
        Share of the parameters in layers that make or read units which may merge.
    retained : float
        Share that was kept: 0.5, or where that cannot be reached, all but half of what can be touched.
    error : float
        Relative mean squared error of the outputs on drawn inputs.
    time : float
        Of the reduced network's forward pass in torch, over that of the original's.
    difference : float or None
        From onnxruntime on the file, relative to the largest output: the larger of the network's, and of the
        written network's. None where onnxruntime is not installed.
    reason : str
        Why there is no result.
    """

    file: str
    parameters: int = 0
    touched: float = 0.0
    retained: float = 0.0
    error: float = 0.0
    time: float = 0.0
    difference: float | None = None
    reason: str = ""


def find_onnx(folder: str) -> list[Path]:
    """The ONNX files of a folder, in order of their names.

    Raises
    ------
    FileFormatError
        If there are none.
    """
    found = sorted(Path(folder).glob("*.onnx"))
    if not found:
        why = "holds no .onnx file" if Path(folder).is_dir() else "is not a folder"
        raise FileFormatError(f"{folder} {why}; name the one with the networks")
    return found


def measure(folder: str, share: float = 0.5) -> list[PublishedRow]:
    """A row for each ONNX file of a folder; inputs are standard normal, or whole numbers, with the seed 0.

    Raises
    ------
    FileFormatError
        If there are none.
    """
    rows: list[PublishedRow] = []
    for path in find_onnx(folder):
        try:
            rows.append(_row(path, share))
        except SymlumpError as error:
            rows.append(PublishedRow(path.name, reason=str(error)))
    return rows


def _row(path: Path, share: float) -> PublishedRow:
    network = read_onnx(path)
    touched = reducible(network) / network.parameters
    try:
        small = compress(network, AFDE(retain=share, up_to=0))
    except FailureError:
        small = compress(network, AFDE(retain=1 - touched * (1 - share), up_to=0))
    generator = np.random.default_rng(0)
    x = [node.drawn(generator, _SAMPLES) for node in network.inputs]
    pairs = zip(outputs(small.network, x), outputs(network, x), strict=True)
    return PublishedRow(
        path.name,
        network.parameters,
        touched,
        small.retained,
        max(relative_error(after, before) for after, before in pairs),
        time_ratio(network, small.network),
        _difference(path, network, [part[:1] for part in x]),
    )


def outputs(network: Network, x: list[FloatArray]) -> list[FloatArray]:
    """In float64, by torch."""
    import torch

    module = to_torch(network).double().eval()
    with torch.no_grad():
        found = module(*map(torch.from_numpy, x))
    return [part.numpy() for part in (found if isinstance(found, tuple) else (found,))]


def relative_error(found: FloatArray, expected: FloatArray) -> float:
    """The mean squared error of outputs, by the variance of what is expected."""
    spread = float(np.sum((expected - expected.mean(axis=0)) ** 2)) or 1.0
    return float(np.sum((found - expected) ** 2)) / spread


def apart(found: FloatArray, expected: FloatArray) -> float:
    """The largest difference of outputs, relative to the largest that is expected."""
    return float(np.abs(found - expected).max() / (np.abs(expected).max() or 1.0))


def time_ratio(network: Network, small: Network) -> float:
    """The forward time of the second over that of the first, the runs taken in turns."""
    import torch

    modules = [to_torch(n).eval() for n in (network, small)]
    generator = np.random.default_rng(1)
    x = tuple(torch.from_numpy(node.drawn(generator, _BATCH)).float() for node in network.inputs)
    before, after = times_in_turns(modules, x, _RUNS)
    return after / before


def run_onnx(path: Path, x: list[FloatArray]) -> list[FloatArray]:
    """The outputs of a file by onnxruntime.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        onnxruntime: Any = import_module("onnxruntime")
    except ImportError:
        raise MissingExtraError(
            "this needs onnxruntime; install it with: pip install onnxruntime"
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    feeds = {
        given.name: array.astype(_TYPES.get(given.type, np.float32))
        for given, array in zip(session.get_inputs(), x, strict=True)
    }
    return [np.asarray(part, dtype=np.float64) for part in session.run(None, feeds)]


def _difference(path: Path, network: Network, x: list[FloatArray]) -> float | None:
    try:
        expected = run_onnx(path, x)
    except MissingExtraError:
        return None
    with tempfile.TemporaryDirectory() as folder:
        again = Path(folder) / "again.onnx"
        write_onnx(network, again)
        written = run_onnx(again, x)
    both = (outputs(network, x), written)
    return max(apart(a, b) for found in both for a, b in zip(found, expected, strict=True))


_TYPES: dict[str, Any] = {
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(double)": np.float64,
}

HEADER = ("file", "parameters", "touched", "kept", "error", "time", "difference")


def table(rows: list[PublishedRow]) -> list[tuple[str, ...]]:
    """One line for each file."""
    return [
        (row.file, "", "", "", "", "", f"not read: {row.reason}")
        if row.reason
        else (
            row.file,
            str(row.parameters),
            f"{100 * row.touched:.0f} %",
            f"{100 * row.retained:.0f} %",
            f"{row.error:.2g}",
            f"{row.time:.2f}",
            "–" if row.difference is None else f"{row.difference:.0e}",
        )
        for row in rows
    ]
