"""Minutes of clients and users."""

import pytest
from msgspec.structs import replace

from penstock.metrics import minutes
from penstock.metrics.minutes import WAITING, Minutes
from penstock.metrics.rollups import Minute, Row, SavedMinute
from penstock.metrics.saved import SavedError, parse, serialize
from penstock.testing.standin import StandIn

BEGIN = 1_700_000_040
"""A whole minute."""


class Grows:
    """Trackers that say what they are told."""

    def __init__(self):
        self.grown = []
        self.trackers = {"client": self}

    def drain_minute(self):
        """Return it once."""
        grown, self.grown = self.grown, []
        return grown


@pytest.fixture
def kept():
    """Minutes that somebody takes."""
    kept = Minutes()
    kept.keeps = True
    return kept


def test_a_minute_is_what_was_moved_in_it(kept):
    """What is asked for within a minute adds up; the second that ends it belongs to it."""
    kinds = Grows()
    for second in range(1, 122):
        kinds.grown.append(("a", 1, 2, 3, 4))
        kept.tick(BEGIN + second, kinds)
        if second in (5, 30):
            kept.gather(kinds)
    assert kept.take() == (
        Minute(BEGIN + 60, 0, (Row("client", "a", 60, 120, 180, 240),)),
        Minute(BEGIN + 120, 0, (Row("client", "a", 60, 120, 180, 240),)),
    )
    assert kept.take() == ()


def test_before_the_first_tick_nobody_knows_the_minute(kept):
    """A checkpoint that comes first asks for nothing: what was moved is of the first tick's minute."""
    kinds = Grows()
    kinds.grown.append(("a", 1, 2, 3, 4))
    kept.gather(kinds)
    for second in (59, 60, 61):
        kept.tick(BEGIN + second, kinds)
    assert kept.take() == (Minute(BEGIN + 60, 0, (Row("client", "a", 1, 2, 3, 4),)),)


def test_the_minute_that_was_not_over_is_kept(kept):
    """A run that ends in the middle leaves its piece; the next one adds its own to the same minute."""
    kinds = Grows()
    kinds.grown.append(("a", 1, 2, 3, 4))
    kept.tick(BEGIN + 7, kinds)
    kept.gather(kinds)
    saved = parse(serialize(kept.export()), SavedMinute)
    again = Minutes()
    again.keeps = True
    again.restore(saved)
    assert again.take() == (Minute(BEGIN + 60, 0, (Row("client", "a", 1, 2, 3, 4),)),)
    again.restore(Minutes().export())
    assert again.take() == ()


def test_nothing_is_gathered_for_nobody():
    """Without a store nothing waits and nobody is asked."""
    idle, kinds = Minutes(), Grows()
    kinds.grown.append(("a", 1, 2, 3, 4))
    for second in range(1, 200):
        idle.tick(BEGIN + second, kinds)
    idle.gather(kinds)
    assert (idle.take(), len(kinds.grown)) == ((), 1)


def test_names_and_minutes_are_bounded(kept, monkeypatch):
    """More names than fit are other's; minutes that nobody takes leave, the oldest first."""
    monkeypatch.setattr(minutes, "NAMED", 2)
    kinds = Grows()
    for minute in range(WAITING + 5):
        kinds.grown = [(str(name), 1, 0, 10, 0) for name in range(4)]
        kept.tick(BEGIN + 60 * minute + 60, kinds)
    kept.tick(BEGIN + 60 * (WAITING + 6), kinds)
    taken = kept.take()
    assert (len(taken), taken[-1].at) == (WAITING, BEGIN + 60 * (WAITING + 5))
    assert [row[1:] for row in taken[0].rows] == [("0", 1, 0, 10, 0), ("1", 1, 0, 10, 0), ("other", 2, 0, 20, 0)]


def test_a_minute_that_is_none_is_refused(kept):
    """Whatever a file says, it is one error."""
    for change in ({"minute": -1}, {"minute": 2**40}, {"growth": {"client:a": (1,)}}):
        with pytest.raises(SavedError, match="no minute"):
            kept.restore(replace(kept.export(), **change))


def test_a_node_gathers_users_and_clients():
    """A real tracker's keys have rows with connections, requests and bytes, and together they are the node's."""
    node = StandIn()
    registry = node.sampler.registry
    registry.minutes.keeps = True
    row = node.pen.open(client=("192.0.2.5", 1))
    node.pen.describe(row, user="ann")
    node.pen.aim(row, 1, 1)
    for _ in range(130):
        node.pen.move(row, 10, 1, 0, 0, 1)
        node.tick()
    registry.minutes.gather(registry.kinds)
    rows = [row for minute in registry.minutes.take() for row in minute.rows]
    rows += minutes._rolled(registry.minutes.export()).rows
    for name in ("client:192.0.2.5", "user:ann"):
        mine = [row for row in rows if row.name == name]
        assert [sum(numbers) for numbers in zip(*(row[2:] for row in mine), strict=True)] == [1, 130, 1_300, 130]
        assert len(mine) == 3
    node.close()
