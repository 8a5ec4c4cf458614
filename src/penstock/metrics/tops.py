"""The busiest clients, users and destinations of a picture, by name; all others together as `other`."""

from typing import NamedTuple, TypeVar

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from penstock.metrics.keys import C_CONNECTIONS, FIRST, NOBODY, OTHER, OTHER_NAME, Picture
from penstock.metrics.rings import Floats

NAMED = 100
"""Keys that `by_ip` and the like name; the rest are `other`."""

_FIRST = 2 * NAMED
"""Places that are sorted and looked at first."""

TOP = 10
"""Keys in `top_ips` and the like."""


class ConnectionCount(Struct, frozen=True):
    """Open connections, and those accepted so far."""

    active: int
    total: int


class KeyRates(Struct, frozen=True):
    """Bytes per second of one client, user or destination over the last ten seconds."""

    bytes_in: float
    bytes_out: float


class _Top(Struct, frozen=True, kw_only=True):
    active: int
    total: int
    bytes_in: int
    bytes_out: int
    requests: int


class TopIp(_Top, frozen=True, kw_only=True):
    """
    One of the addresses with the most open connections.

    Args:
        ip: The address; `-` for clients on Unix sockets.
        active: Open connections.
        total: Connections since the address became known.
        bytes_in, bytes_out: Client to proxy, proxy to client, since then.
        requests: HTTP exchanges, SOCKS commands and dialed TCP connections, since then.
    """

    ip: str


class TopUser(_Top, frozen=True, kw_only=True):
    """One of the users with the most open connections, as `TopIp`; `-` is nobody, of whom no login was asked."""

    user: str


class TopDestination(_Top, frozen=True, kw_only=True):
    """One of the destinations with the most open connections, as `TopIp`; `-` where nothing was asked for."""

    destination: str


AnyTop = TypeVar("AnyTop", TopIp, TopUser, TopDestination)


class MostOpen(NamedTuple):
    """
    The keys with the most open connections.

    Args:
        counts: By name, `NAMED` of them and `other`; empty if the kind is switched off.
        first: Name, active and totals of the first `TOP`.
    """

    counts: dict[str, ConnectionCount]
    first: list[tuple[str, int, list[int]]]

    def named(self, top: type[AnyTop]) -> list[AnyTop]:
        """Return the first ones as they are published."""
        label = top.__struct_fields__[-1]
        return [
            top(**{label: name}, active=active, total=total, bytes_in=in_, bytes_out=out, requests=requests)
            for name, active, (total, in_, out, requests) in self.first
        ]


def most_open(picture: Picture | None) -> MostOpen:
    """Return the keys with the most open connections, and of those the ones with most in all."""
    if picture is None:
        return MostOpen({}, [])
    active, totals = picture.active, picture.totals
    places = _known(picture, np.lexsort((-totals[C_CONNECTIONS], -active)), NAMED)
    names, named = [picture.name(place) for place in places], np.array(places, np.intp)
    opened = active[named].tolist()
    columns = totals[:, named].T.tolist()
    counts = {name: ConnectionCount(now, all_[0]) for name, now, all_ in zip(names, opened, columns, strict=True)}
    rest = _rest(len(active), named)
    counts[OTHER_NAME] = ConnectionCount(int(active[rest].sum()), int(totals[C_CONNECTIONS, rest].sum()))
    return MostOpen(counts, list(zip(names[:TOP], opened, columns, strict=False)))


def fastest(picture: Picture | None, seconds: int) -> dict[str, KeyRates]:
    """Return the rates of the keys that moved most in the newest seconds, `NAMED` of them and `other`."""
    if picture is None:
        return {}
    rates = picture.rates(seconds)
    places = _known(picture, _most_first(rates[:, 0] + rates[:, 1]), NAMED)
    named = np.array(places, np.intp)
    found = {picture.name(place): KeyRates(*pair) for place, pair in zip(places, rates[named].tolist(), strict=True)}
    found[OTHER_NAME] = KeyRates(*(_rest(len(rates), named).astype(np.float64) @ rates).tolist())
    return found


def _most_first(numbers: Floats) -> NDArray[np.intp]:
    """Return the places of the largest numbers, `_FIRST` or more of them, then all others; equal ones in order."""
    if len(numbers) <= _FIRST:
        return np.argsort(-numbers, kind="stable")
    least = np.partition(numbers, -_FIRST)[-_FIRST]
    large = np.flatnonzero(numbers >= least)
    return np.concatenate((large[np.argsort(-numbers[large], kind="stable")], np.flatnonzero(numbers < least)))


def _known(picture: Picture, order: NDArray[np.intp], limit: int) -> list[int]:
    """Return the first places in this order that have a key; that of `-` too, once it was needed."""
    keys, found = picture.keys, []
    nobody = bool(picture.totals[C_CONNECTIONS, NOBODY])
    for part in (order[:_FIRST], order[_FIRST:]):  # the first ones nearly always suffice
        for place in part.tolist():
            if keys[place] is not None if place >= FIRST else place == NOBODY and nobody:
                found.append(place)
                if len(found) == limit:
                    return found
    return found


def _rest(size: int, named: NDArray[np.intp]) -> NDArray[np.bool_]:
    rest = np.ones(size, np.bool_)
    rest[named] = False
    rest[OTHER] = True
    return rest
