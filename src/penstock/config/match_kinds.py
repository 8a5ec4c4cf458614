"""Kinds of value of a route's match: domains, paths, networks, ports, destinations."""

import ipaddress
import re
from typing import Any

from penstock.base.addresses import is_ip, unmap
from penstock.config.kinds import Kind, is_text
from penstock.config.mistakes import Wrong
from penstock.config.plan import DestinationPlan

PATH_CHARACTERS = 2_048
"""Longest path; a request line has at most 8 KiB, and proxies in front of us cut earlier."""

_HOST = re.compile(r"(?=.{1,253}$)(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}", re.ASCII)
_PATH = re.compile(r"/[!-~]*", re.ASCII)
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]", re.ASCII)
_DOTS = re.compile(r"/\.\.?(?:/|$)")
_PORTS = re.compile(r"([0-9]{1,5})(?:\s?-\s?([0-9]{1,5}))?", re.ASCII)


class Domain(Kind):
    """A host name, `*.` and a suffix, `*`, or an IP address; read in lower case and without a final dot."""

    def parse(self, value: Any) -> str:
        """Return the pattern."""
        if not is_text(value) or not value:
            raise Wrong("a domain is text", '"*.example.com"')
        folded = unmap(value.lower().removesuffix("."))
        if folded == "*" or is_ip(folded) or _HOST.fullmatch(folded.removeprefix("*.")):
            return str(folded)
        raise Wrong("a domain is a host name, *. and a suffix, or *", _near_domain(folded))

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "minLength": 1}


def _near_domain(folded: str) -> str:
    """Return what was probably meant, in quotes; empty if nothing comes to mind."""
    name = re.sub(r"^[a-z]+://|[/:?#].*", "", folded, flags=re.ASCII)
    name = f"*{name}" if name.startswith(".") else name
    try:
        name = ".".join(part if part == "*" else part.encode("idna").decode() for part in name.split("."))
    except UnicodeError:
        return ""
    return f'"{name}"' if _HOST.fullmatch(name.removeprefix("*.")) else ""


class PathPattern(Kind):
    """A path, or its beginning and a final `*`."""

    def parse(self, value: Any) -> str:
        """Return the pattern."""
        if not is_text(value) or not value or len(value) > PATH_CHARACTERS:
            raise Wrong(f"a path is text of at most {PATH_CHARACTERS} characters", '"/api/*"')
        if value == "*":
            return str(value)
        begin = value.removesuffix("*")
        if not begin.startswith("/"):
            raise Wrong('a path begins with "/"', f'"/{begin}*"' if _PATH.fullmatch(f"/{begin}") else "")
        if "*" in begin:
            raise Wrong("a path has one * at most, at its end", f'"{begin.partition("*")[0]}*"')
        if "?" in begin or "#" in begin:
            raise Wrong("a path is matched without its query", f'"{re.split("[?#]", begin)[0]}"')
        if not _PATH.fullmatch(begin):
            raise Wrong("a path is printable ASCII without spaces; write others as %XX")
        star = value[len(begin) :]
        spelled = _spelled(begin)
        if "%" in _ESCAPE.sub("", spelled):
            raise Wrong("a percent sign stands before two hexadecimal digits; write %25 for itself")
        if _DOTS.search(spelled if not star else spelled.rpartition("/")[0]):
            raise Wrong("requests are matched without . and .. in their paths")
        if spelled != begin:
            raise Wrong("requests are matched in one spelling", f'"{spelled}{star}"')
        return str(value)

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "pattern": "^(/[!-~]*|\\*)$"}


def _spelled(path: str) -> str:
    """Return a path as rules see those of requests (protocols/http1/paths.py), but for dot segments."""
    plain = _ESCAPE.sub(lambda found: _unescaped(found[0]), path)
    return re.sub(r"[/\\]+", "/", plain)


def _unescaped(escape: str) -> str:
    byte = chr(int(escape[1:], 16))
    return byte if byte in "/\\" or _UNRESERVED.fullmatch(byte) else escape.upper()


