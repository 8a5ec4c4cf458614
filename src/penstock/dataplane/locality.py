"""Is a destination this proxy itself? A connection that loops back would dial itself until the descriptors end."""

import socket

from penstock.base.addresses import is_loopback, pack_ip, unpack_ip

_WILDCARDS = frozenset(("::", "0.0.0.0"))

ENTRIES = 4_096
"""Addresses whose locality is remembered: only those dialed on one of our own ports."""


class OwnAddresses:
    """
    The endpoints that this node listens on.

    Args:
        endpoints: Host and port of every listener and of the admin door.

    Attributes:
        ports: Hosts by port: no other port needs to be asked about.
    """

    def __init__(self, endpoints: tuple[tuple[str, int], ...]) -> None:
        self.ports: dict[int, set[str]] = {}
        for host, port in endpoints:
            self.ports.setdefault(port, set()).add(_canonical(host))
        self._local: dict[str, bool] = {}

    def holds(self, host: str, port: int) -> bool:
        """
        Return whether a connection to this address would reach this node.

        Args:
            host: IP address, not a name.
            port: 1 to 65535.
        """
        hosts = self.ports.get(port)
        if hosts is None:
            return False
        host = _canonical(host)
        if host in hosts or host in _WILDCARDS:  # connecting to the wildcard reaches loopback
            return True
        return not _WILDCARDS.isdisjoint(hosts) and (is_loopback(host) or self._is_local(host))

    def _is_local(self, host: str) -> bool:
        known = self._local.get(host)
        if known is None:
            if len(self._local) >= ENTRIES:
                self._local.clear()
            known = self._local[host] = can_bind(host)
        return known


def _canonical(host: str) -> str:
    """Return an IP address in its one spelling: an address has many, and each of them reaches us."""
    return "::" if (known := unpack_ip(pack_ip(host))) == "-" else known


def can_bind(host: str) -> bool:
    """Return whether `host` is an address of this machine: only such a one can be bound."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True
