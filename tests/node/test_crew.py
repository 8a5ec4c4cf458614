"""Every seat taken: who dies is replaced, and nobody else notices."""

import asyncio
import os
import signal
from contextlib import ExitStack, closing
from types import SimpleNamespace

import pytest

from penstock.base.clock import NS
from penstock.base.errors import StartError
from penstock.dataplane import orders
from penstock.dataplane.bans import BY_HAND, LISTED
from penstock.node import crew
from penstock.node.crew import SPENT_NAMES

from .conftest import PATIENCE, Stage, refuses, until


def connect_all(it, stack, count):
    """Return so many clients, closed with the stack."""
    return [stack.enter_context(closing(it.connect())) for _ in range(count)]


def test_every_seat_serves(stage):
    """Each worker accepts, and each has a ledger that is followed."""

    async def go():
        async with stage(2) as it:
            assert it.crew.serves
            assert it.folds.attached == [1, 2]
            with ExitStack() as stack:
                pids = {await it.greet(client) for client in connect_all(it, stack, 64)}
            assert pids == {life.pid for life in it.crew.lives}

    asyncio.run(go())


def test_a_killed_worker_is_replaced_and_the_others_go_on(stage):
    """After kill -9 of one worker the other's connections stand, and a new one is started at once and serves."""

    async def go():
        async with stage(2) as it:
            with ExitStack() as stack:
                clients = {client: await it.greet(client) for client in connect_all(it, stack, 64)}
                victim, other = it.crew.lives
                os.kill(victim.pid, signal.SIGKILL)
                await until(lambda: len(it.crew.lives) == 2 and victim not in it.crew.lives)
                heir = it.crew.lives[-1]
                await asyncio.wait_for(heir.ready, PATIENCE)
                assert (heir.number, heir.generation) == (victim.number, 3)
                for client in (c for c, pid in clients.items() if pid == other.pid):
                    client.setblocking(False)
                    with pytest.raises(BlockingIOError):
                        client.recv(1)
                assert heir.pid in {await it.greet(client) for client in connect_all(it, stack, 64)}
            assert (it.folds.detached, it.respawns) == ([1], 1)
            (event,) = it.kept.events("worker died")
            assert (event["worker_pid"], event["how"]) == (victim.pid, "killed by SIGKILL")
            assert event["next_start_in"] == "0s"
            await until(lambda: it.kept.events("worker ready"))

    asyncio.run(go())


def test_queued_connections_survive(stage):
    """Connections that the kernel had queued for a dead worker are served by its successor."""

    async def go():
        async with stage(1) as it:
            (victim,) = it.crew.lives
            os.kill(victim.pid, signal.SIGSTOP)  # accepts no more: what comes now waits in the queue
            with ExitStack() as stack:
                clients = connect_all(it, stack, 20)
                os.kill(victim.pid, signal.SIGKILL)
                pids = {await it.greet(client) for client in clients}
            assert pids == {it.crew.lives[0].pid}
            assert victim.pid not in pids

    asyncio.run(go())


def test_a_crash_loop_slows_down_and_ends_with_the_node(stage):
    """A worker that dies again and again is started later each time; the node can still be stopped at once."""

    async def go():
        async with stage(1, "frail") as it:
            for _ in range(4):
                with closing(it.connect()) as client:
                    await it.greet(client)
                    client.send(b"die")
                    assert client.recv(1) == b""
            await until(lambda: len(it.folds.detached) == 4)
            delays = [event["next_start_in"] for event in it.kept.events("worker died")]
            assert delays == ["0s", "0.1s"]
            (event,) = it.kept.events("worker keeps dying")
            assert (event["deaths"], event["next_start_in"]) == (3, "0.2s")
            await asyncio.wait_for(it.crew.stop(), PATIENCE)
            assert it.crew.lives == ()

    asyncio.run(go())


def ends_pauses(crew):
    """Return what ends the time that a seat stays empty."""
    over, ending = asyncio.Event(), crew._ending

    async def wait():
        await over.wait()
        raise TimeoutError

    crew._ending = SimpleNamespace(is_set=ending.is_set, set=ending.set, wait=wait)
    return over


def test_a_parked_seat_sends_clients_to_the_others(stage, monkeypatch):
    """While a worker is away for long every client is served by the others, and its seat is taken again later."""
    monkeypatch.setattr(crew, "PARK_NS", 0)
    monkeypatch.setattr("penstock.node.backoff.FIRST_NS", 3_600 * NS)

    async def go():
        async with stage(2) as it:
            over = ends_pauses(it.crew)
            for _ in range(2):
                life = next(life for life in it.crew.lives if life.number == 0 and life.serves)
                os.kill(life.pid, signal.SIGKILL)
                await until(lambda life=life: life not in it.crew.lives)
                if len(it.folds.detached) == 1:
                    await until(lambda: any(life.number == 0 and life.serves for life in it.crew.lives))
            with ExitStack() as stack:
                pids = {await it.greet(client) for client in connect_all(it, stack, 32)}
                assert len(pids) == 1
                over.set()
                await until(lambda: sum(life.serves for life in it.crew.lives) == 2)
                pids = {await it.greet(client) for client in connect_all(it, stack, 64)}
                assert len(pids) == 2

    asyncio.run(go())


