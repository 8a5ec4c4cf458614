"""All detectors of a node together: what a tick has told goes in, verdicts come out."""

from collections.abc import Iterator
from typing import NamedTuple

from penstock.base.bounds import LISTENERS
from penstock.config.ban_plan import BanPlan
from penstock.metrics.growth import Growth
from penstock.metrics.offenders import Conduct, Counts, conduct
from penstock.policy.detectors import Counter, Rule
from penstock.policy.walks import Walks

COUNTED = {
    "failed_logins": "failed logins",
    "refused_destinations": "refused destinations",
    "floods": "connections beyond a limit",
    "connections": "connections",
    "port_walks": "listeners visited",
    "protocol_abuse": "broken protocols and handshakes",
}
"""What each detector counts."""

WALKS = "port_walks"


class Verdict(NamedTuple):
    """
    A client that has done too much.

    Args:
        rule: Of the detector.
        client: As a number.
        done: How much it has done.
    """

    rule: Rule
    client: int
    done: int


class Judge:
    """
    The detectors.

    Args:
        plan: How they find out.
        listeners: Of the node.

    Attributes:
        refused: Connections that bans refused since it was last asked, by client.
    """

    def __init__(self, plan: BanPlan, listeners: int = LISTENERS) -> None:
        self._waiting: list[Conduct] = []
        self.replan(plan, listeners)

    def replan(self, plan: BanPlan, listeners: int = LISTENERS) -> None:
        """
        Go on by other rules; a detector whose rule stays goes on counting.

        Args:
            plan: The rules.
            listeners: Of the node: nobody walks over more of them than there are.
        """
        rules = {
            name: Rule(name, COUNTED[name], each.threshold, each.window, each.duration)
            for name, each in plan.detectors
            if each.threshold and plan.detect != "off" and not (name == WALKS and each.threshold > listeners)
        }
        before = getattr(self, "_counters", {})
        self._wide = plan.ipv6_networks
        self._counters: dict[str, Counter | Walks] = {}
        for name, rule in rules.items():
            old = before.get(name)
            new: Counter | Walks = Walks(rule) if name == WALKS else Counter(rule)
            self._counters[name] = old if old is not None and old.rule == rule else new

    def look(self, growth: Growth) -> None:
        """Take what ended in one worker."""
        if not growth.rows.open.all():
            self._waiting.append(conduct(growth.rows, self._counters.keys(), wide=self._wide))

    def verdicts(self, now: int) -> tuple[list[Verdict], Counts]:
        """
        Return who has done too much, and whom bans have refused, since this was last asked.

        Args:
            now: Monotonic time; unit ns.
        """
        waiting, self._waiting = self._waiting, []
        found: list[Verdict] = []
        refused: dict[int, int] = {}
        for each in waiting:
            for name, counts in ((WALKS, each.walks), *each.events.items()):
                counter = self._counters.get(name)
                if counter is not None:
                    found += [Verdict(counter.rule, client, count) for client, count in counter.add(counts, now)]
            for client, count in each.refused:
                refused[client] = refused.get(client, 0) + count
        return found, list(refused.items())

    def counts(self, client: int, now: int) -> Iterator[tuple[Rule, int]]:
        """Yield what each detector counts of a client now, in either width of its address."""
        wide = client if client >> 32 == 0xFFFF or not self._wide else client >> 64 << 64
        for counter in self._counters.values():
            if count := counter.count(wide, now):
                yield counter.rule, count

    def drop(self, client: int) -> None:
        """Forget what a client did."""
        for counter in self._counters.values():
            counter.drop(client)
