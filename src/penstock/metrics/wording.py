"""What a row says, in words for people: texts, clients, outcomes."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.base.addresses import unpack_ip
from penstock.base.outcomes import EndedBy, Outcome, Phase, unpack
from penstock.metrics.ledger import IP_HIGH, IP_LOW, PORT

LOST = Outcome(EndedBy.INTERNAL, Phase.RELAY)
"""How a connection ends whose worker died."""


class Texts(NamedTuple):
    """What the worker knows of a connection in words; empty for unknown."""

    destination: str = ""
    user: str = ""
    detail: str = ""


def parse_texts(raw: bytes) -> Texts:
    """
    Return the texts that `Ledger.describe` wrote.

    Clients choose parts of them, so what a terminal would obey or could not show is replaced.
    """
    return Texts(*map(printable, raw.decode("utf-8", "replace").split("\0", 2)))


def printable(text: str) -> str:
    """Return a text with a replacement for each character that cannot be shown."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)


def client_of(words: NDArray[np.uint64]) -> str:
    """Return the client of a row as `ip:port`, or `-` for one on a Unix socket."""
    return client_text(unpack_ip(words[IP_HIGH : IP_LOW + 1].tobytes()), int(words[PORT]) & 0xFFFF)


def client_text(host: str, port: int) -> str:
    """Return a client as `ip:port`; `-` for the host `-`, which has no port."""
    if host == "-":
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@lru_cache(maxsize=1_024)  # ten words for who, seven for the phase, fifteen for the reason make 1050 at the very most
def outcome_of(packed: int) -> Outcome:
    """Return the outcome of a ledger word; a word that stands for none is a fault of ours and reads as `LOST`."""
    try:
        return unpack(packed)
    except ValueError:
        return LOST


def went_wrong(outcome: Outcome) -> bool:
    """Return whether an operator would ask why: refused, failed or timed out, not merely over."""
    if outcome.reason is not None:
        return True
    if outcome.ended_by is EndedBy.TARGET:
        return outcome.phase < Phase.RELAY
    return outcome.ended_by not in (EndedBy.COMPLETE, EndedBy.CLIENT, EndedBy.ADMIN)
