"""How many connections a network's clients have open."""

import numpy as np

from penstock.metrics.fold import LedgerReader
from penstock.metrics.ledger import IP_HIGH, IP_LOW
from penstock.policy.ban import Network

_LOW = (1 << 64) - 1


def count_open(reader: LedgerReader, network: Network) -> int:
    """
    Return how many open connections of a worker are those of a network's clients.

    Args:
        reader: Of the worker's ledger.
        network: The network.
    """
    words = reader.look().words
    halves = np.ascontiguousarray(words[:, IP_HIGH : IP_LOW + 1]).view(">u8").astype(np.uint64)
    high, low = halves[:, 0], halves[:, 1]
    found = 0
    for first, last in network.ranges:
        from_first = (high > first >> 64) | ((high == first >> 64) & (low >= np.uint64(first & _LOW)))
        to_last = (high < last >> 64) | ((high == last >> 64) & (low <= np.uint64(last & _LOW)))
        found += int((from_first & to_last & ((high | low) != 0)).sum())
    return found
