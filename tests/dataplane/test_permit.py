"""What access rules say of where a connection goes."""

from types import SimpleNamespace

import pytest

from penstock.base.outcomes import Reason
from penstock.config.plan import AccessRulePlan, DestinationPlan
from penstock.connection.commands import Describe
from penstock.dataplane.permit import ERRORS, Permit
from penstock.policy.access import Access
from penstock.policy.ranges import address_number


def permit(*rules, private=True):
    """Return one of a client of a forward proxy."""
    access = Access(rules, 1, 1_080, asks=True, private=private)
    return Permit(SimpleNamespace(minute=0), access, 1, 1_080, address_number("192.0.2.7"))


def block(*destinations, **fields):
    """Return a rule that blocks destinations."""
    plans = tuple(DestinationPlan(host=host) for host in destinations)
    return AccessRulePlan(name="no", action="block", destinations=plans, **fields)


@pytest.mark.parametrize(
    ("asked", "refused"),
    [
        ("www.internal:80", True), ("internal:80", False), ("10.0.0.1:443", True), ("[fd00::1]:443", True),
        ("[2001:db8::1]:443", False), ("", False), ("@x.internal:80", True), ("x.internal", True),
    ],
)  # fmt: skip
def test_what_is_asked_for_is_judged(asked, refused):
    """By name, and by address where the client gives one; what no parser of addresses would take is judged as well."""
    refusal = permit(block("*.internal", "10.0.0.0/8", "fd00::/8")).refuses(Describe(asked))
    assert (refusal is not None) is refused


def test_ports_and_users_are_known():
    """A rule sees the port that was asked for, and who asks."""
    mail = permit(block(ports=((25, 25),)))
    assert mail.refuses(Describe("a:25")).reason == Reason.DESTINATION
    assert mail.refuses(Describe("a:26")) is None
    bob = permit(block(users=("bob",)))
    assert bob.refuses(Describe("a:25", "bob")).reason == Reason.ACCESS
    assert bob.refuses(Describe("a:25", "ann")) is None


def test_an_address_is_judged_with_the_name():
    """Each address of the place that was asked for is judged, private ones where they are not permitted too."""
    strict = permit(block("198.51.100.0/24"), private=False)
    assert strict.refuses(Describe("www.example.org:80")) is None
    assert strict.address("203.0.113.1") is None
    assert strict.address("198.51.100.1").detail == "access rule no blocks it"
    assert strict.address("127.0.0.1").detail == "127.0.0.1 is a private address"


def test_only_the_place_that_was_asked_for_is_guarded():
    """Targets that the operator has chosen are not."""
    mine = permit()
    mine.learn(Describe("[::1]:80"))
    assert mine.asks_for("::1", 80)
    assert not mine.asks_for("::1", 81)
    assert not mine.asks_for("target", 80)


def test_every_refusal_is_an_error_of_a_dial():
    """Both reasons that rules refuse for have a word that conversations know."""
    assert set(ERRORS) == {Reason.ACCESS, Reason.DESTINATION}
