"""The Coq development, compiled once and kept, and coqc on a file that uses it.

Sources lie in the folder ``theory`` of this package. What is made of them is kept in a cache
(``$XDG_CACHE_HOME/symlump``, or ``~/.cache/symlump``) under a name that depends on the sources and
on the version of Coq, so a change of either compiles anew. What was made of others goes when it is old.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from symlump.errors import FailureError, MissingProgramError
from symlump.files import cache_folder

SOURCES = Path(__file__).parent / "theory"
#: Each file uses only those before it.
THEORY = tuple(
    f"{name}.v"
    for name in (
        *("Algebra", "Trie", "Polynomial", "Vanishing", "Systems", "Lookup", "Backward", "Compose"),
        *("Forward", "Refinement", "Replay", "ForwardReplay", "BackwardReplay"),
        *("Linear", "Residue", "Modular", "Derivation", "Smallest"),
        *(
            "Functions",
            "Trajectories",
            "Chance",
            "Symbols",
            "Sample",
            "Square",
            "Jets",
            "Slopes",
            "Coarsest",
            "Gradients",
            "Certificate",
        ),
    )
)


def compile_development() -> Path:
    """The folder of the compiled development, for ``coqc -Q FOLDER Symlump``; compiled where it is not yet.

    Raises
    ------
    MissingProgramError
        If there is no coqc.
        Or if coqc refuses the development, or the cache cannot be written.
    """
    commands = [["coqc", "-Q", ".", "Symlump", source] for source in THEORY]
    return make_cached("theory", THEORY, commands)


def coqc(text: str) -> tuple[bool, str]:
    """Have coqc check the text of a file; whether it accepts, and what it said.

    Raises
    ------
    MissingProgramError
        If there is no coqc.
    """
    folder = compile_development()
    with tempfile.TemporaryDirectory() as place:
        Path(place, "certificate.v").write_text(text, encoding="utf-8")
        command = [program("coqc"), "-Q", str(folder), "Symlump", "certificate.v"]
        done = run_deep(command, cwd=place)
    return done.returncode == 0, done.stdout + done.stderr


def run_deep(
    command: Sequence[str], given: str | None = None, cwd: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program whose recursion is as deep as its data is long: with all the stack that it may have.

    Raises
    ------
    FailureError
        If that is not enough.
    """
    deep = ["sh", "-c", 'ulimit -s "$(ulimit -H -s)"; exec "$0" "$@"', *command]
    done = subprocess.run(
        deep, input=given, cwd=cwd, capture_output=True, text=True, errors="replace"
    )
    called = "coqc" if Path(command[0]).name == "coqc" else "the verified checker"
    overflow = "stack overflow" in done.stderr.lower().replace("_", " ")
    if done.returncode and (overflow or done.returncode in (-signal.SIGSEGV, 128 + signal.SIGSEGV)):
        raise FailureError(
            f"{called} ran out of stack: its recursion is as deep as the certificate is long; "
            "raise the limit (ulimit -s) or ask check.py"
        )
    return done


def program(name: str) -> str:
    """The path of coqc or ocamlopt.

    Raises
    ------
    MissingProgramError
        If it is not there; the message says how to get it.
    """
    found = shutil.which(name)
    if found is None:
        package = {"coqc": "coq (8.16 or later)", "ocamlopt": "ocaml"}[name]
        raise MissingProgramError(
            f"{name} is not on the PATH; Debian and Ubuntu have it in the package {package}"
        )
    return found


@cache
def _version(path: str) -> bytes:
    return subprocess.check_output([path, "--version"])


def make_cached(
    name: str,
    sources: Sequence[str],
    commands: Sequence[Sequence[str]],
    needed: Sequence[str] = (),
) -> Path:
    """A folder of the cache in which the commands were run beside copies of the sources.

    A change of what is ``needed`` makes it anew, too; this is not copied.

    Raises
    ------
    MissingProgramError
        If the cache cannot be written, or a command fails: then there is no verified checker to ask.
    """
    key = hashlib.sha256(_version(program("coqc")))
    for source in (*needed, *sources):
        key.update((SOURCES / source).read_bytes())
    home = cache_folder()
    target = home / f"coq-{name}-{key.hexdigest()[:16]}"
    if _touched(target):
        if _whole(target):
            return target
        _remove(home, target)
    try:
        home.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=_BEING_MADE, dir=home))
    except OSError as error:
        raise MissingProgramError(
            f"the verified checker is compiled once and needs a folder for that: {home} cannot be written "
            f"({error.strerror}); set XDG_CACHE_HOME to a folder that can be"
        ) from None
    try:
        for source in sources:
            shutil.copy(SOURCES / source, place)
        for first, *others in commands:
            done = subprocess.run(
                [program(first), *others], cwd=place, capture_output=True, text=True
            )
            if done.returncode:
                shown = " ".join([first, *others])
                raise MissingProgramError(
                    f"the verified checker could not be compiled in {home}: "
                    f"{shown} failed:\n{(done.stderr or done.stdout).strip()}"
                )
        (place / _SIZES).write_text(json.dumps(_sizes(place)))
        try:
            place.rename(target)
        except OSError:  # somebody else was faster
            if not target.is_dir():
                raise
    except OSError as error:  # a full disk, for one
        raise MissingProgramError(
            f"the verified checker could not be compiled in {home}: {error.strerror}"
        ) from None
    finally:
        shutil.rmtree(place, ignore_errors=True)
    _remove_old(home, f"coq-{name}-")
    return target


#: How the name of a folder begins that is being made, or removed.
_BEING_MADE = "coq-making-"
_MADE = ("coq-theory-", "coq-checker-")
#: The lengths of the files in a folder, written last.
_SIZES = "sizes.json"
#: As many are kept, the last ones used; of others what was not used for so many seconds goes.
_KEPT, _OLD = 3, 24 * 3600.0


def _touched(folder: Path) -> bool:
    """Whether the folder is there; if so it is used now."""
    try:
        os.utime(folder)
    except OSError:  # also where the cache may be read only
        return folder.is_dir()
    return True


def _whole(folder: Path) -> bool:
    """Whether every file is there with the length that it had when it was made."""
    try:
        return bool(json.loads((folder / _SIZES).read_text()) == _sizes(folder))
    except (OSError, ValueError):
        return False


def _sizes(folder: Path) -> dict[str, int]:
    return {f.name: f.stat().st_size for f in sorted(folder.iterdir()) if f.name != _SIZES}


def _remove(home: Path, folder: Path) -> None:
    """Remove a folder; whoever comes now finds it whole or not at all."""
    with suppress(OSError):
        going = folder.rename(home / f"{_BEING_MADE}{secrets.token_hex(8)}")
        shutil.rmtree(going, ignore_errors=True)


def _remove_old(home: Path, prefix: str) -> None:
    """Remove what was made of other sources, or left behind when making it, unless it may be in use."""
    used: dict[Path, float] = {}
    for folder in home.glob("coq-*"):
        with suppress(OSError):  # somebody else removed it
            used[folder] = folder.stat().st_mtime
    made = sorted((f for f in used if f.name.startswith(prefix)), key=used.__getitem__)
    left = [f for f in used if not f.name.startswith(_MADE)]
    for folder in [*made[:-_KEPT], *left]:
        if time.time() - used[folder] > _OLD:
            _remove(home, folder)
