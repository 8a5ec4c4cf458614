"""
Who a client proves to be: one of the configuration's users, or one of a file's.

The engine is asked in any case: it knows what a file says, and who is heard late because of failures.
"""

from collections.abc import Generator, Mapping
from typing import Any

from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason
from penstock.connection.commands import Command, Verified, Verify
from penstock.policy.credentials import verify

BUSY = Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.OVERLOAD)
BUSY_DETAIL = "too many logins wait to be verified"


class TooManyLogins(Exception):  # noqa: N818 - it is news, not an error of ours
    """Nobody could tell in time whether a login is right: it is refused as BUSY."""


def prove(
    users: Mapping[str, str], users_file: str, user: bytes, password: bytes, *, again: bool = False
) -> Generator[Command, Any, str | None]:
    """
    Return the user's name if the login is right, else None.

    A wrong password of a user of the configuration is looked up in the file too: all that is wrong takes as long.

    Args:
        users: Passwords by user name.
        users_file: Path of the file of more users; empty for none.
        user, password: As the client sent them; UTF-8.
        again: Whether it has shown the same before on this connection: what was right then, and is, is said at once.

    Raises:
        TooManyLogins: If the answer would come too late.
    """
    found = verify(users, user, password)
    if found is not None and again:
        return found
    if found is None and users_file:
        verified = yield Verify(users_file, user, password)
    else:
        verified = yield Verify("", user, password, Verified.WRONG if found is None else Verified.RIGHT)
    if verified is Verified.BUSY:
        raise TooManyLogins
    if verified is Verified.WRONG:
        return None
    return user.decode("utf-8", "surrogateescape") if found is None else found
