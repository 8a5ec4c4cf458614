"""How a certificate is, as it is published."""

from typing import Literal

from msgspec import Struct


class CertificateView(Struct, frozen=True):
    """
    A certificate that listeners serve.

    Args:
        name: The first of its names.
        names: Those that it is for.
        source: Whether it comes from `acme` or from a `file` of the operator's.
        file: Where it lies.
        issuer: Who issued it, as in RFC 4514; empty for a self-signed one.
        not_after: When it ends, RFC 3339 in UTC; null while there is none.
        not_after_s: The same in seconds since the epoch; 0 while there is none.
        state: `pending` while a self-signed one stands in for it, else `valid` or `expired`.
        renews_at: When it is got anew, or tried again after a failure; null for a file, which nobody renews.
        last_error: Why the last try brought nothing; empty if none failed since the last success.
    """

    name: str
    names: tuple[str, ...]
    source: Literal["acme", "file"]
    file: str
    issuer: str
    not_after: str | None
    not_after_s: int
    state: Literal["pending", "valid", "expired"]
    renews_at: str | None = None
    last_error: str = ""
