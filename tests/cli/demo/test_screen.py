"""What the demo shows, and what it concludes."""

from collections import deque

import pytest

from penstock.base.addresses import Endpoint
from penstock.cli.demo.clients import Tally
from penstock.cli.demo.screen import Reckoning, Screen, commands, spark, summary, verdict
from penstock.cli.output import console

PROXIES = {"tcp": Endpoint("127.0.0.1", 8001), "http": Endpoint("127.0.0.1", 8002), "socks5": Endpoint("::1", 8003)}
PAGE = Endpoint("127.0.0.1", 9000)


def _counted(connections=2, bytes_in=10, bytes_out=20):
    return {"connections": connections, "bytes_in": bytes_in, "bytes_out": bytes_out}


def _tally(**fields):
    return Tally("tcp", **{"opened": 2, "sent": 10, "received": 20} | fields)


@pytest.mark.parametrize(
    ("counted", "agrees", "others"),
    [
        (_counted(), True, (0, 0, 0)),
        (_counted(bytes_in=11), False, (0, 1, 0)),
        (_counted(bytes_in=9), False, (0, -1, 0)),
        (_counted(bytes_out=19), False, (0, 0, -1)),
        (_counted(connections=1), False, (-1, 0, 0)),
        (_counted(connections=3, bytes_in=15, bytes_out=27), True, (1, 5, 7)),
        (_counted(connections=3, bytes_in=9, bytes_out=27), False, (1, -1, 7)),
    ],
)
def test_reckoning(counted, agrees, others):
    """Without visitors every byte must match, in either direction; with visitors nothing may be missing."""
    reckoning = Reckoning(_tally(), counted)
    assert (reckoning.agrees, reckoning.others) == (agrees, others)


@pytest.mark.parametrize(
    ("reckoning", "said"),
    [
        (Reckoning(_tally(), _counted()), "Exact: the proxy counted each of the 30 bytes"),
        (Reckoning(_tally(), _counted(bytes_in=9)), "The counts differ: tcp."),
        (
            Reckoning(_tally(failures=1, last_failure="reset"), _counted()),
            "1 connections of the clients failed, the last",
        ),
        (Reckoning(_tally(), _counted(connections=3)), "Nothing is missing. 1 connections were not the demo's own"),
    ],
)
def test_verdict(reckoning, said):
    """The last line says what was found."""
    assert verdict([reckoning]).startswith(said)


def _summary(capsys, **counted):
    console().print(summary([Reckoning(_tally(), _counted(**counted))]))
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_summary_shows_both_counts(capsys):
    """Both counts of connections and of each direction stand side by side."""
    assert _summary(capsys) == [
        ["Listener", "Clients", "Proxy"],
        ["tcp", "connections", "2", "2", "equal"],
        ["bytes", "in", "10", "10", "equal"],
        ["bytes", "out", "20", "20", "equal"],
    ]


def test_summary_tells_visitors_apart(capsys):
    """Where others came too, what they moved stands in a column of its own."""
    lines = _summary(capsys, connections=3, bytes_in=15, bytes_out=1_020)
    assert lines[0][-1] == "Visitors"
    assert lines[2:] == [["bytes", "in", "10", "15", "5"], ["bytes", "out", "20", "1,020", "1,000"]]


def test_summary_hides_nothing(capsys):
    """Counts that differ are shown as they are, with or without visitors."""
    assert _summary(capsys, bytes_in=9)[2] == ["bytes", "in", "10", "9", "DIFFERS"]
    assert _summary(capsys, connections=3, bytes_in=9)[2] == ["bytes", "in", "10", "9", "-1", "DIFFERS"]


def test_summary_of_a_long_demo_fits(capsys, monkeypatch):
    """Terabytes on a narrow terminal are shown to the last digit."""
    monkeypatch.setenv("COLUMNS", "80")
    console().print(summary([Reckoning(_tally(sent=10**13), _counted(connections=3, bytes_in=3 * 10**13))]))
    assert "10,000,000,000,000  30,000,000,000,000  20,000,000,000,000" in capsys.readouterr().out


def test_commands_can_be_typed():
    """The commands name the real addresses."""
    assert commands(PROXIES, PAGE) == [
        "curl -x http://127.0.0.1:8002 http://127.0.0.1:9000/",
        "curl --socks5-hostname [::1]:8003 http://127.0.0.1:9000/",
        "penstock connections --watch",
    ]
    assert commands(PROXIES, PAGE, "demo-7")[2] == "penstock connections --watch --node demo-7"
    assert commands(PROXIES, PAGE, "", Endpoint("::1", 9190))[3] == "curl http://[::1]:9190/metrics"


def test_spark():
    """A chart is as wide as asked, its highest bar full, nothing shown for nothing."""
    assert spark(deque([0.0, 1.0, 4.0, 8.0]), 6) == "   ▁▄█"
    assert spark(deque([0.0, 0.0]), 3) == "   "
    assert spark(deque(), 2) == "  "
    assert spark(deque(range(1, 100)), 4)[-1] == "█"


def _stats(**fields):
    view = _counted() | {"active": 1, "requests": 0, "throughput": {"bytes_in": 1024.0, "bytes_out": 0.0}}
    listener = view | {"name": "tcp", "protocol": "tcp", "address": "127.0.0.1:8001", "route": "default"}
    return {
        "totals": view, "throughput": view["throughput"], "listeners": [listener], "workers": {"alive": 2},
    } | fields  # fmt: skip


@pytest.mark.parametrize("columns", [80, 160])
def test_picture_fits(capsys, monkeypatch, columns):
    """The live screen shows figures and commands and is no wider than the terminal."""
    monkeypatch.setenv("COLUMNS", str(columns))
    screen = Screen(PROXIES, commands(PROXIES, PAGE), 60.0)
    screen.add(_stats())
    console().print(screen.picture(_stats(), {"tcp": _tally()}, 12.0, columns))
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= columns
    assert "48s left" in text
    assert "1.00 KiB/s" in text
    assert "curl -x http://127.0.0.1:8002" in text


def test_lines_for_where_there_is_no_terminal():
    """The introduction holds addresses and commands; a reading is one line."""
    screen = Screen(PROXIES, commands(PROXIES, PAGE), None)
    assert "  socks5  [::1]:8003" in screen.introduction()
    assert "  penstock connections --watch" in screen.introduction()
    assert screen.line(_stats(), 3.0) == ("  3.0s  open 1  total 2  requests 0  in 10 B (1.00 KiB/s)  out 20 B (0 B/s)")
