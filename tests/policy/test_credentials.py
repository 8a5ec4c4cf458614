"""Credentials: the right password of a known user, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.policy.credentials import verify

USERS = {"ann": "secret", "jürgen": "Straße", "empty": ""}


@pytest.mark.parametrize(("user", "password"), [("ann", "secret"), ("jürgen", "Straße"), ("empty", "")])
def test_right_password_gives_the_user(user, password):
    """User and password are UTF-8, and an empty password is one."""
    assert verify(USERS, user.encode(), password.encode()) == user


@pytest.mark.parametrize(
    ("user", "password"),
    [(b"ann", b"Secret"), (b"ann", b""), (b"ann", b"secret\0"), (b"bob", b"secret"), (b"", b""), (b"Ann", b"secret")],
)
def test_anything_else_gives_nobody(user, password):
    """A wrong password, an unknown user, another case: nobody."""
    assert verify(USERS, user, password) is None


@given(st.binary(), st.binary())
def test_any_bytes_are_answered(user, password):
    """Bytes that are no UTF-8 are nobody's name, and never an error."""
    assert verify(USERS, user, password) is None or password in (b"secret", "Straße".encode(), b"")
