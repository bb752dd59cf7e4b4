"""The verb ``compress(model, method)``, and the plan behind it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

from symlump.compression.collapse import OutputWatch
from symlump.compression.compression import Compression
from symlump.compression.reduction import CompressionMethod, NetworkPlan, Reduction
from symlump.errors import MethodError, NetworkError
from symlump.memory import memory_errors
from symlump.network.network import Network
from symlump.network.recurrent.neural_ode import NeuralODE
from symlump.network.recurrent.recurrent_network import RecurrentNetwork
from symlump.network.shared import refuse_rearranged
from symlump.plan import Plan

_STILL = "the outputs hardly depend on the inputs any more; keep more, or take another method"

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import nn

    from symlump.compression.recurrent.field import FieldCompression
    from symlump.compression.recurrent.plan import RecurrentPlan
    from symlump.compression.recurrent.result import RecurrentCompression


@dataclass(frozen=True, eq=False)
class CompressionPlan(Plan[Compression]):
    """A network, what a method found out about it, and how results become models of the kind that was given.

    Parameters
    ----------
    method : CompressionMethod
    network : Network
    reductions : Plan of Reduction
        The method's plan.
    module : torch.nn.Module, optional
        What the network was read from, if that is what was given.
    """

    method: CompressionMethod
    network: Network
    reductions: Plan[Reduction] = field(repr=False)
    module: nn.Module | None = field(default=None, repr=False)

    @classmethod
    def of(
        cls,
        model: Network | nn.Module,
        method: CompressionMethod,
        example: torch.Tensor | Sequence[torch.Tensor] | None = None,
        leave_untouched: bool = False,
    ) -> CompressionPlan:
        """Read a model, and have a method analyse it; see :func:`compress`."""
        if not isinstance(method, CompressionMethod):
            raise MethodError(
                f"compress(model, method) takes a method such as AFDE(eps=0.1); got {method!r}"
            )
        if isinstance(model, Network):
            if example is not None or leave_untouched:
                raise MethodError(
                    "example=… and leave_untouched=… apply to torch modules; this network has been read already"
                )
            return cls(method, model, _planned(model, method))
        import torch

        from symlump.network.gradients import gradients
        from symlump.network.torch_io import from_torch

        if not isinstance(model, torch.nn.Module):
            raise NetworkError(
                f"compress takes a torch.nn.Module or a symlump.Network; got a {type(model).__name__}"
                + (
                    "; give its .module()"
                    if isinstance(model, torch.export.ExportedProgram)
                    else ""
                )
            )
        with gradients():
            network = from_torch(model, example, leave_untouched)
        return cls(method, network, _planned(network, method), model)

    @property
    def whole(self) -> int:
        """All parameters."""
        return self.reductions.whole

    @property
    def most(self) -> float:
        """See :class:`symlump.plan.Plan`."""
        return self.reductions.most

    def size(self, eps: float) -> int:
        """See :class:`symlump.plan.Plan`."""
        return self.reductions.size(eps)

    def tolerance(self, target: int) -> float:
        """See :class:`symlump.plan.Plan`."""
        return self.reductions.tolerance(target)

    def tolerances(self) -> list[float]:
        """See :class:`symlump.plan.Plan`."""
        return self.reductions.tolerances()

    def at(self, eps: float) -> Compression:
        """See :class:`symlump.plan.Plan`."""
        return self._reported(self.method.within(eps), self.reductions.at(eps))

    def reach(self, target: int) -> Compression:
        """See :class:`symlump.plan.Plan`."""
        return self._reported(self.method, self.reductions.reach(target))

    def retain(self, share: float) -> Compression:
        """See :class:`symlump.plan.Plan`."""
        return self._reported(self.method, self.reductions.retain(share))

    def settled(self) -> Compression:
        """What the method itself asks for."""
        return self._reported(self.method, self.method.settle(self.reductions))

    @cached_property
    def _watch(self) -> OutputWatch:
        if isinstance(self.reductions, NetworkPlan):
            return self.reductions.watch
        return OutputWatch.of(self.network)

    def _reported(self, method: CompressionMethod, reduction: Reduction) -> Compression:
        if not self._watch.moves(reduction.network):
            note = "; ".join(filter(None, (reduction.note, _STILL)))
            reduction = replace(reduction, note=note)
        reduction = reduction.in_its_dtype()
        return Compression(
            reduction.method or method, self.network, reduction, self._model(reduction)
        )

    def _model(self, reduction: Reduction) -> Any:
        if self.module is None:
            return reduction.network
        import torch

        from symlump.network.gradients import gradients
        from symlump.network.torch_io import to_torch

        with gradients():  # so that what is returned can be trained, wherever it was made
            model = reduction.finish(to_torch(reduction.network))
        device = next((p.device for p in self.module.parameters()), torch.device("cpu"))
        return model.to(device).train(self.module.training)


@overload
def compress(  # type: ignore[overload-overlap]
    model: nn.RNNBase | nn.RNNCellBase, method: CompressionMethod
) -> RecurrentCompression: ...
@overload
def compress(model: RecurrentNetwork, method: CompressionMethod) -> RecurrentCompression: ...
@overload
def compress(model: NeuralODE, method: CompressionMethod) -> FieldCompression: ...
@overload
def compress(
    model: Network | nn.Module,
    method: CompressionMethod,
    *,
    example: torch.Tensor | Sequence[torch.Tensor] | None = None,
    leave_untouched: bool = False,
) -> Compression: ...
@memory_errors()
def compress(
    model: Network | nn.Module | NeuralODE | RecurrentNetwork,
    method: CompressionMethod,
    *,
    example: torch.Tensor | Sequence[torch.Tensor] | None = None,
    leave_untouched: bool = False,
) -> Any:
    """Reduce a network by one of the methods of this package.

    Parameters
    ----------
    model : torch.nn.Module, Network, RecurrentNetwork, NeuralODE
    method : CompressionMethod
        Any method of this package, such as :class:`symlump.AFDE`, with its options.
    example : Tensor of shape (samples, …), or a tuple of them, optional
        For torch modules with convolutions or branches: an input, of any values.
    leave_untouched : bool
        Carry operations of a torch module that are not known along as they are, instead of refusing it.

    Returns
    -------
    Compression
        Its ``model`` is of the kind that was given: torch in, torch out. Of a module with RNN, GRU or LSTM
        cells a :class:`symlump.compression.recurrent.result.RecurrentCompression`, which answers the same
        questions; its model is of the class that was given. Of a neural ODE a
        :class:`symlump.compression.recurrent.field.FieldCompression`. What was read is a snapshot: what
        happens to the weights of ``model`` afterwards changes nothing in any of these results.

    Raises
    ------
    NetworkError
        If the model cannot be read, or the method does not reduce models of its kind.
    MethodError
        If an option does not fit the model.
    FailureError
        If a requested size cannot be reached.

    Examples
    --------
    >>> from symlump import AFDE
    >>> net = Network.dense([[[1.0, 2.0], [1.0, 2.0], [-1.0, -2.0]], [[0.5, 0.25, 1.0]]])
    >>> small = compress(net, AFDE(eps=0))
    >>> small.network, small.exact
    (<Network: 2–2–1, tanh, 6 parameters>, True)
    """
    if isinstance(model, NeuralODE):
        from symlump.compression.recurrent.field import compress_field

        _refuse_options("a neural ODE says its sizes itself", example, leave_untouched)
        return compress_field(model, method, compress)
    if is_recurrent(model):
        return recurrent_plan(model, method, example, leave_untouched).settled()
    assert not isinstance(model, RecurrentNetwork)
    return CompressionPlan.of(model, method, example, leave_untouched).settled()


def is_recurrent(model: object) -> bool:
    """Whether a model is a recurrent network, or a torch module with recurrent ones inside."""
    if isinstance(model, Network | RecurrentNetwork):
        return isinstance(model, RecurrentNetwork)
    from symlump.network.recurrent.torch_cells import holds_recurrent

    return holds_recurrent(model)


def recurrent_plan(
    model: Network | nn.Module | RecurrentNetwork,
    method: CompressionMethod,
    example: object,
    leave_untouched: bool,
) -> RecurrentPlan:
    """The plan of a model with recurrent cells.

    Raises
    ------
    MethodError
        If an option is given that belongs to networks without recurrence.
    """
    from symlump.compression.recurrent.plan import RecurrentPlan

    _refuse_options("sequences go into the method: AFDE(…, inputs=X)", example, leave_untouched)
    if isinstance(model, RecurrentNetwork):
        return RecurrentPlan.of_network(model, method)
    assert not isinstance(model, Network)
    return RecurrentPlan.of(model, method)


def _refuse_options(instead: str, example: object, leave_untouched: bool) -> None:
    if example is not None or leave_untouched:
        raise MethodError(
            f"example=… and leave_untouched=… are for networks without recurrence; {instead}"
        )


def _planned(network: Network, method: CompressionMethod) -> Plan[Reduction]:
    if not network.layers:
        raise NetworkError("this network has no layer with weights, so there is nothing to reduce")
    refuse_rearranged(network.rearranged)
    return method.plan(network)
