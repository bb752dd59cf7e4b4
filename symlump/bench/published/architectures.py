"""Architectures of timm with drawn weights: planted copies found again, read twice, reduced, written back.

Nothing is downloaded. Whatever stands still at the start (the last normalisation of a residual block is 0,
the scales of ConvNeXt's layers are 1e-6, the last layer of a mixer is 0) gets numbers, and in chosen layers
the second half of the units is made a copy of the first; so it is known beforehand how many units have to
be left where ε is 0.
"""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from symlump.bench.published.files import apart, outputs, relative_error, run_onnx, time_ratio
from symlump.compression.compress import compress
from symlump.compression.merging.afde import AFDE
from symlump.errors import MethodError, MissingExtraError, SymlumpError
from symlump.network.exchange.onnx_io import read_onnx
from symlump.network.exchange.onnx_write import write_onnx
from symlump.network.network import Network
from symlump.network.rewrite import reducible
from symlump.network.torch_io import from_torch

_SAMPLES = 16  # that errors are measured on


@dataclass(frozen=True)
class Planted:
    """An architecture, and where copies are planted.

    Parameters
    ----------
    options : dict
        Of ``timm.create_model``; pictures are of 64 × 64 pixels.
    counted : str
        Layers whose names end so have half of their units left.
    copied : tuple of str
        What else beside them holds a number, or a row, for each of these units.
    within : str
        A regular expression for the beginning of the names of all of these.
    """

    options: dict[str, Any]
    counted: tuple[str, ...]
    copied: tuple[str, ...] = ()
    within: str = ""


_SIZED = {"img_size": 64}
ARCHITECTURES = {
    "resnet18": Planted({}, (".conv1",), (".bn1",), "layer"),
    "mobilenetv3_small_100": Planted(
        {}, (".conv_pw", ".conv_dw"), (".bn1", ".bn2", ".se.conv_expand"), r"blocks\.[1-4]\."
    ),
    "convnext_tiny": Planted({}, (".mlp.fc1",)),
    "vit_tiny_patch16_224": Planted(_SIZED, (".mlp.fc1",)),
    "mixer_s32_224": Planted(_SIZED, (".mlp_tokens.fc1", ".mlp_channels.fc1")),
}


@dataclass(frozen=True)
class ArchitectureRow:
    """One architecture.

    Parameters
    ----------
    name : str
    parameters : int
    touched : float
        Share of the parameters in layers that make or read units which may merge.
    planted, restored : int
        Layers with copies, and those of them with half of their units where ε is 0, read from torch and from
        ONNX (the fewer of the two).
    exact : float
        The largest difference of the outputs there from the module's, relative to the largest output.
    retained, error, time : float
        At half of the parameters, as in :class:`symlump.bench.published.files.PublishedRow`.
    difference : float
        From onnxruntime, relative to the largest output: the larger of that of the network which was read from
        ONNX, on that file, and of the halved network, on its own.
    reason : str
        Why there is no result.
    """

    name: str
    parameters: int = 0
    touched: float = 0.0
    planted: int = 0
    restored: int = 0
    exact: float = 0.0
    retained: float = 0.0
    error: float = 0.0
    time: float = 0.0
    difference: float = 0.0
    reason: str = ""


def measure(names: list[str] | None = None) -> Iterator[ArchitectureRow]:
    """A row for each architecture, with the seed 0.

    Raises
    ------
    MissingExtraError
        If timm is not installed.
    MethodError
        If a name is none of :data:`ARCHITECTURES`.
    """
    try:
        timm: Any = import_module("timm")
    except (ImportError, RuntimeError):  # its torchvision may not fit the torch that is here
        raise MissingExtraError(
            "this experiment needs timm, and a torchvision that fits torch: pip install timm"
        ) from None
    unknown = sorted({*(names or ())}.difference(ARCHITECTURES))
    if unknown:
        raise MethodError(
            f"copies can be planted in {', '.join(ARCHITECTURES)}; {unknown[0]!r} is none of them"
        )
    for name in names or ARCHITECTURES:
        case = ARCHITECTURES[name]
        torch.manual_seed(0)
        model = timm.create_model(name, **case.options).eval()
        try:
            yield _row(name, model, case)
        except SymlumpError as error:
            yield ArchitectureRow(name, reason=str(error))


