"""Tasks in this process, in several, on a cluster; killed, damaged, resumed."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import job_functions as work
import pytest

from symlump.errors import FailureError, MethodError
from symlump.jobs import Job, digest, run_jobs


def logged(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()] if path.exists() else []


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order_and_are_kept(tmp_path, workers):
    jobs = [Job(work.note, {"x": x, "log": str(tmp_path / "log")}) for x in (3, 1, 2, 1)]
    cache = tmp_path / "cache"
    steps = []
    results = run_jobs(jobs, cache, workers, step=lambda done, _: steps.append(done))
    assert results == [3, 1, 2, 1]
    assert sorted(logged(tmp_path / "log")) == [1, 2, 3]  # equal tasks are computed once
    assert steps[0] == 1 and steps[-1] == 4
    assert run_jobs(jobs, cache, workers) == results
    assert len(logged(tmp_path / "log")) == 3
    assert run_jobs([], cache, workers) == []


def test_processes_are_used(tmp_path):
    results = run_jobs([Job(work.square, {"x": x}) for x in range(4)], tmp_path, workers=2)
    assert [r["square"] for r in results] == [0, 1, 4, 9]
    processes = {r["process"] for r in results}
    assert os.getpid() not in processes and len(processes) <= 2


def test_what_was_done_before_an_error_stays(tmp_path):
    log = str(tmp_path / "log")
    jobs = [
        Job(work.note, {"x": 1, "log": log}),
        Job(work.fail, {"x": 2}),
        Job(work.note, {"x": 3, "log": log}),
    ]
    for _ in range(2):
        with pytest.raises(ValueError, match="no result for 2"):
            run_jobs(jobs, tmp_path / "cache")
    assert logged(tmp_path / "log") == [1]


@pytest.mark.parametrize("damage", [b"", b"{", b"null", b"{}", "cut", "other"])
def test_a_damaged_file_is_computed_again(tmp_path, damage):
    job = Job(work.note, {"x": 7, "log": str(tmp_path / "log")})
    cache = tmp_path / "cache"
    run_jobs([job], cache)
    path = cache / f"{job.key}.json"
    whole = path.read_bytes()
    if damage == "cut":
        damage = whole[:-1]
    elif damage == "other":
        damage = whole.replace(b'"result":7', b'"result":8')
        assert damage != whole
    path.write_bytes(damage)
    assert run_jobs([job], cache) == [7]
    assert logged(tmp_path / "log") == [7, 7] and path.read_bytes() == whole


def test_every_result_is_checked_also_from_disk(tmp_path):
    def check(job, result):
        if result != job.description["x"]:
            raise FailureError("a wrong result")

    jobs = [Job(work.scaled, {"x": 2}, extra=1)]
    assert run_jobs(jobs, tmp_path, check=check) == [2]
    path = next(tmp_path.iterdir())
    record = json.loads(path.read_text()) | {"result": 5, "digest": digest(5)}
    path.write_text(json.dumps(record))
    assert run_jobs(jobs, tmp_path, check=check) == [2]  # computed again
    assert json.loads(path.read_text())["result"] == 2
    with pytest.raises(FailureError, match="a wrong result"):
        run_jobs([Job(work.scaled, {"x": 3}, extra=2)], tmp_path, check=check)
    assert len(list(tmp_path.iterdir())) == 1  # what does not pass is not kept


def test_a_killed_process_costs_only_its_task(tmp_path):
    jobs = [Job(work.die_once, {"x": x, "folder": str(tmp_path)}) for x in range(8)]
    assert run_jobs(jobs, tmp_path / "cache", workers=2) == [x**2 for x in range(8)]
    assert (tmp_path / "died").exists()
    assert sorted(logged(tmp_path / "log")) == list(range(8))  # nothing twice


def test_a_task_that_always_kills_is_given_up(tmp_path):
    with pytest.raises(FailureError, match="died each time"):
        run_jobs([Job(work.always_die, {"x": 1})], tmp_path, workers=2)


@pytest.mark.skipif(
    not Path("/proc").is_dir(), reason="processes are looked for where Linux lists them"
)
def test_processes_end_with_the_one_that_started_them(tmp_path):
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "import job_functions as work\n"
        "from pathlib import Path; from symlump.jobs import Job, run_jobs\n"
        "if __name__ == '__main__':\n"
        "    jobs = [Job(work.slow_square, {'x': x, 'folder': sys.argv[2], 'seconds': 60}) for x in (1, 2)]\n"
        "    run_jobs(jobs, Path(sys.argv[2]) / 'cache', workers=2)\n"
    )
    (tmp_path / "run.py").write_text(code)
    tests = str(Path(__file__).resolve().parent)
    call = [sys.executable, str(tmp_path / "run.py"), tests, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(call, env=environment)
    wait_for(lambda: len(list(tmp_path.glob("started-*"))) == 2)
    workers = [int(path.name.split("-")[2]) for path in tmp_path.glob("started-*")]
    process.kill()
    process.wait()
    wait_for(lambda: not any(alive(worker) for worker in workers))


def test_a_script_that_asks_for_processes_as_it_is_imported(tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import job_functions as work\n"
        "from pathlib import Path; from symlump.jobs import Job, run_jobs\n"
        "run_jobs([Job(work.square, {'x': 1})], Path(sys.argv[2]), workers=2)\n"
    )
    (tmp_path / "run.py").write_text(code)
    tests = str(Path(__file__).resolve().parent)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "run.py"), tests, str(tmp_path / "cache")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1 and "FailureError" in last and "if __name__ == '__main__':" in last


def wait_for(condition):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it takes too long")


def alive(process):
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False


def test_no_workers():
    with pytest.raises(MethodError, match="workers=0"):
        run_jobs([], Path("unused"), workers=0)


CLUSTER = """
import os, signal, sys, threading, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from distributed import LocalCluster
import job_functions as work
from symlump.jobs import Job, run_jobs

