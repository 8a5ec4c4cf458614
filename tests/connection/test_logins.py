"""Who a client proves to be: the engine is asked, who knows what a file says, and whom it hears late."""

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


RIGHT, WRONG = (
    Verify("", b"ann", password, known) for password, known in ((b"secret", Verified.RIGHT), (b"no", Verified.WRONG))
)


def test_users_of_the_configuration_need_no_file():
    """What is known of their logins is told to the engine, right or wrong, which says when."""
    assert prove_with("/users", b"ann", b"secret", Verified.RIGHT) == ([RIGHT], "ann")
    assert prove_with("", b"ann", b"secret", Verified.RIGHT) == ([RIGHT], "ann")
    assert prove_with("", b"ann", b"no", Verified.WRONG) == ([WRONG], None)


def test_the_same_again_is_no_question():
    """Requests that show what the connection has proved before are nobody's business, unless it is wrong by now."""
    asked = [next(prove(USERS, "", b"ann", b"no", again=True))]
    assert asked == [WRONG]
    with pytest.raises(StopIteration) as end:
        next(prove(USERS, "", b"ann", b"secret", again=True))
    assert end.value.value == "ann"


def test_a_right_login_that_is_not_heard_is_none():
    """Where an address with failures finds no room, nobody learns that the login was right."""
    with pytest.raises(TooManyLogins):
        prove_with("", b"ann", b"secret", Verified.BUSY)


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
