"""One command on many files: a table with a row for each, which an interruption does not lose."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from symlump.cli.answer import Answer
from symlump.cli.arguments import refuse
from symlump.errors import FailureError, FileFormatError, MethodError, SymlumpError
from symlump.files import STANDARD, is_stdout, write_text
from symlump.jobs import Job, digest, file_digest, forget, run_jobs
from symlump.memory import memory_errors
from symlump.progress import bar, quiet

_LOST = "the process that worked on it was killed, as a rule for want of memory"
#: Columns that are whole numbers, numbers from 0 on, words, true or false, where they are not empty.
_COUNTS = {
    "variables",
    "terms",
    "blocks",
    "rows",
    "quotient_terms",
    "parameters",
    "retained_parameters",
}
_SIZES = {"eps", "defect", "bound", "observed", "seconds"}
_TEXTS = {"file", "error", "method", "note", "subject"}
_TRUTHS = {"exact"}
#: How many errors the text repeats.
_SHOWN = 10


@dataclass(frozen=True)
class Many:
    """How a command takes many files.

    Parameters
    ----------
    command : str
        The module whose ``run`` is called with the options for one file.
    columns : sequence of str
        What of its report the table has. A report with a list of ``rows`` makes as many, any other one.
    suffixes : sequence of str
        The files of a folder that are taken.
    of_one : dict
        Options that are for one file, and their values when they are not given.
    file : str
        The argument that names the file.
    stores : bool
        Whether systems on disk, which are folders, are taken like files.
    """

    command: str
    columns: Sequence[str]
    suffixes: Sequence[str]
    of_one: Mapping[str, Any]
    file: str = "file"
    stores: bool = False


def run_many(options: argparse.Namespace, many: Many) -> Answer:
    """Run a command on each file; what fails is a row of its own.

    Raises
    ------
    MethodError
        If an option for one file is given, or standard input.
    FileFormatError
        If a folder holds no file.
    """
    refuse(options, many.of_one, "is for one file, and --table makes a row of each")
    given = [getattr(options, many.file), *options.others]
    if STANDARD in given:
        raise MethodError("--table reads files, which can be read again; standard input cannot")
    files = list(_files(given, many))
    with _place_of_parts(options.table) as parts, bar("files", len(files)) as step:
        reports = run_jobs(
            _jobs(options, many, files),
            parts,
            options.jobs,
            options.scheduler,
            check=_check,
            step=step,
            lost=lambda job: [{"file": job.description["file"], "error": _LOST}],
        )
        header = ("file", *many.columns, "error")
        rows = [{name: row.get(name) for name in header} for report in reports for row in report]
        text = StringIO()
        writer = csv.DictWriter(text, header, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(options.table, text.getvalue())
    failed = [row for row in rows if row["error"] is not None]
    report = {"table": options.table, "files": len(files), "failed": len(failed), "rows": rows}
    return Answer(lambda: report, lambda: _text(report, failed), 1 if failed else 0)


@contextmanager
def _place_of_parts(table: str) -> Iterator[Path]:
    """The folder of the rows so far, emptied once the table is written; a stream cannot be gone on with."""
    if is_stdout(table):
        with TemporaryDirectory() as folder:
            yield Path(folder)
        return
    parts = Path(f"{table}.parts")
    yield parts
    forget(parts)


def _jobs(options: argparse.Namespace, many: Many, files: Sequence[Path]) -> list[Job]:
    """A task for each file; what its result depends on is in its description."""
    from symlump import __version__

    plain = {k: v for k, v in vars(options).items() if _is_plain(v)}
    plain |= {"others": [], "table": None, "jobs": 1, "scheduler": None}
    plain |= dict.fromkeys({"json", "force"} & set(plain), False)  # how it is said is no part of it
    read = [name for name in options.reads if name not in (many.file, "others")]
    beside = {
        name: _digest(Path(path)) for name in read if isinstance(path := plain.get(name), str)
    }
    columns = list(many.columns)
    common = {"command": many.command, "columns": columns, "version": __version__, "beside": beside}
    return [
        Job(
            rows_of,
            common
            | {
                "file": str(path),
                "options": plain | {many.file: str(path)},
                "digest": _digest(path),
            },
        )
        for path in files
    ]


def rows_of(description: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows about one file; of one that cannot be used its name and the error."""
    file = description["file"]
    options = argparse.Namespace(**description["options"])
    run: Callable[[argparse.Namespace], Answer] = import_module(description["command"]).run
    try:
        with quiet(), memory_errors():
            report = run(options).data()
    except SymlumpError as error:
        said = " ".join(str(error).splitlines()).removeprefix(f"{file}:").strip()
        return [{"file": file, "error": said}]
    except OSError as error:
        return [{"file": file, "error": error.strerror or str(error)}]
    except Exception as error:  # a fault of symlump: the other files need not wait for its repair
        said = f"internal error, please report it: {type(error).__name__}: {error}"
        return [{"file": file, "error": said}]
    rows = report["rows"] if isinstance(report.get("rows"), list) else [{}]
    columns = description["columns"]
    return [_flat(columns, report) | _flat(columns, row) | {"file": file} for row in rows]


