"""Structured pruning by Torch-Pruning, which symlump does not need: measured where it is installed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from symlump.compression.reduction import CompressionMethod, NetworkPlan, Reduction
from symlump.errors import FailureError, MissingExtraError
from symlump.network.network import Network
from symlump.network.torch_io import from_torch, to_torch
from symlump.plan import check_wish

if TYPE_CHECKING:
    import torch
    from torch import nn

    from symlump.ode.exact import IntArray

#: What makes a unit important.
CRITERIA = ("L2", "Taylor", "random")
_STEPS = 12  # of the bisection


def is_installed() -> bool:
    """Whether there is Torch-Pruning."""
    return find_spec("torch_pruning") is not None


def prune(
    model: nn.Module,
    ratio: float,
    x: torch.Tensor,
    criterion: str = "L2",
    classes: torch.Tensor | None = None,
) -> nn.Module:
    """A copy of a model without a share of the units, or channels, of every layer but the last.

    Parameters
    ----------
    model : torch.nn.Module
    ratio : float
        The share that goes.
    x : torch.Tensor
        Inputs; "Taylor" looks at all of them, with their classes.
    criterion : {"L2", "Taylor", "random"}
    classes : torch.Tensor, optional

    Raises
    ------
    MissingExtraError
        If Torch-Pruning is not installed.
    """
    import torch
    from torch import nn

    if not is_installed():
        raise MissingExtraError("this needs Torch-Pruning: pip install torch-pruning")
    import torch_pruning

    model = copy.deepcopy(model)
    last = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
    importance = {
        "L2": lambda: torch_pruning.importance.GroupMagnitudeImportance(p=2),
        "Taylor": torch_pruning.importance.GroupTaylorImportance,
        "random": torch_pruning.importance.RandomImportance,
    }[criterion]()
    if criterion == "Taylor":
        assert classes is not None
        loss = nn.functional.cross_entropy(model(x), classes)
        loss.backward()  # type: ignore[no-untyped-call]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch_pruning.pruner.BasePruner(
            model, x[:2], importance=importance, pruning_ratio=ratio, ignored_layers=[last]
        ).step()
    return model.eval()


def smallest_ratio(
    prune_to: Callable[[float], nn.Module], most: float, largest: float = 1.0
) -> float:
    """The smallest ratio found whose model has at most so many parameters; the largest where none has."""
    low, high = 0.0, largest
    for _ in range(_STEPS):
        ratio = (low + high) / 2
        if parameters(prune_to(ratio)) <= most:
            high = ratio
        else:
            low = ratio
    return high


def parameters(model: nn.Module) -> int:
    """How many numbers a model learns."""
    return sum(p.numel() for p in model.parameters())


@dataclass(frozen=True, eq=False)
class StructuredPruning(CompressionMethod):
    """Torch-Pruning of a dense network: the units of least 2-norm go, as many in each layer, without a refit.

    Parameters
    ----------
    eps : float, optional
        The share of the units of a layer that go.
    retain : float, optional
        Instead: the share of parameters to keep, in (0, 1].
    """

    eps: float | None = None
    retain: float | None = None

    def __post_init__(self) -> None:
        check_wish(self, eps=self.eps, retain=self.retain)

    @property
    def label(self) -> str:
        """See :class:`symlump.compression.reduction.CompressionMethod`."""
        return "Torch-Pruning, L2"

    def plan(self, network: Network) -> _Ratios:
        """See :class:`symlump.plan.Method`."""
        return _Ratios(network)


@dataclass(frozen=True, eq=False)
class _Ratios(NetworkPlan):
    """A network as a torch module; results are pruned anew for each ratio."""

    network: Network

    @cached_property
    def _model(self) -> nn.Module:
        return to_torch(self.network).eval()

    def _pruned(self, ratio: float) -> nn.Module:
        import torch

        dtype = next(self._model.parameters()).dtype
        x = torch.zeros((2, *self.network.inputs[0].size), dtype=dtype)
        return prune(self._model, ratio, x)

    @property
    def most(self) -> float:
        """See :class:`symlump.plan.Plan`."""
        return 1 - 1 / min(layer.units for layer in self.network.hidden)  # a unit stays

    def size(self, eps: float) -> int:
        """See :class:`symlump.plan.Plan`."""
        return parameters(self._pruned(eps))

    def tolerance(self, target: int) -> float:
        """See :class:`symlump.plan.Plan`."""
        if (least := self.size(self.most)) > target:
            raise FailureError(
                f"Torch-Pruning leaves at least {least} parameters, more than {target}"
            )
        return smallest_ratio(self._pruned, target, self.most)

    def at(self, eps: float) -> Reduction:
        """See :class:`symlump.plan.Plan`."""
        small = from_torch(self._pruned(eps))
        assert isinstance(small, Network)
        removed = self.network.parameters - small.parameters
        return Reduction(
            small,
            _kept(self.network, small),
            small.parameters,
            eps,
            float(removed),
            measure="ε is the share of the units of each layer that go, δ how many parameters went",
        )


def _kept(before: Network, after: Network) -> tuple[IntArray, ...]:
    """The units that stayed: their rows are those of before, without the columns of units that went."""
    before, after = before.rounded(), after.rounded()
    maps, columns = [], np.arange(before.layers[0].weight.shape[1])
    for old, new in zip(before.hidden, after.hidden, strict=True):
        rows = old.weight[:, columns]
        units = np.full(old.units, -1)
        place = 0
        for unit, row in enumerate(rows):
            if place < new.units and np.array_equal(row, new.weight[place]):
                units[unit], place = place, place + 1
        maps.append(units)
        columns = np.flatnonzero(units >= 0)
    return tuple(maps)
