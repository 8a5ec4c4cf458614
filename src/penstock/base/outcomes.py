"""How a connection ended: who, in which phase, and for which reason. The three lists are closed (docs/words.md)."""

from enum import IntEnum, StrEnum
from typing import NamedTuple


class EndedBy(IntEnum):
    """Who ended the connection. The number is what the ledger stores."""

    CLIENT = 1
    TARGET = 2
    PROXY = 3
    RESOURCE = 4
    INTERNAL = 5
    ADMIN = 6
    CLIENT_TIMEOUT = 7
    TARGET_TIMEOUT = 8
    REAPED = 9
    COMPLETE = 10


class Phase(IntEnum):
    """How far the connection had come. The number is what the ledger stores."""

    DETECT = 1
    NEGOTIATE = 2
    DECIDE = 3
    DIAL = 4
    RELAY = 5
    DRAIN = 6
    DONE = 7


class Reason(StrEnum):
    """Why the proxy refused. Published as strings only; the ledger stores the position in this list."""

    BAN = "ban"
    ACCESS = "access"
    DESTINATION = "destination"
    AUTH = "auth"
    RATE_LIMIT = "rate_limit"
    IP_LIMIT = "ip_limit"
    ROUTE_LIMIT = "route_limit"
    USER_LIMIT = "user_limit"
    GLOBAL_LIMIT = "global_limit"
    QUOTA = "quota"
    PROTOCOL = "protocol"
    PROXY_HEADER = "proxy_header"
    OVERLOAD = "overload"
    OTHER = "other"


_REASONS = tuple(Reason)
_REASON_CODES = {reason: code for code, reason in enumerate(_REASONS, start=1)}


class Outcome(NamedTuple):
    """
    The word that a connection ends with.

    Args:
        ended_by: Who ended it.
        phase: In which phase.
        reason: Why the proxy refused it; None where nothing was refused.
    """

    ended_by: EndedBy
    phase: Phase
    reason: Reason | None = None

    def pack(self) -> int:
        """Return the outcome as one ledger word: ended_by, phase and reason in a byte each."""
        code = 0 if self.reason is None else _REASON_CODES[self.reason]
        return self.ended_by | self.phase << 8 | code << 16

    @property
    def close_reason(self) -> str:
        """Return the published word: normal, client_closed, target_closed, timeout, error, zombie, limit, shutdown."""
        if self.reason in _LIMITS:
            return "limit"
        return _CLOSE_REASONS[self.ended_by]


def unpack(word: int) -> Outcome:
    """
    Return the outcome that a ledger word stands for.

    Args:
        word: What `Outcome.pack` returned.

    Raises:
        ValueError: If the word is not one that `pack` can return.
    """
    code = word >> 16
    if not 0 <= code <= len(_REASONS):
        raise ValueError(f"no reason has the code {code}")
    return Outcome(EndedBy(word & 0xFF), Phase(word >> 8 & 0xFF), _REASONS[code - 1] if code else None)


_LIMITS = frozenset(
    (
        Reason.RATE_LIMIT,
        Reason.IP_LIMIT,
        Reason.ROUTE_LIMIT,
        Reason.USER_LIMIT,
        Reason.GLOBAL_LIMIT,
        Reason.QUOTA,
        Reason.OVERLOAD,
    )
)

_CLOSE_REASONS = {
    EndedBy.CLIENT: "client_closed",
    EndedBy.TARGET: "target_closed",
    EndedBy.PROXY: "error",
    EndedBy.RESOURCE: "limit",
    EndedBy.INTERNAL: "error",
    EndedBy.ADMIN: "shutdown",
    EndedBy.CLIENT_TIMEOUT: "timeout",
    EndedBy.TARGET_TIMEOUT: "timeout",
    EndedBy.REAPED: "zombie",
    EndedBy.COMPLETE: "normal",
}

COMPLETE = Outcome(EndedBy.COMPLETE, Phase.DONE)
