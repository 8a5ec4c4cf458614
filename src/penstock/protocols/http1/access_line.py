"""
Lines of the access log: what a client asked for, and what became of it.

Clients choose most of what stands in a line. Whatever is not printable ASCII is written as \\xXX, in the combined
format quotes and backslashes too, as nginx does: any bytes give one line, and a terminal obeys none of them.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

import msgspec

from penstock.base.clock import NS

VALUE_BYTES = 2_048
"""Of one value; the rest is left out. A line stays below 16 KiB even if every byte has to be escaped; longer URLs than
2,000 characters are rare enough that browsers and crawlers have long refused them."""

MS = 1_000_000

_REMEMBERED = 512
_REMEMBERED_BYTES = 1_024  # of fields; more is read afresh

_FIELDS = re.compile(rb"\r\n(host|referer|user-agent|x-request-id):[ \t]*([^\r\n]*)", re.IGNORECASE)
_UNPRINTABLE = re.compile(rb"[^ -~]")
_UNQUOTABLE = re.compile(rb"[^ !#-\[\]-~]")

_REQUEST = (
    b'{"time":"%b.%03dZ"%b%b,"method":"%b","path":"%b"%b,"status":%d,"bytes_in":%d,"bytes_out":%d,"duration":%d.%06d}\n'
)

_encode = msgspec.json.encode


class Who(NamedTuple):
    """
    Whose line it is; made by `who_is`.

    Args:
        client: Address; `-` for none.
        members: What JSON says of it.
    """

    client: bytes
    members: bytes


def who_is(client: str, peer: str, listener: str, tls: str) -> Who:
    """
    Return whose lines those of a connection are.

    Args:
        client: Address; `-` for none.
        peer: Address of the socket's other end, where that is a proxy that spoke for the client; else empty.
        listener: Its name.
        tls: Version of the client's TLS; empty for none.
    """
    pairs = (b"client", client), (b"peer", peer), (b"listener", listener), (b"tls", tls)
    members = b"".join(b',"%b":%b' % (name, quote(value.encode())) for name, value in pairs if value)
    return Who(client.encode(), members)


class Answered(NamedTuple):
    """
    What became of a request or a connection.

    Args:
        wall_ns: When it was over; unit ns since the epoch.
        user: Who asked; empty for nobody.
        route: Name of the route.
        target: Address of the target or destination; empty for none.
        status: That the client got; 0 for none.
        bytes_in, bytes_out: On the client's side.
        duration_ns: How long it took; 0 if unknown.
        reason: Why a request was refused; empty if it was not.
    """

    wall_ns: int
    user: str
    route: str
    target: str
    status: int
    bytes_in: int
    bytes_out: int
    duration_ns: int
    reason: str = ""


def escape(data: bytes) -> bytes:
    """Return what may stand between double quotes: at most VALUE_BYTES of the data, with the rest of bytes as \\xXX."""
    if _UNQUOTABLE.search(data) is None and len(data) <= VALUE_BYTES:
        return data
    return _UNQUOTABLE.sub(lambda found: b"\\x%02X" % found[0][0], data[:VALUE_BYTES])


def quote(data: bytes) -> bytes:
    """Return data as a JSON string, its quotes with it."""
    if _UNQUOTABLE.search(data) is None and len(data) <= VALUE_BYTES:
        return b'"%b"' % data
    return _encode(_UNPRINTABLE.sub(lambda found: b"\\x%02X" % found[0][0], data[:VALUE_BYTES]).decode("ascii"))


def json_request(who: Who, head: bytes, answered: Answered, *, query: bool) -> bytes:
    """
    Return the line of a request as JSON.

    Args:
        who: Whose request it was.
        head: As it came; empty if none came whole.
        answered: What became of it.
        query: Whether the query of the path is told.
    """
    if head.startswith(b"\r\n"):
        head = head[2:]
    end = head.find(b"\r\n")
    line, lines = (head[:end], head[end:]) if end >= 0 else (head, b"")
    method, _, path = line.partition(b" ")
    path = path.rpartition(b" ")[0]
    if not query:
        path = path.partition(b"?")[0]
    if len(line) > VALUE_BYTES or _UNQUOTABLE.search(line) is not None:
        method, path = quote(method)[1:-1], quote(path)[1:-1]
    wall, took = answered.wall_ns, answered.duration_ns
    said = _fields_of(lines, query)
    if answered.reason:
        said += b',"reason":"%b"' % answered.reason.encode()
    return _REQUEST % (
        _second(wall // NS), wall // MS % 1_000, who.members,
        _where(answered.user, answered.route, answered.target), method, path, said, answered.status,
        answered.bytes_in, answered.bytes_out, took // NS, took % NS // 1_000,
    )  # fmt: skip


def json_connection(who: Who, answered: Answered, ended_by: str, phase: str, reason: str) -> bytes:
    """Return the line of a connection that has ended, as JSON: whose it was, what it moved, and its outcome."""
    outcome = b'"%b","phase":"%b"' % (ended_by.encode(), phase.encode())
    outcome += b',"reason":"%b"' % reason.encode() if reason else b""
    wall = answered.wall_ns
    return b'{"time":"%b.%03dZ"%b%b,"ended_by":%b%b}\n' % (
        _second(wall // NS), wall // MS % 1_000, who.members, _where(answered.user, answered.route, answered.target),
        outcome, _amounts(answered),
    )  # fmt: skip


def json_refused(wall_ns: int, reasons: Mapping[str, int]) -> bytes:
    """Return the line of clients that were refused and have no line of their own, as JSON: how many, by reason."""
    by_reason = b",".join(b'"%b":%d' % (reason.encode(), count) for reason, count in reasons.items())
    total = sum(reasons.values())
    return b'{"time":"%b.%03dZ","refused":%d,"reasons":{%b}}\n' % (
        _second(wall_ns // NS), wall_ns // MS % 1_000, total, by_reason,
    )  # fmt: skip


def combined(who: Who, head: bytes, answered: Answered, *, query: bool) -> bytes:
    """Return the line of a request in the combined format of NCSA, Apache and nginx; arguments as `json_request`."""
    line, end, lines = head.removeprefix(b"\r\n").partition(b"\r\n")
    if not query:
        line = _without_query(line)
    _, referer, agent, _ = _concerning(end + lines)
    referer = referer if query else _path(referer, query)
    user = escape(answered.user.encode()).replace(b" ", b"\\x20") or b"-"
    return b'%b - %b [%b] "%b" %03d %d "%b" "%b"\n' % (
        who.client, user, _ncsa(answered.wall_ns // NS), escape(line) or b"-", answered.status,
        answered.bytes_out, escape(referer) or b"-", escape(agent) or b"-",
    )  # fmt: skip


def _path(target: bytes, query: bool) -> bytes:
    return target if query else target.partition(b"?")[0]


def _without_query(line: bytes) -> bytes:
    target, space, version = line.rpartition(b" ")
    if not version.startswith(b"HTTP/"):  # no request line: who knows where its query ends
        return line.partition(b"?")[0]
    return target.partition(b"?")[0] + space + version


@lru_cache(8)
def _second(second: int) -> bytes:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()


@lru_cache(8)
def _ncsa(second: int) -> bytes:
    when = datetime.fromtimestamp(second, UTC)
    return b"%02d/%b/%b" % (when.day, _MONTHS[when.month - 1], when.strftime("%Y:%H:%M:%S +0000").encode())


_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")


@lru_cache(_REMEMBERED)
def _where(user: str, route: str, target: str) -> bytes:
    told = b',"user":' + quote(user.encode()) if user else b""
    told += b',"route":' + quote(route.encode())
    return told + b',"target":' + quote(target.encode()) if target else told


def _amounts(answered: Answered) -> bytes:
    duration = answered.duration_ns
    return b',"bytes_in":%d,"bytes_out":%d,"duration":%d.%06d' % (
        answered.bytes_in, answered.bytes_out, duration // NS, duration % NS // 1_000,
    )  # fmt: skip


def _concerning(lines: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    return _fields(lines) if len(lines) <= _REMEMBERED_BYTES else _fields.__wrapped__(lines)


def _fields_of(lines: bytes, query: bool) -> bytes:
    return _said(lines, query) if len(lines) <= _REMEMBERED_BYTES else _said.__wrapped__(lines, query)


@lru_cache(_REMEMBERED)
def _fields(lines: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Return Host, Referer, User-Agent and X-Request-Id; empty for none, the first of several."""
    found: dict[bytes, bytes] = {}
    for name, value in _FIELDS.findall(lines[: lines.find(b"\r\n\r\n") + 2] if b"\r\n\r\n" in lines else lines):
        found.setdefault(name.lower(), value.rstrip(b" \t")[: VALUE_BYTES + 1])
    return (
        found.get(b"host", b""), found.get(b"referer", b""), found.get(b"user-agent", b""),
        found.get(b"x-request-id", b""),
    )  # fmt: skip


@lru_cache(_REMEMBERED)
def _said(lines: bytes, query: bool) -> bytes:
    """Return what the fields of a request say, as members of JSON."""
    host, referer, agent, number = _concerning(lines)
    pairs = (b"host", host), (b"referer", _path(referer, query)), (b"user_agent", agent), (b"request_id", number)
    return b"".join(b',"%b":%b' % (name, quote(value)) for name, value in pairs if value)
