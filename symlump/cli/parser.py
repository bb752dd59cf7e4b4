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
        #: Of a command: all commands, some of which may have an option that this one lacks.
        self.beside: dict[str, Parser] = {}

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
        words = list(sys.argv[1:] if args is None else args)
        options, extra = self.parse_known_args(words, namespace)
        if extra:
            command = self.commands.get(getattr(options, "command", ""), self)
            before = words[words.index(extra[0]) - 1]
            switch = command._option_string_actions.get(before)
            flag = f"{before} takes no value; " if switch and switch.nargs == 0 else ""
            command.error(f"{flag}{extra[0]!r} is one argument too many")
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
            self.error(f"there is no option {name}{self._instead_of(name)}")

    def _instead_of(self, name: str) -> str:
        """The end of the message about an option that is not there."""
        known = self._option_string_actions
        begin = "--" + name.lstrip("-").lower()
        short = [option for option in known if len(begin) == 3 and option.startswith(begin)]
        meant = short if 0 < len(short) < 4 else [close_to(begin, known)]
        if meant != [None]:
            return f"; did you mean {' or '.join(map(repr, meant))}?"
        if self.commands:
            return " here; options come after the command."
        have = [
            other for other, p in self.beside.items() if name in p.filled()._option_string_actions
        ]
        return f" here; it belongs to symlump {', '.join(have)};" if have else ";"

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
            if action.type is float and re.fullmatch(r"\d+(\.\d+)?\s*%", arg_string):
                kind += f"; write {float(arg_string.rstrip(' %')) / 100:g}"
            raise argparse.ArgumentError(action, f"{arg_string!r} is not {kind}") from None

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        choices = [str(choice) for choice in action.choices]
        if isinstance(action, argparse._SubParsersAction) and value in ("help", "version"):
            more = f", or {self.prog} COMMAND --help" if value == "help" else ""
            self.error(f"{value!r} is no command; did you mean {self.prog} --{value}{more}?")
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
