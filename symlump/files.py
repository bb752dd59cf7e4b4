"""Outputs appear whole or not at all, and only where they were asked for.

Every file that symlump writes goes through :func:`replacing`: the content is made in a temporary file, which
then takes the name. What is no regular file (a FIFO, a device, standard output) is written to and never
replaced; a file that exists keeps its mode, its owner and the symbolic links to it.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from symlump.errors import MethodError, OutputError

#: The name of standard input and standard output, as on the command lines of Unix.
STANDARD = "-"


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/symlump``, by default ``~/.cache/symlump``."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # A relative path is not valid there, says the specification: it is to be ignored.
    return (given if given.is_absolute() else Path.home() / ".cache") / "symlump"


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path, whose content goes to ``path`` when the block ends without an error.

    Parameters
    ----------
    path : str or Path
        A file, new or old; something that can be written to, such as a FIFO; or ``-``, standard output.

    Raises
    ------
    OutputError
        If it cannot be written: there is no such folder, no permission, no space.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with replacing(folder / "a.txt") as temporary:
    ...     _ = temporary.write_text("whole")
    >>> [p.name for p in folder.iterdir()]
    ['a.txt']
    """
    check_writable(path)
    target, old = Path(path), _status(path)
    streams = is_stream(path)
    # A link stays, and what it leads to is replaced.
    target = target if streams else Path(os.path.realpath(target))
    folder = Path(tempfile.gettempdir()) if streams else target.parent
    temporary = folder / f".symlump-{secrets.token_hex(8)}.tmp"
    try:
        # The mode is that of any new file, or not wider than the old file's.
        mode = 0o600 if streams else 0o666 if old is None else stat.S_IMODE(old.st_mode) | 0o200
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
        mode = stat.S_IMODE(temporary.stat().st_mode)  # as the umask has left it
        yield temporary
        if streams:
            _copy(temporary, path)
        else:
            _install(temporary, target, old, mode)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and is_stdout(path):
            raise  # the reader of standard output went away, which is no error
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """A temporary folder, which takes the name ``path`` (new) when the block ends without an error.

    Raises
    ------
    OutputError
        If there is something of this name, or the folder cannot be made.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with replacing_folder(folder / "a") as temporary:
    ...     _ = (temporary / "b.txt").write_text("whole")
    >>> [p.name for p in folder.rglob("*")]
    ['a', 'b.txt']
    """
    check_new_folder(path)
    target = Path(path)
    parent = target.absolute().parent
    temporary = parent / f".symlump-{secrets.token_hex(8)}.tmp"
    try:
        temporary.mkdir()
        yield temporary
        for written in temporary.rglob("*"):
            if written.is_file():
                with written.open("rb+") as content:
                    os.fsync(content.fileno())  # a full disk may be told only now
        temporary.rename(target)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_new_folder(path: str | Path) -> None:
    """Raise before the work if a folder could not be made after it.

    Raises
    ------
    MethodError
        If it is to be standard output.
    OutputError
        If there is something of this name, or no folder to make it in.
    """
    if str(path) == STANDARD:
        raise MethodError("a folder cannot go to standard output, -; give it a name")
    if _status(path) is not None:
        raise OutputError(f"cannot write {path}: it exists; give another name, or remove it")
    parent = Path(path).absolute().parent
    if not parent.is_dir():
        raise OutputError(f"cannot write {path}: there is no folder {parent}")


def check_outside(folder: str | Path, outputs: Mapping[str, str | Path | None]) -> None:
    """Raise if an output would be written into a folder that is read.

    Parameters
    ----------
    folder : str or Path
    outputs : dict of str to path or None
        By the names that messages use, such as ``--output``; None where none is given.

    Raises
    ------
    MethodError
        If so: by name, or through links.

    Examples
    --------
    >>> check_outside("chain", {"--output": "small", "--certificate": "./chain/store.json"})
    Traceback (most recent call last):
    ...
    symlump.errors.MethodError: --certificate ./chain/store.json would be written into chain, which is read
    """
    for name, path in outputs.items():
        if path is None or is_stdout(path):
            continue
        if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
            raise MethodError(f"{name} {path} would be written into {folder}, which is read")


