"""What may be done to a network for one size, and which of it need not be tried."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import hypot, inf, log, sqrt

#: What merges.
MERGINGS = ("AFDE", "dependence")
#: What pruning changes is taken to be at least this share of what is foreseen.
_SURE = 0.7
#: Where AFDE merges to the size worse than dependence by this factor, it is not tried at larger ones.
_WORSE = 1.2


@dataclass(frozen=True)
class Recipe:
    """What is done to a network, one thing after the other; empty or 0 leaves a step out.

    Parameters
    ----------
    merging : str
        "AFDE" or "dependence".
    merged : int
        The parameters to merge down to.
    pruning : str
        "magnitude", "magnitude, layerwise", "Wanda" or "second order": so much that the rest fits.
    bits : int
        Of a weight; −1 for the most that fit.
    """

    merging: str = ""
    merged: int = 0
    pruning: str = ""
    bits: int = 0

    def __str__(self) -> str:
        rounding = "fewer bits" if self.bits < 0 else f"{self.bits} bits" * bool(self.bits)
        return ", then ".join((*self.methods, *filter(None, [rounding])))

    @property
    def methods(self) -> tuple[str, ...]:
        """What merges, and what prunes, by name."""
        return tuple(filter(None, (self.merging, self.pruning)))


class Outlook:
    """Which recipes need not be made, as what is known of them is farther from a wide network already.

    Pruning moves the outputs further than merging alone did, and what it adds grows faster than the share of
    the weights that go; so what is merged to less is made first. All changes are those where a sample counts as
    off by the standard deviation at most: single ones foretell nothing.

    Parameters
    ----------
    whole, target : int
        Sizes: the network's, and the one asked for.
    rounded : bool
        Whether recipes may round weights as well.
    by_merging : callable
        From how to merge, and to which size: what that changes.
    """

    def __init__(
        self, whole: int, target: int, rounded: bool, by_merging: Callable[[str, int], float]
    ) -> None:
        self._whole, self._target, self._rounded, self._measure = whole, target, rounded, by_merging
        self._added: dict[int, dict[float, float]] = {}  # by bits, and by the share that goes
        self._merged: dict[tuple[str, int], float] = {}

    def order(self, recipes: Sequence[Recipe]) -> list[Recipe]:
        """What tells something of others first."""
        return sorted(recipes, key=lambda r: (r.merged or self._whole, r.merging == "AFDE"))

    def is_farther(self, recipe: Recipe, best: float) -> bool:
        """Whether a recipe moves the outputs by more than the best one did, as far as is known."""
        if not (recipe.pruning or recipe.bits):
            return False  # merging is the least of it
        if recipe.merging == "AFDE":
            afde, other = (self._merged.get((name, self._target), inf) for name in MERGINGS)
            if _WORSE * other < afde < inf:
                return True
        added = _SURE * self._foreseen(recipe)
        return added > best or hypot(added, self._by_merging(recipe)) > best

    def learn(self, recipe: Recipe, cut: float) -> None:
        """How far a recipe moved the outputs."""
        if not (recipe.pruning or recipe.bits):
            self._merged[recipe.merging, recipe.merged] = cut
        elif recipe.pruning in ("", "magnitude"):  # others choose by other things
            known, gone = self._added.setdefault(recipe.bits, {}), self._gone(recipe)
            added = sqrt(max(0.0, cut**2 - self._by_merging(recipe) ** 2))
            known[gone] = max(added, known.get(gone, 0.0))

    def _foreseen(self, recipe: Recipe) -> float:
        """What a recipe adds to what merging changes: like a power of the share that goes, from 1 to 2."""
        known, gone = self._added.get(recipe.bits, {}), self._gone(recipe)
        least = max((added * gone / share for share, added in known.items()), default=0.0)
        if len(known) < 2:
            return least
        (few, less), (many, more) = sorted(known.items())[-2:]
        power = min(2.0, log(more / less) / log(many / few)) if more > less > 0 else 1.0
        return max(least, more * float((gone / many) ** power))

    def _gone(self, recipe: Recipe) -> float:
        """The share of the weights that go; where they are rounded, too, that is not what counts."""
        if self._rounded:
            return 1.0
        return 1 - self._target / (recipe.merged or self._whole)

    def _by_merging(self, recipe: Recipe) -> float:
        """What merging alone changes."""
        key = recipe.merging, recipe.merged
        if recipe.merging and key not in self._merged:
            self._merged[key] = self._measure(*key)
        return self._merged.get(key, 0.0)
