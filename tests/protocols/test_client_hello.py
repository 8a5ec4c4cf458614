"""ClientHellos: real ones and made ones, in any split and any records, against OpenSSL's own reading."""

import functools
import ssl

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.base.bounds import CLIENT_HELLO_BYTES, HANDSHAKE_BUFFER_BYTES
from penstock.connection.commands import Peek, Relay
from penstock.protocols.client_hello import ClientHello, HelloReader, parse_client_hello
from penstock.protocols.detect import Wire, detect
from penstock.protocols.tls_alert import Alert, TlsError
from penstock.testing.playbook import perform, relays, says

TLS_1_0, TLS_1_2, TLS_1_3 = 0x0301, 0x0303, 0x0304
GREASE = 0x2A2A
SNI, ALPN, VERSIONS, KEY_SHARE, PADDING, ECH = 0, 16, 43, 51, 21, 0xFE0D


def u16(value):
    """Two bytes."""
    return value.to_bytes(2)


def vector(size, value):
    """A value behind its length of `size` bytes."""
    return len(value).to_bytes(size) + value


def sni(name):
    """The extension of a server's name."""
    return SNI, vector(2, b"\0" + vector(2, name))


def alpn(*names):
    """The extension of protocols."""
    return ALPN, vector(2, b"".join(vector(1, name) for name in names))


def versions(*offered):
    """The extension of versions."""
    return VERSIONS, vector(1, b"".join(map(u16, offered)))


def body(*extensions, version=TLS_1_2, session=b"s" * 32, ciphers=b"\x13\x01\xc0\x2f", methods=b"\0", tail=b""):
    """A hello without its head; no extensions at all where none is given."""
    fixed = u16(version) + bytes(32) + vector(1, session) + vector(2, ciphers) + vector(1, methods)
    listed = b"".join(u16(kind) + vector(2, value) for kind, value in extensions)
    return fixed + (vector(2, listed) if extensions else b"") + tail


def message(data):
    """A hello with its head."""
    return b"\x01" + vector(3, data)


def record(data, kind=22, version=TLS_1_0):
    """One record."""
    return bytes((kind,)) + u16(version) + vector(2, data)


def records(data, sizes):
    """The same bytes in records of these sizes, and the rest in one of the longest."""
    parts = []
    for size in sizes:
        parts.append(data[:size])
        data = data[size:]
    parts += [data[at : at + 16_384] for at in range(0, len(data), 16_384)]
    return b"".join(record(part) for part in parts if part)


def hello(*extensions, **fields):
    """A whole hello in one record."""
    return record(message(body(*extensions, **fields)))


def read(data):
    """What one look at all of it gives."""
    return HelloReader().look(data)


def trickle(data, step=1):
    """What a reader gives that is shown ever more, and the lengths that it wished for."""
    reader, shown, wishes = HelloReader(), 0, []
    while True:
        got = reader.look(data[:shown])
        if not isinstance(got, int):
            return got, wishes
        assert got > shown
        wishes.append(got)
        if got > len(data):
            return got, wishes
        shown = max(got, min(len(data), shown + step))


def outcome(look, data):
    """What looking gives: a value, a wish, or the error as text."""
    try:
        got = look(data)
    except TlsError as error:
        return error.alert, str(error)
    return "more" if isinstance(got, int) else got


def first_flight(context, name="www.example.org", session=None):
    """What Python's ssl says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name, session=session)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def client(lowest=None, highest=None, protocols=()):
    """A context of Python's ssl."""
    context = ssl.create_default_context()
    context.minimum_version = lowest or context.minimum_version
    context.maximum_version = highest or context.maximum_version
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


