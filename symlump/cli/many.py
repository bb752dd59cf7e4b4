"""One command on many files: a table with a row for each, which an interruption does not lose."""

from __future__ import annotations

import argparse
import csv
import hashlib
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

from symlump.cli.answer import Answer
from symlump.cli.arguments import refuse
from symlump.errors import FileFormatError, MethodError, SymlumpError
from symlump.files import STANDARD, write_text
from symlump.jobs import Job, forget, run_jobs
from symlump.memory import memory_errors
from symlump.progress import bar, quiet

_LOST = "the process that worked on it was killed, as a rule for want of memory"
#: How many errors the text repeats.
_SHOWN = 10


def run_many(
    options: argparse.Namespace,
    command: str,
    columns: Sequence[str],
    suffixes: Sequence[str],
    of_one: dict[str, Any],
) -> Answer:
    """Run a command on each file; what fails is a row of its own.

    Parameters
    ----------
    options : Namespace
    command : str
        The module whose ``run`` is called with the options for one file.
    columns : sequence of str
        What of its report the table has.
    suffixes : sequence of str
        The files of a folder that are taken.
    of_one : dict
        Options that are for one file, and their values when they are not given.

    Raises
    ------
    MethodError
        If one of these is given, or standard input.
    FileFormatError
        If a folder holds no file.
    """
    refuse(options, of_one, "is for one file, and --table makes a row of each")
    if STANDARD in (options.file, *options.others):
        raise MethodError("--table reads files, which can be read again; standard input cannot")
    files = list(_files([options.file, *options.others], suffixes))
    plain = {k: v for k, v in vars(options).items() if _is_plain(v)}
    plain |= {"others": [], "table": None, "jobs": 1, "scheduler": None}
    jobs = [
        Job(
            row,
            {"command": command, "options": plain | {"file": str(path)}, "digest": _digest(path)},
        )
        for path in files
    ]
    parts = Path(f"{options.table}.parts")
    with bar("files", len(jobs)) as step:
        reports = run_jobs(
            jobs,
            parts,
            options.jobs,
            options.scheduler,
            step=step,
            lost=lambda job: {"file": job.description["options"]["file"], "error": _LOST},
        )
    header = ("file", *columns, "error")
    rows = [{name: report.get(name) for name in header} for report in reports]
    text = StringIO()
    writer = csv.DictWriter(text, header, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(options.table, text.getvalue())
    forget(parts)
    failed = [r for r in rows if r["error"] is not None]
    report = {"table": options.table, "files": len(rows), "failed": len(failed), "rows": rows}
    return Answer(lambda: report, lambda: _text(report, failed), 1 if failed else 0)


def row(description: dict[str, Any]) -> dict[str, Any]:
    """The report about one file; of one that cannot be used its name and the error."""
    options = argparse.Namespace(**description["options"])
    run: Callable[[argparse.Namespace], Answer] = import_module(description["command"]).run
    try:
        with quiet(), memory_errors():
            report = run(options).data()
    except SymlumpError as error:
        said = " ".join(str(error).splitlines()).removeprefix(f"{options.file}:").strip()
        return {"file": options.file, "error": said}
    except OSError as error:
        return {"file": options.file, "error": error.strerror or str(error)}
    except Exception as error:  # a fault of symlump: the other files need not wait for its repair
        said = f"internal error, please report it: {type(error).__name__}: {error}"
        return {"file": options.file, "error": said}
    # What is long or nested is not part of a table.
    return {k: v for k, v in report.items() if v is None or isinstance(v, str | int | float)}


def _files(given: Sequence[str], suffixes: Sequence[str]) -> Iterator[Path]:
    for name in given:
        path = Path(name)
        if not path.is_dir():
            yield path
            continue
        found = sorted(p for p in path.iterdir() if p.suffix.lower() in suffixes and p.is_file())
        if not found:
            raise FileFormatError(f"{path} holds no file that ends in {', '.join(suffixes)}")
        yield from found


def _digest(path: Path) -> str:
    """Of what is in a file, so that one that was changed meanwhile is read again."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float)


def _text(report: dict[str, Any], failed: Sequence[dict[str, Any]]) -> str:
    lines = [
        f"{report['table']}: {report['files']} files, {report['failed']} of them with an error"
    ]
    lines += [f"  {bad['file']}: {bad['error']}" for bad in failed[:_SHOWN]]
    if len(failed) > _SHOWN:
        lines.append(f"  … {len(failed) - _SHOWN} more")
    return "\n".join(lines)
