"""Looking for ended connections."""

import ipaddress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.base.addresses import pack_ip
from penstock.base.clock import NS
from penstock.base.outcomes import COMPLETE, EndedBy, Outcome, Phase, Reason
from penstock.metrics.filters import WORDS, Filter, parse_client, parse_destination
from penstock.metrics.ledger import (
    CLIENT_RX,
    CLIENT_TX,
    DIALED,
    ENDED,
    IP_HIGH,
    IP_LOW,
    OUTCOME,
    PORT,
    REQUESTS,
    STARTED,
    TARGET_RX,
    TARGET_TX,
    TEXT,
)
from penstock.metrics.live import rfc3339
from penstock.metrics.records import ID, NAMES, NUMBER, Names, RecordsView, make_ring
from penstock.metrics.searching import RecordView, search
from penstock.testing.steps import steps

WALL = 1_700_000_000 * NS

NAMED = {
    1: Names("web", "default", "192.0.2.10:80"),
    2: Names("egress", "out", ""),
    3: Names("web", "out", "b.example:1"),
}

CLIENTS = ("192.0.2.7", "192.0.2.200", "10.0.0.1", "2001:db8::9", "2001:db8:ffff::1", "-")
USERS = ("", "ada", "Ada", "bob\ufffd")
HOSTS = (
    "",
    "example.org:443",
    "www.EXAMPLE.org:80",
    "badexample.org:80",
    "[2001:DB8::1]:443",
    "192.0.2.9:53",
    "x\udcff",
)
OUTCOMES = (
    COMPLETE,
    Outcome(EndedBy.CLIENT, Phase.RELAY),
    Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.AUTH),
    Outcome(EndedBy.PROXY, Phase.DECIDE, Reason.QUOTA),
)


def fill(records, capacity=None, first=1):
    """Return a view of records: dicts of what differs from an empty one."""
    ring = make_ring(capacity or max(1, len(records)))
    for number, record in enumerate(records, start=first):
        slot = (number - 1) % ring.capacity
        row = ring.words[slot]
        text = b"\0".join(
            record.get(name, "").encode("utf-8", "surrogateescape") for name in ("host", "user", "detail")
        )
        row[IP_HIGH : IP_LOW + 1] = np.frombuffer(pack_ip(record.get("ip", "192.0.2.7")), np.uint64)
        row[PORT], row[NUMBER], row[ID] = record.get("port", 40_000), number, record.get("id", number)
        row[CLIENT_RX], row[CLIENT_TX] = record.get("rx", 0), record.get("tx", 0)
        row[TARGET_RX], row[TARGET_TX], row[REQUESTS] = (
            record.get("trx", 0),
            record.get("ttx", 0),
            record.get("asked", 0),
        )
        row[ENDED] = record.get("ended", WALL)
        row[STARTED] = int(row[ENDED]) - record.get("lasted", 0)
        row[OUTCOME], row[NAMES] = record.get("outcome", COMPLETE).pack(), record.get("names", 1)
        row[DIALED], row[TEXT] = record.get("dialed", 0), len(text)
        ring.texts[slot, : len(text)] = np.frombuffer(text, np.uint8)
    end = first + len(records) - 1
    ring.begun[0] = end
    return RecordsView(ring, end, NAMED, WALL)


def numbers(page):
    """Return which records a page holds."""
    return [each.number for each in page.connections]


def test_a_record_in_full():
    """A record is published with all that is known of it."""
    record = {
        "ip": "2001:db8::9", "port": 50_000, "id": 2**33 + 5, "rx": 1, "tx": 2, "trx": 3, "ttx": 4, "asked": 5,
        "ended": WALL + NS // 4, "lasted": 5 * NS // 2, "outcome": OUTCOMES[3], "names": 1, "dialed": NS // 8,
        "host": "example.org:443", "user": "ada", "detail": "over quota",
    }  # fmt: skip
    assert search(fill([record]), Filter(), limit=5).connections == [
        RecordView(
            number=1, id=2**33 + 5, client="[2001:db8::9]:50000", listener="web", route="default",
            target="192.0.2.10:80", destination="example.org:443", user="ada", bytes_in=1, bytes_out=2, target_rx=3,
            target_tx=4, requests=5, started_at="2023-11-14T22:13:17.750Z", ended_at="2023-11-14T22:13:20.250Z",
            duration=2.5, ended_by="proxy", phase="decide", close_reason="limit", reason="quota", detail="over quota",
            dial_duration=0.125,
        )
    ]  # fmt: skip


