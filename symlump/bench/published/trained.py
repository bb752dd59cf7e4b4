"""Networks that others trained, compressed by every method, with and without data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from symlump.bench.published.files import find_onnx
from symlump.compression.baselines.magnitude import Magnitude
from symlump.compression.baselines.quantize import Quantize
from symlump.compression.baselines.second_order import SecondOrder
from symlump.compression.baselines.svd import TruncatedSVD
from symlump.compression.baselines.wanda import Wanda
from symlump.compression.combined import Combined
from symlump.compression.compress import compress
from symlump.compression.compression import Compression
from symlump.compression.dependences.dependence import Dependence
from symlump.compression.hierarchical.method import Hierarchical
from symlump.compression.merging.afde import AFDE
from symlump.compression.reduction import CompressionMethod
from symlump.compression.symmetries.symmetric import Symmetric
from symlump.errors import FileFormatError, MethodError, SymlumpError
from symlump.jobs import Job, file_digest, run_jobs
from symlump.network.exchange.onnx_io import read_onnx
from symlump.network.network import Network
from symlump.ode.exact import FloatArray, IntArray

#: From a share and samples of the inputs, if there are some, to a method; None where it needs samples.
Make = Callable[[float, FloatArray | None], CompressionMethod | None]

METHODS: dict[str, Make] = {
    "AFDE": lambda share, x: AFDE(retain=share, inputs=x),
    "AFDE, nothing spent": lambda share, x: AFDE(retain=share, inputs=x, up_to=0),
    "AFDE, sums": lambda share, x: AFDE(retain=share, inputs=x, refit=False),
    "AFDE, coefficients": lambda share, x: (
        AFDE(retain=share, distance="coefficients") if x is None else None
    ),
    "dependence": lambda share, x: Dependence(retain=share, inputs=x),
    "symmetric": lambda share, x: Symmetric(retain=share) if x is None else None,
    "hierarchical": lambda share, x: Hierarchical(retain=share, inputs=x),
    "quantized": lambda share, x: Quantize(retain=share) if x is None else None,
    "truncated SVD": lambda share, x: TruncatedSVD(retain=share) if x is None else None,
    "magnitude": lambda share, x: Magnitude(share) if x is None else None,
    "magnitude, refit": lambda share, x: Magnitude(share, refit=True, inputs=x),
    "Wanda": lambda share, x: None if x is None else Wanda(share, x),
    "Wanda, refit": lambda share, x: None if x is None else Wanda(share, x, refit=True),
    "second order": lambda share, x: None if x is None else SecondOrder(share, x),
    "combined": lambda share, x: Combined(retain=share, inputs=x),
    "combined, bytes": lambda share, x: Combined(retain=share, inputs=x, count="bytes"),
}
#: Methods that are asked for a share of the bytes.
OF_BYTES = ("quantized", "combined, bytes")
#: What is kept by default.
SHARES = (0.5, 0.3)

#: What stands for no method.
_WHOLE = "(as it is)"


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
    retained : float or None
        Share of the parameters that is left, or of the bytes, as the method counts.
    how : str
        What the method says it did.
    packed : int or None
        Bytes of the packed file; None where no such file can hold the network.
    """

    network: str
    method: str
    share: float
    data: bool
    accuracy: float | None
    error: float | None
    reason: str = ""
    retained: float | None = None
    how: str = ""
    packed: int | None = None


