"""Headers for one destination, of which all that never changes is made once."""

from struct import Struct

from penstock.base.addresses import Endpoint, pack_ip
from penstock.protocols.proxy_header import v1, v2
from penstock.protocols.proxy_header.header import Family, Transport, common_family, describe

_IP = (Family.INET, Family.INET6)
_NOTHING = bytes(16)
_MAPPED = bytes(10) + b"\xff\xff"

_INET = Struct(f"!{v2.HEAD_BYTES}s4s4sHH")
_INET6 = Struct(f"!{v2.HEAD_BYTES}s16s16sHH")
_INET_HEAD, _INET6_HEAD = (
    v2.serialize_head(family, Transport.STREAM, form.size - v2.HEAD_BYTES)
    for family, form in ((Family.INET, _INET), (Family.INET6, _INET6))
)


class Sender:
    """
    Writes the headers of clients that came to one address.

    Args:
        destination: Where they came to: IP address and port, or a Unix socket.
        version: 1 or 2.
    """

    __slots__ = ("_destination", "_end", "_ip", "_narrow", "_packed", "_port", "_version")

    def __init__(self, destination: Endpoint, version: int) -> None:
        self._destination, self._version = destination, version
        self._packed, self._port = pack_ip(destination.host), destination.port
        self._end = self._packed[12:]
        self._ip = common_family(destination.host, destination.host) in _IP
        self._narrow = self._packed.startswith(_MAPPED)

    def serialize(self, host: str, port: int) -> bytes:
        """
        Return the header of one client, the same that `describe` and a serializer make.

        Args:
            host, port: Its address. Where one end is IPv4 and the other IPv6, the IPv4 is written as IPv4-mapped.
        """
        packed = pack_ip(host)
        if packed == _NOTHING or not self._ip:
            return self._serialize_rare(Endpoint(host, port))
        narrow = self._narrow and packed.startswith(_MAPPED)
        if self._version == 1:
            return v1.line(Family.INET if narrow else Family.INET6, Endpoint(host, port), self._destination)
        if narrow:
            return _INET.pack(_INET_HEAD, packed[12:], self._end, port, self._port)
        return _INET6.pack(_INET6_HEAD, packed, self._packed, port, self._port)

    def _serialize_rare(self, source: Endpoint) -> bytes:
        header = describe(source, self._destination)
        return v1.serialize_v1(header) if self._version == 1 else v2.serialize_v2(header)
