"""What a route is decided by, and what is decided."""

from typing import NamedTuple

from msgspec import Struct

from penstock.config.plan import RoutePlan


class RouteFacts(Struct, frozen=True, kw_only=True):
    """
    What is known of a connection or a request when its route is decided; what is not known stays as it is here.

    Args:
        listener: Number of the listener.
        client: IP address, IPv4-mapped folded; the one that a trusted PROXY header tells, if there was one.
        host: Name in TLS, Host header, or the host that the client of a forward proxy asked for.
        port: Port that was asked for; the listener's where none was.
        path: Of an HTTP request, without query.
        user: Who the client proved to be.
        destination: Host that the client of a forward proxy asked for.
        destination_port: And its port.
        tls_version: Highest that the client offers, such as 0x0304; 0 without TLS.
        sni: Whether it asked for a name in TLS.
    """

    listener: int
    client: str = "-"
    host: str = ""
    port: int = 0
    path: str = ""
    user: str = ""
    destination: str = ""
    destination_port: int = 0
    tls_version: int = 0
    sni: bool = False


class Decision(NamedTuple):
    """
    Which route it is.

    Args:
        route: The route.
        why: What of its match decided, for people.
    """

    route: RoutePlan
    why: str
