"""What the proxy answers by itself. Every text is ours: nothing that a client sent comes back, except to a TRACE."""

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
"""The answer to CONNECT; no length and no coding may stand in it (RFC 9110 section 9.3.6)."""

_REASONS = {
    200: "OK",
    201: "Created",
    202: "Accepted",
    204: "No Content",
    205: "Reset Content",
    206: "Partial Content",
    301: "Moved Permanently",
    302: "Found",
    303: "See Other",
    304: "Not Modified",
    307: "Temporary Redirect",
    308: "Permanent Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    409: "Conflict",
    410: "Gone",
    413: "Content Too Large",
    414: "URI Too Long",
    421: "Misdirected Request",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
    508: "Loop Detected",
}

_CLOSE = "Connection: close\r\n"
_ALLOWS = "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
_CHALLENGES = {
    401: 'WWW-Authenticate: Basic realm="penstock", charset="UTF-8"\r\n',  # RFC 7617 section 2.1
    407: 'Proxy-Authenticate: Basic realm="penstock", charset="UTF-8"\r\n',
}


def refusal(status: int, detail: str, *, close: bool, head_only: bool = False, wait: int = 0) -> bytes:
    """
    Return an answer that says why there is no other.

    Args:
        status: One of 400, 401, 403, 404, 405, 407, 408, 413, 414, 429, 431, 501, 502, 503, 504, 505 and 508.
        detail: One line for a human.
        close: Whether the connection ends with it.
        head_only: Whether the request was a HEAD, whose answer has no body.
        wait: After which time it may be asked again (RFC 9110 section 10.2.3); unit s, 0 to leave that out.
    """
    again = f"Retry-After: {wait}\r\n" if wait else ""
    body = f"penstock: {detail}\n".encode("ascii", "replace")
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\n"
        f"Content-Type: text/plain; charset=us-ascii\r\nContent-Length: {len(body)}\r\n"
        f"Cache-Control: no-store\r\n"  # 414 and 501 may be cached without it (RFC 9110 section 15.1)
        f"{_CHALLENGES.get(status, '')}{_ALLOWS if status == 405 else ''}{again}{_CLOSE if close else ''}\r\n"
    ).encode()
    return head if head_only else head + body


def redirect(status: int, location: str, *, close: bool) -> bytes:
    """
    Return an answer that sends the client elsewhere.

    Args:
        status: 301, 302, 303, 307 or 308.
        location: URL; visible ASCII.
        close: Whether the connection ends with it.
    """
    head = f"HTTP/1.1 {status} {_REASONS[status]}\r\nLocation: {location}\r\nContent-Length: 0\r\n"
    return f"{head}{_CLOSE if close else ''}\r\n".encode("ascii")


def fixed(status: int, body: str, content_type: str, *, close: bool, head_only: bool = False) -> bytes:
    """
    Return the answer that a route gives by itself.

    Args:
        status: 200 to 599.
        body: Text.
        content_type: Of the body.
        close: Whether the connection ends with it.
        head_only: Whether the request was a HEAD.
    """
    content = b"" if status in (204, 304) else body.encode()
    length = "" if status in (204, 304) else f"Content-Length: {len(content)}\r\nContent-Type: {content_type}\r\n"
    head = f"HTTP/1.1 {status} {_REASONS.get(status, '')}\r\n{length}{_CLOSE if close else ''}\r\n".encode()
    return head if head_only else head + content


def options(*, close: bool) -> bytes:
    """Return the answer to an OPTIONS that asks the proxy itself."""
    allowed = "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, CONNECT, OPTIONS, TRACE\r\n"
    return f"HTTP/1.1 200 OK\r\n{allowed}Content-Length: 0\r\n{_CLOSE if close else ''}\r\n".encode()


def trace(request: bytes, *, close: bool) -> bytes:
    """Return the answer to a TRACE whose last recipient is the proxy: the request as it came (RFC 9110, 9.3.8)."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: message/http\r\nContent-Length: {len(request)}\r\n"
    return f"{head}Cache-Control: no-store\r\n{_CLOSE if close else ''}\r\n".encode() + request
