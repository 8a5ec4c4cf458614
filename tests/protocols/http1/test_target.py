"""Request-targets: absolute-form split, hosts and ports parsed, everything else refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.protocols.http1.errors import BadRequest
from penstock.protocols.http1.target import parse_authority, split_target


@pytest.mark.parametrize(
    ("authority", "default", "parsed"),
    [
        (b"A.example", 80, ("a.example", 80)),
        (b"a.example:", 80, ("a.example", 80)),
        (b"a_b-c.example.:8080", 0, ("a_b-c.example.", 8080)),
        (b"192.0.2.1:1", 80, ("192.0.2.1", 1)),
        (b"[2001:DB8::1]:65535", 80, ("2001:db8::1", 65_535)),
        (b"[::ffff:192.0.2.1]", 80, ("192.0.2.1", 80)),
    ],
)
def test_authorities(authority, default, parsed):
    """A name, an IPv4 or an IPv6 address in brackets, and a port where none is the default."""
    assert parse_authority(authority, default) == parsed


@pytest.mark.parametrize(
    "authority",
    [
        b"", b":80", b"a:", b"a", b"a:0", b"a:65536", b"a:000080", b"a:+1", b"a: 1", b"a:1 ", b"u@a:1", b"a,b:1",
        b"a b:1", b"a\0b:1", b"::1", b"[::1", b"::1]:1", b"[]:1", b"[a]:1", b"[1.2.3.4]:1", b"[::1%25lo]:1",
        b"[::1]x:1", b"127.1:1", b"0x7f000001:1", b"a..b:1", b"a/b:1", b"a%2eb:1", b"\xe4.example:1", b"x" * 64 + b":1",
        b"a:\xb9",
    ],
)  # fmt: skip
def test_authorities_that_are_none(authority):
    """Anything else is 400; what the system's resolver would read as an address though it looks like none, too."""
    with pytest.raises(BadRequest) as refused:
        parse_authority(authority, 0)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        (b"http://a", (b"a", b"/")),
        (b"http://a/b?c", (b"a", b"/b?c")),
        (b"http://a?b/c", (b"a", b"/?b/c")),
        (b"hTTp://a:1//b", (b"a:1", b"//b")),
        (b"http://", (b"", b"/")),
    ],
)
def test_split(target, parts):
    """The authority ends at the first slash or question mark, and what follows is a path that begins with a slash."""
    assert split_target(target) == parts


@pytest.mark.parametrize(
    ("target", "status"),
    [(b"/", 400), (b"//a/", 400), (b"*", 400), (b"a:80", 400), (b"http:/a", 400), (b"http://a/#", 400), (b"", 400),
     (b"/?http://a/", 400), (b"https://a/", 501), (b"ws://a/", 501)],
)  # fmt: skip
def test_targets_that_are_not_for_a_forward_proxy(target, status):
    """Origin-form and what is no URL are 400; URLs of other schemes are sound and not served: 501."""
    with pytest.raises(BadRequest) as refused:
        split_target(target)
    assert refused.value.status == status


@given(st.binary(max_size=40))
def test_any_bytes(raw):
    """Any bytes are a host and a port that can be dialed, or refused."""
    try:
        host, port = parse_authority(raw, 80)
    except BadRequest:
        return
    assert 0 < port < 65_536
    assert host
    assert host.isascii()
    assert host == host.lower()
    assert not set(host) & set("/@?#[] \r\n\0")
