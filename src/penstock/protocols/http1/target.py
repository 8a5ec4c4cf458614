"""The request-target of a request to a forward proxy (RFC 9112 section 3.2), which is absolute-form but for CONNECT."""

import re
from functools import lru_cache

from penstock.base.errors import RemoteError
from penstock.protocols.hostname import parse_hostname
from penstock.protocols.http1.errors import BadRequest

# Userinfo is refused (RFC 9110 section 4.2.4), and so is all of RFC 3986's reg-name that no resolver can be asked for.
_AUTHORITY = re.compile(rb"(?:([^:@\[\]]+)|\[([^@\[\]]*:[^@\[\]]*)\])(?::([0-9]{0,5}))?")

_HTTP_URL = re.compile(rb"(?i:http)://([^/?#]*)([^#]*)")

_REMEMBERED = 4_096  # authorities are short, and clients come back to the same ones


@lru_cache(_REMEMBERED)
def parse_authority(authority: bytes, default_port: int) -> tuple[str, int]:
    """
    Return host and port.

    Args:
        authority: `host`, `host:port`, `[ipv6]` or `[ipv6]:port`.
        default_port: Where none is given or it is empty; 0 if one must be given.

    Returns:
        The host without brackets, letters in lower case; a port from 1 to 65535.

    Raises:
        BadRequest: 400, if it is none of these.
    """
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise BadRequest(400, "host and port are malformed")
    name, ipv6, digits = match.groups()
    try:
        host = parse_hostname(name or ipv6).lower()
    except RemoteError as error:
        raise BadRequest(400, str(error)) from None
    port = int(digits) if digits else default_port
    if not 0 < port < 65_536:
        raise BadRequest(400, "a port from 1 to 65535 is needed")
    return host, port


def split_target(target: bytes) -> tuple[bytes, bytes]:
    """
    Return authority, and path with query, of an absolute-form request-target.

    Args:
        target: As llhttp has accepted it: no space, no control character.

    Returns:
        The authority, not judged yet; the path, which is `/` where the target has none.

    Raises:
        BadRequest: 400, if it is no absolute URL; 501, if it is one of another scheme than http.
    """
    match = _HTTP_URL.fullmatch(target)
    if match is None:
        raise _refusal(target)
    authority, path = match.groups()
    return authority, path if path.startswith(b"/") else b"/" + path


def _refusal(target: bytes) -> BadRequest:
    scheme, found, _ = target.partition(b"://")
    if target.startswith(b"/") or not found:
        return BadRequest(400, "this is a proxy: it wants an absolute URL, as in GET http://example.com/ HTTP/1.1")
    if scheme.lower() == b"http":
        return BadRequest(400, "a fragment has no place in a request-target")
    # 501 and not 400: the URL is sound, but to fetch it the proxy would have to speak TLS or FTP for the client.
    return BadRequest(501, "only http:// URLs are fetched; for anything else open a tunnel with CONNECT")
