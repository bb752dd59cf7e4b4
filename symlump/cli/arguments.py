"""Arguments that several commands take, from text."""

from __future__ import annotations

from symlump.errors import MethodError


def shares(given: str) -> tuple[float, ...]:
    """Shares of parameters or storage, as in ``0.5,0.25``.

    Raises
    ------
    MethodError
        If they are not in (0, 1].

    Examples
    --------
    >>> shares("0.5,0.25")
    (0.5, 0.25)
    """
    try:
        found = tuple(float(part) for part in given.split(","))
    except ValueError:
        found = ()
    if not found or not all(0 < share <= 1 for share in found):
        raise MethodError(f"--shares {given}: write shares in (0, 1], as in 0.5,0.25")
    return found
