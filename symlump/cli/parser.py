"""The parser of the command line: errors come first, in one line, and say what was probably meant."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from symlump.errors import UsageError
from symlump.suggest import close_to, did_you_mean

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

_KINDS: dict[Any, str] = {float: "a number", int: "a whole number"}


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps line breaks, and counts the indent of commands when it makes room for their names."""

    def add_argument(self, action: argparse.Action) -> None:
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):
            self._action_max_length += self._indent_increment


class Parser(argparse.ArgumentParser):
    """A parser whose errors are exceptions, and whose arguments are added when they are needed.

    Parameters
    ----------
    fill : callable, optional
        Adds the description and the arguments; a command that is not called need not be imported.

    Examples
    --------
    >>> parser = Parser("tool")
    >>> _ = parser.add_argument("--method", choices=("forward", "backward"))
    >>> parser.parse_args(["--metod", "forward"])
    Traceback (most recent call last):
    ...
    symlump.errors.UsageError: there is no option --metod; did you mean '--method'? See tool --help
    """

    def __init__(
        self,
        *arguments: Any,
        fill: Callable[[argparse.ArgumentParser], None] | None = None,
        **options: Any,
    ) -> None:
        options.setdefault("formatter_class", _Formatter)
        super().__init__(*arguments, **options)
        self._fill = fill
        self.commands: dict[str, Parser] = {}

    def filled(self) -> Parser:
        """The parser itself, with its arguments."""
        if self._fill is not None:
            fill, self._fill = self._fill, None
            fill(self)
        return self

    def format_help(self) -> str:
        """The text of ``--help``."""
        self.filled()
        return super().format_help()

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """Parse all arguments.

        Raises
        ------
        UsageError
            If they cannot be understood.
        """
        options, extra = self.parse_known_args(args, namespace)
        if extra:
            command = self.commands.get(getattr(options, "command", ""), self)
            command.error(f"{extra[0]!r} is one argument too many")
        return options

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse what is known, after a look at the names of the options."""
        words = list(sys.argv[1:] if args is None else args)
        self.filled()._check_options(words)
        return super().parse_known_args(words, namespace)

    def _check_options(self, words: list[str]) -> None:
        known = self._option_string_actions
        for place, word in enumerate(words):
            if word == "--" or (self.commands and not word.startswith("-")):
                return
            name = word.partition("=")[0]
            if not re.match(r"--?[A-Za-z]", word) or name in known:
                continue
            if any(option.startswith(name) for option in known):
                continue  # shortened; argparse says if that is not unique
            if word[1] != "-" and word[:2] in known:
                continue  # a letter with its value behind it
            before = known.get(words[place - 1]) if place else None
            if before is not None and before.nargs != 0:
                self.error(
                    f"{words[place - 1]} needs a value; one that begins with a minus sign is written "
                    f"{words[place - 1]}={word}"
                )
            meant = close_to("--" + name.lstrip("-"), known)
            more = f"; did you mean {meant!r}?" if meant else ";"
            if self.commands and not meant:
                more = " here; options come after the command."
            self.error(f"there is no option {name}{more}")

    def error(self, message: str) -> NoReturn:
        """Say in one line what is wrong.

        Raises
        ------
        UsageError
            Always.
        """
        message = message.removeprefix("argument ")
        end = " See" if message[-1] in ".?" else " see" if message[-1] == ";" else "; see"
        raise UsageError(f"{message}{end} {self.prog} --help")

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        try:
            return super()._get_value(action, arg_string)
        except argparse.ArgumentError:
            kind = _KINDS.get(action.type, "understood")
            raise argparse.ArgumentError(action, f"{arg_string!r} is not {kind}") from None

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        choices = [str(choice) for choice in action.choices]
        if isinstance(action, argparse._SubParsersAction) and Path(str(value)).suffix:
            self.error(
                f"{value!r} is a file, and the first word is a command: symlump show {value}, symlump lump "
                f"{value} …"
            )
        meant = did_you_mean(str(value), choices, "choose from ")
        raise argparse.ArgumentError(action, f"{value!r} is unknown{meant}{', '.join(choices)}")

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        if message:  # an error of the file is no secret
            (file or sys.stderr).write(message)
