"""
Who may go where, and when: the rules of one listener, compiled once.

Of several rules that match, the one of the highest priority counts; of several with that, one that blocks. What none
matches is let through. A rule that asks for nothing but clients and times is decided before anything is read; others
when user and destination are known, and for a destination with a name once more for each address that the name turned
out to have: a rule that holds for the name or for the address matches.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple

from penstock.base.addresses import unmap
from penstock.base.outcomes import Reason
from penstock.config.plan import AccessRulePlan, DestinationPlan
from penstock.policy.facts import RouteFacts
from penstock.policy.hosts import ANY
from penstock.policy.keys import Destinations, Ports, Values, bits
from penstock.policy.private import carried, is_private
from penstock.policy.ranges import RangeIndex, network_ranges

EVERYWHERE = (ANY, "0.0.0.0/0", "::/0")
"""Destinations that name none."""

REACHES = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where a connection to the address of nobody comes out (connect(2) of Linux)."""


class Refusal(NamedTuple):
    """
    Why a client may not.

    Args:
        reason: `access`, or `destination` where another destination would do.
        detail: The rule, for the log.
    """

    reason: Reason
    detail: str


class Access:
    """
    The rules that concern one listener.

    Args:
        rules: In the order of the configuration.
        listener: Number of the listener.
        port: Its own.
        asks: Whether its clients say where they want to go.
        private: Whether they may go to private addresses.

    Attributes:
        early: Whether something can be decided before anything is read.
        late: Whether something is left to be decided when user and destination are known, or with each request, where
            rules hold at some times only.
    """

    __slots__ = ("_blocking", "_clients", "_destinations", "_late", "_names", "_naming", "_ports", "_private", "_rules",
                 "_times", "_users", "early", "late")  # fmt: skip

    def __init__(
        self, rules: Sequence[AccessRulePlan], listener: int, port: int, *, asks: bool, private: bool = True
    ) -> None:
        mine = [rule for rule in rules if not rule.listeners or listener in rule.listeners]
        if not asks:
            mine = [rule for rule in mine if not rule.destinations and _within(rule.ports, port)]
        self._rules = tuple(sorted(mine, key=lambda rule: (-rule.priority, rule.action != "block")))
        self._private = private or not asks
        self._late = sum(
            1 << place
            for place, rule in enumerate(self._rules)
            if rule.users or rule.destinations or (rule.ports and asks)
        )
        self._compile()
        self.early = any(rule.action == "block" for rule in self._rules)
        timed = self.early and any(rule.times for rule in self._rules)
        self.late = bool(self._late) or timed or not self._private

    def _compile(self) -> None:
        rules = self._rules
        networks = ([each for network in rule.clients for each in network_ranges(network)] for rule in rules)
        self._clients = RangeIndex(enumerate(networks), _mask([not rule.clients for rule in rules]))
        self._times = RangeIndex(enumerate(rule.times for rule in rules), _mask([not rule.times for rule in rules]))
        self._users = Values([rule.users for rule in rules], attrgetter("user"))
        self._ports = Ports([rule.ports for rule in rules])
        self._destinations = Destinations([rule.destinations for rule in rules])
        named = [names(rule) for rule in rules]
        self._names, self._naming = Destinations(named), _mask([bool(some) for some in named])
        self._blocking = _mask([rule.action == "block" for rule in rules])

    def entering(self, client: int, minute: int) -> AccessRulePlan | None:
        """
        Return the rule that keeps a client out before anything is read; None for none.

        Args:
            client: Its address as `ranges.address_number` tells it.
            minute: Of the week.
        """
        mask = self._clients.find(client) & self._times.find(minute)
        lowest = mask & -mask
        if not lowest or lowest & self._late:
            return None
        rule = self._rules[lowest.bit_length() - 1]
        return rule if rule.action == "block" else None

    def decide(self, facts: RouteFacts, client: int, minute: int, address: str = "") -> AccessRulePlan | None:
        """
        Return the rule that counts; None where none matches.

        Args:
            facts: All that is known.
            client: As for `entering`.
            minute: Of the week.
            address: What the destination's name has turned out to be; empty while nobody knows.
        """
        mask = self._mask(facts, client, minute, address)
        return self._rules[(mask & -mask).bit_length() - 1] if mask else None

    def _mask(self, facts: RouteFacts, client: int, minute: int, address: str) -> int:
        mask = self._clients.find(client) & self._times.find(minute)
        if mask & self._late:
            mask &= self._users.find(facts) & self._ports.find(facts) & _going(self._destinations, facts, address)
        return mask

    def matching(self, facts: RouteFacts, client: int, minute: int) -> list[AccessRulePlan]:
        """Return every rule that matches, the one that counts first. Arguments as for `decide`."""
        mask = self._clients.find(client) & self._times.find(minute)
        mask &= self._users.find(facts) & self._ports.find(facts) & self._destinations.find(facts)
        return [self._rules[place] for place in bits(mask)]

    def refusal(self, facts: RouteFacts, client: int, minute: int, address: str = "") -> Refusal | None:
        """
        Return why a client may not go on; None if it may. Arguments as for `decide`.

        A private address is refused unless the listener permits them, or a rule allows this destination and says so:
        one that allows all that some clients do, or a port everywhere, has not thought of it.
        """
        mask = self._mask(facts, client, minute, address)
        lowest, blocking = mask & -mask, mask & self._blocking
        if lowest & blocking:
            rule = self._rules[lowest.bit_length() - 1]
            reason = Reason.DESTINATION if rule.destinations or rule.ports else Reason.ACCESS
            return Refusal(reason, f"access rule {rule.name} blocks it")
        if address and not self._private and is_private(address):
            before = (blocking & -blocking) - 1  # all, where none blocks
            if not mask & before & self._naming & _going(self._names, facts, address):
                return Refusal(Reason.DESTINATION, f"{address} is a private address")
        return None


def names(rule: AccessRulePlan) -> list[DestinationPlan]:
    """Return the destinations that a rule names; none for one that is about everywhere."""
    return [each for each in rule.destinations if each.host not in EVERYWHERE]


def _going(destinations: Destinations, facts: RouteFacts, address: str) -> int:
    """Return the rules that hold for a destination, or for the address that it turned out to have, as bits."""
    mask = destinations.find(facts)
    if not address:
        return mask
    address = unmap(address)
    for each in (REACHES.get(address, address), carried(address)):
        if each and each != facts.destination:
            there = RouteFacts(listener=facts.listener, destination=each, destination_port=facts.destination_port)
            mask |= destinations.find(there)
    return mask


def _within(ranges: Sequence[tuple[int, int]], port: int) -> bool:
    return not ranges or any(first <= port <= last for first, last in ranges)


def _mask(holds: Sequence[bool]) -> int:
    return sum(1 << place for place, each in enumerate(holds) if each)
