"""What a node is told of bans."""

from msgspec import Struct

from penstock.base.clock import NS


class DetectorPlan(Struct, frozen=True, kw_only=True):
    """
    How a detector finds out who deserves a ban.

    Args:
        threshold: Events in a window that are too many; 0 for a detector that is off.
        window: Unit ns.
        duration: Of the first ban; unit ns.
    """

    threshold: int = 0
    window: int = 600 * NS
    duration: int = 600 * NS


class BanPlan(Struct, frozen=True, kw_only=True):
    """
    Who is banned.

    Args:
        detect: `off`, `shadow` (bans of detectors refuse nobody) or `on`.
        protect: Networks that nobody may ban.
        protect_loopback: Whether loopback is among them.
        ipv6_networks: Whether detectors take the IPv6 addresses that share 64 bits for one client.
        longest: Of a detector's ban; unit ns.
        remember: After so long without an offence the next one is the first; unit ns.
        detectors: By name; those of `detectors.DETECTORS`.
        lists: Files of networks that are banned for good, and why.
    """

    detect: str = "shadow"
    protect: tuple[str, ...] = ()
    protect_loopback: bool = True
    ipv6_networks: bool = True
    longest: int = 86_400 * NS
    remember: int = 604_800 * NS
    detectors: tuple[tuple[str, DetectorPlan], ...] = ()
    lists: tuple[tuple[str, str], ...] = ()
