"""Messages of sock_diag: captured ones are read as the kernel meant them, hostile ones end in one documented error."""

import errno
import socket
import struct
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.node.sock_diag import (
    ATTRIBUTES,
    INET,
    INET6,
    PORTS,
    Answers,
    SockDiagError,
    parse,
    serialize_dump,
    serialize_one,
)

HEADER = struct.Struct("=IHHII")
SEQUENCE = 7

ANSWER = 20
DONE = HEADER.pack(20, 3, 2, SEQUENCE, 0) + b"\0\0\0\0"

ESTABLISHED, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, LAST_ACK, CLOSING = 1, 4, 5, 8, 9, 11


def info(state, acked, received, size=280):
    """Return a tcp_info."""
    return struct.pack("=B119xQQ", state, acked, received)[:size].ljust(size, b"\0")


def attribute(kind, value):
    """Return an attribute, filled up to four bytes."""
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def message(state=ESTABLISHED, rqueue=0, wqueue=0, acked=0, received=0, **more):
    """Return a message about one socket, as Linux 6 sends it."""
    peer = more.get("peer", bytes([192, 0, 2, 7]))
    inode = more.get("inode", 99)
    family = INET if len(peer) == 4 else INET6
    name = struct.pack("!HH", 8_001, 40_000) + bytes(16) + peer.ljust(16, b"\0") + struct.pack("=III", 0, 5, 6)
    head = struct.pack("=BBBB", family, state, 0, 0) + name + struct.pack("=5I", 0, rqueue, wqueue, 0, inode)
    attributes = more.get(
        "attributes", attribute(8, b"\0") + attribute(15, b"\0" * 4) + attribute(2, info(state, acked, received))
    )
    body = head + attributes
    return HEADER.pack(HEADER.size + len(body), ANSWER, 2, more.get("sequence", SEQUENCE), 0) + body


def numbers(data):
    """Return what each socket has read and written."""
    streams = parse(data, SEQUENCE).streams
    return list(zip(streams.rx.tolist(), streams.tx.tolist(), strict=True))


@pytest.mark.parametrize(
    ("state", "rqueue", "wqueue", "acked", "received", "read", "written"),
    [
        (ESTABLISHED, 0, 0, 0, 0, 0, 0),
        (ESTABLISHED, 60, 0, 7, 100, 40, 7),
        (CLOSE_WAIT, 61, 0, 7, 101, 40, 7),  # its end waits behind 60 bytes
        (CLOSE_WAIT, 1, 0, 7, 101, 100, 7),  # only its end waits
        (CLOSE_WAIT, 0, 0, 7, 101, 100, 7),  # and has been read
        (ESTABLISHED, 0, 3_877_888, 32_768, 0, 0, 3_910_656),
        (FIN_WAIT1, 0, 3_877_889, 32_768, 0, 0, 3_910_656),  # our end waits
        (FIN_WAIT2, 3, 0, 3_910_657, 3, 0, 3_910_656),  # and was acknowledged
        (LAST_ACK, 0, 1, 10, 21, 20, 10),
        (CLOSING, 1, 1, 10, 21, 20, 10),
    ],
)
def test_captured_numbers_of_every_state(state, rqueue, wqueue, acked, received, read, written):
    """What a kernel said of sockets whose bytes were known: no end of file counts as a byte, wherever it is."""
    assert numbers(message(state, rqueue, wqueue, acked, received)) == [(read, written)]


def test_one_datagram_holds_many_sockets_and_the_end():
    """Sockets come in a row, each of its own length; the end is told with them or after them."""
    first, second = message(received=5), message(received=6, peer=bytes(15) + b"\1")
    sockets = parse(first + second, SEQUENCE)
    assert numbers(first + second) == [(5, 0), (6, 0)]
    assert sockets.families.tolist() == [INET, INET6]
    assert sockets.ids[0].tobytes() == first[20:68]
    assert len(parse(first + DONE + second, SEQUENCE).ids) == 1


def test_datagrams_are_read_together():
    """However sockets are spread over datagrams they are the same, and each is read once."""
    first, second, third = (message(received=count) for count in (5, 6, 7))
    answers = Answers(SEQUENCE)
    assert [answers.add(data) for data in (first + second, b"", third + DONE)] == [False, False, True]
    assert answers.size == len(first + second + third + DONE)
    assert answers.sockets().streams.rx.tolist() == [5, 6, 7]
    assert (answers.size, len(answers.sockets().ids)) == (0, 0)
    assert not answers.add(second)
    assert answers.sockets().streams.rx.tolist() == [6]


def test_addresses_are_those_of_rows():
    """An IPv4 address is that of a row whether the socket is an IPv4 or an IPv6 one."""
    mapped = bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 7])
    keys = [parse(message(peer=peer), SEQUENCE).streams.keys.tolist() for peer in (mapped[12:], mapped)]
    assert keys[0] == keys[1]
    assert keys[0][0][2] == 40_000 << 16 | 8_001