def test_a_worker_that_cannot_be_started_is_tried_again(stage, monkeypatch):
    """A machine out of processes costs a line in the log and a delay, not the node."""

    async def go():
        async with stage(1) as it:
            birth, failures = it.crew._birth, []

            def fail_once(*args):
                if not failures:
                    failures.append(args)
                    raise BlockingIOError(11, "Resource temporarily unavailable")
                return birth(*args)

            it.crew._birth = fail_once
            os.kill(it.crew.lives[0].pid, signal.SIGKILL)
            with closing(it.connect()) as client:
                assert await it.greet(client) > 0
            assert "Resource temporarily unavailable" in it.kept.events("worker died")[1]["how"]

    asyncio.run(go())


def test_a_fold_that_fails_costs_no_worker(stage):
    """A ledger that cannot be read is said, and the seat is taken again all the same."""

    async def go():
        async with stage(1) as it:
            it.folds.detach = lambda generation: 1 // 0
            (victim,) = it.crew.lives
            os.kill(victim.pid, signal.SIGKILL)
            with closing(it.connect()) as client:
                assert await it.greet(client) != victim.pid
            assert "ZeroDivisionError" in it.kept.events("last fold failed")[0]["detail"]

    asyncio.run(go())


@pytest.mark.parametrize(
    ("vice", "line"),
    [("stillborn", "ended before it was ready: exit 3"), ("mute", "was not ready within 0.5 s")],
)
def test_a_bad_start_is_an_error_and_leaves_nobody(monkeypatch, vice, line):
    """If a worker dies or stays mute at start, the start fails with the reason, and no process is left."""
    if vice == "mute":
        monkeypatch.setattr(crew, "READY_SECONDS", 0.5)

    async def go():
        it = Stage(2, vice)
        with pytest.raises(StartError, match=line):
            await it.crew.start()
        assert it.crew.lives == ()
        assert sorted(it.folds.detached) == [1, 2]
        await it.crew.stop()

    asyncio.run(go())


def test_drain_lets_connections_finish(stage):
    """During a drain nobody is accepted, who is there is served until he goes, and then the workers are gone."""

    async def go():
        async with stage(2) as it:
            with closing(it.connect()) as client:
                await it.greet(client)
                drain = asyncio.create_task(it.crew.drain(it.clock.monotonic_ns() + 60 * NS))
                await until(lambda: not it.crew.serves)
                await until(lambda: len(it.crew.lives) == 1)  # the worker without a connection has gone
                await until(lambda: refuses(("127.0.0.1", it.port)))
                assert not drain.done()
                client.setblocking(False)
                with pytest.raises(BlockingIOError):
                    client.recv(1)
            await asyncio.wait_for(drain, PATIENCE)
            assert it.crew.lives == ()
            assert it.kept.events("worker died") == []

    asyncio.run(go())


