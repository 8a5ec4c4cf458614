"""The inbox: the same answers for every split of the bytes, bounded, and true to the end of the file."""

import select
import socket
import threading
from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.base.bounds import HANDSHAKE_BUFFER_BYTES, HANDSHAKE_READ_BYTES
from penstock.connection.commands import ClientClosed, Need, Peek, TooLong, Until
from penstock.dataplane.inbox import Inbox
from penstock.dataplane.reactor import HANGUP, IN, URGENT
from penstock.testing.workbench import wait_for

RX = 3
"""The word that counts what was received."""


class Post:
    """An inbox on a real socket, with somebody who writes to it."""

    def __init__(self, inline=True):
        server = socket.create_server(("127.0.0.1", 0))
        self.writer = socket.create_connection(server.getsockname())
        self.reader, _ = server.accept()
        server.close()
        self.reader.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, inline)
        self.words = [0] * 8
        self.end = SimpleNamespace(sock=self.reader, eof=False, rx=RX)
        self.inbox = Inbox(self.end, self.words)

    def arrive(self, data, mask=IN):
        """Let bytes arrive, and their edge."""
        before = self._unread()
        self.writer.sendall(data)
        wait_for(lambda: self._unread() >= before + len(data), "the bytes to arrive")
        self.inbox.pending |= mask

    def hang_up(self):
        """Let the writer say that it is done."""
        self.writer.shutdown(socket.SHUT_WR)
        self.inbox.pending |= IN | HANGUP

    def _unread(self):
        return len(self.reader.recv(1 << 20, socket.MSG_PEEK | socket.MSG_DONTWAIT)) if self._ready() else 0

    def _ready(self):
        try:
            self.reader.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        return True

    def close(self):
        """Close both ends."""
        self.reader.close()
        self.writer.close()


@pytest.fixture
def post():
    """An inbox and who writes to it."""
    found = Post()
    yield found
    found.close()


COMMANDS = st.lists(
    st.one_of(
        st.builds(Need, st.integers(1, 12)),
        st.builds(Peek, st.integers(1, 12)),
        st.builds(Until, st.sampled_from([b"\r\n", b"\r\n\r\n", b"a", b"ab"]), st.integers(1, 20)),
    ),
    min_size=1,
    max_size=8,
)
TEXT = st.lists(st.sampled_from([b"a", b"b", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"ab"]), max_size=30).map(b"".join)


def converse(post, chunks, commands):
    """Give the commands to an inbox that the chunks arrive at one by one; return the answers, `Peek`s not compared."""
    answers, chunks = [], list(chunks)
    for command in commands:
        while True:
            try:
                answer = post.inbox.take(command)
            except (ClientClosed, TooLong) as news:
                return [*answers, (type(news), getattr(news, "pending", None))]
            if answer is not None:
                answers.append(answer[: command.count] if isinstance(command, Peek) else answer)
                break
            if chunks:
                post.arrive(chunks.pop(0))
            else:
                post.hang_up()
    return answers


@given(data=TEXT, cuts=st.lists(st.integers(0, 60), max_size=8), commands=COMMANDS)
@settings(max_examples=120, deadline=None)
@example(data=b"\r\n\r\n", cuts=[1, 2, 3], commands=[Until(b"\r\n\r\n", 4)])
def test_any_split_gives_the_same_answers(data, cuts, commands):
    """The same bytes in any pieces give the same answers to the same commands, down to the end of the file."""
    edges = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    pieces = [data[begin:end] for begin, end in pairwise(edges)]
    whole, split = Post(), Post()
    try:
        assert converse(split, pieces, commands) == converse(whole, [data], commands)
        assert split.words[RX] <= len(data)
    finally:
        whole.close()
        split.close()


def test_listening_asks_without_an_edge(post):
    """Who listens hears what is there, counted, and an end of file; where there is nothing, nothing changes."""
    post.inbox.listen()
    assert (post.inbox.data, post.inbox.pending, post.end.eof) == (b"", 0, False)
    post.arrive(b"hello")
    post.inbox.listen()
    assert (post.inbox.data, post.words[RX], post.inbox.pending) == (b"hello", 5, 0)
    post.hang_up()
    wait_for(lambda: select.select([post.reader], [], [], 0)[0], "the end")
    post.inbox.listen()
    assert (post.end.eof, post.inbox.pending) == (True, 0)


@pytest.mark.parametrize(
    ("mask", "more", "pending", "eof"),
    [(IN, False, 0, False), (IN | HANGUP, False, 0, True), (IN, True, IN | URGENT, False),
     (IN | URGENT, False, IN | URGENT, False), (HANGUP, True, IN | URGENT | HANGUP, False)],
)  # fmt: skip
def test_what_is_heard_first(post, mask, more, pending, eof):
    """Edges are followed to their end, and tell of the end of file, unless there may be more to read."""
    post.inbox.heard(b"abc", mask, more=more)
    assert (post.inbox.data, post.words[RX], post.inbox.pending, post.end.eof) == (b"abc", 3, pending, eof)


def test_nothing_is_read_before_an_edge(post):
    """Without an edge no system call is made, and nothing comes."""
    post.writer.sendall(b"abc")
    assert post.inbox.take(Need(1)) is None
    assert post.words[RX] == 0


