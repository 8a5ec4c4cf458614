"""
Open connections beside what the kernel says of their sockets.

Rows are read, then the kernel is asked, then the rows are read again. Counters only grow, so what the kernel says lies
between the two readings, or it is wrong by its distance from them. That holds while bytes move; where they rest, the
two readings are equal and the kernel must say the very number.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.metrics.audit import DIMENSIONS, SUSPECTS, AuditLine, KernelView
from penstock.metrics.fold import LedgerReader
from penstock.metrics.ledger import APART, CLIENT_RX, CLIENT_TX, IP_HIGH, IP_LOW, PORT, ROW_WORDS, SCOPE
from penstock.metrics.live import SERIAL_BITS, number_of

Numbers = NDArray[np.int64]
Places = NDArray[np.intp]


class Streams(NamedTuple):
    """
    TCP streams, as rows or the kernel tell of them; shape (n,) each.

    Args:
        keys: The client's address in two words, and its port above ours; shape (n, 3).
        rx, tx: What we have received and sent; unit bytes.
    """

    keys: NDArray[np.uint64]
    rx: Numbers
    tx: Numbers


class Reading(NamedTuple):
    """
    Open connections of all workers at one moment; shape (n,) each.

    Args:
        ids: Of the connections, as published.
        readers, positions, serials: In which ledger each is, where, and its number there.
        unix, apart: Whether it is on a Unix socket, and whether it counts other bytes than those of its socket.
        streams: Who is at the other end, and what the row has counted.
    """

    ids: Numbers
    readers: Places
    positions: Places
    serials: NDArray[np.uint64]
    unix: NDArray[np.bool_]
    apart: NDArray[np.bool_]
    streams: Streams


class Confrontation(NamedTuple):
    """
    Connections beside their sockets.

    Args:
        ids: Of all connections that were open all the while, and that are TCP streams.
        unix, apart: How many more were open on Unix sockets, and with other bytes than those of their sockets.
        ours, theirs: Those that the kernel told of: places in the first reading and in the kernel's list; shape (n,).
        seen: What the kernel says of them.
        rx, tx: How far that is from the readings; shape (n,). Who asks again corrects them.
    """

    ids: Numbers
    unix: int
    apart: int
    ours: Places
    theirs: Places
    seen: Streams
    rx: Numbers
    tx: Numbers


def read(readers: Sequence[LedgerReader], ports: NDArray[np.uint64]) -> Reading:
    """
    Return the connections that are open now.

    Args:
        readers: Of all ledgers.
        ports: Where each listener listens, by its id; shape (highest id + 1,), 0 for one on a Unix socket.
    """
    looks = [reader.look() for reader in readers]
    words = np.concatenate([np.zeros((0, ROW_WORDS), np.uint64), *(look.words for look in looks)])
    serials = np.concatenate([np.zeros(0, np.uint64), *(look.serial for look in looks)])
    listeners = np.minimum(words[:, SCOPE] & np.uint64(0xFFFF), np.uint64(len(ports) - 1)).astype(np.intp)
    counts = [len(look.position) for look in looks]
    generations = np.repeat([number_of(reader.generation, 0) for reader in readers], counts).astype(np.int64)
    return Reading(
        ids=serials.astype(np.int64) & (1 << SERIAL_BITS) - 1 | generations,
        readers=np.repeat(np.arange(len(looks)), counts),
        positions=np.concatenate([np.zeros(0, np.intp), *(look.position for look in looks)]),
        serials=serials,
        unix=(words[:, IP_HIGH] | words[:, IP_LOW]) == 0,
        apart=words[:, SCOPE] & np.uint64(APART) != 0,
        streams=Streams(
            keys=np.stack(
                (
                    words[:, IP_HIGH],
                    words[:, IP_LOW],
                    (words[:, PORT] & np.uint64(0xFFFF)) << np.uint64(16) | ports[listeners],
                ),
                axis=1,
            ),
            rx=words[:, CLIENT_RX].astype(np.int64),
            tx=words[:, CLIENT_TX].astype(np.int64),
        ),
    )


def confront(before: Reading, seen: Streams, after: Reading) -> Confrontation:
    """
    Return the connections of two readings beside what the kernel said between them.

    Args:
        before, after: The readings.
        seen: The kernel's list, in any order; sockets without a row are nobody's here.
    """
    _, old, new = np.intersect1d(before.ids, after.ids, assume_unique=True, return_indices=True)
    unix, apart = before.unix[old], before.apart[old] | after.apart[new]
    stream = ~(unix | apart)
    old, new = old[stream], new[stream]
    ours, theirs = pair(before.streams.keys[old], seen.keys)
    found = Streams(seen.keys[theirs], seen.rx[theirs], seen.tx[theirs])
    low, high = before.streams, after.streams
    return Confrontation(
        ids=before.ids[old],
        unix=int(unix.sum()),
        apart=int((apart & ~unix).sum()),
        ours=old[ours],
        theirs=theirs,
        seen=found,
        rx=distance(low.rx[old[ours]], found.rx, high.rx[new[ours]]),
        tx=distance(low.tx[old[ours]], found.tx, high.tx[new[ours]]),
    )


def pair(ours: NDArray[np.uint64], theirs: NDArray[np.uint64]) -> tuple[Places, Places]:
    """
    Return which rows of two lists of keys are of the same stream.

    Args:
        ours, theirs: Shape (n, 3) and (m, 3).

    Returns:
        Places in each list, side by side. A key that stands twice in either of them belongs to nobody: one is the
        remainder of a connection that has just gone.
    """
    keys = np.concatenate((ours, theirs))
    order = np.lexsort(keys.T)
    same = np.concatenate(([False], (keys[order[1:]] == keys[order[:-1]]).all(axis=1), [False]))
    first = np.flatnonzero(same[1:-1] & ~same[:-2] & ~same[2:])  # exactly two of a kind
    left, right = np.sort((order[first], order[first + 1]), axis=0)
    mixed = (left < len(ours)) & (right >= len(ours))
    return left[mixed], right[mixed] - len(ours)


def distance(before: Numbers | int, seen: Numbers, after: Numbers | int) -> Numbers:
    """Return how far what was seen lies outside of two readings; 0 between them, below 0 before the first."""
    out: Numbers = np.minimum(seen - before, 0) + np.maximum(seen - np.maximum(before, after), 0)
    return out


def publish(found: Confrontation, ids: Numbers, gone: NDArray[np.bool_], taken_at: str) -> KernelView:
    """
    Return what is published of a confrontation.

    Args:
        found: With the distances that are left.
        ids: Of the connections that the kernel told of; shape (n,).
        gone: Which of them ended while they were looked at; shape (n,).
        taken_at: RFC 3339.
    """
    left = ~gone
    rx, tx = found.rx[left], found.tx[left]
    return KernelView(
        taken_at=taken_at,
        open=len(found.ids) + found.unix + found.apart,
        witnessed=len(rx),
        unix=found.unix,
        apart=found.apart,
        closed=len(found.ids) - len(rx),
        lines=(_line("bytes_in", found.seen.rx[left], rx), _line("bytes_out", found.seen.tx[left], tx)),
        suspects=tuple(ids[left][np.flatnonzero(rx | tx)[:SUSPECTS]].tolist()),
    )


def _line(quantity: str, seen: Numbers, away: Numbers) -> AuditLine:
    """The total is what rows must have said at that moment: what was seen, less the distances."""
    found = int(seen.sum())
    return AuditLine(
        dimension="kernel",
        adds=DIMENSIONS["kernel"],
        quantity=quantity,
        total=found - int(away.sum()),
        sum=found,
        residual=int(np.abs(away).sum()),
    )
