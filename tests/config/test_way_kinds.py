"""Kinds of value of the way to a target: what each takes and refuses, and that no refusal holds a secret."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.errors import AddressError
from penstock.config.mistakes import Wrong
from penstock.config.way_kinds import Ciphers, Protocol, ServerName, parse_parent

KINDS = [Ciphers(), Protocol(), ServerName()]


@pytest.mark.parametrize(
    ("kind", "text", "read"),
    [
        (Protocol(), "http/1.1", "http/1.1"),
        (Ciphers(), "ECDHE+AESGCM:!aNULL", "ECDHE+AESGCM:!aNULL"),
        (ServerName(), "App.Internal.", "app.internal"),
        (ServerName(), "::1", "::1"),
    ],
)
def test_what_is_taken(kind, text, read):
    """A value of its kind is read as what it means."""
    assert kind.parse(text) == read


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Protocol(), ""),
        (Protocol(), "a" * 256),
        (Protocol(), "é"),
        (Ciphers(), "x;y"),
        (Ciphers(), ""),
        (ServerName(), "a b"),
        (ServerName(), 5),
    ],
)
def test_what_is_refused(kind, text):
    """A value of another kind is refused, and an example given."""
    with pytest.raises(Wrong) as caught:
        kind.parse(text)
    assert caught.value.write


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("socks5://proxy.example:1080", {"kind": "socks5", "address": "proxy.example:1080"}),
        ("http://[::1]:3128/", {"kind": "http", "address": "[::1]:3128"}),
        (
            "https://ann:a%40b%2F@h:443",
            {"kind": "https", "address": "h:443", "user": "ann", "password": "a@b/"},
        ),
    ],
)
def test_parents(text, table):
    """A parent's URL is the table that it stands for; what was escaped in its login is not any more."""
    assert parse_parent(text) == table


@pytest.mark.parametrize(
    "text",
    [
        "proxy.example:1080", "socks4://h:1", "socks5://h", "socks5://:1", "socks5://h:99999", "socks5://h:1/x",
        "socks5://h:1?x", "socks5://ann:hunter2@h", "socks5://:hunter2@h:1", "socks5://ann@h:1", "http://[h]:1", "",
        "socks5://ann:hunter2@h:1\n", "socks5://ann:hunter2@h:0",
    ],
)  # fmt: skip
def test_what_is_no_parent(text):
    """What is no parent is refused, and the refusal repeats no password."""
    with pytest.raises((Wrong, AddressError)) as caught:
        parse_parent(text)
    assert "hunter2" not in str(caught.value)


@given(st.text() | st.text("socks5http://@:[]%0a.b", max_size=30))
def test_anything_is_a_parent_or_refused(text):
    """Any text is a parent or refused; nothing else escapes."""
    try:
        assert parse_parent(text)["kind"]
    except (Wrong, AddressError):
        pass


@pytest.mark.parametrize("kind", KINDS)
@given(value=st.one_of(st.text(), st.integers(), st.none()))
def test_anything_is_read_or_refused(kind, value):
    """Anything is read, or refused with Wrong; nothing else escapes."""
    try:
        said = kind.parse(value)
    except Wrong as wrong:
        said = wrong.what
    assert said


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_schema(kind):
    """Every kind says in JSON Schema what may be written."""
    assert kind.json_schema()["type"] == "string"
