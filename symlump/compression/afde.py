"""Compression by approximate forward differential equivalence: units that act alike become one.

References
----------
Dhiman, Passarella, Tribastone, Valerio, arXiv:2606.01402 (networks by approximate forward
differential equivalence); Cardelli et al., arXiv:1807.06888 (the equivalence).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from math import hypot

from symlump.compression.compression import Reduction
from symlump.compression.effect import effect_scale
from symlump.errors import FailureError, MethodError
from symlump.lumping.equivalence import check_tolerance
from symlump.lumping.forward import Forward
from symlump.lumping.linkage import Linkage
from symlump.lumping.lump import lump
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
        Measure distances in units that make one ε fit any network and all of its layers.
    relative_to : {"output", "layer"}
        The unit: "output" is the effect on the outputs, estimated on standard normal inputs (see
        :mod:`symlump.compression.effect`); "layer" is the mean signature norm of the layer.
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
    >>> compress(net, AFDE(eps=0.2)).unit_maps[0].tolist()
    [0, 0, 1]
    >>> compress(net, AFDE(retain=0.7)).retained_parameters
    6
    """

    eps: float | None = None
    retain: float | None = None
    linkage: str = "variance"
    relative: bool = True
    on: str = "influence"
    relative_to: str = "output"

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
        if self.relative_to not in ("output", "layer"):
            raise MethodError(
                f"relative_to={self.relative_to!r} is unknown; choose 'output' or 'layer'"
            )
        object.__setattr__(self, "linkage", Linkage.named(self.linkage))

    @property
    def label(self) -> str:
        """Name for tables."""
        return f"AFDE ({self.on})"

    def reduce(self, network: Network) -> Reduction:
        """Reduce a network; see :func:`symlump.compress`."""
        forms: tuple[Form, ...] = ("influence",)
        if self.on != "influence":
            forms = ("state",) if self.on == "state" else ("influence", "state")
        first = encode(network, forms[0])
        scale = self._scale(first)

        def at(eps: float) -> Reduction:
            lumpings = [lump(first, self._method(eps, scale))]
            for form in forms[1:]:
                ode = encode(decode(lumpings[-1]), form)
                lumpings.append(lump(ode, self._method(eps, self._scale(ode))))
            small = decode(lumpings[-1])
            maps = reduce(_compose, map(unit_maps, lumpings))
            defect = hypot(*(lumping.defect for lumping in lumpings))
            return Reduction(small, maps, small.parameters, eps, defect, tuple(lumpings))

        if self.eps is not None:
            return at(self.eps)
        assert self.retain is not None
        target = share_of(network.parameters, self.retain)
        return at(smallest_tolerance(lambda eps: at(eps).retained_parameters, target))

    def _scale(self, ode: NetworkODE) -> tuple[float, ...] | None:
        return effect_scale(ode) if self.relative and self.relative_to == "output" else None

    def _method(self, eps: float, scale: tuple[float, ...] | None) -> Forward:
        if eps == 0:
            return Forward()
        return Forward(eps, self.linkage, self.relative and scale is None, scale)


def share_of(parameters: int, share: float) -> int:
    """The largest whole number of parameters within a share (which is a rounded float itself)."""
    return int(share * parameters * (1 + 1e-12))


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
    >>> round(smallest_tolerance(lambda eps: 10 - int(eps), 7), 4)
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
        if high - low <= 1e-6 * high:
            break
    return high


def _compose(before: tuple[IntArray, ...], after: tuple[IntArray, ...]) -> tuple[IntArray, ...]:
    return tuple(b[a] for a, b in zip(before, after, strict=True))
