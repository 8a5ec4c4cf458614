"""Addresses whose logins failed are heard later, for a while."""

from penstock.base.clock import NS
from penstock.policy import slowdown
from penstock.policy.slowdown import FORGOTTEN_NS, Slowdown, key_of

KEY = key_of("192.0.2.1")


def test_each_failure_doubles_the_delay():
    """A quarter of a second after the first, eight seconds at most."""
    slow, delays = Slowdown(), []
    for now in range(40):
        delays.append(slow.delay(KEY, now))
        slow.failed(KEY, now)
    assert delays[:8] == [0, NS // 4, NS // 2, NS, 2 * NS, 4 * NS, 8 * NS, 8 * NS]
    assert set(delays[7:]) == {8 * NS}


def test_failures_are_forgotten():
    """Five minutes after the last one an address is like any other, and its next failure is its first."""
    slow = Slowdown()
    slow.failed(KEY, 0)
    slow.failed(KEY, NS)
    assert slow.delay(KEY, NS + FORGOTTEN_NS - 1) == NS // 2
    assert slow.delay(KEY, NS + FORGOTTEN_NS) == 0
    slow.failed(KEY, NS + FORGOTTEN_NS)
    assert slow.delay(KEY, NS + FORGOTTEN_NS) == NS // 4


def test_nobody_else_is_slowed():
    """A failure of one address says nothing of another; of IPv6 a network of 64 bits is one."""
    slow = Slowdown()
    slow.failed(key_of("2001:db8::1"), 0)
    assert slow.delay(key_of("2001:db8::ffff:1"), 0)
    assert not slow.delay(key_of("2001:db8:0:1::1"), 0)
    assert not slow.delay(KEY, 0)
    assert key_of("192.0.2.1") != key_of("192.0.2.2")
    assert key_of("::ffff:192.0.2.1") == KEY
    assert key_of("-") != KEY


def test_memory_is_bounded(monkeypatch):
    """Who failed longest ago makes room."""
    monkeypatch.setattr(slowdown, "ADDRESSES", 3)
    slow, keys = Slowdown(), [key_of(f"192.0.2.{number}") for number in range(4)]
    for now, key in enumerate([*keys[:3], keys[0], keys[3]]):
        slow.failed(key, now)
    assert [bool(slow.delay(key, 9)) for key in keys] == [True, False, True, True]
