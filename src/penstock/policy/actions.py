"""What a handler is told of a connection or request, and what it may say should become of it."""

from msgspec import Struct


class Facts(Struct, frozen=True, kw_only=True):
    """
    What a handler decides by. What is not known is empty, or 0.

    Args:
        client: IP address; `-` on a Unix socket. The one that a trusted PROXY header tells, if there was one.
        client_port: Its port.
        listener: Name of the listener.
        route: Name of the route whose handler it is.
        host: Name in TLS, Host header, or the host that the client of a forward proxy asked for.
        port: Port that was asked for; the listener's where none was.
        path: Of an HTTP request, without its query.
        user: Who the client proved to be.
        destination: Host and port that the client of a forward proxy asked for, as `host:port`.
        server_name: Name that was asked for in TLS.
        tls_version: Highest that the client offers, as `1.3`.
        method: Of an HTTP request; empty where none is decided.
        fields: Of an HTTP request, as (name in lower case, value), in their order.
    """

    client: str = "-"
    client_port: int = 0
    listener: str = ""
    route: str = ""
    host: str = ""
    port: int = 0
    path: str = ""
    user: str = ""
    destination: str = ""
    server_name: str = ""
    tls_version: str = ""
    method: str = ""
    fields: tuple[tuple[str, str], ...] = ()

    def field(self, name: str) -> str:
        """Return the first value of a field; empty if there is none."""
        name = name.lower()
        return next((value for each, value in self.fields if each == name), "")


class Forward:
    """
    Send it there.

    Args:
        to: A target as `host:port`, or the name of a route; of several, the first that can be reached.
    """

    __slots__ = ("to",)

    def __init__(self, *to: str) -> None:
        self.to = to

    def __repr__(self) -> str:
        return f"Forward({', '.join(map(repr, self.to))})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Forward) and self.to == other.to

    def __hash__(self) -> int:
        return hash(self.to)


class Redirect(Struct, frozen=True):
    """
    Answer an HTTP request with another address.

    Args:
        location: URL or path.
        status: 301, 302, 303, 307 or 308.
    """

    location: str
    status: int = 302


class Answer(Struct, frozen=True):
    """
    Answer an HTTP request here.

    Args:
        status: 200 to 599.
        body: What it says.
        content_type: And of what type that is.
    """

    status: int = 200
    body: str = ""
    content_type: str = "text/plain; charset=utf-8"


class Block(Struct, frozen=True):
    """
    Refuse it.

    Args:
        why: For the log; clients do not see it.
    """

    why: str = ""


Action = Forward | Redirect | Answer | Block | bool | None
"""What a handler returns. None and True leave it to the route's own targets, False refuses."""