def _row(name: str, model: nn.Module, case: Planted) -> ArchitectureRow:
    _draw(model)
    planted = _plant(model, case)
    x = torch.randn(_SAMPLES, 3, 64, 64)
    given = [x.double().numpy()]
    with torch.no_grad():
        expected = model(x).double().numpy()
    network = from_torch(model, x[:1])
    merged = compress(network, AFDE(eps=0)).network
    half = compress(network, AFDE(retain=0.5))
    after = outputs(half.network, given)[0]
    with tempfile.TemporaryDirectory() as folder:
        path, written = Path(folder) / "net.onnx", Path(folder) / "half.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter, about itself
            torch.onnx.export(model, (x[:1],), str(path), dynamo=False)
        again = read_onnx(path)
        of_file = compress(again, AFDE(eps=0)).network
        write_onnx(half.network, written)
        one = [given[0][:1]]
        said = run_onnx(path, one)[0]
        difference = max(
            apart(outputs(again, one)[0], said),
            apart(outputs(of_file, one)[0], said),
            apart(run_onnx(written, one)[0], after[:1]),
        )
    return ArchitectureRow(
        name,
        network.parameters,
        reducible(network) / network.parameters,
        len(planted),
        min(_restored(part, planted) for part in (merged, of_file)),
        max(apart(outputs(part, given)[0], expected) for part in (network, merged)),
        half.retained,
        relative_error(after, expected),
        time_ratio(network, half.network),
        difference,
    )


def _draw(model: nn.Module) -> None:
    """Numbers for normalisations, scales, and layers that begin at zero."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d | nn.LayerNorm | nn.GroupNorm):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.1)
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None and module.running_var is not None
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
        for name, parameter in model.named_parameters():
            if name.endswith("gamma"):
                parameter.uniform_(0.1, 0.5)
            elif parameter.ndim > 1 and not parameter.any():
                parameter.normal_(0, 0.02)


def _plant(model: nn.Module, case: Planted) -> dict[str, int]:
    """Copy rows of the chosen layers; how many units each is to have left, by its name."""
    left: dict[str, int] = {}
    for name, module in model.named_modules():
        chosen = name.endswith((*case.counted, *case.copied)) and re.match(case.within, name)
        if not chosen:
            continue
        held: list[Any] = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
        with torch.no_grad():
            for tensor in held:
                if tensor.ndim:
                    half = len(tensor) // 2
                    tensor[half : 2 * half] = tensor[:half]
        if name.endswith(case.counted):
            left[name] = len(held[0]) - len(held[0]) // 2
    return left


def _restored(network: Network, planted: dict[str, int]) -> int:
    """In how many layers the copies are gone; in ONNX files the names of the operators stand behind."""
    units = {re.sub(r"\.(Conv|MatMul|Gemm)$", "", n.name): n.units for n in network.layers}
    return sum(
        any(name.endswith(place) and count == left for name, count in units.items())
        for place, left in planted.items()
    )


HEADER = (
    "architecture", "parameters", "touched", "restored", "exact", "kept", "error", "time", "onnxruntime",
)  # fmt: skip


def table(rows: list[ArchitectureRow]) -> list[tuple[str, ...]]:
    """One line for each architecture."""
    return [
        (row.name, *[""] * 7, f"not read: {row.reason}")
        if row.reason
        else (
            row.name,
            str(row.parameters),
            f"{100 * row.touched:.0f} %",
            f"{row.restored} of {row.planted}",
            f"{row.exact:.0e}",
            f"{100 * row.retained:.0f} %",
            f"{row.error:.2g}",
            f"{row.time:.2f}",
            f"{row.difference:.0e}",
        )
        for row in rows
    ]
