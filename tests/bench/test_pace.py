"""Connections that begin when they are due, through several proxies in turn."""

import socket

import pytest
from bench.pace import BEGINNINGS, REACH_S, TURN_S, Arrivals, answered, gaps, until_turn

from bench import pace
from penstock.testing.peers import serving


@pytest.fixture
def server():
    """Return the address of a server that answers every request, and ends with its clients."""

    def answer(client):
        client.recv(4_096)
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\nsixteen bytes...")

    with serving(answer) as target:
        yield "127.0.0.1", target.port


def test_an_answer_is_whole_with_its_last_bytes():
    """The end of the connection is not waited for, and one before the answer is a failure."""
    assert answered(b"sixteen", False) is None
    assert answered(b"sixteen bytes...", False) is True
    assert answered(b"sixteen", True) is False


def test_gaps_are_those_of_a_rate():
    """They fill the time, their mean is that of the rate, and the same seed draws the same."""
    found = gaps(1_000.0, 20.0, "1")
    assert sum(found) <= 20.0
    assert 0.95 < 1_000.0 * sum(found) / len(found) < 1.05
    assert found == gaps(1_000.0, 20.0, "1") != gaps(1_000.0, 20.0, "2")
    assert 0.9 < sum(gap * 1_000.0 < 0.693 for gap in found) * 2 / len(found) < 1.1


@pytest.mark.parametrize("within", [0.0, 0.29, *BEGINNINGS, 0.31, 0.4, 0.66, 0.7, 0.999])
def test_turns_begin_where_no_tick_is(within):
    """A turn begins at one of the beginnings, or so little behind that it is over when the next one begins."""
    begin = (within + until_turn(7.0 + within)) % 1.0
    assert any(each - 1e-9 <= begin <= each + REACH_S for each in BEGINNINGS)
    assert BEGINNINGS[0] + REACH_S + TURN_S < BEGINNINGS[1]
    assert BEGINNINGS[1] + REACH_S + TURN_S < 1.0


def test_each_proxy_has_its_turns(server, monkeypatch):
    """All are sent equally many connections, and each is measured from when it was due."""
    monkeypatch.setattr(pace, "TURN_S", 0.05)
    monkeypatch.setattr(pace, "until_turn", lambda now: 0.0)
    found = pace.run([server, server], rate=400.0, seconds=0.1, seed="x")
    first, second = ([len(turn) for turn in each.took] for each in found)
    assert first == second
    assert len(first) == 2
    for each in found:
        report = each.report()
        assert (report["done"], report["failed"]) == (sum(first), 0)
        assert 0 < report["p50"] <= report["p99"]


def test_a_percentile_is_the_median_of_the_turns():
    """A turn in which the machine stood still decides nothing."""
    one = Arrivals(("127.0.0.1", 1))
    one.took = [[0.001] * 98 + [0.002] * 2, [0.5] * 100, [], [0.001] * 98 + [0.003] * 2]
    report = one.report()
    assert (report["p50"], report["p99"]) == (pytest.approx(1e3), pytest.approx(3e3))


def test_one_that_is_late_is_measured_from_when_it_was_due(server):
    """Those that were due long ago count what they have waited."""
    late = Arrivals(server)
    late.turn([-1.0, 0.0])
    assert min(late.took[0]) > 1.0


def test_nobody_listens():
    """A proxy that is not there is a failure of each connection, not of the load."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nowhere = listener.getsockname()
    alone = Arrivals(nowhere)
    alone.turn([0.0, 0.0, 0.0])
    assert (alone.report()["done"], alone.report()["failed"]) == (0, 3)
