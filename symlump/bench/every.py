"""Every experiment, one after the other, each in a process of its own; resumable."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from symlump import __version__
from symlump.files import write_text

_STATE = "all.json"


@dataclass(frozen=True)
class Run:
    """What became of one experiment.

    Parameters
    ----------
    name : str
    arguments : tuple of str
        Those of ``symlump bench NAME``.
    state : {"done", "failed", "left out"}
    seconds, processor : float
        What it took by the clock, and of the processor (0 where the system does not say); 0 where it was left
        out.
    remark : str
        Why it failed or was left out; where its output is.
    """

    name: str
    arguments: tuple[str, ...]
    state: str
    seconds: float
    processor: float
    remark: str


@dataclass(frozen=True)
class Entry:
    """How one experiment is run.

    Parameters
    ----------
    name : str
    quick, whole : tuple of str
        Its arguments for a first impression, and for the figures of the documentation. ``{data}``,
        ``{networks}``, ``{digits}`` and ``{output}`` stand for folders and files. Without quick ones it is no
        part of a first impression.
    command : str, optional
        What is run; by default the command of that name.
    """

    name: str
    quick: tuple[str, ...] | None = ("--quick",)
    whole: tuple[str, ...] = ()
    command: str | None = None

    def arguments(self, quick: bool, places: Mapping[str, str | None]) -> tuple[str, ...] | str:
        """The arguments with their files, or why there are none: what has to be given."""
        chosen, filled = self.quick if quick else self.whole, []
        if chosen is None:
            return "no part of --quick"
        for argument in chosen:
            if argument.startswith("{"):
                place = places[argument[1:-1]]
                if place is None:
                    return f"needs --{argument[1:-1]}"
                filled.append(place)
            else:
                filled.append(argument)
        return tuple(filled)


_SHARED = ("--networks", "{networks}")
_DIGITS = (*_SHARED, "--digits", "{digits}", "--output", "{output}")

_OUTPUT = ("--output", "{output}")
_FIVE = ("--seeds", "5", *_OUTPUT)
#: Benchmark-only: measured where it is installed.
_TORCH_PRUNING = find_spec("torch_pruning") is not None
_PLAIN = "magnitude, global;magnitude, layerwise;Wanda"
_REFITTED = "magnitude, global, refit;magnitude, layerwise, refit;Wanda, refit"
#: What the page of the evaluation shows: methods as they are by default, and what they are compared with.
_SHOWN = (
    "AFDE;AFDE, sums;AFDE, literature;dependence;truncated SVD;quantized;"
    f"{_PLAIN};{_REFITTED};second order;combined"
) + (";Torch-Pruning, L2" if _TORCH_PRUNING else "")
#: What merges channels, and what it is compared with.
_CHANNELS = "AFDE;AFDE, images;magnitude, refit, images;combined, images" + (
    ";Torch-Pruning, L2;Torch-Pruning, L2, images, re-estimated" if _TORCH_PRUNING else ""
)
#: What one option of AFDE after the other makes of it.
_OPTIONS = (
    "AFDE;AFDE, sums;AFDE, nothing spent;AFDE, sums, nothing spent;AFDE, by output;AFDE, by output, sums;"
    "AFDE, diameter;AFDE, closure;AFDE, covariance;AFDE, by layer;AFDE, by layer, sums;AFDE, on both;"
    f"AFDE, on state;hierarchical;{_PLAIN}"
)
#: Merging as it was published and by functions, without and with a fit, data and steps.
_IDEAS = (
    "AFDE, literature;AFDE, literature, refit;AFDE, literature, refit, data;AFDE, literature, steps;"
    "AFDE, literature, steps, data;AFDE, sums;AFDE, sums, data;AFDE;AFDE, data;AFDE, steps;AFDE, steps, data"
)


def _evaluation(
    name: str,
    quick: tuple[str, ...] | None,
    activations: str,
    shares: str,
    methods: str,
    *more: str,
    tuned: bool = False,
) -> Entry:
    """Networks on the eight data sets, whose errors a page shows under this name."""
    what = ("--activations", activations, "--shares", shares, "--methods", methods, *more)
    kept = () if tuned else ("--no-tuning",)
    return Entry(name, quick, ("--data", "{data}", *kept, *what, *_OUTPUT), "afde")


#: What packed files of one network take, and how much of the digits is right.
_PACKED = (
    *("--only", "mnist-net_256x2", "--shares", "0.25,0.125,0.1", "--calibration", "1000"),
    *("--method", "quantized", "--method", "combined, bytes"),
)
#: Two networks for digits by parameters, with the same images.
_BY_PARAMETERS = (
    *("--only", "mnist-net_256x2", "--only", "mnist5x20_leaky_relu"),
    *("--shares", "0.5,0.3,0.1", "--calibration", "1000", "--method", "AFDE"),
    *("--method", "dependence", "--method", "magnitude, refit", "--method", "Wanda, refit"),
    *("--method", "second order", "--method", "combined"),
)

#: In the order in which they are run: what is quick first.
ENTRIES = (
    Entry("start"),
    Entry("hmatrix", whole=_OUTPUT),
    Entry("engine"),
    Entry("readers"),
    Entry("growth"),
    Entry("proofs"),
    Entry("rational"),
    Entry("linear"),
    Entry("networks"),
    Entry("bounds", ("--crown", "--quick"), ("--crown",)),
    Entry("sweeps"),
    Entry("forward"),
    Entry("recurrent", ("--quick", *_OUTPUT), _FIVE),
    Entry("transformer", ("--quick", *_OUTPUT), _FIVE),
    Entry("channels", ("--quick", *_OUTPUT), (*_FIVE, "--methods", _CHANNELS)),
    Entry("published", _SHARED, _SHARED),
    Entry(
        "trained",
        (*_DIGITS, "--only", "mnist-net_256x2", "--method", "AFDE", "--method", "magnitude"),
        _DIGITS,
    ),
    Entry("packed", None, (*_DIGITS, *_PACKED), "trained"),
    Entry("digits", None, (*_DIGITS, *_BY_PARAMETERS), "trained"),
    Entry(
        "budgets",
        ("--quick", "--digits", "{digits}", *_OUTPUT),
        ("--digits", "{digits}", "--datasets", "all", "--data", "{data}", *_OUTPUT),
    ),
    Entry("anneal"),
    Entry("pinn", ("--quick", *_OUTPUT), _FIVE),
    _evaluation(
        "afde",
        ("--quick", "--datasets", "reaction,circuit,polymerization,glycolysis", *_OUTPUT),
        "tanh;relu",
        "0.95,0.8,0.6,0.4,0.3,0.2,0.1",
        _SHOWN,
    ),
    _evaluation(
        "calibrated",
        None,
        "tanh;relu",
        "0.95,0.8,0.6",
        f"{_REFITTED};second order;combined;combined, data",
    ),
    _evaluation("ideas", None, "tanh", "0.6,0.2", _IDEAS),
    _evaluation("options", None, "tanh", "0.8,0.6,0.3,0.1", _OPTIONS),
    _evaluation(
        "fitted", None, "tanh", "0.5", f"AFDE;AFDE, fitted;dependence;dependence, fitted;{_PLAIN}"
    ),
    _evaluation(
        "tuned",
        None,
        "tanh;relu",
        "0.6,0.3,0.1",
        f"AFDE;AFDE, sums;dependence;{_PLAIN}",
        tuned=True,
    ),
    _evaluation(
        "polynomial",
        None,
        "polynomial:0,1,0.2",
        "0.8,0.6,0.4,0.2,0.1",
        f"AFDE;AFDE, sums;dependence;{_PLAIN};{_REFITTED};combined",
    ),
    _evaluation(
        "widths",
        None,
        "tanh",
        "0.8,0.4,0.1",
        f"AFDE;AFDE, sums;dependence;{_PLAIN};{_REFITTED}",
        *("--hidden", "32,32;128,128"),
    ),
)


def run_every(
    folder: Path,
    quick: bool,
    places: Mapping[str, str | None],
    only: Sequence[str] = (),
    step: Callable[[int, str], None] = lambda done, name: None,
    entries: Sequence[Entry] = ENTRIES,
) -> list[Run]:
    """Run experiments, each writing ``NAME.txt`` into a folder when it is done.

    What the same version of symlump has done there with the same arguments is not done again; what failed
    is tried again. An experiment that keeps results of its own resumes inside.

    Parameters
    ----------
    folder : Path
    quick : bool
    places : mapping
        Folders and files by name: ``data``, ``networks``, ``digits``, or None.
    only : sequence of str
        These experiments; by default all.
    step : callable, optional
        Called before each with how many are done, and its name.

    Returns
    -------
    list of Run
    """
    state = folder / _STATE
    known = _known(state)
    chosen = [
        entry
        for entry in entries
        if (entry.name in only if only else entry.quick is not None or not quick)
    ]
    runs = []
    for done, entry in enumerate(chosen):
        step(done, entry.name)
        own = {**places, "output": str(folder / entry.name)}
        arguments = entry.arguments(quick, own)
        if isinstance(arguments, str):
            runs.append(Run(entry.name, (), "left out", 0.0, 0.0, arguments))
            continue
        run, output = known.get(entry.name), folder / f"{entry.name}.txt"
        if run is None or run.arguments != arguments or not output.is_file():
            run = _run(entry, arguments, output)
            if run.state == "done":
                known[entry.name] = run
                held = {name: asdict(found) for name, found in known.items()}
                write_text(state, json.dumps({"version": __version__, "runs": held}, indent=1))
        runs.append(run)
    return runs


def _run(entry: Entry, arguments: tuple[str, ...], output: Path) -> Run:
    name = entry.name
    start, before = time.perf_counter(), _processor()
    command = [sys.executable, "-m", "symlump", "bench", entry.command or name, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    took = time.perf_counter() - start, _processor() - before
    if ended.returncode:
        said = ended.stderr.strip().splitlines() or [f"ended with exit code {ended.returncode}"]
        return Run(name, arguments, "failed", *took, said[-1].removeprefix("symlump: "))
    write_text(output, ended.stdout)
    return Run(name, arguments, "done", *took, output.name)


def _processor() -> float:
    """Seconds of the processor that processes took which this one started and that ended."""
    times = os.times()
    return times.children_user + times.children_system


def _known(state: Path) -> dict[str, Run]:
    """What was done before, by this version; nothing where the file is not one of ours."""
    try:
        held = json.loads(state.read_text(encoding="utf-8"))
        if held["version"] != __version__:
            return {}
        return {
            name: Run(**{**run, "arguments": tuple(run["arguments"])})
            for name, run in held["runs"].items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
