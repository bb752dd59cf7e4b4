"""Compression by approximate forward differential equivalence: units that act alike become one.

References
----------
Dhiman, Passarella, Tribastone, Valerio, arXiv:2606.01402 (networks by approximate forward
differential equivalence); Cardelli et al., arXiv:1807.06888 (the equivalence).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import hypot

import numpy as np

from symlump.compression.compression import Reduction
from symlump.errors import FailureError, MethodError
from symlump.lumping.equivalence import check_tolerance
from symlump.lumping.forward import Forward
from symlump.lumping.linkage import Linkage
from symlump.lumping.lumping import Lumping, lump
from symlump.network.decode import decode, unit_maps
from symlump.network.encode import Form, NetworkODE, encode
from symlump.network.network import Network
from symlump.ode.exact import IntArray


@dataclass(frozen=True)
class AFDE:
    """Merge units by ε-forward equivalence of the network's differential equation.

    Parameters
    ----------
    eps : float, optional
        The tolerance; 0 merges only what is exactly equivalent.
    retain : float, optional
        Instead of ``eps``: the share of parameters to keep, in (0, 1]. The smallest ε found that keeps
        no more is used.
    linkage : {"variance", "closure", "diameter"}
        How ε groups units; see :mod:`symlump.lumping.linkage`.
    relative : bool
        Measure distances relative to the mean signature norm of a layer.
    on : {"influence", "state", "both"}
        "influence" merges units with nearly equal incoming weights; "state" feeds the next layer one
        sum per group of units with nearly equal outgoing weights; "both" does one after the other.

    Raises
    ------
    MethodError
        If an option is out of range, or not exactly one of ``eps`` and ``retain`` is given.

    Examples
    --------
    >>> from symlump import Network, compress
    >>> net = Network.dense([[[1.0, 2.0], [1.1, 2.0], [-1.0, 0.0]], [[0.5, 0.25, 1.0]]])
    >>> compress(net, AFDE(eps=0.1)).unit_maps[0].tolist()
    [0, 0, 1]
    >>> compress(net, AFDE(retain=0.7)).retained_parameters
    6
    """

    eps: float | None = None
    retain: float | None = None
    linkage: str = "variance"
    relative: bool = True
    on: str = "influence"

    def __post_init__(self) -> None:
        if (self.eps is None) == (self.retain is None):
            raise MethodError(
                "AFDE takes exactly one of eps (a tolerance, as in AFDE(eps=0.1)) and retain (a share "
                "of the parameters, as in AFDE(retain=0.4))"
            )
        if self.eps is not None:
            check_tolerance(self.eps)
        if self.retain is not None:
            check_share(self.retain, "retain")
        if self.on not in ("influence", "state", "both"):
            raise MethodError(f"on={self.on!r} is unknown; choose 'influence', 'state' or 'both'")
        object.__setattr__(self, "linkage", Linkage.named(self.linkage))

    @property
    def label(self) -> str:
        """Name for tables."""
        return f"AFDE ({self.on})"

    def reduce(self, network: Network) -> Reduction:
        """Reduce a network; see :func:`symlump.compress`."""
        forms: tuple[Form, ...] = ("influence", "state") if self.on == "both" else (self.on,)  # type: ignore[assignment]
        first = encode(network, forms[0])
        if self.eps is not None:
            return self._at(network, first, forms, self.eps)
        assert self.retain is not None
        target = int(self.retain * network.parameters)
        eps = smallest_tolerance(
            lambda eps: self._at(network, first, forms, eps).retained_parameters, target
        )
        return self._at(network, first, forms, eps)

    def _at(
        self, network: Network, first: NetworkODE, forms: tuple[Form, ...], eps: float
    ) -> Reduction:
        method = Forward(eps, self.linkage, self.relative)
        lumpings: list[Lumping] = []
        maps = tuple(np.arange(layer.units) for layer in network.hidden)
        for form in forms:
            ode = first if not lumpings else encode(network, form)
            lumpings.append(lump(ode, method))
            network = decode(lumpings[-1])
            maps = _compose(maps, unit_maps(lumpings[-1]))
        defect = hypot(*(lumping.defect for lumping in lumpings))
        return Reduction(network, maps, network.parameters, eps, defect, tuple(lumpings))


def check_share(share: float, name: str) -> None:
    """Refuse a share outside (0, 1].

    Raises
    ------
    MethodError
        With the value that was given.
    """
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        raise MethodError(f"{name}={share!r}: a share of the parameters is in (0, 1], such as 0.4")


def smallest_tolerance(size: Callable[[float], int], target: int, steps: int = 40) -> float:
    """The smallest tolerance found at which ``size`` is at most ``target``, by bisection.

    ``size`` should not grow with the tolerance; where it does slightly (linkages that are not
    monotone), what is returned still satisfies the target.

    Raises
    ------
    FailureError
        If no tolerance reaches the target.

    Examples
    --------
    >>> round(smallest_tolerance(lambda eps: 10 - int(eps), 7), 6)
    3.0
    """
    if size(0.0) <= target:
        return 0.0
    low, high = 0.0, 1.0
    previous = -1
    while (reached := size(high)) > target:
        if high > 1e12 or (reached == previous and high > 1e6):
            raise FailureError(
                f"the smallest reachable size is {reached} parameters, more than the requested "
                f"{target}; ask for a larger share, or another method"
            )
        previous = reached
        low, high = high, high * 4
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (low, middle) if size(middle) <= target else (middle, high)
        if high - low <= 1e-9 * high:
            break
    return high


def _compose(
    before: tuple[IntArray, ...], after: tuple[IntArray, ...]
) -> tuple[IntArray, ...]:
    return tuple(b[a] for a, b in zip(before, after, strict=True))
