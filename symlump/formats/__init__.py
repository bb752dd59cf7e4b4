"""Model files: reading them exactly, and writing them so that they read back the same.

=========== ======================================= ====== =====
suffix      format                                  read   write
=========== ======================================= ====== =====
.ode ._ode  ERODE: reaction networks and equations  yes    yes
.net        BioNetGen reaction networks             yes    yes
.tra        Markov chains of MRMC, PRISM, Storm     yes    MRMC
.xml .sbml  SBML                                    yes    yes
.ant        Antimony, with the extra antimony       yes
.bngl       rules of BioNetGen, with the extra bngl yes
.txt        equations as text, ``x' = -x``          yes    yes
=========== ======================================= ====== =====
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

from symlump.errors import FileFormatError, InputError, MethodError, NotPolynomialError
from symlump.files import STANDARD, write_text
from symlump.formats import translated
from symlump.formats.model import Model, substitute_constants
from symlump.formats.source import LongSection, Source, file_size, quote, quote_names, read_pieces
from symlump.memory import demand_memory, memory_errors, size_text, without_collection
from symlump.ode.functions.printing import symbol_text
from symlump.ode.reactions import FlowArrays
from symlump.ode.system import ODE
from symlump.suggest import did_you_mean

SUFFIXES = {
    ".ode": "erode",
    "._ode": "erode",
    ".net": "bionetgen",
    ".tra": "mrmc",
    ".xml": "sbml",
    ".sbml": "sbml",
    ".txt": "equations",
}
#: Suffixes of what is taken for a model where a folder is given: most files .txt are something else.
IN_FOLDERS = tuple(suffix for suffix in SUFFIXES if suffix != ".txt")
_FORMATS = tuple(dict.fromkeys(SUFFIXES.values()))

#: Bytes of memory for a byte of a file that is read whole, where that is least: 13 to 27 were measured.
_A_BYTE = 12

#: How files of each format begin.
_FIRST_LINES = {
    "begin model": "erode",
    "begin": "bionetgen",
    "setModelName": "bionetgen",
    "STATES": "mrmc",
    "dtmc": "mrmc",
    "ctmc": "mrmc",
    "<": "sbml",
}

__all__ = ["Model", "SUFFIXES", "read", "substitute_constants", "write"]


@memory_errors()
@without_collection()
def read(
    path: str | Path,
    *,
    parameters: Literal["values", "symbolic"] = "values",
    constants: Literal["keep", "values"] = "keep",
    chain: Literal["dtmc", "ctmc"] | None = None,
    labels: str | Path | None = None,
    states: str | Path | None = None,
    rewards: Iterable[str | Path] = (),
    format: str | None = None,
) -> Model:
    """Read a model file of any of the supported formats.

    Parameters
    ----------
    path : str or Path
        The file; ``-`` is standard input.
    parameters : {"values", "symbolic"}
        Replace parameters by their values, or make them symbolic constants of the system: variables
        with derivative 0, listed in ``PolynomialODE.parameters``.
    constants : {"keep", "values"}
        With "values", every species whose derivative is identically zero is replaced by its initial
        value and dropped; ``Model.dropped`` has its name and value.
    chain : {"dtmc", "ctmc"}, optional
        Whether the numbers of a ``.tra`` file are probabilities or rates. If it is not given, the
        sums of the rows of all states decide, and ``Model.notes`` says so.
    labels, states : str or Path, optional
        Files that belong to a ``.tra`` file: labels (``.lab``), by which the file's partition keeps
        states apart, and the values of variables (``.sta``). Both become observables.
    rewards : iterable of str or Path
        Rewards of the states or transitions of a ``.tra`` file: observables, too.
    format : str, optional
        One of erode, bionetgen, mrmc, sbml, antimony, bngl, equations; by default the suffix of the file
        decides, and of standard input the first line.

    Returns
    -------
    Model
        The system, its initial values, its observables, and what the file says of its own partition.

    Raises
    ------
    FileFormatError
        If the file cannot be read; the message says where: ``PATH:LINE:COLUMN: …``.
    NotPolynomialError
        If a rate or an equation contains a function that is not known, likewise.
    MissingExtraError
        If an SBML file has submodels and python-libsbml is not installed, or an Antimony or BNGL file the tool
        that translates it.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "model.txt"
    >>> _ = path.write_text("a' = -a + b; b' = a - b")
    >>> read(path).ode
    <PolynomialODE: 2 variables, 4 terms>
    """
    if parameters not in ("values", "symbolic"):
        raise MethodError(f"parameters={parameters!r} is neither 'values' nor 'symbolic'")
    if constants not in ("keep", "values"):
        raise MethodError(f"constants={constants!r} is neither 'keep' nor 'values'")
    if chain not in (None, "dtmc", "ctmc"):
        raise MethodError(f"chain={chain!r} is neither 'dtmc' nor 'ctmc'")
    beside = {"labels": labels, "states": states, "rewards": rewards}
    source, size = None, 0
    if os.fspath(path) == STANDARD and format is None:
        source = Source.read(path)
        chosen = _format_by_content(source)
    else:
        chosen = _format_of(path, format, reading=True)
    if chain is not None and chosen != "mrmc":
        raise MethodError(f"chain={chain!r} is for Markov chains (.tra); {path} is not one")
    for name, given in beside.items():
        if given and chosen != "mrmc":
            raise MethodError(f"{name}={given!r} is for Markov chains (.tra); {path} is not one")
    if source is None:
        size = file_size(path)
        demand_memory(
            _A_BYTE * size,
            f"{path} has {size_text(size)}; to read it whole",
            "symlump convert writes .tra, .ode and .net files to a folder in pieces",
        )
        if chosen != "mrmc" or os.fspath(path) == STANDARD:
            source = Source.read(path)
    note = ""
    # Each format is imported when it is asked for.
    if chosen == "mrmc":
        from symlump.formats.chains import PIECE, read_tra

        model = read_tra(
            source or read_pieces(path, most=PIECE),
            chain=chain,
            labels=Source.read(labels) if labels else None,
            states=Source.read(states) if states else None,
            rewards=[Source.read(one) for one in rewards],
            size=size,
        )
    else:
        assert source is not None
        if chosen in translated.BECOMES:
            source = translated.translate(source, chosen)
            chosen, note = translated.BECOMES[chosen]
        model = _polynomial_or_not(_reader_of(chosen), source, parameters, constants)
    model = replace(model, format=chosen, notes=(note, *model.notes) if note else model.notes)
    if constants == "keep":
        return model
    try:
        return substitute_constants(model)
    except InputError as problem:
        where = path if source is None else source.path
        raise FileFormatError(f"{where}: {problem}") from None


def _reader_of(chosen: str) -> Callable[..., Model]:
    """The function that reads a format of which a file is one text."""
    reader: Callable[..., Model]
    if chosen == "erode":
        from symlump.formats.erode import read_erode

        reader = read_erode
    elif chosen == "bionetgen":
        from symlump.formats.bionetgen import read_bionetgen

        reader = read_bionetgen
    elif chosen == "equations":
        from symlump.formats.text import read_statements

        reader = read_statements
    else:
        from symlump.formats.sbml import read_sbml

        reader = read_sbml
    return reader


@memory_errors()
def read_in_pieces(
    path: str | Path,
    into: Callable[[FlowArrays, int], None],
    *,
    parameters: Literal["values", "symbolic"] = "values",
    format: str | None = None,
) -> Model:
    """Read an ERODE or BioNetGen file of any size, some megabytes at a time.

    ``into`` takes the flows of each piece, and the number of variables. The model that is returned has none of
    them: it says what else is in the file.

    Raises
    ------
    NotInPiecesError
        If the file has to be read as a whole.
    FileFormatError, NotPolynomialError
        As :func:`read`.
    """
    from symlump.formats.polynomials import NotInPiecesError

    known = {"erode": (("reactions", "ODE"), "//", "/*"), "bionetgen": (("reactions",), "#", "")}
    chosen = _format_of(path, format, reading=True)
    section = LongSection.find(path, *known[chosen]) if chosen in known else None
    if section is None:
        raise NotInPiecesError(f"{path} has no section that can be read in pieces")
    model = _reader_of(chosen)(section.around, parameters=parameters, section=section, into=into)
    return replace(model, format=chosen)


def _polynomial_or_not(
    reader: Callable[..., Model], source: Source, parameters: str, constants: str
) -> Model:
    """Read a file, as a polynomial system if it is one."""
    try:
        return reader(source, parameters=parameters, constants=constants)
    except NotPolynomialError:
        return reader(source, parameters=parameters, constants=constants, functions=True)


@memory_errors()
def write(model: Model | ODE, path: str | Path, *, format: str | None = None) -> None:
    """Write a model file, whole or not at all.

    Coefficients are written exactly; an :class:`ODE` alone starts at 0.

    Parameters
    ----------
    model : Model or ODE
    path : str or Path
        The suffix says the format.
    format : str, optional
        One of erode, bionetgen, mrmc, sbml, equations, instead of the suffix.

    Raises
    ------
    FileFormatError
        If the suffix is unknown, or the format cannot hold the system.
    OutputError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from symlump import ODE
    >>> path = Path(tempfile.mkdtemp()) / "model.ode"
    >>> write(ODE.from_text("a' = -a + b; b' = a - b"), path)
    >>> read(path).ode.variables
    ('a', 'b')
    """
    chosen = _format_of(path, format)
    if isinstance(model, ODE):
        start = dict.fromkeys(model.variables, Fraction(0))
        model = Model(Path(path).stem, model, start)
    write_text(path, _text(model, chosen))


def _text(model: Model, chosen: str) -> str:
    if model.ode.discrete and chosen not in ("equations", "mrmc"):
        raise FileFormatError(
            f"{chosen} files hold differential equations, not a map; write equations as text (.txt), "
            "or a chain in discrete time as .tra"
        )
    if model.ode.generators is not None and chosen == "mrmc":
        raise FileFormatError(
            f"a .tra file holds linear systems, not one with {symbol_text(model.ode, len(model.ode))}"
        )
    if model.events and chosen != "sbml":
        raise FileFormatError(
            f"the model has events ({quote_names(event.name for event in model.events)}), which only SBML "
            f"(.xml) holds, not {chosen}"
        )
    if chosen == "erode":
        from symlump.formats.erode import write_erode

        return write_erode(model)
    if chosen == "equations":
        from symlump.formats.text import write_statements

        return write_statements(model)
    if chosen == "bionetgen":
        from symlump.formats.bionetgen import write_bionetgen

        return write_bionetgen(model)
    if chosen == "mrmc":
        from symlump.formats.chains import write_tra

        return write_tra(model)
    from symlump.formats.sbml import write_sbml

    return write_sbml(model)


def _format_by_content(source: Source) -> str:
    """The format of a text without a name, by its first line that is no comment.

    Examples
    --------
    >>> _format_by_content(Source("-", "// mine\\nbegin model m\\n"))
    'erode'
    >>> _format_by_content(Source("-", 'setModelName("m")\\nbegin parameters\\n'))
    'bionetgen'
    """
    lines = (line.strip() for line in source.text.split("\n"))
    first = next((line for line in lines if line and not line.startswith(("#", "//"))), "")
    for start, found in _FIRST_LINES.items():
        if first.startswith(start):
            return found
    if first[:1].isdigit():
        return "mrmc"
    from symlump.formats.text import looks_like_statements

    if looks_like_statements(first):
        return "equations"
    raise FileFormatError(
        f"{source.path}: no format begins with {quote(first)}, and it is not an equation such as "
        f"x' = -k*x/(1 + x); give its format: {', '.join(_FORMATS)}"
    )


def _format_of(path: str | Path, format: str | None, reading: bool = False) -> str:
    suffixes = SUFFIXES | (translated.SUFFIXES if reading else {})
    if format is not None:
        formats = tuple(dict.fromkeys(suffixes.values()))
        if format not in formats:
            raise FileFormatError(
                f"unknown format {format!r}{did_you_mean(format, formats, 'the formats are ')}"
                f"{', '.join(formats)}"
            )
        return format
    suffix = Path(path).suffix.lower()
    if suffix not in suffixes:
        export = translated.export_of(suffix) if reading else None
        if export is not None:
            raise FileFormatError(f"{path} is {export}")
        if reading and Path(path).is_dir():
            raise FileFormatError(f"{path} is a folder; give a file in it")
        raise FileFormatError(
            f"{path}: unknown suffix {suffix!r}{did_you_mean(suffix, suffixes, 'known are ')}"
            f"{', '.join(suffixes)}"
        )
    return suffixes[suffix]
