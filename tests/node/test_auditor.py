"""Who asks the kernel, and who tells the operator."""

import asyncio
import threading

import pytest
from msgspec.structs import replace

from penstock.metrics.audit import AuditLine, KernelView
from penstock.node.auditor import EVERY_SECONDS, Auditor
from penstock.testing.steps import steps

WRONG = KernelView(witnessed=1, lines=(AuditLine("kernel", "", "bytes_in", 100, 93, 7),), suspects=tuple(range(1, 10)))


class Kernel:
    """
    Stands in for the witness.

    Attributes:
        asked: How often it was asked.
        answer: What it says.
        gate: Opened when it may answer.
    """

    def __init__(self):
        self.asked, self.answer, self.gate = 0, KernelView(), threading.Event()
        self.gate.set()

    def look(self, readers, taken_at):
        """Answer."""
        self.asked += 1
        assert self.gate.wait(10)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def kernel():
    """A kernel that finds nothing wrong."""
    return Kernel()


@pytest.fixture
def auditor(node, kernel, kept):
    """An auditor of that node."""
    auditor = Auditor(node.sampler, node.sampler.registry.plan.worker.listeners, node.clock, kept.log)
    auditor._witness = kernel
    return auditor


def test_the_sheet_holds_the_tick_and_the_kernel(node, auditor, kernel):
    """What is asked for now is the last tick's sums and what the kernel said just now; later ticks keep the latter."""
    node.pen.move(node.pen.open(), 30)
    node.tick()
    kernel.answer = WRONG
    audit = asyncio.run(auditor.ask())
    assert (audit.exact, audit.residual_bytes["kernel"], audit.taken_at) == (False, 7, node.snapshot().taken_at)
    assert {line.sum for line in audit.lines if line.quantity == "bytes_in"} == {30, 93}
    assert node.tick().audit.residual_bytes["kernel"] == 7


def test_one_question_at_a_time(auditor, kernel):
    """Five who ask together get one answer; who comes later gets a new one."""

    async def go():
        kernel.gate.clear()
        crowd = [asyncio.create_task(auditor.ask()) for _ in range(5)]
        await asyncio.sleep(0)
        kernel.gate.set()
        answers = await asyncio.gather(*crowd)
        assert kernel.asked == 1
        assert all(answer == answers[0] for answer in answers)
        await auditor.ask()
        assert kernel.asked == 2

    asyncio.run(go())


def test_who_leaves_takes_nobody_along(auditor, kernel):
    """A client that goes away while the kernel is asked does not spoil the answer of another."""

    async def go():
        kernel.gate.clear()
        first, second = asyncio.create_task(auditor.ask()), asyncio.create_task(auditor.ask())
        await asyncio.sleep(0)
        first.cancel()
        kernel.gate.set()
        assert (await second).exact
        with pytest.raises(asyncio.CancelledError):
            await first

    asyncio.run(go())


def test_a_residual_is_told_once_a_minute(node, auditor, kept):
    """An error names what differs, by how much and in whom; the next one comes a minute later."""
    auditor.tell(node.tick().audit)
    assert kept.events() == []
    node.sampler.registry.witnessed = WRONG
    for _ in range(61):
        auditor.tell(node.tick().audit)
    told = kept.events("counts do not add up")
    assert len(told) == 2
    assert told[0]["level"] == "error"
    assert (told[0]["kernel_bytes_in"], told[0]["connections"]) == (-7, [1, 2, 3, 4, 5])


def test_a_kernel_that_refuses_is_told_once(auditor, kernel, kept):
    """A warning says why; it comes again only after the kernel has answered in between."""
    for refusal in ("no netlink socket", "no netlink socket", "", "no netlink socket"):
        kernel.answer = KernelView(refusal=refusal)
        assert asyncio.run(auditor.ask()).exact
    told = kept.events("the kernel is no witness of what is counted")
    assert [event["detail"] for event in told] == ["no netlink socket"] * 2


def test_it_asks_every_minute_whatever_happens(auditor, kernel, kept, monkeypatch):
    """An audit that fails is told, and the next minute is another try."""
    slept = []

    async def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 4:
            raise asyncio.CancelledError
        kernel.answer = RuntimeError("boom") if len(slept) == 2 else KernelView()

    monkeypatch.setattr("penstock.node.auditor.asyncio.sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(auditor.ask_every_minute())
    assert (kernel.asked, slept) == (3, [EVERY_SECONDS] * 4)
    assert [event["detail"] for event in kept.events("audit failed")] == ["RuntimeError('boom')"]


def test_telling_what_is_exact_costs_nothing(node, auditor):
    """A tick without residuals pays a few steps for being told so, however many lines the sheet has."""
    audit = node.tick().audit
    longer = replace(audit, lines=audit.lines * 100)
    assert steps(lambda: auditor.tell(longer)) == steps(lambda: auditor.tell(audit)) < 20
