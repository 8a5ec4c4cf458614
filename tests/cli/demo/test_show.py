"""The demo's parts that need no node."""

import asyncio
import socket

import pytest

from penstock.cli.demo import show
from penstock.cli.demo.clients import Tally
from penstock.cli.demo.screen import Screen
from penstock.cli.demo.show import free_name, free_port


def test_a_taken_port_is_left_alone():
    """A port that somebody listens at is not asked for; one that is free is."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert free_port(port) == 0
    assert free_port(port) == port


def test_two_demos_have_two_names(monkeypatch, tmp_path):
    """The first demo is called demo, one beside it something else."""
    monkeypatch.setenv("PENSTOCK_RUNTIME_DIR", str(tmp_path))
    assert free_name() == "demo"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "demo.sock"))
        other.listen()
        assert free_name().startswith("demo-")


class _Node:
    """A node whose listener counts down its open connections, one a look."""

    def __init__(self, active):
        self.active = active

    def snapshot(self):
        """Return itself: there is nothing else to see."""
        return self

    def stats(self):
        """Return one listener's open connections."""
        self.active = max(0, self.active - 1)
        return {"listeners": [{"name": "tcp", "active": self.active}]}


def test_settling_waits_for_the_node():
    """The counts are compared when the node has seen the last client leave."""
    node = _Node(3)
    asyncio.run(show._settle(node, {"tcp": Tally("tcp")}))
    assert node.active == 0


def test_settling_has_an_end(monkeypatch):
    """A visitor who stays keeps nobody waiting for ever."""
    monkeypatch.setattr(show, "SETTLE_SECONDS", 0.01)
    node = _Node(10**6)
    asyncio.run(show._settle(node, {"tcp": Tally("tcp")}))
    assert node.active > 0


@pytest.mark.parametrize(
    ("tally", "code", "said"),
    [
        (Tally("tcp", opened=1, sent=5, received=5), 0, "Exact"),
        (Tally("tcp", opened=1, sent=4, received=5), 1, "DIFFERS"),
        (Tally("tcp", opened=1, sent=5, received=5, failures=1, last_failure="x"), 1, "1 connections of the clients"),
    ],
)
def test_the_exit_code_follows_the_counts(capsys, tally, code, said):
    """Equal counts end with 0; a byte too many or few, or a client that failed, with 1."""
    stats = {"listeners": [{"name": "tcp", "connections": 1, "bytes_in": 5, "bytes_out": 5}]}
    assert show._reckon(stats, {"tcp": tally}) == code
    assert said in capsys.readouterr().out


def test_without_a_terminal_there_are_lines(capsys):
    """Where nothing can be redrawn, the introduction comes first and each look is a line."""
    stats = {
        "totals": {"active": 1, "connections": 2, "requests": 3, "bytes_in": 4, "bytes_out": 5},
        "throughput": {"bytes_in": 0.0, "bytes_out": 0.0},
    }
    with show._canvas(Screen({}, [], None)) as draw:
        draw(stats, {}, 1.0)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Penstock serves")
    assert lines[-1].endswith("in 4 B (0 B/s)  out 5 B (0 B/s)")
