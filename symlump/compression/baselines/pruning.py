"""What pruning methods share: how many weights a share of the parameters leaves, and the masked network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import hypot
from typing import TypeAlias

import numpy as np

from symlump.compression.baselines.masked_fit import Mask, fit_masked
from symlump.compression.merging.effect import forward
from symlump.compression.reduction import CompressionMethod, NetworkPlan, Reduction, own_units
from symlump.enclosures.wording import at_most
from symlump.errors import MethodError
from symlump.network.evaluate import evaluate
from symlump.network.network import Network
from symlump.network.nodes import Affine, Input
from symlump.network.shared import holders, holding
from symlump.ode.exact import FloatArray
from symlump.ode.notation import count_text
from symlump.plan import check_wish, share_of


@dataclass(frozen=True)
class PrunedPart:
    """Parameters of which one share is kept: a layer's, or all.

    Parameters
    ----------
    name : str
        For errors.
    parameters : int
    fixed : int
        How many of them always stay, such as biases.
    rows : int
        Each keeps as many weights as any other.
    """

    name: str
    parameters: int
    fixed: int
    rows: int = 1

    @classmethod
    def of_network(cls, network: Network) -> PrunedPart:
        """All parameters."""
        weights = sum(layer.weight.size for layer in holding(network.layers))
        return cls("the network", network.parameters, network.parameters - weights)

    @classmethod
    def of_layers(cls, network: Network) -> tuple[PrunedPart, ...]:
        """Those of each layer that holds its weights, with all biases beside these."""
        layers, first = network.layers, holders(network.layers)
        sums = [0] * len(layers)
        for number, held in zip(first, network.held, strict=True):
            sums[number] += held
        return tuple(
            cls(f"layer {layers[n].name!r}", sums[n], sums[n] - layers[n].weight.size)
            for n in sorted({*first})
        )

    def budget(self, share: float) -> int:
        """How many weights a share leaves; below 0 where it is less than what is fixed."""
        return (share_of(self.parameters, share) - self.fixed) // self.rows * self.rows


@dataclass(frozen=True, eq=False)
class Pruning(NetworkPlan):
    """Weights that become zero; ε is the share of the parameters that go.

    Parameters
    ----------
    network : Network
    parts : tuple of Part
    choose : callable
        From how many weights stay in each part: the masks of these, by layer that holds its own, and the
        largest score of a weight that goes.
    score : str
        What is compared, as a formula.
    fitted_on : sequence of ndarray, optional
        Samples of each input on which the weights that are left are fitted; None leaves them.
    advice : str
        What a fitted result adds where these samples were drawn.
    """

    network: Network
    parts: tuple[PrunedPart, ...]
    choose: Callable[[tuple[int, ...]], tuple[list[Mask], float]]
    score: str
    fitted_on: Sequence[FloatArray] | None = None
    advice: str = ""

    @property
    def most(self) -> float:
        """All parameters."""
        return 1.0

    def at(self, eps: float) -> Reduction:
        """See :class:`symlump.plan.Plan`."""
        masks, largest = self.choose(self._budgets(eps))
        measure = (
            f"ε is the share of the parameters that go; the largest {self.score} that went is "
            f"{at_most(largest)}"
        )
        found = replace(mask_weights(self.network, masks), eps=eps, measure=measure)
        if self.fitted_on is None:
            return found
        fitted = fit_masked(self.network, found.network, self.fitted_on)
        alone = [
            layer.name for layer in found.network.layers if layer.weight_name or layer.bias_name
        ]
        kept = f"shared weights are not refitted: {', '.join(alone)}" if alone else ""
        measure = f"{measure}; what is left is refitted"
        return replace(found, network=fitted, note=kept, advice=self.advice, measure=measure)

    def size(self, eps: float) -> int:
        """Weights that are not masked, and what always stays."""
        others = self.whole - sum(part.parameters - part.fixed for part in self.parts)
        return others + sum(self._budgets(eps))

    def tolerance(self, target: int) -> float:
        """Without a search: the share that goes."""
        return max(0.0, 1 - target / self.whole)

    def reach(self, target: int) -> Reduction:
        """See :class:`symlump.plan.Plan`."""
        return self.retain(target / self.whole)

    def retain(self, share: float) -> Reduction:
        """The share of each part.

        Raises
        ------
        MethodError
            If not even what always stays fits.
        """
        for part in self.parts:
            if part.budget(share) < 0:
                left = share_of(part.parameters, share)
                raise MethodError(
                    f"retain={share:.6g} leaves {count_text(left, 'parameter')} of {part.name}, fewer than the "
                    f"{part.fixed} that are biases"
                )
        return self.at(1 - share)

    def _budgets(self, eps: float) -> tuple[int, ...]:
        return tuple(max(0, part.budget(max(0.0, 1 - eps))) for part in self.parts)


#: From a layer, all that it reads and how many weights stay: which stay, all scores, and its weights then.
Pick: TypeAlias = Callable[[Affine, Sequence[FloatArray], int], tuple[Mask, FloatArray, FloatArray]]


@np.errstate(over="ignore", invalid="ignore")  # what is not finite is refused by ``pick``
def prune_in_order(
    network: Network, given: Sequence[FloatArray], budgets: Sequence[int], pick: Pick
) -> tuple[list[Mask], float]:
    """Prune layer by layer: what a layer reads is computed with the layers before it already pruned.

    Weights that layers share are pruned once, by what all of these read in the network as it was.

    Parameters
    ----------
    network : Network
    given : sequence of ndarray, shape (samples, …)
        Of each input.
    budgets : sequence of int
        How many weights stay of each layer that holds its own.
    pick : callable

    Returns
    -------
    list of masks
        Of these layers.
    float
        The largest score of a weight that goes.
    """
    before = forward(network, given) if network.sharing else {}
    values = dict(zip((node.name for node in network.inputs), given, strict=True))
    weights: dict[str, FloatArray] = {}
    masks: list[Mask] = []
    scores: list[FloatArray] = []
    for node in network.nodes:
        if isinstance(node, Input):
            continue
        if isinstance(node, Affine):
            name = node.weight_name or node.name
            if name not in weights:
                users = network.sharing.get(name)
                reads = (
                    [before[user.inputs[0]] for user in users]
                    if users
                    else [values[node.inputs[0]]]
                )
                mask, score, weights[name] = pick(node, reads, budgets[len(masks)])
                masks.append(mask)
                scores.append(score)
            node = replace(node, weight=weights[name])
        values[node.name] = evaluate(node, *(values[name] for name in node.inputs))
    return masks, largest_gone(scores, masks)


def check_pruning(method: CompressionMethod) -> None:
    """Demand exactly one of ``eps``, the share that goes, and ``retain``, the share that stays.

    Raises
    ------
    MethodError
        With what was meant.
    """
    check_wish(method, eps=method.eps, retain=method.retain)
    if method.eps is not None and method.eps > 1:
        raise MethodError(
            f"eps={method.eps:g}: for pruning it is the share of parameters removed, at most 1"
        )


def largest(scores: FloatArray, count: int) -> Mask:
    """Mask of the ``count`` largest scores; ties are broken by position."""
    if not 0 < count < scores.size:
        return np.full(scores.shape, count > 0)
    flat = scores.ravel()
    least = np.partition(flat, flat.size - count)[flat.size - count]
    mask: Mask = flat > least
    mask[np.flatnonzero(flat == least)[: count - np.count_nonzero(mask)]] = True
    return np.asarray(mask.reshape(scores.shape))


def largest_gone(scores: Sequence[FloatArray], masks: Sequence[Mask]) -> float:
    """The largest score outside of the masks; 0 if all stay.

    Examples
    --------
    >>> largest_gone([np.array([3.0, 1.0, 2.0])], [np.array([True, False, False])])
    2.0
    """
    pairs = zip(scores, masks, strict=True)
    return max((float(score[~mask].max(initial=0.0)) for score, mask in pairs), default=0.0)


def mask_weights(network: Network, masks: list[Mask]) -> Reduction:
    """The network with all other weights set to zero; a mask for each layer that holds its own."""
    own = list(zip(holding(network.layers), masks, strict=True))
    by_name = {layer.name: mask for layer, mask in own}
    layers = [
        replace(layer, weight=np.where(by_name[network.layers[n].name], layer.weight, 0.0))
        for layer, n in zip(network.layers, holders(network.layers), strict=True)
    ]
    retained = network.parameters - sum(int((~mask).sum()) for mask in masks)
    removed = hypot(*(float(np.linalg.norm(layer.weight[~mask])) for layer, mask in own))
    maps = own_units(network)
    return Reduction(network.with_layers(layers), maps, retained, None, removed)
