"""Body framings: where a body ends, in whatever pieces it comes."""

from itertools import pairwise

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base import bounds
from penstock.base.errors import RemoteError
from penstock.protocols.http1.framing import NO_BODY, Chunked, Length, UntilClose

NEXT = b"GET / HTTP/1.1\r\n"
SOUND = [
    b"0\r\n\r\n",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"5;name=value;x\r\nhello\r\n00\r\n\r\n",
    b"A\r\n0123456789\r\n1\r\n\n\r\n0\r\nDigest: x\r\nX-Other:\r\n\r\n",
    b"0000000000000003\r\n\r\n\r\r\n0\r\n\r\n",
]
MALFORMED = [
    b"\r\n",
    b"5\nhello\r\n0\r\n\r\n",
    b"5\r\nhello0\r\n\r\n",
    b"5\r\nhello\n0\r\n\r\n",
    b"5\r\nhellos\r\n0\r\n\r\n",
    b"5 \r\nhello\r\n0\r\n\r\n",
    b" 5\r\nhello\r\n0\r\n\r\n",
    b"5 ;x\r\nhello\r\n0\r\n\r\n",
    b"5;x\ny\r\nhello\r\n0\r\n\r\n",
    b"5;x\ry\r\nhello\r\n0\r\n\r\n",
    b"5;\0\r\nhello\r\n0\r\n\r\n",
    b"0x5\r\nhello\r\n0\r\n\r\n",
    b"+5\r\nhello\r\n0\r\n\r\n",
    b"-5\r\nhello\r\n0\r\n\r\n",
    b"5_0\r\nhello\r\n0\r\n\r\n",
    b"g\r\nhello\r\n0\r\n\r\n",
    b"00000000000000005\r\nhello\r\n0\r\n\r\n",
    b"5\rhello\r\n0\r\n\r\n",
    b"0\r\nX : y\r\n\r\n",
    b"0\r\n X: y\r\n\r\n",
    b"0\r\nX: y\r\n z\r\n\r\n",
    b"0\r\nno colon\r\n\r\n",
    b"0\r\nX: \0\r\n\r\n",
    b"0\r\nX: a\rb\r\n\r\n",
    b"0\r\nX: y\n\r\n",
    b"0\r\nContent-Length: 5\r\n\r\n",
    b"0\r\ntransfer-encoding: chunked\r\n\r\n",
    b"0\r\nHost: b\r\n\r\n",
    b"0\r\nConnection: close\r\n\r\n",
    b"0\r\n: x\r\n\r\n",
    b"5;" + b"x" * bounds.HTTP_CHUNK_LINE_BYTES + b"\r\nhello\r\n0\r\n\r\n",
    b"5;" + b"x" * 100_000,
    b"0\r\nX: " + b"y" * bounds.HTTP_TRAILER_BYTES + b"\r\n\r\n",
    b"0\r\n" + b"X: %b\r\n" % (b"y" * 4_000) * 3 + b"\r\n",
    b"0\r\n" + b"X: y\r\n" * (bounds.HTTP_HEADERS + 1) + b"\r\n",
]


def pieces_of(data, cuts):
    """Return `data` cut at these places."""
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


CUTS = st.lists(st.integers(0, 10_000), max_size=12)


def run(framing, pieces):
    """Feed pieces until the body is done, and return how many bytes belonged to it."""
    total = 0
    for piece in pieces:
        used = framing.feed(piece)
        total += used
        if framing.done:
            break
        assert used == len(piece)
    return total


def test_no_body():
    """Nothing belongs to a body that is not there."""
    assert (NO_BODY.done, NO_BODY.passthrough, NO_BODY.feed(NEXT)) == (True, 0, 0)
    NO_BODY.skip(0)


def test_length():
    """So many bytes belong to it, fed or skipped, from wherever in the data they start."""
    framing = Length(10)
    assert framing.passthrough == 10
    assert framing.feed(b"xx01234", 2) == 5
    framing.skip(3)
    assert (framing.passthrough, framing.done) == (2, False)
    assert framing.feed(memoryview(b"89" + NEXT)) == 2
    assert (framing.passthrough, framing.done) == (0, True)
    assert framing.feed(NEXT) == 0
    assert Length(0).done


def test_until_close():
    """Everything belongs to it, and it does not say itself when it is done."""
    framing = UntilClose()
    assert framing.feed(b"xxabc", 2) == 3
    framing.skip(1 << 40)
    assert framing.passthrough > 1 << 60
    assert not framing.done


