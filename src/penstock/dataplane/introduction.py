"""The PROXY header that a target gets: who the client is, where it came to, and what else is known of it."""

from functools import lru_cache
from typing import TYPE_CHECKING

from penstock.base.addresses import Endpoint, unmap
from penstock.base.bounds import LISTENERS, PROXY_V2_BYTES
from penstock.metrics.ledger import PORT
from penstock.protocols.proxy_header import tlv
from penstock.protocols.proxy_header.header import describe
from penstock.protocols.proxy_header.sender import Sender
from penstock.protocols.proxy_header.tlv import Tlv
from penstock.protocols.proxy_header.v2 import serialize_v2

if TYPE_CHECKING:
    from penstock.dataplane.connection import Connection

VERSIONS = {"v1": 1, "v2": 2}


def header_of(connection: "Connection") -> bytes:
    """Return the header that the route's targets get; empty where they get none."""
    version = VERSIONS.get(connection.route.plan.send_proxy)
    if version is None:
        return b""
    source = Endpoint(connection.host, connection.worker.words[connection.row + PORT] & 0xFFFF)
    destination = _came_to(connection)
    tlvs = _known(connection) if version == 2 else ()
    if tlvs:
        return _with_tlvs(source, destination, tlvs)
    return _sender(destination, version).serialize(source)


def _came_to(connection: "Connection") -> Endpoint:
    """Return where the client connected to, as far as anybody has told."""
    proxied = connection.proxied
    if proxied is not None and proxied.destination is not None:
        return proxied.destination
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
    return (*learned, *(each for each in told if each.kind not in (tlv.AUTHORITY, tlv.ALPN)))


def _with_tlvs(source: Endpoint, destination: Endpoint, tlvs: tuple[Tlv, ...]) -> bytes:
    header = describe(source, destination, tlvs)
    size = sum(3 + len(each.value) for each in tlvs)
    if size > PROXY_V2_BYTES - 256:  # addresses of Unix sockets and a checksum fit beside them
        header = describe(source, destination)
    return serialize_v2(header)
