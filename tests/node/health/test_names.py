"""Names are looked up once in a while."""

import asyncio

import pytest

from penstock.base.clock import NS
from penstock.node.health.names import Names, look_up
from penstock.testing.clock import ManualClock


def test_an_answer_serves_for_its_time():
    """A name is looked up again when what was found is old; an address is never looked up."""
    asked, clock = [], ManualClock()

    def lookup(host):
        asked.append(host)
        return ["192.0.2.1"]

    async def go():
        names = Names(clock, 30 * NS, lookup)
        for _ in range(3):
            assert await names.of("app.example") == ["192.0.2.1"]
        clock.advance(31)
        await names.of("app.example")
        assert await names.of("2001:db8::1") == ["2001:db8::1"]
        names.close()

    asyncio.run(go())
    assert asked == ["app.example"] * 2


def test_a_failure_is_told_and_not_remembered():
    """A name that has no address raises each time."""

    def lookup(host):
        raise OSError("no such name")

    async def go():
        names = Names(ManualClock(), 30 * NS, lookup)
        for _ in range(2):
            with pytest.raises(OSError, match="no such name"):
                await names.of("app.example")
        names.close()

    asyncio.run(go())


def test_the_system_knows_this_machine():
    """The real lookup finds loopback, each address once."""
    found = look_up("localhost")
    assert set(found) & {"127.0.0.1", "::1"}
    assert len(set(found)) == len(found)
