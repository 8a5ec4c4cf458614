"""What a node answers while it runs, from stand-ins of what it has put together."""

import asyncio
from types import SimpleNamespace

import pytest

from penstock.base.clock import NS
from penstock.metrics.live import SERIAL_BITS
from penstock.node.answers import Answers


class Stood(Answers):
    """
    Answers from what a test says.

    Args:
        house: The household's parts by name.
        own: What the node has beside them, by name.
    """

    def __init__(self, house=None, **own):
        self._house = SimpleNamespace(**(house or {}))
        for name, value in own.items():
            setattr(self, f"_{name}", value)


def sampler(state, active=0):
    """Return a sampler in this state, whose last snapshot has so many open connections."""
    return SimpleNamespace(state=state, snapshot=SimpleNamespace(totals=SimpleNamespace(active=active)))


def test_addresses_wait_for_the_start():
    """Whoever asks where a node is reached before it has started hears so."""
    with pytest.raises(RuntimeError, match="has not started"):
        _ = Stood(addresses=None).addresses


def test_ready_says_why_not():
    """A node is ready while it serves and some worker accepts; else it says which of them is not so."""
    serves, silent = SimpleNamespace(serves=True), SimpleNamespace(serves=False)
    assert Stood({"sampler": sampler("serving"), "crew": serves}).ready() == (True, "")
    assert Stood({"sampler": sampler("serving"), "crew": silent}).ready() == (False, "no worker accepts")
    assert Stood({"sampler": sampler("draining"), "crew": serves}).ready() == (False, "the node is draining")


def test_a_drain_tells_what_is_left():
    """Time that is left of a drain never falls below 0, and is not told before one has begun."""
    house = {"sampler": sampler("draining", 3)}
    own = {
        "progress": SimpleNamespace(began_with=7),
        "clock": SimpleNamespace(monotonic_ns=lambda: 10 * NS),
    }
    told = [Stood(house, cut_ns=cut, **own).drained() for cut in (None, 12 * NS, 9 * NS)]
    assert [(each.connections, each.began_with, each.seconds_left) for each in told] == [
        (3, 7, None),
        (3, 7, 2.0),
        (3, 7, 0),
    ]


def test_a_connection_is_asked_of_the_worker_that_its_id_names():
    """An id is a worker's generation and a serial number of it."""
    asked = []

    async def close_connection(generation, serial):
        asked.append((generation, serial))
        return True

    stood = Stood({"crew": SimpleNamespace(close_connection=close_connection)})
    assert asyncio.run(stood.close_connection(5 << SERIAL_BITS | 77))
    assert asked == [(5, 77)]
