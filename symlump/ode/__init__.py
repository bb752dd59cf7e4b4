"""The object of study: differential equations with exact coefficients.

The package can be called: ``sl.ode("x' = -x")`` is :meth:`ODE.from_text <symlump.ode.system.ODE.from_text>`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from symlump.ode.system import ODE


class _Package(ModuleType):
    def __call__(self, text: str, parameters: Iterable[str] = ()) -> ODE:
        """Read equations as one types them: :meth:`ODE.from_text <symlump.ode.system.ODE.from_text>`.

        Examples
        --------
        >>> import symlump as sl
        >>> print(sl.ode("x' = -k*x/(1 + x); y' = x", parameters=["k"]))
        x' = -x*k/(1 + x)
        y' = x
        k' = 0
        """
        from symlump.ode.system import ODE

        return ODE.from_text(text, parameters)


sys.modules[__name__].__class__ = _Package
