"""A run of annealing: its stages, its training, and how it is resumed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from math import cos, isclose, pi
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from symlump.compression.annealing.checkpoint import read_checkpoint, write_checkpoint
from symlump.compression.annealing.result import AnnealingStep
from symlump.compression.reduction import CompressionMethod, Reduction
from symlump.errors import FileFormatError, MethodError
from symlump.network.activations.table import activation
from symlump.network.chain import Chain, Layer
from symlump.network.network import Network
from symlump.network.torch_io import from_torch, to_torch

#: A loss as in torch: (predictions, targets) → scalar.
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Removal:
    """What was removed at the beginning of a stage, and what remained possible without training."""

    what: str
    tolerance: float | None
    loss_before: float
    accuracy_before: float | None


@dataclass
class State:
    """Where a run is: all that changes, and all that a checkpoint holds."""

    model: nn.Module
    stage: int = 0
    epoch: int = 0
    optimizer: torch.optim.Adam | None = None
    removal: Removal | None = None
    steps: list[AnnealingStep] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class AnnealingRun:
    """All that stays fixed while a model is annealed."""

    methods: tuple[CompressionMethod, ...]
    data: tuple[torch.Tensor, torch.Tensor]
    test: tuple[torch.Tensor, torch.Tensor]
    loss: Loss
    epochs: int
    before: int
    rate: float
    batch: int
    seed: int
    path: Path | None
    identity: str

    def stage(self, state: State, original: Network, advance: Callable[[str], None]) -> None:
        """Finish the current stage: remove (except for stage 0), train, measure."""
        if state.removal is None:
            what, tolerance = "start", None
            if state.stage:
                method = self.methods[state.stage - 1]
                reduction = method.apply(from_torch(state.model))
                _refuse_undone(method, reduction)
                device = next(state.model.parameters()).device
                state.model = to_torch(reduction.network).to(device)
                what, tolerance = method.label, reduction.eps
            state.removal = Removal(what, tolerance, *self.measure(state.model))
            state.optimizer = torch.optim.Adam(state.model.parameters(), lr=self.rate)
        total = self.epochs if state.stage else self.before
        assert state.optimizer is not None
        while state.epoch < total:
            self.train(state.model, state.optimizer, state.stage, state.epoch, total)
            state.epoch += 1
            advance(f"annealing, step {state.stage} of {len(self.methods)}")
            self.save(state)
        parameters = sum(p.numel() for p in state.model.parameters())
        loss, accuracy = self.measure(state.model)
        state.steps.append(
            AnnealingStep(
                **asdict(state.removal),
                parameters=parameters,
                retained=parameters / original.parameters,
                loss=loss,
                accuracy=accuracy,
            )
        )
        state.stage, state.epoch, state.removal, state.optimizer = state.stage + 1, 0, None, None
        self.save(state)

    def train(
        self, model: nn.Module, optimizer: torch.optim.Adam, stage: int, epoch: int, total: int
    ) -> None:
        """One epoch; the order of the samples depends on seed, stage and epoch only."""
        x, y = self.data
        entropy = np.random.SeedSequence((self.seed, stage, epoch)).generate_state(1)
        generator = torch.Generator().manual_seed(int(entropy[0]))
        parts = torch.split(torch.randperm(len(x), generator=generator), self.batch)
        for number, rows in enumerate(parts):
            done = (epoch + number / len(parts)) / total
            for group in optimizer.param_groups:
                group["lr"] = self.rate * (1 + cos(pi * done)) / 2
            loss = self.loss(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    def measure(self, model: nn.Module) -> tuple[float, float | None]:
        """Loss and accuracy on the test data."""
        x, y = self.test
        with torch.no_grad():
            outputs = torch.cat([model(part) for part in torch.split(x, 4096)])
            loss = float(self.loss(outputs, y))
        if y.is_floating_point():
            return loss, None
        return loss, float((outputs.argmax(dim=1) == y).double().mean())

    def check_last(self, state: State) -> None:
        """Measure a finished run again.

        Raises
        ------
        FileFormatError
            If its record says something else: the checkpoint is damaged.
        """
        (loss, _), last = self.measure(state.model), state.steps[-1]
        size = sum(p.numel() for p in state.model.parameters())
        if size != last.parameters or not isclose(loss, last.loss, rel_tol=1e-4, abs_tol=1e-9):
            raise FileFormatError(
                f"{self.path} is damaged: its network has {size} parameters and the loss {loss:.6g}, and its "
                f"record says {last.parameters} and {last.loss:.6g}"
            )

    def save(self, state: State) -> None:
        """Write the checkpoint, if there is to be one."""
        if self.path is None:
            return
        network = from_torch(state.model).dense_chain("anneal")
        tensors = {f"model.{name}": value for name, value in state.model.state_dict().items()}
        if state.optimizer is not None:
            for number, values in state.optimizer.state_dict()["state"].items():
                tensors |= {f"adam.{number}.{key}": value for key, value in values.items()}
        data = {
            "identity": self.identity,
            "stage": state.stage,
            "epoch": state.epoch,
            "removal": None if state.removal is None else asdict(state.removal),
            "steps": [asdict(step) for step in state.steps],
            "dtype": network.dtype,
            "layers": [
                {
                    "shape": layer.weight.shape,
                    "bias": layer.bias is not None,
                    "activation": layer.activation.name,
                }
                for layer in network.layers
            ],
        }
        write_checkpoint(self.path, tensors, data)

    def resume(self, original: Network, device: torch.device) -> State | None:
        """The state in the checkpoint; None if there is none.

        Raises
        ------
        MethodError
            If it is of another run.
        """
        if self.path is None or not self.path.exists():
            return None
        tensors, data = read_checkpoint(self.path)
        if data.get("identity") != self.identity:
            raise MethodError(
                f"{self.path} is the checkpoint of another run: model, data, schedule or options "
                "differ; give another file name, or delete it to begin anew"
            )
        try:
            return self._state(original, tensors, data, device)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise FileFormatError(f"{self.path} is damaged: {error}") from None

    def _state(
        self,
        original: Network,
        tensors: dict[str, torch.Tensor],
        data: dict[str, Any],
        device: torch.device,
    ) -> State:
        layers = tuple(
            Layer(
                np.zeros(row["shape"]),
                np.zeros(row["shape"][0]) if row["bias"] else None,
                activation(row["activation"]),
            )
            for row in data["layers"]
        )
        model = to_torch(original.with_chain(Chain(layers, data["dtype"]))).to(device)
        model.load_state_dict(_part(tensors, "model."))
        state = State(model, data["stage"], data["epoch"])
        state.steps = [AnnealingStep(**step) for step in data["steps"]]
        if data["removal"] is not None:
            state.removal = Removal(**data["removal"])
            state.optimizer = torch.optim.Adam(model.parameters(), lr=self.rate)
            moments: dict[int, dict[str, torch.Tensor]] = {}
            for name, value in _part(tensors, "adam.").items():
                number, _, key = name.partition(".")
                moments.setdefault(int(number), {})[key] = value
            groups_of = state.optimizer.state_dict()["param_groups"]
            state.optimizer.load_state_dict({"state": moments, "param_groups": groups_of})
        return state


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {n.removeprefix(prefix): tensor for n, tensor in tensors.items() if n.startswith(prefix)}


def _refuse_undone(method: CompressionMethod, reduction: Reduction) -> None:
    """Raise if what was saved is in weights that training moves again.

    Raises
    ------
    MethodError
        With methods whose smaller networks stay small.
    """
    held = reduction.network.parameters
    if reduction.retained_parameters < held:
        raise MethodError(
            f"{method.label} leaves {held} weights and biases, of which it counts "
            f"{reduction.retained_parameters}: what it made zero, rounded or stored in blocks would be as "
            "before after training; anneal with AFDE, Dependence, Symmetric or TruncatedSVD"
        )
