"""What it costs to have coqc compute the proof: families of systems that grow, and models of a list.

Seconds are those of the processor. Loading the libraries takes a while however small the claim; it is measured
on an empty file and taken off before dividing by the number of terms.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from symlump.bench.speed.rows import seconds_of_children
from symlump.errors import FileFormatError
from symlump.formats import read

if TYPE_CHECKING:
    from symlump.formats.model import Model
    from symlump.lumping.equivalence import Equivalence
    from symlump.ode.system import ODE
    from symlump.proof.certificate import Certificate

T = TypeVar("T")
#: Models with more variables than this are left out.
MOST_VARIABLES = 5_000


class _Certified(Protocol):
    def certificate(self) -> Certificate: ...


@dataclass(frozen=True)
class Case:
    """What is proved: the system (its family and its size, or a file), the method, and how it is lumped.

    ``known`` is the number of blocks or rows that a list of models names.
    """

    system: str
    method: str
    reduced: Callable[[], _Certified]
    family: str | None = None
    known: int | None = None


@dataclass(frozen=True)
class CoqRow:
    """One certificate, proved by coqc and checked by the extracted program and by ``check.py``.

    ``proved``: by all of them, with what the certificate says of the coarsest or smallest lumping.
    ``false_refused``: of the same with one wrong number, neither of the two checkers accepts the lumping.
    """

    system: str
    family: str | None
    method: str
    variables: int
    terms: int
    blocks: int
    known: int | None
    megabytes: float
    seconds_coqc: float
    seconds_beyond_loading: float
    seconds_verified: float
    seconds_check: float
    proved: bool
    false_refused: bool

    @property
    def microseconds_per_term(self) -> float:
        """Of coqc, without loading its libraries."""
        return 1e6 * self.seconds_beyond_loading / max(1, self.terms)


def cases(quick: bool) -> list[Case]:
    """Families of polynomial systems, and of systems with quotients and functions; and small examples."""
    families: list[tuple[str, str, tuple[int, ...], tuple[int, ...]]] = [
        ("phosphorylation", "forward", (2, 3), (3, 4, 5, 6)),
        ("phosphorylation", "backward", (2, 3), (3, 4, 5, 6)),
        ("chain", "backward", (50, 100), (500, 1000, 2000, 4000)),
        ("enzymes", "backward", (20, 40), (100, 200, 400)),
        ("enzymes", "forward", (20, 40), (100, 200, 400)),
        ("pendulums", "backward", (5, 10), (50, 100, 200)),
    ]
    return [
        _case(family, size, method)
        for family, method, small, large in families
        for size in (small if quick else large)
    ] + _examples()


def _examples() -> list[Case]:
    """The worked examples of the theory except for phosphorylation (E4), which is a family above."""
    linear = "x1' = -3*x1 + x3; x2' = -3*x2 + x3; x3' = x1 + x2 - 2*x3"
    products = "x1' = -x1*x3; x2' = -x2*x3; x3' = -(x1 + x2)*x3"
    equal = "x1' = x3 - x1^2; x2' = x3 - x2^2; x3' = 1 - 2*x1 - x2"
    square = "x1' = (x2 + 2*x3)^2; x2' = 4*x3 - 2*x1; x3' = x1 + x2"
    near = "a' = u + 2*v; b' = 1.04*u + 1.97*v; c' = 1.5*u + 2*v; u' = 0; v' = 0"

    def text_case(name: str, method: str, text: str, **options: Any) -> Case:
        from symlump.ode.system import ODE

        return Case(name, method, lambda: _lumped(ODE.from_text(text), method, **options))

    return [
        text_case("E1 linear", "forward", linear),
        text_case("E2 products", "forward", products),
        text_case("E3 equal values", "backward", equal),
        text_case("E5 squares", "constrained", square, observables=["x1"]),
        text_case("E6 tolerance", "backward", near, eps=0.1, initial=[["u"], ["v"]]),
        Case("E7 influence", "forward", lambda: _lumped(_network("influence"), "forward")),
        Case("E7 state", "backward", lambda: _lumped(_network("state"), "backward")),
    ]


def _network(form: Literal["influence", "state"]) -> ODE:
    from symlump.network.encode import encode
    from symlump.network.network import Network

    layers: list[Any] = [[[1, 2], [1, 2], [-1, -2]], [[0.5, 0.25, 1.0]]]
    return encode(Network.dense(layers, activation="tanh"), form)


def _case(family: str, size: int, method: str) -> Case:
    return Case(
        f"{family} {size}", method, lambda: _lumped(_system(family, size, method), method), family
    )


def _lumped(
    ode: ODE, method: str, initial: Any = None, eps: float = 0.0, observables: Sequence[str] = ()
) -> _Certified:
    from symlump.lumping.backward import Backward
    from symlump.lumping.forward import Forward
    from symlump.lumping.linear.constrained import Constrained
    from symlump.lumping.lump import lump

    if method == "constrained":
        return lump(ode, Constrained(list(observables)))
    chosen: Equivalence = Forward(eps=eps) if method == "forward" else Backward(eps=eps)
    return lump(ode, chosen, initial)


def _system(family: str, size: int, method: str) -> ODE:
    from symlump.datasets.kinetics import michaelis_menten
    from symlump.datasets.systems import chain, multisite_phosphorylation
    from symlump.ode.system import ODE

    if family == "phosphorylation":
        return multisite_phosphorylation(size)
    if family == "chain":
        return chain(size)
    if family == "enzymes":
        return michaelis_menten(size, size // 10, method)[0]
    lines = []  # pendulums in a ring, with springs between neighbours
    for i in range(size):
        after, before = (i + 1) % size, (i - 1) % size
        lines.append(f"a{i}' = w{i}")
        lines.append(
            f"w{i}' = -sin(a{i}) - w{i}/10 + k*sin(a{after} - a{i}) + k*sin(a{before} - a{i})"
        )
    return ODE.from_text(";".join(lines), parameters=["k"])


def model_cases(path: str | Path) -> list[Case]:
    """The exact rows of a list of models: a JSON object with a list ``models`` of objects.

    Each has a ``file`` beside the list, a ``kind`` (forward, backward, or one that begins with "constrained"),
    for the first two an ``initial`` partition, for the last ``observables``, separated by semicolons, and the
    numbers of ``variables`` and ``blocks`` that are known. Other rows, and models of more than 5 000 variables,
    are left out.

    Raises
    ------
    FileFormatError
        If it is no such list.
    """
    path = Path(path)
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["models"]
        return [_model_case(path.parent, row) for row in rows if _is_exact(row)]
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as problem:
        raise FileFormatError(f"{path} is not a list of models: {problem!r}") from None


def _is_exact(row: dict[str, Any]) -> bool:
    kind = str(row["kind"])
    exact = kind in ("forward", "backward") or (
        kind.startswith("constrained") and not kind.endswith(("epsilon", "(all reductions)"))
    )
    return exact and int(row["variables"]) <= MOST_VARIABLES


def _model_case(folder: Path, row: dict[str, Any]) -> Case:
    kind, file = str(row["kind"]), folder / str(row["file"])
    method = "constrained" if kind.startswith("constrained") else kind
    start: Literal["one", "file", "values"] = "one"
    if row.get("initial") in ("the file's partition", "equal initial values"):
        start = "file" if row["initial"] == "the file's partition" else "values"
    observables = [part.strip() for part in str(row.get("observables", "")).split(";")]
    said = f"{kind} {row.get('constants', '')} {row.get('note', '')}"
    replaced = "replaced" in said or "replacing" in said
    variables = int(row["variables"])

    def reduce_model() -> _Certified:
        if method == "constrained":
            ode = _read(file, replaced, variables).ode
            return _lumped(ode, method, observables=observables)
        model = read(file, constants="values" if replaced else "keep")
        if not replaced and len(model.ode) != variables:
            model = read(file, constants="values")
        return _lumped(model.ode, method, model.initial_partition(start))

    return Case(file.stem, method, reduce_model, known=int(row["blocks"]))


def _read(file: Path, replaced: bool, variables: int) -> Model:
    """The model with its parameters as values, or as variables where fewer are left than there should be."""
    if replaced:
        return read(file, constants="values")
    try:
        model = read(file)
    except FileFormatError:  # a parameter has no value
        model = None
    return model if model and len(model.ode) >= variables else read(file, parameters="symbolic")


def seconds_to_load() -> float:
    """What coqc takes to load the libraries; compiles them before, if that was not done yet."""
    from symlump.proof.coq import development

    development.compile_development()
    empty = "From Symlump Require Import Certificate."
    return seconds_of_children(lambda: development.coqc(empty))[0]


def measure(case: Case, loading: float) -> CoqRow:
    """Prove one certificate.

    Parameters
    ----------
    case : Case
    loading : float
        What coqc takes to load the libraries, in seconds.

    Raises
    ------
    MissingProgramError
        If Coq or OCaml is not installed.
    """
    from symlump.proof.certificate import Certificate
    from symlump.proof.check import read_claim
    from symlump.proof.coq import development, verified
    from symlump.proof.coq.numbers import number_claim
    from symlump.proof.coq.script import script

    certificate = case.reduced().certificate()
    data = json.loads(certificate.to_json())
    claim = number_claim(read_claim(data))
    text = script(claim)
    verified.program_path()
    coqc, (accepted, _) = seconds_of_children(lambda: development.coqc(text))
    program, verdict = seconds_of_children(lambda: verified.ask(claim))
    python, seconds = _shortest(certificate.check)
    forged = falsify(data)
    best = any(key in data for key in ("maximality", "evaluations", "closure"))
    refused = not verified.ask(number_claim(read_claim(forged)))["lumping"]
    refused = refused and not Certificate(forged).check().accepted
    return CoqRow(
        case.system,
        case.family,
        case.method,
        len(claim.names),
        claim.terms,
        len(claim.quotient_names),
        case.known,
        len(text) / 1e6,
        coqc,
        max(0.0, coqc - loading),
        program,
        seconds,
        accepted and all(verdict.values()) and python.accepted and python.coarsest == best,
        refused,
    )


def falsify(data: dict[str, Any]) -> dict[str, Any]:
    """A certificate with 1 added to the first number of its quotient.

    Examples
    --------
    >>> falsify({"version": 1, "quotient": {"y": [["-1", [["y", 1]]]]}})["quotient"]
    {'y': [['0', [['y', 1]]]]}
    >>> data = falsify({"version": 2, "values": ["2", []], "quotient": {"y": [[0, 1]]}})
    >>> data["values"], data["quotient"]
    (['2', [], '3'], {'y': [[2, 1]]})
    """
    forged = copy.deepcopy(data)
    (equation, *_) = forged["quotient"].values()
    values = forged.get("values")
    if not equation:
        equation.append(
            ["0", []] if values is None else [_position("0", values), _position([], values)]
        )
    number = equation[0][0] if values is None else values[equation[0][0]]
    new = str(Fraction(number) + 1)
    equation[0][0] = new if values is None else _position(new, values)
    return forged


def _position(value: Any, values: list[Any]) -> int:
    values.append(value)
    return len(values) - 1


#: What is measured, by what it is called where its growth is printed.
MEASURED = {
    "coqc beyond loading": "seconds_beyond_loading",
    "verified": "seconds_verified",
    "check.py": "seconds_check",
}


def growth(rows: Iterable[CoqRow]) -> dict[str, dict[str, float]]:
    """For each family and method, p in seconds ~ terms^p between its smallest and its largest system.

    Examples
    --------
    >>> row = CoqRow("chain 10", "chain", "backward", 10, 100, 10, None, 0, 1.5, 1.0, 0.1, 0.2, True, True)
    >>> from dataclasses import replace
    >>> large = replace(row, terms=400, seconds_beyond_loading=4.0, seconds_verified=0.2, seconds_check=0.8)
    >>> growth([row, large])
    {'chain, backward': {'coqc beyond loading': 1.0, 'verified': 0.5, 'check.py': 1.0}}
    """
    grouped: dict[str, list[CoqRow]] = {}
    for row in rows:
        if row.family is not None:
            grouped.setdefault(f"{row.family}, {row.method}", []).append(row)
    found: dict[str, dict[str, float]] = {}
    for name, of_family in grouped.items():
        least, most = (choose(of_family, key=lambda row: row.terms) for choose in (min, max))
        if least.terms < most.terms:
            size = math.log(most.terms / least.terms)
            seconds = {
                what: (getattr(least, at), getattr(most, at)) for what, at in MEASURED.items()
            }
            found[name] = {
                what: round(math.log(after / before) / size, 2)
                for what, (before, after) in seconds.items()
                if before > 0 and after > 0
            }
    return found


def _shortest(run: Callable[[], T]) -> tuple[T, float]:
    """What a function returns, and the seconds it takes at least; up to 20 runs of what is short."""
    times: list[float] = []
    while not times or (sum(times) < 0.3 and len(times) < 20):
        start = time.process_time()
        result = run()
        times.append(time.process_time() - start)
    return result, min(times)
