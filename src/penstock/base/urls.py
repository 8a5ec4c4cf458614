"""Addresses of HTTP servers that we send to. A login may stand in them, and is never shown."""

from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from penstock.base.errors import AddressError

URL_CHARACTERS = 2_048
"""Longest URL; the sitemap protocol and old browsers draw the line near there, and no endpoint's is as long."""

SCHEMES = {"http": 80, "https": 443}
"""Default port by scheme; RFC 9110 sections 4.2.1 and 4.2.2."""


class Url(NamedTuple):
    """
    One URL, taken apart. Printed, it shows neither its login nor its query, where services put keys.

    Args:
        scheme: http or https.
        host: Name or IP address, without brackets.
        port: 1 to 65535.
        path: With the query; begins with a slash.
        user, password: Decoded; empty if there is no login.
    """

    scheme: str
    host: str
    port: int
    path: str
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"Url({str(self)!r})"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == SCHEMES[self.scheme] else f":{self.port}"
        path, asks, _ = self.path.partition("?")
        login, query = "***@" if self.user or self.password else "", "?***" if asks else ""
        return f"{self.scheme}://{login}{host}{port}{path}{query}"


def parse_url(text: str) -> Url:
    """
    Return a URL, taken apart.

    Args:
        text: `http://host/path` or https; a port, a query, and `user:password@` before the host may be there.

    Raises:
        AddressError: If it is anything else. The message holds no part of the text: it could be a password.
    """
    if len(text) > URL_CHARACTERS:
        raise AddressError(f"a URL has at most {URL_CHARACTERS} characters")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise AddressError("a URL is printable ASCII without spaces; write others as %XX")
    try:
        parts = urlsplit(text)
        port, user, password = parts.port, parts.username or "", parts.password or ""
    except ValueError:
        raise AddressError("is no URL: its host or its port cannot be read") from None
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise AddressError("a URL begins with http:// or https:// and a host")
    if port == 0:
        raise AddressError("a port is from 1 to 65535")
    if parts.fragment:
        raise AddressError("a URL to send to has no #fragment")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Url(parts.scheme, parts.hostname, port or SCHEMES[parts.scheme], path, unquote(user), unquote(password))


def shown_url(text: str) -> str:
    """Return a URL as logs may show it, without login and query; `***` if it is none."""
    try:
        return str(parse_url(text))
    except AddressError:
        return "***"
