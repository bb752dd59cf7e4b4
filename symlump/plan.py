"""One shape for every method: what costs is done once, then any tolerance or size is asked for.

``plan = method.plan(subject)`` analyses a system or a network. ``plan.at(eps)`` is the result at a tolerance,
``plan.size(eps)`` how large it is, ``plan.tolerance(target)`` the smallest tolerance found whose result is no
larger than a target, and ``plan.reach(target)`` that result. A method says one of two things: a tolerance,
``eps``, or the share of the size to keep, ``retain``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any, ClassVar, Generic, Self, TypeVar

from symlump.errors import FailureError, MethodError
from symlump.ode.notation import count_text
from symlump.plain_numbers import is_number, with_plain_numbers

Result = TypeVar("Result", covariant=True)
Subject = TypeVar("Subject", contravariant=True)
_Question = TypeVar("_Question", bound=Callable[..., Any])

#: What a method may be told, as an error names it; ``{}`` is the method's name.
_WISHES = {
    "eps": "eps (a tolerance, as in {}(eps=0.1))",
    "retain": "retain (a share of the size to keep, as in {}(retain=0.4))",
    "rank": "rank (as in {}(rank=8))",
    "bits": "bits (as in {}(bits=8))",
}


#: A tolerance that merges or drops all that may go, unless a plan says otherwise.
LARGEST = 1e12

#: Of the smallest tolerance with the smallest result, where none are named.
_SHARES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)


def _checked(ask: _Question) -> _Question:
    """A question to a plan, with its tolerance or size checked first."""

    @wraps(ask)
    def asking(self: Any, *given: Any, **named: Any) -> Any:
        check = check_tolerance if ask.__name__ in ("at", "size") else check_target
        for value in (*given, *named.values()):
            check(value)
        return ask(self, *given, **named)

    return asking  # type: ignore[return-value]


class Plan(ABC, Generic[Result]):
    """What a method found out about a subject, good for every tolerance.

    A tolerance or size out of range is refused before a plan is asked.

    Examples
    --------
    >>> class Halves(Plan[str]):
    ...     whole = 10
    ...     def at(self, eps: float) -> str:
    ...         return "x" * self.size(eps)
    ...     def size(self, eps: float) -> int:
    ...         return max(1, 10 - int(eps))
    >>> plan = Halves()
    >>> plan.at(2.5), plan.reach(7), round(plan.tolerance(7), 4)
    ('xxxxxxxx', 'xxxxxxx', 3.0)
    >>> plan.at(-1.0)
    Traceback (most recent call last):
    ...
    symlump.errors.MethodError: eps=-1.0: a tolerance is a finite number, 0 or larger
    """

    #: What sizes count.
    counted: ClassVar[str] = "parameters"

    def __init_subclass__(cls, **options: Any) -> None:
        """Have what a plan is asked checked in one place."""
        super().__init_subclass__(**options)
        for name in ("at", "size", "tolerance", "reach"):
            if name in vars(cls):
                setattr(cls, name, _checked(vars(cls)[name]))

    @property
    @abstractmethod
    def whole(self) -> int:
        """The size of the subject: what ``retain`` is a share of."""

    @property
    def most(self) -> float:
        """The largest tolerance to be asked for, at which all goes that may go."""
        return LARGEST

    @abstractmethod
    def at(self, eps: float) -> Result:
        """The result at a tolerance."""

    @abstractmethod
    def size(self, eps: float) -> int:
        """The size of the result at a tolerance, in the unit of :attr:`whole`."""

    @_checked
    def tolerance(self, target: int) -> float:
        """The smallest tolerance found whose result has at most the target's size.

        Raises
        ------
        FailureError
            If no tolerance reaches it.
        """
        return smallest_tolerance(self.size, target, self.counted)

    @_checked
    def reach(self, target: int) -> Result:
        """The result at the smallest tolerance found whose size is at most ``target``.

        Raises
        ------
        FailureError
            If no tolerance reaches it.
        """
        return self.at(self.tolerance(target))

    def largest(self, accepts: Callable[[Result], bool], wish: str) -> Result:
        """The result at the largest tolerance found that is accepted, with none accepted found above it.

        ``accepts`` should turn from True to False once as the tolerance grows. Where it does so more than once,
        what is returned is still accepted. If any tolerance is, the least one that gives the smallest result is
        taken, which says more than an arbitrary large one.

        Parameters
        ----------
        accepts : callable
            Whether a result is good enough.
        wish : str
            What is asked for, for the error's text.

        Raises
        ------
        FailureError
            If not even the result at 0 is accepted.
        """
        eps = largest_tolerance(lambda eps: accepts(self.at(eps)), wish, self.most)
        return self.at(self.tolerance(self.size(eps)) if eps == self.most else eps)

    def tolerances(self) -> list[float]:
        """Some that show how results change: 0, and shares of the smallest one with the smallest result."""
        top = self.tolerance(self.size(self.most))
        return sorted({0.0, *(_rounded_up(share * top) for share in _SHARES)})

    def retain(self, share: float) -> Result:
        """The result at the smallest tolerance found that keeps at most this share.

        Raises
        ------
        FailureError
            If no tolerance does.
        """
        return self.reach(share_of(self.whole, share))


class Method(ABC, Generic[Subject, Result]):
    """A small frozen object with options, that makes plans of subjects of its kind."""

    #: The tolerance, if that is what was said.
    eps: float | None
    #: Instead, the share of the size to keep.
    retain: float | None

    def __init_subclass__(cls, **options: Any) -> None:
        """Have numbers of any kind taken as options, in one place."""
        super().__init_subclass__(**options)
        own = vars(cls).get("__post_init__")
        if own is not None or not hasattr(cls, "__post_init__"):
            cls.__post_init__ = with_plain_numbers(own)  # type: ignore[attr-defined]

    @abstractmethod
    def plan(self, subject: Subject) -> Plan[Result]:
        """Analyse a subject, once for all tolerances.

        Parameters
        ----------
        subject : ODE or Network
            Of the kind that the method reduces.

        Returns
        -------
        Plan
            What gives the result at any tolerance, or of any size.
        """

    def apply(self, subject: Subject) -> Result:
        """The result that the method asks of its own plan.

        Parameters
        ----------
        subject : ODE or Network
            Of the kind that the method reduces.

        Returns
        -------
        Lumping, LinearLumping or Reduction
            What the verb makes its result of.

        Examples
        --------
        >>> from symlump import Forward, ODE
        >>> len(Forward(eps=0.2).apply(ODE.from_text("a' = -a; b' = -1.1*b")).partition)
        1
        """
        return self.settle(self.plan(subject))

    def within(self, eps: float) -> Self:
        """The method with a tolerance, in the unit in which its plans measure one.

        Parameters
        ----------
        eps : float
            The tolerance, 0 or larger.

        Returns
        -------
        Method
            Of the same class; a share that was asked for is dropped.

        Examples
        --------
        >>> from symlump import Magnitude
        >>> Magnitude(retain=0.5).within(0.1).eps
        0.1
        """
        return replace(self, eps=eps, retain=None)  # type: ignore[type-var]

    def settle(self, plan: Plan[Result]) -> Result:
        """What a plan gives for the tolerance, or the share, that was said.

        Parameters
        ----------
        plan : Plan
            One that the method has made.

        Returns
        -------
        Lumping, LinearLumping or Reduction

        Raises
        ------
        FailureError
            If no tolerance reaches the share.

        Examples
        --------
        >>> from symlump import Forward, ODE
        >>> method = Forward(retain=0.5)
        >>> plan = method.plan(ODE.from_text("a' = -a; b' = -1.1*b"))
        >>> len(method.settle(plan).partition)
        1
        """
        if self.retain is not None:
            return plan.retain(self.retain)
        assert self.eps is not None
        return plan.at(self.eps)


def check_wish(method: object, **wishes: Any) -> None:
    """Demand exactly one of some options, and that it is in its range.

    Parameters
    ----------
    method : object
        Whose options these are, for the error's text.
    wishes
        Options by name: a tolerance ``eps``, a share ``retain``, and what else there is instead.

    Raises
    ------
    MethodError
        With what was meant.

    Examples
    --------
    >>> check_wish(object(), eps=None, retain=0.4)
    >>> check_wish("text", eps=0.1, retain=0.4)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    symlump.errors.MethodError: str takes exactly one of eps (a tolerance, as in str(eps=0.1)) and retain (a...
    """
    name = type(method).__name__
    if sum(value is not None for value in wishes.values()) != 1:
        *first, last = (_WISHES[wish].format(name) for wish in wishes)
        raise MethodError(f"{name} takes exactly one of {', '.join(first)} and {last}")
    if wishes["eps"] is not None:
        check_tolerance(wishes["eps"])
    if wishes["retain"] is not None:
        check_share(wishes["retain"])


def check_exact_wish(method: object, eps: float, retain: float | None) -> None:
    """Check a wish to a method that is exact by default: a tolerance above 0 or a share, not both.

    Raises
    ------
    MethodError
        With what was meant.
    """
    if retain is None:
        check_tolerance(eps)
    else:
        check_wish(method, eps=None if eps == 0 else eps, retain=retain)


def check_tolerance(eps: float, name: str = "eps") -> None:
    """Raise if a tolerance is negative, infinite, or not a number.

    Raises
    ------
    MethodError
        With the value that was given.
    """
    if not is_number(eps) or not math.isfinite(eps) or eps < 0:
        raise MethodError(f"{name}={eps!r}: a tolerance is a finite number, 0 or larger")


def check_target(size: int) -> None:
    """Raise if a size is not a finite number of at least 0.

    Raises
    ------
    MethodError
        With the value that was given.
    """
    if not is_number(size) or not 0 <= size < math.inf:
        raise MethodError(f"target={size!r}: a size to be reached is a number, 0 or larger")


def check_share(share: float, name: str = "retain") -> None:
    """Raise if a share is outside (0, 1].

    Raises
    ------
    MethodError
        With the value that was given.
    """
    if not is_number(share) or not 0 < share <= 1:
        raise MethodError(f"{name}={share!r}: a share of the size is in (0, 1], such as 0.4")


def share_of(size: int, share: float) -> int:
    """The largest whole number within a share (which is a rounded float itself)."""
    return int(float(share) * size * (1 + 1e-12))


def unreachable(least: float, target: int, counted: str) -> FailureError:
    """That no size is within a target.

    Examples
    --------
    >>> str(unreachable(1, 0, "parameters"))[:67]
    'the smallest reachable size is 1 parameter, more than the requested'
    """
    size = count_text(int(least), counted.removesuffix("s"))
    return FailureError(
        f"the smallest reachable size is {size}, more than the requested {target}; ask for a larger "
        "share, or another method"
    )


def smallest_tolerance(
    size: Callable[[float], int],
    target: int,
    counted: str = "parameters",
    steps: int = 40,
    also: float = math.inf,
) -> float:
    """The smallest tolerance found at which ``size`` is at most ``target``, by bisection.

    ``size`` should not grow with the tolerance; where it does slightly (linkages that are not
    monotone), what is returned still satisfies the target.

    Parameters
    ----------
    size : callable
    target : int
    counted : str
        What is counted, for the error.
    steps : int
        Of the bisection.
    also : float
        A size that is reached otherwise, which counts for what is said where no tolerance does.

    Raises
    ------
    FailureError
        If no tolerance reaches the target.

    Examples
    --------
    >>> round(smallest_tolerance(lambda eps: 10 - int(eps), 7), 4)
    3.0
    """
    least = size(0.0)
    if least <= target:
        return 0.0
    low, high = 0.0, 1.0
    previous = -1
    while (reached := size(high)) > target:
        least = min(least, reached)
        if high > LARGEST or (reached == previous and high > 1e6):
            raise unreachable(min(least, also), target, counted)
        previous = reached
        low, high = high, high * 4
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (low, middle) if size(middle) <= target else (middle, high)
        if high - low <= 1e-6 * high:
            return high
    while not low and high > 1 / LARGEST**2:  # far below 1: its magnitude first
        low, high = (0.0, high / 4) if size(high / 4) <= target else (high / 4, high)
    for _ in range(steps if low else 0):
        middle = (low + high) / 2
        low, high = (low, middle) if size(middle) <= target else (middle, high)
    return high


def largest_tolerance(
    accepts: Callable[[float], bool], wish: str, most: float = LARGEST, steps: int = 24
) -> float:
    """A tolerance that ``accepts``, up to ``most``, with none accepted found above it, by bisection.

    Raises
    ------
    FailureError
        If not even ε = 0 is accepted.

    Examples
    --------
    >>> round(largest_tolerance(lambda eps: eps <= 0.3, "an error of at most 0.3"), 3)
    0.3
    """
    if not accepts(0.0):
        raise FailureError(f"not even ε = 0 gives {wish}; ask for less")
    low, high = 0.0, 1e-3
    while accepts(high):
        if high == most:
            return most
        low, high = high, min(high * 4, most)
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (middle, high) if accepts(middle) else (low, middle)
        if high - low <= 1e-4 * high:
            break
    return low


def _rounded_up(value: float) -> float:
    """To three digits, never below: a tolerance that is rounded down would no longer reach.

    Examples
    --------
    >>> _rounded_up(0.123401), _rounded_up(0.0)
    (0.124, 0.0)
    """
    if not value:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 2)
    rounded = float(f"{math.ceil(value / unit) * unit:.3g}")
    return max(rounded, value)
