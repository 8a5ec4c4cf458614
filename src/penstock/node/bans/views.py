"""Bans as the admin door tells and takes them."""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from penstock.base.clock import NS
from penstock.base.errors import PenstockError
from penstock.config.bans import REASON_CHARACTERS
from penstock.config.mistakes import Wrong, printable
from penstock.config.units import parse_duration
from penstock.metrics.live import rfc3339
from penstock.policy.ban import Ban

LONGEST = 3_650 * 86_400 * NS
"""Ten years; who wants more leaves the duration out."""


class BanError(PenstockError):
    """A ban that cannot be; the message says why."""


class WantedBan(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"length": "for"}):
    """
    A ban that an operator wants.

    Args:
        address: An address or a network.
        length: How long, as in `1h`; null for good.
        reason: Why, for people.
        shadow: Whether clients are only counted, not refused.
        confirm: After how long it is undone unless it was confirmed, as in `60s`; null if it stays.
        cut: Whether open connections of these clients end, too.
        asker: Address that the operator came from, as the command line knows it; never banned. Empty for unknown.
    """

    address: str
    length: str | None = None
    reason: str = ""
    shadow: bool = False
    confirm: str | None = None
    cut: bool = False
    asker: str = ""


class EvidenceView(Struct, frozen=True, kw_only=True):
    """What a detector saw; `window` in s. See `policy.ban.Evidence`."""

    counted: str
    count: int
    threshold: int
    window: float
    offence: int


class BanView(Struct, frozen=True, kw_only=True):
    """
    A ban, as it is published.

    Args:
        network: What it holds for: an address or a network.
        origin: `manual` or `auto`.
        reason: What an operator wrote, or the detector's name.
        since: RFC 3339, UTC.
        until: The same; null for good.
        seconds_left: Until it ends; null for good.
        shadow: Whether clients are only counted, not refused.
        confirm_by: When it is undone unless it is confirmed; null if it stays.
        refused: Connections that it has refused, or would have, since this node started; null for networks that are not
            in shadow.
        evidence: What a detector saw; null for one made by hand.
        cut: Open connections that were ended with it; null but in the answer to the order.
    """

    network: str
    origin: str
    reason: str
    since: str
    until: str | None
    seconds_left: float | None
    shadow: bool
    confirm_by: str | None
    refused: int | None
    evidence: EvidenceView | None
    cut: int | None = None


class ListView(Struct, frozen=True):
    """
    A block list.

    Args:
        file: Where it lies.
        reason: Why its networks are banned.
        networks: How many it lists.
    """

    file: str
    reason: str
    networks: int


def parse_wanted(body: bytes) -> WantedBan:
    """
    Return what is wanted.

    Args:
        body: JSON.

    Raises:
        BanError: If it is no such thing.
    """
    try:
        wanted = msgspec.json.decode(body, type=WantedBan)
    except msgspec.DecodeError as error:
        raise BanError(str(error)) from None
    if len(wanted.reason) > REASON_CHARACTERS or printable(wanted.reason) != wanted.reason:
        raise BanError(f"a reason is one line of at most {REASON_CHARACTERS} characters")
    return wanted


def length_of(name: str, text: str | None) -> int | None:
    """Return a duration of an order; unit ns, None for none. Raises BanError for what is none, or too long."""
    if text is None:
        return None
    try:
        length = parse_duration(text)
    except Wrong as wrong:
        raise BanError(f"{name}: {wrong.what}" + (f"; write {wrong.write}" if wrong.write else "")) from None
    if not 0 < length <= LONGEST:
        raise BanError(f"{name}: must be longer than 0s, and at most ten years")
    return length


def view_of(ban: Ban, now: int, refused: Mapping[str, int], *, told: bool) -> BanView:
    """
    Return how a ban is published.

    Args:
        ban: The ban.
        now: ns since the epoch.
        refused: Connections that were refused, by network.
        told: Whether it is known how many.
    """
    seen = ban.evidence
    return BanView(
        network=ban.network,
        origin=ban.origin,
        reason=ban.reason,
        since=rfc3339(ban.since),
        until=None if ban.until is None else rfc3339(ban.until),
        seconds_left=None if ban.until is None else max(0, ban.until - now) / NS,
        shadow=ban.shadow,
        confirm_by=None if ban.confirm_by is None else rfc3339(ban.confirm_by),
        refused=refused.get(ban.network, 0) if told else None,
        evidence=None
        if seen is None
        else EvidenceView(
            counted=seen.counted,
            count=seen.count,
            threshold=seen.threshold,
            window=seen.window / NS,
            offence=seen.offence,
        ),
    )
