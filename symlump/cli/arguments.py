"""Arguments that several commands take, from text."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from symlump.errors import MethodError


def shares(given: str) -> tuple[float, ...]:
    """Shares of parameters or storage, as in ``0.5,0.25``.

    Raises
    ------
    MethodError
        If they are not in (0, 1].

    Examples
    --------
    >>> shares("0.5,0.25")
    (0.5, 0.25)
    """
    try:
        found = tuple(float(part) for part in given.split(","))
    except ValueError:
        found = ()
    if not found or not all(0 < share <= 1 for share in found):
        raise MethodError(f"--shares {given}: write shares in (0, 1], as in 0.5,0.25")
    return found


def declare_files(
    parser: argparse.ArgumentParser, reads: Sequence[str] = (), writes: Sequence[str] = ()
) -> None:
    """Say which arguments name files, so that no output overwrites an input; adds ``--force``.

    Parameters
    ----------
    parser : ArgumentParser
        Of a command that writes.
    reads, writes : sequence of str
        Names of arguments, as in the parsed options.
    """
    parser.add_argument("--force", action="store_true", help="let an output overwrite an input")
    parser.set_defaults(reads=tuple(reads), writes=tuple(writes))


def outputs(options: argparse.Namespace) -> dict[str, str]:
    """The files that a command will write, by the options that name them."""
    given = {name: getattr(options, name) for name in getattr(options, "writes", ())}
    return {"--" + name.replace("_", "-"): path for name, path in given.items() if path is not None}


def inputs(options: argparse.Namespace) -> dict[str, str]:
    """The files that a command will read, by how messages call them."""
    given = {name: getattr(options, name) for name in getattr(options, "reads", ())}
    return {f"the {name} that is read": path for name, path in given.items() if path is not None}
