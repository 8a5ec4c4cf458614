"""What a client is told when its request cannot be taken."""

from penstock.base.errors import RemoteError


class BadRequest(RemoteError):  # noqa: N818 - it is what the client gets, and RFC 9110 calls it so
    """
    A request that is refused before anybody else hears of it.

    Args:
        status: Status code to answer: 400, 405, 407, 414, 431, 501 or 505.
        detail: One line for log and client; it never repeats the client's bytes.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail
