"""``symlump loader``: the file of torch that loads what was written, where symlump is not."""

from __future__ import annotations

import argparse
from pathlib import Path

from symlump.cli.answer import Answer
from symlump.cli.arguments import declare_files

_DESCRIPTION = """\
Write a Python file that loads any network which symlump wrote as safetensors, packed or not. It needs torch and
safetensors, and nothing of symlump; files of networks are data to it, of which nothing is executed. (Of a state
dict with recurrent cells it gives the outputs at all steps, samples first; where tensors do not say what reads
what, it says what is missing.)
"""

_EXAMPLES = """\
examples:
  symlump compress NET.safetensors --method quantize --bits 4 --packed -o small.safetensors
  symlump loader -o load.py
  python -c "from load import load; network = load('small.safetensors'); print(network)"
"""


def fill(parser: argparse.ArgumentParser) -> None:
    """Describe the command, and add its arguments."""
    parser.description = _DESCRIPTION
    parser.epilog = _EXAMPLES
    parser.set_defaults(run=run)
    parser.add_argument(
        "-o",
        "--output",
        default="-",
        metavar="FILE.py",
        help="where to (default: -, standard output)",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    declare_files(parser, writes=("output",))


def run(options: argparse.Namespace) -> Answer:
    """Run the command."""
    from symlump.files import is_stdout, write_text
    from symlump.network.saved import load

    write_text(options.output, Path(load.__file__).read_text(encoding="utf-8"))
    name = Path(options.output).stem
    said = f"written to {options.output}; from {name} import load; load('small.safetensors') is a module"
    return Answer(
        lambda: {"output": options.output},
        lambda: "" if is_stdout(options.output) else said,
    )
