"""One worker's life."""

import asyncio
import os
import signal
from contextlib import closing
from pathlib import Path

import pytest

from penstock.base.clock import SystemClock
from penstock.config.plan import ListenerPlan, WorkerPlan
from penstock.dataplane import orders
from penstock.metrics.ledger import H_PID
from penstock.node import processes
from penstock.node.processes import Outfit, ProcessLife, how_it_ended
from penstock.node.sockets import open_listeners

from .conftest import FAKE, Stage, until


class Lifetime:
    """One fake worker process and what it said."""

    def __init__(self, vice="none"):
        (self.listener,) = open_listeners([ListenerPlan(id=7, name="web", protocol="tcp", host="127.0.0.1", port=0)], 1)
        self.port = self.listener.plan.port
        outfit = Outfit(
            WorkerPlan(listeners=(self.listener.plan,), ledger_rows=100), (self.listener,), ("-P", FAKE, vice)
        )
        self.notices = []
        self.life = ProcessLife(1, 0, outfit, SystemClock(), lambda life, notice: self.notices.append(notice))

    connect, greet = Stage.connect, Stage.greet


def lived(test, vice="none"):
    """Run a test with one fake worker and leave nothing of it behind."""

    async def run():
        it = Lifetime(vice)
        try:
            await test(it)
        finally:
            if not it.life.ended.done():
                it.life.kill()
            await it.life.ended
            it.life.bury()
            it.listener.close()

    asyncio.run(run())


def test_a_worker_gets_all_that_it_needs():
    """A process started by exec reads the plan, writes the ledger, takes its listeners and answers on the pair."""

    async def go(it):
        await it.life.ready
        with closing(it.connect()) as client:
            assert await it.greet(client) == it.life.pid
        assert int.from_bytes(os.pread(it.life.ledger, 8, H_PID * 8), "little") == it.life.pid
        await until(lambda: it.notices)
        assert it.notices[0] == orders.Notice("warning", "hello", "fake")

    lived(go)


def test_nothing_else_is_inherited():
    """A worker holds the descriptors that it was given, its standard ones, and no other of its supervisor's."""

    async def go(it):
        await it.life.ready
        held = [str(fd.readlink()) for fd in Path(f"/proc/{it.life.pid}/fd").iterdir()]
        assert FAKE not in held
        assert any("memfd:penstock-ledger" in each for each in held)

    with Path(FAKE).open("rb") as file:
        os.set_inheritable(file.fileno(), True)
        lived(go)


def test_a_worker_has_a_session_of_its_own():
    """Ctrl-C in the supervisor's terminal does not reach the worker."""

    async def go(it):
        await it.life.ready
        assert os.getsid(it.life.pid) == it.life.pid != os.getsid(0)

    lived(go)


@pytest.mark.parametrize(("vice", "how"), [("stillborn", "exit 3"), ("none", "killed by SIGKILL")])
def test_death_is_noticed(vice, how):
    """Death is noticed, whoever caused it, and says how it came."""

    async def go(it):
        if vice == "none":
            await it.life.ready
            os.kill(it.life.pid, signal.SIGKILL)
        assert await asyncio.wait_for(it.life.ended, 10) == how
        assert not it.life.serves
        assert not it.life.send(orders.Stop())

    lived(go, vice)


def test_last_words_are_heard():
    """What a worker says right before its exit is read."""

    async def go(it):
        await it.life.ready
        it.life.send(orders.Drain(0))
        assert await asyncio.wait_for(it.life.ended, 10) == "exit 0"
        assert it.life.drained

    lived(go)


def test_a_connection_can_be_closed():
    """The worker's answer says whether there was such a connection, and the client sees it closed."""

    async def go(it):
        await it.life.ready
        with closing(it.connect()) as client:
            await it.greet(client)
            assert not await it.life.close_connection(999)
            assert await it.life.close_connection(1)
            assert client.recv(1) == b""

    lived(go)


def test_many_may_ask_for_one_connection():
    """Two orders to close the same connection are both answered with what happened."""

    async def go(it):
        await it.life.ready
        with closing(it.connect()) as client:
            await it.greet(client)
            assert await asyncio.gather(it.life.close_connection(1), it.life.close_connection(1)) == [True, True]

    lived(go)


def test_closing_fails_in_time_when_the_worker_is_stuck(monkeypatch):
    """A worker that answers nothing costs the asker a bounded wait."""
    monkeypatch.setattr(processes, "CLOSE_SECONDS", 0.05)

    async def go(it):
        await it.life.ready
        assert not await it.life.close_connection(1)

    lived(go, "stubborn")


def test_hanging_up_ends_the_worker():
    """A worker whose supervisor is gone ends by itself: the pair's end of file is enough."""

    async def go(it):
        await it.life.ready
        it.life._control.close()
        assert await asyncio.wait_for(it.life.ended, 10) == "exit 0"

    lived(go)


def test_exit_statuses_are_words():
    """An exit status reads as code or signal, unknown signals included."""
    assert [how_it_ended(code) for code in (0, 3, -9, -64)] == [
        "exit 0", "exit 3", "killed by SIGKILL", "killed by SIGRTMAX",
    ]  # fmt: skip
    assert how_it_ended(-100) == "killed by signal 100"
