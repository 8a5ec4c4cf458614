"""Basic credentials (RFC 7617), as Proxy-Authorization carries them."""

from base64 import b64decode, b64encode
from binascii import Error

_LONGEST = 1_024  # characters; RFC 1929 allows 255 bytes each for name and password, base64 adds a third


def parse_basic(value: bytes) -> tuple[bytes, bytes] | None:
    """
    Return user and password, which are UTF-8 where the client keeps to our challenge.

    Args:
        value: Of Proxy-Authorization, such as `Basic dXNlcjpwYXNz`.

    Returns:
        None if it is another scheme, or malformed: to the client both mean that it has not logged in.
    """
    scheme, _, encoded = value.partition(b" ")
    if scheme.lower() != b"basic" or len(encoded) > _LONGEST:
        return None
    try:
        text = b64decode(encoded.strip(b" "), validate=True)
    except Error:
        return None
    user, colon, password = text.partition(b":")
    return (user, password) if colon else None


def serialize_basic(user: str, password: str) -> bytes:
    """Return the value of Proxy-Authorization for a user without a colon in the name."""
    return b"Basic " + b64encode(f"{user}:{password}".encode())
