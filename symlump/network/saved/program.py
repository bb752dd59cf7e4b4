"""A network as a program of ``torch.export``: one file with its weights, which needs nothing but torch."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from symlump.errors import FileFormatError, NetworkError, first_line
from symlump.files import replacing
from symlump.memory import memory_errors
from symlump.network.gradients import evaluating
from symlump.network.network import Network
from symlump.network.torch_io import to_torch

#: Its suffix.
SUFFIX = ".pt2"


@memory_errors()
def write_program(
    model: Network | nn.Module,
    path: str | Path,
    example: torch.Tensor | Sequence[torch.Tensor] | None = None,
) -> None:
    """Write a network as a ``torch.export`` program, for any number of samples, whole or not at all.

    Where it is loaded only torch is needed: ``torch.export.load("small.pt2").module()``.

    Parameters
    ----------
    model : Network or torch.nn.Module
        A module, such as one with recurrent cells, or a field called as f(t, h), is written as in evaluation.
    path : path
        With the suffix .pt2.
    example : Tensor, or a tuple of them, optional
        What a module is called with, of any values: two samples or more. Sizes that may vary stay open, unless
        they are 1 here; the length of what a recurrent cell reads may not, as torch writes it step by step.

    Raises
    ------
    NetworkError
        If torch cannot export it, or a module comes without an example.
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
    >>> write_program(nn.GRU(2, 3), path, example=torch.zeros(9, 2, 2))
    >>> torch.export.load(path).module()(torch.ones(9, 4, 2))[0].shape
    torch.Size([9, 4, 3])
    """
    if Path(path).suffix.lower() != SUFFIX:
        raise FileFormatError(f"{path}: a program of torch has the suffix {SUFFIX}")
    written = (
        _of_module(model, example) if isinstance(model, nn.Module) else _of_network(model, example)
    )
    with replacing(path) as temporary, temporary.open("wb") as content:
        torch.export.save(written, content)


def _of_network(network: Network, example: object) -> Any:
    if example is not None:
        raise NetworkError(f"example=… is for modules; {network!r} knows the shapes of its inputs")
    model = to_torch(network).eval()
    dtype: torch.dtype = getattr(torch, network.dtype)
    # Whole numbers are given as such; two samples, for one would be taken for a constant.
    given = tuple(
        torch.zeros(2, *node.size, dtype=torch.int64 if node.values else dtype)
        for node in network.inputs
    )
    samples = torch.export.Dim("samples")
    return _exported(model, given, [{0: samples} for _ in given])


def _of_module(model: nn.Module, example: torch.Tensor | Sequence[torch.Tensor] | None) -> Any:
    if example is None:
        raise NetworkError(
            f"a {type(model).__name__} does not say what it reads; give an input: "
            "write_program(model, path, example=torch.zeros(2, …))"
        )
    given = tuple(example) if isinstance(example, list | tuple) else (example,)
    axes = [dict.fromkeys(range(x.ndim), torch.export.Dim.AUTO) for x in given]
    with evaluating(model), warnings.catch_warnings():
        # torch.export says so of torch's own recurrent modules, and undoes it.
        warnings.filterwarnings("ignore", "The tensor attribute.* assigned during export")
        return _exported(model, given, axes)


def _exported(model: nn.Module, given: tuple[torch.Tensor, ...], open_axes: list[Any]) -> Any:
    try:
        return torch.export.export(model, given, dynamic_shapes=open_axes)
    except Exception as error:  # torch's own classes
        reason = first_line(error)
        raise NetworkError(
            f"torch cannot export this network: {reason}; write it as ONNX (write_onnx)"
        ) from None
