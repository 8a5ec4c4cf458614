"""When metrics are delivered, and what is said of failures."""

import asyncio

import pytest

from penstock.node.exports.delivery import DETAIL, LONGEST_S, SAY_NS, Delivery, DeliveryError
from penstock.testing.clock import ManualClock

from .conftest import until


class Fake:
    """A receiver that does as it is told."""

    kind, shown = "fake", "http://here/"

    def __init__(self, *fates, patient=True):
        self.fates, self.patient, self.got, self.closed = list(fates), patient, [], 0

    async def deliver(self, snapshot):
        """Take a snapshot, or fail as the next fate says."""
        self.got.append(snapshot)
        fate = self.fates.pop(0) if self.fates else None
        if fate is not None:
            raise fate

    async def close(self):
        """Count it."""
        self.closed += 1


def delivery(receiver, kept, interval=0.001, clock=None, chance=0.0):
    """Return a delivery of numbers from 1 on."""
    numbers = iter(range(1, 10_000))
    return Delivery(receiver, lambda: next(numbers), interval, clock or ManualClock(), kept.log, lambda: chance)


async def run_until(one, condition):
    """Run a delivery until something holds, and stop it."""
    task = asyncio.create_task(one.run())
    await until(condition)
    one.stop()
    await task


def test_each_interval_and_once_more_at_the_end(kept, go):
    """Each delivery has the newest snapshot; the order to stop brings a last one, then the receiver is closed."""
    receiver = Fake()
    go(run_until(delivery(receiver, kept), lambda: len(receiver.got) >= 3))
    assert receiver.got == list(range(1, len(receiver.got) + 1))
    assert receiver.closed == 1
    waiting = Fake()
    go(run_until(delivery(waiting, kept, interval=1_000), lambda: True))
    assert (waiting.got, waiting.closed) == ([1], 1)
    assert kept.events() == []


def test_a_failure_is_told_and_so_is_its_end(kept, go):
    """The first failure is a warning with its detail, further ones are silent, and the first success says how many."""
    receiver = Fake(DeliveryError("no answer"), DeliveryError("no answer"), DeliveryError("x"), patient=False)
    go(run_until(delivery(receiver, kept), lambda: len(receiver.got) >= 5))
    warning, info = kept.events()
    assert (warning["event"], warning["level"], warning["detail"]) == ("metrics are not taken", "warning", "no answer")
    assert (warning["kind"], warning["to"]) == ("fake", "http://here/")
    assert (info["event"], info["level"], info["failures"]) == ("metrics are taken again", "info", 3)


def test_a_receiver_that_goes_on_failing_is_told_of_again(kept, go):
    """Once in five minutes there is a line as long as it lasts, and the end says how long that was."""
    clock = ManualClock()
    one = delivery(Fake(), kept, clock=clock)
    for _ in range(10):
        one._failed("down")
        clock.advance(SAY_NS / 4e9)
    assert len(kept.events("metrics are not taken")) == 3
    one._worked()
    one._worked()
    (again,) = kept.events("metrics are taken again")
    assert (again["failures"], again["seconds"]) == (10, 750.0)


def test_a_fault_of_ours_ends_one_delivery_only(kept, go):
    """Whatever a receiver raises is told, and the next delivery comes."""
    receiver = Fake(ZeroDivisionError("oh"), patient=False)
    go(run_until(delivery(receiver, kept), lambda: len(receiver.got) >= 3))
    assert "ZeroDivisionError" in kept.events("metrics are not taken")[0]["detail"]


def test_details_are_short(kept):
    """A receiver cannot fill the log."""
    delivery(Fake(), kept)._failed("x" * 100_000)
    assert len(kept.events()[0]["detail"]) == DETAIL


@pytest.mark.parametrize(("chance", "share"), [(0.0, 0.5), (0.999999, 1.0)])
def test_pauses_grow_while_it_fails(kept, chance, share):
    """A patient receiver is tried after 2, 4, 8 ... intervals up to a minute, each cut by chance to half at most."""
    one = delivery(Fake(), kept, interval=10.0, chance=chance)
    pauses = [one.pause()]
    for _ in range(6):
        one._failed("down")
        pauses.append(one.pause())
    wanted = [10.0] + [share * each for each in (20.0, 40.0, LONGEST_S, LONGEST_S, LONGEST_S, LONGEST_S)]
    assert pauses == pytest.approx(wanted, rel=1e-5)
    for _ in range(5_000):
        one._failed("down")
    assert one.pause() <= LONGEST_S
    one._worked()
    assert one.pause() == 10.0


def test_long_intervals_stay_and_datagrams_keep_theirs(kept):
    """An interval above a minute is not doubled; a receiver that costs nothing is tried each interval."""
    for interval, patient in ((600.0, True), (10.0, False)):
        one = delivery(Fake(patient=patient), kept, interval=interval, chance=0.999999)
        one._failed("down")
        assert one.pause() == pytest.approx(interval, rel=1e-5)


def test_a_delivery_may_be_cut(kept, go):
    """Cancelled, it closes its receiver and ends."""

    class Stuck(Fake):
        async def deliver(self, snapshot):
            self.got.append(snapshot)
            await asyncio.Event().wait()

    receiver = Stuck()

    async def cut():
        task = asyncio.create_task(delivery(receiver, kept).run())
        await until(lambda: receiver.got)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    go(cut())
    assert receiver.closed == 1


def test_nothing_is_delivered_while_deliveries_are_off(kept, go):
    """While they are switched off the receiver gets nothing, at the end neither; on again, it gets the newest."""
    switch, asked = [False], []
    receiver = Fake()

    def wanted():
        asked.append(switch[0])
        return switch[0]

    numbers = iter(range(1, 10_000))
    one = Delivery(receiver, lambda: next(numbers), 0.001, ManualClock(), kept.log, wanted=wanted)

    async def scene():
        task = asyncio.create_task(one.run())
        await until(lambda: len(asked) >= 3)
        assert receiver.got == []
        switch[0] = True
        await until(lambda: receiver.got)
        switch[0] = False
        one.stop()
        await task

    go(scene())
    assert receiver.got[0] == 1
    assert asked[-1] is False
