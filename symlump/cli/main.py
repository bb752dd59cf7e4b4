"""The command line: ``symlump``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import symlump
from symlump.cli import (
    check_command,
    compress_command,
    demo_command,
    explain_command,
    export_command,
    lump_command,
    report_command,
    show_command,
    sweep_command,
)
from symlump.cli.bench import command as bench
from symlump.errors import InputError, SymlumpError

_WELCOME = """\
symlump reduces polynomial differential equations, and neural networks as such equations.

Try:
  symlump demo                      train a small network, compress it, compare (under a minute)
  symlump compress MODEL.safetensors --activation tanh --retain 0.4 -o SMALL.safetensors
  symlump show MODEL.ode            what is in a model file
  symlump lump MODEL.ode --method forward
  symlump sweep MODEL.ode --breakpoints      every tolerance at which something changes
  symlump report MODEL.ode -o report.html    a page with a slider over the tolerance; of a network too
  symlump COMMAND --help            what a command does, with examples

In Python:
  import symlump as sl
  sl.lump(sl.PolynomialODE.from_sympy({...}), sl.Forward())
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="symlump",
        description="Lumping of polynomial differential equations and of neural networks.",
        epilog="Exit codes: 0 done, 1 the request cannot be met, 2 the input cannot be used.",
    )
    parser.add_argument("--version", action="version", version=f"symlump {symlump.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    demo_command.add_parser(commands)
    compress_command.add_parser(commands)
    lump_command.add_parser(commands)
    show_command.add_parser(commands)
    sweep_command.add_parser(commands)
    report_command.add_parser(commands)
    check_command.add_parser(commands)
    explain_command.add_parser(commands)
    export_command.add_parser(commands)
    bench.add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        print(_WELCOME, end="")
        return 0
    try:
        code: int = options.run(options)
        sys.stdout.flush()
        return code
    except SymlumpError as error:
        print(f"symlump: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    except KeyboardInterrupt:
        print(
            "symlump: interrupted; files that were not complete have been removed", file=sys.stderr
        )
        return 130
    except BrokenPipeError:  # the reader went away, as in `symlump … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
