"""The PROXY header that a target gets: who the client is, where it came to, and what else is known of it."""

from functools import lru_cache
from typing import TYPE_CHECKING

from penstock.base.addresses import Endpoint, unmap
from penstock.base.bounds import LISTENERS, PROXY_V2_BYTES
from penstock.metrics.ledger import PORT
from penstock.protocols.proxy_header import tlv
from penstock.protocols.proxy_header.header import describe
from penstock.protocols.proxy_header.sender import Sender
from penstock.protocols.proxy_header.tls import (
    CERTIFICATE_HERE,
    CERTIFICATE_IN_SESSION,
    OVER_TLS,
    TlsInfo,
    serialize_tls,
)
from penstock.protocols.proxy_header.tlv import Tlv
from penstock.protocols.proxy_header.v2 import serialize_v2

if TYPE_CHECKING:
    from penstock.dataplane.connection import Connection
    from penstock.dataplane.tls import TlsSocket

VERSIONS = {"v1": 1, "v2": 2}

LEARNED = (tlv.AUTHORITY, tlv.ALPN, tlv.SSL)
"""What we know better than who came before us, where TLS ends here."""

UNVERIFIED = 1
"""Of a client without a certificate (proxy-protocol.txt section 2.2.6)."""


def header_of(connection: "Connection") -> bytes:
    """Return the header that the connection's target gets; empty where it gets none."""
    aimed = connection.aimed
    version = VERSIONS.get(connection.route.plan.header_for(None if aimed is None else aimed.plan))
    if version is None:
        return b""
    port, proxied = connection.worker.words[connection.row + PORT] & 0xFFFF, connection.proxied
    destination = connection.listener.address if proxied is None else proxied.destination
    if destination is None:
        destination = _came_to(connection)
    if version == 2 and (proxied is not None or connection.secure is not None):
        tlvs = _known(connection)
        if tlvs:
            return _with_tlvs(Endpoint(connection.host, port), destination, tlvs)
    return _sender(destination, version).serialize(connection.host, port)


def greet(connection: "Connection") -> None:
    """
    Put the header in front of what the client has said, so that both go out in one piece when the relay begins.

    A client that is to speak first has mostly done so by now, though nobody has heard of it yet: asking costs less than
    a second piece does here and at the target, if there is something.
    """
    header = header_of(connection)
    if not header:
        return
    client, inbox = connection.client, connection.inbox
    if inbox.leaves:
        inbox.decided()
    if connection.secure is None and connection.shaped is None and not client.eof and not inbox.data:
        inbox.listen()
        if not connection.row:
            return
    inbox.data = header + inbox.data


def _came_to(connection: "Connection") -> Endpoint:
    """Return where the client's socket is, at a listener of many addresses."""
    address = connection.client.sock.getsockname()
    return Endpoint(unmap(address[0]), address[1]) if type(address) is tuple else Endpoint("-", 0)


@lru_cache(LISTENERS)
def _sender(destination: Endpoint, version: int) -> Sender:
    return Sender(destination, version)


def _known(connection: "Connection") -> tuple[Tlv, ...]:
    """Return what was told of the client, and what we have learned ourselves where we terminate its TLS."""
    told = () if connection.proxied is None else connection.proxied.tlvs
    secure = connection.secure
    if secure is None:
        return told
    learned = []
    if secure.asked:
        learned.append(Tlv(tlv.AUTHORITY, secure.asked.encode()))
    if secure.alpn:
        learned.append(Tlv(tlv.ALPN, secure.alpn.encode()))
    learned.append(Tlv(tlv.SSL, serialize_tls(_tls_of(secure))))
    return (*learned, *(each for each in told if each.kind not in LEARNED))


def _tls_of(secure: "TlsSocket") -> TlsInfo:
    """Return what a target is told of the TLS that ends here; a certificate that is there has been verified."""
    name = secure.common_name
    if name is None:
        return TlsInfo(OVER_TLS, UNVERIFIED, secure.version, None, secure.cipher)
    proven = CERTIFICATE_IN_SESSION if secure.resumed else CERTIFICATE_HERE | CERTIFICATE_IN_SESSION
    return TlsInfo(OVER_TLS | proven, 0, secure.version, name or None, secure.cipher)


def _with_tlvs(source: Endpoint, destination: Endpoint, tlvs: tuple[Tlv, ...]) -> bytes:
    header = describe(source, destination, tlvs)
    size = sum(3 + len(each.value) for each in tlvs)
    if size > PROXY_V2_BYTES - 256:  # addresses of Unix sockets and a checksum fit beside them
        header = describe(source, destination)
    return serialize_v2(header)
