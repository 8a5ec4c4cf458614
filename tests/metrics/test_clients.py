"""Addresses as keys."""

import pytest

from penstock.metrics.clients import KIND, parse, told
from penstock.metrics.fold import LedgerReader
from penstock.testing.pen import Pen


@pytest.mark.parametrize("text", ["192.0.2.1", "2001:db8::9", "-", "::1", "0.0.0.1"])
def test_keys_are_addresses_and_come_back(text):
    """An address becomes the key that its rows have, and the key the address; `-` is a client on a Unix socket."""
    pen = Pen()
    pen.open(client=(text, 1))
    keys = told(LedgerReader(pen.fd, 1).fold(), everyone=False).keys
    assert keys == [parse(text)]
    assert KIND.text(keys[0]) == text
    pen.close()


def test_an_address_has_one_key():
    """IPv4 and the same mapped into IPv6 are one client."""
    assert parse("::ffff:192.0.2.1") == parse("192.0.2.1")


@pytest.mark.parametrize("text", ["", "x", "other", "192.0.2", "192.0.2.1:80", "[::1]", "\0"])
def test_what_is_no_address_is_no_key(text):
    """Anything else has no key."""
    assert parse(text) is None


def test_only_new_connections_are_told():
    """A row is told once: an address does not change."""
    pen = Pen()
    reader = LedgerReader(pen.fd, 1)
    pen.open(client=("192.0.2.1", 1))
    assert len(told(reader.fold(), everyone=False).keys) == 1
    pen.open(client=("192.0.2.2", 1))
    growth = reader.fold()
    news = told(growth, everyone=False)
    assert news.keys == [parse("192.0.2.2")]
    assert news.rows.tolist() == [1]
    assert news.ask(growth.rows.position) == [parse("192.0.2.1"), parse("192.0.2.2")]
    assert news.undecided is None
    assert told(growth, everyone=True).rows.tolist() == [0, 1]
    pen.close()
