"""Every exception symlump raises, with its meaning.

Two families: :class:`InputError` says that what was given cannot be used (the command line exits
with 2), :class:`FailureError` says that the input was fine and the work could not be done (exit 1).
"""

from __future__ import annotations

import math


class SymlumpError(Exception):
    """Base of all errors that symlump raises on purpose."""


class InputError(SymlumpError, ValueError):
    """Something that was given cannot be used; the message names it and says what to give instead."""


class NotPolynomialError(InputError):
    """An equation is not a polynomial with rational coefficients in the declared variables."""


class UndefinedError(InputError):
    """An expression has no value, such as 1/0, at numbers or where variables are replaced."""


class UsageError(InputError):
    """A command line cannot be understood."""


class VariableError(InputError):
    """A variable is unknown, is declared twice, or is missing."""


class UnknownVariableError(VariableError):
    """A name is that of no variable of the system."""


class PartitionError(InputError):
    """Blocks overlap, miss a variable, or belong to another system."""


class MethodError(InputError):
    """An option of a method is out of its range or does not fit what it is applied to."""


class SubjectError(MethodError):
    """A method does not fit the system, or the network, that it is applied to; others it might."""


class NetworkError(InputError):
    """A network cannot be read: a layer, an activation, a shape or a weight is not usable."""


class ActivationMissingError(NetworkError):
    """A saved network does not say which activations it has, and nobody else did."""


class FileFormatError(InputError):
    """A file is not what its name or the command says it is."""


class MissingExtraError(InputError):
    """An optional dependency is not installed; the message names the extra that brings it."""


class MissingProgramError(InputError):
    """A program that is no part of Python is not installed, or has no place; the message names its package."""


class FailureError(SymlumpError, RuntimeError):
    """The input is valid, yet the requested result does not exist or was not reached."""


class SimulationError(FailureError):
    """A simulation ended before its last time, or step; ``time`` says where it stood."""

    def __init__(self, message: str, time: float = math.nan) -> None:
        super().__init__(message)
        self.time = time


class OutputError(FailureError):
    """A file cannot be written: no such folder, no permission, no space."""


class OutOfMemoryError(FailureError, MemoryError):
    """The memory of this machine, or the limit of this process, does not suffice."""


class CertificateError(FailureError):
    """A result that must be exact was refused by the independent checker: a defect of symlump."""


def first_line(error: BaseException, most: int = 200) -> str:
    """The beginning of what an error of another library says; where it says nothing, its name.

    Examples
    --------
    >>> first_line(ValueError("no such file\\n(and a long list)")), first_line(KeyError())
    ('no such file', 'KeyError')
    """
    return (str(error).strip().split("\n")[0] or type(error).__name__)[:most]