def kill_one(folder, killed):
    for _ in range(600):
        for mark in folder.glob("started-*"):
            killed.append(int(mark.name.split("-")[2]))
            os.kill(killed[0], signal.SIGKILL)
            return
        time.sleep(0.05)

if __name__ == "__main__":
    folder = Path({folder!r})
    jobs = [Job(work.slow_square, {{"x": x, "folder": str(folder), "seconds": 0.3}}) for x in range(8)]
    killed = []
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        cluster.wait_for_workers(2)
        killer = threading.Thread(target=kill_one, args=(folder, killed))
        killer.start()
        results = run_jobs(jobs, folder / "cache", scheduler=cluster.scheduler_address)
        killer.join()
    again = run_jobs(jobs, folder / "cache", scheduler="tcp://127.0.0.1:1")  # all of it is on disk
    started = [mark.name.split("-")[1:] for mark in folder.glob("started-*")]
    print(results == again == [x**2 for x in range(8)], len(killed), len(started))
"""


def test_two_workers_of_a_cluster_one_killed(tmp_path):
    pytest.importorskip("distributed")
    code = CLUSTER.format(tests=str(Path(__file__).resolve().parent), folder=str(tmp_path))
    path = tmp_path / "cluster.py"
    path.write_text(code)
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    same, killed, started = done.stdout.split()[-3:]
    assert same == "True" and killed == "1"
    assert 8 < int(started) <= 10  # the killed task again, and at most what waited on that worker
    assert len(list((tmp_path / "cache").iterdir())) == 8


def test_no_scheduler_there(tmp_path):
    pytest.importorskip("distributed")
    code = (
        "from pathlib import Path; from symlump.jobs import Job, run_jobs\n"
        "from symlump.errors import FailureError\n"
        "import symlump.jobs as jobs; jobs.PATIENCE = 1\n"
        f"try: run_jobs([Job(sorted, {{'a': 1}})], Path({str(tmp_path)!r}), scheduler='tcp://127.0.0.1:1')\n"
        "except FailureError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "no Dask scheduler answers at tcp://127.0.0.1:1" in done.stdout, done.stderr