@functools.cache
def resumed():
    """A hello that offers to go on with an old session, whose ticket holds a client's certificate."""
    ca = trustme.CA()
    server, opener = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    for context, name in ((server, "www.example.org"), (opener, "client.example.org")):
        ca.issue_cert(name).configure_cert(context)
        ca.configure_trust(context)
    server.verify_mode = ssl.CERT_REQUIRED
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = opener.wrap_bio(down, up, server_hostname="www.example.org")
    far = server.wrap_bio(up, down, server_side=True)
    for step in (near.do_handshake, far.do_handshake, near.do_handshake, far.do_handshake, near.read, far.read):
        try:
            step()
        except ssl.SSLWantReadError:
            continue
    return first_flight(opener, session=near.session)


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (client(), ClientHello(server_name="www.example.org", version=TLS_1_3)),
        (client(highest=ssl.TLSVersion.TLSv1_2), ClientHello(server_name="www.example.org", version=TLS_1_2)),
        (client(lowest=ssl.TLSVersion.TLSv1_3), ClientHello(server_name="www.example.org", version=TLS_1_3)),
        (
            client(protocols=["h2", "http/1.1"]),
            ClientHello(server_name="www.example.org", alpn=(b"h2", b"http/1.1"), version=TLS_1_3),
        ),
    ],
)
def test_hellos_of_openssl(context, expected):
    """Python's ssl, with each version alone and with protocols."""
    data = first_flight(context)
    assert read(data) == expected
    assert trickle(data)[0] == expected


def test_names_are_folded():
    """Upper case is lower, and an international name comes as its A-labels."""
    assert read(first_flight(client(), "WWW.Example.ORG")).server_name == "www.example.org"
    assert read(first_flight(client(), "bücher.example")).server_name == "xn--bcher-kva.example"


def test_a_client_that_asks_for_no_name():
    """For an IP address OpenSSL sends no name."""
    assert read(first_flight(client(), "192.0.2.1")).server_name is None
    assert read(hello()) == ClientHello(version=TLS_1_2)


def test_a_resumed_session_is_carried_along():
    """A ticket with a certificate inside makes a hello of over 1,000 bytes, and the name is still read."""
    assert len(resumed()) > 1_000
    assert read(resumed()) == ClientHello(server_name="www.example.org", version=TLS_1_3)


def test_post_quantum_shares_fit():
    """X25519MLKEM768 and X25519, as browsers send them, GREASE and an encrypted hello around."""
    shares = vector(
        2, u16(GREASE) + vector(2, b"\0") + u16(4_588) + vector(2, bytes(1_216)) + u16(29) + vector(2, bytes(32))
    )
    data = hello(
        (GREASE, b""), (KEY_SHARE, shares), sni(b"example.org"), alpn(b"h2", b"http/1.1"),
        versions(GREASE, TLS_1_3, TLS_1_2), (ECH, bytes(250)), (0x4A4A, b"\0"),
    )  # fmt: skip
    expected = ClientHello(server_name="example.org", alpn=(b"h2", b"http/1.1"), version=TLS_1_3, has_ech=True)
    assert len(data) > 1_600
    assert outcome(read, data) == expected
    assert trickle(data)[0] == expected


def test_the_longest_hello():
    """16 KiB with its head is read, one byte more is refused when its length is known, seven bytes in."""
    room = CLIENT_HELLO_BYTES - 4 - len(body(sni(b"a.example"), (PADDING, b"")))
    data = hello(sni(b"a.example"), (PADDING, bytes(room)))
    assert len(data) == 5 + CLIENT_HELLO_BYTES
    assert read(data).server_name == "a.example"
    over = records(message(body(sni(b"a.example"), (PADDING, bytes(room + 1)))), [100])
    assert outcome(read, over[:9]) == (Alert.ILLEGAL_PARAMETER, "the hello has 16385 bytes, over 16384")


HELLOS = st.sampled_from(
    [
        first_flight(client(protocols=["h2", "http/1.1"])),
        first_flight(client(highest=ssl.TLSVersion.TLSv1_2)),
        resumed(),
        hello(),
        hello(sni(b"example.org"), versions(TLS_1_3)),
    ]
)


@given(HELLOS, st.lists(st.integers(0, 400), max_size=40), st.integers(1, 600), st.binary(max_size=9))
def test_any_records_and_any_split_give_the_same(data, sizes, step, tail):
    """In records of any sizes, shown in steps of any size, with early data behind: the same value each time."""
    expected = read(data)
    cut = records(data[5:], sizes)
    assert outcome(read, cut + tail) == expected
    got, wishes = trickle(cut + tail, step)
    assert got == expected
    assert wishes == sorted(set(wishes))
    assert wishes[-1] <= len(cut)


def test_a_record_for_each_byte():
    """517 records of one byte are read, and each is looked at once: three looks for a record, whatever else came."""
    data = first_flight(client())
    cut = records(data[5:], [1] * len(data))
    got, wishes = trickle(cut)
    assert got == read(data)
    assert len(wishes) <= 3 * (len(data) - 5)