class Network(Kind):
    """A network such as `10.0.0.0/8`, or an address; read in its shortest form."""

    def parse(self, value: Any) -> str:
        """Return the network."""
        network = _network(value) if is_text(value) else None
        if network is None:
            raise Wrong("a network is an address, or an address and a length", '"10.0.0.0/8"')
        try:
            ipaddress.ip_network(value)
        except ValueError:
            raise Wrong("bits are set behind the network's length", f'"{network}"') from None
        return network

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "minLength": 2}


def _network(text: str) -> str | None:
    """Return a network in its shortest form, an address without its length; None if it is neither."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    alone = network.prefixlen == network.max_prefixlen
    return unmap(str(network.network_address)) if alone else str(network)


class Ports(Kind):
    """A port, or a range of them as `8000-8010`; read as the first and the last."""

    def parse(self, value: Any) -> tuple[int, int]:
        """Return the range."""
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 65_535:
            return value, value
        if is_text(value) and (ports := parse_ports(value)) is not None:
            return ports
        raise Wrong('must be a port from 1 to 65535, or a range such as "8000-8010"')

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        port = {"type": "integer", "minimum": 1, "maximum": 65_535}
        return {"anyOf": [port, {"type": "string", "pattern": "^[0-9]{1,5}( ?- ?[0-9]{1,5})?$"}]}


def parse_ports(text: str) -> tuple[int, int] | None:
    """
    Return a port, or a range of them, as the first and the last; None if it is neither.

    Raises:
        Wrong: If the first one is behind the last.
    """
    found = _PORTS.fullmatch(text)
    if found is None:
        return None
    first, last = int(found[1]), int(found[2] or found[1])
    if not (0 < first <= 65_535 and 0 < last <= 65_535):
        return None
    if first > last:
        raise Wrong("the first port is behind the last", f'"{last}-{first}"')
    return first, last


def serialize_ports(ports: tuple[int, int]) -> str:
    """Return the text that `parse_ports` reads back."""
    first, last = ports
    return str(first) if first == last else f"{first}-{last}"


class Destination(Kind):
    """
    Where a client wants to go: a domain, a network or `*`, and a port or a range of them where it matters.

    `internal.example:443`, `*.internal`, `10.0.0.0/8`, `[fd00::/8]:8000-8010`, `*:25`.
    """

    def parse(self, value: Any) -> DestinationPlan:
        """Return the destination."""
        if not is_text(value) or not value:
            raise Wrong("a destination is text", '"*.internal"')
        host, ports = _apart(value)
        if not host:
            raise Wrong("a host is missing", f'"*{value}"' if ports is not None and _PORTS.fullmatch(ports) else "")
        if ports is None:
            return DestinationPlan(host=_destination_host(host))
        found = parse_ports(ports)
        if found is None:
            raise Wrong('what follows the colon is a port from 1 to 65535, or a range such as "8000-8010"')
        return DestinationPlan(host=_destination_host(host), ports=(found,))

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "minLength": 1}


def _apart(text: str) -> tuple[str, str | None]:
    """Return host and ports; None for no ports."""
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise Wrong("brackets hold an IPv6 address or network, and a port may follow", '"[fd00::/8]:443"')
        return host, rest[1:] if rest else None
    if text.count(":") != 1:
        return text, None
    host, _, ports = text.partition(":")
    return host, ports


def _destination_host(host: str) -> str:
    if (network := _network(host)) is not None:
        return Network().parse(host) and network
    try:
        return Domain().parse(host)
    except Wrong as wrong:
        what = "the host of a destination is a name, *. and a suffix, a network, an address, or *"
        raise Wrong(what, wrong.write) from None


def serialize_destination(destination: DestinationPlan) -> str:
    """Return the text that `Destination` reads back."""
    host = f"[{destination.host}]" if ":" in destination.host and destination.ports else destination.host
    return ":".join([host, *map(serialize_ports, destination.ports[:1])])
