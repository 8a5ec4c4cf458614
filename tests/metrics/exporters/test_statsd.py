"""Numbers as StatsD and DogStatsD lines. The receiver here is our own reading of both protocols."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.metrics.catalog import Family
from penstock.metrics.exporters.families import Reading, readings
from penstock.metrics.exporters.statsd import DATAGRAM_BYTES, GONE, Teller, plain, safe_name, safe_tag
from penstock.metrics.histogram import Distribution
from penstock.testing.standin import StandIn

LINE = re.compile(r"([A-Za-z0-9_.-]+):(-?\d+(?:\.\d+)?)\|([cg])(?:\|#([^|\n]+))?")

COUNTER = Family("penstock_x_total", "counter", "Help", ("route",))
GAUGE = Family("penstock_y", "gauge", "Help")
HISTOGRAM = Family("penstock_z_seconds", "histogram", "Help")


class Receiver:
    """Adds up what it is told, as a StatsD server does; of DogStatsD it takes no signs."""

    def __init__(self, tags=False):
        self.tags, self.counters, self.gauges = tags, {}, {}

    def take(self, payload):
        """Read one datagram."""
        assert 0 < len(payload) <= DATAGRAM_BYTES
        for line in payload.decode().split("\n"):
            name, value, kind, tags = LINE.fullmatch(line).groups()
            assert (tags is not None) is self.tags
            key = (name, *tags.split(",")) if tags else name
            if kind == "c":
                self.counters[key] = self.counters.get(key, 0) + float(value)
            elif value.startswith("-") and not self.tags:
                self.gauges[key] = self.gauges.get(key, 0) + float(value)
            else:
                self.gauges[key] = float(value)


def counted(total, route="a"):
    """Return a counter with one series."""
    return Reading(COUNTER, {(route,): total}, {})


def tell(teller, receiver, *found):
    """Send all that there is to tell; returns how many datagrams it was."""
    datagrams = 0
    for datagram in teller.tell(found):
        receiver.take(datagram.payload)
        teller.sent(datagram)
        datagrams += 1
    return datagrams


def lines(*found, tags=False, before=()):
    """Return the lines of a first flush."""
    teller = Teller("penstock", "edge", tags, before)
    return [line for each in teller.tell(found) for line in each.payload.decode().split("\n")]


def test_growth_is_told_once():
    """What was counted before the start is nobody's growth; then each flush tells what is new, if anything is."""
    teller, receiver = Teller("penstock", "edge", False, [counted(100)]), Receiver()
    for total, told in ((100, None), (107, 7), (107, 7), (110, 10)):
        tell(teller, receiver, counted(total))
        assert receiver.counters.get("penstock.x_total.route.a") == told


def test_what_was_not_sent_is_told_later():
    """Growth of a datagram that could not be sent is part of the next one."""
    teller, receiver = Teller("penstock", "edge", False, []), Receiver()
    assert len(list(teller.tell([counted(5)]))) == 1
    assert len(list(teller.tell([counted(6)]))) == 1
    tell(teller, receiver, counted(9))
    assert receiver.counters == {"penstock.x_total.route.a": 9}


def test_a_counter_that_begins_anew_is_told_whole():
    """A total that is smaller than what was told has begun at zero."""
    teller, receiver = Teller("penstock", "edge", False, [counted(100)]), Receiver()
    tell(teller, receiver, counted(3))
    assert receiver.counters == {"penstock.x_total.route.a": 3}


def test_a_series_that_went_goes_on():
    """A series that is gone for a while and comes back is told what it grew since it was last told, or begins anew."""
    teller, receiver = Teller("penstock", "edge", False, [counted(100)]), Receiver()
    tell(teller, receiver, counted(1, "b"))
    tell(teller, receiver)
    tell(teller, receiver, counted(107))
    assert receiver.counters == {"penstock.x_total.route.a": 7, "penstock.x_total.route.b": 1}
    tell(teller, receiver)
    tell(teller, receiver, counted(2))
    assert receiver.counters["penstock.x_total.route.a"] == 9


