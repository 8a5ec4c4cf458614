"""What may be asked of the records of ended connections: filters, and how operators write them."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Literal, NamedTuple

from msgspec import Struct

from penstock.base.addresses import is_ip, pack_ip, parse_target, unmap
from penstock.base.clock import NS
from penstock.base.errors import AddressError
from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason

LONGEST_TEXT = 263
"""Characters of a filter: a name of 255 and a port, more than any record holds."""

LATEST_NS = 2**62
"""The year 2116, which every library of dates can write; no record is of a later time. Unit ns since the epoch."""

WORDS: dict[str, tuple[str, ...]] = {
    "ended_by": tuple(who.name.lower() for who in EndedBy),
    "phase": tuple(phase.name.lower() for phase in Phase),
    "close_reason": tuple(dict.fromkeys(Outcome(who, Phase.DONE).close_reason for who in EndedBy)),
    "reason": tuple(str(reason) for reason in Reason),
}
"""Filters that take a word of a closed list, and which."""

_UNITS = {"ms": NS // 1_000, "s": NS, "m": 60 * NS, "h": 3_600 * NS, "d": 86_400 * NS}
_LENGTH = re.compile(r"([0-9]{1,10})(?:\.([0-9]{1,9}))?(ms|s|m|h|d)", re.ASCII)
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[ +-][0-9]{2}:[0-9]{2})", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ClientFilter(NamedTuple):
    """
    Clients by address.

    Args:
        kind: What these clients have: `::/0` means those with an IPv6 address of their own, not all.
        network: Its 16 bytes, as `pack_ip` gives them.
        mask: Which bits of them count; 16 bytes.
        port: The only one; None for all.
    """

    kind: Literal["ipv4", "ipv6", "unix"]
    network: bytes
    mask: bytes
    port: int | None = None


class DestinationFilter(NamedTuple):
    """
    Destinations by name.

    Args:
        host: In lower case; an address in its shortest form.
        port: The only one; None for all.
        below: Whether all names below the host are meant, and not the host itself.
    """

    host: str
    port: int | None = None
    below: bool = False


class Filter(Struct, frozen=True, kw_only=True):
    """
    Which records are wanted; None and 0 for no bound.

    Args:
        client, destination: As their types say.
        user, listener, route, target: Exactly so.
        ended_by, phase, close_reason, reason: Words of the outcome.
        since: Ended at this time or later; unit ns since the epoch.
        until: Ended before it; unit ns since the epoch.
        min_bytes: bytes_in and bytes_out together, at least.
        min_duration: Unit ns.
    """

    client: ClientFilter | None = None
    destination: DestinationFilter | None = None
    user: str | None = None
    listener: str | None = None
    route: str | None = None
    target: str | None = None
    ended_by: str | None = None
    phase: str | None = None
    close_reason: str | None = None
    reason: str | None = None
    since: int = 0
    until: int | None = None
    min_bytes: int = 0
    min_duration: int = 0


def parse_client(text: str) -> ClientFilter:
    """
    Return whom an address means.

    Args:
        text: An address, a network as in `192.0.2.0/24`, an address with its port as records show it, or `-` for
            clients on Unix sockets. An IPv4 address is the same however it is written.

    Raises:
        ValueError: If it is none of these.
    """
    if text == "-":
        return ClientFilter("unix", bytes(16), bytes(16))
    try:
        return _of_network(_network(text))
    except ValueError:
        pass
    try:
        host, port = parse_target(text)
        return _of_network(_network(host))._replace(port=port)
    except ValueError:
        raise ValueError("an address or a network is needed, as in 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32") from None


def _network(text: str) -> IPv4Network | IPv6Network:
    host, slash, bits = text.partition("/")
    if slash and not (bits.isascii() and bits.isdigit()):
        raise ValueError("no network")
    network = ip_network(text if slash else unmap(host), strict=False)
    if isinstance(network, IPv6Network) and network.prefixlen >= 96 and network.network_address.ipv4_mapped:
        return ip_network((network.network_address.ipv4_mapped, network.prefixlen - 96))
    return network


def _of_network(network: IPv4Network | IPv6Network) -> ClientFilter:
    mask = pack_ip(str(network.netmask))
    if isinstance(network, IPv4Network):
        return ClientFilter("ipv4", pack_ip(str(network.network_address)), b"\xff" * 12 + mask[12:])
    return ClientFilter("ipv6", pack_ip(str(network.network_address)), mask)


def parse_destination(text: str) -> DestinationFilter:
    """
    Return which destinations a text means.

    Args:
        text: A host, `host:port`, `*.suffix` for all names below one, or `*.suffix:port`. Case does not matter, nor how
            an address is written.

    Raises:
        ValueError: If it is none of these.
    """
    below = text.startswith("*.")
    host, port = _host_and_port(text[2:] if below else text)
    odd = "*" in host or ((":" in host or below) and is_ip(host) == below)
    if not host or odd or len(text) > LONGEST_TEXT:
        raise ValueError("a host is needed, as in example.org, example.org:443 or *.example.org")
    return DestinationFilter(canonical(host), port, below)


def _host_and_port(text: str) -> tuple[str, int | None]:
    """Return host and port of a destination; None where it has none that is one."""
    if is_ip(text.strip("[]")):
        return text.strip("[]"), None
    try:
        return parse_target(text)
    except AddressError:
        return text, None


def canonical(host: str) -> str:
    """Return a host as it is compared: in lower case, an address in its shortest form."""
    if ":" in host:
        try:
            return str(ip_address(unmap(host)))
        except ValueError:
            pass
    return host.lower().rstrip(".")


def parse_text(text: str) -> str:
    """Return a text that fits into a record; raises ValueError for any other."""
    if not text or len(text) > LONGEST_TEXT:
        raise ValueError(f"1 to {LONGEST_TEXT} characters are needed")
    return text


def parse_moment(text: str, now_ns: int) -> int:
    """
    Return a time; unit ns since the epoch.

    Args:
        text: RFC 3339, as in `2026-01-01T12:00:00Z`, or how long ago, as in `-5m`; units ms, s, m, h, d.
        now_ns: What is now; unit ns since the epoch.

    Raises:
        ValueError: If it is neither, or there is no such day.
    """
    if text.startswith("-"):
        return max(0, now_ns - parse_length(text[1:]))
    if not _MOMENT.fullmatch(text):
        raise ValueError("a time is needed, as in 2026-01-01T12:00:00Z or -5m")
    place = len(text) - 6
    text = text[:place] + text[place:].replace(" ", "+")  # what a query makes of a plus
    microseconds: int = (datetime.fromisoformat(text.upper()) - _EPOCH) // timedelta(microseconds=1)
    return min(LATEST_NS, max(0, microseconds * 1_000))


def parse_length(text: str) -> int:
    """Return a length of time, as in `90s`, `0.5s`, `5m`; unit ns. Raises ValueError for what is none."""
    found = _LENGTH.fullmatch(text)
    if not found:
        raise ValueError("a length of time is needed, as in 90s, 0.5s, 5m, 2h or 7d")
    whole, fraction, unit = found[1], found[2] or "", _UNITS[found[3]]
    return min(LATEST_NS, int(whole) * unit + int(fraction.ljust(9, "0")) * unit // NS)


def parse_word(text: str, known: Iterable[str]) -> str:
    """Return one of the words of a closed list; raises ValueError for any other."""
    words = tuple(known)
    if text not in words:
        raise ValueError(f"one of {', '.join(words)} is needed")
    return text
