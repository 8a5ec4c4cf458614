"""
Looking for ended connections: which records a filter means, and how they are shown.

Numbers are compared for all records at once; texts, which clients chose, are read only of those that are left.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from penstock.base.addresses import pack_ip, unpack_ip
from penstock.base.clock import NS
from penstock.metrics.filters import ClientFilter, DestinationFilter, Filter, canonical
from penstock.metrics.growth import Words
from penstock.metrics.ledger import (
    CLIENT_RX,
    CLIENT_TX,
    DIALED,
    ENDED,
    IP_HIGH,
    IP_LOW,
    OUTCOME,
    PORT,
    REQUESTS,
    STARTED,
    TARGET_RX,
    TARGET_TX,
)
from penstock.metrics.records import ID, NAMES, NUMBER, Names, RecordsView
from penstock.metrics.wording import Texts, client_text, outcome_of, parse_texts


class RecordView(Struct, frozen=True, kw_only=True):
    """
    An ended connection, as it is published.

    Args:
        number: Its place among all records of this node, from 1; it has no other's as long as the store lives.
        id: The number that it had while it was open; a node that starts again begins these anew.
        client: `ip:port`, or `-` for a client on a Unix socket.
        listener: Name of the listener.
        route: Name of the route.
        target: `host:port` of the configured target; empty where there was none.
        destination: What the client asked for; empty where it could not or had not.
        user: Who it was; empty for unknown.
        bytes_in, bytes_out: Client to proxy, proxy to client.
        target_rx, target_tx: Target to proxy, proxy to target.
        requests: HTTP exchanges or SOCKS commands.
        started_at, ended_at: RFC 3339, UTC. With a worker that died its connections end when that is seen.
        duration: From accept to end; unit s.
        ended_by: Who ended it.
        phase: In which phase.
        close_reason: The published word for that.
        reason: Why it was refused; empty where nothing was refused.
        detail: One line; empty for none.
        dial_duration: Of the last successful dial; unit s, None if there was none.
    """

    number: int
    id: int
    client: str
    listener: str
    route: str
    target: str
    destination: str
    user: str
    bytes_in: int
    bytes_out: int
    target_rx: int
    target_tx: int
    requests: int
    started_at: str
    ended_at: str
    duration: float
    ended_by: str
    phase: str
    close_reason: str
    reason: str
    detail: str
    dial_duration: float | None


class Page(NamedTuple):
    """
    Some of the records.

    Args:
        connections: Those of this page.
        next: Where the next page begins; None on the last one.
        total: How many match, on all pages.
        first, last: Numbers of the oldest and the newest record that were looked at, matching or not; first is 0 if
            there was none.
    """

    connections: list[RecordView]
    next: int | None
    total: int
    first: int
    last: int


def search(
    view: RecordsView, wanted: Filter, *, limit: int, before: int | None = None, after: int | None = None
) -> Page:
    """
    Return records.

    Args:
        view: Where to look.
        wanted: Which ones.
        limit: How many at most, 1 or more.
        before: Only those with a lower number, where a page goes on; None to begin with the newest. Newest first.
        after: Only those with a higher number; then oldest first, so that who follows misses none. None for all.

    Cost: O(records kept) for numbers, and a microsecond for each whose texts decide.
    """
    words = view.read(after or 0)
    first, last = (int(words[0, NUMBER]), int(words[-1, NUMBER])) if len(words) else (0, view.end)
    words = words[_match_words(words, wanted, view)]
    if wanted.user is not None or wanted.destination is not None:
        words = words[_match_texts(*view.texts(words), wanted)]
    total = len(words)
    if before is not None:
        words = words[words[:, NUMBER] < before]
    rest = len(words) - limit
    words = words[::-1][:limit] if after is None else words[:limit]
    return Page(_views(words, view), int(words[-1, NUMBER]) if rest > 0 else None, total, first, last)


def _match_words(words: Words, wanted: Filter, view: RecordsView) -> NDArray[np.bool_]:
    """Return which records have the wanted numbers."""
    matching = np.ones(len(words), np.bool_)
    if wanted.client is not None:
        matching &= _match_client(words, wanted.client)
    if wanted.since:
        matching &= words[:, ENDED] >= wanted.since
    if wanted.until is not None:
        matching &= words[:, ENDED] < wanted.until
    if wanted.min_bytes:
        matching &= words[:, CLIENT_RX] + words[:, CLIENT_TX] >= np.uint64(wanted.min_bytes)
    if wanted.min_duration:
        matching &= words[:, ENDED] >= words[:, STARTED] + np.uint64(wanted.min_duration)
    matching &= _match_names(words, wanted, view)
    return matching & _match_outcome(words, wanted)


def _match_client(words: Words, client: ClientFilter) -> NDArray[np.bool_]:
    matching = _clients(words, client.network, client.mask) & _KINDS[client.kind](words)
    return matching & (words[:, PORT] == client.port) if client.port is not None else matching


def _clients(words: Words, network: bytes, mask: bytes) -> NDArray[np.bool_]:
    """Return which records have a client of this network; addresses are compared as they lie in memory."""
    addresses = words[:, IP_HIGH : IP_LOW + 1] & np.frombuffer(mask, np.uint64)
    matching: NDArray[np.bool_] = (addresses == np.frombuffer(network, np.uint64)).all(axis=1)
    return matching


def _is_ipv4(words: Words) -> NDArray[np.bool_]:
    return _clients(words, pack_ip("0.0.0.0"), b"\xff" * 12 + bytes(4))


def _is_unix(words: Words) -> NDArray[np.bool_]:
    return _clients(words, bytes(16), b"\xff" * 16)


_KINDS: dict[str, Callable[[Words], NDArray[np.bool_]]] = {
    "ipv4": _is_ipv4,
    "ipv6": lambda words: ~_is_ipv4(words) & ~_is_unix(words),
    "unix": _is_unix,
}


def _match_names(words: Words, wanted: Filter, view: RecordsView) -> NDArray[np.bool_] | bool:
    asked = (wanted.listener, wanted.route, wanted.target)
    if not any(asked):
        return True
    called = [
        number
        for number, names in view.names.items()
        if all(want in (None, name) for want, name in zip(asked, names, strict=True))
    ]
    return np.isin(words[:, NAMES], np.array(called, np.uint64))


def _match_outcome(words: Words, wanted: Filter) -> NDArray[np.bool_] | bool:
    asked = (wanted.ended_by, wanted.phase, wanted.close_reason, wanted.reason)
    if not any(asked):
        return True
    unique, inverse = np.unique(words[:, OUTCOME], return_inverse=True)
    told = (_outcome_words(each) for each in unique.tolist())
    fits = [all(want in (None, word) for want, word in zip(asked, each, strict=True)) for each in told]
    return np.array(fits, np.bool_)[inverse]


def _outcome_words(packed: int) -> tuple[str, str, str, str]:
    """Return ended_by, phase, close_reason and reason of a word of the ledger."""
    outcome = outcome_of(packed)
    who, phase = outcome.ended_by.name.lower(), outcome.phase.name.lower()
    return who, phase, outcome.close_reason, str(outcome.reason or "")


def _match_texts(raw: list[bytes], there: NDArray[np.bool_], wanted: Filter) -> NDArray[np.bool_]:
    told = map(parse_texts, raw)
    return there & np.fromiter((_has(texts, wanted) for texts in told), np.bool_, len(raw))


def _has(texts: Texts, wanted: Filter) -> bool:
    if wanted.user is not None and wanted.user != texts.user:
        return False
    return wanted.destination is None or _leads_to(texts.destination, wanted.destination)


def _leads_to(destination: str, wanted: DestinationFilter) -> bool:
    if not destination:
        return False
    host, port = _split(destination)
    if wanted.port is not None and port != str(wanted.port):
        return False
    host = canonical(host)
    return host.endswith("." + wanted.host) if wanted.below else host == wanted.host


def _split(destination: str) -> tuple[str, str]:
    """Return host and port of a destination as a conversation writes it: `host:port`, `[ip]:port`."""
    host, _, port = destination.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), port


def _views(words: Words, view: RecordsView) -> list[RecordView]:
    """Return records as they are published; what is the same for many of them is made once."""
    texts, there = view.texts(words)
    packed = words[:, IP_HIGH : IP_LOW + 1].tobytes()
    ips = [packed[start : start + 16] for start in range(0, len(packed), 16)]
    rows = zip(words.tolist(), ips, _moments(words[:, STARTED]), _moments(words[:, ENDED]), texts, strict=True)
    address, told = cache(unpack_ip), cache(_outcome_words)
    return [
        _view(
            row, client_text(address(ip), row[PORT]), (started, ended), parse_texts(raw), view.names[row[NAMES]], told
        )
        for (row, ip, started, ended, raw), whole in zip(rows, there.tolist(), strict=True)
        if whole
    ]


def _moments(wall_ns: Words) -> list[str]:
    """Return times as RFC 3339 in UTC, to the millisecond, as `live.rfc3339` writes them."""
    moments = (wall_ns // np.uint64(1_000_000)).astype("datetime64[ms]")
    texts: list[str] = np.datetime_as_string(moments, timezone="UTC").tolist()
    return texts


def _view(
    words: list[int],
    client: str,
    moments: tuple[str, str],
    texts: Texts,
    names: Names,
    told: Callable[[int], tuple[str, str, str, str]],
) -> RecordView:
    ended_by, phase, close_reason, reason = told(words[OUTCOME])
    return RecordView(
        number=words[NUMBER],
        id=words[ID],
        client=client,
        listener=names.listener,
        route=names.route,
        target=names.target,
        destination=texts.destination,
        user=texts.user,
        bytes_in=words[CLIENT_RX],
        bytes_out=words[CLIENT_TX],
        target_rx=words[TARGET_RX],
        target_tx=words[TARGET_TX],
        requests=words[REQUESTS],
        started_at=moments[0],
        ended_at=moments[1],
        duration=max(0, words[ENDED] - words[STARTED]) / NS,
        ended_by=ended_by,
        phase=phase,
        close_reason=close_reason,
        reason=reason,
        detail=texts.detail,
        dial_duration=words[DIALED] / NS if words[DIALED] else None,
    )
