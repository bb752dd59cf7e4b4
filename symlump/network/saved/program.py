"""A network as a program of ``torch.export``: one file with its weights, which needs nothing but torch."""

from __future__ import annotations

from pathlib import Path

import torch

from symlump.errors import FileFormatError, NetworkError
from symlump.files import replacing
from symlump.memory import memory_errors
from symlump.network.network import Network
from symlump.network.torch_io import to_torch

#: Its suffix.
SUFFIX = ".pt2"


@memory_errors()
def write_program(network: Network, path: str | Path) -> None:
    """Write a network as a program of ``torch.export``, whole or not at all; the number of samples stays open.

    Where it is loaded only torch is needed: ``torch.export.load("small.pt2").module()``.

    Parameters
    ----------
    network : Network
    path : path
        With the suffix .pt2.

    Raises
    ------
    NetworkError
        If torch cannot export it.
    FileFormatError
        If the suffix is another one.
    OutputError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "net.pt2"
    >>> write_program(Network.dense([[[1.0, 2.0]]], activation="relu"), path)
    >>> torch.export.load(path).module()(torch.ones(5, 2, dtype=torch.float64)).shape
    torch.Size([5, 1])
    """
    if Path(path).suffix.lower() != SUFFIX:
        raise FileFormatError(f"{path}: a program of torch has the suffix {SUFFIX}")
    model = to_torch(network).eval()
    dtype: torch.dtype = getattr(torch, network.dtype)
    # Whole numbers are given as such; two samples, for one would be taken for a constant.
    given = tuple(
        torch.zeros(2, *node.size, dtype=torch.int64 if node.values else dtype)
        for node in network.inputs
    )
    samples = torch.export.Dim("samples")
    try:
        program = torch.export.export(model, given, dynamic_shapes=[{0: samples} for _ in given])
    except Exception as error:  # torch's own classes
        reason = (str(error).strip().split("\n")[0])[:200]
        raise NetworkError(
            f"torch cannot export this network: {reason}; write it as ONNX (write_onnx)"
        ) from None
    with replacing(path) as temporary, temporary.open("wb") as content:
        torch.export.save(program, content)
