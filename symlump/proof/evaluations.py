"""The record that a lumping of a system with functions is the coarsest: values in a prime field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from symlump.errors import CertificateError, FailureError
from symlump.ode.exact import PRIMES
from symlump.proof.check import Evaluations, Inconclusive, Unlucky, evaluation_rounds, read_claim


def evaluations(claimed: Mapping[str, Any]) -> dict[str, int]:
    """The record of values by which the checker splits ``initial`` into the blocks of a claim with functions.

    Raises
    ------
    CertificateError
        If the values of several seeds do not separate the blocks.
    """
    claim = read_claim(dict(claimed))
    wanted = len(claim.blocks)
    initial = {name: number for number, block in enumerate(claim.initial or ()) for name in block}
    stalled = 0
    prime, *others = PRIMES
    for seed in range(20):
        try:
            rounds = evaluation_rounds(claim, initial, Evaluations(prime, seed, 0))
            for number, partition in enumerate(rounds):
                if len(partition.members) >= wanted:
                    return {"prime": prime, "seed": seed, "rounds": number}
        except Unlucky as problem:
            doubt = str(problem)
            prime, *others = others or [prime]
            continue
        except Inconclusive as problem:  # a denominator is 0 there, or the system is too large
            doubt = str(problem)
            continue
        stalled += 1
        if stalled == 3:
            raise CertificateError(
                "this partition is not the coarsest: some of its blocks could be merged"
            )
    raise FailureError(f"no record shows that this partition is the coarsest: {doubt}")
