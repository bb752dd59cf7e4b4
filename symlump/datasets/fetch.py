"""Public files: from a folder, else from the cache, else from their repository, verified.

A file is kept as plain text or gzip of it, and its digest is that of the text: recompression is no
change. What is downloaded appears in the cache whole and verified, or not at all.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tempfile
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.error import HTTPError

from symlump.errors import FailureError, FileFormatError
from symlump.files import cache_folder, make_folder, write_bytes
from symlump.progress import bar

#: The environment variable that names a folder of data files.
VARIABLE = "SYMLUMP_DATA"

_CHUNK = 1 << 16
_MOST = 1 << 28  # bytes of an archive; the largest known one has 20 MB


@dataclass(frozen=True)
class PublicFile:
    """One file of a public repository, and how it is kept.

    Parameters
    ----------
    name : str
        File name in a folder of data.
    url : str
        Where its zip archive is.
    member : str
        The file in the archive.
    digest : str
        SHA-256 of the text that is kept, uncompressed.
    convert : callable
        From the lines of the archive's file to the text that is kept.
    """

    name: str
    url: str
    member: str
    digest: str
    convert: Callable[[Iterable[bytes]], bytes] = b"".join


def locate(public: PublicFile, folder: str | Path | None = None) -> Path:
    """The path of a file: in ``folder`` (or ``$SYMLUMP_DATA``), in the cache, or downloaded into it.

    Raises
    ------
    FileFormatError
        If the folder does not exist.
    FailureError
        If the file is nowhere and cannot be downloaded, or what came is not what is expected.
    """
    given = folder if folder is not None else os.environ.get(VARIABLE) or None
    if given is not None:
        if not Path(given).is_dir():
            raise FileFormatError(f"{given} is not a folder; name the one that holds {public.name}")
        path = Path(given) / public.name
        if path.is_file():
            return path
    path = cache_folder() / public.name
    if not path.is_file():
        _download(public, path)
    return path


def read_text(path: Path) -> str:
    """The text of a file, or of what gzip packed in it.

    Raises
    ------
    FileFormatError
        If it cannot be read.
    """
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise FileFormatError(f"{path} cannot be read: {error}") from None


def content_digest(public: PublicFile, folder: str | Path | None = None) -> str:
    """SHA-256 of the text of a file, wherever it is found."""
    path = locate(public, folder)
    return _digest(path, path.stat().st_mtime_ns)


@cache
def _digest(path: Path, modified: int) -> str:
    return hashlib.sha256(read_text(path).encode()).hexdigest()


def _download(public: PublicFile, path: Path) -> None:
    try:
        make_folder(path.parent)
        with tempfile.TemporaryFile() as archive:
            _receive(public, archive)
            with zipfile.ZipFile(archive) as packed, packed.open(public.member) as lines:
                text = public.convert(lines)
    except (OSError, HTTPException, zlib.error) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(error, HTTPError):
            error.close()
        raise FailureError(_advice(public, f"could not be downloaded ({reason})")) from None
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise FailureError(_advice(public, f"is not in what came ({error})")) from None
    if (found := hashlib.sha256(text).hexdigest()) != public.digest:
        raise FailureError(
            _advice(public, f"is not what is expected (SHA-256 {found}, not {public.digest})")
        )
    write_bytes(path, gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)


def _receive(public: PublicFile, archive: IO[bytes]) -> None:
    """Copy the archive, with a bar; a connection that ends early is an error, as is too much."""
    with urllib.request.urlopen(public.url, timeout=60) as response:
        size = int(response.headers.get("Content-Length") or 0)
        done = 0
        with bar(f"downloading {public.name}", size or _MOST) as step:
            while chunk := response.read(_CHUNK):
                archive.write(chunk)
                done += len(chunk)
                step(done, "bytes")
                if done > _MOST:
                    raise OSError(f"more than {_MOST} bytes")
    if size and done != size:
        raise OSError(f"the connection ended after {done} of {size} bytes")
    archive.seek(0, io.SEEK_SET)


def _advice(public: PublicFile, what: str) -> str:
    return (
        f"{public.name} {what}: it is in no given folder, nor in {cache_folder()}, and was asked of "
        f"{public.url}. Put the file into a folder of your own and name that folder, as an argument or "
        f"in the environment variable {VARIABLE}."
    )