def test_drain_ends_at_its_deadline(stage):
    """A client that never goes is cut at the deadline."""

    async def go():
        async with stage(1) as it:
            with closing(it.connect()) as client:
                await it.greet(client)
                await asyncio.wait_for(it.crew.drain(it.clock.monotonic_ns() + NS // 10), PATIENCE)
                assert client.recv(1) == b""

    asyncio.run(go())


def test_a_worker_that_obeys_nothing_is_killed(stage, monkeypatch):
    """A stop does not depend on the worker's good will."""
    monkeypatch.setattr(crew, "STOP_SECONDS", 0.1)

    async def go():
        async with stage(1, "stubborn") as it:
            (life,) = it.crew.lives
            await it.crew.drain(it.clock.monotonic_ns())
            assert life.ended.result() == "killed by SIGKILL"

    asyncio.run(go())


def test_notices_are_logged_and_bounded(stage):
    """What workers say reaches the log with the worker's number, at most so many lines a second."""

    async def go():
        async with stage(1) as it:
            await until(lambda: it.kept.events("hello"))
            (life,) = it.crew.lives
            for _ in range(1_000):
                it.crew._take_notice(life, orders.Notice("error", "internal error", "x"))
            assert 0 < len(it.kept.events("internal error")) <= 3 * crew.NOTICE_LINES

    asyncio.run(go())


def test_a_death_before_the_close_is_no_connection(stage):
    """A connection of a generation that is no more cannot be closed."""

    async def go():
        async with stage(1) as it:
            assert not await it.crew.close_connection(99, 1)

    asyncio.run(go())


def test_bans_of_networks_go_to_workers_that_serve_and_to_those_that_come(stage):
    """A new table reaches every worker with its descriptor; taking it away is an order without one."""

    async def go():
        async with stage(2) as it:
            fd = os.memfd_create("x")
            it.crew.hand_bans(LISTED, (-1, -1, fd))
            it.crew.hand_bans(BY_HAND, (-1, -1, fd))
            await until(lambda: len(it.kept.events("new bans")) == 4)
            details = [each["detail"] for each in it.kept.events("new bans")]
            assert sorted(details) == ["place 0, 0 descriptors"] * 2 + ["place 1, 1 descriptors"] * 2
            assert it.crew._outfit.bans == (-1, -1, fd)
            os.close(fd)

    asyncio.run(go())


def test_each_worker_is_told_once_whose_quota_is_used_up(stage):
    """Nobody is told of none; a new answer goes to all, in packets that fit, and goes on where a worker was stuck."""

    async def go():
        async with stage(2) as it:
            heard = {life.number: [] for life in it.crew.lives}
            room = {life.number: 1_000 for life in it.crew.lives}

            def hear(life):
                def send(order, fds=()):
                    room[life.number] -= 1
                    if room[life.number] < 0:
                        return False
                    heard[life.number].append(order)
                    return True

                return send

            for life in it.crew.lives:
                life.send = hear(life)
            it.crew.tell_spent((), 0)
            assert not any(heard.values())
            names = tuple((4, f"user {number}") for number in range(SPENT_NAMES * 2 + 1))
            room[it.crew.lives[0].number] = 2
            it.crew.tell_spent(names, 1)
            assert [len(each) for each in heard.values()] == [2, 3]
            room[it.crew.lives[0].number] = 1_000
            for _ in range(3):
                it.crew.tell_spent(names, 1)
            for each in heard.values():
                assert sum((order.keys for order in each), ()) == names
                assert [(order.first, order.last) for order in each] == [(True, False), (False, False), (False, True)]
            others = []
            it.crew.on_spent = lambda packets, version: others.append((packets, version))
            it.crew.tell_spent((), 2)
            assert all(each[3:] == [orders.Spent(())] for each in heard.values())
            assert others == [([orders.Spent(())], 2)]

    asyncio.run(go())


def test_the_longest_names_fit_into_a_packet():
    """A packet of names that are as long as they may be, in letters that JSON spells out, is not too long."""
    order = orders.Spent(tuple((4, "\x01" * 255) for _ in range(SPENT_NAMES)))
    assert len(orders.serialize(order)) <= orders.PACKET_BYTES


def test_a_worker_that_is_stuck_gets_bans_of_networks_later(stage):
    """What it could not be told is told again, and once: the newest table."""

    async def go():
        async with stage(1) as it:
            (life,) = it.crew.lives
            send, life.send = life.send, lambda order, fds=(): False
            one, two = os.memfd_create("x"), os.memfd_create("x")
            it.crew.hand_bans(LISTED, (-1, -1, one))
            it.crew.hand_bans(LISTED, (-1, -1, two))
            it.crew.catch_up()
            life.send = send
            it.crew.catch_up()
            it.crew.catch_up()
            await until(lambda: it.kept.events("new bans"))
            assert [each["detail"] for each in it.kept.events("new bans")] == ["place 1, 1 descriptors"]
            os.close(one)
            os.close(two)

    asyncio.run(go())


def test_a_worker_that_is_stuck_hears_of_users_later(stage):
    """Every worker is told that users have changed, one that takes no orders as soon as it does, and once."""

    async def go():
        async with stage(2) as it:
            told = []
            one, other = it.crew.lives
            other.send = lambda order, fds=(): told.append(("other", order)) or True
            one.send = lambda order, fds=(): False
            it.crew.forget_logins()
            it.crew.catch_up()
            one.send = lambda order, fds=(): told.append(("one", order)) or True
            it.crew.catch_up()
            it.crew.catch_up()
            assert told == [("other", orders.NewUsers()), ("one", orders.NewUsers())]

    asyncio.run(go())


def test_a_login_is_answered_to_who_asked(stage):
    """What a worker asks goes to who knows, with the way back."""
    asked = []

    async def go():
        async with stage(1) as it:
            it.crew._on_login = lambda question, send: asked.append((question, send))
            (life,) = it.crew.lives
            question = orders.Verify(1, "/users", b"ann", b"pw", "192.0.2.1")
            it.crew._take_notice(life, question)
            assert asked == [(question, life.send)]

    asyncio.run(go())
