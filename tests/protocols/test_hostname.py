"""Host names: what a resolver can take, and no back door to addresses."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.errors import RemoteError
from penstock.protocols.hostname import parse_hostname


@pytest.mark.parametrize(
    "name",
    [
        "example.org",
        "localhost",
        "example.org.",
        "_dmarc.Example.ORG",
        "xn--bcher-kva.example",
        "3com.example",
        "0xcafe.example",
        "a" * 63 + ".example",
        ".".join(["a" * 63] * 3 + ["a" * 61]),
        ".".join(["a" * 63] * 3 + ["a" * 61]) + ".",
        "192.0.2.1",
    ],
)
def test_names_come_back_as_they_are(name):
    """Names of letters, digits, `-` and `_`, with or without the root's dot, and IPv4 addresses."""
    assert parse_hostname(name.encode()) == name


@pytest.mark.parametrize(
    ("raw", "host"),
    [(b"::1", "::1"), (b"2001:DB8:0:0::1", "2001:db8::1"), (b"::", "::"), (b"::ffff:c000:201", "192.0.2.1")],
)
def test_ipv6_addresses_have_one_spelling(raw, host):
    """An IPv6 address comes back in its shortest form, a mapped one as its IPv4: rules see one spelling."""
    assert parse_hostname(raw) == host


@pytest.mark.parametrize(
    "raw", [b"127.1", b"2130706433", b"0x7f000001", b"0X7F.1", b"0177.0.0.1", b"1.2.3.256", b"a.1.", b"0x"]
)
def test_other_spellings_of_ipv4_are_refused(raw):
    """What a system's resolver would silently read as an address is no name."""
    with pytest.raises(RemoteError, match="number"):
        parse_hostname(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b".",
        b"a..b",
        b".a",
        b"a b",
        b"a\0b",
        b"a\n",
        b"a/b",
        b"a@b",
        b"a%25",
        b"[::1]",
        b"fe80::1%eth0",
        b"::g",
        b":",
        b"a" * 64,
        ".".join(["a" * 63] * 4).encode(),
        "bücher.example".encode(),
    ],
)
def test_what_is_no_name_is_refused(raw):
    """Empty and long labels, separators, control bytes, scopes and Unicode are refused."""
    with pytest.raises(RemoteError, match="host name is"):
        parse_hostname(raw)


@given(st.binary(max_size=255) | st.text("0123456789abcxX.:-", max_size=40).map(str.encode))
def test_any_bytes_give_a_name_or_a_remote_error(raw):
    """Whatever comes back is printable ASCII that the resolver's own encoding takes, and comes back from itself."""
    try:
        name = parse_hostname(raw)
    except RemoteError:
        return
    assert name.isascii()
    assert name.isprintable()
    assert name.encode("idna")
    assert parse_hostname(name.encode()) == name


@given(st.ip_addresses())
def test_every_ip_address_is_a_name(address):
    """Addresses of both families come back as the same address, IPv4-mapped ones folded."""
    mapped = address.ipv4_mapped if address.version == 6 else None
    assert ipaddress.ip_address(parse_hostname(str(address).encode())) == (mapped or address)
