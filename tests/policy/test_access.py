"""Who may go where: against a naive reading of the rules, and the promises that operators count on."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.base.outcomes import Reason
from penstock.config.plan import AccessRulePlan, DestinationPlan
from penstock.policy import hosts
from penstock.policy.access import Access
from penstock.policy.facts import RouteFacts
from penstock.policy.networks import Networks
from penstock.policy.ranges import address_number

NETWORKS = ("10.0.0.0/8", "10.1.0.0/16", "192.0.2.7", "2001:db8::/32")
CLIENTS = ("10.1.2.3", "10.9.9.9", "192.0.2.7", "203.0.113.1", "2001:db8::5", "-")
NAMES = ("*", "*.example.org", "www.example.org", "10.0.0.0/8", "198.51.100.0/24")
PLACES = ("www.example.org", "a.b.example.org", "example.com", "10.0.0.1", "198.51.100.9")


def some(values, most=2):
    """Return a strategy of a few of these values."""
    return st.lists(st.sampled_from(values), max_size=most, unique=True).map(tuple)


PORTS = some([(25, 25), (80, 90), (443, 443)])
DESTINATIONS = st.lists(st.builds(DestinationPlan, host=st.sampled_from(NAMES), ports=PORTS), max_size=2).map(tuple)
RULES = st.lists(
    st.builds(
        AccessRulePlan, name=st.just("r"), action=st.sampled_from(["allow", "block"]), priority=st.integers(0, 2),
        listeners=some([1, 2]), clients=some(NETWORKS), users=some(["ann", "bob"]), ports=PORTS,
        destinations=DESTINATIONS, times=some([(0, 599), (600, 1_000)]),
    ),
    max_size=6,
)  # fmt: skip
FACTS = st.builds(
    RouteFacts, listener=st.just(1), client=st.sampled_from(CLIENTS), user=st.sampled_from(["", "ann", "bob"]),
    port=st.sampled_from([25, 80, 443, 9]), destination=st.sampled_from(PLACES), destination_port=st.just(80),
)  # fmt: skip
MINUTES = st.sampled_from([0, 599, 600, 1_001])


def within(ranges, number):
    """Return whether a number is in one of some ranges, or there are none."""
    return not ranges or any(first <= number <= last for first, last in ranges)


def there(rule, place, port):
    """Return whether one of a rule's destinations is this place."""

    def one(each):
        try:
            host = place in Networks([each.host])
        except ValueError:
            host = hosts.matches(each.host, place)
        return host and within(each.ports, port)

    return any(map(one, rule.destinations))


def matches(rule, facts, minute, places):
    """Read one rule as its documentation does."""
    return (
        (not rule.listeners or facts.listener in rule.listeners)
        and (not rule.clients or facts.client in Networks(rule.clients))
        and (not rule.users or facts.user in rule.users)
        and within(rule.ports, facts.port)
        and within(rule.times, minute)
        and (not rule.destinations or any(there(rule, place, facts.destination_port) for place in places))
    )


def naive(rules, facts, minute, places):
    """Return priority and action of what counts; None for nothing."""
    found = [(rule.priority, rule.action) for rule in rules if matches(rule, facts, minute, places)]
    return max(found, key=lambda each: (each[0], each[1] == "block"), default=None)


@given(RULES, FACTS, MINUTES, st.sampled_from(["", "10.0.0.1", "198.51.100.9", "203.0.113.9"]))
@settings(max_examples=400)
def test_what_counts_is_what_a_naive_reading_finds(rules, facts, minute, address):
    """Any rules and any facts, before and after the destination has an address."""
    rule = Access(rules, 1, 1_080, asks=True).decide(facts, address_number(facts.client), minute, address)
    places = [facts.destination, *([address] if address else [])]
    assert (rule and (rule.priority, rule.action)) == naive(rules, facts, minute, places)


@given(RULES, FACTS, MINUTES)
@settings(max_examples=300)
def test_who_is_kept_out_early_would_be_refused_later(rules, facts, minute):
    """What is decided before anything is read is never taken back by what is known later; nobody passes by coming."""
    access = Access(rules, 1, 1_080, asks=True)
    number = address_number(facts.client)
    early = access.entering(number, minute)
    if early is not None:
        assert access.decide(facts, number, minute) is early
        assert access.early
    elif not access.late:
        assert access.refusal(facts, number, minute) is None


@given(RULES, FACTS, MINUTES)
def test_without_destinations_nothing_waits_but_for_users(rules, facts, minute):
    """Where clients are asked nothing, rules of destinations hold for none, and ports are the listener's."""
    access = Access(rules, 1, 443, asks=False)
    mine = [rule for rule in rules if not rule.destinations and not rule.users]
    if all(not rule.users for rule in rules):
        blocked = naive(mine, RouteFacts(listener=1, client=facts.client, port=443), minute, [])
        early = access.entering(address_number(facts.client), minute)
        assert (early is not None) == (blocked is not None and blocked[1] == "block")


