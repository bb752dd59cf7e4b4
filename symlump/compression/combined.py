"""The best of several methods for one size: merging, pruning, fewer bits, and one after another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from math import inf

import numpy as np
import numpy.typing as npt

from symlump.compression.baselines.magnitude import Magnitude
from symlump.compression.baselines.quantize import Quantize, stored_numbers
from symlump.compression.baselines.second_order import SecondOrder
from symlump.compression.baselines.wanda import Wanda
from symlump.compression.dependences.dependence import Dependence
from symlump.compression.images import Images
from symlump.compression.inputs import Inputs, advice, assume_inputs, check_inputs, samples_of
from symlump.compression.merging.afde import AFDE
from symlump.compression.merging.effect import outputs_on
from symlump.compression.merging.values import in_single, is_wide
from symlump.compression.moments import Normal
from symlump.compression.recipes import MERGINGS, Outlook, Recipe
from symlump.compression.reduction import CompressionMethod, NetworkPlan, Reduction, own_units
from symlump.errors import FailureError, MethodError, NetworkError, SubjectError, SymlumpError
from symlump.network.network import Network
from symlump.network.precision import PRECISIONS
from symlump.network.shared import holding
from symlump.ode.exact import FloatArray
from symlump.ode.notation import count_text
from symlump.plan import check_wish, share_of
from symlump.progress import say

_COUNTS = ("parameters", "bytes")
_MEASURE = "ε is the root mean square change of the outputs, relative to their spread, as measured on inputs "
#: How much larger than asked for a network is after merging, before it is pruned or rounded.
_MORE = (1.2, 1.5, 2.0, 3.0)
_MUCH_MORE = (1.5, 2.0, 3.0, 4.0, 5.0, 6.5, 8.0)
#: Bits of the weights that pruning leaves, where bytes count.
_BITS = (4, 6, 8)
#: Shares at which results are made where a tolerance is asked for.
_SHARES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05)
#: Changes of outputs up to here are none.
_ROUNDING = 1e-12
#: Changes from here on are measured in single precision in wide networks.
_IN_SINGLE = 1e-3
#: Beyond this change of outputs nothing imitates the network.
_FAR = 0.5
#: Where most samples are off by less than this share of the change by another, it is clearly nearer.
_CLEARLY = 0.9
#: Of samples that are given, one in so many decides between results that were fitted on the others. Which
#: ones is drawn: samples may come in an order, and every fourth of a Sobol sequence fills a corner of the box.
_ONE_IN = 4
#: Fewer samples are all used for both.
_FEW = 64


@dataclass(frozen=True, eq=False)
class Combined(CompressionMethod):
    """Try methods, and pairs of methods, for one size, and keep what changes the outputs least.

    Tried are AFDE, Dependence, magnitude pruning (global and layerwise; with data also Wanda and SecondOrder),
    and merging to a larger size by AFDE or Dependence followed by global magnitude pruning; all are refitted.
    Where bytes count, weights are rounded as well, alone and after each of these.

    Parameters
    ----------
    eps : float, optional
        The root mean square change of the outputs relative to their standard deviation, as it was measured
        under ``inputs``; the smallest result found with at most that is taken.
    retain : float, optional
        Instead: the share of the size to keep, in (0, 1].
    inputs : Normal, Images, array, tensor or DataLoader, optional
        What the inputs are like. Default: standard normal, so that no data is needed (:class:`symlump.Images`
        where they look like images). Of samples a quarter decides between results that the others were fitted
        on; what is returned is then fitted on all.
    count : {"parameters", "bytes"}
        What a size is. "parameters": weights and biases that remain, as for pruning. "bytes": numbers of the
        network's own precision that storing it takes. A pruned layer then stores one bit for the place of each
        weight, and rounding counts as in :class:`symlump.Quantize`.

    Raises
    ------
    MethodError
        If an option is out of range, or not exactly one of ``eps`` and ``retain`` is given.
    FailureError
        If nothing that is tried reaches the size.

    Notes
    -----
    The choice is made on other samples than the fits, so that a method that fits noise is not preferred. It
    costs five to ten times as much as :class:`symlump.AFDE`, with convolutions up to forty; a tolerance costs
    that at twelve sizes. In dense networks with a layer of 256 units or more, pairs are left out that smaller
    ones foretell to be farther; the note says how many.

    Examples
    --------
    >>> from symlump import compress
    >>> generator = np.random.default_rng(0)
    >>> net = Network.dense([generator.normal(size=s) for s in [(16, 4), (16, 16), (2, 16)]])
    >>> small = compress(net, Combined(retain=0.6))
    >>> small.retained <= 0.6, small.reduction.note
    (True, 'AFDE, then magnitude; the best of 8 that were tried')
    """

    eps: float | None = None
    retain: float | None = None
    inputs: Inputs = field(default=None, repr=False)
    count: str = "parameters"

    def __post_init__(self) -> None:
        check_wish(self, eps=self.eps, retain=self.retain)
        if self.count not in _COUNTS:
            raise MethodError(f"count={self.count!r} is unknown; choose 'parameters' or 'bytes'")
        if self.inputs is not None:
            check_inputs(self.inputs, "Combined")

    @property
    def label(self) -> str:
        """Name of the method with its options, as tables print it."""
        return "combined" if self.count == "parameters" else "combined (bytes)"

    def plan(self, network: Network) -> CombinedPlan:
        """Analyse a network, once for all tolerances; see :class:`symlump.plan.Method`.

        Parameters
        ----------
        network : Network

        Returns
        -------
        Plan

        Examples
        --------
        >>> Combined(retain=0.5).plan(Network.dense([[[1.0, 2.0], [1.0, 2.0]], [[0.5, 0.25]]])).whole
        6
        """
        return CombinedPlan(network, self.inputs, self.count == "bytes")


class CombinedPlan(NetworkPlan):
    """A network, and what each recipe makes of it at any size.

    Parameters
    ----------
    network : Network
    inputs : Inputs
        As they were stated, or None.
    as_bytes : bool
        Whether sizes are numbers to be stored.
    """

    def __init__(self, network: Network, inputs: Inputs, as_bytes: bool) -> None:
        self.network, self._inputs, self._as_bytes = network, inputs, as_bytes
        self._kits: dict[bool, _Kit] = {}
        _ = self._samples  # drawn now, so that inputs that do not fit are refused as such
        fitted = self._has_samples and not self._apart
        why = f"that decided and were fitted on, since there are fewer than {_FEW}"
        self._measure = _MEASURE + (why if fitted else "that decided and were not fitted on")

    @property
    def whole(self) -> int:
        """All parameters."""
        return int(self.network.parameters)

    @property
    def most(self) -> float:
        """See :class:`symlump.plan.Plan`."""
        return max(change for change, _ in self._ladder)

    def at(self, eps: float) -> Reduction:
        """See :class:`symlump.plan.Plan`."""
        if eps == 0:
            return self._exact
        fitting = (found for change, found in self._ladder if change <= eps)
        return replace(min(fitting, key=lambda found: found.retained_parameters), eps=eps)

    def size(self, eps: float) -> int:
        """See :class:`symlump.plan.Plan`."""
        return self.at(eps).retained_parameters

    def tolerance(self, target: int) -> float:
        """The least change of outputs among what is no larger.

        Raises
        ------
        FailureError
            If nothing is.
        """
        sizes = [found.retained_parameters for _, found in self._ladder]
        if min(sizes) > target:
            raise _too_small(target, f"the smallest that was found has {min(sizes)}")
        return min(change for change, found in self._ladder if found.retained_parameters <= target)

    def nearest(self, target: int) -> Reduction:
        """See :class:`symlump.compression.reduction.NetworkPlan`."""
        return self._best(target)[1]

    @cached_property
    def _ladder(self) -> tuple[tuple[float, Reduction], ...]:
        """Results of some sizes, each with what it changes; first the network without what is redundant."""
        found = [(0.0, self._exact)]
        for share in _SHARES:
            try:
                found.append(self._best(share_of(self.whole, share)))
            except FailureError:
                break
        return tuple(found)

    @cached_property
    def _exact(self) -> Reduction:
        return replace(AFDE(eps=0).plan(self.network).at(0.0), measure=self._measure, method=None)

    def _best(self, target: int) -> tuple[float, Reduction]:
        """What changes the outputs least, of a size, and how much that is.

        Raises
        ------
        FailureError
            If nothing reaches the size.
        MethodError, NetworkError
            If no method is for this network: what the first one says.
        """
        if self._exact.retained_parameters <= target:
            return 0.0, self._exact
        outputs = self._outputs  # first, so that an overflow is refused as one
        tried: list[tuple[float, float, Recipe]] = []
        errors: list[SymlumpError] = []
        steps: list[str] = []  # of recipes that are not for this network, or not for this size
        recipes = list(self._recipes(target))
        wide, skipped = is_wide(self.network), 0  # where a fit takes long
        outlook = Outlook(self.whole, target, self._as_bytes, self._by_merging) if wide else None
        for number, recipe in enumerate(outlook.order(recipes) if outlook else recipes, start=1):
            say(f"{recipe} ({number} of {len(recipes)}), to {target}")
            try:
                if outlook and outlook.is_farther(recipe, self._to_beat(tried)):
                    skipped += 1
                    continue
                found = self._made(recipe, target, deciding=True)
            except (MethodError, NetworkError, FailureError) as error:
                errors.append(error)
                steps += recipe.methods
                continue
            change, cut = self._change(found.network, outputs)
            if found.retained_parameters <= target and change < inf:
                tried.append((change, cut, recipe))
                tried.sort(key=lambda other: recipes.index(other[2]))  # simple ones first
                if _nearest(tried, self._has_samples)[1] is recipe:
                    best = found
                if outlook:
                    outlook.learn(recipe, cut)
        if not tried:
            if errors and not any(isinstance(error, FailureError) for error in errors):
                raise errors[0]
            raise _too_small(target, self._reached(target))
        change, recipe = _nearest(tried, self._has_samples)
        # What did not see the samples that decided is fitted again, on all.
        found = self._made(recipe, target, deciding=False) if self._apart else best
        note = f"{recipe}; the best of {len(tried)} that were tried"
        note += f", {skipped} others being foreseen to be farther" * bool(skipped)
        made = {step for *_, other in tried for step in other.methods}
        left_out = [step for step in dict.fromkeys(steps) if step not in made]
        without = "not for this network or size: " + " / ".join(left_out)
        note = "; ".join(filter(None, (note, without * bool(left_out), found.note)))
        helps = advice(self.network, "Combined") if self._inputs is None else ""
        if found.equations is None:
            gap, measure = change, f"{self._measure}; δ is the same"
        else:
            gap, measure = (
                found.defect,
                f"{self._measure}; δ is the 2-norm of the change of the coefficients",
            )
        return change, replace(
            found, eps=change, distance=gap, note=note, advice=helps, measure=measure, method=None
        )

    def _reached(self, target: int) -> str:
        """What to say of a size that nothing reaches: which one a single step does."""
        kit, found = self._kit(True), list[int]()
        for step in (*MERGINGS, *["magnitude"] * (not self._as_bytes)):
            with suppress(MethodError, NetworkError, FailureError):
                found.append(kit.smallest(step))
        larger = [size for size in found if size > target]  # else outputs stand still there
        if not larger:
            return "none of the methods tried gets there"
        return f"merging{'' if self._as_bytes else ' or pruning'} alone reaches {min(larger)}"

    def _recipes(self, target: int) -> Iterator[Recipe]:
        """What may have a size; simple ones first."""
        prunings = (
            "magnitude",
            "magnitude, layerwise",
            *["Wanda", "second order"] * self._has_samples,
        )
        for merging in MERGINGS:
            yield Recipe(merging, target)
        for pruning in prunings:
            yield Recipe(pruning=pruning)
        if not self._as_bytes:
            for merging, more in product(MERGINGS, _MORE):
                if more * target < self.whole:
                    yield Recipe(merging, int(more * target), "magnitude")
            return
        yield Recipe(bits=-1)
        for bits in _BITS:
            yield Recipe(pruning="magnitude", bits=bits)
        larger = [more for more in _MUCH_MORE if more * target < self.whole]
        for merging, more in product(MERGINGS, larger):
            yield Recipe(merging, int(more * target), bits=-1)
            for bits in _BITS:
                if more * bits > self._word:  # or nothing needs to be pruned
                    yield Recipe(merging, int(more * target), "magnitude", bits)

    @property
    def _word(self) -> int:
        """Bits of a number in the network's precision."""
        return PRECISIONS[self.network.dtype].bits

    @property
    def _has_samples(self) -> bool:
        return not (self._inputs is None or isinstance(self._inputs, Normal | Images))

    @cached_property
    def _samples(self) -> tuple[tuple[FloatArray, ...], tuple[FloatArray, ...]]:
        """Of given samples, all, and those that decide; of a distribution, other ones than those of fits."""
        if not self._has_samples:
            assumed = assume_inputs(self.network) if self._inputs is None else self._inputs
            return (), samples_of(assumed, self.network, seed=1)
        samples = samples_of(self._inputs, self.network, all_given=True)
        if len(samples[0]) < _FEW:
            return samples, samples
        return samples, tuple(x[self._decide(len(x))] for x in samples)

    @cached_property
    def _compared(self) -> list[tuple[FloatArray, ...]]:
        """The samples that decide, first in single precision where that is faster and mostly enough."""
        decide = self._samples[1]
        if not in_single(self.network):
            return [decide]
        return [tuple(x.astype(np.float32) for x in decide), decide]

    @staticmethod
    def _decide(count: int) -> npt.NDArray[np.bool_]:
        """Which of so many samples decide."""
        chosen = np.zeros(count, dtype=bool)
        chosen[np.random.default_rng(0).permutation(count)[: count // _ONE_IN]] = True
        return chosen

    @property
    def _apart(self) -> bool:
        """Whether some of the given samples are kept from fits, to decide."""
        return self._has_samples and self._samples[0] is not self._samples[1]

    def _kit(self, deciding: bool) -> _Kit:
        """The methods, with the inputs that they fit on: all, or those that do not decide."""
        deciding = deciding and self._apart
        if deciding not in self._kits:
            given: Inputs = self._inputs
            if self._has_samples:
                every = self._samples[0]
                if deciding:
                    rest = ~self._decide(len(every[0]))
                    every = tuple(x[rest] for x in every)
                given = every[0] if len(every) == 1 else every
            self._kits[deciding] = _Kit(self.network, given)
        return self._kits[deciding]

    def _made(self, recipe: Recipe, target: int, deciding: bool) -> Reduction:
        kit = self._kit(deciding)
        if recipe.merging:
            found = kit.merged(recipe.merging, recipe.merged)
        else:
            found = Reduction(self.network, own_units(self.network), self.whole, None, 0.0)
        if not (recipe.pruning or recipe.bits):
            return found
        network, word = found.network, self._word
        bits = recipe.bits or word
        if recipe.pruning:
            room = _room(network, bits, word, target) if self._as_bytes else target
            network = kit.pruned(network, recipe.pruning, room).network
        if recipe.bits > 0:
            network = Quantize(bits=bits).apply(network).network
        elif recipe.bits:
            packed = Quantize(retain=1.0).plan(network).reach(target)
            return replace(packed, unit_maps=found.unit_maps, places=found.places)
        zeros = "marked" if self._as_bytes else "gone"
        stored = stored_numbers(network, bits, "row" if bits < word else "", zeros)
        total = sum(stored) + network.other_parameters
        return Reduction(
            network, found.unit_maps, total, None, 0.0, stored=stored, places=found.places
        )

    @cached_property
    def _outputs(self) -> FloatArray:
        with np.errstate(over="ignore", invalid="ignore"):
            outputs = self.network.flat(*self._samples[1])
            if not np.isfinite(outputs**2).all():
                raise SubjectError(
                    "outputs of this network overflow on these inputs; state how large inputs are, as in "
                    "Combined(inputs=Normal(mean, covariance)), or give samples of them"
                )
        return outputs

    def _by_merging(self, merging: str, size: int) -> float:
        """What merging to a size changes, where a sample counts as off by the standard deviation at most."""
        return self._change(self._kit(True).merged(merging, size).network, self._outputs)[1]

    def _to_beat(self, tried: list[tuple[float, float, Recipe]]) -> float:
        """The least change so far, if it is one by which recipes are compared."""
        change = min((change for change, *_ in tried), default=inf)
        return inf if self._has_samples and change > _FAR else max(change, _ROUNDING)

    def _change(self, small: Network, outputs: FloatArray) -> tuple[float, float]:
        """The root mean square change of the outputs, relative to their standard deviation.

        Also the same where each sample counts as off by the standard deviation at most.
        """
        variance = float(np.var(outputs, axis=0).sum()) or 1.0
        for samples in self._compared:
            with np.errstate(over="ignore", invalid="ignore"):
                squares = (outputs_on(small, samples) - outputs) ** 2
                change = np.mean(squares, axis=0).sum()
            if _IN_SINGLE**2 * variance < change < inf:
                break
        if not np.isfinite(change):
            return inf, inf
        cut = np.minimum(squares.reshape(len(squares), -1).sum(axis=1), variance).mean()
        return float(np.sqrt(change / variance)), float(np.sqrt(cut / variance))


def _nearest(tried: list[tuple[float, float, Recipe]], few: bool) -> tuple[float, Recipe]:
    """What changes the outputs least, and how much that is.

    Single samples of few may be so far off that they would outweigh the rest. Where nothing imitates the
    network, or where another is clearly nearer to most samples, what is right for most is the nearer one.

    Parameters
    ----------
    tried : list
        The change, that where a sample counts as off by the standard deviation at most, and the recipe.
    few : bool
        Whether samples were given.
    """
    # Of equal ones min takes the first, which is the simplest; rounding does not make a difference.
    best = min(tried, key=lambda found: max(found[0], _ROUNDING))
    for_most = min(tried, key=lambda found: max(found[1], _ROUNDING))
    if few and (best[0] > _FAR or for_most[1] < _CLEARLY * best[1]):
        best = for_most
    return best[0], best[2]


class _Kit:
    """Methods with the inputs that they fit on, each analysis made once.

    Parameters
    ----------
    network : Network
    inputs : Inputs
    """

    def __init__(self, network: Network, inputs: Inputs) -> None:
        self._network, self._inputs = network, inputs
        self._plans: dict[str, NetworkPlan] = {}
        self._merged: dict[tuple[str, int], Reduction] = {}

    def merged(self, method: str, size: int) -> Reduction:
        """The network with units merged, of at most a size."""
        if (method, size) not in self._merged:
            self._merged[method, size] = self._plan(method).reach(size)
        return self._merged[method, size]

    def smallest(self, method: str) -> int:
        """The size that merging, or magnitude pruning, reaches at least."""
        prunes = method == "magnitude"
        plan = Magnitude(1.0).plan(self._network) if prunes else self._plan(method)
        return plan.size(plan.most)

    def _plan(self, method: str) -> NetworkPlan:
        if method not in self._plans:
            kind = AFDE if method == "AFDE" else Dependence
            self._plans[method] = kind(eps=1.0, inputs=self._inputs).plan(self._network)  # type: ignore[assignment]
        return self._plans[method]

    def pruned(self, network: Network, method: str, size: int) -> Reduction:
        """The network with fewer weights, refitted, of at most a size."""
        share = size / network.parameters
        if method == "Wanda":
            return Wanda(share, self._inputs, refit=True).apply(network)
        if method == "second order":
            return SecondOrder(share, self._inputs).apply(network)
        scope = "layerwise" if method.endswith("layerwise") else "global"
        return Magnitude(share, scope, refit=True, inputs=self._inputs).apply(network)


def _room(network: Network, bits: int, word: int, target: int) -> int:
    """The parameters that pruning may leave so that all is stored in so many numbers.

    Raises
    ------
    FailureError
        If that is nothing.
    MethodError
        If nothing has to go.
    """
    own = holding(network.layers)
    weights = sum(layer.weight.size for layer in own)
    fixed = network.parameters - weights
    steps = sum(layer.units for layer in own) * (bits < word)
    rest = fixed + steps + len(own)  # of each layer, what is rounded up
    kept = ((target - rest) * word - weights) // bits
    if kept < 1:
        raise FailureError(
            f"{target} numbers have no room for weights of {bits} bits and their places"
        )
    if kept >= weights:
        raise MethodError("there is nothing to prune")
    return kept + fixed


def _too_small(target: int, why: str) -> FailureError:
    return FailureError(
        f"nothing of at most {count_text(target, 'parameter')} was found ({why}); ask for a larger share, or "
        "another method"
    )
