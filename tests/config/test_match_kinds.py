"""Kinds of value of a match: what each takes, what it refuses, and what it says to write instead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config.match_kinds import (
    Destination,
    Domain,
    Network,
    PathPattern,
    Ports,
    parse_ports,
    serialize_destination,
    serialize_ports,
)
from penstock.config.mistakes import Wrong
from penstock.config.plan import DestinationPlan
from penstock.policy.ranges import network_ranges

KINDS = [Domain(), PathPattern(), Network(), Ports(), Destination()]


def wanted(host, *ports):
    """Return a destination."""
    return DestinationPlan(host=host, ports=ports)


@pytest.mark.parametrize(
    ("kind", "text", "read"),
    [
        (Domain(), "App.Example.COM.", "app.example.com"),
        (Domain(), "*.example.com", "*.example.com"),
        (Domain(), "*", "*"),
        (Domain(), "xn--bcher-kva.example", "xn--bcher-kva.example"),
        (Domain(), "_dmarc.example", "_dmarc.example"),
        (Domain(), "::ffff:10.0.0.1", "10.0.0.1"),
        (Domain(), "::1", "::1"),
        (PathPattern(), "/", "/"),
        (PathPattern(), "/api/*", "/api/*"),
        (PathPattern(), "/a%20b", "/a%20b"),
        (PathPattern(), "/a/..*", "/a/..*"),
        (PathPattern(), "/.well-known/*", "/.well-known/*"),
        (PathPattern(), "*", "*"),
        (Network(), "10.0.0.0/8", "10.0.0.0/8"),
        (Network(), "10.0.0.1", "10.0.0.1"),
        (Network(), "10.0.0.1/32", "10.0.0.1"),
        (Network(), "FD00:0::/8", "fd00::/8"),
        (Network(), "0.0.0.0/0", "0.0.0.0/0"),
        (Ports(), 443, (443, 443)),
        (Ports(), "443", (443, 443)),
        (Ports(), "8000-8010", (8000, 8010)),
        (Ports(), "1 - 65535", (1, 65_535)),
        (Destination(), "*.Internal", wanted("*.internal")),
        (Destination(), "example.com:443", wanted("example.com", (443, 443))),
        (Destination(), "10.0.0.0/8", wanted("10.0.0.0/8")),
        (Destination(), "10.0.0.0/8:80-90", wanted("10.0.0.0/8", (80, 90))),
        (Destination(), "::1", wanted("::1")),
        (Destination(), "fd00::/8", wanted("fd00::/8")),
        (Destination(), "[fd00::/8]:443", wanted("fd00::/8", (443, 443))),
        (Destination(), "[::1]", wanted("::1")),
        (Destination(), "*:25", wanted("*", (25, 25))),
    ],
)
def test_what_is_taken(kind, text, read):
    """A value of its kind is read as what it means."""
    assert kind.parse(text) == read


@pytest.mark.parametrize(
    ("kind", "text", "write"),
    [
        (Domain(), "https://app.example.com/x", '"app.example.com"'),
        (Domain(), "app.example.com:443", '"app.example.com"'),
        (Domain(), ".example.com", '"*.example.com"'),
        (Domain(), "bücher.example", '"xn--bcher-kva.example"'),
        (Domain(), "*.bücher.example", '"*.xn--bcher-kva.example"'),
        (Domain(), "app.*.com", ""),
        (Domain(), "a..b", ""),
        (Domain(), "a" * 254, ""),
        (Domain(), "", '"*.example.com"'),
        (Domain(), 5, '"*.example.com"'),
        (PathPattern(), "api", '"/api*"'),
        (PathPattern(), "/a*b", '"/a*"'),
        (PathPattern(), "/a?b=1", '"/a"'),
        (PathPattern(), "/a b", ""),
        (PathPattern(), "//a%2fb*", '"/a/b*"'),
        (PathPattern(), "/%61\\b%3a", '"/a/b%3A"'),
        (PathPattern(), "/a/../b", ""),
        (PathPattern(), "/a/%2e%2e", ""),
        (PathPattern(), "/a%", ""),
        (PathPattern(), "/a%4*", ""),
        (PathPattern(), "", '"/api/*"'),
        (PathPattern(), "/" * 3_000, '"/api/*"'),
        (Network(), "10.0.0.1/8", '"10.0.0.0/8"'),
        (Network(), "10.0.0.0/33", '"10.0.0.0/8"'),
        (Network(), "localhost", '"10.0.0.0/8"'),
        (Network(), 10, '"10.0.0.0/8"'),
        (Ports(), 0, ""),
        (Ports(), 65_536, ""),
        (Ports(), True, ""),
        (Ports(), "90-80", '"80-90"'),
        (Ports(), "http", ""),
        (Destination(), "10.0.0.1/8", '"10.0.0.0/8"'),
        (Destination(), "example.com:x", ""),
        (Destination(), "[::1", '"[fd00::/8]:443"'),
        (Destination(), "[::1]443", '"[fd00::/8]:443"'),
        (Destination(), "", '"*.internal"'),
        (Destination(), ":80", '"*:80"'),
    ],
)
def test_what_is_refused(kind, text, write):
    """A value of another kind is refused, with what to write instead where that can be guessed."""
    with pytest.raises(Wrong) as caught:
        kind.parse(text)
    assert caught.value.write == write


@pytest.mark.parametrize("kind", KINDS)
@given(value=st.one_of(st.text(), st.integers(), st.booleans(), st.text("0123456789abf.:/*[]-?", max_size=24)))
def test_anything_is_read_or_refused(kind, value):
    """Anything is read, or refused with Wrong; what was read is read the same again."""
    try:
        read = kind.parse(value)
    except Wrong:
        return
    if isinstance(read, str):
        assert kind.parse(read) == read


@given(st.text("0123456789.:/abf", max_size=24))
def test_every_network_is_one_to_the_policy(text):
    """Whatever reads as a network is one for those who decide by it."""
    try:
        network = Network().parse(text)
    except Wrong:
        return
    assert network_ranges(network)


@pytest.mark.parametrize("ports", [(1, 1), (8000, 8010)])
def test_ports_are_written_as_they_are_read(ports):
    """Ports come out as they went in."""
    assert parse_ports(serialize_ports(ports)) == ports


@pytest.mark.parametrize("text", ["*.internal", "10.0.0.0/8:443", "[fd00::/8]:80-90", "fd00::/8", "*", "*:25"])
def test_destinations_are_written_as_they_are_read(text):
    """A destination comes out as it went in."""
    assert serialize_destination(Destination().parse(text)) == text


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_schema(kind):
    """Every kind says in JSON Schema what may be written."""
    assert {"type", "anyOf"} & kind.json_schema().keys()
