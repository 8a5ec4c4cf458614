"""Whom nobody may ban."""

import pytest
from msgspec.structs import replace

from penstock.node.bans import spared as module
from penstock.node.bans.spared import Spared
from penstock.policy.ban import parse_network
from penstock.policy.protection import Guarded
from penstock.testing.clock import ManualClock

from .conftest import BANS, PLAN

GATEWAY = Guarded("192.0.2.1", "the default gateway")


@pytest.fixture
def clock():
    """A clock that stands."""
    return ManualClock()


@pytest.fixture
def spared(clock):
    """Who is protected beside a gateway."""
    return Spared(PLAN, clock, lambda: [GATEWAY])


def refusal(spared, address, **asked):
    """Return why an address cannot be banned."""
    return spared.protection(**asked).refuses(parse_network(address))


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1", "127.0.0.0/8 is loopback"),
        ("::1", "::1 is loopback"),
        ("203.0.113.1", "203.0.113.1 is a target of route app"),
        ("203.0.113.9", "203.0.113.9 is an address that this node listens on"),
        ("203.0.113.32", "203.0.113.32/28 is in bans.protect"),
        ("203.0.113.70", "203.0.113.64/26 is a proxy that is trusted"),
        ("203.0.113.77/32", "203.0.113.64/26 is a proxy that is trusted"),
        ("192.0.2.1", "192.0.2.1 is the default gateway"),
        ("198.51.100.1", "198.51.100.1 is the address that you come from"),
        ("198.51.100.3", "198.51.100.3 is an operator of this node"),
        ("198.51.100.4", "198.51.100.4 is the target app.example"),
        ("198.51.100.5", ""),
    ],
)
def test_who_is_protected_and_why(spared, address, why):
    """What is written down, what is around the machine, and who operates it; nobody else."""
    spared.saw_admin("198.51.100.3")
    spared.resolved([("app.example", "198.51.100.4")])
    assert refusal(spared, address, asker="198.51.100.1") == why


def test_operators_are_protected_for_an_hour(spared, clock):
    """Who has used the door lately; the oldest are forgotten first."""
    for number in range(module.ADMINS + 1):
        spared.saw_admin(f"198.51.100.{number}")
    assert not refusal(spared, "198.51.100.0")
    assert refusal(spared, "198.51.100.1")
    clock.advance(3_600)
    assert not refusal(spared, "198.51.100.1")


def test_loopback_may_be_given_up(clock):
    """For tests, and for containers: then its addresses are as any others, but for those that are written down."""
    bans = replace(BANS, protect_loopback=False, protect=("127.0.0.2/32",))
    spared = Spared(replace(PLAN, bans=bans), clock, lambda: [Guarded("127.0.0.1", "an address of this machine")])
    assert not refusal(spared, "127.0.0.1", asker="127.0.0.1")
    assert refusal(spared, "127.0.0.2")


def test_detectors_leave_the_exempt_alone(clock):
    """Operators may ban them all the same."""
    limits = replace(PLAN.worker.limits, exempt=("198.51.100.0/24",))
    spared = Spared(replace(PLAN, worker=replace(PLAN.worker, limits=limits)), clock, list)
    assert refusal(spared, "198.51.100.7", auto=True) == "198.51.100.0/24 is in limits.exempt"
    assert not refusal(spared, "198.51.100.7")


def test_the_machine_is_looked_at_now_and_then(clock):
    """Not for each ban, and not once for ever."""
    looks = []
    spared = Spared(PLAN, clock, lambda: looks.append(1) or [])
    for _ in range(3):
        spared.protection()
    assert len(looks) == 1
    clock.advance(module.AROUND_NS / 10**9)
    spared.protection()
    assert len(looks) == 2


def test_targets_are_told_once_each(spared):
    """For whoever looks up their names."""
    assert spared.targets() == ["203.0.113.1", "app.example"]
