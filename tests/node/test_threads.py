"""A worker in a thread."""

import asyncio
from contextlib import closing
from functools import partial

from penstock.node.threads import ThreadLife

from .conftest import until
from .fake_worker import serve


def test_a_thread_serves_and_drains(stage):
    """A worker in a thread accepts on the supervisor's port, and goes when it is told to."""

    async def go():
        async with stage(0, birth=partial(ThreadLife, serve=serve)) as it:
            with closing(it.connect()) as client:
                assert await it.greet(client) > 0
                assert await it.crew.close_connection(1, 1)
            await it.crew.drain(it.clock.monotonic_ns() + 10**10)
            assert it.crew.lives == ()
            assert it.folds.detached == [1]

    asyncio.run(go())


def test_a_thread_that_fails_is_replaced(stage, capsys):
    """An exception in the thread is told, counted as a death, and another worker serves."""
    deaths = []

    def dying_once(plan, ledger_fd, control, listeners, number, board, limits, bans):
        serve(plan, ledger_fd, control, listeners, number, board, limits, bans)
        if not deaths:
            deaths.append(number)
            raise ValueError("lived long enough")

    async def go():
        async with stage(0, birth=partial(ThreadLife, serve=dying_once)) as it:
            (first,) = it.crew.lives
            first.kill()
            await until(lambda: it.kept.events("worker died"))
            with closing(it.connect()) as client:
                assert await it.greet(client) > 0
            assert it.kept.events("worker died")[0]["how"] == "ValueError: lived long enough"

    asyncio.run(go())
    assert "ValueError: lived long enough" in capsys.readouterr().err
