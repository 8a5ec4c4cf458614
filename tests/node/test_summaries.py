"""What an operator reads of connections that went wrong."""

import numpy as np
import pytest

from penstock.base.addresses import pack_ip
from penstock.base.clock import NS
from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason
from penstock.metrics.fold import TROUBLES
from penstock.metrics.snapshot import EndedView
from penstock.metrics.troubled import NOBODY, troubled
from penstock.node.summaries import CLIENTS, LINES, NAMED, WHOLE, Summaries

AUTH = Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.AUTH)
PROTOCOL = Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.PROTOCOL)
RESET = Outcome(EndedBy.TARGET, Phase.DIAL)
BUG = Outcome(EndedBy.INTERNAL, Phase.RELAY)


def trouble(outcome=AUTH, client="192.0.2.7", **changes):
    """Return a connection that went wrong."""
    fields = {
        "id": 1, "client": f"{client}:4711", "listener": "web", "target": "", "destination": "example.org:443",
        "user": "", "ended_by": outcome.ended_by.name.lower(), "phase": "negotiate", "close_reason": "error",
        "reason": outcome.reason or "", "detail": "wrong password", "duration": 0.0125,
    }  # fmt: skip
    return EndedView(**fields | changes)


class Desk:
    """Summaries, and a clock that stands still until it is moved."""

    def __init__(self, kept):
        self.kept, self.now, self.summaries = kept, 100 * NS, Summaries(kept.log)

    def tick(self, *endings, seconds=1.0):
        """Let a tick tell of endings, each an outcome and a client; then some time goes by."""
        rows = [np.frombuffer(pack_ip(client), np.uint64) for _, client in endings]
        high, low = np.array(rows, np.uint64).reshape(-1, 2).T
        wrong = troubled(high, low, np.array([outcome.pack() for outcome, _ in endings], np.uint64))
        self.summaries.tell([trouble(*ending) for ending in endings[:TROUBLES]], wrong, self.now)
        self.now += int(seconds * NS)

    def sums(self, refused=True):
        """Return the lines that stand for many."""
        return self.kept.events("more connections refused" if refused else "more connections failed")

    def told(self):
        """Return for how many connections all lines together stand."""
        whole = self.kept.events("connection refused") + self.kept.events("connection failed")
        return len(whole) + sum(each["count"] for each in self.sums() + self.sums(refused=False))


@pytest.fixture
def desk(kept):
    """Return a desk that has told nothing."""
    return Desk(kept)


def test_one_refusal_is_one_line_of_reason(desk):
    """A refused connection is one line with reason, client, listener and detail; what is unknown is left out."""
    desk.tick((AUTH, "192.0.2.7"))
    (event,) = desk.kept.events()
    assert (event["event"], event["why"]) == ("connection refused", "auth")
    assert (event["client"], event["listener"], event["detail"]) == ("192.0.2.7:4711", "web", "wrong password")
    assert not {"user", "target"} & set(event)


@pytest.mark.parametrize(("outcome", "level"), [(RESET, "info"), (BUG, "error")])
def test_failure_says_who(desk, outcome, level):
    """A connection that failed without a refusal says who ended it; only a fault of ours is an error."""
    desk.tick((outcome, "192.0.2.7"))
    (event,) = desk.kept.events("connection failed")
    assert (event["why"], event["level"]) == (outcome.ended_by.name.lower(), level)


def test_like_events_within_five_seconds_are_one_line(desk):
    """Beyond the first of a word nothing is written until five seconds have gone by; then one line counts the rest."""
    for _ in range(5):
        desk.tick((AUTH, "192.0.2.7"), (AUTH, "192.0.2.9"), (PROTOCOL, "192.0.2.9"))
    assert len(desk.kept.events("connection refused")) == 2 * WHOLE
    assert desk.sums() == []
    desk.tick()
    (line,) = desk.sums()
    assert (line["count"], line["auth"], line["protocol"], line["seconds"]) == (15 - 2 * WHOLE, 7, 2, 5)
    assert line["top"] == "192.0.2.9 (10), 192.0.2.7 (5)"
    desk.tick((AUTH, "192.0.2.7"))
    assert len(desk.kept.events("connection refused")) == 2 * WHOLE + 1


def test_a_hundred_events_do_not_wait(desk):
    """A hundred like events are told before the five seconds are over."""
    for _ in range(3):
        desk.tick(*[(AUTH, "192.0.2.7")] * 40)
    assert [each["count"] for each in desk.sums()] == [120 - WHOLE]


def test_fifty_in_one_second_do_not_wait(desk):
    """Fifty like events in one tick are told at once, but not forty-nine."""
    desk.tick(*[(AUTH, "192.0.2.7")] * 49)
    assert desk.sums() == []
    desk.tick(*[(AUTH, "192.0.2.7")] * 50)
    assert [each["count"] for each in desk.sums()] == [99 - WHOLE]


def test_refused_and_failed_are_not_alike(desk):
    """What we refused and what failed stand in lines of their own."""
    desk.tick(*[(AUTH, "192.0.2.7")] * 60, *[(RESET, "192.0.2.8")] * 60)
    assert [each["count"] for each in desk.sums()] == [60 - WHOLE]
    ((failed),) = desk.sums(refused=False)
    assert (failed["count"], failed["target"], failed["top"]) == (60 - WHOLE, 60 - WHOLE, "192.0.2.8 (60)")


def test_an_attack_writes_a_bounded_log_and_loses_nobody(desk):
    """Thousands of refusals a second for many words and clients write few lines a tick, and all are counted."""
    outcomes = [Outcome(EndedBy.PROXY, Phase.NEGOTIATE, reason) for reason in Reason]
    for second in range(20):
        before = len(desk.kept.events())
        desk.tick(*[(outcomes[i % len(outcomes)], f"10.{second}.{i // 256}.{i % 256}") for i in range(3_000)])
        assert len(desk.kept.events()) - before <= LINES + 2
    desk.summaries.flush(desk.now)
    assert desk.told() == 60_000


def test_the_worst_offender_is_named_in_a_crowd(desk):
    """Among more clients than are counted by name, the one that did it most is named first, and few others."""
    crowd = [(AUTH, f"10.0.{i // 256}.{i % 256}") for i in range(2 * CLIENTS)]
    desk.tick(*crowd, *[(AUTH, "2001:db8::1")] * 30)
    (line,) = desk.sums()
    assert line["top"].startswith("2001:db8::1 (30), ")
    assert line["top"].count("(") == NAMED


def test_the_end_tells_what_waits(desk):
    """What has not been told when the node ends is told then, once."""
    desk.tick(*[(AUTH, "192.0.2.7")] * 10)
    for _ in range(2):
        desk.summaries.flush(desk.now)
    assert [each["count"] for each in desk.sums()] == [10 - WHOLE]


def test_a_quiet_tick_writes_nothing(desk):
    """No trouble is no line."""
    desk.summaries.tell([], NOBODY, desk.now)
    desk.summaries.flush(desk.now)
    assert desk.kept.events() == []
