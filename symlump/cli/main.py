"""The command line: ``symlump``."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from symlump.cli.answer import Answer, show_anything
from symlump.cli.arguments import check_inputs, inputs, outputs
from symlump.cli.parser import Parser
from symlump.cli.signals import Terminated, ending_on_signals
from symlump.errors import (
    InputError,
    MethodError,
    MissingExtraError,
    MissingProgramError,
    OutOfMemoryError,
    OutputError,
    SubjectError,
    SymlumpError,
    UsageError,
)
from symlump.files import check_outputs, is_stdout
from symlump.memory import memory_errors

if TYPE_CHECKING:
    import argparse

#: Errors that say nothing about what is in the file that was read.
_NOT_OF_THE_FILE = (
    MethodError, UsageError, MissingExtraError, MissingProgramError, OutputError, OutOfMemoryError
)  # fmt: skip

#: The commands: where each is, and what it is for. A module is imported when its command is called.
COMMANDS = {
    "demo": ("demo_command", "train a small network, compress it, compare"),
    "compress": ("networks.compress_command", "a saved network in, a smaller one out"),
    "lump": ("lump_command", "a model file in, its reduced model out"),
    "convert": ("store.convert_command", "a model file into a folder that need not fit in memory"),
    "show": ("show_command", "what is in a model file or a network"),
    "sweep": ("sweep_command", "one reduction at many tolerances, as a table and a picture"),
    "report": ("report_command", "one page about a model, with a slider over the tolerance"),
    "conserved": ("linear.conserved_command", "linear combinations that stay constant"),
    "hierarchy": ("linear.hierarchy_command", "a maximal chain of linear lumpings"),
    "family": (
        "linear.family_command",
        "the smallest linear lumpings for all values of a parameter",
    ),
    "check": ("check_command", "verify a certificate"),
    "explain": ("explain_command", "why are two variables together, or not?"),
    "export": ("export_command", "a certificate as a Coq file"),
    "loader": ("loader_command", "a file of torch that loads networks where symlump is not"),
    "bench": ("bench.command", "measure symlump on this machine"),
    "completion": ("completion_command", "a script that lets the shell complete commands"),
}

_WELCOME = """\
symlump reduces differential equations, and neural networks as such equations.

Try:
  symlump demo                      train a small network, compress it, compare (under a minute)
  symlump compress MODEL.safetensors --activation tanh --retain 0.4 -o SMALL.safetensors
  symlump show MODEL.ode            what is in a model file
  symlump lump MODEL.ode --method forward
  symlump sweep MODEL.ode --breakpoints      every tolerance at which something changes
  symlump report MODEL.ode -o report.html    a page with a slider over the tolerance; of a network too
  symlump conserved MODEL.ode                combinations of variables that stay constant
  symlump COMMAND --help            what a command does, with examples

In Python:
  import symlump as sl
  sl.lump(sl.PolynomialODE.from_sympy({...}), sl.Forward())
"""


def build_parser() -> Parser:
    """The parser of all commands."""
    parser = Parser(
        prog="symlump",
        description="Lumping of differential equations and of neural networks, with proofs.",
        epilog="Exit codes: 0 done, 1 the request cannot be met or a file cannot be written,\n"
        "2 the input cannot be used, 3 a check is inconclusive, 130 interrupted.",
    )
    # Commands may have an option of this name that means something else.
    parser.add_argument(
        "--version", action="store_true", dest="print_version", help="print the version"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, (module, about) in COMMANDS.items():
        command = commands.add_parser(name, help=about, fill=_filling(module))
        command.beside, parser.commands[name] = parser.commands, command
    return parser


def _filling(module: str) -> Callable[[argparse.ArgumentParser], None]:
    def fill(parser: argparse.ArgumentParser) -> None:
        import_module(f"symlump.cli.{module}").fill(parser)

    return fill


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    show_anything()
    try:
        with ending_on_signals(), memory_errors():
            try:
                return _run(arguments)
            finally:
                sys.stdout.flush()
    except SymlumpError as error:
        said = " ".join(str(error).splitlines())  # one line, whatever names it quotes
        print(f"symlump: {said}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    except (KeyboardInterrupt, Terminated) as error:
        number = error.number if isinstance(error, Terminated) else int(signal.SIGINT)
        said = "ended by a signal" if isinstance(error, Terminated) else "interrupted"
        print(f"symlump: {said}; files that were not complete have been removed", file=sys.stderr)
        return 128 + number
    except BrokenPipeError:  # the reader went away, as in `symlump … | head`
        _leave_stdout()
        return 0
    except OSError as error:
        if error.filename is not None:
            print(f"symlump: {error.filename!r}: {error.strerror}", file=sys.stderr)
            return 2
        _leave_stdout()
        print(f"symlump: cannot write standard output: {error.strerror}", file=sys.stderr)
        return 1


def _run(arguments: Sequence[str] | None) -> int:
    options = build_parser().parse_args(arguments)
    if "typed" in options:  # a command that keeps what was typed
        options.typed = sys.argv[1:] if arguments is None else list(arguments)
    if options.print_version:
        import symlump

        print(f"symlump {symlump.__version__}")
        return 0
    if options.command is None:
        print(_WELCOME, end="")
        return 0
    check_inputs(options)
    files = outputs(options)
    check_outputs(files, inputs(options), getattr(options, "force", False))
    piped = [f"{name} {path}" for name, path in files.items() if is_stdout(path)]
    as_json = getattr(options, "json", False)
    if piped and as_json:
        raise MethodError(f"{piped[0]} and --json both write to standard output; give one of them")
    with _naming(options):
        answer: Answer = options.run(options)
        answer.show(as_json, sys.stderr if piped else sys.stdout)
    return answer.code


@contextmanager
def _naming(options: argparse.Namespace) -> Iterator[None]:
    """Let errors about what is in the file name it; not those about options, or about other files."""
    file = getattr(options, "file", getattr(options, "model", None))
    try:
        yield
    except SymlumpError as error:
        said = str(error)
        of_options = isinstance(error, _NOT_OF_THE_FILE) and not isinstance(error, SubjectError)
        if not isinstance(file, str) or of_options:
            raise
        if any(Path(path).name in said for path in (file, *inputs(options))):
            raise
        error.args = (f"{file}: {said}", *error.args[1:])
        raise


def _leave_stdout() -> None:
    """Let Python's own last flush of standard output succeed."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):  # in a test or a notebook it is no file
        return
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


if __name__ == "__main__":
    sys.exit(main())
