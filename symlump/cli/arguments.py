"""Arguments that several commands take, from text."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symlump.errors import FileFormatError, MethodError, UnknownVariableError
from symlump.files import STANDARD
from symlump.suggest import did_you_mean

if TYPE_CHECKING:
    from symlump.formats.model import Model


def names(given: str) -> list[str]:
    """Names with commas between them, and spaces where one likes.

    BioNetGen names, such as A(b,c), have commas inside parentheses.

    Raises
    ------
    MethodError
        If there is no name.

    Examples
    --------
    >>> names("x1, A(b,c) ,x2,")
    ['x1', 'A(b,c)', 'x2']
    """
    parts = [part.strip() for part in re.split(r",(?![^(]*\))", given)]
    found = [part for part in parts if part]
    if not found:
        raise MethodError(f"{given!r} has no names; give one, or several with commas between them")
    return found


def shares(given: str) -> tuple[float, ...]:
    """Shares of parameters or storage, as in ``0.5,0.25``.

    Raises
    ------
    MethodError
        If they are not in (0, 1].

    Examples
    --------
    >>> shares("0.5, 0.25")
    (0.5, 0.25)
    """
    try:
        found = tuple(float(part) for part in names(given))
    except ValueError:
        found = ()
    if not found or not all(0 < share <= 1 for share in found):
        raise MethodError(f"--shares {given}: write shares in (0, 1], as in 0.5,0.25")
    return found


def refuse(options: argparse.Namespace, unset: Mapping[str, Any], why: str) -> None:
    """Raise if options were given that do not apply here.

    Parameters
    ----------
    options : Namespace
    unset : mapping of str to value
        Options, and their values when they are not given; what a command does not have is passed over.
    why : str

    Raises
    ------
    MethodError
        With the first that was given.

    Examples
    --------
    >>> options = argparse.Namespace(box=None, leave_untouched=True)
    >>> refuse(options, {"box": None, "leave_untouched": False}, "is for ONNX files")
    Traceback (most recent call last):
    symlump.errors.MethodError: --leave-untouched is for ONNX files
    """
    for name, value in unset.items():
        if getattr(options, name, value) != value:
            raise MethodError(f"--{name.replace('_', '-')} {why}")


def add_observable(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the option; ``what`` must be determined."""
    parser.add_argument(
        "--observable",
        action="append",
        default=[],
        metavar="NAME,…",
        help=f'constrained: what {what}: variables, views, linear combinations such as "2*x + y"; may be '
        "given several times",
    )


def check_linear(options: argparse.Namespace, others: Iterable[tuple[bool, str]]) -> None:
    """Demand an observable, and no option that is for partitions.

    Parameters
    ----------
    options : Namespace
    others : iterable of (bool, str)
        Whether an option for partitions was given, and its name.

    Raises
    ------
    MethodError
        With the option.
    """
    if not options.observable:
        raise MethodError(
            "--method constrained needs at least one --observable: a variable, a view of the file, or a linear "
            'combination such as --observable "2*x + y"'
        )
    for given, option in others:
        if given:
            raise MethodError(f"{option} is for partitions; --method constrained finds linear rows")


def read_observables(options: argparse.Namespace) -> list[str]:
    """The observables that were named.

    Examples
    --------
    >>> read_observables(argparse.Namespace(observable=["x1,x2", "2*x1 + x3"]))
    ['x1', 'x2', '2*x1 + x3']
    """
    return [name for given in options.observable for name in names(given)]


def named_forms(options: argparse.Namespace, model: Model) -> list[str | Mapping[str, Fraction]]:
    """The observables that were named, views as their coefficients."""
    views = {name: v for name, v in model.observables.items() if name not in model.ode.index}
    return [views.get(name, name) for name in read_observables(options)]


def kept_forms(options: argparse.Namespace, model: Model) -> list[str | Mapping[str, Fraction]]:
    """What a linear lumping keeps: what was named, views as their coefficients, and what events read or set."""
    from symlump.formats.events import names_in

    return [*named_forms(options, model), *names_in(model.events)]


def kept_names(options: argparse.Namespace, model: Model) -> list[str]:
    """The names of these, as they were given."""
    from symlump.formats.events import names_in

    return [*read_observables(options), *names_in(model.events)]


@contextmanager
def reading_forms(options: argparse.Namespace) -> Iterator[None]:
    """Let errors about a name that is none of the system's say what to do where it is a parameter."""
    try:
        yield
    except UnknownVariableError as problem:
        if options.parameters == "symbolic":
            raise
        more = "; a parameter of the file is a variable with --parameters symbolic"
        raise UnknownVariableError(f"{problem}{more}") from None


