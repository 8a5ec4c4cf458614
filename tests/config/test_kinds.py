"""Kinds of value: what each takes, what it refuses, and what it says to write instead."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.addresses import Endpoint
from penstock.base.errors import AddressError
from penstock.config.kinds import (
    Duration,
    EachSecond,
    FilePath,
    Listen,
    Login,
    Name,
    Password,
    TargetAddress,
    UrlText,
    UserName,
    Whole,
)
from penstock.config.mistakes import Wrong

S = 1_000_000_000
IDLE, WORKERS = Duration("1s", "1h", off=True), Whole(0, 256, "auto")
MINUTES = Duration("1h", "31d", whole="1m")
KINDS = [
    IDLE,
    WORKERS,
    Name(),
    Listen(),
    Listen(tcp_only=True),
    TargetAddress(),
    FilePath(),
    UserName(),
    Password(),
    Login(),
    MINUTES,
    EachSecond(),
    TargetAddress(off=True),
    UrlText(),
]


@pytest.mark.parametrize(
    ("kind", "written", "read"),
    [
        (IDLE, "30s", 30 * S),
        (IDLE, "off", 0),
        (IDLE, "1h", 3_600 * S),
        (MINUTES, "90m", 5_400 * S),
        (MINUTES, "3660s", 3_660 * S),
        (EachSecond(), "1s", S),
        (TargetAddress(off=True), "off", None),
        (UrlText(), "off", None),
        (WORKERS, 0, 0),
        (WORKERS, 256, 256),
        (WORKERS, "auto", "auto"),
        (Name(), "edge-1.a_b", "edge-1.a_b"),
        (Name(), "a" * 63, "a" * 63),
        (Listen(), ":80", Endpoint("::", 80)),
        (Listen(), "80", Endpoint("::", 80)),
        (Listen(), "unix:/run/x", Endpoint("unix:/run/x", 0)),
        (Listen(), "[0:0::1]:80", Endpoint("::1", 80)),
        (Listen(), "[::ffff:10.0.0.1]:80", Endpoint("10.0.0.1", 80)),
        (Listen(tcp_only=True), "off", None),
        (TargetAddress(), "example.com:80", Endpoint("example.com", 80)),
        (FilePath(), "a/b", "a/b"),
        (UserName(), "bob", "bob"),
        (UserName(), "ü" * 127, "ü" * 127),
    ],
)
def test_what_is_taken(kind, written, read):
    """A value of its kind is read as what it means."""
    assert kind.parse(written) == read


@pytest.mark.parametrize(
    ("kind", "written", "write"),
    [
        (IDLE, 30, '"30s"'),
        (IDLE, 1.5, '"1s"'),
        (IDLE, True, '"30s"'),
        (IDLE, float("nan"), '"30s"'),
        (IDLE, [], '"30s"'),
        (IDLE, "0s", ""),
        (IDLE, "2h", ""),
        (Duration("1s", "1h"), "off", '"30s"'),
        (MINUTES, "3690s", '"62m"'),
        (MINUTES, "3600001ms", '"61m"'),
        (MINUTES, "32d", ""),
        (EachSecond(), "5s", '"1s"'),
        (EachSecond(), 1, '"1s"'),
        (UrlText(), 5, ""),
        (WORKERS, -1, ""),
        (WORKERS, 257, ""),
        (WORKERS, True, ""),
        (WORKERS, 1.0, ""),
        (WORKERS, "many", ""),
        (WORKERS, "4", "4, without quotes,"),
        (WORKERS, "999", ""),
        (WORKERS, [], ""),
        (Name(), "edge 1", '"edge-1"'),
        (Name(), "", ""),
        (Name(), ".x", '"x"'),
        (Name(), "a" * 64, f'"{"a" * 63}"'),
        (Name(), "a/../b", '"a-..-b"'),
        (Name(), "é", ""),
        (Name(), 5, ""),
        (Name(), "a\n", '"a-"'),
        (Listen(), 8080, '":8080"'),
        (Listen(), -1, '":8080"'),
        (Listen(), "1" * 10_000, '":8080"'),
        (Listen(tcp_only=True), "unix:/run/x", '"127.0.0.1:9190"'),
        (TargetAddress(), 80, '"example.com:80"'),
        (TargetAddress(), "a\x1b:80", ""),
        (FilePath(), "", ""),
        (FilePath(), "a\0b", ""),
        (FilePath(), 5, ""),
        (FilePath(), "a" * 5_000, ""),
        (UserName(), "a:b", ""),
        (UserName(), "", ""),
        (UserName(), "a" * 256, ""),
        (UserName(), "a\r", ""),
        (Password(), "", ""),
        (Password(), 5, ""),
        (Password(), "ü" * 128, ""),
        (Password(), "\udc80", ""),
        (Login(), "bob", ""),
        (Login(), ":pw", ""),
        (Login(), "bob:", ""),
        (Login(), 5, ""),
    ],
)
def test_what_is_refused(kind, written, write):
    """A value of another kind is refused, with what to write instead where that can be guessed."""
    with pytest.raises(Wrong) as caught:
        kind.parse(written)
    assert caught.value.write == write


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        (Listen(), ":99999"),
        (Listen(), "example.com:80"),
        (Listen(), ""),
        (Listen(), "unix:x"),
        (Listen(), "::1:80"),
        (Listen(), "unix:/" + "x" * 200),
        (TargetAddress(), "example.com"),
        (TargetAddress(), ":80"),
        (TargetAddress(), "a:0"),
        (TargetAddress(), "off"),
        (UrlText(), "example.com"),
        (UrlText(), "ftp://example.com"),
    ],
)
def test_what_is_no_address(kind, written):
    """What is no address is refused in the words of base.addresses."""
    with pytest.raises(AddressError):
        kind.parse(written)


def test_secrets_are_sealed():
    """A password that was read is shown by nothing that prints its holder."""
    for kind, secret in ((Password(), "hunter2"), (Login(), "bob:hunter2"), (UrlText(), "http://bob:hunter2@host/")):
        sealed = kind.parse(secret)
        assert sealed.get_secret_value() == secret
        assert "hunter2" not in repr(sealed) + str(sealed)


@pytest.mark.parametrize("kind", [Password(), Login()])
def test_refusals_hold_no_secret(kind):
    """What is said about a wrong secret does not repeat it."""
    with pytest.raises(Wrong) as caught:
        kind.parse("hunter2\x00")
    assert "hunter2" not in str(caught.value) + caught.value.write


ANYTHING = st.one_of(
    st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.just(date(2024, 1, 1)), st.lists(st.text())
)


@pytest.mark.parametrize("kind", KINDS)
@given(value=ANYTHING | st.text(alphabet="0123456789:[].abx-smhd/unix", max_size=20))
def test_anything_is_read_or_refused(kind, value):
    """Anything is read, or refused with Wrong or AddressError; nothing else escapes."""
    try:
        kind.parse(value)
        said = "nothing"
    except (Wrong, AddressError) as error:
        said = str(error)
    assert said


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_schema(kind):
    """Every kind says in JSON Schema what may be written."""
    assert {"type", "anyOf"} & kind.json_schema().keys()
