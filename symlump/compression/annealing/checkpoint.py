"""State of a long run in one safetensors file: arrays, and plain data as JSON in its header."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from symlump.errors import FileFormatError
from symlump.network.saved.tensors import save_tensors

_KEY = "symlump"


def write_checkpoint(
    path: Path, tensors: Mapping[str, torch.Tensor], data: Mapping[str, Any]
) -> None:
    """Write the file, whole or not at all: an older one stays until the new one is complete.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    save_tensors(path, tensors, {_KEY: json.dumps(data)})


def read_checkpoint(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what ``write_checkpoint`` has written; nothing in it is executed.

    Raises
    ------
    FileFormatError
        If it is something else.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "run.safetensors"
    >>> write_checkpoint(path, {"w": torch.ones(2)}, {"epoch": 3})
    >>> read_checkpoint(path)
    ({'w': tensor([1., 1.])}, {'epoch': 3})
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            data = json.loads((file.metadata() or {})[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise FileFormatError(f"{path} is not a symlump checkpoint: {error}") from None
    if not isinstance(data, dict):
        raise FileFormatError(
            f"{path} is not a symlump checkpoint: its header is not a JSON object"
        )
    return tensors, data


def digest(*values: Any) -> str:
    """A fingerprint of arrays, networks, methods and plain values: of their content, not identity.

    Examples
    --------
    >>> digest(np.ones(2), 1) == digest(np.ones(2), 1), digest(np.ones(2)) == digest(np.ones(3))
    (True, False)
    """
    state = hashlib.sha256()
    _feed(state, values)
    return state.hexdigest()


def _feed(state: Any, value: Any) -> None:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        state.update(f"array {value.dtype} {value.shape};".encode())
        state.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, tuple | list):
        state.update(f"sequence {len(value)};".encode())
        for part in value:
            _feed(state, part)
    elif isinstance(value, torch.nn.Module):
        state.update(f"{value!r};".encode())
        _feed(state, list(value.state_dict().items()))
    elif is_dataclass(value) and not isinstance(value, type):
        state.update(f"{type(value).__qualname__};".encode())
        _feed(state, [(f.name, getattr(value, f.name)) for f in fields(value)])
    elif callable(value):
        state.update(f"{getattr(value, '__qualname__', type(value).__qualname__)};".encode())
    else:
        state.update(f"{value!r};".encode())
