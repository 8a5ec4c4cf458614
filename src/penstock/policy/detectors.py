"""
Who deserves a ban: events of clients counted in windows, and how often somebody has offended before.

A count is that of a sliding window as HAProxy's freq_ctr has it: the present window and what is left of the one before.
From rest it is exact. Everything is bounded: under an attack from everywhere those that did least are forgotten first.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from msgspec import Struct

CLIENTS = 16_384
"""Clients that one detector counts at once; a thousand a second for the shortest sensible window."""

OFFENDERS = 65_536
"""Clients whose offences are remembered; as many as can be banned."""


class Rule(NamedTuple):
    """
    A detector.

    Args:
        name: Which, as in the configuration.
        counted: What it counts, for people.
        threshold: How many events in a window are too many, 2 or more; 0 for a detector that is off.
        window: Unit ns.
        duration: Of the first ban; unit ns.
    """

    name: str
    counted: str
    threshold: int
    window: int
    duration: int


class Seen(NamedTuple):
    """
    What a detector knows of a client.

    Args:
        begun: When its present window began; unit ns.
        before: Events in the window before.
        now: Events in this one.
    """

    begun: int
    before: int
    now: int

    def within(self, window: int, at: int) -> int:
        """Return how many events are counted at a time; unit ns."""
        elapsed = max(0, at - self.begun)
        if elapsed >= 2 * window:
            return 0
        if elapsed >= window:
            return self.now - self.now * (elapsed - window) // window
        return self.now + self.before - self.before * elapsed // window


class Counter:
    """
    Counts events of clients.

    Args:
        rule: Which events, and how many are too many.
    """

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._seen: dict[int, Seen] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def add(self, events: Iterable[tuple[int, int]], now: int) -> list[tuple[int, int]]:
        """
        Count events.

        Args:
            events: Clients, as numbers, each once, and how many events of each there were.
            now: Unit ns.

        Returns:
            Clients that have done too much, and how much; they begin anew.
        """
        window, threshold, known = self.rule.window, self.rule.threshold, self._seen
        found = []
        for client, count in events:
            seen = known.get(client)
            if seen is None or now - seen.begun >= 2 * window:  # most of a flood: nothing is left of a window before
                total, grown = count, Seen(now, 0, count)
            elif now - seen.begun >= window:
                grown = Seen(seen.begun + window, seen.now, count)
                total = grown.within(window, now)
            else:
                grown = Seen(seen.begun, seen.before, seen.now + count)
                total = grown.within(window, now) if seen.before else grown.now
            if total >= threshold:
                found.append((client, total))
                known.pop(client, None)
            else:
                known[client] = grown
        if len(self._seen) > CLIENTS:
            self._forget(now)
        return found

    def count(self, client: int, now: int) -> int:
        """Return how many events of a client are counted now."""
        seen = self._seen.get(client)
        return 0 if seen is None else seen.within(self.rule.window, now)

    def drop(self, client: int) -> None:
        """Forget a client."""
        self._seen.pop(client, None)

    def _forget(self, now: int) -> None:
        """Keep those three quarters of the places whose clients did most."""
        counts = {client: seen.within(self.rule.window, now) for client, seen in self._seen.items()}
        kept = sorted(counts, key=lambda client: counts[client], reverse=True)[: CLIENTS * 3 // 4]
        self._seen = {client: self._seen[client] for client in kept if counts[client]}


class SavedOffences(Struct, frozen=True):
    """
    What is remembered of offenders.

    Args:
        offences: By client, as 32 hexadecimal digits: how many, and when the last ban was to end; ns since the epoch.
    """

    offences: Mapping[str, tuple[int, int]]


class Offences:
    """
    How often clients have offended: each ban lasts twice as long as the one before, up to a cap.

    Args:
        longest: Of a ban; unit ns.
        remember: For how long after the end of a ban; unit ns.
    """

    def __init__(self, longest: int, remember: int) -> None:
        self.longest, self.remember = longest, remember
        self._known: dict[int, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def punish(self, client: int, duration: int, now: int) -> tuple[int, int]:
        """
        Count an offence.

        Args:
            client: As a number.
            duration: Of the first ban; unit ns.
            now: ns since the epoch.

        Returns:
            Which offence it is, from 1, and how long the ban lasts.
        """
        number = self.of(client, now) + 1
        length = min(self.longest, duration << min(number - 1, 40))
        self._known.pop(client, None)  # the newest is the last
        self._known[client] = number, now + length
        if len(self._known) > OFFENDERS:
            self._known.pop(next(iter(self._known)))
        return number, length

    def of(self, client: int, now: int) -> int:
        """Return how many offences of a client are remembered."""
        number, end = self._known.get(client, (0, 0))
        return number if now < end + self.remember else 0

    def forgive(self, client: int) -> None:
        """Forget a client: somebody has lifted its ban."""
        self._known.pop(client, None)

    def export(self) -> SavedOffences:
        """Return what is remembered."""
        return SavedOffences({f"{client:032x}": each for client, each in self._known.items()})

    def restore(self, saved: SavedOffences, now: int) -> None:
        """Remember what an earlier run did; raises ValueError for what it cannot have."""
        found = {int(client, 16): each for client, each in saved.offences.items()}
        if any(not 0 <= client < 1 << 128 or number < 1 for client, (number, _) in found.items()):
            raise ValueError("offences of nobody")
        fresh = {client: each for client, each in found.items() if now < each[1] + self.remember}
        self._known = dict([*fresh.items(), *self._known.items()][-OFFENDERS:])