def test_sockets_that_nobody_holds_are_passed_over():
    """One in a backlog, one without tcp_info, and one of a family that we do not know are left out."""
    bare = message(attributes=attribute(8, b"\0"))
    old = message(attributes=attribute(2, info(1, 0, 0, 104)))
    strange = bytearray(message())
    strange[16] = 40
    for data in (message(inode=0), bare, old, bytes(strange), message(sequence=6)):
        assert numbers(data) == []


def test_a_socket_that_is_gone_is_no_refusal():
    """The kernel says ENOENT of a socket that is closed by now, or ESTALE where another has its place."""
    for number in (errno.ENOENT, errno.ESTALE, 0):
        data = HEADER.pack(20, 2, 0, SEQUENCE, 0) + struct.pack("=i", -number)
        assert Answers(SEQUENCE).add(data)
        assert numbers(data) == []
    for number in (errno.EPERM, errno.EINVAL, 2**31):
        data = HEADER.pack(20, 2, 0, SEQUENCE, 0) + struct.pack("=I", -number & 0xFFFF_FFFF)
        with pytest.raises(SockDiagError):
            parse(data, SEQUENCE)


@settings(max_examples=300)
@given(st.binary(max_size=600))
def test_any_bytes_are_an_answer_or_one_error(data):
    """Nothing that comes breaks the reader in another way."""
    try:
        parse(data, SEQUENCE)
    except SockDiagError:
        pass


@settings(max_examples=300)
@given(st.data())
def test_damaged_messages_are_an_answer_or_one_error(data):
    """A good message with some bytes changed, or cut anywhere, is read or refused."""
    raw = bytearray(message(received=5) + message(received=6) + DONE)
    for _ in range(data.draw(st.integers(0, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        parse(bytes(raw[: data.draw(st.integers(0, len(raw)))]), SEQUENCE)
    except SockDiagError:
        pass


def test_attributes_without_end_are_not_followed():
    """After as many attributes as there may be the rest is not looked at."""
    many = b"".join(attribute(1, b"") for _ in range(ATTRIBUTES))
    assert numbers(message(attributes=many + attribute(2, info(1, 0, 5)))) == []


def ask(question):
    """Return the sockets with which the kernel answers."""
    answers = Answers(SEQUENCE)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as asked:
        asked.settimeout(10)
        asked.send(question)
        while not answers.add(asked.recv(65_536)):
            pass
    return answers.sockets()


def ports_of(sockets):
    """Return the local ports that were told of."""
    return {int.from_bytes(each[:2].tobytes(), "big") for each in sockets.ids}


def test_the_kernel_understands_the_question():
    """A real kernel tells of the sockets of these ports, wherever in a filter they stand, and of no other."""
    pairs = []
    for _ in range(3):
        with socket.create_server(("127.0.0.1", 0)) as door:
            client = socket.create_connection(door.getsockname())
            pairs += [client, door.accept()[0]]
    ports = [server.getsockname()[1] for server in pairs[1::2]]
    others = list(range(1, 1_000, 2))
    try:
        assert ports_of(ask(serialize_dump(INET, ports[:1], SEQUENCE))) == {ports[0]}
        assert ports_of(ask(serialize_dump(INET, ports, SEQUENCE))) == set(ports)
        assert ports_of(ask(serialize_dump(INET, [*others, *ports[1:], 65_535], SEQUENCE))) == set(ports[1:])
        assert ports_of(ask(serialize_dump(INET, [*range(1_000, 1_100), ports[2]], SEQUENCE))) == {ports[2]}
        assert ports_of(ask(serialize_dump(INET6, ports, SEQUENCE))) == set()
    finally:
        for each in pairs:
            each.close()


def test_the_longest_filter_is_taken():
    """As many ports as one question may hold make a filter that the kernel takes."""
    question = serialize_dump(INET, range(1, 2 * PORTS, 2), SEQUENCE)
    assert len(question) < 65_536
    assert len(ask(question).ids) == 0


def test_one_socket_is_found_by_its_name():
    """The kernel's own name of a socket, given back, brings that socket, and nothing once it is closed."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        with closing(socket.create_connection(door.getsockname())) as client, closing(door.accept()[0]) as server:
            client.sendall(b"12345")
            name = ask(serialize_dump(INET, [door.getsockname()[1]], SEQUENCE)).ids[0].tobytes()
            assert server.recv(3) == b"123"
            with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as asked:
                asked.send(serialize_one(INET, name, SEQUENCE))
                assert numbers(asked.recv(65_536)) == [(3, 0)]
            server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert len(ask(serialize_one(INET, name, SEQUENCE)).ids) == 0
