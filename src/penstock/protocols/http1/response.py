"""
The answer of a target, turned into what the client gets while it comes in.

The head is validated by llhttp and rewritten; the body is forwarded as it comes, and only its end is looked for. What
is malformed raises RemoteError: before anything was given to the client that is a 502, later the end of its connection.
"""

import re
from functools import lru_cache

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from penstock.base.bounds import HTTP_HEAD_BYTES, HTTP_HEADERS
from penstock.base.errors import RemoteError
from penstock.protocols.http1.fields import VIA, VIA_1_0, Fields, content_length, end_to_end, read_fields, without
from penstock.protocols.http1.framing import NO_BODY, Chunked, Framing, Length, UntilClose

INTERIM_RESPONSES = 32
"""Interim responses before the final one; Go's net/http took 5 until 1.23, and now bounds their bytes together."""

_SILENT = object()

_FEW_FIELDS_BYTES = 4 * HTTP_HEADERS
"""A shorter head cannot hold too many fields: each takes four bytes or more."""

_BEGINNING = b"HTTP/1."

# status-line = HTTP-version SP status-code SP [ reason-phrase ] (RFC 9112 section 4). llhttp takes control characters
# in the reason; a missing space before no reason at all is common enough to be mended.
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?")

_ORDINARY = frozenset((200, 201, 202, 203, 206, 301, 302, 303, 307, 308, 400, 401, 403, 404, 410, 429, 500, 502, 503))
"""Statuses that say nothing of how their answers are framed, and are met every day."""

KNOWN: dict[bytes, tuple[int, bytes, int]] = {}
"""
Heads that were judged sound, with their status, what the client gets for them, and the length that they give. A busy
target repeats itself: the same small answers go out many times in the second that their Date stands for.
"""

_KNOWN_HEADS = 256
_KNOWN_BYTES = 1_024

_BODILESS = frozenset((204, 304))
_FRAMING = frozenset((b"content-length", b"transfer-encoding"))
_CODING = frozenset((b"transfer-encoding",))

_REMEMBERED_BYTES = 128  # status lines are few and short; a longer one is read afresh

_CLOSE = b"Connection: close\r\n"
_END = VIA + b"\r\n"
_END_1_0 = VIA_1_0 + b"\r\n"


