"""``symlump bench``: the measurements of the documentation."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from symlump.cli.answer import Answer
from symlump.cli.arguments import refuse
from symlump.cli.bench import (
    afde,
    anneal,
    architectures,
    bounds,
    coq_proofs,
    every,
    forward_time,
    linear,
    model_files,
    pinn,
    published,
    sbml_suite,
    store,
    sweeps,
    trained,
)
from symlump.cli.bench.compared import budgets, channels, pages, recurrent, transformer
from symlump.cli.bench.speed import growth, measured, rows, start
from symlump.cli.bench.speed.measured import Measured, add_output
from symlump.cli.parser import Parser
from symlump.progress import bar

_DESCRIPTION = """\
Measure symlump on this machine. Figures are ratios to a yardstick measured beside them (a sort of as many
numbers as the system has terms, say), because times wander and ratios hold.
"""


@dataclass(frozen=True)
class Experiment:
    """One line of the table of experiments.

    Parameters
    ----------
    name, help : str
        As on the command line.
    options : callable
        Adds its options to a parser.
    run : callable
        Runs it with parsed options; returns its rows.
    """

    name: str
    help: str
    options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], Answer]
    description: str = ""


def fill(parser: Parser) -> None:
    """Describe the command, and add its arguments."""
    parser.description = _DESCRIPTION
    parser.epilog = "examples:\n  symlump bench engine --quick\n  symlump bench all --quick"
    experiments = parser.add_subparsers(dest="experiment", metavar="EXPERIMENT", required=True)
    for experiment in EXPERIMENTS:
        row = experiments.add_parser(
            experiment.name,
            help=experiment.help,
            description=experiment.description or f"Measure {experiment.help}.",
        )
        parser.commands[experiment.name] = row
        experiment.options(row)
        row.set_defaults(run=experiment.run)


def _common_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="small sizes: seconds, not minutes")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    add_output(parser)


def _networks_options(parser: argparse.ArgumentParser) -> None:
    _common_options(parser)
    parser.add_argument(
        "--width",
        type=int,
        metavar="N",
        help="of the layers (default: 256, 512, 1024 and 2048, --quick: 256)",
    )
    parser.add_argument(
        "--retain", type=float, default=0.4, metavar="S", help="share to keep (default: 0.4)"
    )


def _networks(options: argparse.Namespace) -> Answer:
    from symlump.bench.networks import TABLE, WIDTHS, measure, tasks
    from symlump.errors import MethodError

    widths = WIDTHS[: 1 if options.quick else None] if options.width is None else (options.width,)
    if min(widths) < 2:
        raise MethodError(f"--width {options.width}: give 2 or more")
    if not 0 < options.retain <= 1:
        raise MethodError(f"--retain {options.retain:g}: a share is above 0, and 1 at most")
    found = Measured(options, TABLE)
    chosen = tasks(widths, options.retain)
    with bar("measuring", len(chosen)) as step:
        for done, row in enumerate(measure(chosen), start=1):
            found.add(row)
            step(done, f"{row.what} at width {row.width}")
    return found.answer()


def _proofs_options(parser: argparse.ArgumentParser) -> None:
    _common_options(parser)
    parser.add_argument(
        "--coq",
        action="store_true",
        help="what coqc and the verified checker take (needs Coq, OCaml)",
    )
    parser.add_argument(
        "--models",
        metavar="LIST.json",
        help="with --coq: of the exact rows of a list of models, which names files beside it",
    )


def _proofs(options: argparse.Namespace) -> Answer:
    if options.coq:
        refuse(options, {"output": None}, "is for bench proofs without --coq")
        return coq_proofs.run(options)
    if options.models is not None:
        from symlump.errors import MethodError

        raise MethodError("--models goes with --coq")
    from symlump.bench.proofs import TABLE, measure, systems

    chosen = systems(options.quick)
    found = Measured(options, TABLE)
    with bar("certificates", len(chosen)) as step:
        for done, (family, size) in enumerate(chosen, start=1):
            row = measure(family, size)
            found.add(row)
            step(done, row.system)
    return found.answer()


def _rational(options: argparse.Namespace) -> Answer:
    from symlump.bench.rational import TABLE, measure, sizes

    chosen = sizes(options.quick)
    found = Measured(options, TABLE)
    with bar("quotients", len(chosen)) as step:
        for done, (direction, variables) in enumerate(chosen, start=1):
            found.add(measure(direction, variables))
            step(done, f"{direction}, {variables} variables")
    return found.answer()


#: Experiments by name; a new one is one line here.
EXPERIMENTS = (
    Experiment(
        "engine",
        "the exact engine at millions of terms, against sorts and Storm; the worst case (minutes, 4 GB)",
        rows.add_engine_options,
        rows.run_engine,
    ),
    Experiment(
        "readers",
        "reading chains, reactions, equations and SBML, against str.split and libsbml (minutes)",
        rows.add_readers_options,
        rows.run_readers,
    ),
    Experiment(
        "growth",
        "how time and memory grow: n, 2n, 4n, 8n (minutes)",
        growth.add_options,
        growth.run,
    ),
    Experiment(
        "proofs",
        "certificates of phosphorylation with up to 9 sites, and of chains (minutes, 4 GB)",
        _proofs_options,
        _proofs,
    ),
    Experiment(
        "rational",
        "enzymatic networks with quotients, against polynomial systems of as many terms (minutes)",
        _common_options,
        _rational,
    ),
    Experiment(
        "networks",
        "encoding and compressing a wide network, against a copy and an SVD of its weights (minutes)",
        _networks_options,
        _networks,
    ),
    Experiment(
        "start",
        "how soon the command line and the library answer, against Python and torch alone",
        start.add_options,
        start.run,
    ),
    Experiment(
        "afde",
        "compression of networks on eight data sets, against pruning and other methods",
        afde.add_options,
        afde.run,
        afde.DESCRIPTION,
    ),
    Experiment(
        "channels",
        "merging of channels of convolutions, against structured pruning",
        channels.add_options,
        channels.run,
        channels.DESCRIPTION,
    ),
    Experiment(
        "forward",
        "the speed of compressed networks, against fresh ones of their shape",
        forward_time.add_options,
        forward_time.run,
        forward_time.DESCRIPTION,
    ),
    Experiment(
        "recurrent",
        "recurrent cells trained here, made smaller",
        recurrent.add_options,
        recurrent.run,
        recurrent.DESCRIPTION,
    ),
    Experiment(
        "sweeps",
        "twenty tolerances, against one compression or one lumping",
        sweeps.add_options,
        sweeps.run,
        sweeps.DESCRIPTION,
    ),
    Experiment(
        "budgets",
        "every method at equal parameters, equal bytes and equal time",
        budgets.add_options,
        budgets.run,
        budgets.DESCRIPTION,
    ),
    Experiment(
        "trained",
        "networks that others trained, by every method, with and without data",
        trained.add_options,
        trained.run,
        trained.DESCRIPTION,
    ),
    Experiment(
        "transformer",
        "a small transformer trained here, by every method, with and without data",
        transformer.add_options,
        transformer.run,
        transformer.DESCRIPTION,
    ),
    Experiment(
        "published",
        "ONNX files as others publish them: read, reduced, written, timed",
        published.add_options,
        published.run,
        published.DESCRIPTION,
    ),
    Experiment(
        "architectures",
        "models of timm with planted copies: read, restored, reduced, written",
        architectures.add_options,
        architectures.run,
        architectures.DESCRIPTION,
    ),
    Experiment(
        "linear",
        "linear lumping, from a model to its quotient",
        linear.add_options,
        linear.run,
        linear.DESCRIPTION,
    ),
    Experiment(
        "store",
        "systems larger than memory, against one sort on disk (minutes)",
        store.add_options,
        store.run,
        store.DESCRIPTION,
    ),
    Experiment(
        "anneal",
        "annealing of a network on handwritten digits",
        anneal.add_options,
        anneal.run,
        anneal.DESCRIPTION,
    ),
    Experiment(
        "pinn",
        "compression of physics-informed networks",
        pinn.add_options,
        pinn.run,
        pinn.DESCRIPTION,
    ),
    Experiment(
        "bounds",
        "certified bounds of very many networks, attacked",
        bounds.add_options,
        bounds.run,
        bounds.DESCRIPTION,
    ),
    Experiment(
        "files",
        "what is read of a folder of model files, and why the others are refused",
        model_files.add_options,
        model_files.run,
        model_files.DESCRIPTION,
    ),
    Experiment(
        "sbml-suite",
        "what is read of SBML against the results of its test suite",
        sbml_suite.add_options,
        sbml_suite.run,
        sbml_suite.DESCRIPTION,
    ),
    Experiment(
        "hmatrix",
        "storage of hierarchical matrices against their size",
        pinn.add_hmatrix_options,
        pinn.run_hmatrix,
    ),
    Experiment(
        "measured",
        "nothing; write the page of what was measured from the rows that --output kept",
        measured.add_options,
        measured.run,
        measured.DESCRIPTION,
    ),
    Experiment(
        "pages",
        "nothing; write the tables of pages from the errors of paired runs",
        pages.add_options,
        pages.run,
        pages.DESCRIPTION,
    ),
    Experiment(
        "all",
        "the experiments that fit one machine, one after the other (resumes)",
        every.add_options,
        every.run,
        every.DESCRIPTION,
    ),
)
