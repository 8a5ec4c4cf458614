"""The kinds of value that keys take: each reads what was written, says what is wrong, and has its JSON Schema."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, SecretStr
from pydantic_core import CoreSchema, core_schema

from penstock.base import bounds
from penstock.base.addresses import Endpoint, is_ip, parse_listen, parse_target, unmap
from penstock.base.bounds import LOGIN_BYTES
from penstock.base.clock import NS
from penstock.base.urls import parse_url
from penstock.config.mistakes import Wrong, quoted
from penstock.config.units import (
    parse_bandwidth,
    parse_duration,
    parse_rate,
    parse_size,
    serialize_duration,
    serialize_size,
)

ADDRESS_CHARACTERS = 512
"""A host name has at most 253 (RFC 1035 section 2.3.4), a Unix socket's path 107 bytes; beyond it nothing is parsed."""

PATH_BYTES = 4_095
"""PATH_MAX of Linux is 4096 with its zero."""

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62})", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Kind:
    """One kind of value, as pydantic wants it in `Annotated`."""

    def parse(self, value: Any) -> Any:
        """Return what `value` means; raises Wrong if it means nothing, AddressError if it should be an address."""
        raise NotImplementedError

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        raise NotImplementedError

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.parse)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return self.json_schema()


@dataclass(frozen=True)
class Duration(Kind):
    """
    A duration; unit of what is read: ns.

    Args:
        low: Shortest, as operators write it.
        high: Longest.
        off: Whether `"off"` may be written, which reads as 0.
        whole: Duration that it must be a multiple of; empty for none.
    """

    low: str
    high: str
    off: bool = False
    whole: str = ""

    def parse(self, value: Any) -> int:
        """Return the nanoseconds."""
        if self.off and value == "off":
            return 0
        if not isinstance(value, str):
            raise Wrong("a duration is text with a unit", _with_seconds(value))
        duration = parse_duration(value)
        if not parse_duration(self.low) <= duration <= parse_duration(self.high):
            raise Wrong(f"must be from {self.low} to {self.high}" + (' or "off"' if self.off else ""))
        if self.whole and duration % parse_duration(self.whole):
            raise Wrong(f"must be a multiple of {self.whole}", f'"{serialize_duration(self._rounded(duration))}"')
        return duration

    def _rounded(self, duration: int) -> int:
        """Return the next multiple of `whole`; `high` is one, so it is no longer than that."""
        return -(-duration // parse_duration(self.whole)) * parse_duration(self.whole)

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "pattern": "^([0-9]+ ?(ms|s|m|h|d)" + ("|off" if self.off else "") + ")$"}


@dataclass(frozen=True)
class Rate(Kind):
    """How many in which time; `"off"` reads as None."""

    def parse(self, value: Any) -> tuple[int, int, int] | None:
        """Return how many, in which time, and how many at once, 0 for no burst; unit of the time: ns."""
        if value == "off":
            return None
        if not isinstance(value, str):
            bare = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= bounds.RATE_COUNT
            raise Wrong("a rate is text: how many, a slash and a duration", f'"{value if bare else 300}/1m"')
        count, window, burst = parse_rate(value)
        if not 1 <= count <= bounds.RATE_COUNT:
            raise Wrong(f'a rate lets from 1 to {bounds.RATE_COUNT:,} pass, or is "off"')
        if not bounds.RATE_SHORTEST_NS <= window <= bounds.RATE_LONGEST_NS:
            low, high = serialize_duration(bounds.RATE_SHORTEST_NS), serialize_duration(bounds.RATE_LONGEST_NS)
            raise Wrong(f"the time of a rate is from {low} to {high}")
        if burst > bounds.RATE_COUNT or burst * window > count * bounds.RATE_FILL_NS:
            days = serialize_duration(bounds.RATE_FILL_NS)
            raise Wrong(f"the burst of a rate is at most {bounds.RATE_COUNT:,}, and what it lets pass in {days}")
        return count, window, burst

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "pattern": "^([0-9]+ ?/ ?([0-9]+ ?)?(ms|s|m|h|d)( burst [0-9]+)?|off)$"}


