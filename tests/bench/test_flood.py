"""Both sides of the flood, against a server that answers."""

import socket

import pytest
from bench.flood import THREADS, Client, flood, source

from penstock.testing.peers import serving


@pytest.fixture
def server():
    """Return the address of a server that answers every request in three bytes, and ends with its clients."""

    def answer(client):
        while client.recv(4_096):
            client.sendall(b"...")

    with serving(answer) as target:
        yield "127.0.0.1", target.port


def test_sources_differ():
    """Every address of the flood is another one, and none is 127.0.0.1."""
    found = {source(number) for number in range(100_000)}
    assert len(found) == 100_000
    assert not any(each.startswith("127.0.") for each in found)


def test_lasting_connections_are_served_before_they_are_measured(server, monkeypatch):
    """Whoever is measured on a lasting connection has had an answer on it: it stands in no line of new clients."""
    asked = []
    monkeypatch.setattr("bench.flood.answered", lambda sock: asked.append(sock.getpeername()))
    client = Client(server, fresh=False)
    assert asked == [server] * THREADS
    assert not client.took
    Client(server, fresh=True)
    assert len(asked) == THREADS


@pytest.mark.parametrize("fresh", [False, True])
def test_a_client_measures_each_answer(server, fresh):
    """Each request is answered and measured, on lasting connections and on new ones."""
    client = Client(server, fresh=fresh)
    client.run(800.0, 0.1)
    report = client.report()
    assert len(client.took) == 80
    assert report["failed"] == 0
    assert 0 < report["p50"] <= report["p99"]


def test_a_flood_waits_for_nobody():
    """It goes on without an answer, and tells how many connections it began."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        made = flood(listener.getsockname(), 0, 10, 0.2)
    assert made["made"] > 0