def test_what_is_not_known_is_empty():
    """No text, no dial, no reason and no IP address: empty, null and `-`."""
    (found,) = search(fill([{"ip": "-"}]), Filter(), limit=5).connections
    assert (found.client, found.destination, found.user, found.detail) == ("-", "", "", "")
    assert (found.reason, found.dial_duration, found.duration) == ("", None, 0)


def test_times_are_written_as_everywhere():
    """Times read as those of open connections do."""
    times = [WALL + step * 1_000_003 for step in range(50)]
    page = search(fill([{"ended": each} for each in times]), Filter(), limit=100)
    assert [each.ended_at for each in reversed(page.connections)] == [rfc3339(each) for each in times]


# Filters --------------------------------------------------------------------------------------------------------------

records = st.fixed_dictionaries(
    {
        "ip": st.sampled_from(CLIENTS),
        "port": st.sampled_from((80, 40_000)),
        "names": st.sampled_from((1, 2, 3)),
        "host": st.sampled_from(HOSTS),
        "user": st.sampled_from(USERS),
        "outcome": st.sampled_from(OUTCOMES),
        "rx": st.sampled_from((0, 5, 2**63 - 1)),
        "tx": st.sampled_from((0, 5, 2**63 - 1)),
        "ended": st.integers(WALL, WALL + 5),
        "lasted": st.integers(0, 5),
    }
)

NETWORKS = (
    "192.0.2.7",
    "192.0.2.0/24",
    "0.0.0.0/0",
    "::/0",
    "2001:db8::/32",
    "2001:db8::9",
    "-",
    "::ffff:10.0.0.0/104",
)
PLACES = (
    "example.org",
    "example.org:443",
    "*.example.org",
    "*.org:80",
    "2001:db8::1",
    "[2001:db8::1]:443",
    "192.0.2.9",
)

QUERIES = {
    "client": st.sampled_from((*NETWORKS, "192.0.2.7:80")),
    "destination": st.sampled_from(PLACES),
    "user": st.sampled_from(("ada", "bob\ufffd", "nobody")),
    "listener": st.sampled_from(("web", "egress", "nobody")),
    "route": st.sampled_from(("default", "out")),
    "target": st.sampled_from(("192.0.2.10:80", "b.example:1")),
    **{name: st.sampled_from(words) for name, words in WORDS.items()},
    "min_bytes": st.sampled_from((0, 5, 6, 2**53 - 1)),
    "min_duration": st.integers(0, 6),
    "since": st.integers(WALL, WALL + 6),
    "until": st.integers(WALL, WALL + 6),
}


def some(names):
    """Return queries of these filters."""
    return st.fixed_dictionaries({name: QUERIES[name] for name in names})


wanted = st.lists(st.sampled_from(sorted(QUERIES)), max_size=3, unique=True).flatmap(some)
"""Few filters at once: most records pass each of them, hardly any passes all."""


def client_is(record, text):
    """Say by the standard library whether a record's client is meant."""
    if "-" in (text, record["ip"]):
        return text == record["ip"]
    host, colon, port = text.partition(":") if "." in text and "::" not in text else (text, "", "")
    if colon and record["port"] != int(port):
        return False
    network = ipaddress.ip_network(host)
    if host.startswith("::ffff:"):
        network = ipaddress.ip_network("10.0.0.0/8")
    address = ipaddress.ip_address(record["ip"])
    return address.version == network.version and address in network


def destination_is(record, text):
    """Say by plain string work whether a record's destination is meant."""
    host, _, port = record["host"].lower().replace("[", "").replace("]", "").rpartition(":")
    text = text.replace("[", "").replace("]", "")
    if text.count(":") in (1, 4):
        text, _, want = text.rpartition(":")
        if want != port:
            return False
    return host.endswith(text[1:]) if text.startswith("*") else host == text


def is_wanted(record, asked):
    """Say naively whether a record is meant."""
    names = dict(zip(("listener", "route", "target"), NAMED[record["names"]], strict=True))
    outcome = record["outcome"]
    words = {
        "ended_by": outcome.ended_by.name.lower(),
        "phase": outcome.phase.name.lower(),
        "close_reason": outcome.close_reason,
        "reason": str(outcome.reason or ""),
        "user": record["user"],
        **names,
    }
    return (
        all(words[name] == value for name, value in asked.items() if name in words)
        and ("client" not in asked or client_is(record, asked["client"]))
        and ("destination" not in asked or destination_is(record, asked["destination"]))
        and asked.get("since", 0) <= record["ended"] < asked.get("until", 2**62)
        and record["rx"] + record["tx"] >= asked.get("min_bytes", 0)
        and record["lasted"] >= asked.get("min_duration", 0)
    )


