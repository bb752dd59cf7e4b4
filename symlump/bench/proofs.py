"""How the cost of a certificate grows: multisite phosphorylation with 2 … 6 sites."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class ProofRow:
    """One certificate: its size, and what writing and checking it cost."""

    sites: int
    variables: int
    terms: int
    blocks: int
    records: int
    megabytes: float
    seconds_to_write: float
    seconds_to_check: float
    coarsest: bool

    @property
    def per_megabyte(self) -> float:
        """Seconds of checking per megabyte: constant where the cost is linear."""
        return self.seconds_to_check / self.megabytes


def measure(sites: int) -> ProofRow:
    """Write and check the certificate of the coarsest forward equivalence, in this process."""
    from symlump.datasets.systems import multisite_phosphorylation
    from symlump.lumping.forward import Forward
    from symlump.lumping.lump import lump
    from symlump.proof.check import check

    ode = multisite_phosphorylation(sites)
    lumping = lump(ode, Forward())
    start = time.perf_counter()
    text = lumping.certificate().to_json()
    written = time.perf_counter()
    verdict = check(json.loads(text))
    checked = time.perf_counter()
    return ProofRow(
        sites,
        len(ode),
        ode.terms,
        len(lumping.partition),
        sum(map(len, lumping.splits)),
        len(text) / 1e6,
        written - start,
        checked - written,
        verdict.coarsest,
    )
