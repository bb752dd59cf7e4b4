"""All weights of a reduced network fitted towards the outputs of the original one, without any targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from symlump.compression.merging.effect import outputs_on, spread_of
from symlump.errors import FailureError
from symlump.network.gradients import gradients
from symlump.network.network import Network
from symlump.network.torch_io import read_back, to_torch
from symlump.ode.exact import FloatArray

_HISTORY = 20
#: So many samples are compared at once, as new memory takes time.
_TOGETHER = 256


@gradients()
def fit_outputs(
    small: Network,
    original: Network,
    x: Sequence[FloatArray],
    steps: int,
) -> tuple[Network, float]:
    """Minimise E‖f̂(x) − f(x)‖² over the weights and biases of f̂, by L-BFGS.

    Parameters
    ----------
    small, original : Network
        f̂ to start from, and f.
    x : sequence of ndarray
        Samples of each input.
    steps : int
        Iterations; each takes a few evaluations of f̂ and its gradient on all samples.

    Returns
    -------
    network : Network
        Never worse than ``small`` on the samples.
    error : float
        Root mean square of the outputs' difference there, relative to their standard deviation.

    Raises
    ------
    FailureError
        If the outputs are not finite.

    References
    ----------
    Hinton, Vinyals, Dean, "Distilling the knowledge in a neural network", arXiv:1503.02531.

    Examples
    --------
    >>> original = Network.dense([[[1.0], [0.9]], [[0.5, 0.5]]])
    >>> small = Network.dense([[[1.0]], [[1.0]]])
    >>> x = np.linspace(-1, 1, 21)[:, None]
    >>> error_before = fit_outputs(small, original, [x], 0)[1]
    >>> fit_outputs(small, original, [x], 20)[1] < 0.1 * error_before
    True
    """
    wanted = outputs_on(original, x)
    variance = spread_of(wanted)
    if not steps:
        return small, output_error(outputs_on(small, x), wanted, variance)
    inputs = [torch.from_numpy(np.require(part, np.float64, ["C", "W"])) for part in x]
    targets = torch.from_numpy(wanted.astype(np.float64))
    model = to_torch(replace(small, dtype="float64", as_dict=False))

    def loss() -> torch.Tensor:
        found = model(*inputs)
        parts = found if isinstance(found, tuple) else (found,)
        difference = torch.hstack([part.flatten(1) for part in parts]) - targets
        return difference.square().sum() / (len(targets) * variance)

    best = _finite(float(loss().detach()))
    state = {k: v.clone() for k, v in model.state_dict().items()}
    optimizer = torch.optim.LBFGS(
        list(model.parameters()),
        max_iter=steps,
        max_eval=4 * steps,
        history_size=_HISTORY,
        line_search_fn="strong_wolfe",
        tolerance_grad=0.0,
        tolerance_change=0.0,
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    if best > 0:
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    found = float(loss().detach())
    if found < best:
        best = found
    else:
        model.load_state_dict(state)
    return read_back(small, model), float(np.sqrt(best))


def output_error(given: FloatArray, wanted: FloatArray, spread: float) -> float:
    """Root mean square of the outputs' difference, relative to their standard deviation.

    Raises
    ------
    FailureError
        If the outputs are not finite.

    Examples
    --------
    >>> wanted = np.array([[1.0], [3.0]])
    >>> output_error(wanted + 0.5, wanted, spread=1.0)
    0.5
    """
    total = 0.0
    for start in range(0, len(given), _TOGETHER):
        gap = given[start : start + _TOGETHER] - wanted[start : start + _TOGETHER]
        total += float(np.vdot(gap, gap))
    return float(np.sqrt(_finite(total / (len(given) * spread))))


def _finite(loss: float) -> float:
    """Refuse a loss that is not."""
    if not np.isfinite(loss):
        raise FailureError("activations overflow on the stated inputs; state how large inputs are")
    return loss
