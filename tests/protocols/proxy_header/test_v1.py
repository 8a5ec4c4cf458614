"""Version 1: exactly one line, refused at its first impossible byte, with proxy-protocol as the other end's view."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proxyprotocol import ProxyProtocolSyntaxError
from proxyprotocol.result import ProxyResultIPv4, ProxyResultIPv6, ProxyResultUnknown
from proxyprotocol.v1 import ProxyProtocolV1

from penstock.base.addresses import Endpoint, pack_ip
from penstock.base.bounds import PROXY_V1_BYTES
from penstock.protocols.proxy_header.header import (
    LOCAL,
    UNKNOWN,
    Command,
    Family,
    ProxyHeader,
    ProxyHeaderError,
    Transport,
    describe,
    unpack_inet6,
)
from penstock.protocols.proxy_header.v1 import parse_v1, serialize_v1

PORTS = st.integers(0, 65_535)
IPV4, IPV6 = st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str)
ENDS4, ENDS6 = (st.tuples(ips, PORTS, ips, PORTS) for ips in (IPV4, IPV6))
EXAMPLE = b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"
WIDE6 = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"


def header(family, source, port, destination, other):
    """The value of a line."""
    return ProxyHeader(
        family=family,
        transport=Transport.STREAM,
        source=Endpoint(source, port),
        destination=Endpoint(destination, other),
    )


def line(kind, source, port, destination, other):
    """The bytes of a line."""
    return f"PROXY {kind} {source} {destination} {port} {other}\r\n".encode()


def test_the_example_of_the_specification():
    """Section 2.1's line, with the request that it shows behind it."""
    data = EXAMPLE + b"GET / HTTP/1.1\r\nHost: 192.168.0.11\r\n\r\n"
    assert parse_v1(data) == (header(Family.INET, "192.168.0.1", 56_324, "192.168.0.11", 443), len(EXAMPLE))


@pytest.mark.parametrize(
    ("data", "size", "family"),
    [
        (line("TCP4", "255.255.255.255", 65_535, "255.255.255.255", 65_535), 56, Family.INET),
        (line("TCP6", WIDE6, 65_535, WIDE6, 65_535), 104, Family.INET6),
        (b"PROXY UNKNOWN\r\n", 15, Family.UNSPEC),
        (line("UNKNOWN", WIDE6, 65_535, WIDE6, 65_535), 107, Family.UNSPEC),
    ],
)
def test_the_longest_lines_of_the_specification(data, size, family):
    """Each of section 2.1's longest lines has the length that it counts, and is read."""
    parsed = parse_v1(data)
    assert len(data) == parsed.size == size
    assert (parsed.header.command, parsed.header.family) == (Command.PROXY, family)


@given(ENDS4 | ENDS6)
def test_every_line_comes_back(ends):
    """Addresses and ports of both families, and what stands behind the line is not touched."""
    family, kind = (Family.INET6, "TCP6") if ":" in ends[0] else (Family.INET, "TCP4")
    data = line(kind, *ends)
    parsed = parse_v1(data + b"\r\nrest")
    assert parsed == (header(family, text(ends[0]), ends[1], text(ends[2]), ends[3]), len(data))
    again = parse_v1(serialize_v1(parsed.header))
    assert again.header == parsed.header


@given(ENDS4 | ENDS6)
def test_another_implementation_agrees(ends):
    """proxy-protocol reads what we write, and we read what it writes."""
    source, port, destination, other = ends
    kind = ProxyResultIPv6 if ":" in source else ProxyResultIPv4
    theirs = kind((ipaddress.ip_address(source), port), (ipaddress.ip_address(destination), other))
    parsed = parse_v1(ProxyProtocolV1().pack(theirs))
    read = ProxyProtocolV1().unpack(serialize_v1(parsed.header))
    assert (read.source, read.dest) == (theirs.source, theirs.dest)


def test_another_implementation_knows_nobody_either():
    """What it packs for an unknown connection, four empty fields, is UNKNOWN to us, and ours to it."""
    assert parse_v1(ProxyProtocolV1().pack(ProxyResultUnknown())).header == UNKNOWN
    assert isinstance(ProxyProtocolV1().unpack(serialize_v1(UNKNOWN)), ProxyResultUnknown)


