"""Names of variables."""

from __future__ import annotations

from symlump.errors import VariableError


def index_of(names: tuple[str, ...]) -> dict[str, int]:
    """Position of each name.

    Raises
    ------
    VariableError
        If a name occurs twice.
    """
    index = {name: i for i, name in enumerate(names)}
    if len(index) < len(names):
        twice = next(name for i, name in enumerate(names) if index[name] != i)
        raise VariableError(f"variable {twice!r} is declared twice")
    return index
