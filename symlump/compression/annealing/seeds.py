"""Annealing with several seeds, each a task of its own: here, in processes, or on a cluster."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from symlump.compression.annealing.anneal import Data, anneal, pair_of
from symlump.compression.annealing.checkpoint import digest
from symlump.compression.annealing.result import Annealing
from symlump.compression.reduction import CompressionMethod
from symlump.errors import FailureError, MethodError
from symlump.files import make_folder
from symlump.jobs import Job, run_jobs
from symlump.network.torch_io import from_torch
from symlump.plain_numbers import is_whole


def anneal_seeds(
    model: nn.Module,
    data: Data,
    schedule: Iterable[float | CompressionMethod],
    seeds: Iterable[int],
    folder: str | Path,
    *,
    jobs: int = 1,
    scheduler: str | None = None,
    **options: Any,
) -> list[Annealing]:
    """Anneal a network once with each seed.

    Parameters
    ----------
    model, data, schedule
        As for :func:`symlump.anneal`.
    seeds : iterable of int
    folder : str or Path
        For the checkpoint of each seed, and for what is done. After an interruption at any point the same
        call goes on from there. On a cluster it has the same name on every machine.
    jobs : int
        Processes of this machine; 1 computes in this one. A script asks for more below
        ``if __name__ == "__main__":``, for each process first runs the script.
    scheduler : str, optional
        Address of a Dask scheduler (extra ``dask``), whose workers anneal instead.
    **options
        Any other option of :func:`symlump.anneal`, but ``seed`` and ``checkpoint``.

    Returns
    -------
    list of Annealing
        In the order of the seeds. Each is read from its checkpoint, measured again, and compared with what the
        process that made it reported.

    Raises
    ------
    MethodError
        If a seed is given twice or is no whole number, an option does not fit, or the folder has runs of
        another network, schedule or data.
    FailureError
        If a checkpoint is not where it should be, or says something else than was reported.
    MissingExtraError
        If a scheduler is named and Dask is not installed.

    Examples
    --------
    >>> import tempfile, torch
    >>> _ = torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(2, 20), nn.ReLU(), nn.Linear(20, 2))
    >>> x = torch.randn(100, 2)
    >>> y = (x[:, 0] > x[:, 1]).long()
    >>> results = anneal_seeds(model, (x, y), [0.2], [0, 1], tempfile.mkdtemp(), epochs=2, before=5)
    >>> len(results), all(result.retained < 1 for result in results)
    (2, True)
    """
    from_torch(model).dense_chain("anneal")
    drawn, steps, data = list(seeds), list(schedule), pair_of(data)
    if not all(is_whole(seed, 0) for seed in drawn) or len(set(drawn)) < len(drawn):
        raise MethodError(f"seeds={drawn!r}: give different whole numbers, 0 or larger")
    for name in ("seed", "checkpoint"):
        if name in options:
            raise MethodError(f"{name}={options[name]!r}: seeds and folder say that here")
    place = make_folder(folder).resolve()
    common = {"run": digest(model, data, steps, sorted(options.items()))}
    extra = (model, data, steps, options, str(place))
    tasks = [Job(_annealed, common | {"seed": seed}, extra) for seed in drawn]
    reports = run_jobs(tasks, place / "results", jobs, scheduler, check=_check)
    results = []
    for seed, report in zip(drawn, reports, strict=True):
        file = _checkpoint(place, seed)
        if not file.exists():
            raise FailureError(
                f"{file} is not there, which the run of seed {seed} has written: give a folder that every "
                "worker and this machine see under one name, or delete its folder results to begin anew"
            )
        found = anneal(model, data, steps, seed=seed, checkpoint=file, **options)
        if [asdict(step) for step in found.steps] != report["steps"]:
            raise FailureError(f"{file} is not the run that was reported for seed {seed}")
        results.append(found)
    return results


def _annealed(description: dict[str, Any], extra: tuple[Any, ...]) -> dict[str, Any]:
    """The task of one seed."""
    model, data, steps, options, place = extra
    seed = description["seed"]
    found = anneal(
        model, data, steps, seed=seed, checkpoint=_checkpoint(Path(place), seed), **options
    )
    return {"seed": seed, "steps": [asdict(step) for step in found.steps]}


def _check(job: Job, report: Any) -> None:
    if report["seed"] != job.description["seed"] or not report["steps"]:
        raise FailureError(
            f"the result of seed {job.description['seed']} cannot be right: {report}"
        )


def _checkpoint(place: Path, seed: int) -> Path:
    return place / f"seed-{seed}.safetensors"
