"""How a command ends: the exit codes that scripts rely on, and the error that carries one."""

from enum import IntEnum

from penstock.base.errors import AddressError, ConfigurationError, PenstockError, StartError


class Exit(IntEnum):
    """What a command tells the shell. 69, 77 and 78 are those of sysexits.h, 130 is what shells give an interrupt."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    UNREACHABLE = 69
    PRIVILEGE = 77
    CONFIGURATION = 78
    INTERRUPTED = 130


class CommandError(PenstockError):
    """
    A command cannot do what it was asked.

    Args:
        message: One line for the operator: what is wrong and what would help.
        code: What the shell is told.
    """

    def __init__(self, message: str, code: Exit = Exit.FAILURE) -> None:
        super().__init__(message)
        self.code = code


def code_of(error: Exception) -> Exit:
    """Return the exit code that an error stands for."""
    if isinstance(error, CommandError):
        return error.code
    if isinstance(error, ConfigurationError):
        return Exit.CONFIGURATION
    if isinstance(error, AddressError):
        return Exit.USAGE
    if isinstance(error, PermissionError):
        return Exit.PRIVILEGE
    if isinstance(error, StartError) and isinstance(error.__cause__, PermissionError):
        return Exit.PRIVILEGE
    return Exit.FAILURE
