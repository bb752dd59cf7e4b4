"""Data on the command line: inputs, with targets or without, as CSV or as an array of numpy."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symlump.errors import FileFormatError

if TYPE_CHECKING:
    from symlump.network.network import Network


@dataclass(frozen=True, eq=False)
class Data:
    """Samples for a network.

    Parameters
    ----------
    inputs : ndarray, shape (samples, …), or a tuple of one for each of several inputs
    targets : ndarray or None
        Of shape (samples, numbers of all outputs), or (samples,) for class numbers; None if there are none.
    """

    inputs: Any
    targets: Any = None

    @property
    def pair(self) -> tuple[Any, Any] | None:
        """Inputs and targets, if there are some."""
        return None if self.targets is None else (self.inputs, self.targets)


def read_data(file: str, network: Network) -> Data:
    """Inputs of a network, and targets beside them if there are more columns.

    Several inputs, or outputs, are side by side. In an array (``.npy``) samples are first, of any shape.

    Raises
    ------
    FileFormatError
        If it is no table of numbers that fits the network.
    """
    import numpy as np

    from symlump.network.bounds.inputs import split_inputs

    path, inputs = Path(file), sum(prod(node.size) for node in network.inputs)
    outputs = sum(prod(network.shapes[name]) for name in network.outputs)
    try:
        table = _array(path) if path.suffix.lower() == ".npy" else _table(path)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise FileFormatError(f"{path} cannot be read as a table of numbers: {reason}") from None
    width = table.shape[1]
    labelled = outputs > 1 and width == inputs + 1
    if labelled or width in (inputs, inputs + outputs):
        odd = np.argwhere(~np.isfinite(table))
        if len(odd):
            row, column = (odd[0] + 1).tolist()
            raise FileFormatError(
                f"{path}: {table[row - 1, column - 1]:g} in column {column} of sample {row}; samples are "
                "finite numbers"
            )
    else:
        classes = ", or one class number" if outputs > 1 else ""
        raise FileFormatError(
            f"{path} has {width} columns; this network needs {inputs} inputs in each row, and behind them "
            f"nothing, or {outputs} targets{classes}"
        )
    parts = split_inputs(network, table[:, :inputs])
    given = parts[0] if len(parts) == 1 else tuple(parts)
    if width == inputs:
        return Data(given)
    return Data(given, table[:, inputs] if labelled else table[:, inputs:])


def _table(path: Path) -> Any:
    import numpy as np

    try:  # "-sig": a spreadsheet's byte-order mark would make a header of the first row
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(
            "it is not a text file; write a .csv file, or one array as .npy (numpy.save)"
        ) from None
    rows = (line.partition("#")[0] for line in text.splitlines())  # without comments
    lines = [row for row in rows if row.strip()]
    if lines and not all(_is_number(part) for part in lines[0].split(",")):
        lines = lines[1:]  # a header
    if not lines:
        raise ValueError("it has no rows of numbers")
    counts = [line.count(",") + 1 for line in lines]
    for number, count in enumerate(counts, start=1):
        if count != counts[0]:
            raise ValueError(f"row {number} has {count} columns, the rows before it {counts[0]}")
    return np.loadtxt(lines, delimiter=",", ndmin=2)


def _array(path: Path) -> Any:
    import numpy as np

    # Mapped, it is as large as the file, whatever it claims.
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.ndim < 2 or not array.size or array.dtype.kind not in "biuf":
        raise ValueError(
            f"it holds {array.dtype} of shape {array.shape}, not numbers with the samples first"
        )
    return np.asarray(array, dtype=np.float64).reshape(len(array), -1)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
