"""
Where a body ends (RFC 9112 section 6.3): by nothing, by length, by chunks, or with the connection.

Four framings with one face, for requests and responses alike:
- `feed(data, start)` answers how many bytes of `data` from `start` on belong to the body; the rest is the next message.
- `done` says that the body is complete.
- `passthrough` is how many of the next bytes belong to the body whatever they are, so that nobody need look at them;
  `skip(n)` notes that so many of them went by. 0 means: use `feed`.
A body is forwarded as it came, byte for byte.
"""

import re
from typing import Protocol

from penstock.base.bounds import HTTP_CHUNK_LINE_BYTES, HTTP_HEADERS, HTTP_TRAILER_BYTES
from penstock.base.errors import RemoteError

UNTIL_CLOSE_BYTES = 1 << 62
"""More bytes than any connection carries."""


class Framing(Protocol):
    """How a body ends."""

    done: bool
    passthrough: int

    def feed(self, data: bytes | memoryview, start: int = 0) -> int:
        """Return how many bytes of `data` from `start` on belong to the body; raises RemoteError if it is malformed."""

    def skip(self, count: int) -> None:
        """Note that `count` bytes of the body, at most `passthrough`, went by."""


class NoBody:
    """The message ends with its head. It holds no state, so one serves all: `NO_BODY`."""

    __slots__ = ()
    done = True
    passthrough = 0

    def feed(self, data: bytes | memoryview, start: int = 0) -> int:
        """Return 0: nothing belongs to it."""
        return 0

    def skip(self, count: int) -> None:
        """Do nothing: there is nothing to skip."""


NO_BODY = NoBody()


class Length:
    """
    The body is so long.

    Args:
        length: Content-Length; unit bytes.
    """

    __slots__ = ("done", "passthrough")

    def __init__(self, length: int) -> None:
        self.passthrough = length
        self.done = not length

    def feed(self, data: bytes | memoryview, start: int = 0) -> int:
        """Return how many bytes of `data` from `start` on belong to the body."""
        count = min(self.passthrough, len(data) - start)
        self.skip(count)
        return count

    def skip(self, count: int) -> None:
        """Note that `count` bytes of the body went by."""
        self.passthrough -= count
        self.done = not self.passthrough


class UntilClose:
    """The body ends when its sender closes; only a response may be framed so. `done` is for the reader to say."""

    __slots__ = ()
    done = False
    passthrough = UNTIL_CLOSE_BYTES

    def feed(self, data: bytes | memoryview, start: int = 0) -> int:
        """Return the number of all bytes of `data` from `start` on."""
        return len(data) - start

    def skip(self, count: int) -> None:
        """Do nothing: there is no end to come nearer to."""


# chunk = chunk-size [ chunk-ext ] CRLF chunk-data CRLF (RFC 9112 section 7.1). Whitespace before the extension, which
# the grammar allows for old senders' sake only, and every control character but HTAB in it are refused: those are the
# bytes about which two readers disagree where a line ends.
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t\x20-\x7e\x80-\xff]*)?")

_SIZE_BEGINS = re.compile(rb"[0-9A-Fa-f]{1,16}(?:;[\t\x20-\x7e\x80-\xff]*)?\r?")

# field-line = field-name ":" OWS field-value OWS (RFC 9112 section 5), without obs-fold.
_TRAILER_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t\x20-\x7e\x80-\xff]*")

_NOT_IN_TRAILERS = frozenset(
    b"connection content-encoding content-length content-range content-type expect host keep-alive proxy-authenticate "
    b"proxy-authorization proxy-connection set-cookie te trailer transfer-encoding upgrade".split()
)
"""Framing, routing and what else RFC 9110 section 6.5.1 wants before the content; who merges trailers obeys them."""

_SIZE, _DATA_END, _TRAILERS = range(3)
"""What the next line of a chunked body is: a size, the empty rest of a chunk, or a trailer."""


class Chunked:
    """
    The body comes in chunks, and may end with trailers.

    Attributes:
        passthrough: What is left of the data of the chunk under way.
    """

    __slots__ = ("_line", "_state", "_trailer_bytes", "_trailer_lines", "done", "passthrough")

    def __init__(self) -> None:
        self.done = False
        self.passthrough = 0
        self._state = _SIZE
        self._line = b""
        self._trailer_bytes = self._trailer_lines = 0

    def feed(self, data: bytes | memoryview, start: int = 0) -> int:
        """
        Return how many bytes of `data` from `start` on belong to the body.

        Raises:
            RemoteError: If they are not well-formed chunks, or a line or the trailers are past their bound.
        """
        position, end = start, len(data)
        while position < end and not self.done:
            if self.passthrough:
                count = min(self.passthrough, end - position)
                self.passthrough -= count
                position += count
            else:
                position = self._read_line(data, position)
        return position - start

    def decode(self, data: bytes, start: int = 0) -> tuple[bytes, int]:
        """
        Return the content in `data` from `start` on without its chunks, and how many bytes belong to the body.

        Raises:
            RemoteError: As `feed`.
        """
        position, end = start, len(data)
        content = []
        while position < end and not self.done:
            count = min(self.passthrough, end - position)
            if count:
                content.append(data[position : position + count])
                self.passthrough -= count
                position += count
            else:
                position = self._read_line(data, position)
        return b"".join(content), position - start

    def skip(self, count: int) -> None:
        """Note that `count` bytes of the chunk under way went by."""
        self.passthrough -= count

    def _read_line(self, data: bytes | memoryview, start: int) -> int:
        """Take a line that is no chunk data, or what there is of it, and return where it ends."""
        limit = HTTP_TRAILER_BYTES if self._state == _TRAILERS else HTTP_CHUNK_LINE_BYTES
        held = self._line
        line = held + bytes(data[start : start + limit + 2 - len(held)])
        end = line.find(b"\n", len(held))
        if end < 0:
            if len(line) >= limit + 2:
                raise RemoteError("a line of the chunked body is too long")
            self._check_beginning(line)
            self._line = line
            return len(data)
        self._line = b""
        if line[end - 1 : end] != b"\r":
            raise RemoteError("a line of the chunked body ends without CR")
        self._take_line(line[: end - 1])
        return start + end + 1 - len(held)

    def _check_beginning(self, line: bytes) -> None:
        """Refuse at once what no later byte can mend: a sender that is not chunking need not be waited for."""
        if (self._state == _DATA_END and line != b"\r") or (self._state == _SIZE and not _SIZE_BEGINS.fullmatch(line)):
            raise RemoteError("the body is not in well-formed chunks")

    def _take_line(self, line: bytes) -> None:
        if self._state == _TRAILERS:
            self._take_trailer(line)
        elif self._state == _DATA_END:
            if line:
                raise RemoteError("a chunk is longer than its size says")
            self._state = _SIZE
        else:
            size = _SIZE_LINE.fullmatch(line)
            if size is None:
                raise RemoteError("a chunk's size is malformed")
            self.passthrough = int(size[1], 16)
            self._state = _DATA_END if self.passthrough else _TRAILERS

    def _take_trailer(self, line: bytes) -> None:
        if not line:
            self.done = True
            return
        self._trailer_lines += 1
        self._trailer_bytes += len(line) + 2
        if self._trailer_bytes > HTTP_TRAILER_BYTES or self._trailer_lines > HTTP_HEADERS:
            raise RemoteError("the trailers are too long")
        trailer = _TRAILER_LINE.fullmatch(line)
        if trailer is None:
            raise RemoteError("a trailer is malformed")
        if trailer[1].lower() in _NOT_IN_TRAILERS:
            raise RemoteError("a trailer holds a field that must stand in the head")
