"""Who a client proves to be: users of the configuration at once, those of a file when the engine has been asked."""

import pytest

from penstock.connection.commands import Verified, Verify
from penstock.connection.logins import TooManyLogins, prove

USERS = {"ann": "secret"}


def prove_with(users_file, user, password, verified=None):
    """Return what was asked of the engine, and who it is."""
    asked = []
    words = prove(USERS, users_file, user, password)
    try:
        asked.append(next(words))
        words.send(verified)
    except StopIteration as end:
        return asked, end.value
    raise AssertionError("more than one question")


def test_users_of_the_configuration_need_nobody():
    """Their right logins are told at once, and without a file their wrong ones too."""
    assert prove_with("/users", b"ann", b"secret") == ([], "ann")
    assert prove_with("", b"ann", b"wrong") == ([], None)


@pytest.mark.parametrize("user", [b"ann", b"bob", b"\xff"])
def test_all_others_are_looked_up(user):
    """With a file, a wrong password of a known user costs what that of an unknown one does: one question."""
    asked, found = prove_with("/users", user, b"guess", Verified.WRONG)
    assert (asked, found) == ([Verify("/users", user, b"guess")], None)


def test_a_user_of_the_file():
    """Who is right by the file is who was named."""
    assert prove_with("/users", "jürgen".encode(), b"x", Verified.RIGHT)[1] == "jürgen"


def test_no_answer_is_no_user():
    """Where nobody can tell, nobody is let in, and that is not a wrong login."""
    with pytest.raises(TooManyLogins):
        prove_with("/users", b"bob", b"x", Verified.BUSY)


def test_no_password_is_shown():
    """What is asked shows no password to whoever logs it."""
    assert "hunter2" not in repr(Verify("/users", b"bob", b"hunter2"))
