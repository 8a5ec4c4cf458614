"""A ban, and the network that it names: one word for each network, however it is written."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal, NamedTuple

from msgspec import Struct

from penstock.base.addresses import pack_ip, unmap, unpack_ip
from penstock.policy.ranges import Range, network_ranges

ADDRESS_CHARACTERS = 64
"""Longest network that is looked at; the longest that there is has 43 characters."""

WIDE_BITS = 64
"""Of an IPv6 address: a site is given as many at least (RFC 6177), so who has one of the addresses has them all."""

Origin = Literal["manual", "auto"]
"""Who made a ban: an operator, or a detector."""


class Network(NamedTuple):
    """
    What a ban holds for.

    Args:
        text: `192.0.2.1`, `192.0.2.0/24`, `2001:db8::1`, `2001:db8::/64`; IPv4-mapped is IPv4.
        ranges: The same as numbers, IPv4 as IPv4-mapped.
        single: Whether it is one address.
        wide: Whether it is all that share the first 64 bits of an IPv6 address.
    """

    text: str
    ranges: tuple[Range, ...]
    single: bool
    wide: bool

    def holds(self, address: int) -> bool:
        """Return whether an address, as a number, is in it."""
        return any(first <= address <= last for first, last in self.ranges)

    def overlaps(self, low: int, high: int) -> bool:
        """Return whether any of these addresses is in it."""
        return any(first <= high and low <= last for first, last in self.ranges)


class Evidence(Struct, frozen=True, kw_only=True):
    """
    What a detector saw.

    Args:
        counted: What it counts.
        count: How many there were.
        threshold: How many are needed.
        window: In how long; unit ns.
        offence: Which of the client's this is, from 1.
    """

    counted: str
    count: int
    threshold: int
    window: int
    offence: int = 1


class Ban(Struct, frozen=True, kw_only=True):
    """
    A ban. Times are ns since the epoch.

    Args:
        network: What it holds for, as `Network.text`.
        origin: Who made it.
        reason: What an operator wrote, or the detector's name.
        since: When it was made.
        until: When it ends; None for never.
        shadow: Whether clients are only counted, not refused.
        confirm_by: When it is undone unless somebody has confirmed it; None if nobody needs to.
        evidence: What a detector saw; None for one made by hand.
    """

    network: str
    origin: Origin
    reason: str
    since: int
    until: int | None = None
    shadow: bool = False
    confirm_by: int | None = None
    evidence: Evidence | None = None

    @property
    def end(self) -> int | None:
        """Return when it ends, or is undone, if nothing happens; None for never."""
        if self.until is None or self.confirm_by is None:
            return self.confirm_by if self.until is None else self.until
        return min(self.until, self.confirm_by)


def parse_network(text: str) -> Network:
    """
    Return a network.

    Args:
        text: An address, or an address and a length; no bit may be set behind the length.

    Raises:
        ValueError: If it is neither; says what to write where that can be guessed.
    """
    if len(text) > ADDRESS_CHARACTERS or "%" in text:
        raise ValueError("an address or a network is needed, as in 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32")
    packed = pack_ip(text)
    if unpack_ip(packed) == text and any(
        packed
    ):  # an address in its shortest form, as most are: 20,000 are restored so
        address = int.from_bytes(packed)
        return Network(text, ((address, address),), single=True, wide=False)
    host, slash, bits = text.strip().partition("/")
    if slash and not (bits.isascii() and bits.isdigit()):
        raise ValueError("the length of a network is a number, as in 192.0.2.0/24")
    try:
        network = ip_network(unmap(host) + slash + bits if not slash else host + slash + bits, strict=False)
    except ValueError:
        raise ValueError("an address or a network is needed, as in 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32") from None
    if slash and str(network.network_address) != str(ip_network(host).network_address):
        raise ValueError(f"bits are set behind the network's length; write {_text(_folded(network))}")
    return _network(_folded(network))


def _folded(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """Return a network of IPv4-mapped addresses as IPv4."""
    if isinstance(network, IPv6Network) and network.prefixlen >= 96 and network.network_address.ipv4_mapped:
        return IPv4Network((network.network_address.ipv4_mapped, network.prefixlen - 96))
    return network


def _text(network: IPv4Network | IPv6Network) -> str:
    single = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if single else str(network)


def _network(network: IPv4Network | IPv6Network) -> Network:
    single = network.prefixlen == network.max_prefixlen
    wide = network.version == 6 and network.prefixlen == WIDE_BITS and int(network.network_address) != 0
    return Network(_text(network), tuple(network_ranges(str(network))), single, wide)


def of_client(address: int, bits: int) -> Network:
    """
    Return what is banned when a client is.

    Args:
        address: Of the client, as a number, IPv4 as IPv4-mapped.
        bits: Of an IPv6 address that count, 64 or 128.
    """
    if address >> 32 == 0xFFFF:  # a flood has ten thousand of them: as quick as may be
        return Network(unpack_ip(address.to_bytes(16)), ((address, address),), single=True, wide=False)
    return _network(IPv6Network((address >> 128 - bits << 128 - bits, bits)))
