"""Who stands in a block list and is banned by nobody: told, so that whoever relies on the list knows."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from penstock.node.bans.lists import BlockList
from penstock.node.bans.ranges import IPV4, Numbers
from penstock.policy.protection import Protection
from penstock.policy.ranges import Range

TOLD = 5
"""Of one list, that are named; of the others the number."""

LOOKED_AT = 1_000
"""Protected networks of IPv6 that are looked for; each costs a ms in a list of a million networks of IPv6."""

_LOW = (1 << 64) - 1


def left_out(each: BlockList, protection: Protection) -> list[str]:
    """
    Return whom a list names though nobody may ban them, as `127.0.0.0/8 is loopback`; blocks for a tenth of a second.

    Args:
        each: The list, which may hold a million networks.
        protection: Who is protected.
    """
    order = np.argsort(each.ranges.first4)
    first, last = each.ranges.first4[order], np.maximum.accumulate(each.ranges.last4[order])
    found, six = dict[str, None](), 0
    for (low, high), guarded in protection.guarded:
        if low >> 32 == 0xFFFF:
            place = int(np.searchsorted(first, np.uint32(high - IPV4), "right"))
            held = place > 0 and int(last[place - 1]) >= low - IPV4
        else:
            six += 1
            held = six <= LOOKED_AT and _holds_ipv6(each, (low, high))
        if held:
            found[f"{guarded.network} is {guarded.why}"] = None
    return list(found)


def in_words(names: Iterable[str]) -> str:
    """Return some of them in one line."""
    names = list(names)
    more = f", and {len(names) - TOLD} more" if len(names) > TOLD else ""
    return ", ".join(names[:TOLD]) + more


def _holds_ipv6(each: BlockList, wanted: Range) -> bool:
    """Return whether some network of IPv6 has an address of a range."""
    (low, high), first, last = wanted, each.ranges.first6, each.ranges.last6
    begun = _at_most(first, high)
    over = ~_at_most(last, low - 1) if low else np.ones(len(last), bool)
    return bool((begun & over).any())


def _at_most(numbers: Numbers, most: int) -> NDArray[np.bool_]:
    high, low = np.uint64(most >> 64), np.uint64(most & _LOW)
    found: NDArray[np.bool_] = (numbers[:, 0] < high) | ((numbers[:, 0] == high) & (numbers[:, 1] <= low))
    return found
