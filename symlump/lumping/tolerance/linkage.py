"""How a tolerance groups variables: three linkages of rows of coefficients.

``closure``
    connected components of "1-norm distance at most ε": the definition of approximate differential
    equivalence (arXiv:1807.06888). Two rows of one group can be (size − 1)·ε apart.
``diameter``
    complete linkage: every two rows of a group are within ε in the 1-norm.
``variance``
    Ward's linkage: merge while the height √(2|A||B|/(|A|+|B|))·‖mean_A − mean_B‖₂ is at most ε, so
    that two single rows merge iff their 2-norm distance is at most ε.

They are computed in :mod:`symlump.lumping.tolerance.grouping`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from symlump.errors import MethodError


class Linkage(StrEnum):
    """How a tolerance groups variables."""

    CLOSURE = "closure"
    DIAMETER = "diameter"
    VARIANCE = "variance"

    @classmethod
    def named(cls, name: Any) -> Linkage:
        """The linkage of that name.

        Raises
        ------
        MethodError
            If there is none.
        """
        try:
            return cls(name)
        except ValueError:
            raise MethodError(
                f"linkage {name!r} is unknown; choose " + ", ".join(repr(str(m)) for m in cls)
            ) from None

    @property
    def norm(self) -> int:
        """The norm in which this linkage measures distance."""
        return 2 if self is Linkage.VARIANCE else 1