def test_series_that_went_are_bounded():
    """Of series that come and go, those that went last are remembered."""
    teller, receiver = Teller("penstock", "edge", False, []), Receiver()
    family = Family("penstock_x_total", "counter", "Help", ("route",))
    tell(teller, receiver, Reading(family, {(f"r{number}",): 1 for number in range(GONE + 5)}, {}))
    for number in range(5):
        tell(teller, receiver, counted(1, f"s{number}"))
    assert len(teller._told) == GONE + 1
    tell(teller, receiver, counted(1, f"r{GONE}"))
    assert receiver.counters[f"penstock.x_total.route.r{GONE}"] == 1


def test_labels_are_parts_of_the_name_or_tags():
    """StatsD has labels in its names, DogStatsD tags and the node's name among them."""
    assert lines(counted(1, "my.route")) == ["penstock.x_total.route.my_route:1|c"]
    assert lines(counted(1, "my.route"), tags=True) == ["penstock.x_total:1|c|#node:edge,route:my.route"]
    process = Reading(Family("process_open_fds", "gauge", "Help"), {(): 4}, {})
    assert lines(process) == ["penstock.process_open_fds:4|g"]


def test_gauges_come_first_and_every_time():
    """Gauges are told at each flush, before any growth is."""
    teller = Teller("p", "edge", False, [])
    found = [counted(1), Reading(GAUGE, {(): 2.5}, {})]
    first, second = list(teller.tell(found))
    assert (first.payload, first.grown, second.payload) == (b"p.y:2.5|g", {}, b"p.x_total.route.a:1|c")
    teller.sent(second)
    assert [each.payload for each in teller.tell(found)] == [b"p.y:2.5|g"]


@pytest.mark.parametrize("tags", [False, True])
def test_negative_gauges_arrive(tags):
    """StatsD would take a sign for a change, so such a gauge is set to zero before, in the same datagram."""
    teller, receiver = Teller("p", "edge", tags, []), Receiver(tags)
    for value in (-3, -2.5, 4, -1):
        assert tell(teller, receiver, Reading(GAUGE, {(): value}, {})) == 1
        assert list(receiver.gauges.values()) == [value]


def test_numbers_that_are_none_are_not_told():
    """Infinity and NaN have no words in either protocol."""
    assert lines(*(Reading(GAUGE, {(): float(text)}, {}) for text in ("inf", "-inf", "nan"))) == []


def test_a_histogram_is_told_by_its_parts():
    """Buckets, count and sum are counters, each with its growth."""
    before = Reading(HISTOGRAM, {}, {(): Distribution((0.5,), (1, 1), 2.25)})
    after = Reading(HISTOGRAM, {}, {(): Distribution((0.5,), (3, 2), 4.5)})
    assert lines(after, before=[before], tags=True) == [
        "penstock.z_seconds_bucket:2|c|#node:edge,le:0.5",
        "penstock.z_seconds_bucket:3|c|#node:edge,le:+Inf",
        "penstock.z_seconds_count:3|c|#node:edge",
        "penstock.z_seconds_sum:2.25|c|#node:edge",
    ]
    assert lines(after, before=[before])[1] == "penstock.z_seconds_bucket.le._Inf:3|c"


@pytest.mark.parametrize("tags", [False, True])
def test_a_node_is_told_in_full(tags):
    """After some flushes a receiver holds every counter's growth and every gauge of a node, to the last byte."""
    node, receiver = StandIn(), Receiver(tags)
    node.pen.move(node.pen.open(listener=1), 10, 20)
    start = readings(node.tick(), None)
    teller = Teller("penstock", "edge", tags, start)
    datagrams = 0
    for moved in (1, 300, 5_000):
        node.pen.move(node.pen.open(listener=2), moved, 2 * moved)
        now = readings(node.tick(0.5), None)
        datagrams += tell(teller, receiver, *now)
    assert datagrams >= 6
    before = {str(sample[:2]): sample.value for reading in start for sample in reading.samples()}
    names = Teller("penstock", "edge", tags, [])
    for reading in now:
        for sample in reading.samples():
            name, tail = names._series(sample)
            key = (name, *tail.removeprefix("|#").split(",")) if tags else name
            if reading.family.kind == "gauge":
                assert receiver.gauges[key] == sample.value
            else:
                assert receiver.counters.get(key, 0) == sample.value - before[str(sample[:2])]
    node.close()


