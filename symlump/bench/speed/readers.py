"""Reading files, against what reading their text, or another reader, takes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from symlump.bench.speed.rows import EngineRow, Rows, apart, median_time
from symlump.bench.speed.storm import transitions, write_chain
from symlump.files import write_text

#: Half of what ERODE 4.18 takes for a file of 23 MB, beside this package on the same machine.
_ERODE = 23 / 2.75
_BY_ERODE = "half of ERODE's time, 2.75 s for 23 MB"


def chain_file(states: int) -> EngineRow:
    """A Markov chain, one transition a line."""
    return _against_split("chain.tra", write_planted_chain, states, "of a Markov chain")


def decimal_chain_file(states: int) -> EngineRow:
    """The same with rates of six digits behind a point."""
    return _against_split("chain.tra", _write_decimals, states, "with decimals")


def chain_numbers(states: int) -> EngineRow:
    """The numbers of the lines only, of which no chain is made."""
    return _against_split(
        "chain.tra", write_planted_chain, states, "of a Markov chain, numbers only", _numbers_only
    )


def _numbers_only(path: Path) -> object:
    from symlump.formats.chains.tra import PIECE, Transitions
    from symlump.formats.source import read_pieces

    return list(Transitions(read_pieces(path, most=PIECE), 2**40))


def reactions_file(count: int) -> EngineRow:
    """Reactions, in a file as ERODE writes and reads it."""
    return _in_megabytes("model.ode", write_reactions, count, "with reactions", _ERODE, _BY_ERODE)


def equations_file(sites: int) -> EngineRow:
    """Equations, in a file as ERODE writes and reads it."""
    return _in_megabytes("model.ode", _write_model, sites, "with equations", 3.0)


def sbml_file(sites: int) -> EngineRow:
    """SBML, against libsbml, which does nothing but read it."""
    from symlump.formats import read

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.xml"
        apart(_write_model, sites, path)
        what = f"reading .xml, {path.stat().st_size / 1e6:.1f} MB"
        seconds = median_time(lambda: read(path))
        if find_spec("libsbml") is None:
            return EngineRow(what, seconds, "python-libsbml is not installed", None, "×", 1.7)
        import libsbml

        alone = median_time(lambda: libsbml.SBMLReader().readSBMLFromFile(str(path)))
    return EngineRow(what, seconds, f"libsbml, {alone:.2g} s", seconds / alone, "×", 1.7)


def _against_split(
    name: str,
    write: Callable[[int, Path], None],
    size: int,
    what: str,
    function: Callable[[Path], object] | None = None,
) -> EngineRow:
    from symlump.formats import read

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        apart(write, size, path)
        seconds = median_time(lambda: (function or read)(path))
        text = path.read_text()
    alone = median_time(text.split)
    return EngineRow(
        f"reading {path.suffix} {what}, {len(text) / 1e6:.1f} MB",
        seconds,
        f"str.split of it, {alone:.2g} s",
        seconds / alone,
        "×",
        1.0,
    )


def _in_megabytes(
    name: str,
    write: Callable[[int, Path], None],
    size: int,
    what: str,
    reach: float,
    yardstick: str = "",
) -> EngineRow:
    from symlump.formats import read

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        apart(write, size, path)
        length = path.stat().st_size / 1e6
        seconds = median_time(lambda: read(path))
    return EngineRow(
        f"reading {path.suffix} {what}, {length:.1f} MB",
        seconds,
        yardstick,
        length / seconds,
        "MB/s",
        reach,
        at_most=False,
    )


def write_planted_chain(states: int, path: Path) -> None:
    """Write a Markov chain of about 7.5 transitions a state."""
    from symlump.datasets.chains import planted_chain

    write_chain(path, *transitions(planted_chain(states, states // 10)[0]))


def _write_decimals(states: int, path: Path) -> None:
    write_planted_chain(states, path)
    lines = path.read_text().splitlines()
    decimals = [line + f".{k % 10**6:06d}" for k, line in enumerate(lines[1:])]
    write_text(path, "\n".join([lines[0], *decimals, ""]))


def write_reactions(count: int, path: Path) -> None:
    """Write reactions of two species each, with one of 900 rates, in ERODE's format.

    Examples
    --------
    >>> import tempfile
    >>> from symlump import read
    >>> path = Path(tempfile.mkdtemp()) / "model.ode"
    >>> write_reactions(50, path)
    >>> len(read(path).ode)
    10
    """
    generator = np.random.default_rng(0)
    names = [f"s{k}" for k in range(count // 5)]
    sides = generator.integers(0, len(names), (count, 4)).tolist()
    rates = generator.integers(100, 1000, count).tolist()
    lines = [
        f"{names[a]} + {names[b]} -> {names[c]} + {names[d]} , 0.{rate}"
        for (a, b, c, d), rate in zip(sides, rates, strict=True)
    ]
    head = ["begin model random", "begin init", *(f"{name} = 1" for name in names), "end init"]
    tail = ["end reactions", "end model", ""]
    write_text(path, "\n".join([*head, "begin reactions", *lines, *tail]))


def _write_model(sites: int, path: Path) -> None:
    from symlump.datasets.systems import multisite_phosphorylation
    from symlump.formats import write

    write(multisite_phosphorylation(sites), path)


#: Name, function, full size, quick size.
ROWS: Rows = {
    "tra": (chain_file, 400_000, 4_000),
    "tra-numbers": (chain_numbers, 400_000, 4_000),
    "tra-decimals": (decimal_chain_file, 400_000, 4_000),
    "reactions": (reactions_file, 600_000, 6_000),
    "equations": (equations_file, 6, 4),
    "sbml": (sbml_file, 6, 3),
}
