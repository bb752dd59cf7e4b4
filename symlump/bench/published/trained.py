"""Networks that others trained, compressed by every method, with and without data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from symlump.compression.baselines.magnitude import Magnitude
from symlump.compression.baselines.quantize import Quantize
from symlump.compression.baselines.svd import TruncatedSVD
from symlump.compression.baselines.wanda import Wanda
from symlump.compression.compress import compress
from symlump.compression.dependences.dependence import Dependence
from symlump.compression.hierarchical.method import Hierarchical
from symlump.compression.merging.afde import AFDE
from symlump.compression.reduction import CompressionMethod
from symlump.compression.symmetries.symmetric import Symmetric
from symlump.errors import FileFormatError, SymlumpError
from symlump.network.exchange.onnx_io import read_onnx
from symlump.network.network import Network
from symlump.ode.exact import FloatArray, IntArray

#: From a share and samples of the inputs, if there are some, to a method; None where it needs samples.
Make = Callable[[float, FloatArray | None], CompressionMethod | None]

METHODS: dict[str, Make] = {
    "AFDE": lambda share, x: AFDE(retain=share, inputs=x),
    "AFDE, sums": lambda share, x: AFDE(retain=share, inputs=x, refit=False),
    "AFDE, coefficients": lambda share, x: (
        AFDE(retain=share, distance="coefficients") if x is None else None
    ),
    "dependence": lambda share, x: Dependence(retain=share, inputs=x),
    "symmetric": lambda share, x: Symmetric(retain=share) if x is None else None,
    "hierarchical": lambda share, x: Hierarchical(retain=share, inputs=x),
    "quantised": lambda share, x: Quantize(retain=share) if x is None else None,
    "truncated SVD": lambda share, x: TruncatedSVD(retain=share) if x is None else None,
    "magnitude": lambda share, x: Magnitude(share) if x is None else None,
    "Wanda": lambda share, x: None if x is None else Wanda(share, x),
}


@dataclass(frozen=True)
class TrainedRow:
    """One method on one network at one share.

    Parameters
    ----------
    network, method : str
    share : float
    data : bool
        Whether the method had samples of the inputs.
    accuracy : float or None
        On the second half of the digits; None where the network is not for digits.
    error : float or None
        Relative mean squared error of the outputs on 20 000 standard normal inputs, elsewhere.
    reason : str
        Why there is no result.
    """

    network: str
    method: str
    share: float
    data: bool
    accuracy: float | None
    error: float | None
    reason: str = ""


def measure(
    folder: str, digits: str, names: list[str] | None = None, methods: list[str] | None = None
) -> list[TrainedRow]:
    """All rows; the first half of the digits calibrates, the second is tested on.

    Raises
    ------
    FileFormatError
        If a file is missing.
    """
    images, labels = _digits(digits)
    half = len(images) // 2
    rows: list[TrainedRow] = []
    for path in sorted(Path(folder).glob("*.onnx")):
        if names and path.stem not in names:
            continue
        try:
            network = read_onnx(path, leave_untouched=True)
        except SymlumpError as error:
            rows.append(TrainedRow(path.stem, "(not read)", 1.0, False, None, None, str(error)))
            continue
        is_digits = int(np.prod(network.inputs[0].size)) == images.shape[1]
        x = images if is_digits else _normal(network)
        rows.append(_row(path.stem, "(as it is)", 1.0, False, network, network, x, labels, half))
        for name, make in METHODS.items():
            if methods and name not in methods:
                continue
            for share in (0.5, 0.3):
                for data in (False, True) if is_digits else (False,):
                    given = network.arranged(images[:half])[0] if data else None
                    method = make(share, given)
                    if method is None:
                        continue
                    try:
                        small = compress(network, method).network
                    except SymlumpError as error:
                        rows.append(
                            TrainedRow(path.stem, name, share, data, None, None, str(error))
                        )
                        continue
                    rows.append(_row(path.stem, name, share, data, network, small, x, labels, half))
    return rows


def _row(
    name: str,
    method: str,
    share: float,
    data: bool,
    network: Network,
    small: Network,
    x: FloatArray,
    labels: IntArray,
    half: int,
) -> TrainedRow:
    if len(x) == len(labels):
        found = np.concatenate([small(part) for part in np.array_split(x[half:], 10)])
        accuracy = float((found.reshape(len(found), -1).argmax(1) == labels[half:]).mean())
        return TrainedRow(name, method, share, data, accuracy, None)
    before, after = network(x), small(x)
    error = float(np.sum((after - before) ** 2) / np.sum((before - before.mean(axis=0)) ** 2))
    return TrainedRow(name, method, share, data, None, error)


def _normal(network: Network) -> FloatArray:
    numbers = int(np.prod(network.inputs[0].size))
    return np.random.default_rng(0).standard_normal((20_000 if numbers < 1000 else 100, numbers))


def _digits(path: str) -> tuple[FloatArray, IntArray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            images, labels = file["images"], file["labels"]
    except (OSError, KeyError, ValueError) as error:
        raise FileFormatError(f"{path} holds no images and labels: {error}") from None
    return images.reshape(len(images), -1) / 255.0, labels.astype(np.int64)


HEADER = ("network", "method", "50 %, no data", "50 %, data", "30 %, no data", "30 %, data")


def table(rows: list[TrainedRow]) -> list[tuple[str, ...]]:
    """One line for each network and method: accuracy in per cent, or the relative error."""
    lines: dict[tuple[str, str], dict[tuple[float, bool], str]] = {}
    for row in rows:
        value = "–"
        if row.accuracy is not None:
            value = f"{100 * row.accuracy:.2f}"
        elif row.error is not None:
            value = f"{row.error:.2g}"
        lines.setdefault((row.network, row.method), {})[row.share, row.data] = value
    places = [(0.5, False), (0.5, True), (0.3, False), (0.3, True)]
    return [
        (*key, *(cells.get(place, cells.get((1.0, False), "")) for place in places))
        for key, cells in lines.items()
    ]
