"""The form of an architecture of steps, which a file says in JSON: checked before anything is made of it."""

from __future__ import annotations

import json
import keyword
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from symlump.network.saved.architecture import ARGUMENTS
from symlump.network.saved.load import FUNCTIONS
from symlump.network.saved.tensors import quote
from symlump.network.torch_module import DTYPES

_MAX_LENGTH = 1 << 24  # of the JSON
_MAX_DEPTH = 32  # of an argument
_MAX_SIZE = 1 << 40  # of a number among the arguments of a module
_MAX_AXES = 8
_MAX_STEPS = 100_000
#: The types of inputs by name.
TYPES: dict[str, torch.dtype] = {
    **{name: dtype for dtype, name in DTYPES.items()},
    "int64": torch.int64,
    "int32": torch.int32,
}
#: A name, ``module`` or ``function``, which, the arguments, and those with names.
Step: TypeAlias = tuple[str, str, str, list[Any], dict[str, Any]]


class WrongError(Exception):
    """What is wrong with an architecture."""


def demand(holds: bool, what: str) -> None:
    """Raise, with what is wrong, unless something holds.

    Raises
    ------
    WrongError

    Examples
    --------
    >>> demand(True, "never said")
    """
    if not holds:
        raise WrongError(what)


def parse_plan(text: str) -> Any:
    """The JSON of an architecture as plain data.

    Raises
    ------
    WrongError
        If it is none, or longer than any that symlump writes.

    Examples
    --------
    >>> parse_plan('[["Tanh", {}, ""]]')
    [['Tanh', {}, '']]
    """
    demand(len(text) <= _MAX_LENGTH, "it is longer than any that symlump writes")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise WrongError("it is no JSON") from None


@dataclass(frozen=True, eq=False)
class Steps:
    """An architecture whose form was checked.

    Parameters
    ----------
    inputs : tuple of str
    given : tuple of (str, str, shape), or None
        Of each input its name in the network, its type, and the shape of a sample.
    modules : dict
        By the prefix of its tensors the class of a module, and its arguments.
    steps : list
        Of a name, ``module`` or ``function``, which, the arguments, and those with names.
    output : argument
    tensors : tuple of str
        The tensors that are arguments.
    """

    inputs: tuple[str, ...]
    given: tuple[tuple[str, str, tuple[int, ...]], ...] | None
    modules: dict[str, tuple[str, dict[str, Any]]]
    steps: tuple[Step, ...]
    output: Any
    tensors: tuple[str, ...]

    @classmethod
    def of(cls, plan: Any) -> Steps:
        """The steps of plain data whose form is right.

        Raises
        ------
        WrongError
            If it is not.
        """
        keys = {"inputs", "modules", "steps", "output"}
        demand(
            isinstance(plan, dict) and keys <= set(plan) <= keys | {"given"},
            f"it is no object with {', '.join(sorted(keys))}",
        )
        inputs, modules, steps = plan["inputs"], plan["modules"], plan["steps"]
        demand(
            isinstance(inputs, list)
            and 0 < len(inputs) == len({str(name) for name in inputs})
            and all(map(_is_identifier, inputs)),
            "its inputs are no names",
        )
        demand(
            isinstance(modules, dict) and isinstance(steps, list) and len(steps) <= _MAX_STEPS,
            f"it has no modules, or not up to {_MAX_STEPS} steps",
        )
        for prefix, module in modules.items():
            check_module(prefix, module)
        known, tensors = set(inputs), dict[str, None]()
        for step in steps:
            form = isinstance(step, list) and len(step) == 5 and isinstance(step[0], str)
            demand(form, "a step has no name, kind, what is called, arguments and those with names")
            name, kind, which, given, options = step
            called = modules if kind == "module" else FUNCTIONS if kind == "function" else ()
            demand(
                isinstance(which, str) and which in called,
                f"the step {quote(name)} calls {quote(str(which))}, which it does not list, or may not",
            )
            demand(
                isinstance(given, list)
                and bool(given)
                and isinstance(options, dict)
                and all(map(_is_identifier, options)),
                f"the step {quote(name)} has no arguments",
            )
            for argument in (given, *options.values()):
                tensors |= dict.fromkeys(_tensors_of(argument, known))
            known.add(name)
        tensors |= dict.fromkeys(_tensors_of(plan["output"], known))
        given = None if plan.get("given") is None else _given(plan["given"], len(inputs))
        return cls(
            tuple(inputs), given, modules, tuple(map(tuple, steps)), plan["output"], tuple(tensors)
        )


def _is_identifier(name: object) -> bool:
    if not isinstance(name, str) or keyword.iskeyword(name):
        return False
    return name.isascii() and name.isidentifier()


def _given(given: Any, count: int) -> tuple[tuple[str, str, tuple[int, ...]], ...]:
    good = isinstance(given, list) and len(given) == count and all(
        isinstance(one, list) and len(one) == 3
        and isinstance(one[0], str) and isinstance(one[1], str) and one[1] in TYPES
        and isinstance(one[2], list) and len(one[2]) < _MAX_AXES
        and all(type(n) is int and 0 < n < _MAX_SIZE for n in one[2])
        for one in given
    )  # fmt: skip
    demand(
        good and len({one[0] for one in given}) == count,
        "what it says of its inputs is no name, type and shape of each",
    )
    return tuple((name, dtype, tuple(shape)) for name, dtype, shape in given)


def check_module(prefix: str, module: Any) -> None:
    """Raise if a module is none that symlump writes, by its class and its arguments.

    Raises
    ------
    WrongError

    Examples
    --------
    >>> check_module("0", ["Linear", {"in_features": 2, "out_features": 3}])
    """
    form = isinstance(module, list) and len(module) == 2 and isinstance(module[1], dict)
    demand(
        form
        and isinstance(module[0], str)
        and module[0] in ARGUMENTS
        and set(module[1]) <= {*ARGUMENTS[module[0]]},
        f"the module {quote(prefix)} is none that symlump writes",
    )
    for value in module[1].values():
        numbers = value if isinstance(value, list) else [value]
        good = len(numbers) <= _MAX_AXES and all(
            n is None
            or isinstance(n, bool | str)
            or (isinstance(n, int | float) and abs(n) < _MAX_SIZE)
            for n in numbers
        )
        demand(good, f"an argument of the module {quote(prefix)} is no number or word")


def _tensors_of(argument: Any, known: set[str], depth: int = 0) -> Iterator[str]:
    """The tensors in an argument that has the form of one, of values that are known."""
    demand(depth < _MAX_DEPTH, "an argument is nested deeper than any that symlump writes")
    if isinstance(argument, list):
        for part in argument:
            yield from _tensors_of(part, known, depth + 1)
    elif isinstance(argument, dict):
        ((kind, what),) = argument.items() if len(argument) == 1 else [("", None)]
        match kind, what:
            case "value", str() if what in known:
                pass
            case "tensor", str():
                yield what
            case "dtype", str() if isinstance(vars(torch).get(what), torch.dtype):
                pass
            case "slice", [_, _, _] if all(part is None or type(part) is int for part in what):
                pass
            case "dict", dict():
                for part in what.values():
                    yield from _tensors_of(part, known, depth + 1)
            case _:
                raise WrongError(f"the argument {quote(json.dumps(argument))} means nothing there")
