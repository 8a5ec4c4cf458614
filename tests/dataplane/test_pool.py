"""The pool: the newest first, all bounds kept, and nothing that stirs or has waited too long is lent again."""

import contextlib
import socket

import pytest

from penstock.base.clock import NS
from penstock.dataplane import pool as room
from penstock.dataplane.board import DOWN, Board
from penstock.dataplane.pool import Link, Pool
from penstock.dataplane.reactor import EDGE_BOTH, Reactor
from penstock.testing.clock import ManualClock

HERE = ("192.0.2.1", 80)
THERE = ("192.0.2.2", 80)


class Ignorer:
    """Hears the first edge of a socket, as an exchange does."""

    def ready(self, fd, mask):
        """Do nothing."""


class Stage:
    """A pool on a clock moved by hand, and links whose other ends the test holds."""

    def __init__(self):
        self.clock, self.ends = ManualClock(), {}
        self.reactor = Reactor(self._crashed, self.clock.monotonic_ns)
        self.pool = Pool(self.reactor, 15 * NS)

    def _crashed(self, owner, error):
        raise AssertionError(owner) from error

    def link(self, destination=HERE):
        """Return a link that comes back from an exchange."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        fd = ours.fileno()
        self.reactor.watch(fd, Ignorer(), EDGE_BOTH)
        self.reactor.turn(0)
        link = self.reactor.table[fd] = Link(self.pool, destination, ours, fd)
        self.ends[link] = theirs
        return link

    def give(self, count=1, destination=HERE):
        """Let so many links wait, and return them."""
        links = [self.link(destination) for _ in range(count)]
        for link in links:
            self.pool.give(link)
        return links

    def turn(self, seconds=0.0):
        """Let time pass and turn once."""
        self.clock.advance(seconds)
        self.reactor.turn(0)

    def close(self):
        """Close everything."""
        self.pool.close()
        self.reactor.turn(0)
        assert len(self.reactor.table) == 1, "nothing but the waker is left"
        self.reactor.close()
        for end in self.ends.values():
            end.close()


@pytest.fixture
def stage():
    """A pool and links for it."""
    found = Stage()
    yield found
    found.close()


def test_newest_is_lent_first(stage):
    """The link that waited least is the likeliest to live, and is lent first; then there is none."""
    links = stage.give(3)
    taken = [stage.pool.take(HERE) for _ in range(4)]
    assert taken == [*reversed(links), None]
    assert stage.pool.count == 0
    for link in links:
        stage.pool.give(link)


def test_destinations_are_kept_apart(stage):
    """A link reaches its own destination, and no other, not even another port."""
    (link,) = stage.give()
    assert stage.pool.take(THERE) is None
    assert stage.pool.take((HERE[0], 81)) is None
    assert stage.pool.take(HERE) is link
    stage.pool.give(link)


def test_bound_of_one_destination(stage, monkeypatch):
    """Beyond the bound of a destination a link is closed, and others may still wait."""
    monkeypatch.setattr(room, "POOL_PER_DESTINATION", 2)
    links = stage.give(3)
    stage.turn()
    assert stage.pool.count == 2
    assert links[2].sock.fileno() == -1
    stage.give(1, THERE)
    assert stage.pool.count == 3


def test_bound_of_all(stage, monkeypatch):
    """Beyond the bound of all destinations a link is closed."""
    monkeypatch.setattr(room, "POOL_CONNECTIONS", 2)
    stage.give(2)
    (link,) = stage.give(1, THERE)
    stage.turn()
    assert stage.pool.count == 2
    assert link.sock.fileno() == -1
    assert stage.pool.take(THERE) is None


@pytest.mark.parametrize("stir", ["close", "speak"])
def test_link_that_stirs_is_closed(stage, stir):
    """A target that closes a waiting link, or speaks out of turn, finds it closed."""
    one, two = stage.give(2)
    end = stage.ends[two]
    if stir == "close":
        end.close()
    else:
        end.send(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    stage.turn()
    assert stage.pool.count == 1
    assert two.sock.fileno() == -1
    assert stage.pool.take(HERE) is one
    stage.pool.give(one)


def test_link_whose_request_was_taken_late_stays(stage):
    """A target that makes room for more, after its answer, does not stir: the link still waits."""
    (link,) = stage.give()
    with contextlib.suppress(BlockingIOError):
        while True:
            link.sock.send(bytes(1 << 20))
    stage.turn()
    stage.ends[link].setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while stage.ends[link].recv(1 << 20):
            pass
    stage.turn()
    assert stage.pool.take(HERE) is link
    stage.pool.give(link)


def test_link_that_waited_too_long_is_closed(stage):
    """A link is closed once it has waited for its time, a second late at most; what is used stays."""
    old, used = stage.give(2)
    for _ in range(14):
        stage.turn(1)
        assert stage.pool.take(HERE) is used
        stage.pool.give(used)
    assert stage.pool.count == 2
    stage.turn(1)
    stage.turn(1.1)
    assert stage.pool.count == 1
    assert old.sock.fileno() == -1
    assert used.sock.fileno() != -1


def test_nothing_is_swept_where_nothing_waits(stage):
    """An empty pool plans no sweep, holds no destination, and sweeps again once a link waits."""
    for _ in range(3):
        stage.give(5)
        for _ in range(20):
            stage.turn(1)
        assert stage.pool.count == 0
        assert stage.pool._links == {}
        assert sum(map(len, stage.reactor._slots.values())) == 0


def test_links_of_targets_that_are_out_are_closed(stage):
    """What waits for a target that has left is closed; what waits for others, or for no target of ours, stays."""
    links = stage.give(3)
    for link, target in zip(links, (0, 1, 2), strict=True):
        link.target = target
    board = Board()
    board.write(2, DOWN)
    stage.pool.drop_out(board)
    stage.turn()
    assert [link.sock.fileno() == -1 for link in links] == [False, False, True]
    assert stage.pool.count == 2
    board.close()


def test_link_that_waits_belongs_to_nobody(stage):
    """A waiting link keeps no connection alive, and is known to have been used."""
    link = stage.link()
    link.connection = object()
    stage.pool.give(link)
    assert link.connection is None
    assert link.used
    assert link.idle