@pytest.mark.parametrize(
    "other",
    [
        LOCAL,
        describe(Endpoint("unix:", 0), Endpoint("unix:/x", 0)),
        ProxyHeader(
            family=Family.INET,
            transport=Transport.DGRAM,
            source=Endpoint("1.1.1.1", 1),
            destination=Endpoint("2.2.2.2", 2),
        ),
    ],
)
def test_what_the_line_has_no_words_for_is_unknown(other):
    """Our own connections, Unix sockets and UDP."""
    assert serialize_v1(other) == b"PROXY UNKNOWN\r\n"


def test_ipv4_beside_ipv6_is_written_as_mapped():
    """Both addresses of a line are of one family, and come back as they went."""
    mixed = describe(Endpoint("192.0.2.1", 1), Endpoint("2001:db8::1", 2))
    assert serialize_v1(mixed) == b"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::1 1 2\r\n"
    assert parse_v1(serialize_v1(mixed)).header == mixed


MALFORMED = {
    "another protocol": (b"PROXI", 5),
    "lower case": (b"Proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n", 2),
    "no space": (b"PROXYTCP4 1.1.1.1 2.2.2.2 1 2\r\n", 6),
    "two spaces": (b"PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n", 7),
    "a tab": (b"PROXY\tTCP4 1.1.1.1 2.2.2.2 1 2\r\n", 6),
    "UDP": (b"PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n", 8),
    "TCP5": (b"PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n", 10),
    "no family": (b"PROXY TCP 1.1.1.1 2.2.2.2 1 2\r\n", 10),
    "two spaces before an address": (b"PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n", 12),
    "two spaces between addresses": (b"PROXY TCP4 1.1.1.1  2.2.2.2 1 2\r\n", 20),
    "two spaces between ports": (b"PROXY TCP4 1.1.1.1 2.2.2.2 1  2\r\n", 30),
    "a space before CRLF": (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n", 31),
    "IPv6 in TCP4": (b"PROXY TCP4 ::1 ::1 1 2\r\n", 12),
    "IPv4 in TCP6": (b"PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n", 13),
    "256": (b"PROXY TCP4 1.1.1.256 2.2.2.2 1 2\r\n", 20),
    "a zero in front of an octet": (b"PROXY TCP4 01.1.1.1 2.2.2.2 1 2\r\n", 13),
    "three octets": (b"PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n", 17),
    "five octets": (b"PROXY TCP4 1.1.1.1.1 2.2.2.2 1 2\r\n", 19),
    "an empty octet": (b"PROXY TCP4 1..1.1 2.2.2.2 1 2\r\n", 14),
    "no octet": (b"PROXY TCP4 . 2.2.2.2 1 2\r\n", 12),
    "a name": (b"PROXY TCP4 localhost 2.2.2.2 1 2\r\n", 12),
    "five digits in a group": (b"PROXY TCP6 2001:0db80:: ::1 1 2\r\n", 21),
    "nine groups": (b"PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 1 2\r\n", 27),
    "seven groups": (b"PROXY TCP6 1:2:3:4:5:6:7 ::1 1 2\r\n", 25),
    "two gaps": (b"PROXY TCP6 1::2::3 ::1 1 2\r\n", 17),
    "three colons": (b"PROXY TCP6 ::: ::1 1 2\r\n", 14),
    "one colon in front": (b"PROXY TCP6 :1 ::1 1 2\r\n", 13),
    "one colon behind": (b"PROXY TCP6 1: ::1 1 2\r\n", 14),
    "an IPv4 in the middle": (b"PROXY TCP6 ::1.2.3.4:1 ::1 1 2\r\n", 21),
    "a zero in front of an octet of IPv6": (b"PROXY TCP6 ::1.02 ::1 1 2\r\n", 17),
    "an octet of IPv6 too large": (b"PROXY TCP6 ::1.256 ::1 1 2\r\n", 18),
    "a zone": (b"PROXY TCP6 fe80::1%1 ::1 1 2\r\n", 19),
    "brackets": (b"PROXY TCP6 [::1] ::1 1 2\r\n", 12),
    "no address": (b"PROXY TCP4\r\n", 11),
    "no ports": (b"PROXY TCP4 1.1.1.1 2.2.2.2\r\n", 27),
    "one port": (b"PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n", 29),
    "three ports": (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n", 31),
    "an empty port": (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 \r\n", 30),
    "a zero in front of a port": (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 02\r\n", 31),
    "port 65536": (b"PROXY TCP4 1.1.1.1 2.2.2.2 65536 2\r\n", 32),
    "port 65536 of the destination": (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n", 34),
    "six digits": (b"PROXY TCP4 1.1.1.1 2.2.2.2 100000 2\r\n", 33),
    "a sign": (b"PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n", 28),
    "another alphabet's digit": (b"PROXY TCP4 1.1.1.1 2.2.2.2 \xd9\xa1 2\r\n", 28),
    "LF alone": (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\nGET /\r\n", 31),
    "CR alone": (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\rGET /\r\n", 32),
    "LF alone in UNKNOWN": (b"PROXY UNKNOWN a\nGET / HTTP/1.1\r\n", 16),
    "LF right behind UNKNOWN": (b"PROXY UNKNOWN\nGET / HTTP/1.1\r\n", 14),
    "CR alone in UNKNOWN": (b"PROXY UNKNOWN a\rb\r\n", 17),
    "UNKNOWN with a tail": (b"PROXY UNKNOWNS\r\n", 14),
    "UNKNOWN without end": (b"PROXY UNKNOWN " + b"x" * 200, PROXY_V1_BYTES),
    "UNKNOWN one byte too long": (b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n", PROXY_V1_BYTES),
    "zeros": (b"P\0\0\0", 2),
}


@pytest.mark.parametrize(("data", "at"), MALFORMED.values(), ids=MALFORMED)
def test_the_malformed_is_refused_at_its_first_wrong_byte(data, at):
    """All up to the byte in front may become a header; with it, and with all of it, it is refused."""
    assert all(parse_v1(data[:size]) == size + 1 for size in range(1, at))
    for size in {at, len(data)}:
        with pytest.raises(ProxyHeaderError) as caught:
            parse_v1(data[:size])
        assert "\n" not in str(caught.value)


def test_the_longest_is_the_longest():
    """With 107 bytes a line is whole; a TCP6 line of two long mapped addresses may be longer and is refused."""
    assert parse_v1(b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n").size == PROXY_V1_BYTES
    long = "0000:0000:0000:0000:0000:ffff:255.255.255.255"
    with pytest.raises(ProxyHeaderError, match="107"):
        parse_v1(line("TCP6", long, 65_535, long, 65_535))
    assert parse_v1(line("TCP6", long, 1, "::", 2)).header.source == Endpoint("255.255.255.255", 1)


@given(ENDS4 | ENDS6, st.data())
def test_any_split_gives_the_same(ends, data):
    """A beginning asks for one byte more and never for one behind the line."""
    whole = line("TCP6" if ":" in ends[0] else "TCP4", *ends)
    size = data.draw(st.integers(1, len(whole) - 1))
    assert parse_v1(whole[:size]) == size + 1


@given(ENDS4 | ENDS6, st.data())
def test_a_changed_byte_is_another_line_or_none(ends, data):
    """
    One byte changed: either a line that still is one, which proxy-protocol reads as the same, or refused, and
    then at once: with the bytes up to some byte it may become a line, and with that byte never again.
    """
    whole = bytearray(line("TCP6" if ":" in ends[0] else "TCP4", *ends))
    whole[data.draw(st.integers(6, len(whole) - 1))] = data.draw(
        st.sampled_from(b"0123456789abcdefABCDEF.: \r\n%+xPTC\0\xff")
    )
    answers = [answer(bytes(whole[:size])) for size in range(1, len(whole) + 1)]
    told = [each for each in answers if not isinstance(each, int)]
    assert all(each == told[0] for each in told)
    if told and told[0] != "refused":
        theirs = ProxyProtocolV1().unpack(bytes(whole[: told[0].size]))
        source, destination = theirs.source, theirs.dest
        assert told[0].header.source == (text(source[0]), source[1])
        assert told[0].header.destination == (text(destination[0]), destination[1])


def text(ip):
    """The text that we give an address."""
    return unpack_inet6(pack_ip(str(ip)))


def answer(data):
    """What parsing gives, with refusals all alike."""
    try:
        return parse_v1(data)
    except ProxyHeaderError:
        return "refused"


@given(st.sampled_from([b"", b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN"]), st.binary(max_size=120))
def test_any_bytes_give_an_answer(start, rest):
    """A header, a wish or a ProxyHeaderError, and what is a header to us is one to proxy-protocol."""
    got = answer(start + rest)
    if isinstance(got, int):
        assert got == len(start + rest) + 1 <= PROXY_V1_BYTES
    elif got != "refused":
        try:
            ProxyProtocolV1().unpack((start + rest)[: got.size])
        except (ProxyProtocolSyntaxError, ValueError) as error:  # pragma: no cover - the finding
            pytest.fail(f"{start + rest!r}: {error}")
