"""Kinds of value of the way to a target: names and lists of TLS, and the URL of a parent."""

import re
from typing import Any
from urllib.parse import unquote, urlsplit

from penstock.base.addresses import Endpoint, is_ip
from penstock.config.kinds import ADDRESS_CHARACTERS, Kind, Login, TargetAddress, is_text
from penstock.config.mistakes import Wrong

CIPHERS_CHARACTERS = 1_024
"""Longest list of ciphers; Mozilla's old one, which names thirty of them, has 800."""

PARENTS = ("socks5", "http", "https")

_PARENT = '"socks5://user:password@proxy.example:1080"'


class Protocol(Kind):
    """An application protocol of ALPN (RFC 7301), such as `http/1.1`."""

    def parse(self, value: Any) -> str:
        """Return the name."""
        if not is_text(value) or not re.fullmatch(r"[!-~]{1,255}", value, re.ASCII):
            raise Wrong("a protocol is 1 to 255 printable characters of ASCII", '"http/1.1"')
        return str(value)

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "minLength": 1, "maxLength": 255}


class Ciphers(Kind):
    """OpenSSL's list of ciphers for TLS 1.2."""

    def parse(self, value: Any) -> str:
        """Return the list as written."""
        if not is_text(value) or len(value) > CIPHERS_CHARACTERS or not re.fullmatch(r"[A-Za-z0-9_:+!@=,. -]+", value):
            raise Wrong("must be OpenSSL's names of ciphers with colons between", '"ECDHE+AESGCM:ECDHE+CHACHA20"')
        return str(value)

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "minLength": 1, "maxLength": CIPHERS_CHARACTERS}


class ServerName(Kind):
    """Whom we ask for in TLS: a host name or an address."""

    def parse(self, value: Any) -> str:
        """Return the name in lower case."""
        if not is_text(value) or not (is_ip(value) or re.fullmatch(r"(?!\.)[A-Za-z0-9._-]{1,253}", value, re.ASCII)):
            raise Wrong("must be a host name or an address", '"app.internal"')
        return str(value).lower().removesuffix(".")

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "minLength": 1, "maxLength": 253}


def parse_parent(text: str) -> dict[str, Any]:
    """
    Return the table that a parent's URL stands for.

    Args:
        text: `socks5://host:port`, `http://host:port` or `https://host:port`; `user:password@` before the host, with
            what is no letter or digit as %XX where a URL needs it.

    Raises:
        Wrong: If it is anything else. The message holds no part of the text: it could be a password.
    """
    what = "a parent is socks5://, http:// or https://, a host and a port; a login may stand before the host"
    if not is_text(text) or len(text) > ADDRESS_CHARACTERS or not re.fullmatch(r"[!-~]+", text, re.ASCII):
        raise Wrong(what, _PARENT)
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise Wrong(what, _PARENT) from None
    if parts.scheme not in PARENTS or not host or not port or parts.path.strip("/") or parts.query or parts.fragment:
        raise Wrong(what, _PARENT)
    address = str(Endpoint(host, port))
    TargetAddress().parse(address)
    table = {"kind": parts.scheme, "address": address}
    if parts.username is None:
        return table
    user, password = unquote(parts.username), unquote(parts.password or "")
    Login().parse(f"{user}:{password}")
    return table | {"user": user, "password": password}
