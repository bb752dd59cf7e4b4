"""Compression by approximate forward differential equivalence: units that act alike become one.

References
----------
Dhiman, Passarella, Tribastone, Valerio, arXiv:2606.01402 (networks by approximate forward
differential equivalence); Cardelli et al., arXiv:1807.06888 (the equivalence).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from symlump.compression.inputs import Inputs, check_inputs
from symlump.compression.merging.units import UnitPlan
from symlump.compression.reduction import CompressionMethod, check_steps
from symlump.errors import MethodError
from symlump.lumping.forward import Forward
from symlump.lumping.tolerance.linkage import Linkage
from symlump.network.network import Network
from symlump.plain_numbers import is_number
from symlump.plan import check_wish

#: The units of a relative ε, in words.
_UNITS = {
    "output": "as a share of the outputs' spread",
    "parameters": "as a share of the outputs' spread, for each share of the parameters that goes",
    "layer": "relative to their layer's mean",
}


@dataclass(frozen=True, eq=False)
class AFDE(CompressionMethod):
    """Merge units by ε-forward equivalence of the network's differential equation.

    Parameters
    ----------
    eps : float, optional
        The tolerance; 0 merges only what is exactly equivalent.
    retain : float, optional
        Instead of ``eps``: the share of parameters to keep, in (0, 1]. The smallest ε found that keeps no more
        than that is used; if it keeps less, some merges are undone until the share is used up, see ``up_to``.
    linkage : {"variance", "closure", "diameter"}
        How ε groups units; see :mod:`symlump.lumping.tolerance.linkage`.
    relative : bool
        Measure distances in units that make one ε fit any network and all of its layers.
    relative_to : {"output", "parameters", "layer"}, optional
        The unit of distances. "output": how much a merge changes the outputs, relative to their size.
        "parameters": the same, divided by the share of the parameters that the merge saves, so that a size is
        reached where it costs least; see :meth:`symlump.compression.merging.merge.Merging.price`. "layer": the
        mean size of what is compared in the layer: coefficients then, unless ``distance`` says otherwise
        (as published). The "layer" that is tried for ``retain``, below, compares functions as the other two do;
        by hand that is ``relative_to="layer", distance="function"``.
        By default ``eps`` is relative to the outputs, and for ``retain`` all units are tried: the one that
        reproduces the outputs best under ``inputs`` is kept, and ``measure`` names it. In dense networks with
        a layer of 256 units or more, at least half as many outputs as the widest layer has units, and no narrow
        hidden layer (fewer than 65536 values on all samples, as 63 units on 1024 have), it is the one that is
        expected to, see :meth:`symlump.compression.merging.merge.Merging.foreseen`. (For inputs that look like
        images, or that convolutions read, it is "output" unless ``inputs`` is given.)
    on : {"influence", "state", "both"}
        "influence" merges units with nearly equal incoming weights; "state" passes on one sum for each group
        of units with nearly equal outgoing weights; "both" does one after the other. The last two
        are for chains of dense layers.
    refit : bool, optional
        After merging on "influence", replace the sums of outgoing weights by those that reproduce the original
        units' contributions best, in least squares over ``inputs``. False keeps the sums. The default is True,
        except for ``distance="coefficients"``, which is the method of the literature.
    inputs : Normal, array, tensor or DataLoader, optional
        What the inputs are like: a distribution, or samples (targets are ignored). Default: standard normal, so
        that no data is needed; :class:`symlump.Images` for inputs that look like images. Where weights are
        compared as they are and added up, inputs only help to reach a requested size.
    steps : int
        How many steps of L-BFGS follow the refit, on all weights, towards the original network's outputs on
        samples of ``inputs``: neither targets nor data are needed. The result is still the quotient of a
        reference system, which is then further away. Recurrent cells are fitted by Adam, towards the states of
        the original as they are read.
    floor : float, optional
        The least share of its units that every layer keeps. The default is 0; where a size is asked for and
        functions are compared, it is an eighth if possible, and more where the outputs of the smaller network
        would otherwise no longer depend on its inputs. The report names it if it was chosen.
    up_to : float, optional
        For ``distance="function"``: of the merges that ε allows, the most costly are left out one by one, as
        long as at most this share of the parameters remains. The default is the share given by ``retain``; it
        is approached as closely as whole units allow (large ones merge last); with ``eps`` it is 0, and no
        merge is left out.
    lively : bool
        Units count in means by how much they vary once what they read has merged, so that a mean of units that
        live and of dead ones lives; see :mod:`symlump.compression.merging.lively`. A size that is asked for
        turns it on where the outputs would no longer depend on the inputs otherwise.
    distance : {"function", "coefficients"}, optional
        What is compared. "function": how far what two units give to the next layers differs, in root mean
        square over ``inputs``, each counting by its effect on the outputs; see
        :mod:`symlump.compression.merging.merge`. "coefficients": the coefficients of the two in the
        differential equation (their incoming weights, summed over blocks), as in the literature on approximate
        equivalence. By default "function", except for ``relative=False`` and ``relative_to="layer"``.

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
    relative_to: str | None = None
    refit: bool | None = None
    inputs: Inputs = field(default=None, repr=False)
    steps: int = 0
    distance: str | None = None
    floor: float | None = None
    up_to: float | None = None
    lively: bool = False

    def __post_init__(self) -> None:
        check_wish(self, eps=self.eps, retain=self.retain)
        if self.on not in ("influence", "state", "both"):
            raise MethodError(f"on={self.on!r} is unknown; choose 'influence', 'state' or 'both'")
        check_steps(self.steps)
        if self.steps and (self.on != "influence" or not self.refits):
            raise MethodError(
                "steps continues from the refit, so it needs on='influence' and refit=True"
            )
        if self.relative_to not in (None, *_UNITS):
            raise MethodError(
                f"relative_to={self.relative_to!r} is unknown; choose 'output', 'parameters' or 'layer'"
            )
        if self.distance not in (None, "function", "coefficients"):
            raise MethodError(
                f"distance={self.distance!r} is unknown; choose 'function' or 'coefficients'"
            )
        if not self.relative and (self.relative_to or self.distance == "function"):
            given = (
                f"relative_to={self.relative_to!r}" if self.relative_to else "distance='function'"
            )
            raise MethodError(
                f"{given} measures relative to something; it does not go with relative=False"
            )
        if self.on == "state":
            options: dict[str, tuple[Any, ...]] = {
                "distance": (None, "coefficients"), "refit": (None, False), "floor": (None,),
                "lively": (False,),
            }  # fmt: skip
            for name, kept in options.items():
                if (given := getattr(self, name)) not in kept:
                    raise MethodError(
                        f"{name}={given!r} has no effect with on='state', which compares outgoing weights as "
                        "they are and fits nothing; choose on='influence' or 'both'"
                    )
        if self.relative_to == "parameters" and (
            self.on != "influence" or self.compared != "function"
        ):
            raise MethodError(
                "relative_to='parameters' is for distance='function' and on='influence'; choose 'output' or "
                "'layer'"
            )
        for name, share, what in (
            ("floor", self.floor, "the share of its units that a layer keeps"),
            ("up_to", self.up_to, "the share of the parameters that may remain"),
        ):
            if share is not None and not (is_number(share) and 0 <= share <= 1):
                raise MethodError(f"{name}={share!r}: {what} is from 0 to 1")
        if self.up_to is not None and (self.on != "influence" or self.compared != "function"):
            raise MethodError(
                f"up_to={self.up_to!r} goes with distance='function' and on='influence'"
            )
        if self.retain is not None and self.up_to is not None and self.up_to > self.retain:
            raise MethodError(
                f"up_to={self.up_to!r} is more than retain={self.retain!r}, the share to keep at most"
            )
        if self.inputs is not None:
            check_inputs(self.inputs, "AFDE")
            if not self.uses_inputs:
                raise MethodError(
                    "inputs=… has no effect if weights are compared directly and added up; choose "
                    "distance='function' or refit=True, with on='influence' or 'both'"
                )
        object.__setattr__(self, "linkage", Linkage.named(self.linkage))

    @property
    def uses_inputs(self) -> bool:
        """Whether the result depends on inputs: through distances, a fit, or the choice of the unit.

        Examples
        --------
        >>> [AFDE(eps=0.1, distance=distance).uses_inputs for distance in ("function", "coefficients")]
        [True, False]
        """
        if self.on == "state":
            return self.retain is not None and self.relative and self.relative_to is None
        return self.compared == "function" or self.refits or self.retain is not None

    @property
    def label(self) -> str:
        """Name of the method with its options, as tables print it."""
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
        if self.on == "state":
            return f"ε compares coefficients, {self.unit}; what units give is added up"
        compared = "functions" if self.compared == "function" else "coefficients"
        after = "refitted" if self.refits else "added up"
        then = "; the weights of what reads them are compared afterwards" * (self.on == "both")
        means = "means follow the units that vary most; " * self.lively
        return f"ε compares {compared}, {self.unit}; {means}weights that read merged units are {after}{then}"

    @property
    def unit(self) -> str:
        """The unit in which ε is measured, in words."""
        if not self.relative:
            return "in their own unit"
        return _UNITS[self.relative_to or "output"]

    def within(self, eps: float) -> AFDE:
        """The method with another tolerance; see :class:`symlump.plan.Method`.

        Parameters
        ----------
        eps : float
            The tolerance, in the unit that the method has.

        Returns
        -------
        AFDE

        Examples
        --------
        >>> AFDE(retain=0.5).within(0.1).eps
        0.1
        """
        return self.with_options(eps=eps, retain=None)

    def with_options(self, **options: Any) -> AFDE:
        """The method with other options; inputs are kept if the result still depends on them.

        Parameters
        ----------
        **options
            Options of the class, by name.

        Returns
        -------
        AFDE

        Raises
        ------
        MethodError
            If the options do not fit each other.

        Examples
        --------
        >>> AFDE(eps=0.1).with_options(linkage="diameter").linkage.value
        'diameter'
        """
        bare = replace(self, inputs=None, **options)
        used = self.inputs is not None and bare.uses_inputs
        return replace(bare, inputs=self.inputs) if used else bare

    def plan(self, network: Network) -> UnitPlan:
        """Analyse a network, once for all tolerances; see :class:`symlump.plan.Method`.

        Parameters
        ----------
        network : Network

        Returns
        -------
        UnitPlan

        Raises
        ------
        NetworkError
            If ``on`` is not "influence" and the network is not a chain of dense layers.

        Examples
        --------
        >>> net = Network.dense([[[1.0, 2.0], [1.0, 2.0], [-1.0, 0.0]], [[0.5, 0.25, 1.0]]])
        >>> AFDE(eps=0).plan(net).size(0.0)
        6
        """
        return UnitPlan(self, network)

    @property
    def compared(self) -> str:
        """What decides how far apart two units are, "function" or "coefficients"."""
        if self.distance is not None:
            return self.distance
        return "function" if self.relative and self.relative_to != "layer" else "coefficients"

    @property
    def refits(self) -> bool:
        """Whether the weights that read merged units are refitted."""
        return self.distance != "coefficients" if self.refit is None else self.refit

    def forward(self, eps: float, scale: tuple[float, ...] | None) -> Forward:
        """The equivalence of the differential equation that the options ask for.

        Parameters
        ----------
        eps : float
            The tolerance.
        scale : tuple of float, or None
            What the distances of each variable are divided by.

        Returns
        -------
        Forward

        Examples
        --------
        >>> AFDE(eps=0.1).forward(0.1, None).eps, AFDE(eps=0).forward(0, None).is_exact
        (0.1, True)
        """
        if eps == 0:
            return Forward()
        return Forward(eps, self.linkage, self.relative and scale is None, scale)