class ResponseReader:
    """
    Reads one answer.

    Args:
        method: Of the request; it decides whether there is a body.
        keep_alive: Whether the client may send another request on its connection.
        http_1_0: Whether the client speaks HTTP/1.0 and takes neither chunks nor interim responses.
        upgrade: Whether the request asked to change protocols, so that 101 may be the answer.

    Attributes:
        status: Status code of the latest head; 0 before one came.
        started: Something was given to the client.
        done: The answer is complete.
        upgraded: The target has changed protocols: what follows in either direction is no HTTP.
        keep_alive: The client may send another request.
        reusable: The target's connection may carry another exchange; false until the answer is done.
        leftover: Bytes beyond the answer. After an upgrade they are the client's; else they are nobody's, and the
            target's connection is not reusable.
    """

    # Defaults of the class: an answer begins with them at no cost, and most never change.
    _framing: Framing | None = None
    _head = leftover = b""
    _interim = status = 0
    _persistent = _unchunk = _whole = started = done = upgraded = False
    _known = KNOWN  # of a route that changes answers: its own

    def __init__(self, method: bytes, keep_alive: bool, http_1_0: bool, upgrade: bool = False) -> None:
        self._method, self.keep_alive, self._http_1_0, self._upgrade = method, keep_alive, http_1_0, upgrade
        self._plain = keep_alive and not http_1_0 and method != b"HEAD"

    @property
    def reusable(self) -> bool:
        """Whether the target's connection may carry another exchange."""
        return self.done and self._persistent and not self.leftover

    @property
    def passthrough(self) -> int:
        """How many of the next bytes go to the client as they come, whatever they are; 0: use `feed`."""
        return 0 if self._framing is None or self.done else self._framing.passthrough

    def skip(self, count: int) -> None:
        """Note that `count` bytes, at most `passthrough`, went to the client."""
        framing = self._framing
        if framing is not None:
            framing.skip(count)
            self.done = framing.done

    def feed(self, data: bytes) -> bytes:
        """
        Return what the client gets for these bytes of the target.

        Raises:
            RemoteError: If the answer is malformed, too long, or not one to this request.
        """
        if self.done:
            self.leftover += data
            return b""
        if self._framing is not None:
            data = self._read_body(data, 0)
        else:
            data = self._read_again(data) or self._read_heads(data)
        if data:
            self.started = True
        return data

    def eof(self) -> None:
        """
        Note that the target has closed; that completes a body without length.

        Raises:
            RemoteError: If the answer is not complete.
        """
        if isinstance(self._framing, UntilClose):
            self.done = True
        elif not self.done:
            raise RemoteError("closed in the middle of its answer" if self._head or self.status else "gave no answer")

    # Head ------------------------------------------------------------------------------------------------------------

    def _read_again(self, data: bytes) -> bytes:
        """Return what the client gets if this is, letter by letter, the head of an answer that came before."""
        end = data.find(b"\r\n\r\n") + 4
        known = self._known.get(data[:end])
        if known is None or self._head or not self._plain:
            return b""
        self.status, head, length = known
        self._persistent = True
        self._framing = framing = self._frame(length, len(data) - end)
        self.done = framing.done
        if end == len(data):
            return head
        return head + (data[end:] if self._whole else self._read_body(data, end))

    def _remember(self, head: bytes, given: bytes, length: int) -> None:
        if self._plain and len(head) <= _KNOWN_BYTES:
            if len(self._known) >= _KNOWN_HEADS:
                self._known.clear()
            self._known[head] = self.status, given, length

    def _read_heads(self, data: bytes) -> bytes:
        """Return the heads that are complete, the last with what there is of its body."""
        held = len(self._head)
        if held:
            data = self._head + data
        given = b""
        start, search = 0, max(held - 3, 0)
        while True:
            end = data.find(b"\r\n\r\n", search) + 4
            if end < 4 or end - start > HTTP_HEAD_BYTES:
                self._hold(data[start:])
                return given
            rest = len(data) - end
            head = self._read_head(data[start:end] if rest or start else data, rest)
            given = given + head if given else head
            if self._framing is not None:
                self._head = b""
                if not rest:
                    return given
                return given + (data[end:] if self._whole else self._read_body(data, end))
            start = search = end

    def _hold(self, head: bytes) -> None:
        """Keep the beginning of a head, unless it cannot become one."""
        if not _BEGINNING.startswith(head[:7]):
            raise RemoteError("the target does not speak HTTP/1")
        if len(head) >= HTTP_HEAD_BYTES:
            raise RemoteError("the head of the answer is too long")
        if head.count(b"\n") != head.count(b"\r\n"):
            raise RemoteError("a line of the answer's head ends without CR")
        self._head = head

    def _read_head(self, head: bytes, rest: int) -> bytes:
        """Return what the client gets for a complete head, behind which `rest` bytes are there."""
        line_end = head.find(b"\r")
        line = head[:line_end]
        parse = _parse_status if line_end <= _REMEMBERED_BYTES else _parse_status.__wrapped__
        self.status, line, http_1_0 = parse(line)
        _validate(head)
        lines = head[line_end:]
        fields = read_fields(lines)
        if fields.plain and self.status in _ORDINARY and not http_1_0 and self._method != b"HEAD":
            self._persistent = True
            length = content_length(lines, fields)
            self._framing = framing = self._frame(length, rest)
            self.done = framing.done
            if fields.hops:
                lines = lines.replace(fields.hops[0], b"", 1)
            given = b"".join((line, lines[:-2], _END if self.keep_alive else _CLOSE + _END))
            if length is not None:
                self._remember(head, given, length)
            return given
        if self.status < 200:
            return self._read_interim(line, lines, fields, http_1_0)
        self._framing = framing = self._choose_framing(lines, fields, http_1_0, rest)
        self.done = framing.done
        end = _END_1_0 if http_1_0 else _END
        if not self.keep_alive:
            end = _CLOSE + end
        if fields.hops or fields.upgrade_lines or fields.named or self._unchunk or self.status == 204:
            lines = self._rewrite(lines, fields)
        return b"".join((line, lines[:-2], end))

    def _read_interim(self, line: bytes, lines: bytes, fields: Fields, http_1_0: bool) -> bytes:
        self._interim += 1
        if self._interim > INTERIM_RESPONSES:
            raise RemoteError("too many interim responses")
        if self.status == 101:
            if not self._upgrade or fields.upgrade is None:
                raise RemoteError("the target changed to a protocol that nobody asked for")
            self._framing, self.upgraded, self.done, self.keep_alive = NO_BODY, True, True, False
        elif self._http_1_0:
            return b""
        return b"".join((line, self._rewrite(lines, fields)[:-2], _END_1_0 if http_1_0 else _END))

    def _choose_framing(self, lines: bytes, fields: Fields, http_1_0: bool, rest: int) -> Framing:
        """Return how the body ends (RFC 9112 section 6.3), and note what that means for both connections."""
        options, coding = fields.options, fields.coding
        self._persistent = b"keep-alive" in options if http_1_0 else b"close" not in options
        length = content_length(lines, fields)
        if coding is not None:
            if http_1_0 or length is not None or coding != b"chunked":
                raise RemoteError("the answer's Transfer-Encoding is not chunked, or stands where it must not")
            self._unchunk = self._http_1_0
        if length is not None and length < 0:
            raise RemoteError("the answer's Content-Length is no length")
        if self.status == 204 and (length or coding is not None):
            self._persistent = False  # it announces a body that cannot be: who knows what comes
        if self.status in _BODILESS or self._method == b"HEAD":
            return NO_BODY
        return self._frame(length, rest) if coding is None else Chunked()

    def _frame(self, length: int | None, rest: int) -> Framing:
        """Return how a body ends that is not chunked."""
        if length is None:
            self.keep_alive = self._persistent = False
            return UntilClose()
        if length < 0:
            raise RemoteError("the answer's Content-Length is no length")
        self._whole = length == rest  # most answers come in one piece: nothing is left to be framed
        return NO_BODY if self._whole or not length else Length(length)

    def _rewrite(self, lines: bytes, fields: Fields) -> bytes:
        """Return the fields that the client gets."""
        status = self.status
        offers = status in (101, 426) and fields.upgrade is not None
        if fields.hops or fields.upgrade_lines or fields.named:
            if not fields.named.isdisjoint(_FRAMING):
                raise RemoteError("Connection names a field that says where the answer ends")
            lines = end_to_end(lines, fields, upgrade=offers)
        if offers:
            lines = lines[:-2] + b"Connection: upgrade\r\n\r\n"
        if status < 200 or status == 204:  # RFC 9110 section 8.6, RFC 9112 section 6.1: they have none
            return lines if fields.length is fields.coding is None else without(lines, _FRAMING)
        return without(lines, _CODING) if self._unchunk else lines

    # Body ------------------------------------------------------------------------------------------------------------

    def _read_body(self, data: bytes, start: int) -> bytes:
        """Return what the client gets of a body that goes on at `start`."""
        framing = self._framing
        if self._unchunk and isinstance(framing, Chunked):
            content, used = framing.decode(data, start)
        else:
            used = framing.feed(data, start)  # type: ignore[union-attr]
            content = data[start : start + used]
        if framing.done:  # type: ignore[union-attr]
            self.done = True
            self.leftover = data[start + used :]
        return content


