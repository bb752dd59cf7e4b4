"""Model files lumped in memory and on disk: is it the same?"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from symlump.errors import FailureError, FileFormatError
from symlump.formats import IN_FOLDERS, read
from symlump.jobs import Job, file_digest, run_jobs
from symlump.lumping.backward import Backward
from symlump.lumping.forward import Forward
from symlump.lumping.lump import lump
from symlump.store.engine import LEAST_MEMORY
from symlump.store.lump_store import lump_store
from symlump.store.writing import write_store

_METHODS = {"forward": Forward, "backward": Backward}


def compare_models(folder: Path, cache: Path, workers: int = 1) -> list[dict[str, Any]]:
    """Lump every model below a folder by both equivalences, from each initial partition, twice.

    Returns
    -------
    list of dict
        For each: ``file``, ``method``, ``initial``, ``variables``, ``terms``, ``blocks``, ``rounds`` on disk,
        ``same`` (partition and quotient), ``memory`` and ``disk`` in seconds; ``error`` for what a store does
        not hold.

    Raises
    ------
    FileFormatError
        If there is no model.
    """
    suffixes = (*IN_FOLDERS, "._ode")
    files = sorted(p for p in folder.rglob("*") if p.name.lower().endswith(suffixes))
    if not files:
        raise FileFormatError(f"{folder} holds no model")
    jobs = [
        Job(compare_model, {"file": str(p), "method": m, "initial": i, "digest": file_digest(p)})
        for p in files
        for m in _METHODS
        for i in ("one", "file", "values")
    ]
    return run_jobs(jobs, cache, workers, check=_check)


def _check(job: Job, row: dict[str, Any]) -> None:
    if any(row[name] != job.description[name] for name in ("file", "method", "initial")):
        raise FailureError(f"a row of another task than {job.description['file']}: {row}")


def compare_model(description: dict[str, Any]) -> dict[str, Any]:
    """One row; an error is one, too."""
    from symlump.errors import SymlumpError

    row = {name: description[name] for name in ("file", "method", "initial")}
    try:
        return row | _compared(*row.values())
    except SymlumpError as error:
        return row | {"error": " ".join(str(error).splitlines())}


def _compared(file: str, direction: str, initial: Any) -> dict[str, Any]:
    model, method = read(file), _METHODS[direction]()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        store = write_store(folder / "system", model, memory=LEAST_MEMORY)
        model = store.model()
        start = time.perf_counter()
        lumping = lump(model.ode, method, model.initial_partition(initial))
        memory = time.perf_counter() - start
        found = lump_store(
            store, method, folder / "small", initial=initial, memory=LEAST_MEMORY, place="disk"
        )
        assert found.quotient is not None
        same = found.quotient.partition() == lumping.partition
        same = same and found.quotient.model().ode == lumping.quotient
    return {
        "variables": len(model.ode),
        "terms": model.ode.terms,
        "blocks": len(lumping.partition),
        "rounds": found.rounds,
        "same": same,
        "memory": memory,
        "disk": found.seconds,
    }


def summary(rows: Sequence[dict[str, Any]]) -> str:
    """The rows in two lines, and those that differ or could not be compared."""
    done = [row for row in rows if "error" not in row]
    lines = [
        f"{len({row['file'] for row in rows})} files, {len(rows)} rows: {sum(row['same'] for row in done)} the "
        f"same in memory and on disk, {sum(not row['same'] for row in done)} differ, "
        f"{len(rows) - len(done)} not compared",
        f"{sum(row['memory'] for row in done):.1f} s in memory, "
        f"{sum(row['disk'] for row in done):.1f} s on disk",
    ]
    for row in rows:
        if not row.get("same"):
            said = row.get("error", "differs")
            lines.append(f"  {row['file']}, {row['method']}, {row['initial']}: {said}")
    return "\n".join(lines)
