"""Annealing: remove a little, train a little, and so on, down to a small network.

References
----------
Shah, Olivier, Raj, arXiv:2005.14070: linear redundancy elimination with a tolerance that rises during
training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.progress import Progress
from torch import nn

from symlump.compression.annealing.checkpoint import digest
from symlump.compression.annealing.result import Annealing
from symlump.compression.annealing.run import AnnealingRun, Loss, State
from symlump.compression.dependences.dependence import Dependence
from symlump.compression.reduction import CompressionMethod
from symlump.errors import MethodError, first_line
from symlump.memory import memory_errors
from symlump.network.chain import Chain
from symlump.network.gradients import gradients
from symlump.network.torch_io import from_torch, to_torch
from symlump.plain_numbers import is_whole
from symlump.plan import check_tolerance


@runtime_checkable
class AnnealingSamples(Protocol):
    """Anything with inputs and targets, such as a data set of :mod:`symlump.datasets`."""

    @property
    def inputs(self) -> npt.NDArray[Any]:
        """Shape (samples, inputs)."""

    @property
    def targets(self) -> npt.NDArray[Any]:
        """Shape (samples, outputs), or class numbers of shape (samples,)."""


Data = AnnealingSamples | tuple[npt.ArrayLike, npt.ArrayLike]


@gradients()
@memory_errors()
def anneal(
    model: nn.Module,
    data: Data,
    schedule: Iterable[float | CompressionMethod],
    loss: Loss | None = None,
    *,
    epochs: int = 20,
    before: int = 0,
    rate: float = 1e-3,
    batch: int = 128,
    seed: int = 0,
    test: Data | None = None,
    checkpoint: str | Path | None = None,
) -> Annealing:
    """Reduce a network in steps, with training between them.

    Parameters
    ----------
    model : torch.nn.Module
        Trained, or fresh with ``before`` > 0. It is not changed.
    data : (inputs, targets), or an object with these two
        Inputs of shape (samples, inputs); targets of shape (samples, outputs), or class numbers
        (integers) of shape (samples,).
    schedule : sequence of float or method
        What is removed before each training. A number is a tolerance of :class:`Dependence` on the
        inputs of ``data``; numbers must rise. Any method of ``compress`` that leaves fewer units or thinner
        matrices may stand there instead: ``[Dependence(retain=0.7, inputs=x)] * 10`` keeps 70 % of what there
        is, ten times. What prunes weights, rounds them or stores blocks is refused, for training would undo it.
    loss : callable, optional
        As ``torch.nn.CrossEntropyLoss()``: (predictions, targets) → scalar. Cross-entropy for class
        numbers and mean squared error otherwise, unless told.
    epochs, before : int
        Epochs of training after each removal, and before the first.
    rate, batch : float, int
        Of Adam, whose rate falls along a half cosine in each step.
    seed : int
        Of the order of the samples. Equal seeds give equal results on the same machine.
    test : like data, optional
        What loss and accuracy are measured on; ``data`` if not given.
    checkpoint : path, optional
        A file written after each epoch. If it exists, the run goes on from there, to the result that
        it would have had without the interruption.

    Returns
    -------
    Annealing

    Raises
    ------
    MethodError
        If an option does not fit, or the checkpoint is of another run.
    NetworkError
        If the model cannot be read.
    FileFormatError
        If the checkpoint cannot be read or written.

    References
    ----------
    Shah, Olivier, Raj, arXiv:2005.14070.

    Examples
    --------
    >>> _ = torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(2, 30), nn.ReLU(), nn.Linear(30, 2))
    >>> x = torch.randn(200, 2)
    >>> result = anneal(model, (x, (x[:, 0] > x[:, 1]).long()), [0.05, 0.2], epochs=2, before=5)
    >>> [step.parameters for step in result.steps][0], len(result.steps), result.retained < 0.5
    (152, 3, True)
    """
    network = from_torch(model)
    chain = network.dense_chain("anneal")
    device, dtype = next(model.parameters()).device, next(model.parameters()).dtype
    training = _tensors(data, chain, dtype, device)
    measured = training if test is None else _tensors(test, chain, dtype, device)
    loss = _loss(loss, chain.outputs, training, measured)
    numbers = (("epochs", epochs, 0), ("before", before, 0), ("batch", batch, 1), ("seed", seed, 0))
    for name, value, least in numbers:
        if not is_whole(value, least):
            raise MethodError(f"{name}={value!r}: give a whole number, {least} or larger")
    check_tolerance(rate, "rate")
    methods = _methods(schedule, training[0])
    options = (methods, loss, epochs, before, rate, batch, seed)
    run = AnnealingRun(
        *(methods, training, measured, loss, epochs, before, rate, batch, seed),
        path=None if checkpoint is None else Path(checkpoint),
        identity=digest(_content(chain), training, measured, options),
    )
    state = run.resume(network, device) or State(to_torch(network).to(device))
    if state.stage > len(methods):
        run.check_last(state)
    with _shown(before + len(methods) * epochs) as advance:
        while state.stage <= len(methods):
            run.stage(state, network, advance)
    return Annealing(state.model.train(model.training), network, tuple(state.steps))


def pair_of(data: Data) -> tuple[Any, Any]:
    """Inputs and targets.

    Raises
    ------
    MethodError
        If these are not two.

    Examples
    --------
    >>> pair_of(([[1.0]], [0]))
    ([[1.0]], [0])
    """
    if not isinstance(data, AnnealingSamples | Iterable):
        raise MethodError(
            f"data must be a pair (inputs, targets), or an object with both; got a {type(data).__name__}"
        )
    pair = (data.inputs, data.targets) if isinstance(data, AnnealingSamples) else tuple(data)
    if len(pair) != 2:
        raise MethodError(
            f"data must be a pair (inputs, targets), or an object with both; got {len(pair)} parts"
        )
    return pair


def _tensors(
    data: Data, chain: Chain, dtype: torch.dtype, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets as tensors; class numbers stay integers."""
    x, y = (np.asarray(part) for part in pair_of(data))
    for what, array in (("inputs", x), ("targets", y)):
        if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
            raise MethodError(
                f"{what} are finite numbers; got {array.dtype} with others among them"
            )
    if x.ndim != 2 or x.shape[1] != chain.inputs or not len(x):
        raise MethodError(f"inputs have shape (samples, {chain.inputs}); got {x.shape}")
    classes = y.dtype.kind in "iu"
    if y.shape != ((len(x),) if classes else (len(x), chain.outputs)):
        raise MethodError(
            f"targets for {len(x)} samples are class numbers (integers) of shape ({len(x)},) or numbers "
            f"of shape ({len(x)}, {chain.outputs}); got {y.dtype} of shape {y.shape}"
        )
    kind = torch.int64 if classes else dtype
    return (
        torch.as_tensor(x, dtype=dtype, device=device),
        torch.as_tensor(y.astype(np.int64) if classes else y, dtype=kind, device=device),
    )


