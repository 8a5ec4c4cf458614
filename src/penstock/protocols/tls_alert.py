"""What a TLS client is told when its handshake cannot be taken (RFC 8446 section 6)."""

from enum import IntEnum

from penstock.base.errors import RemoteError


class Alert(IntEnum):
    """AlertDescription, RFC 8446 section 6.2: those that a first flight can earn before anybody has a certificate."""

    UNEXPECTED_MESSAGE = 10
    RECORD_OVERFLOW = 22
    ILLEGAL_PARAMETER = 47
    DECODE_ERROR = 50
    PROTOCOL_VERSION = 70
    UNRECOGNIZED_NAME = 112


class TlsError(RemoteError):
    """
    A handshake that is refused.

    Args:
        alert: What the client is told.
        detail: One line for the log; it repeats none of the client's bytes.
    """

    def __init__(self, alert: Alert, detail: str) -> None:
        super().__init__(detail)
        self.alert = alert


def serialize_alert(alert: Alert) -> bytes:
    """Return the record of a fatal alert, in the version that every record but a client's first has (section 5.1)."""
    return b"\x15\x03\x03\0\x02\x02%c" % alert