def measure(
    folder: str,
    digits: str,
    names: list[str] | None = None,
    methods: list[str] | None = None,
    cache: Path | None = None,
    shares: Sequence[float] = SHARES,
    calibration: int | None = None,
) -> list[TrainedRow]:
    """All rows; the first half of the digits calibrates, the second is tested on.

    Parameters
    ----------
    folder, digits : str
        Of ONNX files, and the images.
    names, methods : list of str, optional
        Only these.
    cache : Path, optional
        Folder in which results are kept as they arrive, and looked for. What they depend on besides the files
        and the options, symlump itself, is not told apart.
    shares : sequence of float
        To keep.
    calibration : int, optional
        So many images of the first half, the first ones; all by default.

    Raises
    ------
    FileFormatError
        If a file is missing.
    MethodError
        If a network or method is not known.
    """
    images, labels = read_digits(digits)
    half = len(labels) // 2
    if calibration is not None and not 1 <= calibration <= half:
        raise MethodError(
            f"calibration={calibration}: half of the images are {half}; give 1 to {half}"
        )
    inputs = {"digits": file_digest(Path(digits))}
    if calibration is not None:
        inputs["calibration"] = str(calibration)
    paths = {path.stem: path for path in find_onnx(folder)}
    for what, chosen, known in (("network", names, paths), ("method", methods, METHODS)):
        for name in chosen or ():
            if name not in known:
                raise MethodError(f"there is no {what} {name!r}; choose from {', '.join(known)}")
    rows: list[TrainedRow] = []
    with ExitStack() as stack:
        if cache is None:
            cache = Path(stack.enter_context(TemporaryDirectory()))
        for path in (paths[name] for name in names or paths):
            try:
                network = read_onnx(path, leave_untouched=True)
            except SymlumpError as error:
                rows.append(TrainedRow(path.stem, "(not read)", 1.0, False, None, None, str(error)))
                continue
            trial = _Trial(network, images, labels, calibration or half)
            file = {"network": path.stem, "file": file_digest(path), **inputs}
            jobs = [
                Job(_measured, file | {"method": name, "share": share, "data": data}, trial)
                for name, share, data in _cases(methods, shares, trial.is_digits)
            ]
            rows += [TrainedRow(**found) for found in run_jobs(jobs, cache)]
    return rows


def _cases(
    methods: list[str] | None, shares: Sequence[float], is_digits: bool
) -> Iterator[tuple[str, float, bool]]:
    """What is tried on a network: a method at a share, with data or without."""
    yield _WHOLE, 1.0, False
    for name, make in METHODS.items():
        for share in shares:
            for data in (False, True) if is_digits else (False,):
                possible = make(share, np.zeros((1, 1)) if data else None) is not None
                if possible and name in (methods or METHODS):
                    yield name, share, data


class _Trial:
    """A network and what it is tried on.

    Parameters
    ----------
    network : Network
    images : ndarray, shape (images, pixels)
    labels : ndarray of int, shape (images,)
    given : int
        How many images a method may see.
    """

    def __init__(self, network: Network, images: FloatArray, labels: IntArray, given: int) -> None:
        self.network, self._labels, self._given = network, labels, given
        self.is_digits = int(np.prod(network.inputs[0].size)) == images.shape[1]
        self._x = images if self.is_digits else _normal(network)
        self._half = len(labels) // 2

    @property
    def given(self) -> FloatArray:
        """The digits that a method may see."""
        return self.network.arranged(self._x[: self._given])[0]

    def quality(self, small: Network) -> tuple[float | None, float | None]:
        """The accuracy on the other digits, or the relative error."""
        if self.is_digits:
            tested, right = self._x[self._half :], self._labels[self._half :]
            found = _outputs(small, tested).argmax(axis=1)
            return float((found == right).mean()), None
        after, before = _outputs(small, self._x), self._before
        spread = float(np.sum((before - before.mean(axis=0)) ** 2))
        return None, float(np.sum((after - before) ** 2)) / spread

    @cached_property
    def _before(self) -> FloatArray:
        return _outputs(self.network, self._x)


def _outputs(network: Network, x: FloatArray) -> FloatArray:
    parts = [network(part) for part in np.array_split(x, 10)]  # few at a time, to save memory
    return np.concatenate([part.reshape(len(part), -1) for part in parts])


def _measured(description: dict[str, Any], trial: _Trial) -> dict[str, Any]:
    """The row of one method at one share, as plain data."""
    name, share, data = (description[key] for key in ("method", "share", "data"))
    row = TrainedRow(description["network"], name, share, data, None, None)
    if name == _WHOLE:
        accuracy, gap = trial.quality(trial.network)
        return asdict(replace(row, accuracy=accuracy, error=gap))
    method = METHODS[name](share, trial.given if data else None)
    assert method is not None
    try:
        small = compress(trial.network, method)
    except SymlumpError as error:
        return asdict(replace(row, reason=str(error)))
    accuracy, gap = trial.quality(small.network)
    how = small.reduction.note.split(";")[0]
    kept, size = small.retained, _packed_size(small)
    return asdict(replace(row, accuracy=accuracy, error=gap, retained=kept, how=how, packed=size))


