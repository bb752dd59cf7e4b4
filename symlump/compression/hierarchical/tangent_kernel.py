"""The empirical neural tangent kernel, and what compression does to it.

References
----------
Jacot, Gabriel, Hongler, arXiv:1806.07572 (the kernel); Wang, Yu, Perdikaris, arXiv:2007.14527 (its role in
the training of physics-informed networks); Mango, Katende, arXiv:2409.07028 (its preservation as the aim
of hierarchical compression).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.func import functional_call, jacrev, vmap

from symlump.compression.hierarchical.hlinear import dense_model
from symlump.errors import MethodError
from symlump.network.gradients import gradients
from symlump.network.network import Network
from symlump.ode.exact import FloatArray


@gradients()
def tangent_kernel(
    model: nn.Module | Network, inputs: npt.ArrayLike, own_parameters: bool = False
) -> FloatArray:
    """Θ(x, x') = Σ_p ∂f(x)/∂p · ∂f(x')/∂p over the parameters p, for every pair of inputs.

    Gradient descent on the squared error changes the outputs by −η·Θ·(f − y) at first, so the eigenvalues
    of Θ are the rates at which errors are learned.

    Parameters
    ----------
    model : torch.nn.Module or Network
    inputs : array_like, shape (samples, inputs)
    own_parameters : bool
        False: the parameters are the entries of the dense weights, whatever form the model stores them
        in, so that two models of one architecture are compared in the same coordinates. True: they are
        those that the model trains, for a hierarchical layer its blocks and factors.

    Returns
    -------
    ndarray, shape (samples·outputs, samples·outputs)
        Symmetric and positive semidefinite; index sample·outputs + output.

    Examples
    --------
    >>> _ = torch.manual_seed(0)
    >>> tangent_kernel(nn.Linear(2, 1), [[1.0, 2.0], [0.0, 1.0]]).tolist()  # x·x' + 1
    [[6.0, 3.0], [3.0, 2.0]]
    """
    module = _module(model, own_parameters)
    parameters = {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}
    if not parameters:
        raise MethodError("the model has no trainable parameters, so it has no tangent kernel")
    like = next(iter(parameters.values()))
    x = torch.as_tensor(np.asarray(inputs, dtype=np.float64)).to(like)
    if x.ndim != 2:
        raise MethodError(f"inputs have shape (samples, inputs); got {tuple(x.shape)}")

    def output(weights: dict[str, torch.Tensor], point: torch.Tensor) -> torch.Tensor:
        value: torch.Tensor = functional_call(module, weights, (point[None],))[0]
        return value

    jacobians = vmap(jacrev(output), (None, 0))(parameters, x)
    kernel: torch.Tensor | None = None
    for jacobian in jacobians.values():
        rows = jacobian.reshape(x.shape[0] * jacobian.shape[1], -1).to(torch.float64)
        kernel = rows @ rows.T if kernel is None else kernel + rows @ rows.T
    assert kernel is not None
    return np.asarray(kernel.cpu().numpy())


@dataclass(frozen=True)
class TangentKernelChange:
    """How a reduced network's tangent kernel Θ̂ differs from the original Θ.

    Parameters
    ----------
    distortion : float
        ‖Θ̂ − Θ‖_F / ‖Θ‖_F.
    largest, smallest : pair of float
        Extreme eigenvalues of Θ and of Θ̂.
    """

    distortion: float
    largest: tuple[float, float]
    smallest: tuple[float, float]

    @property
    def condition(self) -> tuple[float, float]:
        """Largest by smallest eigenvalue, of Θ and of Θ̂; infinite where rounding hides the smallest."""
        before, after = (
            high / low if low > 1e-15 * high else float("inf")
            for high, low in zip(self.largest, self.smallest, strict=True)
        )
        return before, after


def tangent_kernel_change(
    original: nn.Module | Network, reduced: nn.Module | Network, inputs: npt.ArrayLike
) -> TangentKernelChange:
    """Compare the tangent kernels of two networks with the same inputs and outputs.

    Both kernels are with respect to dense weights, at W and at Ŵ.

    Parameters
    ----------
    original, reduced : torch.nn.Module or Network
    inputs : array_like, shape (samples, inputs)

    Examples
    --------
    >>> net = Network.dense([[[1.0, 2.0]], [[0.5]]])
    >>> change = tangent_kernel_change(net, net, [[1.0, 0.0], [0.0, 1.0]])
    >>> change.distortion
    0.0
    """
    before, after = tangent_kernel(original, inputs), tangent_kernel(reduced, inputs)
    if before.shape != after.shape:
        raise MethodError(
            f"the kernels have shapes {before.shape} and {after.shape}: the networks differ in outputs"
        )
    eigenvalues = [np.linalg.eigvalsh(kernel) for kernel in (before, after)]
    return TangentKernelChange(
        float(np.linalg.norm(after - before) / np.linalg.norm(before)),
        (float(eigenvalues[0][-1]), float(eigenvalues[1][-1])),
        (float(eigenvalues[0][0]), float(eigenvalues[1][0])),
    )


def _module(model: nn.Module | Network, own_parameters: bool) -> nn.Module:
    if isinstance(model, Network):
        from symlump.network.torch_io import to_torch

        return to_torch(model)
    return model if own_parameters else dense_model(model)
