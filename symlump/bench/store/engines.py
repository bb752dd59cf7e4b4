"""DuckDB and Polars at what a lumping on disk is made of: one round's join and sums, and one sort.

Both may spill, and are given the same share of the limit: DuckDB as an argument, Polars by variables of the
environment that it reads once.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symlump.bench.store.chain import PlantedChain
from symlump.bench.store.measure import run_step
from symlump.errors import FailureError, MissingExtraError
from symlump.memory import peak_memory
from symlump.store.engine import engine, engine_limit, memory_bytes, parquet
from symlump.store.opening import read_head
from symlump.store.working import PRIME

#: Weights of variables, for both engines alike; the product fits in 64 bits up to 10⁹ variables.
_FACTOR, _SHIFT = 2654435761, 12345


@dataclass(frozen=True)
class EngineTime:
    """One engine at one task.

    Parameters
    ----------
    transitions : int
    limit : int
        Bytes, as RLIMIT_DATA.
    engine : {"duckdb", "polars"}
    task : {"round", "sort"}
    seconds : float or None
        None where it failed.
    peak : int or None
        The most memory that it took, as resident bytes.
    right : bool or None
        Whether sums are as the other's, and sorted rows as many as there were.
    said : str
        Why it failed.
    """

    transitions: int
    limit: int
    engine: str
    task: str
    seconds: float | None
    peak: int | None
    right: bool | None
    said: str = ""


def measure_engines(
    transitions: int, folder: Path, memory: int | str, seed: int = 0
) -> list[EngineTime]:
    """Measure both engines at both tasks, in a folder that is empty afterwards.

    Raises
    ------
    MissingExtraError
        If Polars is not installed; symlump needs it for nothing else.
    """
    try:
        import polars  # noqa: F401
    except ImportError:
        raise MissingExtraError(
            "the comparison needs Polars, which nothing else does: pip install polars"
        ) from None
    chain, limit = PlantedChain(transitions // 10, seed), memory_bytes(memory)
    source = folder / "chain"
    rows, sums = [], []
    try:
        run_step("write", [str(source), str(chain.states), str(seed)], limit)
        for task in ("round", "sort"):
            for name in ("duckdb", "polars"):
                try:
                    found = run_step(
                        f"{name}-{task}", [str(source), str(limit)], limit, module=__name__
                    )
                except FailureError as error:
                    said = str(error).partition("failed: ")[2]
                    rows.append(EngineTime(transitions, limit, name, task, None, None, None, said))
                    continue
                if task == "round":
                    sums.append(found["check"])
                right = (
                    found["check"] == sums[0]
                    if task == "round"
                    else found["check"] == chain.transitions + chain.states
                )
                rows.append(
                    EngineTime(
                        *(transitions, limit, name, task, found["seconds"], found["peak"], right)
                    )
                )
    finally:
        shutil.rmtree(source, ignore_errors=True)
    return rows


def _by_duckdb(path: str, memory: str, sql: str, check: str) -> dict[str, Any]:
    store = read_head(Path(path))
    with engine(store.path.parent, int(memory)) as db:
        result = db.folder / "result.parquet"
        start = time.perf_counter()
        db.save(sql.format(terms=store.sql("terms"), variables=store.sql("variables")), result)
        seconds = time.perf_counter() - start
        found = db.number(f"select {check} from {parquet([result])}")
    return {"seconds": seconds, "peak": peak_memory(), "check": found}


def _duckdb_round(path: str, memory: str) -> dict[str, Any]:
    weight = f"(variable * {_FACTOR} + {_SHIFT}) % {PRIME}"
    sql = (
        f"select row, sum(numerator * w % {PRIME}) as s from {{terms}} join "
        f"(select variable, {weight} as w from {{variables}}) on monomial = variable group by row"
    )
    return _by_duckdb(path, memory, sql, f"sum(s % {PRIME})")


def _duckdb_sort(path: str, memory: str) -> dict[str, Any]:
    sql = "select row, monomial, numerator from {terms} order by row, monomial"
    return _by_duckdb(path, memory, sql, "count(*)")


def _by_polars(
    path: str, memory: str, make: Callable[[Any, Any, Any], Any], check: Any
) -> dict[str, Any]:
    store = read_head(Path(path))
    os.environ["POLARS_OOC_MEMORY_BUDGET_MB"] = str(engine_limit(int(memory)) // 10**6)
    os.environ["POLARS_OOC_SPILL_DIR"] = str(store.path.parent / "spilled")
    import polars as pl

    terms = pl.scan_parquet(store.files("terms")).select("row", "monomial", "numerator")
    variables = pl.scan_parquet(store.files("variables")).select("variable")
    result = store.path.parent / "result.parquet"
    try:
        start = time.perf_counter()
        make(pl, terms, variables).sink_parquet(result, compression="zstd", engine="streaming")
        seconds = time.perf_counter() - start
        found = int(check(pl, pl.scan_parquet(result)).collect(engine="streaming").item())
    finally:
        result.unlink(missing_ok=True)
        shutil.rmtree(store.path.parent / "spilled", ignore_errors=True)
    return {"seconds": seconds, "peak": peak_memory(), "check": found}


def _polars_round(path: str, memory: str) -> dict[str, Any]:
    def make(pl: Any, terms: Any, variables: Any) -> Any:
        weight = ((pl.col("variable") * _FACTOR + _SHIFT) % PRIME).alias("w")
        joined = terms.join(
            variables.select("variable", weight), left_on="monomial", right_on="variable"
        )
        # Of a negative number the remainder is not negative here; in SQL it is.
        product = pl.col("numerator") * pl.col("w")
        rest = product - PRIME * (product.abs() // PRIME) * product.sign()
        return joined.group_by("row").agg(rest.sum().alias("s"))

    def check(pl: Any, frame: Any) -> Any:
        s = pl.col("s")
        return frame.select((s - PRIME * (s.abs() // PRIME) * s.sign()).sum())

    return _by_polars(path, memory, make, check)


def _polars_sort(path: str, memory: str) -> dict[str, Any]:
    return _by_polars(
        path,
        memory,
        lambda pl, terms, variables: terms.sort("row", "monomial"),
        lambda pl, frame: frame.select(pl.len()),
    )


if __name__ == "__main__":
    steps: dict[str, Callable[..., dict[str, Any]]] = {
        "duckdb-round": _duckdb_round,
        "duckdb-sort": _duckdb_sort,
        "polars-round": _polars_round,
        "polars-sort": _polars_sort,
    }
    print(json.dumps(steps[sys.argv[1]](*sys.argv[2:])))
