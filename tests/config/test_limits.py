"""Limits as they are written."""

import pytest
from pydantic import ValidationError

from penstock.base.bounds import RATE_COUNT
from penstock.config.limits import Limit, Limits, UserLimit

MINUTE = 60_000_000_000


def test_defaults():
    """An address has 100 connections and 300 new ones a minute, the machine's own and users have no limit."""
    limits = Limits()
    assert (limits.connections, limits.connections_per_ip, limits.rate_per_ip) == (100_000, 100, (300, MINUTE, 0))
    assert limits.exempt == ["127.0.0.0/8", "::1"]
    assert (limits.connections_per_user, limits.rate_per_user, limits.users) == ("off", None, [])


def test_limits_are_switched_off():
    """Each limit but that of the node may be off, and a list of networks may be one."""
    limits = Limits(connections_per_ip="off", rate_per_ip="off", exempt="10.0.0.0/8")
    assert (limits.connections_per_ip, limits.rate_per_ip, limits.exempt) == ("off", None, ["10.0.0.0/8"])
    with pytest.raises(ValidationError):
        Limits(connections="off")


@pytest.mark.parametrize(
    "rate",
    [
        300,
        3.5,
        True,
        None,
        [],
        "",
        "300",
        "0/1m",
        "1/999ms",
        "1/2d",
        f"{RATE_COUNT + 1}/1s",
        "1/1h/1h",
        "0/1m burst 3",
        "3/1m burst 0",
        f"3/1s burst {RATE_COUNT + 1}",
        "1/1d burst 366",
    ],
)
def test_what_is_no_rate(rate):
    """A rate that is nothing, is not text, or goes beyond its bounds is a mistake."""
    with pytest.raises(ValidationError):
        Limit(rate=rate)


def test_a_rate_may_have_a_burst():
    """A rate without a burst is a window; a burst may be less or more than its number."""
    assert Limit(rate="300/1m burst 20").rate == (300, MINUTE, 20)
    assert Limits(rate_per_ip="1/1d burst 365", rate_per_user="5/s burst 5").rate_per_ip == (1, 1_440 * MINUTE, 365)


def test_a_bandwidth_has_a_burst():
    """A bandwidth without a burst has a quarter of a second, and at least 64 KiB; there is no smaller one."""
    assert Limit(bandwidth="10MiB/s").bandwidth == (10 << 20, (10 << 20) // 4)
    assert Limit(bandwidth_per_connection="64KiB/s").bandwidth_per_connection == (65_536, 65_536)
    assert Limits(bandwidth_per_ip="10MiB/s burst 50MiB").bandwidth_per_ip == (10 << 20, 50 << 20)
    assert Limits().bandwidth_per_user is None


@pytest.mark.parametrize(
    "bandwidth",
    [5, True, None, [], "", "10MiB", "10MiB/m", "1B/s", "2TiB/s", "10MiB/s burst 1MiB", "1MiB/s burst 2TiB"],
)
def test_what_is_no_bandwidth(bandwidth):
    """A bandwidth that is nothing, is not text, or goes beyond its bounds is a mistake."""
    with pytest.raises(ValidationError):
        Limit(bandwidth=bandwidth)


def test_a_user_has_a_name():
    """What one user may have says whose it is."""
    assert UserLimit(name="ada", rate="5/2s").rate == (5, 2_000_000_000, 0)
    with pytest.raises(ValidationError):
        UserLimit(connections=3)