def add_many(parser: argparse.ArgumentParser) -> None:
    """The arguments of a command that may take many files."""
    parser.add_argument(
        "others", nargs="*", metavar="FILE", help="with --table: further files, or folders of them"
    )
    many = parser.add_argument_group("many files")
    many.add_argument(
        "--table",
        metavar="OUT.csv",
        help="take any number of files and folders, and write one row for each, errors included; run again "
        "after an interruption, it resumes",
    )
    many.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="processes that share the files (default: 1)",
    )
    many.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="share the files among the workers of a Dask cluster; of "
        "symlump lump DIR, a system on disk, the partitions of its terms",
    )


def check_one(options: argparse.Namespace, cluster: bool = False) -> None:
    """Raise if there are many files and no table is asked for.

    Parameters
    ----------
    options : Namespace
    cluster : bool
        Whether a scheduler serves one file, too.

    Raises
    ------
    MethodError
        If options say so.
    """
    if options.others:
        raise MethodError("several files make one table: add --table OUT.csv")
    unset = {"jobs": 1} if cluster else {"jobs": 1, "scheduler": None}
    refuse(options, unset, "is for many files: add --table OUT.csv")


def declare_files(
    parser: argparse.ArgumentParser, reads: Sequence[str] = (), writes: Sequence[str] = ()
) -> None:
    """Say which arguments name files, so that a missing one is said first, and no output overwrites an input.

    Parameters
    ----------
    parser : ArgumentParser
        Of a command; one that writes gets ``--force``.
    reads, writes : sequence of str
        Names of arguments, as in the parsed options.
    """
    if writes:
        parser.add_argument("--force", action="store_true", help="let an output overwrite an input")
    parser.set_defaults(reads=tuple(reads), writes=tuple(writes))


def outputs(options: argparse.Namespace) -> dict[str, str]:
    """The files that a command will write, by the options that name them."""
    return {"--" + n.replace("_", "-"): path for n, path in _given(options, "writes").items()}


def inputs(options: argparse.Namespace) -> dict[str, str]:
    """The files that a command will read, by how messages call them."""
    result = {}
    for name, path in _given(options, "reads").items():
        several = name.split()[0] in ("data", "digits", "labels", "states", "rewards")
        result[f"the {name} that {'are' if several else 'is'} read"] = path
    return result


def check_inputs(options: argparse.Namespace) -> None:
    """Say before the work which file is missing, and which was probably meant.

    Raises
    ------
    FileFormatError
        If one is not there.
    """
    table = getattr(options, "table", None) is not None  # it has a row of what is missing
    for name, path in _given(options, "reads").items():
        if path == STANDARD or (table and name.split()[0] in ("file", "model", "others")):
            continue
        try:
            missing = not Path(path).exists()
        except (OSError, ValueError) as error:  # a name that no file can have
            raise FileFormatError(f"{path!r} is not a file name: {error}") from None
        if missing and "://" in path:
            raise FileFormatError(f"{path} is an address; download the file, and give its name")
        if missing:
            raise FileFormatError(f"{path} does not exist{_meant(Path(path))}")


def _given(options: argparse.Namespace, kind: str) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name in getattr(options, kind, ()):
        given = getattr(options, name)
        if isinstance(given, list):  # an option that may be given several times
            result |= {f"{name} {k}": path for k, path in enumerate(given, start=1)}
        elif given is not None:
            result[name] = given
    return result


def _meant(path: Path) -> str:
    """The file of the same folder that was probably meant."""
    if not path.parent.is_dir():
        return f": there is no folder {path.parent}"
    try:
        there = sorted(other.name for other in path.parent.iterdir())
    except OSError:
        return ""
    for name in there:
        if Path(name).stem == path.name:  # only the suffix is missing
            return f"; did you mean {name!r}?"
    return did_you_mean(path.name, there)


def readable(path: str) -> str:
    """The path to open: that of standard input where ``-`` is given.

    Raises
    ------
    FileFormatError
        If this system has no such path.
    """
    if path != STANDARD:
        return path
    if not Path("/dev/stdin").exists():
        raise FileFormatError("this command cannot read standard input; give a file")
    return "/dev/stdin"


def shown_path(path: str) -> str:
    """A path in a report.

    Examples
    --------
    >>> shown_path("a.ode"), shown_path("-")
    ('a.ode', 'standard output')
    """
    return "standard output" if path == STANDARD else path
