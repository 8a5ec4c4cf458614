"""Exit codes."""

import pytest

from penstock.base.errors import AddressError, ConfigurationError, PenstockError, StartError
from penstock.cli.exits import CommandError, Exit, code_of


def _denied():
    try:
        raise StartError("127.0.0.1:80: permission denied") from PermissionError(13, "Permission denied")
    except StartError as error:
        return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CommandError("no node runs", Exit.UNREACHABLE), 69),
        (ConfigurationError(["a: b"]), 78),
        (AddressError("x"), 2),
        (PermissionError(13, "Permission denied"), 77),
        (_denied(), 77),
        (StartError("127.0.0.1:80 is in use"), 1),
        (PenstockError("other"), 1),
        (ValueError("ours"), 1),
    ],
)
def test_each_error_has_its_code(error, code):
    """Whose fault it is decides what the shell is told."""
    assert code_of(error) == code