def test_trickling_costs_no_more_than_sending():
    """
    A reader takes each byte once: what it holds grows by what each look brought, and it does not begin again.

    Counted, not timed: 16 KiB in records of 64 bytes, shown byte by byte.
    """

    class Counted(bytes):
        read = 0

        def __getitem__(self, key):
            got = super().__getitem__(key)
            if isinstance(key, slice):
                Counted.read += len(got)
            return got

    room = CLIENT_HELLO_BYTES - 4 - len(body(sni(b"a.example"), (PADDING, b"")))
    cut = records(message(body(sni(b"a.example"), (PADDING, bytes(room)))), [64] * 400)
    reader, needed = HelloReader(), 0
    for shown in range(len(cut) + 1):
        if shown >= needed:
            needed = reader.look(Counted(cut[:shown]))
    assert needed.server_name == "a.example"
    assert CLIENT_HELLO_BYTES <= Counted.read < 1.2 * CLIENT_HELLO_BYTES


def test_records_so_small_that_the_buffer_would_be_full_are_refused():
    """A wish for more than a handshake may hold would never be granted."""
    room = CLIENT_HELLO_BYTES - 4 - len(body((PADDING, b"")))
    cut = records(message(body((PADDING, bytes(room)))), [1] * CLIENT_HELLO_BYTES)
    assert len(cut) > HANDSHAKE_BUFFER_BYTES
    alert, detail = outcome(read, cut[:HANDSHAKE_BUFFER_BYTES])
    assert (alert, detail) == (Alert.ILLEGAL_PARAMETER, "the hello is in too many small records")


def test_a_conversation_reads_it_and_takes_nothing():
    """As the reader's docstring shows it: who serves the client gets every byte, whatever the split."""
    data = first_flight(client())
    heard = []

    def conversation():
        reader, needed = HelloReader(), 1
        while isinstance(told := reader.look((yield Peek(needed))), int):
            needed = told
        heard.append(told.server_name)
        yield Relay()

    perform(conversation, says(data), relays(leftover=data))
    assert set(heard) == {"www.example.org"}


@pytest.mark.parametrize(
    ("extension", "field", "value"),
    [
        (sni(b"Example.ORG."), "server_name", "example.org"),
        (sni(b"_sip.example.org"), "server_name", "_sip.example.org"),
        (sni(b"192.0.2.1"), "server_name", None),
        (sni(b"2001:db8::1"), "server_name", None),
        (sni(b"a." * 126 + b"a"), "server_name", "a." * 126 + "a"),
        (alpn(b"\x0a\x0a", b"h2"), "alpn", (b"\x0a\x0a", b"h2")),
        (versions(GREASE, 0x7F1C, TLS_1_2), "version", TLS_1_2),
        (versions(TLS_1_0, TLS_1_3, TLS_1_2), "version", TLS_1_3),
        ((ECH, b""), "has_ech", True),
        ((GREASE, b"anything"), "has_ech", False),
        ((0xFFFF, b""), "version", TLS_1_2),
    ],
)
def test_extensions(extension, field, value):
    """What each says, and what is passed over."""
    assert getattr(read(hello(extension)), field) == value


@pytest.mark.parametrize(
    ("legacy", "version"), [(0x0300, 0x0300), (0x0301, 0x0301), (0x0303, TLS_1_2), (0x0304, TLS_1_2)]
)
def test_without_the_list_the_field_tells(legacy, version):
    """Up to TLS 1.2: a higher number in the field means nothing."""
    assert read(hello(version=legacy)).version == version


LENGTHS = "the hello's lengths do not fit"

