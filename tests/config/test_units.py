"""Durations and sizes: what is written is read, what is read is written, and a slip gets its correction."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config.mistakes import Wrong
from penstock.config.units import (
    DURATION_UNITS,
    LARGEST,
    LONGEST,
    SIZE_UNITS,
    parse_bandwidth,
    parse_duration,
    parse_rate,
    parse_size,
    serialize_bandwidth,
    serialize_duration,
    serialize_rate,
    serialize_size,
)

S = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("250ms", S // 4), ("30s", 30 * S), ("5m", 300 * S), ("4h", 14_400 * S), ("400d", 400 * 86_400 * S),
        ("0s", 0), ("30 s", 30 * S), ("3650d", LONGEST),
    ],
)  # fmt: skip
def test_durations(text, ns):
    """A duration is its number times its unit, in nanoseconds."""
    assert parse_duration(text) == ns


@pytest.mark.parametrize(
    ("text", "write"),
    [
        ("30", '"30s"'), ("5 sec", '"5s"'), ("5min", '"5m"'), ("2Days", '"2d"'), ("7S", '"7s"'), ("10x", '"10s"'),
        ("", '"30s"'), ("s", '"30s"'), ("-5s", '"30s"'), ("1.5h", '"30s"'), ("1h30m", '"30s"'), ("٣s", '"30s"'),
        ("30s\n", '"30s"'), ("3651d", ""), ("9" * 18 + "d", ""), ("9" * 5000 + "s", '"30s"'),
    ],
)  # fmt: skip
def test_what_is_no_duration(text, write):
    """A text that is no duration is refused, with what was probably meant."""
    with pytest.raises(Wrong) as caught:
        parse_duration(text)
    assert caught.value.write == write


@pytest.mark.parametrize(
    ("text", "size"), [("16KiB", 16_384), ("1MB", 1_000_000), ("0B", 0), ("3 GiB", 3 << 30), ("1TB", 10**12)]
)
def test_sizes(text, size):
    """A size is its number times its unit, KiB and its kin in 1024s and KB and its kin in 1000s."""
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "write"),
    [
        ("16", '"16B"'), ("16k", '"16KiB"'), ("16kb", '"16KB"'), ("5mib", '"5MiB"'), ("9bytes", '"9B"'),
        ("9q", '"9KiB"'), ("", '"16KiB"'), ("1.5MB", '"16KiB"'), ("9999999999TiB", ""),
    ],
)  # fmt: skip
def test_what_is_no_size(text, write):
    """A text that is no size is refused, with what was probably meant."""
    with pytest.raises(Wrong) as caught:
        parse_size(text)
    assert caught.value.write == write


@given(st.integers(0, LONGEST // 1_000_000))
def test_durations_come_back(milliseconds):
    """What serialize_duration writes, parse_duration reads as the same number."""
    assert parse_duration(serialize_duration(milliseconds * 1_000_000)) == milliseconds * 1_000_000


@given(st.integers(0, LARGEST))
def test_sizes_come_back(size):
    """What serialize_size writes, parse_size reads as the same number."""
    assert parse_size(serialize_size(size)) == size


@given(st.integers(1, 3_650), st.sampled_from([*DURATION_UNITS]), st.sampled_from([*SIZE_UNITS]))
def test_corrections_are_correct(number, duration_unit, size_unit):
    """What a refusal says to write is accepted: in the wrong case, each unit is corrected to one that is read."""
    for parse, text in ((parse_duration, f"{number}{duration_unit}"), (parse_size, f"{number}{size_unit}")):
        try:
            parse(text.swapcase())
            continue
        except Wrong as wrong:
            write = wrong.write.strip('"')
        assert parse(write) > 0


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text):
    """Any text is a duration or Wrong, and a size or Wrong; nothing else escapes."""
    serialize = {parse_duration: serialize_duration, parse_size: serialize_size}
    for parse, back in serialize.items():
        try:
            said = back(parse(text))
        except Wrong as wrong:
            said = wrong.what
        assert said


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("300/1m", (300, 60 * S, 0)),
        ("50/2s", (50, 2 * S, 0)),
        ("100/s", (100, S, 0)),
        ("7 / 1 h", (7, 3_600 * S, 0)),
        ("300/1m burst 20", (300, 60 * S, 20)),
        ("10/s burst  5 ", (10, S, 5)),
    ],
)
def test_rates(text, rate):
    """A rate is how many in which time, and how many at once; a unit alone stands for one of it."""
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    "text",
    [
        "",
        "300",
        "300/",
        "/1m",
        "300/1",
        "-3/1s",
        "1.5/1s",
        "3/1s/2",
        "3//1s",
        "٣/1s",
        "x/s",
        "3/1s burst",
        "3/1s burst ",
        "3/1s burst 0",
        "3/1s burst x",
        "3/1s burst 2 burst 2",
        "3/1sburst 2",
        "3 burst 2/1s",
    ],
)
def test_what_is_no_rate(text):
    """A text that is no rate is refused."""
    with pytest.raises(Wrong):
        parse_rate(text)


@given(
    st.integers(0, 10**19 - 1),
    st.integers(0, LONGEST // 1_000_000).map(lambda ms: ms * 1_000_000),
    st.integers(0, 10**19 - 1),
)
def test_rates_survive(count, ns, burst):
    """A rate that is written is read back."""
    assert parse_rate(serialize_rate(count, ns, burst)) == (count, ns, burst)


def test_bandwidths():
    """A bandwidth is a size a second, and what may pass at once where that is said."""
    assert parse_bandwidth("10MiB/s") == (10 << 20, 0)
    assert parse_bandwidth("64 KiB/s burst 1MB") == (65_536, 1_000_000)


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("10MiB", '"10MiB/s"'),
        ("", '"10MiB/s"'),
        ("10MiB/m", '"10MiB/s"'),
        ("5M/s", '"5MiB/s"'),
        ("5MiB/s burst x", '"16KiB"'),
    ],
)
def test_what_is_no_bandwidth(text, instead):
    """A text that is no bandwidth is refused, and what was meant is said."""
    with pytest.raises(Wrong) as refused:
        parse_bandwidth(text)
    assert refused.value.write == instead


@given(st.integers(0, LARGEST), st.integers(1, LARGEST))
def test_bandwidths_survive(rate, burst):
    """A bandwidth that is written is read back."""
    assert parse_bandwidth(serialize_bandwidth(rate)) == (rate, 0)
    assert parse_bandwidth(serialize_bandwidth(rate, burst)) == (rate, burst)
