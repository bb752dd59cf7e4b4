"""Compression by approximate forward differential equivalence: units that act alike become one.

References
----------
Dhiman, Passarella, Tribastone, Valerio, arXiv:2606.01402 (networks by approximate forward
differential equivalence); Cardelli et al., arXiv:1807.06888 (the equivalence).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, reduce
from math import hypot
from sys import float_info

import numpy as np

from symlump.compression.merging.effect import effect_scale
from symlump.compression.merging.merge import (
    Merging,
    has_equal_units,
    lumping_of,
    merged,
    reference_distance,
)
from symlump.compression.moments import Normal
from symlump.compression.reduction import Reduction
from symlump.compression.shares import check_share, check_steps, share_of, smallest_tolerance
from symlump.errors import MethodError
from symlump.lumping.equivalence import check_tolerance
from symlump.lumping.forward import Forward
from symlump.lumping.lump import lump
from symlump.lumping.lumping import Lumping
from symlump.lumping.tolerance.linkage import Linkage
from symlump.network.decode import decode, unit_maps
from symlump.network.encode import encode
from symlump.network.equations.network_ode import NetworkODE
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
        How ε groups units; see :mod:`symlump.lumping.tolerance.linkage`.
    relative : bool
        Measure distances in units that make one ε fit any network and all of its layers.
    relative_to : {"output", "layer"}
        "output": the distance of two units is how far their outputs differ, each counting by its effect on
        the network's outputs, in root mean square over ``inputs``; see
        :mod:`symlump.compression.merging.merge`.
        "layer": it is that of their signatures, divided by the mean signature norm of the layer.
    on : {"influence", "state", "both"}
        "influence" merges units with nearly equal incoming weights; "state" feeds the next layer one
        sum per group of units with nearly equal outgoing weights; "both" does one after the other.
    refit : bool
        After merging on "influence", replace the sums of outgoing weights by the weights that give the
        original units' outputs best, in least squares over ``inputs``. False keeps the sums, as a network
        graph always does.
    inputs : Normal, optional
        The distribution of a chain's inputs; default: standard normal, so that no data is needed.
    steps : int
        After the refit, so many steps of L-BFGS on all weights towards the original network's outputs for
        samples of ``inputs``: no targets, and no data. The result still is the quotient of a reference
        system, which then is further away.

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
    refit: bool = True
    inputs: Normal | None = None
    steps: int = 0

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
        check_steps(self.steps)
        if self.steps and (self.on != "influence" or not self.refit):
            raise MethodError(
                "steps goes on from the refit, so it needs on='influence' and refit=True"
            )
        if self.relative_to not in ("output", "layer"):
            raise MethodError(
                f"relative_to={self.relative_to!r} is unknown; choose 'output' or 'layer'"
            )
        if self.inputs is not None and not isinstance(self.inputs, Normal):
            raise MethodError(
                "AFDE takes the distribution of the inputs as Normal(mean, covariance); for samples X write "
                "Normal.of(X)"
            )
        object.__setattr__(self, "linkage", Linkage.named(self.linkage))

    @property
    def label(self) -> str:
        """Name for tables."""
        return f"AFDE ({self.on})"

    def reduce(self, network: Network) -> Reduction:
        """Reduce a network; see :func:`symlump.compress`."""
        if network.chain is None:
            return self._reduce_graph(network)
        influence = None if self.on == "state" else _Influence(self, network)

        def at(eps: float, refit: bool = self.refit) -> Reduction:
            parts: list[_Part] = []
            small = network
            if influence is not None:
                parts.append(influence.at(eps, refit))
                small = parts[-1].small
            if self.on != "influence":
                ode = encode(small, "state")
                scale = effect_scale(ode) if self._by_outputs else None
                parts.append(_Part.of(lump(ode, self._method(eps, scale))))
                small = parts[-1].small
            maps = reduce(_compose, [part.maps for part in parts])
            defect = hypot(*(part.defect for part in parts))
            return Reduction(
                small,
                maps,
                small.parameters,
                eps,
                defect,
                lambda: tuple(part.lumping() for part in parts),
            )

        if self.eps is not None:
            return at(self.eps)
        assert self.retain is not None
        target = share_of(network.parameters, self.retain)
        if influence is not None and self.on == "influence" and self._by_outputs:
            if target >= network.parameters or has_equal_units(influence.chain):
                exact = at(0.0)
                if exact.retained_parameters <= target:
                    return exact
            return at(max(influence.merging.tolerance(target), float_info.min))
        fitted = self.refit and self.on == "both"  # elsewhere the refit changes no size
        return at(smallest_tolerance(lambda eps: at(eps, fitted).retained_parameters, target))

    def _reduce_graph(self, graph: Network) -> Reduction:
        """Distances are those of signatures, in the units of :mod:`symlump.compression.merging.graph_effect`.
        Sums, products, and layers with one factor or kernel per unit (depthwise convolutions) merge their units
        only where these are exactly equal. ``refit`` and ``inputs`` are for chains.
        """
        from symlump.compression.merging.graph_merging import GraphMerging
        from symlump.network.decode import decode, unit_maps

        if self.steps:
            raise MethodError(
                "steps is for chains of dense layers; train the reduced graph instead"
            )
        if self.on != "influence":
            raise MethodError(
                f"on={self.on!r} is for chains of dense layers; a network graph is reduced on='influence'"
            )
        merging = GraphMerging.of(graph, Linkage(self.linkage), self.relative, self.relative_to)

        def at(eps: float) -> Reduction:
            if eps == 0:
                lumping = lump(merging.ode, Forward())
                small = decode(lumping)
            else:
                labels = merging.labels(eps)
                lumping = merging.lumping(labels, Forward(eps, self.linkage))
                small = merging.graph(labels)
            maps = unit_maps(lumping)
            return Reduction(small, maps, small.parameters, eps, lumping.defect, lambda: (lumping,))

        if self.eps is not None:
            return at(self.eps)
        assert self.retain is not None
        target = share_of(graph.parameters, self.retain)
        exact = at(0.0)
        if exact.retained_parameters <= target:
            return exact
        eps = smallest_tolerance(lambda eps: merging.parameters(merging.labels(eps)), target)
        return at(max(eps, float_info.min))

    @property
    def _by_outputs(self) -> bool:
        return self.relative and self.relative_to == "output"

    def _method(self, eps: float, scale: tuple[float, ...] | None) -> Forward:
        if eps == 0:
            return Forward()
        return Forward(eps, self.linkage, self.relative and scale is None, scale)


@dataclass(frozen=True, eq=False)
class _Part:
    """One merging of units: the network, the new unit of each, the distance; the equations on demand."""

    small: Network
    maps: tuple[IntArray, ...]
    defect: float
    lumping: Callable[[], Lumping]

    @classmethod
    def of(cls, lumping: Lumping) -> _Part:
        return cls(decode(lumping), unit_maps(lumping), lumping.defect, lambda: lumping)


class _Influence:
    """The influence form of a network, and what its units merge to at any tolerance."""

    def __init__(self, method: AFDE, network: Network) -> None:
        self.method, self.network = method, network
        self.chain = network.dense_chain("AFDE")

    @cached_property
    def ode(self) -> NetworkODE:
        """The differential equation, term by term."""
        return encode(self.network)

    @cached_property
    def merging(self) -> Merging:
        """Distances of units under the stated inputs."""
        inputs = self.method.inputs or Normal()
        return Merging.of(self.chain, inputs, Linkage(self.method.linkage))

    def at(self, eps: float, refit: bool) -> _Part:
        """What merges within a tolerance."""
        if eps == 0:
            return _Part.of(lump(self.ode, Forward()))
        if self.method._by_outputs:
            forward = Forward(eps, self.method.linkage)
            labels = self.merging.labels(eps)
            small = self.merging.merged(labels, refit)
        else:
            forward = Forward(eps, self.method.linkage, self.method.relative)
            lumping = lump(self.ode, forward)
            if not refit:
                return _Part.of(lumping)
            labels = unit_maps(lumping)
            plain = [np.ones(layer.units) for layer in self.chain.hidden]
            small = merged(self.chain, labels, plain, self.merging.moments)
        if refit and self.method.steps:
            from symlump.compression.fitting import fitted

            samples = self.merging.samples
            small, _ = fitted(small, self.chain, samples, self.method.steps)
        return _Part(
            self.network.with_chain(small),
            labels,
            reference_distance(self.chain, small, labels),
            lambda: lumping_of(self.ode, small, labels, forward),
        )


def _compose(before: tuple[IntArray, ...], after: tuple[IntArray, ...]) -> tuple[IntArray, ...]:
    return tuple(b[a] for a, b in zip(before, after, strict=True))
