"""Signals that end a run, as exceptions, so that what it has begun is cleared away."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(BaseException):
    """A signal asks this process to end.

    Parameters
    ----------
    number : int
        Which; by custom the exit code is 128 more.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.number = number


def _raise(number: int, frame: FrameType | None) -> None:
    raise Terminated(number)


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """Raise :class:`Terminated` within the block where SIGTERM or SIGHUP would end the process at once.

    A signal that is ignored stays ignored, as under nohup. Only the main thread may set this, so in others
    nothing changes.
    """
    numbers = [
        number
        for name in ("SIGTERM", "SIGHUP")
        if (number := getattr(signal, name, None)) is not None  # Windows has no SIGHUP
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(number) is signal.SIG_DFL
    ]
    for number in numbers:
        signal.signal(number, _raise)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
