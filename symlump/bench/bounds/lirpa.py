"""CROWN on the network of the difference by auto_LiRPA, where it can be imported: from its source, in float64.

References
----------
https://github.com/Verified-Intelligence/auto_LiRPA
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from symlump.errors import MethodError
from symlump.ode.exact import FloatArray

if TYPE_CHECKING:
    from symlump.network.network import Network


def can_import() -> bool:
    """Import auto_LiRPA, if it is there; and whether it is.

    Examples
    --------
    >>> can_import() in (True, False)
    True
    """
    if find_spec("auto_LiRPA") is None:
        return False
    with _in_float64():
        import_module("auto_LiRPA")
    return True


def prepare(f: Network, g: Network, half: float = 1.0) -> Callable[[], FloatArray]:
    r"""Read f − g into auto_LiRPA; what is returned bounds \|f − g\| on [−half, half]ⁿ by CROWN.

    Raises
    ------
    MethodError
        If auto_LiRPA cannot be imported.

    Examples
    --------
    >>> from symlump.network.network import Network
    >>> f, g = (Network.dense([[[a]], [[1.0]]], activation="tanh") for a in (1.0, 0.5))
    >>> not can_import() or bool(prepare(f, g)()[0] >= np.tanh(1.0) - np.tanh(0.5))
    True
    """
    if not can_import():
        raise MethodError("auto_LiRPA cannot be imported: put a clone of it on PYTHONPATH")
    import torch

    from symlump.network.torch_io import to_torch

    class Difference(torch.nn.Module):
        """f − g."""

        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = to_torch(f), to_torch(g)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            """Of rows of inputs."""
            apart: torch.Tensor = self.one(x) - self.two(x)
            return apart

    x = torch.zeros(1, int(np.prod(f.inputs[0].size)), dtype=torch.float64)
    with _in_float64():
        lirpa: Any = import_module("auto_LiRPA")
        module = lirpa.BoundedModule(Difference(), x)

    def bounds() -> FloatArray:
        with _in_float64(), torch.no_grad():
            box = lirpa.BoundedTensor(x, lirpa.PerturbationLpNorm(norm=np.inf, eps=half))
            low, high = module.compute_bounds(x=(box,), method="CROWN")
        return np.asarray(np.maximum(high.numpy(), -low.numpy())[0])

    return bounds


@contextmanager
def _in_float64() -> Iterator[None]:
    """It makes tensors of torch's default dtype, and warns of what it imports."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_default_dtype(before)
