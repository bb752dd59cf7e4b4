"""Merging, then pruning or rounding what is left: two methods, one after the other, for one size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from symlump.compression.combined import Combined, CombinedPlan
from symlump.compression.recipes import Recipe
from symlump.network.network import Network

#: To how many times the size units are merged first.
_MORE = (1.2, 1.5, 1.8, 2.5, 3.5, 5.0, 7.0)


@dataclass(frozen=True, eq=False)
class InTurn(Combined):
    """Merge by AFDE to several sizes, then prune or round to the size asked for, and keep the least change.

    Parameters
    ----------
    pruning : str
        What weights of the merged network go by; empty rounds them to the most bits that fit.
    """

    pruning: str = ""

    @property
    def label(self) -> str:
        """Name of the method."""
        return f"AFDE, then {self.pruning or 'fewer bits'}"

    def plan(self, network: Network) -> CombinedPlan:
        """See :class:`symlump.plan.Method`."""
        return _InTurnPlan(network, self)


class _InTurnPlan(CombinedPlan):
    def __init__(self, network: Network, method: InTurn) -> None:
        super().__init__(network, method.inputs, method.count == "bytes")
        self._pruning = method.pruning

    def _recipes(self, target: int) -> Iterator[Recipe]:
        for more in _MORE:
            if more * target < self.whole:
                yield Recipe("AFDE", int(more * target), self._pruning, 0 if self._pruning else -1)
