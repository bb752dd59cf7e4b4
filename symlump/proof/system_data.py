"""Systems as plain data, as they stand in a certificate."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from symlump.errors import FailureError
from symlump.proof import check as checker
from symlump.proof.check import Unreadable, read_functions, read_system, system_digest

if TYPE_CHECKING:
    from symlump.ode.system import ODE


def system_data(ode: ODE) -> dict[str, list[Any]]:
    """A system as ``{variable: [[coefficient, [[variable, power], …]], …]}``; a map keeps its parameters.

    Examples
    --------
    >>> import sympy
    >>> from symlump import PolynomialODE
    >>> x = sympy.Symbol("x")
    >>> system_data(PolynomialODE.from_sympy({x: -x**2 / 3}))
    {'x': [['-1/3', [['x', 2]]]]}
    """
    names = _symbol_names(ode)
    monomials = [
        [[names[v], e] for v, e in ode.monomials.factors(m)] for m in range(len(ode.monomials))
    ]
    data: dict[str, list[Any]] = {name: [] for name in ode.variables}
    texts: dict[Fraction, str] = {}  # most systems have few different coefficients
    for row, column, value in zip(
        ode.rows.tolist(), ode.columns.tolist(), ode.coefficients, strict=True
    ):
        if value not in texts:
            texts[value] = _text(value)
        data[names[row]].append([texts[value], monomials[column]])
    for name in ode.parameters if ode.discrete else ():
        data[name].append(["1", [[name, 1]]])
    return data


def given_data(ode: ODE) -> dict[str, Any]:
    """A system beside a certificate: its equations, or an object of equations and functions."""
    system = system_data(ode)
    if ode.generators is None:
        return system
    return {"system": system, "functions": functions_data(ode)}


def functions_data(ode: ODE) -> dict[str, list[Any]]:
    """The functions in a system as ``{symbol: [function, [polynomial, …]]}``.

    Examples
    --------
    >>> import sympy
    >>> from symlump import ODE
    >>> x = sympy.Symbol("x")
    >>> functions_data(ODE.from_sympy({x: 1 / (1 + x)}))
    {'f1': ['inverse', [[['1', []], ['1', [['x', 1]]]]]]}
    """
    if ode.generators is None:
        return {}
    names, generators = _symbol_names(ode), ode.generators
    return {
        names[len(ode) + k]: [
            generators.functions[k],
            [
                [[_text(value), [[names[s], e] for s, e in m]] for m, value in u.items()]
                for u in generators.arguments_of(k)
            ],
        ]
        for k in range(len(generators))
    }


def _symbol_names(ode: ODE) -> tuple[str, ...]:
    """Names of variables, and f1, f2, … for functions (with more letters where a variable is called so)."""
    if ode.generators is None:
        return ode.variables
    prefix = "f"
    while any(name.startswith(prefix) and name[len(prefix) :].isdigit() for name in ode.variables):
        prefix += "_"
    return ode.variables + tuple(f"{prefix}{k + 1}" for k in range(len(ode.generators)))


def digest_of(
    system: dict[str, list[Any]], functions: dict[str, list[Any]], discrete: bool = False
) -> str:
    """The digest that the checker computes.

    Raises
    ------
    FailureError
        If the system is more than a certificate may hold.
    """
    try:
        return system_digest(read_system(system), read_functions(functions), discrete)
    except Unreadable as error:
        raise FailureError(f"this system is more than a certificate may hold: {error}") from None


def _text(value: object) -> str:
    """A rational as the checker reads it."""
    try:
        text = str(value)
    except ValueError:  # Python writes no integer of more than 4300 digits
        text = ""
    if not 0 < len(text) <= checker.MAX_DIGITS:
        raise FailureError(
            f"a coefficient is longer than {checker.MAX_DIGITS} digits, more than a certificate may hold"
        )
    return text
