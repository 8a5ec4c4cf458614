"""Client addresses as keys: 16 bytes of the row, IPv4 as mapped IPv6; 16 zeros for a client on a Unix socket."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from penstock.base.addresses import is_ip, pack_ip, unpack_ip
from penstock.metrics.growth import Growth
from penstock.metrics.keyed import Told, distinct
from penstock.metrics.keys import Kind
from penstock.metrics.ledger import IP_HIGH, IP_LOW

_NOBODY = bytes(16)


def parse(text: str) -> bytes | None:
    """Return the key of an address as text, `-` among them; None for what is no address."""
    return pack_ip(text) if text == "-" or is_ip(text) else None


KIND = Kind("client", _NOBODY, lru_cache(4_096)(unpack_ip), parse)  # those that are told of are told of each second


def told(growth: Growth, everyone: bool) -> Told:
    """Return whose connections are new, or everyone's. An address never changes, and is known at once."""

    def ask(rows: NDArray[np.intp]) -> list[bytes]:
        packed = np.ascontiguousarray(growth.rows.words[rows, IP_HIGH : IP_LOW + 1])
        return packed.view("V16").ravel().tolist()

    news = np.arange(len(growth.fresh)) if everyone else np.flatnonzero(growth.fresh)
    return Told(news, *distinct(ask(news)), None, ask)
