"""
What a target of reverse HTTP gets: the client's request, with what the route changes and where it came from. And what
the route changes in answers.
"""

from collections.abc import Iterable

from penstock.base.bounds import REWRITE_BYTES, REWRITES_REMEMBERED
from penstock.config.plan import RoutePlan
from penstock.protocols.http1.changes import AnswerChanges, Paths
from penstock.protocols.http1.fields import VIA, VIA_1_0, without
from penstock.protocols.http1.origin import OriginRequest
from penstock.protocols.http1.paths import spelled, split_query, without_prefix

FORWARDING = frozenset(
    (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto", b"x-real-ip")
)
"""Fields by which proxies say who asked: a client that says them itself is not believed."""

_FOR = b"\r\nx-forwarded-for:"


_PORTS = {"http": 80, "https": 443}


def answer_changes(route: RoutePlan) -> AnswerChanges | None:
    """Return what a route changes in answers; None for nothing."""
    rewrite = route.rewrite
    removed = frozenset(
        name.lower().encode() for name in (*rewrite.remove_response, *(name for name, _ in rewrite.set_response))
    )
    moves = bool(rewrite.strip_prefix or rewrite.add_prefix or rewrite.host)
    if not removed and not moves:
        return None
    paths = Paths(_places(route), rewrite.strip_prefix.encode(), rewrite.add_prefix.encode()) if moves else None
    return AnswerChanges(removed, _fields(rewrite.set_response)[2:] + b"\r\n" if rewrite.set_response else b"", paths)


def _places(route: RoutePlan) -> frozenset[bytes]:
    """Return how the route's targets begin URLs of their own, as they are spoken with."""
    scheme = "http" if route.target_tls is None else "https"
    places = {route.rewrite.host} if route.rewrite.host else set()
    for target in route.targets:
        host = f"[{target.host}]" if ":" in target.host else target.host
        places.add(f"{host}:{target.port}")
    usual = f":{_PORTS[scheme]}"
    places |= {place.removesuffix(usual) for place in places} | {place + usual for place in places if _portless(place)}
    return frozenset(f"{scheme}://{place}".lower().encode() for place in places)


def _portless(place: str) -> bool:
    return ":" not in place.rpartition("]")[2]


class Rewriter:
    """
    Makes heads for the targets of one route on behalf of one client.

    Args:
        route: What it changes.
        client: The client's address; `-` for none.
        scheme: `http` or `https`, as the client speaks it.
        port: That it was asked at.
        trusted: Whether the client is a proxy that is believed: its own words are kept, and ours follow them.

    A client repeats its fields from request to request, so what became of them is remembered.
    """

    def __init__(self, route: RoutePlan, client: str, scheme: str, port: int, *, trusted: bool = False) -> None:
        self.route, self._client, self._scheme, self._port = route, client, scheme, port
        self._trusted = trusted
        rewrite = route.rewrite
        self._removed = frozenset(
            _plain(name.encode()) for name in (*rewrite.remove_request, *(name for name, _ in rewrite.set_request))
        )
        if not trusted and rewrite.forwarded != "off":
            self._removed |= FORWARDING
        self._added = _fields(rewrite.set_request)
        self._stripped = spelled(rewrite.strip_prefix.encode()).rstrip(b"/")
        self._known: dict[tuple[bytes, bytes], bytes] = {}

    def head(self, request: OriginRequest) -> bytes:
        """Return the head of a request as the target gets it."""
        key = request.authority, request.lines
        lines = self._known.get(key)
        if lines is None or request.http_1_0:
            lines = self._lines(request)
            if len(self._known) >= REWRITES_REMEMBERED:
                self._known.clear()
            if not request.http_1_0 and len(lines) <= REWRITE_BYTES:
                self._known[key] = lines
        target = request.target
        if self.route.rewrite.strip_prefix or self.route.rewrite.add_prefix:
            target = self._moved(target)
        return b"".join((request.method, b" ", target, lines))

    def _moved(self, target: bytes) -> bytes:
        """Return the path under another beginning."""
        rewrite = self.route.rewrite
        if target == b"*":
            return target
        path, query = split_query(target)
        rest = without_prefix(path, self._stripped) if self._stripped else None
        return rewrite.add_prefix.encode().rstrip(b"/") + ((path if rest is None else rest) or b"/") + query

    def _lines(self, request: OriginRequest) -> bytes:
        rewrite = self.route.rewrite
        host = rewrite.host.encode() or request.authority
        lines = request.lines
        if self._removed:
            lines = without(lines, self._removed)
            if b"_" in lines:
                lines = _without_underscored(lines, self._removed)
        via = VIA_1_0 if request.http_1_0 else VIA
        return b"".join(
            (b" HTTP/1.1\r\nHost: ", host, self._forwarded(request, lines), self._added, b"\r\n", via, b"\r\n")
        )

    def _forwarded(self, request: OriginRequest, lines: bytes) -> bytes:
        """Return the fields that go on, with those that say who asked."""
        style = self.route.rewrite.forwarded
        if style == "off" or self._client == "-":
            return lines
        client, scheme, host = self._client.encode(), self._scheme.encode(), request.authority
        if style in ("x-forwarded", "both"):
            told = lines.lower() if self._trusted else b""
            lines = _appended(lines, client) if _FOR in told else lines + b"\r\nX-Forwarded-For: " + client
            for name, value in ((b"Proto", scheme), (b"Port", b"%d" % (request.port or self._port)), (b"Host", host)):
                if value and b"\r\nx-forwarded-%b:" % name.lower() not in told:
                    lines += b"\r\nX-Forwarded-%b: %b" % (name, value)
        if style in ("forwarded", "both"):
            node = b'"[%b]"' % client if b":" in client else client
            named = b';host="%b"' % host if host else b""
            lines += b"\r\nForwarded: for=%b;proto=%b%b" % (node, scheme, named)
        return lines


def _plain(name: bytes) -> bytes:
    """Return a field's name as CGI and WSGI tell names apart: there X_Real_IP is X-Real-IP."""
    return name.lower().replace(b"_", b"-")


def _without_underscored(lines: bytes, names: frozenset[bytes]) -> bytes:
    """Return the fields without those that an application would take for one of these."""
    first, *rest = lines.split(b"\r\n")
    return b"\r\n".join([first, *(line for line in rest if _plain(line.partition(b":")[0]) not in names)])


def _appended(lines: bytes, client: bytes) -> bytes:
    """Return the fields with a client appended to the last X-Forwarded-For."""
    at = lines.lower().rindex(_FOR)
    end = lines.find(b"\r\n", at + 2)
    end = len(lines) if end < 0 else end
    return lines[:end] + b", " + client + lines[end:]


def _fields(pairs: Iterable[tuple[str, str]]) -> bytes:
    return b"".join(b"\r\n%b: %b" % (name.encode(), value.encode()) for name, value in pairs)
