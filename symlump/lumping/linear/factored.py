"""A quotient that is evaluated, not written out: g(y) = L·q(U·y)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
from scipy import sparse

from symlump.errors import FailureError, VariableError
from symlump.ode.exact import FloatArray
from symlump.ode.polynomial import PolynomialODE


class FactoredODE(PolynomialODE):
    """The system y' = L·q(U·y), as its three factors.

    It is integrated and swept like any other; what would need its terms says that they are not written out.

    Parameters
    ----------
    variables : sequence of str
    outer : ndarray, shape (variables, inner variables)
        L.
    inner : PolynomialODE
        x' = q(x).
    lift : ndarray, shape (inner variables, variables)
        U.

    Examples
    --------
    >>> import sympy
    >>> a, b = sympy.symbols("a b")
    >>> inner = PolynomialODE.from_sympy({a: a*b, b: -b})
    >>> whole = FactoredODE(("y",), np.array([[1.0, 1.0]]), inner, np.array([[0.5], [0.5]]))
    >>> whole.rhs([2.0]), whole.jacobian([2.0]).toarray()     # y²/4 − y/2
    (array([0.]), array([[0.5]]))
    >>> print(whole)
    y' = L·q(U·y): 1 variable, as factors of 6 numbers
    """

    outer: FloatArray
    inner: PolynomialODE
    lift: FloatArray

    def __init__(
        self, variables: Sequence[str], outer: FloatArray, inner: PolynomialODE, lift: FloatArray
    ) -> None:
        for name, value in (
            ("variables", tuple(variables)),
            ("parameters", ()),
            ("outer", outer),
            ("inner", inner),
            ("lift", lift),
        ):
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> NoReturn:
        if name in ("monomials", "rows", "columns", "coefficients"):
            raise FailureError(
                f"this quotient of {len(self.variables)} variables is not written out in terms, as there would "
                "be too many; it can be evaluated (rhs), integrated (simulate) and swept. A larger tolerance "
                "gives one with terms"
            )
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    @property
    def terms(self) -> int:
        """How many numbers the factors hold."""
        return int(np.count_nonzero(self.outer) + np.count_nonzero(self.lift)) + self.inner.terms

    def rhs(self, x: npt.ArrayLike, time: float = 0.0) -> FloatArray:
        """The right-hand side L·q(U·y) in float64."""
        state = np.asarray(x, dtype=np.float64)
        if state.ndim not in (1, 2) or state.shape[0] != len(self):
            raise VariableError(
                f"a state of this system has {len(self)} entries; got an array of shape {state.shape}"
            )
        return np.asarray(self.outer @ self.inner.rhs(self.lift @ state, time))

    def jacobian(self, x: npt.ArrayLike, time: float = 0.0) -> sparse.csr_array:
        """L·J(U·y)·U at a state."""
        inside = self.inner.jacobian(self.lift @ np.asarray(x, dtype=np.float64), time)
        return sparse.csr_array(self.outer @ (inside @ self.lift))

    def to_text(self, *limits: Any, **named: Any) -> str:
        """One line: there are no terms to show."""
        kind = "variable" if len(self) == 1 else "variables"
        return f"y' = L·q(U·y): {len(self)} {kind}, as factors of {self.terms} numbers"

    def to_latex(self, *limits: Any, **named: Any) -> str:
        """The equation as a formula."""
        return r"\dot y = L\,q(U y)"