class Bandwidth(Kind):
    """Bytes a second; `"off"` reads as None."""

    def parse(self, value: Any) -> tuple[int, int] | None:
        """Return the bytes a second, and those of a burst."""
        if value == "off":
            return None
        if not isinstance(value, str):
            raise Wrong("a bandwidth is text: a size and /s", '"10MiB/s"')
        rate, burst = parse_bandwidth(value)
        low, high = bounds.BANDWIDTH_LEAST, bounds.BANDWIDTH_MOST
        if not low <= rate <= high:
            raise Wrong(f'a bandwidth is from {serialize_size(low)}/s to {serialize_size(high)}/s, or "off"')
        usual = max(rate // bounds.BURST_PART, bounds.BURST_BYTES)
        if burst and not usual <= burst <= bounds.BANDWIDTH_MOST:
            most = serialize_size(bounds.BANDWIDTH_MOST)
            raise Wrong(f"the burst of this bandwidth is from {serialize_size(usual)} to {most}")
        return rate, burst or usual

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        size = "[0-9]+ ?[KMGT]?i?B"
        return {"type": "string", "pattern": f"^({size}/s( burst {size})?|off)$"}


class Size(Kind):
    """Bytes, 1 or more; `"off"` reads as None."""

    def parse(self, value: Any) -> int | None:
        """Return the bytes."""
        if value == "off":
            return None
        if not isinstance(value, str):
            raise Wrong("a size is text with a unit", '"100GiB"')
        size = parse_size(value)
        if not size:
            raise Wrong('must be more than nothing, or "off"')
        return size

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "pattern": "^([0-9]+ ?[KMGT]?i?B|off)$"}


def _with_seconds(value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9
    return f'"{int(value)}s"' if number else '"30s"'


class EachSecond(Kind):
    """How often samples are taken; unit of what is read: ns."""

    def parse(self, value: Any) -> int:
        """Return a second."""
        if value not in ("1s", "1000ms", "1 s"):
            raise Wrong("samples are taken each second", '"1s"')
        return NS

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "const": "1s"}


@dataclass(frozen=True)
class Whole(Kind):
    """
    A whole number.

    Args:
        low: Least.
        high: Most.
        word: What may be written in its place; empty for nothing.
    """

    low: int
    high: int
    word: str = ""

    def parse(self, value: Any) -> int | str:
        """Return the number, or the word."""
        if self.word and value == self.word:
            return self.word
        if isinstance(value, bool) or not isinstance(value, int) or not self.low <= value <= self.high:
            bare = isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value, re.ASCII)
            fits = bare and self.low <= int(value) <= self.high
            raise Wrong(self._what(), f"{value}, without quotes," if fits else "")
        return value

    def _what(self) -> str:
        return (
            f'must be "{self.word}" or' if self.word else "must be"
        ) + f" a whole number from {self.low} to {self.high}"

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        number = {"type": "integer", "minimum": self.low, "maximum": self.high}
        return {"anyOf": [{"const": self.word}, number]} if self.word else number


class Name(Kind):
    """What something is called: 1 to 63 letters, digits, dots, dashes and underscores, the first a letter or digit."""

    def parse(self, value: Any) -> str:
        """Return the name."""
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            near = re.sub(r"[^A-Za-z0-9._-]+", "-", value[:63], flags=re.ASCII).lstrip("._-") if is_text(value) else ""
            what = "a name is 1 to 63 letters, digits, dots, dashes or underscores, and begins with a letter or digit"
            raise Wrong(what, f'"{near}"' if near else "")
        return value

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "pattern": f"^{_NAME.pattern}$"}