def _flat(columns: Sequence[str], report: Mapping[str, Any]) -> dict[str, Any]:
    """What of a report a table has; what is long or nested is no part of it."""
    found = {name: report[name] for name in columns if name in report}
    return {k: v for k, v in found.items() if v is None or isinstance(v, str | int | float)}


def _check(job: Job, rows: Any) -> None:
    """Raise if rows cannot be those of the file: they say so many blocks of so many variables, say.

    Raises
    ------
    FailureError
        If so.
    """
    file = job.description["file"]
    sound = isinstance(rows, list) and bool(rows) and all(isinstance(row, dict) for row in rows)
    sound = sound and all(row.get("file") == file for row in rows)
    sound = sound and all(_is_possible(name, value) for row in rows for name, value in row.items())
    for row in rows if sound else ():
        counts = [row[name] for name in ("blocks", "rows") if row.get(name) is not None]
        most = row.get("variables")
        sound = sound and (most is None or all(count <= most for count in counts))
    if not sound:
        raise FailureError(f"the result for {file} cannot be right: {str(rows)[:200]}")


def _is_possible(name: str, value: Any) -> bool:
    """Whether a column can have this value."""
    if value is None:
        return name != "file"
    if name in _COUNTS:
        return type(value) is int and value >= 0
    if name in _SIZES:
        return type(value) in (int, float) and not value < 0
    if name in _TEXTS:
        return isinstance(value, str)
    return isinstance(value, bool) if name in _TRUTHS else isinstance(value, str | int | float)


def _files(given: Sequence[str], many: Many) -> Iterator[Path]:
    from symlump.store.opening import is_store

    suffixes = many.suffixes
    for name in given:
        path = Path(name)
        if not path.is_dir() or (many.stores and is_store(path)):
            yield path
            continue
        named = sorted(
            p
            for p in path.iterdir()
            if p.suffix.lower() in suffixes or (many.stores and is_store(p))
        )
        # A folder of such a name, or a link to nothing, becomes a row; of a FIFO one would wait for ever.
        found = [p for p in named if p.is_file() or p.is_dir() or not p.exists()]
        if not found:
            raise FileFormatError(f"{path} has no file that ends in {', '.join(suffixes)}")
        yield from found


def _digest(path: Path) -> str:
    """Of what is in a file; of one that cannot be read, which becomes a row, empty."""
    try:
        if path.is_dir():  # a system on disk
            inside = sorted(p for p in path.rglob("*") if p.is_file())
            return digest([[str(p.relative_to(path)), file_digest(p)] for p in inside])
        return file_digest(path)
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
