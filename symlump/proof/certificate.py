"""Certificates: a lumping as plain data that anyone can verify, with rationals as "p/q" text.

The format is specified in the documentation, "Certificates"; :mod:`symlump.proof.check` verifies it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symlump.errors import (
    CertificateError,
    FailureError,
    FileFormatError,
    MethodError,
    SubjectError,
)
from symlump.files import write_text
from symlump.proof import check as checker
from symlump.proof.check import (
    Inconclusive,
    Rejected,
    Unreadable,
    Verdict,
    check,
    read_claim,
    read_json,
    spelled_out,
)
from symlump.proof.closure import check_closure
from symlump.proof.system_data import digest_of, functions_data, given_data, system_data

if TYPE_CHECKING:
    from symlump.ode.system import ODE
    from symlump.proof.steps import ProofWalk


#: Certificates with more terms are written in version 2.
_SPELLED = 20_000


@dataclass(frozen=True, eq=False, repr=False)
class Certificate:
    """The claims of a lumping, and everything needed to verify them.

    Parameters
    ----------
    data : dict
        Plain data, as it stands in a JSON file; what is in version 2 is spelled out.

    Raises
    ------
    FileFormatError
        If it is in version 2 and cannot be spelled out.

    Examples
    --------
    >>> import sympy, symlump as sl
    >>> x, y = sympy.symbols("x y")
    >>> lumping = sl.lump(sl.PolynomialODE.from_sympy({x: -x, y: -y}), sl.Forward())
    >>> print(lumping.certificate().check().reason)
    forward equivalence of 2 variables in 1 block, and its quotient, the coarsest inside the initial partition
    """

    data: dict[str, Any]

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "data", spelled_out(self.data))
        except Unreadable as error:
            raise FileFormatError(str(error)) from None

    @classmethod
    def read(cls, path: str | Path) -> Certificate:
        """Read a certificate; nothing in it is trusted before :meth:`check`.

        Parameters
        ----------
        path : str or Path
            The JSON file.

        Returns
        -------
        Certificate

        Raises
        ------
        FileFormatError
            If the file is not a JSON object.

        Examples
        --------
        >>> import tempfile, symlump as sl
        >>> path = Path(tempfile.mkdtemp()) / "certificate.json"
        >>> sl.lump(sl.ODE.from_text("x' = -x; y' = -y"), sl.Forward()).certificate().write(path)
        >>> Certificate.read(path).check().accepted
        True
        """
        try:
            data = read_json(str(path))
        except Unreadable as error:
            raise FileFormatError(str(error)) from None
        if not isinstance(data, dict):
            raise FileFormatError(f"{path} is not a certificate: it has no JSON object")
        return cls(data)

    def check(self, system: ODE | None = None) -> Verdict:
        """Have the independent checkers verify all claims.

        That is :func:`symlump.proof.check.check`, and for a linear lumping that claims to be the smallest also
        :func:`symlump.proof.closure.check_closure`.

        Parameters
        ----------
        system : ODE, optional
            The system, if the certificate holds only its digest.

        Returns
        -------
        Verdict
            "accepted", "rejected" or "inconclusive", with the reason.

        Raises
        ------
        FileFormatError
            If the data does not have the form of a certificate.

        Examples
        --------
        >>> import symlump as sl
        >>> certificate = sl.lump(sl.ODE.from_text("x' = -x; y' = -y"), sl.Forward()).certificate()
        >>> certificate.check().answer
        'accepted'
        >>> false = {**certificate.data, "quotient": {"y1": [["-2", [["y1", 1]]]]}}
        >>> Certificate(false).check().answer
        'rejected'
        """
        given = None if system is None else given_data(system)
        if (other := self._of_another_time(system)) is not None:
            return other
        try:
            verdict = check(self.data, given)
            if not verdict.accepted or "closure" not in self.data:
                return verdict
            smallest = check_closure(self.data, given)
            reason = f"{verdict.reason}; {smallest.reason}"
            return Verdict(smallest.answer, reason, coarsest=smallest.accepted)
        except Unreadable as error:
            raise FileFormatError(str(error)) from None

    def _of_another_time(self, system: ODE | None) -> Verdict | None:
        """A refusal where a map is given for a differential equation, or the other way round."""
        if system is None or system.discrete == (self.data.get("time") == "discrete"):
            return None
        kinds = ("a map", "a system of differential equations")
        said = kinds if system.discrete else kinds[::-1]
        reason = f"what was given is {said[0]}, the certificate is about {said[1]}"
        return Verdict("rejected", reason)

    def without_system(self) -> Certificate:
        """A certificate that names the system by its digest instead of containing it.

        Returns
        -------
        Certificate

        Examples
        --------
        >>> import symlump as sl
        >>> ode = sl.ODE.from_text("x' = -x; y' = -y")
        >>> short = sl.lump(ode, sl.Forward()).certificate().without_system()
        >>> short.check(ode).accepted
        True
        """
        return Certificate({key: value for key, value in self.data.items() if key != "system"})

    def explain(self, blocks: Iterable[str] | None = None) -> ProofWalk:
        """The proof in plain words and formulas, one block at a time; see :mod:`symlump.proof.walk`.

        A step of a false certificate says where it fails.

        Parameters
        ----------
        blocks : iterable of str, optional
            The variables of the quotient to explain; by default all, and why nothing coarser (or smaller)
            will do.

        Returns
        -------
        ProofWalk

        Raises
        ------
        FileFormatError
            If the data does not have the form of a certificate with its system.
        MethodError
            If there is more to show than can be read, or a block is not one of the quotient's.

        Examples
        --------
        >>> import symlump as sl
        >>> certificate = sl.lump(sl.ODE.from_text("x' = -x; y' = -y"), sl.Forward()).certificate()
        >>> print(certificate.explain(["y1"]))
        Block y1 = x + y
          The derivatives of the members add up to
            f = -x - y
          Its derivatives by x and y agree, so f depends on the sum x + y only:
            ∂f/∂x = -1
            ∂f/∂y = -1
          Put y1 for x and 0 for the other members; the quotient claims for y1'
            f = -y1
          This holds.
        """
        from symlump.proof import function_walk, walk

        try:
            claim = read_claim(self.data)
            if claim.functions or claim.quotient_functions:
                return function_walk.walk(claim, blocks)
            return walk.walk(claim, blocks)
        except (Unreadable, Rejected, Inconclusive) as error:
            raise FileFormatError(str(error)) from None

    def check_verified(self, system: ODE | None = None, coqc: bool = False) -> Verdict:
        """Have the checker that was proved correct in Coq verify all claims; see :mod:`symlump.proof.coq`.

        Parameters
        ----------
        system : ODE, optional
            The system, if the certificate holds only its digest.
        coqc : bool
            Have Coq itself compute the proof; else a program does that was extracted to OCaml.

        Returns
        -------
        Verdict

        Raises
        ------
        FileFormatError
            If the data does not have the form of a certificate.
        MissingProgramError
            If Coq, or OCaml for the program, is not installed.

        Examples
        --------
        >>> import symlump as sl
        >>> certificate = sl.lump(sl.ODE.from_text("x' = -x; y' = -y"), sl.Forward()).certificate()
        >>> certificate.check_verified().answer  # doctest: +SKIP
        'accepted'
        """
        from symlump.proof.coq.verified import check_verified

        if (other := self._of_another_time(system)) is not None:
            return other
        try:
            given = None if system is None else given_data(system)
            return check_verified(self.data, given, coqc)
        except Unreadable as error:
            raise FileFormatError(str(error)) from None

    def to_coq(self, lemmas: bool = False) -> str:
        """A Coq file: the data, and one line that has the verified checker compute the proof.

        Parameters
        ----------
        lemmas : bool
            Instead one readable lemma for each block, proved by ``ring``, and no further library: for small
            systems, and for teaching. Nothing is said there of the coarsest or the smallest lumping.

        Returns
        -------
        str

        Raises
        ------
        FileFormatError
            If the checker does not accept the certificate, the verified one does not read its record, or it
            holds no system: only what was verified is stated.
        MethodError
            If lemmas are asked for and the system is too large for them, or contains functions.

        Examples
        --------
        >>> import symlump as sl
        >>> certificate = sl.lump(sl.ODE.from_text("x' = -x; y' = -y"), sl.Forward()).certificate()
        >>> certificate.to_coq(lemmas=True).count("Lemma")
        1
        """
        from symlump.proof.coq import lemmas as readable
        from symlump.proof.coq.script import script_of

        if lemmas:
            self._refuse_functions("lemmas are written")
        if lemmas and self.data.get("time") == "discrete":
            raise MethodError(
                "readable lemmas speak of derivatives, and this certificate is about a map; to_coq() without "
                "lemmas proves the identities"
            )
        verdict = self.check()
        if not verdict.accepted:
            raise FileFormatError(f"the checker does not accept this certificate: {verdict.reason}")
        if lemmas:
            return readable.to_coq(self.data)
        return script_of(read_claim(self.data))

    def _refuse_functions(self, what: str) -> None:
        try:
            keys = [key for key in ("functions", "quotient_functions") if key in self.data]
            found = [
                f for key in keys for f in checker.read_functions(self.data[key], key).values()
            ]
        except Unreadable as error:
            raise FileFormatError(str(error)) from None
        if found:
            raise SubjectError(
                f"{what} for polynomial systems; this certificate has functions, such as {found[0].name}"
            )

    def to_json(self, version: int | None = None) -> str:
        """The text of a certificate file.

        Parameters
        ----------
        version : {1, 2}, optional
            1 is for people, 2 is shorter by half and more; by default 2 above 20 000 terms. (A system with
            functions is written in version 3.)

        Returns
        -------
        str
            One line of JSON.

        Raises
        ------
        FailureError
            If it would be larger than the checker reads.

        Examples
        --------
        >>> import symlump as sl
        >>> certificate = sl.lump(sl.ODE.from_text("x' = -x; y' = -y"), sl.Forward()).certificate()
        >>> Certificate(json.loads(certificate.to_json())).check().accepted
        True
        """
        if version is None:
            system = self.data.get("system") or self.data.get("quotient")
            terms = map(len, system.values()) if isinstance(system, dict) else ()
            version = 2 if sum(terms) > _SPELLED else 1
        with_functions = self.data.get("version") == 3
        data = self.data if version == 1 or with_functions else intern(self.data)
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n"
        if len(text) > checker.MAX_CHARACTERS:
            raise FailureError(
                f"this certificate would have {len(text)} characters; the checker reads "
                f"{checker.MAX_CHARACTERS}. One that names the system by its digest is shorter"
            )
        return text

    def write(self, path: str | Path) -> None:
        """Write a certificate file, whole or not at all.

        Parameters
        ----------
        path : str or Path

        Raises
        ------
        OutputError
            If the file cannot be written.

        Examples
        --------
        >>> import tempfile, symlump as sl
        >>> path = Path(tempfile.mkdtemp()) / "certificate.json"
        >>> sl.lump(sl.ODE.from_text("x' = -x; y' = -y"), sl.Forward()).certificate().write(path)
        >>> path.read_text()[:1]
        '{'
        """
        write_text(path, self.to_json())

    def __repr__(self) -> str:
        blocks = self.data.get("blocks", {})
        count = f"{len(blocks)} blocks" if isinstance(blocks, dict | list) else "no blocks"
        return f"<Certificate: {self.data.get('kind')}, {count}>"


def check_accepted(certificate: Certificate, verdict: Verdict) -> Certificate:
    """The certificate that was examined: none is made that could not be checked.

    Raises
    ------
    FailureError
        If the checker cannot verify it within its bounds.
    CertificateError
        If it finds it false.
    """
    if verdict.answer == "rejected":
        raise CertificateError(f"the checker refused this lumping: {verdict.reason}")
    if not verdict.accepted:
        raise FailureError(
            f"no certificate is written, because it could not be checked: {verdict.reason}"
        )
    return certificate


def intern(data: dict[str, Any]) -> dict[str, Any]:
    """A certificate in version 2: rationals, monomials and whole numbers once, numbers where they occur.

    Examples
    --------
    >>> intern({"version": 1, "system": {"x": [["-1", [["x", 1]]]]}})
    {'version': 2, 'values': ['-1', [['x', 1]]], 'system': {'x': [[0, 1]]}}

    Raises
    ------
    FailureError
        If, spelled out again, it would have more terms and factors than the checker reads.
    """
    values: list[Any] = []
    numbers: dict[Any, int] = {}
    left = checker.MAX_ITEMS

    def number(value: Any, key: Any) -> int:
        nonlocal left
        left -= 1 + len(value) if type(value) is list else 1
        if left < 0:
            raise FailureError(
                f"this certificate would have more than {checker.MAX_ITEMS} terms and factors, more than "
                "the checker reads"
            )
        if key not in numbers:
            numbers[key] = len(values)
            values.append(value)
        return numbers[key]

    def intern(value: Any) -> Any:
        if type(value) is int:
            return number(value, value)
        if type(value) is dict:
            return {key: intern(entry) for key, entry in value.items()}
        if type(value) is not list:
            return value
        if len(value) == 2 and type(value[0]) is str and type(value[1]) is list:  # a term
            return [number(value[0], value[0]), number(value[1], _key(value[1]))]
        first = value[0] if value else None
        if type(first) is list and [type(entry) for entry in first] == [str, int]:
            return number(value, _key(value))  # the monomial of a record or a step
        return [intern(entry) for entry in value]

    result: dict[str, Any] = {"version": 2, "values": values}
    return result | {key: intern(entry) for key, entry in data.items() if key != "version"}


def _key(monomial: list[list[Any]]) -> tuple[tuple[str, int], ...]:
    return tuple((variable, power) for variable, power in monomial)


def claim(
    direction: str,
    ode: ODE,
    blocks: tuple[tuple[str, ...], ...],
    quotient: ODE,
    tolerance: str = "0",
    initial: tuple[tuple[str, ...], ...] | None = None,
    maximality: list[list[list[Any]]] | None = None,
) -> dict[str, Any]:
    """What :func:`symlump.proof.check.check` reads."""
    data = _head(direction, ode, quotient) | {
        "tolerance": tolerance,
        "blocks": {
            name: list(block) for name, block in zip(quotient.variables, blocks, strict=True)
        },
    }
    if initial is not None:
        data["initial"] = [list(block) for block in initial]
    if maximality is not None:
        data["maximality"] = maximality
    return data


def linear_claim(
    ode: ODE, matrix: Mapping[str, Mapping[str, Any]], quotient: ODE
) -> dict[str, Any]:
    """The claim that y = L·x satisfies y' = g(y), for the checker.

    Parameters
    ----------
    ode : ODE
    matrix : mapping
        L by rows: for each variable of the quotient, ``{variable: rational}``.
    quotient : ODE

    Examples
    --------
    >>> import sympy, symlump as sl
    >>> x, y, s = sympy.symbols("x y s")
    >>> ode = sl.PolynomialODE.from_sympy({x: x + y, y: y - x})
    >>> small = sl.PolynomialODE.from_sympy({s: s})
    >>> check(linear_claim(ode, {"s": {"x": 1, "y": 2}}, small)).reason
    'row s: coefficient of x is -1, the quotient claims 1'
    """
    return _head("linear", ode, quotient) | {
        "tolerance": "0",
        "matrix": {
            name: [[str(Fraction(value)), [[variable, 1]]] for variable, value in row.items()]
            for name, row in matrix.items()
        },
    }


def _head(kind: str, ode: ODE, quotient: ODE) -> dict[str, Any]:
    system, functions = system_data(ode), functions_data(ode)
    data: dict[str, Any] = {
        "format": "symlump certificate",
        "version": 1,
        "kind": kind,
        "digest": digest_of(system, functions, ode.discrete),
        "system": system,
        "quotient": system_data(quotient),
    }
    if ode.discrete:
        data["time"] = "discrete"
    if functions:
        data["version"] = 3
        data["functions"] = functions
        data["quotient_functions"] = functions_data(quotient)
    return data