def _packed_size(small: Compression) -> int | None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "small.safetensors"
        try:
            small.write(path, packed=True)
        except SymlumpError:
            return None  # a step of it has no name in such a file
        return path.stat().st_size


def _normal(network: Network) -> FloatArray:
    numbers = int(np.prod(network.inputs[0].size))
    return np.random.default_rng(0).standard_normal((20_000 if numbers < 1000 else 100, numbers))


def read_digits(path: str) -> tuple[FloatArray, IntArray]:
    """Images as rows of numbers from 0 to 1, and their labels.

    Raises
    ------
    FileFormatError
        If the file has none.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            images, labels = file["images"], file["labels"]
    except (OSError, KeyError, ValueError) as error:
        raise FileFormatError(f"{path} has no images and labels: {error}") from None
    return images.reshape(len(images), -1) / 255.0, labels.astype(np.int64)


#: Where bytes count every unit may stay, so these are no rivals of the others.
_ASIDE = (*OF_BYTES, _WHOLE)

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]


def table(rows: Sequence[TrainedRow], bold: bool = False) -> Table:
    """A header, and a line for each network and method: accuracy in per cent, or the relative error.

    Parameters
    ----------
    rows : sequence of TrainedRow
    bold : bool
        Put the best of each network and column in bold, as Markdown has it; what counts bytes is left aside.

    Examples
    --------
    >>> rows = [TrainedRow("n", name, 0.5, False, None, e) for name, e in (("a", 0.1), ("b", 0.2))]
    >>> table(rows, bold=True)
    (('network', 'method', '50 %, no data'), [('n (error)', 'a', '**0.1**'), ('n (error)', 'b', '0.2')])
    """
    best: dict[tuple[str, float, bool], str] = {}
    for row in sorted(rows, key=lambda row: (-(row.accuracy or 0.0), row.error or 0.0)):
        if _shown(row) != "–" and row.method not in _ASIDE:
            best.setdefault((row.network, row.share, row.data), _shown(row))
    of_errors = {row.network for row in rows if row.error is not None}
    lines: dict[tuple[str, str], dict[tuple[float, bool], str]] = {}
    for row in rows:
        if row.method == _WHOLE and row.network in of_errors:
            continue  # its error is 0
        value = _shown(row)
        is_best = value == best.get((row.network, row.share, row.data))
        if bold and is_best and row.method not in _ASIDE:
            value = f"**{value}**"
        name = f"{row.network} (error)" if row.network in of_errors else row.network
        lines.setdefault((name, row.method), {})[row.share, row.data] = value
    found = {(row.share, row.data) for row in rows if row.method != _WHOLE}
    places = sorted(found, key=lambda place: (-place[0], place[1]))
    sizes = (f"{100 * share:.3g} %, {'data' if data else 'no data'}" for share, data in places)
    return ("network", "method", *sizes), [
        (*key, *(cells.get(place, cells.get((1.0, False), "")) for place in places))
        for key, cells in lines.items()
    ]


def _shown(row: TrainedRow) -> str:
    if row.accuracy is not None:
        return f"{100 * row.accuracy:.2f}"
    return "–" if row.error is None else f"{row.error:.2g}"


def packed_table(rows: Sequence[TrainedRow]) -> Table:
    """A header, and a line for each size of digits' networks where bytes count: how large the packed file is.

    Examples
    --------
    >>> row = TrainedRow("n", "quantized", 0.25, False, 0.99, None, "", 0.2222, "7 bits", 240768)
    >>> packed_table([row])[1]
    [('25 %', 'n', 'quantized', '99.00', '22.2 %', '240 768 bytes', '7 bits')]
    """
    lines: list[tuple[str, ...]] = [
        (
            f"{100 * row.share:.3g} %",
            row.network,
            row.method + (", data" if row.data else ""),
            _shown(row),
            "–" if row.retained is None else f"{100 * row.retained:.1f} %",
            "–" if row.packed is None else f"{row.packed:,} bytes".replace(",", " "),
            row.how,
        )
        for row in sorted(rows, key=lambda row: -row.share)
        if row.method in OF_BYTES and row.accuracy is not None
    ]
    return ("at most", "network", "method", "right, %", "kept", "the packed file", "how"), lines
