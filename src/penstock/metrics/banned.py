"""How many are banned, as it is published beside the other numbers."""

from collections.abc import Mapping

from msgspec import Struct

ORIGINS = ("manual", "auto", "shadow", "listed")
"""Bans by who made them; those in shadow mode are none of the first two, and listed are the networks of block lists."""

REASONS = (
    "manual", "failed_logins", "refused_destinations", "floods", "connections", "port_walks", "protocol_abuse",
)  # fmt: skip
"""Why bans are made: by hand, or by which detector."""


class BannedView(Struct, frozen=True, kw_only=True):
    """
    Bans of a node.

    Args:
        active: By origin.
        made: Bans that were made since counting began, by reason; those in shadow mode among them.
        shadowed: Connections that bans in shadow mode would have refused.
    """

    active: Mapping[str, int] = {}
    made: Mapping[str, int] = {}
    shadowed: int = 0
