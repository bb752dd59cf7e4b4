"""Model files lumped in memory and on disk: is it the same?"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from symlump.errors import FailureError, FileFormatError, SymlumpError
from symlump.formats import IN_FOLDERS, read
from symlump.formats.model import Model
from symlump.jobs import Job, file_digest, run_jobs
from symlump.lumping.backward import Backward
from symlump.lumping.forward import Forward
from symlump.lumping.lump import lump
from symlump.progress import bar
from symlump.store.engine import LEAST_MEMORY
from symlump.store.lump_store import lump_store
from symlump.store.store import Store
from symlump.store.writing import write_store

_METHODS = {"forward": Forward, "backward": Backward}
_CASES = [(method, initial) for method in _METHODS for initial in ("one", "file", "values")]


def compare_models(folder: Path, cache: Path, workers: int = 1) -> list[dict[str, Any]]:
    """Lump every model below a folder by both equivalences, from each initial partition, twice.

    A task is a file, which is read and written as a store once.

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
    jobs = [Job(compare_model, {"file": str(p), "digest": file_digest(p)}) for p in files]
    with bar("models", len(jobs)) as step:
        found = run_jobs(jobs, cache, workers, check=_check, step=step)
    return [row for rows in found for row in rows]


def _check(job: Job, rows: list[dict[str, Any]]) -> None:
    asked = [(job.description["file"], method, initial) for method, initial in _CASES]
    if [(row["file"], row["method"], row["initial"]) for row in rows] != asked:
        raise FailureError(f"rows of another task than {job.description['file']}: {rows}")


def compare_model(description: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of one file; an error is one, too."""
    file = description["file"]
    rows = [{"file": file, "method": method, "initial": initial} for method, initial in _CASES]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        try:
            store = write_store(folder / "system", _read(file), memory=LEAST_MEMORY)
            model = store.model()
        except SymlumpError as error:
            return [row | _said(error) for row in rows]
        return [
            row | _compared(store, model, row["method"], row["initial"], folder / f"small{k}")
            for k, row in enumerate(rows)
        ]


def _read(file: str) -> Model:
    """A model file; parameters that have no values are symbols."""
    try:
        return read(file)
    except FileFormatError as error:
        if "has no value" not in str(error):
            raise
        return read(file, parameters="symbolic")


def _said(error: SymlumpError) -> dict[str, Any]:
    return {"error": " ".join(str(error).splitlines())}


def _compared(
    store: Store, model: Model, direction: str, initial: Any, output: Path
) -> dict[str, Any]:
    method = _METHODS[direction]()
    try:
        start = time.perf_counter()
        lumping = lump(model.ode, method, model.initial_partition(initial))
        memory = time.perf_counter() - start
        found = lump_store(
            store, method, output, initial=initial, memory=LEAST_MEMORY, place="disk"
        )
    except SymlumpError as error:
        return _said(error)
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