def _methods(
    schedule: Iterable[float | CompressionMethod], inputs: torch.Tensor
) -> tuple[CompressionMethod, ...]:
    """The schedule with tolerances written as methods."""
    if isinstance(schedule, str) or not isinstance(schedule, Iterable):
        raise MethodError(
            f"schedule={schedule!r}: give a sequence of tolerances or methods, such as [0.1, 0.2, 0.4]"
        )
    methods: list[CompressionMethod] = []
    largest = 0.0
    x = inputs.cpu().double().numpy()
    for number, entry in enumerate(schedule, start=1):
        if isinstance(entry, CompressionMethod):
            methods.append(entry)
            continue
        check_tolerance(entry, f"schedule: step {number}")
        if entry < largest:
            raise MethodError(
                f"schedule: step {number} is {entry!r}, smaller than an earlier step; "
                "tolerances must not decrease"
            )
        largest = entry
        methods.append(Dependence(eps=entry, inputs=x))
    return tuple(methods)


def _loss(loss: Loss | None, outputs: int, *parts: tuple[torch.Tensor, torch.Tensor]) -> Loss:
    """The loss, the usual one where none is given; tried on the targets, before hours of training."""
    if loss is None:
        classes = not parts[0][1].is_floating_point()
        loss = nn.functional.cross_entropy if classes else nn.functional.mse_loss
        for _, y in parts if classes else ():
            if not 0 <= int(y.min()) <= int(y.max()) < outputs:
                raise MethodError(
                    f"targets are class numbers from {int(y.min())} to {int(y.max())}; the network has "
                    f"{outputs} outputs, for the classes 0 to {outputs - 1}"
                )
    if not callable(loss):
        raise MethodError(
            f"loss={loss!r}: give a function of predictions and targets, as in torch.nn"
        )
    for x, y in parts:
        try:
            value = loss(torch.zeros(len(y), outputs, dtype=x.dtype, device=x.device), y)
        except Exception as error:  # the caller's own code can raise anything
            reason = first_line(error)
            raise MethodError(
                f"the loss fails on predictions of shape {(len(y), outputs)} and targets of "
                f"shape {tuple(y.shape)}, {y.dtype}: {reason}"
            ) from None
        if not isinstance(value, torch.Tensor) or value.numel() != 1:
            raise MethodError("the loss must give one number, as a tensor; reduce it by its mean")
    return loss


def _content(chain: Chain) -> list[Any]:
    return [(layer.weight, layer.bias, layer.activation.name) for layer in chain.layers]


@contextmanager
def _shown(total: int) -> Iterator[Callable[[str], None]]:
    """A progress bar on standard error, where a person is watching."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("annealing", total=total)
        yield lambda text: progress.update(task, advance=1, description=text)