def rule(action, **fields):
    """Return a rule with this action."""
    return AccessRulePlan(name=f"{action}-it", action=action, **fields)


def refused(rules, destination="example.com", address="", private=True, **fields):
    """Return why a client of a forward proxy may not go there."""
    facts = RouteFacts(listener=1, client="10.1.2.3", destination=destination, port=443, destination_port=443, **fields)
    access = Access(rules, 1, 1_080, asks=True, private=private)
    return access.refusal(facts, address_number("10.1.2.3"), 0, address)


def test_block_beats_allow():
    """At the same priority, whatever their order."""
    for rules in ([rule("allow"), rule("block")], [rule("block"), rule("allow")]):
        assert refused(rules).reason == Reason.ACCESS
    assert refused([rule("allow", priority=1), rule("block")]) is None


def test_a_name_that_leads_into_a_blocked_network_is_blocked_there():
    """A rule about addresses holds for what a name resolves to, one address at a time."""
    rules = [rule("block", destinations=(DestinationPlan(host="198.51.100.0/24"),))]
    assert refused(rules) is None
    assert refused(rules, address="203.0.113.1") is None
    assert refused(rules, address="198.51.100.1") == (Reason.DESTINATION, "access rule block-it blocks it")


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "127.0.0.1", "::1", "fd00::1", "::ffff:10.0.0.1"])
def test_private_addresses_are_refused_where_asked(address):
    """Literal or behind a name, unless a rule allows that destination and names it."""
    assert refused([], address, address, private=False).reason == Reason.DESTINATION
    assert refused([], "example.com", address, private=False).reason == Reason.DESTINATION
    assert refused([rule("allow")], "example.com", address, private=False) is not None
    named = rule("allow", destinations=(DestinationPlan(host="example.com"),))
    assert refused([named], "example.com", address, private=False) is None
    assert refused([], "example.com", "203.0.113.1", private=False) is None


@pytest.mark.parametrize("host", ["*", "0.0.0.0/0", "::/0"])
def test_a_rule_that_allows_a_port_everywhere_names_no_destination(host):
    """Web only for everybody is not a word for private addresses; a destination beside it is one for itself alone."""
    wide = DestinationPlan(host=host, ports=((443, 443),))
    assert refused([rule("allow", destinations=(wide,))], "10.0.0.1", "10.0.0.1", private=False) is not None
    both = rule("allow", destinations=(wide, DestinationPlan(host="10.0.0.1")))
    assert refused([both], "10.0.0.1", "10.0.0.1", private=False) is None
    assert refused([both], "10.0.0.2", "10.0.0.2", private=False) is not None
    apart = [rule("allow", priority=1, destinations=(wide,)), rule("allow", destinations=both.destinations[1:])]
    assert refused(apart, "10.0.0.1", "10.0.0.1", private=False) is None
    assert refused([apart[0], rule("block"), apart[1]], "10.0.0.1", "10.0.0.1", private=False) is not None


@pytest.mark.parametrize(
    ("address", "blocked"),
    [("0.0.0.0", "127.0.0.0/8"), ("::", "::1"), ("::", "::1/128"), ("::ffff:0.0.0.0", "127.0.0.0/8")],
)
def test_the_address_of_nobody_is_loopback(address, blocked):
    """A connection to the wildcard reaches this machine: what blocks loopback blocks it too."""
    rules = [rule("block", destinations=(DestinationPlan(host=blocked),))]
    assert refused(rules, address, address).reason == Reason.DESTINATION
    assert refused(rules, "example.com", address).reason == Reason.DESTINATION


@pytest.mark.parametrize("address", ["64:ff9b::198.51.100.1", "2002:c633:6401::1"])
def test_ipv6_that_leads_to_a_blocked_ipv4_network_is_no_way_around_it(address):
    """Through NAT64 and 6to4 a rule about IPv4 addresses holds, for the address and for a name that leads there."""
    rules = [rule("block", destinations=(DestinationPlan(host="198.51.100.0/24"),))]
    assert refused(rules, address, address).reason == Reason.DESTINATION
    assert refused(rules, "example.com", address).reason == Reason.DESTINATION
    assert refused(rules, "example.com", "64:ff9b::203.0.113.1") is None


def test_rules_with_times_are_asked_again():
    """Who came in before a rule began to hold is stopped at the next request: something is left to be decided."""
    office = ((600, 1_000),)
    assert Access([rule("block", times=office)], 1, 80, asks=False).late
    assert Access([rule("block"), rule("allow", priority=1, times=office)], 1, 80, asks=False).late
    assert not Access([rule("allow", times=office)], 1, 80, asks=False).late
    assert not Access([rule("block")], 1, 80, asks=False).late
