"""Addresses that are not of the public Internet: a forward proxy that strangers reach must not lead into them."""

from penstock.base.addresses import pack_ip
from penstock.policy.ranges import NOT_AN_ADDRESS, RangeIndex, address_number, network_ranges

NETWORKS = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
    "::/96", "::ffff:0:0:0/96", "100::/64", "64:ff9b:1::/48", "2001::/32", "fc00::/7", "fe80::/10", "fec0::/10",
    "ff00::/8",
)  # fmt: skip
"""Special-purpose addresses that are not globally reachable (IANA, RFC 6890), multicast, what was site-local, and old
ways of carrying IPv4 that lead nowhere or home: IPv4-compatible (RFC 4291), IPv4-translated (RFC 2765), Teredo."""

_INDEX = RangeIndex([(0, [each for network in NETWORKS for each in network_ranges(network)])])

_NAT64 = bytes.fromhex("0064ff9b") + bytes(8)
_6TO4 = b"\x20\x02"


def is_private(host: str) -> bool:
    """
    Return whether an address is private, link-local, loopback, multicast or otherwise not of the public Internet.

    Args:
        host: IP address, not a name. One that carries an IPv4 address (IPv4-mapped; NAT64, RFC 6052; 6to4, RFC 3056)
            is judged by that too. `::` reaches this machine.
    """
    number = address_number(host)
    if number == NOT_AN_ADDRESS or _INDEX.find(number):
        return True
    inside = carried(host)
    return bool(inside) and is_private(inside)


def carried(host: str) -> str:
    """
    Return the IPv4 address at which a connection to an IPv6 address comes out; empty if that is none.

    Args:
        host: IP address, or a name, which carries none.
    """
    if ":" not in host:
        return ""
    packed = pack_ip(host)
    if packed.startswith(_NAT64):
        return _ipv4(packed[12:])
    return _ipv4(packed[2:6]) if packed.startswith(_6TO4) else ""


def _ipv4(packed: bytes) -> str:
    return ".".join(map(str, packed))
