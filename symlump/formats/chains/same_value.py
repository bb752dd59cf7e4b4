"""The initial values of a chain: the same for every state."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, Sequence, ValuesView
from fractions import Fraction
from functools import cached_property


class SameValue(Mapping[str, Fraction]):
    """One value for each of some names. The table that finds a name is made when one is looked for.

    Parameters
    ----------
    names : sequence of str
        All different.
    value : Fraction

    Examples
    --------
    >>> values = SameValue(["S0", "S1"], Fraction(0))
    >>> values["S1"], list(values), values == {"S0": 0, "S1": 0}
    (Fraction(0, 1), ['S0', 'S1'], True)
    >>> values | {"S1": Fraction(1, 2)}
    {'S0': Fraction(0, 1), 'S1': Fraction(1, 2)}
    """

    def __init__(self, names: Sequence[str], value: Fraction) -> None:
        self._names, self._value = names, value

    @cached_property
    def _table(self) -> dict[str, Fraction]:
        return dict.fromkeys(self._names, self._value)

    def __getitem__(self, name: str) -> Fraction:
        return self._table[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def items(self) -> ItemsView[str, Fraction]:
        """Each name and the value."""
        return self._table.items()

    def values(self) -> ValuesView[Fraction]:
        """The value, once for each name."""
        return self._table.values()

    def __or__(self, other: Mapping[str, Fraction]) -> dict[str, Fraction]:
        return self._table | dict(other)

    def __repr__(self) -> str:
        return repr(self._table)
