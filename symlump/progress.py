"""Progress on standard error, only where a person is watching."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_QUIET: ContextVar[bool] = ContextVar("quiet", default=False)
_SAID: ContextVar[Callable[[str], None] | None] = ContextVar("said", default=None)


@contextmanager
def quiet() -> Iterator[None]:
    """Show nothing while the block runs: its progress is part of another's."""
    before = _QUIET.set(True)
    try:
        yield
    finally:
        _QUIET.reset(before)


def _watched() -> bool:
    return sys.stderr.isatty() and not _QUIET.get()


@contextmanager
def working(what: str) -> Iterator[None]:
    """A spinner while the block runs."""
    if not _watched():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(what) as status:
        before = _SAID.set(lambda remark: status.update(f"{what}: {remark}"))
        try:
            yield
        finally:
            _SAID.reset(before)


def say(remark: str) -> None:
    """Add to a spinner that turns what is being done; nothing where none does.

    Examples
    --------
    >>> say("the second of three")
    """
    update = _SAID.get()
    if update is not None:
        update(remark)


@contextmanager
def bar(what: str, total: int) -> Iterator[Callable[[int, str], None]]:
    """A bar; call the yielded function with how much is done and a short remark."""
    if not _watched():
        yield lambda done, remark: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[remark]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        task = progress.add_task(what, total=total, remark="")
        yield lambda done, remark: progress.update(task, completed=done, remark=remark)
