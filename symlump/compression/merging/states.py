"""Units that are read alike: what merges by outgoing weights, in the state form of a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from symlump.compression.merging.effect import effect_scale
from symlump.compression.merging.reference import Part
from symlump.lumping.lumping import Lumping
from symlump.network.encode import encode
from symlump.network.equations.network_ode import NetworkODE
from symlump.network.network import Network
from symlump.plan import Plan

if TYPE_CHECKING:
    from symlump.compression.merging.afde import AFDE


def distance_scale(method: AFDE, ode: NetworkODE) -> tuple[float, ...] | None:
    """What distances of coefficients are divided by, for each variable; None where outputs do not decide."""
    by_output = method.relative and method.relative_to != "layer"
    return effect_scale(ode) if by_output else None


class StateMerging:
    """What merges by outgoing weights in networks, one after the other; near tolerances ask for the same one.

    Parameters
    ----------
    method : AFDE
        Its tolerance and size play no role.
    """

    def __init__(self, method: AFDE) -> None:
        self._method = method
        self._latest: tuple[Network, Plan[Lumping]] | None = None

    def part(self, network: Network, eps: float) -> Part:
        """The network within a tolerance."""
        if self._latest is None or self._latest[0] is not network:
            ode = encode(network, "state")
            forward = self._method.forward(1.0, distance_scale(self._method, ode))
            self._latest = network, forward.plan(ode)
        return Part.of(self._latest[1].at(eps))


def smaller_tolerance(size: Callable[[float], int], target: int, eps: float) -> float:
    """The smallest tolerance found below one at which ``size`` is at most ``target``, or this one itself.

    It is looked for nearby first, in steps that grow.

    Examples
    --------
    >>> round(smaller_tolerance(lambda eps: 10 - int(eps), 7, 3.5), 4)
    3.0
    """
    high, step = eps, 1e-6 * eps
    while (low := max(0.0, high - step)) > 0 and size(low) <= target:
        high, step = low, 16 * step
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if size(middle) <= target else (middle, high)
    return high
