"""Weights in an ONNX file as whole numbers and steps, from which a DequantizeLinear gives them back exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from symlump.errors import NetworkError
from symlump.network.network import Network
from symlump.network.precision import PRECISIONS
from symlump.network.saved.codings import Grid, find_grid
from symlump.ode.exact import FloatArray

#: The first version with whole numbers of 4 and of 16 bits there, and that of its files.
PACKED_OPSET, PACKED_IR_VERSION = 21, 10


@dataclass(frozen=True, eq=False)
class QuantizedWeight:
    """A weight as DequantizeLinear takes it.

    Parameters
    ----------
    onnx : module
    grid : Grid
    bits : {4, 8, 16}
        Of each whole number in the file.
    """

    onnx: Any
    grid: Grid
    bits: int

    @property
    def _axes(self) -> list[int]:
        return [axis for axis, size in enumerate(self.grid.steps.shape) if size > 1]

    @property
    def steps(self) -> FloatArray:
        """One number, or one for each place of an axis."""
        steps = self.grid.steps
        return steps.ravel() if self._axes else steps.reshape(())

    @property
    def attributes(self) -> dict[str, int]:
        """The axis, where there is one."""
        return {"axis": self._axes[0]} if self._axes else {}

    def tensor(self, name: str) -> Any:
        """The whole numbers."""
        codes = self.grid.codes
        if self.bits == 4:  # two in a byte, the first one lower
            nibbles = np.append(codes.ravel() & 15, [0] * (codes.size % 2)).astype(np.uint8)
            data = (nibbles[::2] | nibbles[1::2] << 4).tobytes()
        else:
            data = codes.astype(f"<i{self.bits // 8}").tobytes()
        kind = getattr(self.onnx.TensorProto, f"INT{self.bits}")
        return self.onnx.TensorProto(name=name, data_type=kind, dims=codes.shape, raw_data=data)


class QuantizedWeights:
    """Finds weights that are whole numbers times steps.

    Parameters
    ----------
    onnx : module
    network : Network
        The one that is written.

    Attributes
    ----------
    newer : bool
        Whether one was found that only a newer version of ONNX holds so.
    """

    def __init__(self, onnx: Any, network: Network) -> None:
        self._onnx, self._precision, self.newer = onnx, PRECISIONS[network.dtype], False
        self._one_version = bool(network.untouched)  # which operators left untouched are in

    def find(self, array: FloatArray) -> QuantizedWeight | None:
        """How a weight is stored; None where it stays as it is.

        Raises
        ------
        NetworkError
            If ONNX has no such operator for the network's numbers.
        """
        grid = find_grid(array, self._precision)
        if grid is None or grid.bits > self._precision.digits:  # or codes are no numbers of it
            return None
        if self._precision.name == "float64":
            raise NetworkError(
                "ONNX has DequantizeLinear in float32 and float16, and this network is of float64: read it "
                "from model.float(), or write it without packed=True, or as .safetensors"
            )
        possible = (8,) if self._one_version else (4, 8, 16)
        bits = next((b for b in possible if grid.bits <= b), 0)
        self.newer |= bits not in (0, 8)
        return QuantizedWeight(self._onnx, grid, bits) if bits else None
