"""State dicts with normalisations between their dense layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save_file
from torch import nn

import symlump as sl
from symlump.cli.main import main
from symlump.errors import NetworkError
from symlump.network.saved.writing import write_network
from symlump.network.state_dict import read_network

NORMS: dict[str, Any] = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
X = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))


class Model(nn.Module):
    def __init__(self, norm: Any, second: int = 6) -> None:
        super().__init__()
        self.fc1, self.n1 = nn.Linear(4, 8), norm(8)
        self.fc2, self.n2 = nn.Linear(8, second), norm(second)
        self.fc3 = nn.Linear(second, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(self.n1(self.fc1(x)))
        scores: torch.Tensor = self.fc3(torch.tanh(self.n2(self.fc2(x))))
        return scores


def trained(norm: str, second: int = 6) -> Model:
    torch.manual_seed(1)
    model = Model(NORMS[norm], second).eval()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm1d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    return model


def saved(state: dict[str, torch.Tensor], how: str, folder: Path) -> Path:
    if how == "sorted":
        save_file(state, str(folder / "net.safetensors"))
        return folder / "net.safetensors"
    nested = {"model": {f"module.{name}": t for name, t in state.items()}, "epoch": 3}
    torch.save(nested if how == "nested" else state, folder / "net.pt")
    return folder / "net.pt"


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("how", ["plain", "nested", "sorted"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_they_are_read_as_the_module_computes(
    norm: str, how: str, dtype: Any, tmp_path: Path
) -> None:
    model = trained(norm)
    state = {
        name: t.to(dtype) if t.is_floating_point() else t for name, t in model.state_dict().items()
    }
    found = read_network(saved(state, how, tmp_path), "tanh")
    model.load_state_dict(
        {name: t.float() if t.is_floating_point() else t for name, t in state.items()}
    )
    with torch.no_grad():
        expected = model(X).numpy()
    tolerance = {torch.float32: 1e-6, torch.float16: 1e-2, torch.bfloat16: 6e-2}[dtype]
    assert np.allclose(found.network(X.double().numpy()), expected, atol=tolerance)
    assert found.network.dtype == str(dtype).removeprefix("torch.")
    before = "module." * (how == "nested")
    assert found.norms == {f"{before}n{k}": f"{before}fc{k}" for k in (1, 2)}


@pytest.mark.parametrize("norm", NORMS)
def test_what_is_written_loads_into_the_module(norm: str, tmp_path: Path) -> None:
    model = trained(norm)
    found = read_network(saved(model.state_dict(), "nested", tmp_path), "tanh")
    method: Any = sl.AFDE(retain=0.7) if norm == "batch" else sl.Magnitude(retain=0.7)
    result = sl.compress(found.network, method)
    write_network(tmp_path / "small.pt", result.network, found)
    again = read_network(tmp_path / "small.pt", "tanh")
    x = X.double().numpy()
    assert np.allclose(again.network(x), result.network(x), atol=1e-6)
    assert all(
        name.startswith("module.") for name in torch.load(tmp_path / "small.pt", weights_only=True)
    )


def test_sizes_that_do_not_tell_are_refused_and_an_order_helps(tmp_path: Path) -> None:
    model = trained("batch", second=8)
    state = {
        {"n1": "a", "n2": "b"}.get(name.split(".")[0], name.split(".")[0])
        + "."
        + name.split(".")[1]: t
        for name, t in model.state_dict().items()
        if not name.startswith("n2")
    }
    path = saved(state, "sorted", tmp_path)
    with pytest.raises(NetworkError, match=r"neither order nor sizes tell.*--layers fc1,a"):
        read_network(path, "tanh")
    found = read_network(path, "tanh", order=["fc1", "a", "fc2", "fc3"])
    assert found.norms == {"a": "fc1"}
    model.n2 = nn.Identity()  # type: ignore[assignment]
    with torch.no_grad():
        expected = model(X).numpy()
    assert np.allclose(found.network(X.double().numpy()), expected, atol=1e-6)


def test_the_command_line_says_where_they_were_taken_to_stand(tmp_path: Path, capsys: Any) -> None:
    path = saved(trained("batch").state_dict(), "sorted", tmp_path)
    small = tmp_path / "small.safetensors"
    arguments = ["compress", str(path), "--activation", "tanh", "--retain", "0.7", "-o", str(small)]
    assert main([*arguments, "--method", "afde"]) == 0
    assert "n1 behind fc1, n2 behind fc2, before the activation" in capsys.readouterr().out
    assert read_network(small).network.parameters <= 0.7 * 108


@pytest.mark.parametrize("library", ["keras", "keras 3", "flax", "flax, layers"])
def test_normalisations_of_keras_and_flax(library: str, tmp_path: Path) -> None:
    """Their names, their layout, and the ε that each of them has where nothing is said."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(4, 8)), rng.normal(size=(8, 2))
    factor, constant, mean = rng.normal(size=(3, 8))
    variance = rng.uniform(1e-3, 2e-3, 8)  # so that ε counts
    x = rng.normal(size=(50, 4))
    h = x @ first
    if library == "flax, layers":
        mean, variance = h.mean(axis=1, keepdims=True), h.var(axis=1, keepdims=True)
    epsilon = {"keras": 1e-3, "keras 3": 1e-3, "flax": 1e-5, "flax, layers": 1e-6}[library]
    expected = np.tanh(factor * (h - mean) / np.sqrt(variance + epsilon) + constant) @ second
    names = {
        "keras": ["dense/kernel:0", "bn/gamma:0", "bn/beta:0", "bn/moving_mean:0", "bn/moving_variance:0",
                  "out/kernel:0"],
        "keras 3": ["dense/vars/0", *(f"bn/vars/{k}" for k in range(4)), "out/vars/0"],
        "flax": ["params.Dense_0.kernel", "params.BatchNorm_0.scale", "params.BatchNorm_0.bias",
                 "batch_stats.BatchNorm_0.mean", "batch_stats.BatchNorm_0.var", "params.Dense_1.kernel"],
        "flax, layers": ["params.Dense_0.kernel", "params.LayerNorm_0.scale", "params.LayerNorm_0.bias", "", "",
                         "params.Dense_1.kernel"],
    }[library]  # fmt: skip
    arrays = [first, factor, constant, mean, variance, second]
    held = {n: torch.from_numpy(a.copy()) for n, a in zip(names, arrays, strict=True) if n}
    found = read_network(saved(held, "sorted", tmp_path), "tanh")
    assert list(found.epsilons.values()) == [epsilon]
    assert np.allclose(found.network(x), expected, atol=1e-9)
    small = sl.compress(found.network, sl.AFDE(eps=0)).network
    write_network(tmp_path / "small.safetensors", small, found)
    again = read_network(tmp_path / "small.safetensors", "tanh")
    assert np.allclose(again.network(x), expected, atol=1e-9)


def test_standard_output(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    path = tmp_path / "net.pt"
    torch.save(Model(nn.LayerNorm).eval().state_dict(), path)
    found = read_network(path, "tanh")
    assert found.network.chain is None
    write_network("-", found.network, found)
    assert {*load(capfdbinary.readouterr().out)} == {*torch.load(path, weights_only=True)}
