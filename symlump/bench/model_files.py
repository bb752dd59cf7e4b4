"""What is read of a folder of model files, and why the others are refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from symlump.bench.sbml_suite import reason
from symlump.errors import InputError
from symlump.formats import IN_FOLDERS, read


@dataclass
class FolderResult:
    """How many files of a folder are read.

    Parameters
    ----------
    read : Counter of str
        Of which kind they are: "polynomial", "with functions", and each of these "and events".
    refused : Counter of str
        Why the others are not.
    """

    read: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)


def measure_folder(folder: str | Path) -> FolderResult:
    """Read every model file of a folder, as it is read without options.

    Raises
    ------
    InputError
        If there is none.
    """
    paths = [path for path in sorted(Path(folder).iterdir()) if path.suffix.lower() in IN_FOLDERS]
    if not paths:
        raise InputError(f"{folder} has no model files ({', '.join(IN_FOLDERS)})")
    result = FolderResult()
    for path in paths:
        try:
            model = read(path)
        except InputError as problem:
            result.refused[reason(str(problem))] += 1
            continue
        kind = "polynomial" if model.ode.generators is None else "with functions"
        result.read[f"{kind} and events" if model.events else kind] += 1
    return result
