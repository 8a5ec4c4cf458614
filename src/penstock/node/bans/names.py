"""Addresses of targets that have names: looked up now and then, so that nobody bans them."""

import asyncio
from collections.abc import Awaitable, Callable

from penstock.base.addresses import is_ip
from penstock.node.bans.spared import Spared
from penstock.node.health.names import Lookup, look_up

EVERY_S = 60
"""Between two rounds. Names of targets seldom change, and a ban of one of them harms little for a minute."""

NAMES = 256
"""Names that are looked up; a node with more has a resolver that would suffer from them all at once."""


async def follow(
    spared: Spared, lookup: Lookup = look_up, pause: Callable[[float], Awaitable[object]] = asyncio.sleep
) -> None:
    """
    Protect the addresses of targets for ever.

    Args:
        spared: Whom nobody may ban.
        lookup: Finds the addresses of a name; blocks.
        pause: Waits so many seconds.
    """
    while True:
        names = [each for each in spared.targets() if not is_ip(each)][:NAMES]
        if names:
            spared.resolved(await asyncio.to_thread(_resolve, names, lookup))
        await pause(EVERY_S)


def _resolve(names: list[str], lookup: Lookup) -> list[tuple[str, str]]:
    found = []
    for name in names:
        try:
            found += [(name, address) for address in lookup(name)]
        except (OSError, UnicodeError):
            continue
    return found
