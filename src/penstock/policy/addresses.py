"""In which order the addresses of a name are tried."""

from collections.abc import Sequence
from itertools import chain, zip_longest

Address = tuple[int, str]
"""Address family and IP address."""


def interleave(addresses: Sequence[Address]) -> list[Address]:
    """
    Return the addresses with their families in turn, beginning with the family of the first (RFC 8305 section 4).

    Args:
        addresses: In the system's order of preference (RFC 6724), which is kept within each family.
    """
    first = [a for a in addresses if a[0] == addresses[0][0]]
    others = [a for a in addresses if a[0] != addresses[0][0]]
    return [a for a in chain.from_iterable(zip_longest(first, others)) if a is not None]
