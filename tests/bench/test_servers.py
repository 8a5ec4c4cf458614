"""Servers come up, are awaited, and go with all they started."""

import socket
import sys

import pytest
from bench.origins import origin_for
from bench.proxies import Launch
from bench.scenarios import Idle
from bench.servers import PORTS, ServerError, free_ports, living, new_place, serving

from bench import idle, proc

FORKING = """\
import socket, subprocess, sys
subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
    while True:
        listener.accept()[0].close()
"""


def test_free_ports_differ():
    """Ports are different, and below those that clients are given."""
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert set(ports) <= set(PORTS)


def test_idle_ends_meet():
    """The echo origin is up when `serving` yields, clients see their byte come back, and nothing is left behind."""
    with new_place(0, "tcp", 10) as place, serving(origin_for(Idle(), place), place, None) as pid:
        held = idle.clients(("127.0.0.1", place.port), 10)
        assert len(held) == 10
        assert {sock.getsockname()[0] for sock in held} == {f"127.0.0.{number}" for number in range(2, 10)}
        for sock in held:
            sock.close()
    assert living(pid) == []
    assert not place.directory.exists()


def test_children_go_too():
    """A child that outlives its mother's TERM is ended."""
    with new_place(0, "tcp", 10) as place:
        argv = (sys.executable, str(place.directory / "forking.py"), str(place.port))
        launch = Launch(argv, {"forking.py": FORKING})
        with serving(launch, place, None) as pid:
            children = {stat.pid for stat in proc.family(pid)} - {pid}
            assert len(children) == 1
    assert living(pid) == []


TWO = """\
import socket, sys, time
first = socket.create_server(("127.0.0.1", int(sys.argv[1])))
time.sleep(0.3)
second = socket.create_server(("127.0.0.1", int(sys.argv[2])))
while True:
    second.accept()[0].close()
"""


def test_a_second_server_is_awaited_too():
    """Who loads a chain finds both ends of it there: a first server accepts before a second one does."""
    with new_place(0, "tcp", 10) as place:
        argv = (sys.executable, str(place.directory / "two.py"), str(place.port), str(place.aside))
        with (
            serving(Launch(argv, {"two.py": TWO}, behind=place.aside), place, None),
            socket.create_connection(("127.0.0.1", place.aside)),
        ):
            assert {place.port, place.admin, place.aside} <= set(PORTS)


def test_last_words():
    """A server that ends at once fails the start with its last words and its exit code."""
    with new_place(0, "tcp", 10) as place:
        launch = Launch((sys.executable, "-c", "import sys; sys.exit('no such option')"))
        with pytest.raises(ServerError, match="ended with 1: no such option"), serving(launch, place, None):
            pytest.fail("it did not start")
