"""What is kept of bans: entries of the store that have changed, and those that an earlier run has left."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import msgspec

from penstock.policy.ban import Ban
from penstock.policy.detectors import SavedOffences
from penstock.store.tables import Entry

if TYPE_CHECKING:
    from penstock.node.bans.desk import Desk

BAN, OFFENCES, MADE = "ban", "offences", "bans_made"
"""Kinds of entries: a ban by its network, offences by client, how many bans were made by reason."""

FAULTS = 5
"""Entries that are no bans are told one by one up to this."""

_CLIENT = re.compile("[0-9a-f]{32}")

Kept = TypeVar("Kept")

_TOTALS = msgspec.json.Decoder(dict[str, int])
_BANS = msgspec.json.Decoder(Ban)
_OFFENCE = msgspec.json.Decoder(tuple[int, int])


class Drawer:
    """
    The entries of a desk.

    Args:
        desk: Whose.
    """

    kinds: tuple[str, ...] = (BAN, OFFENCES, MADE)

    def __init__(self, desk: "Desk") -> None:
        self._desk = desk
        self._bans: set[str] = set()
        self._clients: set[int] = set()
        self._made: dict[str, int] = {}

    def changed(self, network: str) -> None:
        """Note that the ban of a network is another one, or none."""
        self._bans.add(network)

    def punished(self, client: int) -> None:
        """Note that a client has offended."""
        self._clients.add(client)

    def forgave(self, client: int) -> None:
        """Note that a client was forgiven."""
        self._clients.add(client)

    def take(self, *, everything: bool = False) -> dict[tuple[str, str], str | None]:
        """
        Return what is to be written, by kind and key, None for what is to be removed; it is given out once.

        Args:
            everything: Whether what was given out before has been lost.
        """
        desk = self._desk
        if everything:
            self._bans |= {each.ban.network for each in desk.held}
            self._clients |= {int(client, 16) for client in desk.offences.export().offences}
        found: dict[tuple[str, str], str | None] = {}
        for network in self._bans:
            held = desk.held.get(network)
            found[BAN, network] = None if held is None else msgspec.json.encode(held.ban).decode()
        known = desk.offences.export().offences if self._clients else {}
        for client in self._clients:
            offence = known.get(key := f"{client:032x}")
            found[OFFENCES, key] = None if offence is None else msgspec.json.encode(offence).decode()
        if self._made != desk.made and (any(desk.made.values()) or self._made):
            self._made = dict(desk.made)
            found[MADE, "totals"] = msgspec.json.encode(self._made).decode()
        self._bans, self._clients = set(), set()
        return found

    def restore(self, kept: Mapping[str, Sequence[Entry]]) -> list[str]:
        """Take what an earlier run has left, by kind; returns a line for each that is not what was once written."""
        faults: list[str] = []
        desk, bans, clients = self._desk, set(self._bans), set(self._clients)
        for totals in self._all(_TOTALS, kept.get(MADE, ()), faults).values():
            for reason, count in totals.items():
                if reason in desk.made and count > 0:
                    desk.made[reason] += count
        faults += desk.restore(self._all(_BANS, kept.get(BAN, ()), faults).values())
        try:
            saved = SavedOffences(self._all(_OFFENCE, kept.get(OFFENCES, ()), faults))
            desk.offences.restore(saved, desk.now)
        except ValueError as error:
            faults.append(f"offences: {error}")
        # what stands there already need not be written again; what is over, or damaged, goes
        self._bans = bans | {each.key for each in kept.get(BAN, ()) if desk.held.get(each.key) is None}
        known = desk.offences.export().offences
        gone = {each.key for each in kept.get(OFFENCES, ()) if each.key not in known}
        self._clients = clients | {int(key, 16) for key in gone if _CLIENT.fullmatch(key)}
        left = len(faults) - FAULTS
        return faults if left <= 0 else [*faults[:FAULTS], f"and {left} more of them"]

    @staticmethod
    def _all(decoder: msgspec.json.Decoder[Kept], entries: Sequence[Entry], faults: list[str]) -> dict[str, Kept]:
        found = {}
        for entry in entries:
            try:
                found[entry.key] = decoder.decode(entry.body)
            except msgspec.MsgspecError as error:
                faults.append(f"{entry.key[:64]!r}: {error}")
        return found
