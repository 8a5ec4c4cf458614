"""What the proxy before us knows of its client's TLS: the value of a piece of type SSL (section 2.2.6)."""

from struct import Struct
from typing import NamedTuple

from penstock.protocols.proxy_header.tlv import Tlv, join_tlvs, printable, split_tlvs

VERSION, COMMON_NAME, CIPHER, SIGNATURE, KEY = 0x21, 0x22, 0x23, 0x24, 0x25
"""Types of the pieces within."""

OVER_TLS, CERTIFICATE_HERE, CERTIFICATE_IN_SESSION = 0x01, 0x02, 0x04
"""Bits of `client`: TLS at all; a certificate over this connection; one at least once in its session."""

_HEAD = Struct("!BI")


class TlsInfo(NamedTuple):
    """
    The client's TLS.

    Args:
        client: OVER_TLS, CERTIFICATE_HERE and CERTIFICATE_IN_SESSION, as they apply.
        verify: 0 if the client's certificate was verified.
        version: Such as `TLSv1.3`.
        common_name: Of the client's certificate.
        cipher: Such as `ECDHE-RSA-AES128-GCM-SHA256`.
        signature: Algorithm that signed the proxy's certificate, such as `RSA-SHA256`.
        key: Of the proxy's certificate, such as `RSA2048`.
    """

    client: int
    verify: int
    version: str | None = None
    common_name: str | None = None
    cipher: str | None = None
    signature: str | None = None
    key: str | None = None


def parse_tls(value: bytes) -> TlsInfo | None:
    """
    Return what the value says, or None if it is malformed. Pieces of unknown types are passed over.

    Args:
        value: Of a piece of type SSL.
    """
    pieces = split_tlvs(value, _HEAD.size, len(value)) if len(value) >= _HEAD.size else None
    if pieces is None:
        return None
    texts: dict[int, str] = {}
    for kind, raw in pieces:
        if VERSION <= kind <= KEY:
            text = printable(raw)
            if text is None:
                return None
            texts.setdefault(kind, text)
    return TlsInfo(*_HEAD.unpack_from(value), *map(texts.get, range(VERSION, KEY + 1)))


def serialize_tls(info: TlsInfo) -> bytes:
    """Return the value of a piece of type SSL."""
    texts = zip(range(VERSION, KEY + 1), info[2:], strict=True)
    return _HEAD.pack(info.client, info.verify) + join_tlvs(
        Tlv(kind, text.encode()) for kind, text in texts if text is not None
    )