@dataclass(frozen=True)
class Listen(Kind):
    """
    An address to listen on.

    Args:
        tcp_only: Whether a Unix socket is none, and `"off"` reads as None.
    """

    tcp_only: bool = False

    def parse(self, value: Any) -> Endpoint | None:
        """Return the endpoint."""
        if self.tcp_only and value == "off":
            return None
        if not _is_address(value):
            port = value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 65_535 else 8080
            raise Wrong(f"an address is text of at most {ADDRESS_CHARACTERS} characters", f'":{port}"')
        endpoint = _canonical(parse_listen(value))
        if self.tcp_only and endpoint.host.startswith("unix:"):
            raise Wrong("must be an address and a port", '"127.0.0.1:9190"')
        return endpoint

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string"}


@dataclass(frozen=True)
class TargetAddress(Kind):
    """
    A host and a port to send to.

    Args:
        off: Whether `"off"` may be written, which reads as None.
    """

    off: bool = False

    def parse(self, value: Any) -> Endpoint | None:
        """Return the endpoint."""
        if self.off and value == "off":
            return None
        if not _is_address(value):
            raise Wrong(f"a target is text of at most {ADDRESS_CHARACTERS} characters", '"example.com:80"')
        endpoint = _canonical(parse_target(value))
        if _CONTROL.search(endpoint.host) or not endpoint.host.isprintable():
            raise Wrong(f"{quoted(endpoint.host)} is no host name")
        return endpoint

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "pattern": "^(.+:[0-9]{1,5}|off)$" if self.off else "^.+:[0-9]{1,5}$"}


class UrlText(Kind):
    """The URL of an HTTP server, sealed: a login may stand in it. `"off"` reads as None."""

    def parse(self, value: Any) -> SecretStr | None:
        """Return the URL as written."""
        if value == "off":
            return None
        if not is_text(value):
            raise Wrong('must be a URL as text, or "off"')
        parse_url(value)
        return SecretStr(value)

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "pattern": "^(https?://.+|off)$"}


class FilePath(Kind):
    """A path of the file system; a relative one starts where the file that names it lies."""

    def parse(self, value: Any) -> str:
        """Return the path as written."""
        if not is_text(value) or not value or "\0" in value or len(value) > PATH_BYTES:
            raise Wrong("must be a path")
        return str(value)

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "minLength": 1}


class UserName(Kind):
    """A user's name; without a colon, since HTTP's Basic login ends it there (RFC 7617 section 2)."""

    def parse(self, value: Any) -> str:
        """Return the name."""
        if not _is_login(value) or ":" in value:
            raise Wrong(f"a user's name is 1 to {LOGIN_BYTES} bytes without colons or control characters")
        return str(value)

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "minLength": 1, "maxLength": LOGIN_BYTES, "pattern": "^[^:]+$"}


class Password(Kind):
    """A password."""

    def parse(self, value: Any) -> SecretStr:
        """Return the password, sealed."""
        if not _is_login(value):
            raise Wrong(f"a password is text of 1 to {LOGIN_BYTES} bytes without control characters")
        return SecretStr(value)

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "minLength": 1, "maxLength": LOGIN_BYTES, "writeOnly": True}


class Login(Kind):
    """One user with a password, as `user:password`."""

    def parse(self, value: Any) -> SecretStr:
        """Return the login, sealed."""
        if not is_text(value) or ":" not in value:
            raise Wrong("a login is user:password")
        user, _, password = value.partition(":")
        UserName().parse(user)
        Password().parse(password)
        return SecretStr(value)

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "pattern": "^[^:]+:.+$", "writeOnly": True}


def _canonical(endpoint: Endpoint) -> Endpoint:
    """Return an endpoint whose IP address is written the shortest way, an IPv4-mapped one as IPv4."""
    host = unmap(endpoint.host)
    return Endpoint(unmap(str(ipaddress.ip_address(host))) if is_ip(host) else host, endpoint.port)


def _is_address(value: Any) -> bool:
    return is_text(value) and len(value) <= ADDRESS_CHARACTERS


def is_text(value: Any) -> bool:
    """Return whether a value is text that UTF-8 can write."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:  # an environment variable that is no UTF-8
        return False
    return True


def _is_login(value: Any) -> bool:
    return is_text(value) and 1 <= len(value.encode()) <= LOGIN_BYTES and not _CONTROL.search(value)