def write_text(path: str | Path, text: str) -> None:
    r"""Write a text file, whole or not at all: UTF-8, with ``\n`` at the ends of lines.

    Raises
    ------
    OutputError
        As :func:`replacing`; and if the text holds halves of characters, which are no Unicode.
    """
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise OutputError(
            f"cannot write {path}: {text[error.start : error.start + 1]!r} is not a Unicode character"
        ) from None
    write_bytes(path, data)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def make_folder(path: str | Path) -> Path:
    """Make a folder, and those that it is in, unless they exist.

    Raises
    ------
    OutputError
        If that cannot be done.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot make the folder {path}: {_reason(error)}") from None
    return Path(path)


def check_writable(path: str | Path) -> None:
    """Raise before the work if an output could not be written after it.

    Raises
    ------
    OutputError
        If ``path`` is a folder, is in none, or may not be written.
    """
    if is_stdout(path):
        return
    if not str(path):
        raise OutputError("cannot write a file without a name")
    status = _status(path)
    if status is None:
        folder = Path(os.path.realpath(path)).parent
        if not folder.is_dir():
            raise OutputError(f"cannot write {path}: there is no folder {folder}")
        permitted = os.access(folder, os.W_OK | os.X_OK)
    elif stat.S_ISDIR(status.st_mode):
        raise OutputError(f"cannot write {path}: it is a folder; give the name of a file")
    elif stat.S_ISBLK(status.st_mode):
        raise OutputError(f"cannot write {path}: it is a disk or another block device")
    else:
        permitted = os.access(path, os.W_OK)
    if not permitted:
        raise OutputError(f"cannot write {path}: {os.strerror(errno.EACCES)}")


def check_outputs(
    outputs: Mapping[str, str | Path | None],
    inputs: Mapping[str, str | Path | None],
    force: bool = False,
) -> None:
    """Raise if an output cannot be written, is an input, or is the same file as another.

    Parameters
    ----------
    outputs, inputs : dict of str to path or None
        By the names that messages use, such as ``--output``; None where none is given.
    force : bool
        An input may be overwritten.

    Raises
    ------
    MethodError
        If two are the same file: by name, through links, or as one inode.
    OutputError
        As :func:`check_writable`.

    Examples
    --------
    >>> check_outputs({"--output": "a.ode"}, {"the model": "./a.ode"})
    Traceback (most recent call last):
    ...
    symlump.errors.MethodError: --output a.ode would overwrite the model; give another name, or use --force
    """
    earlier: list[tuple[str, str | Path]] = []
    for name, path in outputs.items():
        if path is None:
            continue
        check_writable(path)
        for what, given in inputs.items():
            if given is None or force:
                continue
            if _is_stdin(path) if given == STANDARD else _same(path, given):
                raise MethodError(
                    f"{name} {path} would overwrite {what}; give another name, or use --force"
                )
        for other, taken in earlier:
            if _same(path, taken):
                raise MethodError(f"{other} and {name} are the same file, {path}")
        earlier.append((name, path))


def is_stdout(path: str | Path) -> bool:
    """Whether a path is standard output: ``-``, ``/dev/stdout``, or the file that it was redirected to.

    Examples
    --------
    >>> is_stdout("-"), is_stdout("a.ode")
    (True, False)
    """
    if str(path) == STANDARD:
        return True
    try:
        return os.path.samestat(os.stat(path), os.fstat(1)) and not os.path.samefile(
            path, os.devnull
        )
    except (OSError, ValueError):
        return str(path) in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")


def _status(path: str | Path) -> os.stat_result | None:
    """What is there, through links; None if nothing is.

    Raises
    ------
    OutputError
        If that cannot be told, as behind a folder without permission or in a circle of links.
    """
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise OutputError(f"cannot write {path!s}: {_reason(error)}") from None


def is_stream(path: str | Path) -> bool:
    """Whether a path is written to and never replaced."""
    if is_stdout(path):
        return True
    if str(path).startswith(("/dev/fd/", "/proc/self/fd/")) or str(path) == "/dev/stderr":
        return True  # an open file of this process: replaced, it would lose what was written before
    status = _status(path)
    if status is None or not stat.S_ISREG(status.st_mode):
        return status is not None
    # A file in a folder that takes no new files can still be written to.
    return not os.access(Path(os.path.realpath(path)).parent, os.W_OK | os.X_OK)


def _is_stdin(path: str | Path) -> bool:
    """Whether a path is the file that standard input comes from, as in ``symlump lump - -o a.ode < a.ode``."""
    try:
        status = os.stat(path)
        return stat.S_ISREG(status.st_mode) and os.path.samestat(status, os.fstat(0))
    except (OSError, ValueError):
        return False


def _same(a: str | Path, b: str | Path) -> bool:
    if is_stdout(a) or is_stdout(b):
        return is_stdout(a) and is_stdout(b)
    try:
        status = os.stat(a)
        return stat.S_ISREG(status.st_mode) and os.path.samestat(status, os.stat(b))
    except (OSError, ValueError):
        return os.path.realpath(a) == os.path.realpath(b)


def _copy(source: Path, path: str | Path) -> None:
    """Write the content of a file to a stream."""
    if is_stdout(path):
        stdout = getattr(sys.stdout, "buffer", None)
        if stdout is None:
            raise OSError("standard output is no stream of bytes here")
        sys.stdout.flush()
        with source.open("rb") as content:
            shutil.copyfileobj(content, stdout)
        stdout.flush()
    elif Path(path).is_file():
        _overwrite(source, Path(path))
    else:
        with source.open("rb") as content, open(path, "wb") as stream:
            shutil.copyfileobj(content, stream)


def _overwrite(source: Path, target: Path) -> None:
    """Put new content into a file that cannot be replaced, once there is room for all of it."""
    size, old = source.stat().st_size, target.stat().st_size
    with source.open("rb") as content, target.open("r+b") as stream:
        if size > old and hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(stream.fileno(), old, size - old)
            except OSError as error:
                stream.truncate(old)
                if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                    raise  # else the file system cannot tell
        shutil.copyfileobj(content, stream)
        stream.truncate(size)


def _install(temporary: Path, target: Path, old: os.stat_result | None, mode: int) -> None:
    """Give a finished file its name, and what belongs to the old file of that name."""
    with temporary.open("rb+") as content:
        os.fsync(content.fileno())  # a full disk may be told only now
    if old is None:
        # Safetensors puts a file of its own in the place of the temporary one.
        temporary.chmod(mode)
    else:
        shutil.copystat(target, temporary)  # the mode, and access lists where there are any
        os.utime(temporary)
    try:
        if old is not None and not _owned_alike(temporary, old):
            os.chown(temporary, old.st_uid, old.st_gid)
            temporary.chmod(stat.S_IMODE(old.st_mode))  # chown takes some bits away
        temporary.replace(target)
    except PermissionError:
        if old is None:
            raise
        _copy(temporary, target)  # somebody else's file, which we may write: it stays theirs


def _owned_alike(path: Path, old: os.stat_result) -> bool:
    new = path.stat()
    return (new.st_uid, new.st_gid) == (old.st_uid, old.st_gid)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
