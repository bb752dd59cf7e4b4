"""Compression by approximate forward differential equivalence: units that act alike become one.

References
----------
Dhiman, Passarella, Tribastone, Valerio, arXiv:2606.01402 (networks by approximate forward
differential equivalence); Cardelli et al., arXiv:1807.06888 (the equivalence).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from math import hypot, inf
from sys import float_info

import numpy as np

from symlump.compression.inputs import Inputs, advice, assumed, check_inputs
from symlump.compression.merging.coefficients import CoefficientMerging
from symlump.compression.merging.effect import effect_scale
from symlump.compression.merging.merge import Merging, has_equal_units, merged
from symlump.compression.merging.values import Values, values_of
from symlump.compression.reduction import Reduction
from symlump.compression.shares import check_share, check_steps, share_of, smallest_tolerance
from symlump.errors import MethodError
from symlump.lumping.equivalence import check_tolerance
from symlump.lumping.forward import Forward
from symlump.lumping.lump import lump
from symlump.lumping.lumping import Lumping
from symlump.lumping.tolerance.linkage import Linkage
from symlump.network.decode import decode, unit_labels, unit_maps
from symlump.network.encode import encode
from symlump.network.equations.network_ode import NetworkODE
from symlump.network.network import Network
from symlump.network.ties import Ties, grouped_alike, tied
from symlump.ode.exact import IntArray


@dataclass(frozen=True, eq=False)
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
        The unit of distances. "output": what they change the outputs by, relative to the size of these.
        "layer": the mean signature norm of the layer; then signatures are what is compared.
    on : {"influence", "state", "both"}
        "influence" merges units with nearly equal incoming weights; "state" feeds the next layer one
        sum per group of units with nearly equal outgoing weights; "both" does one after the other. The last two
        are for chains of dense layers.
    refit : bool, optional
        After merging on "influence", replace the sums of outgoing weights by the weights that give the
        original units' outputs best, in least squares over ``inputs``. False keeps the sums. By default True,
        but for ``distance="coefficients"``, which is the method of the literature.
    inputs : Normal, array, tensor or DataLoader, optional
        What the inputs are like: a distribution, or samples (their targets are not looked at). Default:
        standard normal, so that no data is needed; :class:`symlump.Images` where
        inputs look like images.
    steps : int
        After the refit, so many steps of L-BFGS on all weights towards the original network's outputs for
        samples of ``inputs``: no targets, and no data. The result still is the quotient of a reference
        system, which then is further away.

    distance : {"function", "coefficients"}, optional
        What is compared. "function": how far what two units give to the next layers differs, in root mean
        square over ``inputs``, each counting by its effect on the outputs; see
        :mod:`symlump.compression.merging.merge`. "coefficients": the coefficients of the two in the
        differential equation (their incoming weights, summed over blocks), as in the literature on approximate
        equivalence. By default "function", but for ``relative=False`` and ``relative_to="layer"``.

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
    refit: bool | None = None
    inputs: Inputs = field(default=None, repr=False)
    steps: int = 0
    distance: str | None = None

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
        if self.steps and (self.on != "influence" or not self._refits):
            raise MethodError(
                "steps goes on from the refit, so it needs on='influence' and refit=True"
            )
        if self.relative_to not in ("output", "layer"):
            raise MethodError(
                f"relative_to={self.relative_to!r} is unknown; choose 'output' or 'layer'"
            )
        if self.distance not in (None, "function", "coefficients"):
            raise MethodError(
                f"distance={self.distance!r} is unknown; choose 'function' or 'coefficients'"
            )
        if self.distance == "function" and not (self.relative and self.relative_to == "output"):
            raise MethodError(
                "distance='function' is measured by what it does to the outputs; relative=False and "
                "relative_to='layer' go with distance='coefficients'"
            )
        if self.inputs is not None:
            check_inputs(self.inputs, "AFDE")
        object.__setattr__(self, "linkage", Linkage.named(self.linkage))

    @property
    def label(self) -> str:
        """Name for tables."""
        return f"AFDE ({self.on})"

    @property
    def measure(self) -> str:
        """In words what ε compares, in which unit, and whether what follows is fitted.

        Examples
        --------
        >>> AFDE(eps=0.1).measure
        "ε compares functions, as a share of the outputs' spread; weights that read merged units are refitted"
        >>> AFDE(eps=0.1, distance="coefficients", relative=False).measure
        'ε compares coefficients, in their own unit; weights that read merged units are added up'
        """
        unit = "in their own unit"
        if self.relative:
            by_outputs = "as a share of the outputs' spread"
            unit = by_outputs if self.relative_to == "output" else "relative to their layer's mean"
        compared = "functions" if self._distance == "function" else "coefficients"
        after = "refitted" if self._refits else "added up"
        return f"ε compares {compared}, {unit}; weights that read merged units are {after}"

    def reduce(self, network: Network) -> Reduction:
        """Reduce a network; see :func:`symlump.compress`."""
        if self.on != "influence":
            network.dense_chain(f"AFDE(on={self.on!r})")
        influence = None if self.on == "state" else _Influence(self, network)

        def at(eps: float, refit: bool = self._refits) -> Reduction:
            parts: list[_Part] = []
            small = network
            if influence is not None:
                parts.append(influence.at(eps, refit))
                small = parts[-1].small
            if self.on != "influence":
                ode = encode(small, "state")
                scale = (
                    effect_scale(ode) if self.relative and self.relative_to == "output" else None
                )
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
                measure=self.measure,
                note="" if eps == 0 or self.inputs is not None else advice(network, "AFDE"),
            )

        if self.eps is not None:
            return at(self.eps)
        assert self.retain is not None
        target = share_of(network.parameters, self.retain)
        if influence is not None and self.on == "influence":
            functions = self._distance == "function"
            if not functions or target >= network.parameters or has_equal_units(network):
                exact = at(0.0)
                if exact.retained_parameters <= target:
                    return exact
            if functions:
                return at(max(influence.tolerance(target), float_info.min))
            eps = smallest_tolerance(influence.parameters, target)
            return at(max(eps, float_info.min))
        fitted = self._refits and self.on == "both"  # elsewhere the refit changes no size
        return at(smallest_tolerance(lambda eps: at(eps, fitted).retained_parameters, target))

    @property
    def _distance(self) -> str:
        if self.distance is not None:
            return self.distance
        return "function" if self.relative and self.relative_to == "output" else "coefficients"

    @property
    def _refits(self) -> bool:
        return self.distance != "coefficients" if self.refit is None else self.refit

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
        self._linkage = Linkage(method.linkage)
        self._inputs = assumed(network) if method.inputs is None else method.inputs

    @cached_property
    def ode(self) -> NetworkODE:
        """The differential equation, term by term."""
        return encode(self.network)

    @cached_property
    def merging(self) -> Merging:
        """Distances of units under the stated inputs."""
        return Merging.of(self.network, self._inputs, self._linkage)

    def tolerance(self, target: int) -> float:
        """The tolerance for a size; no layer collapses, if the size can be had without."""
        careful = self.merging.with_floor()
        if careful.parameters(inf) <= target:
            self.__dict__["merging"] = careful
        return self.merging.tolerance(target)

    @cached_property
    def coefficients(self) -> CoefficientMerging:
        """Distances of coefficients."""
        method = self.method
        return CoefficientMerging.of(
            self.network, self._linkage, method.relative, method.relative_to
        )

    @cached_property
    def _values(self) -> Values:
        return values_of(self.network, self._inputs)[0]

    def parameters(self, eps: float) -> int:
        """How many remain, by coefficients."""
        labels = self.coefficients.labels(eps)
        if self.method._refits:
            return self._ties.parameters(self.network, self._tied_groups(labels))
        return self.coefficients.merged(labels).written.parameters

    @cached_property
    def _ties(self) -> Ties:
        return tied(self.network)

    def _tied_groups(self, labels: IntArray) -> IntArray:
        """Units that one block of every layer holds that makes them: a fit needs one partition for a sum."""
        return grouped_alike(self._ties, unit_labels(self.ode, labels))

    def at(self, eps: float, refit: bool) -> _Part:
        """What merges within a tolerance."""
        if eps == 0:
            return _Part.of(lump(self.ode, Forward()))
        if self.method._distance == "function":
            small = self.merging.merged(self.merging.groups(eps), refit)
        else:
            labels = self.coefficients.labels(eps)
            small = self.coefficients.merged(labels)
            if refit:
                ties, groups = self._ties, self._tied_groups(labels)
                small = merged(self.network, ties, groups, np.ones(ties.count), self._values)
            elif self.network.chain is not None:  # the general algorithm, to the last bit
                return _Part.of(self._lumped(eps))
        forward = Forward(eps, self.method.linkage)
        network = small.network
        if refit and self.method.steps:
            from symlump.compression.fitting import fitted

            samples = self.merging.samples
            network, _ = fitted(small.written, self.network, samples, self.method.steps)
            small = replace(small, written=network)
            network = small.network
        return _Part(
            network, small.unit_maps, small.defect, lambda: small.lumping(self.ode, forward)
        )

    def _lumped(self, eps: float) -> Lumping:
        method = self.method
        scale = (
            effect_scale(self.ode) if method.relative and method.relative_to == "output" else None
        )
        return lump(self.ode, method._method(eps, scale))


def _compose(before: tuple[IntArray, ...], after: tuple[IntArray, ...]) -> tuple[IntArray, ...]:
    return tuple(b[a] for a, b in zip(before, after, strict=True))