def judge(head: bytes) -> tuple[int, bytes, int] | None:
    """
    Return status, what the client gets, and length of an ordinary head, as `KNOWN` holds them; None if it is none.

    It is for answers that are there as a whole, to requests of HTTP/1.1 other than HEAD whose clients go on: these need
    no reader. Of all others a reader says what they are, or what is wrong with them.

    Args:
        head: With the empty line behind it.
    """
    line_end = head.find(b"\r")
    if not 0 <= line_end <= _REMEMBERED_BYTES or len(head) > HTTP_HEAD_BYTES:
        return None
    try:
        status, line, http_1_0 = _parse_status(head[:line_end])
        _validate(head)
    except RemoteError:
        return None
    lines = head[line_end:]
    fields = read_fields(lines)
    if http_1_0 or not fields.plain or status not in _ORDINARY:
        return None
    length = content_length(lines, fields)
    if length is None or length < 0:
        return None
    if fields.hops:
        lines = lines.replace(fields.hops[0], b"", 1)
    known = status, b"".join((line, lines[:-2], _END)), length
    if len(head) <= _KNOWN_BYTES:
        if len(KNOWN) >= _KNOWN_HEADS:
            KNOWN.clear()
        KNOWN[head] = known
    return known


@lru_cache(256)
def _parse_status(line: bytes) -> tuple[int, bytes, bool]:
    """Return status code, the line as the client gets it, and whether the target speaks HTTP/1.0."""
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise RemoteError("the status line of the answer is malformed")
    minor, code, reason = match.groups(b"")
    return int(code), b"HTTP/1.1 %b %b" % (code, reason), minor == b"0"


def _validate(head: bytes) -> None:
    """Let llhttp judge every byte of the head."""
    if len(head) > _FEW_FIELDS_BYTES and head.count(b"\r\n") - 2 > HTTP_HEADERS:
        raise RemoteError("the head of the answer holds too many fields")
    try:
        HttpResponseParser(_SILENT).feed_data(head)
    except HttpParserUpgrade:  # news and no error: after this head the protocol changes
        pass
    except HttpParserError as error:
        raise RemoteError(f"malformed answer: {error}") from None
