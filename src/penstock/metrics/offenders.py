"""
What clients did that detectors of bans count, from the rows of one fold; vectorised: a tick may hold 50,000 ends.

Connections that a ban has refused are none of it: a ban never feeds the detectors.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason
from penstock.metrics.fold import Rows, Words
from penstock.metrics.ledger import (
    IP_HIGH,
    IP_LOW,
    OUTCOME,
    PORT,
    REST,
    SCOPE,
    STATE,
    TARGET_RX,
    TARGET_TX,
    WRONG_LOGINS_SHIFT,
)

CLIENTS = 4_096
"""Clients that one tick tells of each kind of event, those with the most first: so many cost some ms."""

Counts = list[tuple[int, int]]
"""Clients as numbers, IPv4 as IPv4-mapped, and how many."""

_KIND = np.uint64(3)
_MAPPED = np.uint64(0xFFFF)
_LISTENER = np.uint64(0xFFFF)
_BYTE = np.uint64(0xFF)


class Offences(NamedTuple):
    """
    What ended connections tell.

    Args:
        events: By detector.
        walks: Clients and listeners that they came to without doing anything useful; each pair once.
        refused: Connections that a ban has refused.
    """

    events: dict[str, Counts]
    walks: Counts
    refused: Counts


def _code(reason: Reason) -> int:
    return Outcome(EndedBy.PROXY, Phase.NEGOTIATE, reason).pack() >> 16


_REASONS = {
    "refused_destinations": (Reason.DESTINATION, Reason.ACCESS),
    "floods": (Reason.RATE_LIMIT, Reason.IP_LIMIT, Reason.GLOBAL_LIMIT),
    "protocol_abuse": (Reason.PROTOCOL, Reason.PROXY_HEADER),
}
_CODES = {name: np.array([_code(each) for each in reasons], np.uint64) for name, reasons in _REASONS.items()}
_BAN = np.uint64(_code(Reason.BAN))


def offences(rows: Rows, mixing: tuple[int, int], *, wide: bool) -> Offences:
    """
    Return what detectors count.

    Args:
        rows: Of one fold.
        mixing: Two secret odd numbers of 64 bits: clients choose their addresses, and shall not choose who is told.
        wide: Whether IPv6 addresses that share 64 bits are one client.

    Cost: 10 ns for each row that ended, and some us for each client that did something.
    """
    words = rows.words[~rows.open]
    words = words[words[:, STATE] & _KIND == REST]
    if not len(words):
        return Offences({}, [], [])
    outcome = words[:, OUTCOME]
    reason, phase, who = outcome >> np.uint64(16) & _BYTE, outcome >> np.uint64(8) & _BYTE, outcome & _BYTE
    banned = reason == _BAN
    late = (who == EndedBy.CLIENT_TIMEOUT) & (phase <= Phase.NEGOTIATE)
    masks = {name: np.isin(reason, codes) for name, codes in _CODES.items()}
    masks["protocol_abuse"] |= late
    masks["connections"] = ~banned
    events = {name: by_client(words[mask], mixing, wide=wide) for name, mask in masks.items() if mask.any()}
    wrong = (words[:, PORT] >> np.uint64(WRONG_LOGINS_SHIFT)).astype(np.int64)
    if wrong.any():
        events["failed_logins"] = by_client(words[wrong > 0], mixing, wrong[wrong > 0], wide=wide)
    useless = ~banned & (words[:, TARGET_RX] == 0) & (words[:, TARGET_TX] == 0)
    return Offences(events, _walks(words[useless], mixing, wide=wide), by_client(words[banned], mixing, wide=False))


def by_client(words: Words, mixing: tuple[int, int], weights: NDArray[np.int64] | None = None, *, wide: bool) -> Counts:
    """
    Return clients and how many rows each has, those with the most first; clients without an address are left out.

    Args:
        words: Of rows.
        mixing, wide: As for `offences`.
        weights: How much each row counts; None for one each.
    """
    high, low = _addresses(words, wide=wide)
    _, first, inverse, counts = np.unique(
        _mixed(high, low, mixing), return_index=True, return_inverse=True, return_counts=True
    )
    if weights is not None:
        counts = np.bincount(inverse, weights).astype(np.int64)
    most = np.argsort(counts)[::-1][:CLIENTS]
    clients = zip(high[first[most]].tolist(), low[first[most]].tolist(), counts[most].tolist(), strict=True)
    return [(h << 64 | lo, int(count)) for h, lo, count in clients if h or lo]


def _walks(words: Words, mixing: tuple[int, int], *, wide: bool) -> Counts:
    high, low = _addresses(words, wide=wide)
    listener = words[:, SCOPE] & _LISTENER
    mixed = _mixed(high, low, mixing) ^ listener * np.uint64(mixing[0])
    _, first = np.unique(mixed, return_index=True)
    first = first[: 4 * CLIENTS]
    pairs = zip(high[first].tolist(), low[first].tolist(), listener[first].tolist(), strict=True)
    return [(h << 64 | lo, int(each)) for h, lo, each in pairs if h or lo]


def _addresses(words: Words, *, wide: bool) -> tuple[Words, Words]:
    """Return the two halves of each client's address as numbers."""
    packed = np.ascontiguousarray(words[:, IP_HIGH : IP_LOW + 1])
    numbers = packed.view(">u8").astype(np.uint64)
    high, low = numbers[:, 0], numbers[:, 1]
    if wide:
        low = np.where((high == 0) & (low >> np.uint64(32) == _MAPPED), low, np.uint64(0))
    return high, low


def _mixed(high: Words, low: Words, mixing: tuple[int, int]) -> Words:
    mixed: Words = high * np.uint64(mixing[0]) ^ (low * np.uint64(mixing[1]))
    mixed ^= mixed >> np.uint64(29)
    return mixed * np.uint64(mixing[1] ^ mixing[0] | 1)
