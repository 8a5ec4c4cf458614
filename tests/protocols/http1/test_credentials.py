"""Basic credentials there and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.protocols.http1.credentials import parse_basic, serialize_basic


def test_parse():
    """User and password are parted by the first colon; the scheme's case does not matter (RFC 7617 section 2)."""
    assert parse_basic(b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==") == (b"Aladdin", b"open sesame")
    assert parse_basic(b"bAsIc  YTpiOmM=") == (b"a", b"b:c")
    assert parse_basic(b"Basic Og==") == (b"", b"")


@pytest.mark.parametrize(
    "value",
    [
        b"", b"Basic", b"Basic ", b"Bearer YTpi", b"Basic YTpi, Basic YTpj", b"Basic YTpi:", b"Basic !!!!",
        b"Basic YT pi", b"Basic YWI=", b"Basic " + b"YTpi" * 1_000, b"Basic \xff",
    ],
)  # fmt: skip
def test_what_is_no_login(value):
    """Another scheme, two logins, no base64, no colon, no end: none of it is a login."""
    assert parse_basic(value) is None


@given(st.text(max_size=80).filter(lambda user: ":" not in user), st.text(max_size=80))
def test_there_and_back(user, password):
    """What a client serialises is what it meant."""
    assert parse_basic(serialize_basic(user, password)) == (user.encode(), password.encode())
