"""The reactor: who is told what, when, and what one handler's crash or greed means for the others."""

import os
import threading
from _socket import socketpair

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.base.clock import NS
from penstock.dataplane.reactor import EDGE_BOTH, EDGE_IN, IN, OUT, SLOT_BITS, Reactor
from penstock.testing.clock import ManualClock
from penstock.testing.workbench import wait_for

SLOT_NS = 1 << SLOT_BITS


class Recorder:
    """Notes what it is told."""

    def __init__(self, react=None):
        self.heard, self._react = [], react

    def ready(self, fd, mask):
        """Note it and react."""
        self.heard.append((fd, mask))
        if self._react is not None:
            self._react(fd, mask)

    def wake(self, now):
        """Note it and react."""
        self.heard.append(now)
        if self._react is not None:
            self._react(now, 0)


@pytest.fixture
def pair(reactor):
    """Two connected sockets."""
    one, two = socketpair()
    yield one, two
    one.close()
    two.close()


@given(deadlines=st.lists(st.integers(-NS, 5 * NS), min_size=1, max_size=40), step=st.integers(NS // 100, NS))
@settings(max_examples=60, deadline=None)
def test_timers_are_never_early_and_at_most_a_slot_late(deadlines, step):
    """Whatever the deadlines and however time passes, each timer is woken once: not before, and a slot late at most."""
    clock = ManualClock()
    reactor = Reactor(lambda *_: None, clock.monotonic_ns)
    start = clock.monotonic_ns()
    timers = [(start + deadline, Recorder()) for deadline in deadlines]
    for deadline, timer in timers:
        reactor.at(deadline, timer)
    while clock.monotonic_ns() < start + 6 * NS:
        clock.advance(step / NS)
        reactor.turn(0)
    for deadline, timer in timers:
        (woken,) = timer.heard
        assert woken >= deadline
        assert woken <= max(deadline, start) + SLOT_NS + step
    reactor.close()


@given(steps=st.lists(st.tuples(st.integers(0, NS // 2), st.booleans()), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_expected_timers_are_woken_unless_taken_back(steps):
    """Who is expected is woken once, never early and at most a slot late; who is taken out is not, nor kept."""
    clock = ManualClock()
    reactor = Reactor(lambda *_: None, clock.monotonic_ns)
    kept = []
    for pause, taken_back in steps:
        clock.advance(pause / NS)
        reactor.turn(0)
        timer, deadline = Recorder(), reactor.now + NS
        reactor.expect(deadline, timer)
        kept.append((deadline, timer, taken_back))
        if taken_back:
            del reactor.expected[timer]
    for _ in range(40):
        clock.advance(0.05)
        reactor.turn(0)
    for deadline, timer, taken_back in kept:
        assert len(timer.heard) == (not taken_back)
        assert all(deadline <= woken <= deadline + SLOT_NS + NS // 2 for woken in timer.heard)
    assert not reactor.expected
    reactor.close()


def test_timer_that_comes_again_at_once_does_not_stop_the_loop(reactor, clock):
    """A timer that asks for the present again and again is woken once a turn at most."""
    timer = Recorder(lambda now, _: reactor.at(now, timer))
    reactor.at(clock.monotonic_ns(), timer)
    clock.advance(1)
    for _ in range(5):
        reactor.turn(0)
        clock.advance(0.1)
    assert 1 <= len(timer.heard) <= 5


def test_real_time_wakes_a_timer(crashes):
    """With the machine's clock the loop sleeps, and wakes a timer when it is due."""
    reactor = Reactor(lambda *each: crashes.append(each))
    deadline = reactor.now + 50_000_000
    woken = []

    class Once:
        def wake(self, now):
            woken.append(now)
            reactor.stop()

    reactor.at(deadline, Once())
    reactor.run()
    assert deadline <= woken[0]
    reactor.close()


def test_posted_callbacks_of_threads_all_run(reactor):
    """What threads post runs in the loop's thread, all of it, each once, and in the order of each thread."""
    ran = []

    def work(number):
        for index in range(200):
            reactor.post(lambda number=number, index=index: ran.append((number, index, threading.get_ident())))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) or len(ran) < 800:
        reactor.turn(0.01)
    assert {ident for *_, ident in ran} == {threading.get_ident()}
    for number in range(4):
        assert [index for who, index, _ in ran if who == number] == list(range(200))


def test_post_wakes_a_loop_that_sleeps():
    """A loop without events wakes up for what is posted."""
    reactor = Reactor(lambda *_: None)
    thread = threading.Thread(target=reactor.run, daemon=True)
    thread.start()
    called = threading.Event()
    reactor.post(called.set)
    assert called.wait(10)
    reactor.post(reactor.stop)
    thread.join(10)
    assert not thread.is_alive()
    reactor.close()


def test_post_after_the_end_touches_nobody():
    """A thread that comes too late writes into no descriptor that has taken the waker's number."""
    reactor = Reactor(lambda *_: None)
    number = reactor._waker
    reactor.close()
    reader, writer = os.pipe2(os.O_NONBLOCK)
    os.dup2(writer, number)
    try:
        reactor.post(lambda: None)
        with pytest.raises(BlockingIOError):
            os.read(reader, 8)
    finally:
        for fd in {reader, writer, number}:
            os.close(fd)


def test_crash_ends_nobody_else(reactor, crashes, clock, pair):
    """Handlers, timers, callbacks: one that raises is reported, and all others of the same turn are told."""

    def crash(*_):
        raise ZeroDivisionError

    one, two = pair
    bad, good = Recorder(crash), Recorder()
    reactor.watch(one.fileno(), bad, EDGE_BOTH)
    reactor.watch(two.fileno(), good, EDGE_BOTH)
    bad_timer, good_timer, posted = Recorder(crash), Recorder(), []
    reactor.at(clock.monotonic_ns(), bad_timer)
    reactor.at(clock.monotonic_ns(), good_timer)
    reactor.post(crash)
    reactor.post(lambda: posted.append(1))
    reactor.again(bad, one.fileno(), IN)
    reactor.again(good, two.fileno(), IN)
    clock.advance(1)
    reactor.turn(0)
    assert len(good.heard) == 2
    assert len(good_timer.heard) == 1
    assert posted == [1]
    assert [owner for owner, _ in crashes] == [bad, bad, crash, bad_timer]


def test_buried_descriptor_hears_nothing(reactor, pair):
    """An event that was fetched for a socket that another handler has just buried reaches nobody."""
    one, two = pair
    told = []

    def bury_the_other(fd, mask):
        told.append(fd)
        other = two if fd == one.fileno() else one
        if other.fileno() in reactor.table:
            reactor.bury(other.fileno(), other)

    reactor.watch(one.fileno(), Recorder(bury_the_other), EDGE_BOTH)
    reactor.watch(two.fileno(), Recorder(bury_the_other), EDGE_BOTH)
    reactor.turn(0)
    assert len(told) == 1
    assert -1 in (one.fileno(), two.fileno()), "it is closed when the turn is over"


def test_number_of_a_buried_socket_is_not_used_in_the_same_turn(reactor, pair):
    """A socket opened in the turn of a burial has another number, so no stale event can find it."""
    one, _ = pair
    number, opened = one.fileno(), []

    def bury(fd, mask):
        reactor.bury(fd, one)
        opened.extend(socketpair())

    reactor.watch(number, Recorder(bury), EDGE_BOTH)
    reactor.turn(0)
    assert number not in {sock.fileno() for sock in opened}
    assert one.fileno() == -1
    for sock in opened:
        sock.close()


def test_again_is_dropped_with_its_descriptor(reactor, pair):
    """Who asked to be called again and was buried, or replaced, is not called."""
    one, two = pair
    first, second = Recorder(), Recorder()
    reactor.watch(one.fileno(), first, EDGE_IN)
    reactor.watch(two.fileno(), first, EDGE_IN)
    reactor.again(first, one.fileno(), IN)
    reactor.again(first, two.fileno(), IN)
    reactor.table[one.fileno()] = second
    reactor.bury(two.fileno(), two)
    reactor.turn(0)
    assert first.heard == second.heard == []


def test_greedy_handler_gets_two_calls_a_turn(reactor, pair):
    """A handler that never finishes is called for its edge and once again in a turn, however many edges it has had."""
    one, two = pair
    greedy = Recorder(lambda fd, mask: reactor.again(greedy, fd, mask))
    reactor.watch(one.fileno(), greedy, EDGE_IN)
    for _ in range(20):
        two.send(b"x")
        before = len(greedy.heard)
        reactor.turn(0)
        assert len(greedy.heard) - before <= 2


def test_again_keeps_what_every_edge_said(reactor, pair):
    """Two wishes for the same descriptor are one, and none of their events is lost."""
    one, _ = pair
    handler = Recorder()
    reactor.watch(one.fileno(), handler, EDGE_IN)
    reactor.again(handler, one.fileno(), IN)
    reactor.again(handler, one.fileno(), OUT)
    reactor.turn(0)
    assert handler.heard == [(one.fileno(), IN | OUT)]


def test_edge_is_told_once(reactor, pair):
    """What was announced is not announced again before something new comes."""
    one, two = pair
    handler = Recorder()
    reactor.watch(one.fileno(), handler, EDGE_IN)
    two.send(b"x")
    reactor.turn(0)
    reactor.turn(0)
    assert len(handler.heard) == 1
    two.send(b"y")
    wait_for(lambda: reactor.turn(0) or len(handler.heard) == 2)
