"""Figures for people, and texts of strangers on a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.cli.units import duration, number, printable, rate, size


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "0.98 KiB"),
        (1_536, "1.50 KiB"),
        (10_240, "10.0 KiB"),
        (1_048_576, "1.00 MiB"),
        (130_023_424, "124 MiB"),
        (1_073_741_823, "1.00 GiB"),
        (2**64, "16.0 EiB"),
        (5_000 * 2**60, "5000 EiB"),
    ],
)
def test_sizes(count, text):
    """Sizes have three digits and a unit of 1024 steps."""
    assert size(count) == text


@given(st.integers(0, 10**18))
def test_a_size_is_short_and_close(count):
    """A size fits nine columns and is within half a percent of the truth."""
    value, unit = size(count).split(" ")
    assert len(size(count)) <= 9
    factor = 1024 ** ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB").index(unit)
    assert float(value) * factor == pytest.approx(count, rel=0.0052)


def test_rates_and_numbers():
    """A rate is a size per second; large numbers have their thousands apart."""
    assert rate(2_048.4) == "2.00 KiB/s"
    assert number(1_234_567) == "1,234,567"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0s"),
        (0.44, "0.4s"),
        (9.96, "10s"),
        (59.4, "59s"),
        (59.6, "1m00s"),
        (192, "3m12s"),
        (3_600, "1h00m"),
        (86_399, "23h59m"),
        (86_400 * 4 + 3_600 * 7, "4d07h"),
    ],
)
def test_durations(seconds, text):
    """A duration shows its two largest units."""
    assert duration(seconds) == text


def test_escape_sequences_become_text():
    """A user name cannot move the cursor, change colours or turn the line around."""
    assert printable("a\x1b[2Jb\x9b0m\u202ec\nd") == "a\\x1b[2Jb\\x9b0m\\u202ec\\nd"


@given(st.text())
def test_nothing_printable_steers(text):
    """What comes out is printable; what was printable stays as it was."""
    out = printable(text)
    assert out.isprintable() or not any(c < " " or "\x7f" <= c <= "\x9f" for c in out)
    if text.isprintable():
        assert out == text
