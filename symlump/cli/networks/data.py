"""Data on the command line: a CSV file of inputs and targets."""

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
    targets : ndarray, shape (samples, numbers of all outputs), or (samples,) for class numbers
    """

    inputs: Any
    targets: Any


def read_data(file: str, network: Network) -> Data:
    """Inputs and targets of a network from a CSV file; several inputs, or outputs, are side by side.

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
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        if lines and not all(_is_number(part) for part in lines[0].split(",")):
            lines = lines[1:]  # a header
        if not lines:
            raise ValueError("it has no rows of numbers")
        table = np.loadtxt(lines, delimiter=",", ndmin=2)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise FileFormatError(f"{path} cannot be read as a table of numbers: {reason}") from None
    labelled = outputs > 1 and table.shape[1] == inputs + 1
    if not (labelled or table.shape[1] == inputs + outputs) or not np.isfinite(table).all():
        classes = ", or one class number," if outputs > 1 else ""
        raise FileFormatError(
            f"{path} has {table.shape[1]} columns; this network needs {inputs} inputs and {outputs} "
            f"targets{classes} in each row, all finite numbers"
        )
    parts = split_inputs(network, table[:, :inputs])
    return Data(
        parts[0] if len(parts) == 1 else tuple(parts),
        table[:, inputs] if labelled else table[:, inputs:],
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
