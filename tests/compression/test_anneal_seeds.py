"""Annealing over seeds: the results of anneal, resumed after a kill, checked where they arrive."""

import json
import os
import signal
import subprocess
import sys

import pytest
import torch
from torch import nn

import symlump as sl
from symlump.errors import FailureError, FileFormatError, MethodError
from symlump.jobs import digest


def problem():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))
    x = torch.randn(60, 2)
    return model, (x, (x[:, 0] > x[:, 1]).long()), [0.1, 0.3]


OPTIONS = {"epochs": 1, "before": 2, "batch": 16}


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_same_as_one_by_one(tmp_path, jobs):
    found = sl.anneal_seeds(*problem(), [3, 1], tmp_path / "runs", jobs=jobs, **OPTIONS)
    for seed, result in zip((3, 1), found, strict=True):
        alone = sl.anneal(*problem(), seed=seed, **OPTIONS)
        assert result.steps == alone.steps
        states = (result.model.state_dict(), alone.model.state_dict())
        assert all(torch.equal(*pair) for pair in zip(*(s.values() for s in states), strict=True))
    assert found[0].steps != found[1].steps


def test_a_killed_run_goes_on(tmp_path):
    """The second seed kills the process; what the first has done is not done again."""
    code = (
        "import os, signal, sys; sys.path[:0] = sys.argv[2:]\n"
        "import test_anneal_seeds as t, symlump as sl\n"
        "from symlump.compression.annealing import seeds\n"
        "real = seeds.anneal\n"
        "def anneal(*args, **kw):\n"
        "    if kw['seed']: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return real(*args, **kw)\n"
        "seeds.anneal = anneal\n"
        "sl.anneal_seeds(*t.problem(), [0, 1], sys.argv[1], **t.OPTIONS)\n"
    )
    folder = tmp_path / "runs"
    paths = [os.path.dirname(__file__), *sys.path]
    done = subprocess.run([sys.executable, "-c", code, str(folder), *filter(None, paths)])
    assert done.returncode == -signal.SIGKILL
    (kept,) = (folder / "results").glob("*.json")
    stamp = kept.stat().st_mtime_ns
    found = sl.anneal_seeds(*problem(), [0, 1], folder, **OPTIONS)
    assert kept.stat().st_mtime_ns == stamp
    assert [r.steps for r in found] == [
        sl.anneal(*problem(), seed=k, **OPTIONS).steps for k in (0, 1)
    ]


def test_results_are_checked(tmp_path):
    folder = tmp_path / "runs"
    sl.anneal_seeds(*problem(), [0, 1], folder, **OPTIONS)
    first, second = (folder / f"seed-{k}.safetensors" for k in (0, 1))
    whole = second.read_bytes()
    second.write_bytes(whole[:-40] + bytes(40 * [63]))
    with pytest.raises(FileFormatError, match="is damaged"):
        sl.anneal_seeds(*problem(), [0, 1], folder, **OPTIONS)
    second.write_bytes(whole)
    for file in (folder / "results").glob("*.json"):
        record = json.loads(file.read_text())
        record["result"]["steps"][-1]["loss"] += 1
        file.write_text(json.dumps(record | {"digest": digest(record["result"])}))
    with pytest.raises(FailureError, match="is not the run that was reported"):
        sl.anneal_seeds(*problem(), [0, 1], folder, **OPTIONS)
    first.unlink()
    with pytest.raises(FailureError, match="is not there"):
        sl.anneal_seeds(*problem(), [0, 1], folder, **OPTIONS)


@pytest.mark.parametrize(
    ("seeds", "options", "said"),
    [
        ([0, 0], {}, "different whole numbers"),
        ([-1], {}, "different whole numbers"),
        ([0], {"seed": 1}, "seeds and folder say that"),
        ([0], {"checkpoint": "a"}, "seeds and folder say that"),
        ([0], {"jobs": 0}, "give 1 or more"),
    ],
)
def test_mistakes(tmp_path, seeds, options, said):
    with pytest.raises(MethodError, match=said):
        sl.anneal_seeds(*problem(), seeds, tmp_path / "runs", **options)
