"""What the proxy answers by itself. Every text is ours: nothing that a client sent comes back, except to a TRACE."""

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
"""The answer to CONNECT; no length and no coding may stand in it (RFC 9110 section 9.3.6)."""

_REASONS = {
    400: "Bad Request",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    413: "Content Too Large",
    414: "URI Too Long",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
    508: "Loop Detected",
}

_CLOSE = "Connection: close\r\n"
_CHALLENGE = 'Proxy-Authenticate: Basic realm="penstock", charset="UTF-8"\r\n'  # RFC 7617 section 2.1


def refusal(status: int, detail: str, *, close: bool, head_only: bool = False) -> bytes:
    """
    Return an answer that says why there is no other.

    Args:
        status: One of 400, 407, 408, 413, 414, 431, 501, 502, 503, 504, 505 and 508.
        detail: One line for a human.
        close: Whether the connection ends with it.
        head_only: Whether the request was a HEAD, whose answer has no body.
    """
    body = f"penstock: {detail}\n".encode("ascii", "replace")
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\n"
        f"Content-Type: text/plain; charset=us-ascii\r\nContent-Length: {len(body)}\r\n"
        f"Cache-Control: no-store\r\n"  # 414 and 501 may be cached without it (RFC 9110 section 15.1)
        f"{_CHALLENGE if status == 407 else ''}{_CLOSE if close else ''}\r\n"
    ).encode()
    return head if head_only else head + body


def options(*, close: bool) -> bytes:
    """Return the answer to an OPTIONS that asks the proxy itself."""
    allowed = "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, CONNECT, OPTIONS, TRACE\r\n"
    return f"HTTP/1.1 200 OK\r\n{allowed}Content-Length: 0\r\n{_CLOSE if close else ''}\r\n".encode()


def trace(request: bytes, *, close: bool) -> bytes:
    """Return the answer to a TRACE whose last recipient is the proxy: the request as it came (RFC 9110, 9.3.8)."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: message/http\r\nContent-Length: {len(request)}\r\n"
    return f"{head}Cache-Control: no-store\r\n{_CLOSE if close else ''}\r\n".encode() + request