def test_bytes_are_counted_as_they_are_read(post):
    """What was read is counted once, whoever takes it."""
    post.arrive(b"abcdef")
    assert post.inbox.take(Need(2)) == b"ab"
    assert post.inbox.take(Peek(1)) == b"cdef"
    assert post.words[RX] == 6


def test_end_that_comes_with_bytes_is_seen_by_a_look(post):
    """Bytes that are only looked at and an end of file make one edge: it says that no more will come."""
    post.inbox.leaves = True
    post.writer.sendall(b"half a hello")
    post.writer.shutdown(socket.SHUT_WR)
    wait_for(lambda: post.reader.recv(100, socket.MSG_PEEK) == b"half a hello")
    post.inbox.pending |= IN | HANGUP
    with pytest.raises(ClientClosed):
        post.inbox.take(Peek(100))
    assert post.reader.recv(100) == b"half a hello"


def test_what_was_looked_at_is_announced_again(post):
    """Once it is decided who reads, the reader gets the edges that were followed to look, and no more."""
    post.inbox.leaves = True
    post.writer.sendall(b"hello")
    _edge(post)
    assert post.inbox.take(Peek(1)) == b"hello"
    assert not post.inbox.pending
    post.inbox.decided()
    assert (post.inbox.data, post.inbox.pending & IN) == (b"", IN)
    assert not post.inbox.pending & (HANGUP | URGENT)
    assert post.reader.recv(100) == b"hello"


def test_bound_is_kept(post):
    """However much has arrived, no more is held than the bound and one read."""
    sender = threading.Thread(target=post.writer.sendall, args=(bytes(1 << 20),), daemon=True)
    sender.start()
    _edge(post)
    wait_for(lambda: not post.inbox.fill() and (len(post.inbox.data) >= HANDSHAKE_BUFFER_BYTES or _edge(post)))
    assert len(post.inbox.data) < HANDSHAKE_BUFFER_BYTES + HANDSHAKE_READ_BYTES
    assert post.inbox.pending, "the rest is not forgotten"


def test_rest_beyond_the_bound_comes_when_there_is_room(post):
    """What did not fit is read once what was held has been taken, without another edge."""
    data = bytes(range(256)) * 512
    sender = threading.Thread(target=post.writer.sendall, args=(data,))
    sender.start()
    post.inbox.pending = IN
    wait_for(lambda: (post.inbox.fill() is False and len(post.inbox.data) >= HANDSHAKE_BUFFER_BYTES) or _edge(post))
    got = b""
    while len(got) < len(data):
        got += post.inbox.take(Need(min(1_000, len(data) - len(got)))) or _edge(post) or b""
    sender.join()
    assert got == data
    assert post.words[RX] == len(data)


def _edge(post):
    """Announce that more has come, as the kernel does."""
    post.inbox.pending |= IN


@pytest.mark.parametrize("length", [0, 1, HANDSHAKE_READ_BYTES - 1, HANDSHAKE_READ_BYTES, HANDSHAKE_READ_BYTES + 1])
def test_end_of_file_is_seen_behind_the_last_byte(post, length):
    """An end of file in the same edge as the last bytes is told after they were taken, whatever their number."""
    post.arrive(bytes(length))
    post.hang_up()
    if length:
        assert post.inbox.take(Need(length)) == bytes(length)
    with pytest.raises(ClientClosed) as closed:
        post.inbox.take(Need(1))
    assert closed.value.pending == 0
    assert post.end.eof


def test_end_of_file_tells_what_was_begun(post):
    """Who closes in the middle of a message is known to have begun it."""
    post.arrive(b"GET /")
    post.hang_up()
    with pytest.raises(ClientClosed) as closed:
        post.inbox.take(Until(b"\r\n\r\n", 100))
    assert closed.value.pending == 5


def test_reset_is_an_end_of_file(post):
    """A client that resets has closed."""
    post.writer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    post.writer.close()
    post.inbox.pending = IN | HANGUP
    with pytest.raises(ClientClosed):
        post.inbox.take(Need(1))


@pytest.mark.parametrize("size", [4, 5, 100])
def test_limit_of_until(post, size):
    """A delimiter must end within the limit: more is waited for while it may come there, and no longer."""
    post.arrive(b"x" * (size - 1))
    assert post.inbox.take(Until(b"\r\n", size)) is None
    post.arrive(b"\r\n")
    with pytest.raises(TooLong):
        post.inbox.take(Until(b"\r\n", size))


def test_urgent_data_loses_no_byte_and_no_end(post):
    """A read that stops before an urgent byte has not emptied the socket: the bytes behind it and the end follow."""
    post.writer.sendall(b"abc")
    post.writer.send(b"!", socket.MSG_OOB)
    post.writer.sendall(b"def")
    post.hang_up()
    post.inbox.pending |= URGENT
    assert post.inbox.take(Need(7)) == b"abc!def"
    with pytest.raises(ClientClosed):
        post.inbox.take(Need(1))


def test_discard_keeps_nothing(post):
    """What is discarded is read and counted, and held by nobody."""
    post.arrive(b"x" * 50_000)
    post.inbox.discard()
    assert post.inbox.data == b""
    assert post.words[RX] == 50_000
