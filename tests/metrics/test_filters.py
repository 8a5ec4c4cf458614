"""What may be asked of the records."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.clock import NS
from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason
from penstock.metrics import filters
from penstock.metrics.filters import (
    LATEST_NS,
    WORDS,
    parse_client,
    parse_destination,
    parse_length,
    parse_moment,
    parse_text,
    parse_word,
)

NOW = 1_700_000_000 * NS


@pytest.mark.parametrize(
    "same",
    [
        ("192.0.2.7", "::ffff:192.0.2.7", "192.0.2.7/32", "::ffff:c000:207", "::ffff:192.0.2.7/128"),
        ("192.0.2.0/24", "192.0.2.77/24", "::ffff:192.0.2.0/120"),
        ("0.0.0.0/0", "::ffff:0.0.0.0/96"),
        ("2001:db8::1", "2001:DB8:0:0::1", "2001:db8::1/128"),
        ("fe80::1", "fe80::1%lo"),
        ("192.0.2.7:80", "[::ffff:192.0.2.7]:80"),
        ("[2001:db8::1]:80", "[2001:DB8:0::1]:80"),
    ],
)
def test_one_address_in_many_forms(same):
    """However an address or a network is written, IPv4 as mapped IPv6 too, it is the same filter."""
    assert {parse_client(text) for text in same} == {parse_client(same[0])}


@pytest.mark.parametrize(
    "text",
    ["", "x", "10", "1.2.3", "1.2.3.4/33", "1.2.3.4/", "1.2.3.4/-1", "1.2.3.4/255.0.0.0", "::1/129", "example.org",
     "example.org:80", "1.2.3.4:99999", "1.2.3.4:x", "1.2.3.0/24:80", "::/", "-/0",
     "1.2.3.4/" + "9" * 5_000],
)  # fmt: skip
def test_what_is_no_client(text):
    """Anything else is refused with what would be right."""
    with pytest.raises(ValueError, match="an address or a network is needed"):
        parse_client(text)


@pytest.mark.parametrize(
    ("text", "host", "port", "below"),
    [
        ("example.org", "example.org", None, False),
        ("Example.ORG.:443", "example.org", 443, False),
        ("*.example.org", "example.org", None, True),
        ("*.example.org:80", "example.org", 80, True),
        ("192.0.2.1", "192.0.2.1", None, False),
        ("192.0.2.1:53", "192.0.2.1", 53, False),
        ("2001:DB8::0:1", "2001:db8::1", None, False),
        ("[2001:db8::1]", "2001:db8::1", None, False),
        ("[2001:DB8::1]:443", "2001:db8::1", 443, False),
        ("bücher.example", "bücher.example", None, False),
    ],
)
def test_destinations(text, host, port, below):
    """A host with or without a port, names below a suffix, addresses in any form."""
    assert parse_destination(text) == (host, port, below)


@pytest.mark.parametrize("text", ["", "*", "*.", "a.*.b", "*.*.b", "a:99999", "a:b:c", ":80", "*.192.0.2.1", "x" * 300])
def test_what_is_no_destination(text):
    """Anything else is refused with what would be right."""
    with pytest.raises(ValueError, match="a host is needed"):
        parse_destination(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2023-11-14T22:13:20Z", NOW),
        ("2023-11-14 22:13:20.25z", NOW + NS // 4),
        ("2023-11-14t23:13:20.000001+01:00", NOW + 1_000),
        ("2023-11-14T23:13:20 01:00", NOW),
        ("2023-11-14T17:13:20-05:00", NOW),
        ("1900-01-01T00:00:00Z", 0),
        ("9999-12-31T23:59:59Z", LATEST_NS),
        ("-5m", NOW - 300 * NS),
        ("-0.5s", NOW - NS // 2),
        ("-250ms", NOW - NS // 4),
        ("-9999999999d", 0),
    ],
)
def test_moments(text, moment):
    """RFC 3339 in any zone, even with a plus that a query made a space, or how long ago; always what dates can hold."""
    assert parse_moment(text, NOW) == moment


@pytest.mark.parametrize(
    "text",
    ["", "now", "5m", "-", "-5", "-5y", "--5m", "2023-11-14", "2023-11-14T22:13:20", "2023-02-30T00:00:00Z",
     "2023-11-14T25:00:00Z", "2023-11-14T22:13:60Z", "2023-11-14T22:13:20+99:00", "²023-11-14T22:13:20Z"],
)  # fmt: skip
def test_what_is_no_moment(text):
    """A time without a zone, a day that there is not, and anything else raise ValueError."""
    with pytest.raises(ValueError):  # noqa: PT011 - the words for a day that there is not are the library's
        parse_moment(text, NOW)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90s", 90 * NS),
        ("1.5h", 5_400 * NS),
        ("0.001ms", 1_000),
        ("0s", 0),
        ("7d", 604_800 * NS),
        ("1.000000001s", NS + 1),
    ],
)
def test_lengths(text, length):
    """A number with a unit, exactly, without floating point."""
    assert parse_length(text) == length


@pytest.mark.parametrize("text", ["", "5", "s", "-1s", "1.s", "1e3s", "1 s", "12345678901s", "1s\n"])
def test_what_is_no_length(text):
    """Anything else is refused with what would be right."""
    with pytest.raises(ValueError, match="a length of time is needed"):
        parse_length(text)


def test_words_are_closed_lists():
    """Each list holds every word that a record can show, and nothing else is taken."""
    assert WORDS["reason"] == tuple(Reason)
    assert {Outcome(who, phase).close_reason for who in EndedBy for phase in Phase} == set(WORDS["close_reason"])
    assert Outcome(EndedBy.PROXY, Phase.DECIDE, Reason.QUOTA).close_reason in WORDS["close_reason"]
    assert parse_word("done", WORDS["phase"]) == "done"
    with pytest.raises(ValueError, match="one of detect, negotiate"):
        parse_word("Done", WORDS["phase"])


def test_texts_are_bounded():
    """No empty text, and none that no record could hold."""
    assert parse_text("ada") == "ada"
    for text in ("", "x" * 264):
        with pytest.raises(ValueError, match="1 to 263"):
            parse_text(text)


@given(st.text(max_size=60))
def test_any_text_is_a_filter_or_a_value_error(text):
    """Whatever somebody types, each parser returns or raises ValueError."""
    for parse in (parse_client, parse_destination, parse_text, parse_length, lambda t: parse_moment(t, NOW)):
        with contextlib.suppress(ValueError):
            assert parse(text) is not None


@given(st.ip_addresses())
def test_any_address_is_a_client(address):
    """Every address is taken, alone and as a network."""
    whole = 32 if address.version == 4 else 128
    assert parse_client(str(address)) == parse_client(f"{address}/{whole}")
    assert filters.canonical(str(address)) == filters.canonical(address.exploded.upper())
