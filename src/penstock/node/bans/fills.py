"""How much of its limits an address has in use."""

from msgspec import Struct

from penstock.base.clock import NS
from penstock.config.limit_plan import LimitsPlan
from penstock.dataplane.limit_table import LimitTable
from penstock.policy.networks import Networks


class FillView(Struct, frozen=True, kw_only=True):
    """
    A limit of one address.

    Args:
        limit: As in the configuration: `connections_per_ip` or `rate_per_ip`.
        used: How much of it is in use.
        most: How much there may be; of a rate with a burst, at once.
        window: Of a rate; unit s, null for connections.
        exempt: Whether the address is not held to it.
    """

    limit: str
    used: int
    most: int
    window: float | None
    exempt: bool


def fills(table: LimitTable, limits: LimitsPlan, packed: bytes, host: str, now: int) -> list[FillView]:
    """
    Return the limits that an address has, and what of them is in use.

    Args:
        table: Where workers count.
        limits: What the plan says.
        packed: 16 bytes of `pack_ip`.
        host: The same as text.
        now: Monotonic time; unit ns.
    """
    exempt, slot, found = host in Networks(limits.exempt), table.look(packed), []
    if limits.connections_per_ip:
        used = table.open_in(slot) if slot else 0
        found.append(
            FillView(limit="connections_per_ip", used=used, most=limits.connections_per_ip, window=None, exempt=exempt)
        )
    rate = limits.rate_per_ip
    if rate is not None:
        used = table.used_of(slot, rate, now) if slot else 0
        found.append(FillView(limit="rate_per_ip", used=used, most=rate.most, window=rate.window / NS, exempt=exempt))
    return found
