"""Shares of the parameters: how many that is, and the tolerance that reaches it."""

from __future__ import annotations

from collections.abc import Callable

from symlump.errors import FailureError, MethodError


def share_of(parameters: int, share: float) -> int:
    """The largest whole number of parameters within a share (which is a rounded float itself)."""
    return int(share * parameters * (1 + 1e-12))


def check_share(share: float, name: str) -> None:
    """Refuse a share outside (0, 1].

    Raises
    ------
    MethodError
        With the value that was given.
    """
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        raise MethodError(f"{name}={share!r}: a share of the parameters is in (0, 1], such as 0.4")


def check_steps(steps: int) -> None:
    """Refuse what is no number of steps.

    Raises
    ------
    MethodError
        With the value that was given.
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 0:
        raise MethodError(f"steps={steps!r}: a number of steps is a whole number, 0 or larger")


def smallest_tolerance(size: Callable[[float], int], target: int, steps: int = 40) -> float:
    """The smallest tolerance found at which ``size`` is at most ``target``, by bisection.

    ``size`` should not grow with the tolerance; where it does slightly (linkages that are not
    monotone), what is returned still satisfies the target.

    Raises
    ------
    FailureError
        If no tolerance reaches the target.

    Examples
    --------
    >>> round(smallest_tolerance(lambda eps: 10 - int(eps), 7), 4)
    3.0
    """
    if size(0.0) <= target:
        return 0.0
    low, high = 0.0, 1.0
    previous = -1
    while (reached := size(high)) > target:
        if high > 1e12 or (reached == previous and high > 1e6):
            raise FailureError(
                f"the smallest reachable size is {reached} parameters, more than the requested "
                f"{target}; ask for a larger share, or another method"
            )
        previous = reached
        low, high = high, high * 4
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (low, middle) if size(middle) <= target else (middle, high)
        if high - low <= 1e-6 * high:
            break
    return high
