"""A lumping as plain data for the independent checker: rationals as "p/q" text, names, no arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symlump.ode.polynomial import PolynomialODE


def system_data(ode: PolynomialODE) -> dict[str, list[Any]]:
    """A system as ``{variable: [[coefficient, [[variable, power], …]], …]}``.

    Examples
    --------
    >>> import sympy
    >>> from symlump import PolynomialODE
    >>> x = sympy.Symbol("x")
    >>> system_data(PolynomialODE.from_sympy({x: -x**2 / 3}))
    {'x': [['-1/3', [['x', 2]]]]}
    """
    names = ode.variables
    monomials = [
        [[names[v], e] for v, e in ode.monomials.factors(m)] for m in range(len(ode.monomials))
    ]
    data: dict[str, list[Any]] = {name: [] for name in names}
    for row, column, value in zip(
        ode.rows.tolist(), ode.columns.tolist(), ode.coefficients, strict=True
    ):
        data[names[row]].append([str(value), monomials[column]])
    return data


def claim(
    direction: str,
    ode: PolynomialODE,
    blocks: tuple[tuple[str, ...], ...],
    quotient: PolynomialODE,
) -> dict[str, Any]:
    """What :func:`symlump.proof.check.check` reads."""
    return {
        "kind": direction,
        "system": system_data(ode),
        "blocks": {
            name: list(block) for name, block in zip(quotient.variables, blocks, strict=True)
        },
        "quotient": system_data(quotient),
    }
