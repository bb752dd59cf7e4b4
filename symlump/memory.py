"""Out of memory, said in one line: how much was asked for, and what to do."""

from __future__ import annotations

import errno
import gc
import mmap
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from symlump.errors import OutOfMemoryError

_NUMPY = re.compile(r"Unable to allocate (?P<size>[\d.]+ \w+)")
_TORCH = re.compile(r"[Tt]ried to allocate (?P<size>[\d.]+ \w+)")
#: Set aside (as addresses, which take no memory) for what has to be done and said once all is taken.
_RESERVE = 4 << 20
#: From the first call on, until it is needed.
_reserve: mmap.mmap | None = None
#: So little is not worth asking the system about.
_LITTLE = 64 << 10
#: Of code, and of two reserves for threads.
_ADDRESSES = 400 << 20
#: What ``mallopt`` of glibc sets: from which size on blocks are given back, and how many reserves there are.
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn what Python, numpy and torch say when memory is short into one error of symlump.

    Raises
    ------
    OutOfMemoryError
        In place of a ``MemoryError``, or of torch's ``RuntimeError`` about its allocator.

    Examples
    --------
    >>> import numpy as np
    >>> with memory_errors():
    ...     _ = np.zeros(2**57)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    symlump.errors.OutOfMemoryError: out of memory: 1.00 EiB were asked for at once, ...
    """
    global _reserve
    try:
        if _reserve is None:
            _reserve = mmap.mmap(-1, _RESERVE)
        yield
    except OutOfMemoryError:
        raise
    except MemoryError as error:
        if _reserve is not None:
            _reserve.close()
            _reserve = None
        raise OutOfMemoryError(_said(_NUMPY.search(str(error)))) from None
    except (ImportError, OSError) as error:  # a library or a file that does not fit into memory
        if not isinstance(error, OSError) and "failed to map segment" not in str(error):
            raise
        if isinstance(error, OSError) and error.errno != errno.ENOMEM:
            raise
        raise OutOfMemoryError(_said(None)) from None
    except RuntimeError as error:
        found = _TORCH.search(str(error))
        if found is None:
            raise
        raise OutOfMemoryError(_said(found)) from None


@contextmanager
def without_collection() -> Iterator[None]:
    """Keep Python from looking for unreachable cycles, again and again, where much is made that is kept.

    Examples
    --------
    >>> with without_collection():
    ...     gc.isenabled()
    False
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _said(found: re.Match[str] | None) -> str:
    asked = "more was asked for than there is"
    if found is not None:
        size = found["size"]
        if size.endswith(" bytes"):
            size = size_text(int(size.split()[0]))
        asked = f"{size} were asked for at once"
    used, limit = _usage()
    if limit is None:
        remedy = "use a machine with more memory"
    else:
        used += f" under a limit of {size_text(limit)}"
        remedy = "raise the limit (ulimit -v, or that of the container or batch system)"
    return f"out of memory: {asked}, {used}; {remedy}, or give a smaller model"


def _usage() -> tuple[str, int | None]:
    """How much this process has taken so far, and how much it may take (None: what the machine has)."""
    with suppress(ImportError, OSError, ValueError):  # Windows has no module resource
        limit = _limits().get("VmSize")
        taken = peak_memory() if limit is None else _status("VmPeak")
        return f"with {size_text(taken)} taken", limit
    return "with an unknown amount taken", None


def _status(key: str) -> int:
    """Bytes that Linux says of this process.

    Raises
    ------
    OSError, ValueError
        If it does not say so much.
    """
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith(key):
                return 1024 * int(line.split()[1])
    raise ValueError(f"there is no {key}")


def peak_memory() -> int:
    """The most bytes of memory that this process has had; elsewhere than on Linux its parent may count, too.

    Examples
    --------
    >>> peak_memory() > 2**20
    True
    """
    with suppress(OSError, ValueError):
        return _status("VmHWM")
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def forget_peak() -> None:
    """Let :func:`peak_memory` begin anew with what is taken now, and freed blocks go back; on Linux only.

    Examples
    --------
    >>> forget_peak()
    >>> peak_memory() >= resident_memory() > 0
    True
    """
    give_back_blocks()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def resident_memory() -> int:
    """Bytes of memory that this process has now; 0 where the system does not say it."""
    with suppress(OSError, ValueError, IndexError), open("/proc/self/statm") as file:
        return mmap.PAGESIZE * int(file.read().split()[1])
    return 0


def available_memory() -> int:
    """Bytes that this process may still take: what the machine has free, and what limits leave.

    Examples
    --------
    >>> available_memory() > 0
    True
    """
    free, taken = [], resident_memory()
    with suppress(OSError, ValueError, StopIteration), open("/proc/meminfo") as file:
        line = next(line for line in file if line.startswith("MemAvailable"))
        free.append(1024 * int(line.split()[1]))
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError), open(path) as file:
            free.append(int(file.read()) - taken)
    for key, limit in _limits().items():
        with suppress(OSError, ValueError):
            taken = _status(key)
        free.append(limit - taken)
    return max(0, min(free, default=4 << 30))


def demand_memory(need: int, what: str, instead: str) -> None:
    """Refuse work before it starts that cannot fit: that takes twice what is there, by an estimate.

    Raises
    ------
    OutOfMemoryError
        If so.

    Examples
    --------
    >>> demand_memory(2**60, "this", "write less")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    symlump.errors.OutOfMemoryError: this takes about 1 EiB of memory, and there are ...: write less
    """
    if need <= _LITTLE:
        return
    free = available_memory()
    if need > 2 * free:
        raise OutOfMemoryError(
            f"{what} takes about {size_text(need)} of memory, and there are {size_text(free)}: {instead}"
        )


def memory_limit() -> int | None:
    """Bytes of memory that ``ulimit -v`` and ``ulimit -d`` allow in all; None where there is no such limit.

    The first counts addresses, not memory: also those of code, and the reserves of the C library, of 64 MiB
    each. So much is taken off.

    Examples
    --------
    >>> limit = memory_limit()
    >>> limit is None or limit >= 0
    True
    """
    allowed = [limit - _ADDRESSES * (key == "VmSize") for key, limit in _limits().items()]
    return max(0, min(allowed)) if allowed else None


def give_back_blocks() -> None:
    """Have the C library return what is freed to the system, in place of keeping addresses for later.

    By itself glibc keeps the addresses of large blocks once some have been freed, and reserves more for each
    thread: under a limit of addresses a program fails that uses half of them. Other libraries are left alone.

    Examples
    --------
    >>> give_back_blocks()
    """
    import ctypes

    with suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, 128 << 10)
        library.mallopt(_ARENA_MAX, 2)


def _limits() -> dict[str, int]:
    """Limits that are set, by what Linux calls the size that they limit."""
    found = {}
    with suppress(ImportError):  # Windows has no such module
        import resource

        for kind, key in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
            limit = resource.getrlimit(kind)[0]
            if limit != resource.RLIM_INFINITY:
                found[key] = limit
    return found


def size_text(count: int) -> str:
    """A number of bytes for people.

    Examples
    --------
    >>> size_text(512), size_text(24_000_000)
    ('512 bytes', '22.9 MiB')
    """
    size, unit = float(count), 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.3g} {_UNITS[unit]}"