@pytest.mark.parametrize("body", SOUND)
def test_chunks_in_every_split(body):
    """The end of a chunked body is found in two pieces cut anywhere, byte by byte, and with the next message behind."""
    whole = body + NEXT
    for cut in range(len(whole) + 1):
        assert run(Chunked(), [whole[:cut], whole[cut:]]) == len(body)
    for kind in (bytes, memoryview):
        assert run(Chunked(), [kind(whole[i : i + 1]) for i in range(len(whole))]) == len(body)
        assert run(Chunked(), [kind(whole)]) == len(body)
    assert Chunked().feed(b"xyz" + whole, 3) == len(body)


@pytest.mark.parametrize("body", MALFORMED)
def test_malformed_chunks_are_refused_in_every_split(body):
    """A body about whose end two readers could differ is refused, whole, byte by byte and in halves."""
    with pytest.raises(RemoteError):
        run(Chunked(), [body])
    with pytest.raises(RemoteError):
        run(Chunked(), [body[i : i + 1] for i in range(len(body))])
    with pytest.raises(RemoteError):
        run(Chunked(), [body[:3], body[3:]])


def test_a_sender_that_does_not_chunk_is_not_waited_for():
    """What cannot become a chunk's size is refused at its first byte."""
    with pytest.raises(RemoteError):
        Chunked().feed(b"<")


def test_lines_at_their_bound():
    """A chunk line and trailers of exactly their bound pass."""
    line = b"1;" + b"x" * (bounds.HTTP_CHUNK_LINE_BYTES - 2)
    trailer = b"X: " + b"y" * (bounds.HTTP_TRAILER_BYTES - 5)
    body = line + b"\r\na\r\n0\r\n" + trailer + b"\r\n\r\n"
    assert run(Chunked(), [body]) == len(body)
    assert run(Chunked(), [body[i : i + 1] for i in range(len(body))]) == len(body)


def test_data_of_a_chunk_may_be_skipped():
    """Inside a chunk the rest of it passes unseen; between chunks nothing does."""
    framing = Chunked()
    assert framing.passthrough == 0
    assert framing.feed(b"ff\r\nabc") == 7
    assert framing.passthrough == 252
    framing.skip(252)
    assert framing.passthrough == 0
    assert framing.feed(b"\r\n0\r\n\r\n" + NEXT) == 7
    assert framing.done
    assert framing.passthrough == 0


CHUNKS = st.lists(st.binary(min_size=1, max_size=40), max_size=6)


@given(contents=CHUNKS, cuts=CUTS, trailers=st.booleans())
def test_chunks_of_h11(contents, cuts, trailers):
    """What h11 sends in chunks ends where h11 says, and decodes to what h11 was given, in any split."""
    sender = h11.Connection(h11.CLIENT)
    sender.send(h11.Request(method="POST", target="/", headers=[("Host", "a"), ("Transfer-Encoding", "chunked")]))
    body = b"".join(sender.send(h11.Data(data=content)) for content in contents)
    body += sender.send(h11.EndOfMessage(headers=[("X-Digest", "1")] if trailers else []))
    whole = body + NEXT
    assert run(Chunked(), pieces_of(whole, cuts)) == len(body)
    framing, decoded, used = Chunked(), b"", 0
    for piece in pieces_of(whole, cuts):
        content, count = framing.decode(piece)
        decoded += content
        used += count
    assert (decoded, used, framing.done) == (b"".join(contents), len(body), True)


@given(
    raw=st.lists(st.sampled_from([b"0", b"3", b"a", b"\r\n", b"\r", b"\n", b";x", b"abc", b"X: y", b" "])), cuts=CUTS
)
def test_any_bytes_give_the_same_in_any_split(raw, cuts):
    """A split changes neither where a chunked body ends nor whether it is refused; what h11 refuses is refused."""
    data = b"".join(raw)
    verdicts = set()
    for pieces in ([data], pieces_of(data, cuts), [data[i : i + 1] for i in range(len(data))]):
        framing = Chunked()
        try:
            verdicts.add((run(framing, pieces), framing.done))
        except RemoteError:
            verdicts.add("refused")
    assert len(verdicts) == 1
    if verdicts != {"refused"} and next(iter(verdicts))[1]:
        receiver = h11.Connection(h11.SERVER)
        receiver.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + data)
        while type(receiver.next_event()) is not h11.EndOfMessage:
            pass
        assert receiver.trailing_data[0] == data[next(iter(verdicts))[0] :]
