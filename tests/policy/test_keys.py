"""Keys asked once for many rules, compared with asking each rule."""

from operator import attrgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config.plan import DestinationPlan
from penstock.policy.facts import RouteFacts
from penstock.policy.keys import Clients, Destinations, Ports, Values, bits, network_of


@given(st.integers(0, 1 << 70))
def test_bits(mask):
    """Each place once, lowest first."""
    assert list(bits(mask)) == [place for place in range(80) if mask >> place & 1]


@given(st.lists(st.sets(st.sampled_from("abc")), max_size=6), st.sampled_from("abcd"))
def test_values(rules, user):
    """A rule lets its values through, and one without values lets all through."""
    found = Values(rules, attrgetter("user")).find(RouteFacts(listener=1, user=user))
    assert set(bits(found)) == {place for place, some in enumerate(rules) if not some or user in some}


def test_ports_and_clients():
    """The same for ranges and networks."""
    facts = RouteFacts(listener=1, client="10.1.2.3", port=443)
    assert Ports([((1, 400), (440, 450)), (), ((80, 80),)]).find(facts) == 0b011
    assert Clients([("10.0.0.0/8",), (), ("192.0.2.0/24", "::/0")]).find(facts) == 0b011


RULES = [
    (DestinationPlan(host="*.internal", ports=((25, 25),)), DestinationPlan(host="*.internal", ports=((80, 90),))),
    (DestinationPlan(host="mail.internal"),),
    (DestinationPlan(host="10.0.0.0/8", ports=((443, 443),)), DestinationPlan(host="2001:db8::1")),
    (DestinationPlan(host="10.1.0.0/16"),),
    (DestinationPlan(ports=((25, 25),)),),
    (),
]


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        ("mail.internal", 25, {0, 1, 4, 5}),
        ("Mail.Internal.", 85, {0, 1, 5}),
        ("mail.internal", 443, {1, 5}),
        ("10.1.2.3", 443, {2, 3, 5}),
        ("10.2.2.3", 443, {2, 5}),
        ("10.2.2.3", 25, {4, 5}),
        ("::ffff:10.2.2.3", 443, {2, 5}),
        ("2001:db8::1", 1, {2, 5}),
        ("example.org", 80, {5}),
        ("", 25, {5}),
    ],
)
def test_destinations(host, port, expected):
    """A host and its own ports belong together; who asks for nothing matches no destination."""
    facts = RouteFacts(listener=1, destination=host, destination_port=port)
    assert set(bits(Destinations(RULES).find(facts))) == expected


def test_networks_and_names():
    """An address is a network of one; a pattern of names is none."""
    assert network_of("10.0.0.1") == [(0xFFFF_0A00_0001, 0xFFFF_0A00_0001)]
    assert network_of("*") is network_of("*.a") is network_of("a.example") is None
