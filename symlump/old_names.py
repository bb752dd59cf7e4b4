"""Options by the names that they had before, for one release."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from symlump.errors import MethodError

_Class = TypeVar("_Class", bound=type)


def accept_old_names(**names: str) -> Callable[[_Class], _Class]:
    """Let a class accept options by names that it had before, each with a warning.

    Parameters
    ----------
    names
        The new name of each old one.

    Examples
    --------
    >>> @accept_old_names(tol="eps")
    ... class Method:
    ...     def __init__(self, eps: float) -> None:
    ...         self.eps = eps
    >>> with warnings.catch_warnings(record=True) as said:
    ...     warnings.simplefilter("always")
    ...     print(Method(tol=0.5).eps, said[0].message)
    0.5 Method(tol=…) is now Method(eps=…); the old name goes with the next release
    >>> Method(tol=0.5, eps=0.1)
    Traceback (most recent call last):
    ...
    symlump.errors.MethodError: Method(tol=…) is now Method(eps=…); give that one only
    """

    def decorate(kind: _Class) -> _Class:
        original = kind.__init__  # type: ignore[misc]

        @wraps(original)
        def renaming(self: Any, *given: Any, **options: Any) -> None:
            for old, new in names.items():
                if old in options:
                    text = f"{kind.__name__}({old}=…) is now {kind.__name__}({new}=…)"
                    if new in options:
                        raise MethodError(f"{text}; give that one only")
                    warnings.warn(
                        f"{text}; the old name goes with the next release",
                        DeprecationWarning,
                        stacklevel=2,
                    )
                    options[new] = options.pop(old)
            original(self, *given, **options)

        kind.__init__ = renaming  # type: ignore[misc]
        return kind

    return decorate
