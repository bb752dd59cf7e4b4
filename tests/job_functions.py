"""Tasks that worker processes import."""

import os
import signal
import time
from pathlib import Path


def square(description):
    return {"square": description["x"] ** 2, "process": os.getpid()}


def note(description):
    """Leave a trace of having been computed."""
    with Path(description["log"]).open("a") as log:
        log.write(f"{description['x']}\n")
    return description["x"]


def scaled(description, extra):
    return description["x"] * extra


def fail(description):
    raise ValueError(f"no result for {description['x']}")


def die_once(description):
    """The first process to compute x = 3 is killed in the middle of it."""
    mark = Path(description["folder"]) / "died"
    if description["x"] == 3 and not mark.exists():
        mark.write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    with (Path(description["folder"]) / "log").open("a") as log:
        log.write(f"{description['x']}\n")
    time.sleep(0.01)
    return description["x"] ** 2


def always_die(description):
    os.kill(os.getpid(), signal.SIGKILL)


def slow_square(description):
    """Announce itself, so that a test can kill the process in the middle."""
    folder = Path(description["folder"])
    (folder / f"started-{description['x']}-{os.getpid()}").touch()
    time.sleep(description["seconds"])
    return description["x"] ** 2
