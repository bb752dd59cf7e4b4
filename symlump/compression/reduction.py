"""What a method of compression is, and what it returns."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from symlump.compression.collapse import FLOORS, STILL, OutputWatch
from symlump.errors import FailureError, MethodError
from symlump.lumping.lumping import Lumping
from symlump.network.network import Network
from symlump.ode.exact import FloatArray, IntArray
from symlump.ode.notation import count_text
from symlump.plain_numbers import is_whole
from symlump.plan import Method, Plan
from symlump.proof.certificate import Certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import nn

    from symlump.network.saved.codings import BlockWeight


@dataclass(frozen=True, eq=False)
class Reduction:
    """What a method makes of a network.

    Parameters
    ----------
    network : Network
        The reduced network.
    unit_maps : tuple of ndarray of int
        For each hidden layer, the new unit of each old unit; −1 if it became a
        combination of others.
    retained_parameters : int
        Weights and biases that remain (for pruning: those not masked).
    eps : float or None
        The tolerance used, where the method has one.
    distance : float or callable
        The defect, or what computes it when it is asked for.
    equations : callable, optional
        Makes the lumpings behind the reduction, where there are some; called when they are asked for, since
        the terms of a wide network take far more memory than its weights.
    stored : tuple of int, or None
        Numbers stored for each layer, where those are not the entries of its arrays.
    certificates : tuple of Certificate
        Further identities behind the reduction, each accepted by the independent checker.
    places : tuple of int, or None
        For each old layer the new layer that gives its values, where layers were split.
    note : str
        What the report adds: facts that the certificates rest on, or why there are none.
    advice : str
        What would have helped, in words.
    measure : str
        In words what ε compares, in which unit, and whether what follows was fitted.
    method : CompressionMethod, optional
        The method with the tolerance that was found, and all else that it decided itself, such as the unit.
    rounding : float
        How far a weight of ``network`` is, at most, from the number that the method found for it.
    """

    network: Network
    unit_maps: tuple[IntArray, ...]
    retained_parameters: int
    eps: float | None
    distance: float | Callable[[], float]
    equations: Callable[[], tuple[Lumping, ...]] | None = field(default=None, repr=False)
    stored: tuple[int, ...] | None = None
    certificates: tuple[Certificate, ...] = ()
    places: tuple[int, ...] | None = None
    note: str = ""
    advice: str = ""
    measure: str = ""
    method: CompressionMethod | None = field(default=None, repr=False)
    rounding: float = 0.0

    @cached_property
    def defect(self) -> float:
        """2-norm of the change of coefficients.

        For AFDE that is the distance to the nearest exactly lumpable system, for pruning the norm of the
        removed weights. For linear dependence it is the root mean square change of the outputs, estimated,
        relative to their standard deviation.
        """
        return self.distance() if callable(self.distance) else self.distance

    @cached_property
    def lumpings(self) -> tuple[Lumping, ...]:
        """The equations behind the reduction."""
        return () if self.equations is None else self.equations()

    @property
    def blocks(self) -> tuple[BlockWeight, ...]:
        """What weights are the products of, where the method stores factors."""
        return ()

    def in_its_dtype(self) -> Reduction:
        """The reduction with the weights that the network's dtype holds, and how far that moved one of them.

        Methods give each weight as the float64 nearest to what they found.
        """
        network = self.network.rounded()
        rounding = 0.0
        for found, held in zip(self.network.layers, network.layers, strict=True):
            for a, b in ((found.weight, held.weight), (found.bias, held.bias)):
                if a is not None and b is not None:
                    rounding = max(rounding, largest_rounding(a, b))
        return replace(self, network=network, rounding=rounding)

    def finish(self, model: nn.Module) -> nn.Module:
        """Give the torch model of the reduced network the layers that the method stores."""
        return model

    def held_by(self, model: Network | nn.Module) -> Network:
        """A model that was returned, as the network that it is now: with the very weights it holds."""
        if isinstance(model, Network):
            return model
        from torch import fx

        from symlump.network.torch_io import from_torch
        from symlump.network.torch_module import with_weights_of

        if isinstance(model, fx.GraphModule):
            return with_weights_of(self.network, model)
        return from_torch(model)


class NetworkPlan(Plan[Reduction]):
    """What a method found out about a network; its sizes are shares of all parameters."""

    network: Network

    @property
    def whole(self) -> int:
        """All parameters."""
        return int(self.network.parameters)

    @cached_property
    def watch(self) -> OutputWatch:
        """Whether outputs of smaller networks still depend on the inputs."""
        return OutputWatch.of(self.network)

    def reach(self, target: int) -> Reduction:
        """What has at most a target's size; its outputs depend on the inputs, if the method has such a network.

        Where its nearest result has not, layers are made to keep more and more of their units, and then units
        count in means by how much they vary; the first result whose outputs move is returned, with a note. If
        none moves as it should, it is the one that moves most.

        Raises
        ------
        FailureError
            If no tolerance reaches the target, or none whose outputs depend on the inputs at all though layers
            were guarded.
        """
        found = self.nearest(target)
        if self.watch.moves(found.network):
            return found
        most, guarded = self.watch.share(found.network), False
        for lively, floors in ((False, FLOORS), (True, (0.0, *FLOORS))):
            for floor in floors:
                if most > STILL:
                    return found
                careful = self.guarded(floor, lively)
                guarded = guarded or careful is not None
                if careful is None or careful.size(careful.most) > target:
                    break  # higher floors keep more
                other = careful.nearest(target)
                share = self.watch.share(other.network)
                if share > most:
                    note = "; ".join(filter(None, (_kept(floor, lively), other.note)))
                    found, most = replace(other, note=note), share
        if guarded and not most:
            raise FailureError(
                f"all networks of at most {count_text(target, 'parameter')} that were found give the same "
                "outputs whatever the inputs; ask for a larger share, or another method"
            )
        return found

    def nearest(self, target: int) -> Reduction:
        """The method's own result of at most a target's size, whatever becomes of the outputs.

        Raises
        ------
        FailureError
            If no tolerance reaches the target.
        """
        return super().reach(target)

    def guarded(self, floor: float, lively: bool) -> NetworkPlan | None:
        """The plan, careful that outputs do not stand still; None where the method has no such thing.

        Parameters
        ----------
        floor : float
            The share of its units that no layer goes below.
        lively : bool
            Whether units count in means by how much they vary under the inputs.
        """
        return None


PlanOfNetwork = TypeVar("PlanOfNetwork", bound=NetworkPlan)


class CompressionMethod(Method[Network, Reduction]):
    """A method of ``compress``: a small frozen object with its options."""

    @property
    @abstractmethod
    def label(self) -> str:
        """Name of the method with its options, as tables print it."""


def _kept(floor: float, lively: bool) -> str:
    """What keeps the outputs from standing still, in words."""
    share = f"no layer below {floor:g} of its units" if floor else ""
    means = "units count in means by how much they vary" if lively else ""
    return f"{' and '.join(filter(None, (share, means)))}, or the outputs would stand still"


def try_each(
    plans: Iterable[PlanOfNetwork], reach: Callable[[PlanOfNetwork], Reduction]
) -> list[tuple[PlanOfNetwork, Reduction]]:
    """Plans with what each gives for a size, without those that do not reach it.

    Raises
    ------
    FailureError
        If none reaches it: what the last one says.
    """
    found: list[tuple[PlanOfNetwork, Reduction]] = []
    for plan in plans:
        try:
            found.append((plan, reach(plan)))
        except FailureError as error:
            failed = error
    if not found:
        raise failed
    return found


def own_units(network: Network) -> tuple[IntArray, ...]:
    """The unit maps of a network whose units all stay as they are.

    Examples
    --------
    >>> [units.tolist() for units in own_units(Network.dense([[[1.0], [2.0]], [[3.0, 4.0]]]))]
    [[0, 1]]
    """
    return tuple(np.arange(layer.units) for layer in network.hidden)


def largest_rounding(found: FloatArray, held: FloatArray) -> float:
    """How far a number that is held is, at most, from one that a float64 is the nearest to; rounded upwards.

    Spacings grow with the numbers, so that of the largest is taken.

    Examples
    --------
    >>> 2**-53 <= largest_rounding(np.array([1.0, 0.5]), np.array([1.0, 0.5])) < 2**-52
    True
    """
    gap = 0.0 if found is held else largest_size(found - held)
    far = np.nextafter(gap, np.inf) + np.spacing(largest_size(found)) / 2
    return float(np.nextafter(far, np.inf)) if found.size else 0.0


def largest_size(values: FloatArray) -> float:
    """The largest size of a number, 0 where there is none; no copy is made.

    Examples
    --------
    >>> largest_size(np.array([1.0, -2.0])), largest_size(np.array([]))
    (2.0, 0.0)
    """
    return max(float(values.max(initial=0.0)), -float(values.min(initial=0.0)))


def check_steps(steps: int) -> None:
    """Raise if `steps` is not a number of steps.

    Raises
    ------
    MethodError
        With the value that was given.
    """
    if not is_whole(steps, 0):
        raise MethodError(f"steps={steps!r}: a number of steps is a whole number, 0 or larger")
