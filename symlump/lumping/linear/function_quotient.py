"""The quotient of a linear lumping of a system with quotients and functions: g with L·q(x) = g(L·x).

As g(L·x) is known to be a function of L·x, one x per y is enough. The section of polynomial systems, 0 outside
some columns, is tried first; where a denominator is 0 on it (or a logarithm has no value), the other variables
are numbers that are not 0: x_J = M·(y − L_rest·c), and c on the others. They are drawn anew until functions of
them alone have values, as ln(c) and ln(1 − c) have where c is between 0 and 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from symlump.errors import FailureError, InputError
from symlump.lumping.linear.quotient import Section
from symlump.lumping.linear.spaces.exact_matrix import ExactMatrix
from symlump.ode.exact import FloatArray
from symlump.ode.functions.algebra import Polynomial, add_to
from symlump.ode.functions.symbols import SymbolTable
from symlump.ode.system import ODE

#: What this much is not seen as: a difference from a fraction whose denominator is at most the second.
_ROUNDING, _SHORT = 1e-12, 1000
#: Seeds of the numbers that the other variables are given, and how often some of these are drawn anew.
_TRIES, _REDRAWS = 6, 200
#: The numbers that are tried first; where they do not do, those of one digit, and then of two.
_WHOLE = [Fraction(k) for k in range(1, 10)]
_SHORT_ONES = [s * k * Fraction(10) ** e for k in _WHOLE for e in (0, -1, 1) for s in (1, -1)]
_LONGER_ONES = [
    s * k * Fraction(10) ** e for k in range(10, 100) for e in range(-3, 3) for s in (1, -1)
]


def functional_quotient(ode: ODE, rows: ExactMatrix, names: Sequence[str]) -> ODE:
    """The system that y = L·x obeys, if it obeys one.

    Raises
    ------
    FailureError
        If it has no value at any of the sections that were tried, or takes too long to multiply out.

    Examples
    --------
    >>> import symlump as sl
    >>> ode = sl.ODE.from_text("a' = -a/(1 + a + 2*b); b' = -b/(1 + a + 2*b)")
    >>> print(functional_quotient(ode, ExactMatrix.from_rows([{0: 1, 1: 2}], 2), ["y"]))
    y' = -y/(1 + y)
    """
    problem: Exception | None = None
    for images in _sections(ode, rows):
        try:
            return _on_section(ode, rows, names, images, ode.coefficients.is_float)
        except InputError as error:
            problem = error
    raise FailureError(f"the quotient cannot be written down: {problem}")


def nearby_quotient(
    ode: ODE, rows: ExactMatrix, inverse: FloatArray, names: Sequence[str], eps: float
) -> ODE:
    """G(y) = L·q(L⁺·y) in float64, for rows that are a lumping within a tolerance.

    Parameters
    ----------
    inverse : ndarray, shape (variables, rows)
        L⁺.

    Raises
    ------
    FailureError
        If a denominator is 0 for every y, or it takes too long to multiply out.
    """
    scale = float(np.abs(inverse).max(initial=0.0))
    images: list[Polynomial] = [
        {
            ((row, 1),): _short(value, scale)
            for row, value in enumerate(line)
            if _short(value, scale)
        }
        for line in inverse.tolist()
    ]
    try:
        return _on_section(ode, rows, names, images, floats=True)
    except InputError as error:
        raise FailureError(
            f"the quotient within ε = {eps:g} cannot be written down: {error}. A smaller tolerance keeps more "
            "rows; without one, the exact lumping is found"
        ) from None


def _short(value: float, scale: float) -> Fraction:
    """A number near this one, so that what should cancel does: a short fraction, else 40 binary digits."""
    near = Fraction(value).limit_denominator(_SHORT)
    if abs(float(near) - value) <= _ROUNDING * scale:
        return near
    unit = Fraction(scale) / 2**40
    return round(Fraction(value) / unit) * unit


def _on_section(
    ode: ODE, rows: ExactMatrix, names: Sequence[str], images: Sequence[Polynomial], floats: bool
) -> ODE:
    """L·q(x), where x is a polynomial in the names.

    Raises
    ------
    InputError
        If it has no value there, or takes too long to multiply out.
    """
    table = SymbolTable(rows.shape[0])
    equations, _ = ode.into(table, images)
    combined: list[Polynomial] = []
    for i in range(rows.shape[0]):
        total: Polynomial = {}
        for column, value in rows.row(i).items():
            add_to(total, equations[column], value)
        combined.append({} if table.is_zero(total) else total)
    single = {
        ode.variables[c] for c in rows.columns[np.diff(rows.indptr)[rows.owners] == 1].tolist()
    }
    parameters = [name for name in ode.parameters if name in single and name in names]
    return ODE.from_table(names, combined, table, parameters, floats)


def _numbers(ode: ODE, free: npt.NDArray[np.bool_], seed: int) -> list[Fraction]:
    """A number for each free variable, at which functions of these alone have values, if such are found."""
    draw = np.random.default_rng(seed)
    found = [_WHOLE[draw.integers(9)] if own else Fraction(0) for own in free.tolist()]
    generators = ode.generators
    if generators is None:
        return found
    occurring = generators.support
    settled = np.flatnonzero((occurring @ ~free == 0) & (occurring @ free > 0))
    inside = occurring[settled]
    for count in range(_REDRAWS):
        values = generators.values(np.array(found, dtype=np.float64))[len(ode) + settled]
        lost = np.flatnonzero(~np.isfinite(values))
        if not lost.size:
            break
        others = _LONGER_ONES if 4 * count > _REDRAWS else _SHORT_ONES
        for variable in np.unique(inside[lost].indices).tolist():
            found[variable] = others[draw.integers(len(others))]
    return found


def _sections(ode: ODE, rows: ExactMatrix) -> Iterator[list[Polynomial]]:
    """One x for each y, as linear polynomials in y."""
    section = Section.of(rows)
    free = np.ones(rows.width, dtype=bool)
    free[section.columns] = False
    for seed in range(_TRIES):
        constants = _numbers(ode, free, seed) if seed else [Fraction(0)] * rows.width
        # What the numbers add to each row is taken off y.
        moved = [
            -sum((v * constants[c] for c, v in rows.row(i).items()), Fraction(0))
            for i in range(rows.shape[0])
        ]
        images: list[Polynomial] = [{(): c} if c else {} for c in constants]
        for column, form in zip(section.columns.tolist(), section.forms, strict=True):
            image: Polynomial = {((row, 1),): value for row, value in form.items()}
            shift = sum((value * moved[row] for row, value in form.items()), Fraction(0))
            images[column] = image | ({(): shift} if shift else {})
        yield images