def test_datagrams_are_full_but_not_too_full():
    """Lines travel together up to 1,432 bytes: no datagram could have taken the first line of the next one."""
    found = [counted(1, f"route-{number}") for number in range(500)]
    payloads = [each.payload for each in Teller("penstock", "edge", False, []).tell(found)]
    assert all(len(payload) <= DATAGRAM_BYTES for payload in payloads)
    for one, two in pairwise(payloads):
        assert len(one) + 1 + two.index(b"\n") > DATAGRAM_BYTES
    assert sum(payload.count(b"\n") + 1 for payload in payloads) == 500


def test_series_of_one_name_are_added_up():
    """Labels that are the same once they are safe are one series; its growth stays right when one of them goes."""
    teller, receiver = Teller("penstock", "edge", False, []), Receiver()
    gauge = Family("penstock_y", "gauge", "Help", ("route",))
    values = {("a.b",): 1, ("a,b",): 2}
    tell(teller, receiver, Reading(COUNTER, values, {}), Reading(gauge, values, {}))
    assert (receiver.counters, receiver.gauges) == ({"penstock.x_total.route.a_b": 3}, {"penstock.y.route.a_b": 3})
    tell(teller, receiver, Reading(COUNTER, {("a.b",): 5}, {}))
    assert receiver.counters == {"penstock.x_total.route.a_b": 7}


@given(st.lists(st.text(max_size=300), max_size=5), st.booleans())
def test_any_label_makes_sound_lines(values, tags):
    """Whatever a label holds, every line can be read, is short, and no growth is lost."""
    receiver, teller = Receiver(tags), Teller("penstock", "edge", tags, [])
    family = Family("penstock_x_total", "counter", "Help", ("user", "destination"))
    tell(teller, receiver, Reading(family, {(value, value): 1 for value in values}, {}))
    assert sum(receiver.counters.values()) == len(set(values))


@given(st.integers(0, 2**63), st.integers(0, 2**63))
def test_whole_numbers_stay_exact(first, growth):
    """Growth of whole numbers is told exactly, however large they are."""
    (line,) = lines(counted(first + growth), before=[counted(first)]) or [":0|"]
    assert int(line.partition(":")[2].partition("|")[0]) == growth


@given(st.lists(st.floats(0, 1e9), max_size=20))
def test_fractions_are_not_lost_in_sums(steps):
    """What rounding keeps back of a growth is told with a later one: sums are off by no more than a line's step."""
    teller, receiver, total = Teller("p", "edge", False, []), Receiver(), 0.0
    for step in steps:
        total += step
        tell(teller, receiver, counted(total))
    told = receiver.counters.get("p.x_total.route.a", 0)
    assert told == pytest.approx(total, rel=1e-12, abs=1e-9)


@pytest.mark.parametrize(
    ("value", "text"), [(3, "3"), (3.0, "3"), (1e-7, "0.0000001"), (1e20, "100000000000000000000"), (-1e-12, "0")]
)
def test_numbers_have_no_exponent(value, text):
    """Numbers are written out, to a thousand-millionth."""
    assert plain(value) == text


@given(st.text())
def test_safe_texts_are_safe(text):
    """Safe names have letters, digits, `_` and `-` alone; safe tags nothing that ends one; both are short."""
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,200}", safe_name(text))
    assert re.fullmatch(r"[^,|#\s]+", safe_tag(text))
    assert len(safe_tag(text).encode()) <= 200
