"""The status of an answer, for who wants to know nothing else of it."""

import re

from penstock.base.errors import RemoteError

STATUS_BYTES = 16_384
"""Read of an answer until its status is known; HAProxy looks for it in one buffer of 16 KiB, too."""

_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: [^\r\n]*)?\r?\n")
_BEGIN = b"HTTP/1."


def parse_status(data: bytes) -> int | None:
    """
    Return the status of the first answer that is final; interim ones (1xx, RFC 9110 section 15.2) are passed over.

    Args:
        data: What was received so far.

    Returns:
        100 to 999; None while it is not all there.

    Raises:
        RemoteError: If it is no HTTP/1 answer, or `STATUS_BYTES` hold no status.
    """
    start = 0
    while found := _LINE.match(data, start):
        status = int(found[1])
        if status >= 200 or status == 101:
            return status
        end = data.find(b"\r\n\r\n", start)
        if end < 0:
            break
        start = end + 4
    if len(data) >= STATUS_BYTES or not (found or _is_begun(data[start:])):
        raise RemoteError("the answer is not HTTP/1")
    return None


def _is_begun(data: bytes) -> bool:
    """Return whether this may become a status line."""
    return b"\n" not in data and data[: len(_BEGIN)] == _BEGIN[: len(data)]
