"""Rounds on a cluster: the partition of the engine in memory, also when a worker dies in the middle."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_refine import systems, to_ode

import symlump as sl
from symlump.cli.main import main
from symlump.errors import FailureError, MethodError

pytest.importorskip("duckdb", reason="systems on disk need DuckDB, of the extra store")
pytest.importorskip("distributed", reason="clusters need Dask, of the extra dask")
pytest.importorskip("dask.dataframe", reason="clusters need Dask's data frames, of the extra dask")

from symlump.store import cluster, cluster_tasks, lump_store, writing
from symlump.store.cluster import ClusterRounds
from symlump.store.engine import LEAST_MEMORY

METHODS = {"forward": sl.Forward(), "backward": sl.Backward()}


class Here:
    """A client of a cluster that is this thread."""

    memory = 0

    def nthreads(self):
        return {"here": 1}

    def scheduler_info(self):
        return {"workers": {"here": {"memory_limit": self.memory, "nthreads": 1}}}

    def compute(self, frame, sync):
        return frame.compute(scheduler="synchronous")


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    @contextmanager
    def client(scheduler):
        yield Here()

    monkeypatch.setattr(lump_store, "cluster_client", client)


def compare(folder, model, method, initial="file"):
    store = sl.write_store(folder / "s", model)
    found = sl.lump_store(
        store, method, folder / "q", initial=initial, memory=LEAST_MEMORY, scheduler="here"
    )
    model = store.model()
    lumping = sl.lump(model.ode, method, model.initial_partition(initial))
    assert found.place == "on a cluster" and not found.checked
    assert found.quotient.partition() == lumping.partition
    assert found.quotient.model().ode == lumping.quotient
    assert sorted(path.name for path in folder.iterdir()) == ["q", "s"]
    return found


@pytest.mark.parametrize("direction", METHODS)
@settings(max_examples=4)
@given(data=st.data())
def test_random_systems(direction, data, tmp_path_factory):
    system = data.draw(systems())
    n = len(system)
    ode = to_ode(system)
    parts = data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    blocks = sl.Partition(parts).named(ode.variables)
    model = sl.Model("m", ode, dict.fromkeys(ode.variables, Fraction(0)), blocks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "_AT_ONCE", 2)  # several files, so several pieces
        compare(tmp_path_factory.mktemp("random"), model, METHODS[direction])


TEXTS = [
    "a' = 1/3 - a^2*c + y1; b' = 1/3 - b^2*c + y1; c' = -c/7 + 2; y1' = 5/11*y1^3; d' = 0",
    "a' = k*a - 1/2*c; b' = k*b - 1/2*c; c' = l*c; d' = k*d",
    "a' = 0; b' = 0; c' = 1",
    # Multiples of the first prime, which takes them for 0.
    f"a' = {2**31 - 1}*a; b' = 0",
    f"a' = {2**31 - 1}*a*c; b' = 0; c' = c/{2**31 - 1}",
]


@pytest.mark.parametrize("direction", METHODS)
@pytest.mark.parametrize("text", TEXTS)
def test_fractions_powers_and_constants(tmp_path, text, direction):
    parameters = [name for name in "kl" if name in text]
    compare(tmp_path, sl.ODE.from_text(text, parameters=parameters), METHODS[direction])


@pytest.mark.parametrize("direction", METHODS)
def test_names_of_blocks_that_collide_are_found_out(tmp_path, monkeypatch, direction):
    """One name for all, at first: what comes back is compared, and split again."""
    honest, one_round, rounds = cluster_tasks._mix, ClusterRounds._round, []

    def counted(self, chance):
        rounds.append(self)
        return one_round(self, chance)

    monkeypatch.setattr(ClusterRounds, "_round", counted)
    monkeypatch.setattr(
        cluster_tasks, "_mix", lambda x, seed: honest(x * 0 if len(rounds) < 3 else x, seed)
    )
    ode = sl.ODE.from_text("a' = -a + c^2; b' = -2*b; c' = a*b; d' = -2*d")
    found = compare(tmp_path, ode, METHODS[direction])
    assert found.blocks == (3 if direction == "backward" else 4) and found.rounds >= 3


def test_what_is_refused(tmp_path, capsys):
    store = sl.write_store(tmp_path / "s", sl.ODE.from_text("a' = -a; b' = -b"))
    with pytest.raises(MethodError, match="leave out place='memory'"):
        sl.lump_store(store, sl.Forward(), place="memory", scheduler="here")
    given = ["lump", str(store.path), "--method", "backward", "--scheduler", "here"]
    assert main([*given, "--partition"]) == 2
    assert "has without --scheduler" in capsys.readouterr().err
    assert main(given) == 0
    assert "2 → 1 variables by backward equivalence, on a cluster" in capsys.readouterr().out


def test_room_is_estimated_before_the_work(tmp_path, monkeypatch):
    store = sl.write_store(tmp_path / "s", sl.ODE.from_text("a' = -a; b' = -b"))
    monkeypatch.setattr(Here, "memory", 100 << 20)
    with pytest.raises(FailureError, match="worker here has 100 MiB of memory for each thread"):
        sl.lump_store(store, sl.Forward(), scheduler="here")
    for memory, rows in ((250 << 20, 349525), (0, 1_000_000), (8 << 30, 1_000_000)):
        monkeypatch.setattr(Here, "memory", memory)
        assert cluster._rows_of_a_part(Here()) == rows
    usage = type("Usage", (), {"free": 100})
    fake = type("Shutil", (), {"disk_usage": lambda path: usage})
    monkeypatch.setattr(cluster, "shutil", fake)
    with pytest.raises(FailureError, match="take about .* bytes on the disk"):
        sl.lump_store(store, sl.Forward(), scheduler="here")


def test_workers_that_always_die(tmp_path, monkeypatch):
    from distributed import KilledWorker

    def compute(self, frame, sync):
        raise KilledWorker("task", None, 3)

    monkeypatch.setattr(Here, "compute", compute)
    store = sl.write_store(tmp_path / "s", sl.ODE.from_text("a' = -a; b' = -b"))
    with pytest.raises(FailureError, match="workers died of one task"):
        sl.lump_store(store, sl.Forward(), scheduler="here")


@pytest.mark.slow
def test_a_worker_killed_in_the_middle(tmp_path):
    """Two processes, one killed while a round is made: the planted blocks, and few tasks done again."""
    call = [sys.executable, "-m", "symlump", "bench", "store", "--transitions", "1e4"]
    call += ["--workers", "2", "--memory", "1GB", "--json", "--folder", str(tmp_path / "bench")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(call, capture_output=True, text=True, timeout=180, env=environment)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert row["planted"] and row["killed"] and row["blocks"] == 10
    assert row["again"] < row["tasks"] / 4
    assert not list((tmp_path / "bench").iterdir())
