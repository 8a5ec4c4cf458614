"""Whether a user's password is right, at the same price for a wrong one, a right one and an unknown user."""

from collections.abc import Mapping
from hmac import compare_digest


def verify(users: Mapping[str, str], user: bytes, password: bytes) -> str | None:
    """
    Return the user's name if the password is right, else None.

    Args:
        users: Passwords by user name.
        user: As the client sent it; UTF-8.
        password: As the client sent it; UTF-8.
    """
    name = user.decode("utf-8", "surrogateescape")  # no configured name holds a surrogate
    expected = users.get(name)
    right = compare_digest(password, password if expected is None else expected.encode())
    return name if right and expected is not None else None