REFUSED = {
    "http": (b"GET / HTTP/1.1\r\n", Alert.UNEXPECTED_MESSAGE, "type is 71", 1),
    "an SSLv2 hello": (b"\x80\x2e\x01\x03\x01\0\x15\0\0\0\x10", Alert.PROTOCOL_VERSION, "SSLv2", 1),
    "an alert": (record(b"\x02\x28", kind=21), Alert.UNEXPECTED_MESSAGE, "type is 21", 1),
    "application data": (record(b"x", kind=23), Alert.UNEXPECTED_MESSAGE, "type is 23", 1),
    "version 2 of records": (record(b"\x01", version=0x0200), Alert.PROTOCOL_VERSION, "record's version", 5),
    "DTLS": (record(b"\x01", version=0xFEFD), Alert.PROTOCOL_VERSION, "record's version", 5),
    "a record too long": (b"\x16\x03\x01\x40\x01", Alert.RECORD_OVERFLOW, "16385 bytes", 5),
    "an empty record": (record(b""), Alert.UNEXPECTED_MESSAGE, "empty", 5),
    "an empty record inside": (record(b"\x01\0") + record(b""), Alert.UNEXPECTED_MESSAGE, "empty", 12),
    "a ServerHello": (record(b"\x02\0\0\x02aa"), Alert.UNEXPECTED_MESSAGE, "type is 2", 6),
    "an alert inside": (record(b"\x01\0") + record(b"\x02\x28", kind=21), Alert.UNEXPECTED_MESSAGE, "type is 21", 8),
    "a hello too long": (record(b"\x01\0\x3f\xfd"), Alert.ILLEGAL_PARAMETER, "16385 bytes", 9),
    "a message behind": (record(message(body()) + b"\x01"), Alert.UNEXPECTED_MESSAGE, "another message", None),
    "nothing": (record(message(b"")), Alert.DECODE_ERROR, LENGTHS, None),
    "a version of DTLS inside": (hello(version=0xFEFD), Alert.PROTOCOL_VERSION, "hello's version", None),
    "a session id too long": (hello(session=bytes(33)), Alert.DECODE_ERROR, LENGTHS, None),
    "no ciphers": (hello(ciphers=b""), Alert.DECODE_ERROR, LENGTHS, None),
    "half a cipher": (hello(ciphers=b"\x13\x01\x13"), Alert.DECODE_ERROR, LENGTHS, None),
    "no compression": (hello(methods=b""), Alert.DECODE_ERROR, LENGTHS, None),
    "a byte behind no extensions": (hello(tail=b"\0"), Alert.DECODE_ERROR, LENGTHS, None),
    "a byte behind the extensions": (hello(sni(b"a"), tail=b"\0"), Alert.DECODE_ERROR, LENGTHS, None),
    "extensions cut short": (record(message(body() + b"\0\x05\0\0")), Alert.DECODE_ERROR, LENGTHS, None),
    "half an extension": (record(message(body() + vector(2, b"\0\0\0"))), Alert.DECODE_ERROR, LENGTHS, None),
    "an extension too long": (record(message(body() + vector(2, b"\0\x15\0\x02a"))), Alert.DECODE_ERROR, LENGTHS, None),
    "two names": (hello(sni(b"a"), sni(b"b")), Alert.ILLEGAL_PARAMETER, "extension 0 comes twice", None),
    "GREASE twice": (hello((GREASE, b""), (GREASE, b"")), Alert.ILLEGAL_PARAMETER, "comes twice", None),
    "an empty name extension": (hello((SNI, b"")), Alert.DECODE_ERROR, "name is malformed", None),
    "an empty list of names": (hello((SNI, b"\0\0")), Alert.DECODE_ERROR, "name is malformed", None),
    "an empty name": (hello(sni(b"")), Alert.ILLEGAL_PARAMETER, "name is none", None),
    "a byte behind the names": (hello((SNI, sni(b"a")[1] + b"x")), Alert.DECODE_ERROR, "name is malformed", None),
    "a byte behind the name": (
        hello((SNI, vector(2, b"\0" + vector(2, b"a") + b"x"))), Alert.DECODE_ERROR, "name is malformed", None,
    ),
    "two names in one": (
        hello((SNI, vector(2, b"\0\0\x01a\0\0\x01b"))), Alert.DECODE_ERROR, "name is malformed", None,
    ),
    "a name of another type": (hello((SNI, vector(2, b"\x01\0\x01a"))), Alert.ILLEGAL_PARAMETER, "unknown type", None),
    "a zero in a name": (hello(sni(b"a.example\0.b")), Alert.ILLEGAL_PARAMETER, "name is none", None),
    "a space in a name": (hello(sni(b"a example")), Alert.ILLEGAL_PARAMETER, "name is none", None),
    "a name beyond ASCII": (hello(sni("bücher".encode())), Alert.ILLEGAL_PARAMETER, "name is none", None),
    "a name that is a number": (hello(sni(b"0x7f000001")), Alert.ILLEGAL_PARAMETER, "name is none", None),
    "a name too long": (hello(sni(b"a." * 127 + b"a")), Alert.ILLEGAL_PARAMETER, "name is none", None),
    "an empty list of protocols": (hello((ALPN, b"\0\0")), Alert.DECODE_ERROR, "list of protocols", None),
    "an empty protocol": (hello(alpn(b"h2", b"")), Alert.DECODE_ERROR, "protocol's name", None),
    "a protocol cut short": (hello((ALPN, vector(2, b"\x03h2"))), Alert.DECODE_ERROR, "protocol's name", None),
    "a byte behind the protocols": (hello((ALPN, b"\0\x03\x02h2x")), Alert.DECODE_ERROR, "list of protocols", None),
    "no versions": (hello(versions()), Alert.DECODE_ERROR, "list of versions", None),
    "half a version": (hello((VERSIONS, b"\x03\x03\x04\x03")), Alert.DECODE_ERROR, "list of versions", None),
    "a byte behind the versions": (hello((VERSIONS, b"\x02\x03\x04x")), Alert.DECODE_ERROR, "list of versions", None),
    "no version of TLS": (hello(versions(GREASE, 0x7F1C)), Alert.PROTOCOL_VERSION, "no version", None),
}  # fmt: skip


