"""Certificates: a lumping as plain data that anyone can verify, with rationals as "p/q" text.

The format is specified in the documentation, "Certificates"; :mod:`symlump.proof.check` verifies it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symlump.errors import FailureError, FileFormatError
from symlump.files import write_text
from symlump.proof.check import (
    MAX_DIGITS,
    VERSION,
    Unreadable,
    Verdict,
    check,
    read_json,
    read_system,
    system_digest,
)
from symlump.proof.closure import check_closure

if TYPE_CHECKING:
    from symlump.ode.polynomial import PolynomialODE


@dataclass(frozen=True, eq=False, repr=False)
class Certificate:
    """The claims of a lumping and what is needed to verify them.

    Parameters
    ----------
    data : dict
        Plain data, as it stands in a JSON file.

    Examples
    --------
    >>> import sympy, symlump as sl
    >>> x, y = sympy.symbols("x y")
    >>> lumping = sl.lump(sl.PolynomialODE.from_sympy({x: -x, y: -y}), sl.Forward())
    >>> print(lumping.certificate().check().reason)
    forward equivalence of 2 variables in 1 blocks, and its quotient, the coarsest inside the initial partition
    """

    data: dict[str, Any]

    @classmethod
    def read(cls, path: str | Path) -> Certificate:
        """Read a certificate; nothing in it is trusted before :meth:`check`.

        Raises
        ------
        FileFormatError
            If the file is not a JSON object.
        """
        try:
            data = read_json(str(path))
        except Unreadable as error:
            raise FileFormatError(str(error)) from None
        if not isinstance(data, dict):
            raise FileFormatError(f"{path} holds no JSON object, so it is not a certificate")
        return cls(data)

    def check(self, system: PolynomialODE | None = None) -> Verdict:
        """Have the independent checkers verify all claims.

        That is :func:`symlump.proof.check.check`, and for a linear lumping that claims to be the smallest also
        :func:`symlump.proof.closure.check_closure`.

        Parameters
        ----------
        system : PolynomialODE, optional
            The system, if the certificate holds only its digest.

        Raises
        ------
        FileFormatError
            If the data does not have the form of a certificate.
        """
        given = None if system is None else system_data(system)
        try:
            verdict = check(self.data, given)
            if not verdict.accepted or "closure" not in self.data:
                return verdict
            smallest = check_closure(self.data, given)
            reason = f"{verdict.reason}; {smallest.reason}"
            return Verdict(smallest.answer, reason, coarsest=smallest.accepted)
        except Unreadable as error:
            raise FileFormatError(str(error)) from None

    def without_system(self) -> Certificate:
        """The same with the system referred to by its digest only."""
        return Certificate({key: value for key, value in self.data.items() if key != "system"})

    def to_coq(self) -> str:
        """The claims as a Coq file; see :mod:`symlump.proof.coq.lemmas`.

        Raises
        ------
        FileFormatError
            If the checker does not accept the certificate, or it holds no system: only what was verified is
            stated.
        """
        from symlump.proof.coq.lemmas import to_coq

        verdict = self.check()
        if not verdict.accepted:
            raise FileFormatError(f"the checker does not accept this certificate: {verdict.reason}")
        return to_coq(self.data)

    def to_json(self) -> str:
        """The text of a certificate file."""
        return json.dumps(self.data, ensure_ascii=False, separators=(",", ":")) + "\n"

    def write(self, path: str | Path) -> None:
        """Write a certificate file, whole or not at all."""
        write_text(path, self.to_json())

    def __repr__(self) -> str:
        blocks = self.data.get("blocks", {})
        count = f"{len(blocks)} blocks" if isinstance(blocks, dict | list) else "no blocks"
        return f"<Certificate: {self.data.get('kind')}, {count}>"


def claim(
    direction: str,
    ode: PolynomialODE,
    blocks: tuple[tuple[str, ...], ...],
    quotient: PolynomialODE,
    tolerance: str = "0",
    initial: tuple[tuple[str, ...], ...] | None = None,
    maximality: list[list[list[Any]]] | None = None,
) -> dict[str, Any]:
    """What :func:`symlump.proof.check.check` reads."""
    system = system_data(ode)
    data: dict[str, Any] = {
        "format": "symlump certificate",
        "version": VERSION,
        "kind": direction,
        "tolerance": tolerance,
        "digest": _digest(system),
        "system": system,
        "blocks": {
            name: list(block) for name, block in zip(quotient.variables, blocks, strict=True)
        },
        "quotient": system_data(quotient),
    }
    if initial is not None:
        data["initial"] = [list(block) for block in initial]
    if maximality is not None:
        data["maximality"] = maximality
    return data


def linear_claim(
    ode: PolynomialODE, matrix: Mapping[str, Mapping[str, Any]], quotient: PolynomialODE
) -> dict[str, Any]:
    """The claim that y = L·x satisfies y' = g(y), for the checker.

    Parameters
    ----------
    ode : PolynomialODE
    matrix : mapping
        L by rows: for each variable of the quotient, ``{variable: rational}``.
    quotient : PolynomialODE

    Examples
    --------
    >>> import sympy, symlump as sl
    >>> x, y, s = sympy.symbols("x y s")
    >>> ode = sl.PolynomialODE.from_sympy({x: x + y, y: y - x})
    >>> small = sl.PolynomialODE.from_sympy({s: s})
    >>> check(linear_claim(ode, {"s": {"x": 1, "y": 2}}, small)).reason
    'row s: coefficient of x is -1, the quotient claims 1'
    """
    system = system_data(ode)
    return {
        "format": "symlump certificate",
        "version": VERSION,
        "kind": "linear",
        "tolerance": "0",
        "digest": _digest(system),
        "system": system,
        "matrix": {
            name: [[str(Fraction(value)), [[variable, 1]]] for variable, value in row.items()]
            for name, row in matrix.items()
        },
        "quotient": system_data(quotient),
    }


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
        data[names[row]].append([_text(value), monomials[column]])
    return data


def _digest(system: dict[str, list[Any]]) -> str:
    try:
        return system_digest(read_system(system))
    except Unreadable as error:
        raise FailureError(f"this system is more than a certificate may hold: {error}") from None


def _text(value: object) -> str:
    """A rational as the checker reads it."""
    try:
        text = str(value)
    except ValueError:  # Python writes no integer of more than 4300 digits
        text = ""
    if not 0 < len(text) <= MAX_DIGITS:
        raise FailureError(
            f"a coefficient is longer than {MAX_DIGITS} digits, more than a certificate may hold"
        )
    return text
