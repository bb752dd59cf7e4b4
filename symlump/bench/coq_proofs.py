"""What it costs to have coqc compute the proof: multisite phosphorylation, and a chain.

Seconds are those of the processor. Loading the libraries takes a while however small the claim; it is measured
on an empty file and taken off before dividing by the number of terms.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from symlump.ode.polynomial import PolynomialODE

T = TypeVar("T")


@dataclass(frozen=True)
class CoqRow:
    """One certificate, proved by coqc and checked by the extracted program and by ``check.py``."""

    system: str
    method: str
    variables: int
    terms: int
    blocks: int
    megabytes: float
    seconds_coqc: float
    microseconds_per_term: float
    seconds_verified: float
    seconds_check: float
    proved: bool


def systems(quick: bool) -> list[tuple[str, int, str]]:
    """What is measured: the family, its size, the method."""
    sites = (2, 3, 4) if quick else (3, 4, 5, 6)
    families = [("phosphorylation", n, m) for n in sites for m in ("forward", "backward")]
    return [*families, ("chain", 50 if quick else 500, "backward")]


def measure(family: str, size: int, method: str) -> CoqRow:
    """Prove the certificate of the coarsest lumping of one system.

    Raises
    ------
    MissingProgramError
        If Coq or OCaml is not installed.
    """
    from symlump.lumping.backward import Backward
    from symlump.lumping.forward import Forward
    from symlump.lumping.lump import lump
    from symlump.proof.check import check, read_claim
    from symlump.proof.coq import development, verified
    from symlump.proof.coq.numbers import number_claim
    from symlump.proof.coq.script import script

    lumping = lump(_system(family, size), Forward() if method == "forward" else Backward())
    data = json.loads(lumping.certificate().to_json())
    claim = number_claim(read_claim(data))
    text = script(claim)
    empty, _ = _seconds_of_children(
        lambda: development.coqc("From Symlump Require Import Certificate.")
    )
    verified.check_verified(data)  # compiled now, if it was not
    coqc, (accepted, _) = _seconds_of_children(lambda: development.coqc(text))
    program, verdict = _seconds_of_children(lambda: verified.ask(claim))
    start = time.process_time()
    python = check(data)
    seconds = time.process_time() - start
    return CoqRow(
        f"{family} {size}",
        method,
        len(claim.names),
        claim.terms,
        len(claim.quotient_names),
        len(text) / 1e6,
        coqc,
        1e6 * (coqc - empty) / claim.terms,
        program,
        seconds,
        accepted and all(verdict.values()) and python.coarsest,
    )


def _system(family: str, size: int) -> PolynomialODE:
    from symlump.datasets.systems import multisite_phosphorylation
    from symlump.ode.polynomial import PolynomialODE

    if family == "phosphorylation":
        return multisite_phosphorylation(size)
    import sympy

    x = sympy.symbols(f"x0:{size}")
    return PolynomialODE.from_sympy({v: x[max(i - 1, 0)] - v for i, v in enumerate(x)} | {x[0]: 1})


def _seconds_of_children(run: Callable[[], T]) -> tuple[float, T]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, result
