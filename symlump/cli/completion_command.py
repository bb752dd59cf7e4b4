"""``symlump completion``: a script with which a shell completes commands, options and files."""

from __future__ import annotations

import argparse

from symlump.cli.answer import Answer
from symlump.errors import MissingExtraError

_DESCRIPTION = """\
Print a script with which bash or zsh completes the commands and options of symlump, their values, and the
names of files. Needs the extra completion while it is made, and nothing afterwards.
"""

_EXAMPLES = """\
examples:
  bash:  symlump completion bash > ~/.local/share/bash-completion/completions/symlump
  zsh:   symlump completion zsh > ~/.zfunc/_symlump        # a folder of $fpath
"""

_SHELLS = ("bash", "zsh")


def fill(parser: argparse.ArgumentParser) -> None:
    """Describe the command, and add its arguments."""
    parser.description = _DESCRIPTION
    parser.epilog = _EXAMPLES
    parser.set_defaults(run=run)
    parser.add_argument("shell", choices=_SHELLS, metavar="SHELL", help=", ".join(_SHELLS))
    parser.add_argument("--json", action="store_true", help="print the script as JSON")


def run(options: argparse.Namespace) -> Answer:
    """Run the command."""
    from symlump.cli.main import build_parser

    try:
        import shtab
    except ImportError:
        raise MissingExtraError(
            "completion needs shtab: pip install 'symlump[completion]' (or: pip install shtab)"
        ) from None
    parser = build_parser()
    for command in parser.commands.values():
        for part in (command.filled(), *command.commands.values()):
            for action in part.filled()._actions:
                kind = _completes(action)
                if kind is not None:
                    action.complete = getattr(shtab, kind)  # type: ignore[attr-defined]
    script = str(shtab.complete(parser, shell=options.shell))
    return Answer(lambda: {"shell": options.shell, "script": script}, lambda: script.rstrip("\n"))


def _completes(action: argparse.Action) -> str | None:
    """Whether the value of an argument is a file or a folder, which its name in the help tells."""
    name = action.metavar if isinstance(action.metavar, str) else ""
    if action.choices is not None or not name:
        return None
    if name.startswith(("FILE", "MODEL", "CERT")):
        return "FILE"
    return "DIRECTORY" if name.startswith(("DIR", "FOLDER")) else None
