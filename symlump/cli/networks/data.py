"""Data on the command line: a CSV file of inputs and targets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from symlump.errors import FileFormatError, MethodError

if TYPE_CHECKING:
    from symlump.datasets.dataset import Dataset
    from symlump.network.network import Network


def read_data(file: str, network: Network) -> Dataset:
    """Inputs and targets of a network from a CSV file.

    Raises
    ------
    FileFormatError
        If it is no table of numbers that fits the network.
    """
    import numpy as np

    from symlump.datasets.dataset import Dataset

    path, (inputs, outputs) = Path(file), _sizes(network)
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
    if table.shape[1] != inputs + outputs or not np.isfinite(table).all():
        raise FileFormatError(
            f"{path} has {table.shape[1]} columns; this network needs {inputs} inputs and {outputs} "
            "targets in each row, all finite numbers"
        )
    return Dataset(
        path.name,
        table[:, :inputs],
        table[:, inputs:],
        tuple(f"x{i + 1}" for i in range(inputs)),
        tuple(f"y{i + 1}" for i in range(outputs)),
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _sizes(network: Network) -> tuple[int, int]:
    """How many numbers a sample and its targets have."""
    from math import prod

    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise MethodError("--data is for networks with one input and one output")
    return prod(network.inputs[0].size), prod(network.shapes[network.outputs[0]])
