"""What can be switched, and what an order makes of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from penstock.config.plan import MetricsPlan
from penstock.metrics.collection import ALL, PARTS, Collection, CollectionError, begin, changes, room, switched

FULL = MetricsPlan(statsd=("127.0.0.1", 8125))
EMPTY = MetricsPlan(trackers=0, clients=0, users=0, destinations=0, connection_records=0)

plans = st.sampled_from([FULL, EMPTY, MetricsPlan(), replace(FULL, enabled=False), replace(FULL, percentiles=False)])
orders = st.dictionaries(st.sampled_from([*PARTS, ALL]), st.booleans())


def test_all_is_on_where_there_is_room():
    """At the start every part is on that the configuration gives room."""
    assert all(asdict(begin(FULL)).values())
    assert begin(MetricsPlan()) == replace(begin(FULL), exports=False)
    assert changes(begin(EMPTY), Collection(**dict.fromkeys(PARTS, False))) == {"percentiles": False}


def test_nothing_is_on_where_it_is_disabled():
    """With enabled = false, or percentiles = false, parts are off at the start, and can be switched on."""
    plan = replace(FULL, enabled=False)
    assert not any(asdict(begin(plan)).values())
    assert all(asdict(switched(begin(plan), {ALL: True}, plan)).values())
    plan = replace(FULL, percentiles=False)
    assert changes(begin(FULL), begin(plan)) == {"percentiles": False}
    assert switched(begin(plan), {"percentiles": True}, plan) == begin(FULL)


def test_parts_are_switched_one_by_one():
    """An order changes the parts that it names and no other; one that stands beside `all` wins over it."""
    now = begin(FULL)
    assert changes(now, switched(now, {"series": False, "users": True}, FULL)) == {"series": False}
    off = switched(now, {"users": True, ALL: False}, FULL)
    assert [part for part, on in asdict(off).items() if on] == ["users"]
    assert switched(now, {}, FULL) == now


@pytest.mark.parametrize("part", [part for part, why in room(EMPTY).items() if why])
def test_without_room_nothing_is_switched_on(part):
    """A part that the configuration gives no room cannot be switched on by name, and `all` leaves it out."""
    with pytest.raises(CollectionError, match="cannot be switched on: "):
        switched(begin(EMPTY), {part: True}, EMPTY)
    assert not asdict(switched(begin(EMPTY), {ALL: True}, EMPTY))[part]
    assert switched(begin(EMPTY), {part: False}, EMPTY) == begin(EMPTY)


@pytest.mark.parametrize("name", ["totals", "", "Series", "x" * 10_000, "\x1b[2J"])
def test_what_is_no_part_is_refused(name):
    """An unknown part is refused in one printable line that names those that there are."""
    with pytest.raises(CollectionError, match="parts are: series, ") as caught:
        switched(begin(FULL), {name: True}, FULL)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@given(plans, st.lists(orders, max_size=5))
def test_any_orders_end_in_what_has_room(plan, given_orders):
    """After any orders nothing is on that has no room, and an order that was refused has changed nothing."""
    now = begin(plan)
    for order in given_orders:
        try:
            after = switched(now, order, plan)
        except CollectionError:
            continue
        assert all(asdict(after)[part] is on for part, on in order.items() if part != ALL)
        now = after
    assert not any(on and room(plan)[part] for part, on in asdict(now).items())