@pytest.mark.parametrize(("data", "alert", "complaint", "at"), REFUSED.values(), ids=REFUSED)
def test_the_malformed_is_refused_with_its_alert(data, alert, complaint, at):
    """Whole and trickled alike; what a head shows is refused with the head, before the rest has come."""
    got = outcome(read, data)
    assert got[0] == alert
    assert complaint in got[1]
    assert outcome(lambda data: trickle(data)[0], data) == got
    if at is not None:
        assert outcome(read, data[: at - 1]) == "more"
        assert outcome(read, data[:at]) == got


def test_detection_and_reading_agree():
    """What detection calls TLS is what the reader begins to read, also in records of one byte."""
    data = first_flight(client())
    for cut in (data, records(data[5:], [1, 1, 1])):
        assert detect(cut) is Wire.TLS
    assert detect(b"\x80\x2e\x01\x03\x01") is Wire.RAW


def mutated(data):
    """Real hellos with a few bytes changed, taken out or put in."""
    whole = bytearray(data.draw(HELLOS))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(whole) - 1))
        width = data.draw(st.integers(0, 2))
        whole[place : place + width] = data.draw(st.binary(max_size=2))
    return bytes(whole)


@given(st.data())
@settings(max_examples=300)
def test_any_bytes_give_one_answer(data):
    """A value, a wish or one TlsError, the same whole and trickled, and nothing but the alerts that it knows."""
    raw = mutated(data) if data.draw(st.booleans()) else record(data.draw(st.binary(max_size=90)))
    got = outcome(read, raw)
    assert outcome(lambda raw: trickle(raw, data.draw(st.integers(1, 50)))[0], raw) == got
    assert got == "more" or isinstance(got, ClientHello) or got[0] in Alert


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Python's ssl cannot hand on such names
@given(st.data())
@settings(max_examples=300)
def test_openssl_reads_the_same_name(data):
    """Where a server of OpenSSL gets as far as asking for a certificate by name, we have read that name, or refused."""
    raw = mutated(data) if data.draw(st.booleans()) else data.draw(HELLOS)
    names = []
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.sni_callback = lambda tls, name, context: names.append(name)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    incoming.write(raw)
    tls = server.wrap_bio(incoming, outgoing, server_side=True)
    with pytest.raises(ssl.SSLError):  # it has no certificate, or the hello is none, or more must come
        tls.do_handshake()
    got = outcome(read, raw)
    if names and isinstance(got, ClientHello):
        assert (names[0] or "").lower().removesuffix(".") == (got.server_name or "")


def test_a_body_is_read_where_it_stands():
    """Neither what is before it nor behind it is looked at."""
    inside = body(sni(b"a.example"))
    data = b"before" + inside + b"behind"
    assert parse_client_hello(data, 6, 6 + len(inside)).server_name == "a.example"
    for end in range(len(inside)):
        if end != len(body()):  # without extensions it is whole
            with pytest.raises(TlsError):
                parse_client_hello(data, 6, 6 + end)