def as_filter(asked):
    """Return the filter that such a query makes."""
    fields = dict(asked)
    for name, parse in (("client", parse_client), ("destination", parse_destination)):
        if name in fields:
            fields[name] = parse(fields[name])
    return Filter(**fields)


@settings(max_examples=250, deadline=None)
@given(st.lists(records, min_size=5, max_size=25), wanted)
def test_filters_mean_what_they_say(kept, asked):
    """Whatever is kept and asked for, the answer is what looking at each record with plain Python gives."""
    page = search(fill(kept), as_filter(asked), limit=10_000)
    expected = [number for number, record in enumerate(kept, start=1) if is_wanted(record, asked)]
    assert numbers(page) == expected[::-1]
    assert (page.total, page.next) == (len(expected), None)


@pytest.mark.parametrize("text", [*NETWORKS, "192.0.2.7:80", "192.0.2.7:40000", "[2001:db8::9]:40000"])
def test_every_kind_of_client(text):
    """Each address, network and word for Unix sockets means the clients that it names, and no other kind."""
    kept = [{"ip": ip, "port": 40_000} for ip in CLIENTS]
    host, port = (text.strip("[").partition("]")[0], 40_000) if "[" in text else (text, None)
    expected = [n for n, record in enumerate(kept, start=1) if client_is(record, host) and port in (None, 40_000)]
    assert numbers(search(fill(kept), Filter(client=parse_client(text)), limit=99)) == expected[::-1]
    assert expected or text == "192.0.2.7:80"


@pytest.mark.parametrize("place", ["example.org", "*.org", "192.0.2.9"])
def test_no_destination_is_nowhere(place):
    """A record without a destination is none that leads anywhere, and one without a port has still a host."""
    view = fill([{"host": ""}, {"host": "no-port"}])
    assert numbers(search(view, Filter(destination=parse_destination(place)), limit=9)) == []


# Pages ----------------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(count=st.integers(0, 40), limit=st.integers(1, 12), capacity=st.integers(1, 50))
def test_pages_hold_each_record_once(count, limit, capacity):
    """Following `next` shows every record that is kept once, newest first; forward, oldest first."""
    view = fill([{}] * count, capacity)
    kept = list(range(max(1, count - capacity + 1), count + 1))
    assert walk(view, limit, "before", None) == kept[::-1]
    assert walk(view, limit, "after", 0) == kept


def walk(view, limit, way, start):
    """Return the numbers of all records, page by page."""
    found = []
    for _ in range(60):
        page = search(view, Filter(), limit=limit, **{way: start})
        found += numbers(page)
        if page.next is None:
            return found
        start = page.next
    raise AssertionError("pages without end")


def test_pages_stand_still_while_new_ones_come():
    """A cursor goes on where the page before ended, whatever came since."""
    first = search(fill([{}] * 10), Filter(), limit=4)
    second = search(fill([{}] * 17, capacity=20), Filter(), limit=4, before=first.next)
    assert numbers(first) + numbers(second) == [10, 9, 8, 7, 6, 5, 4, 3]


def test_who_follows_knows_what_was_missed():
    """The first and last numbers that were looked at tell whether the ring was faster than the reader."""
    view = fill([{"user": "bob\ufffd"}] * 3 + [{}] * 9, capacity=5)
    page = search(view, Filter(user="nobody"), limit=4, after=3)
    assert (page.first, page.last, page.total) == (8, 12, 0)
    assert search(view, Filter(), limit=4, after=12)[1:] == (None, 0, 0, 12)
    assert search(view, Filter(), limit=4, after=99)[1:] == (None, 0, 0, 12)


def test_an_empty_view():
    """Where nothing has ended there is nothing, and not even a place is needed."""
    for capacity in (0, 5):
        view = RecordsView(make_ring(capacity), 0, {})
        assert search(view, Filter(user="ada"), limit=5) == ([], None, 0, 0, 0)
        assert search(view, Filter(), limit=5, after=0) == ([], None, 0, 0, 0)


def test_ten_thousand_are_searched_in_few_steps():
    """With all filters at once, texts of every record included, a record takes fewer than forty steps of Python."""
    view = fill([{"host": f"h{i % 100}.example.org:443", "user": f"u{i}"} for i in range(10_000)])
    asked = Filter(
        client=parse_client("192.0.2.0/24"), destination=parse_destination("*.example.org"), route="default",
        ended_by="complete", since=WALL - NS, min_duration=0,
    )  # fmt: skip
    pages = []
    taken = steps(lambda: pages.append(search(view, asked, limit=100)))
    page = pages[0]
    assert (page.total, len(page.connections)) == (10_000, 100)
    assert taken < 40 * 10_000
