"""Three Penstocks in a row: PROXY headers carry the first one's client to the last one's limits, records and logs."""

import contextlib
import http.client
import json
import socket

import pytest

from penstock.testing.http_peers import origin
from penstock.testing.nodes import running, table

from .test_reverse import told

pytestmark = pytest.mark.system

SECONDS = 30

ONE, OTHER = "127.0.0.9", "127.0.0.8"
"""Clients; everybody else in this file is 127.0.0.1."""

TRUSTING = {"accept_proxy": "required", "trusted_proxies": ["127.0.0.1"]}

LIMITED = """
[limits]
exempt = []
connections_per_ip = 2
[log]
access = "json"
access_file = "%s"
"""


def link(port, version):
    """Return the route of a node that sends on, with a header of this version."""
    return f'[[route]]\nname = "on"\ntargets = ["127.0.0.1:{port}"]\nsend_proxy = "{version}"\n'


@contextlib.contextmanager
def chain(port, log, versions):
    """Run three nodes, the last of which speaks HTTP to a port; yields the first one's address and the last node."""
    with contextlib.ExitStack() as stack:
        last = stack.enter_context(
            running(table("web", "http", port, reverse=True, **TRUSTING), LIMITED % log, workers=2)
        )
        middle = stack.enter_context(
            running(table("mid", "tcp", **TRUSTING), link(last.address("web")[1], versions[1]))
        )
        first = stack.enter_context(running(table("front", "tcp"), link(middle.address("mid")[1], versions[0])))
        yield first.address("front"), last


def ask(address, client):
    """Return a connection of this client that has asked once and is kept, with the answer; EOF where it is refused."""
    sock = socket.create_connection(address, SECONDS, (client, 0))
    connection = http.client.HTTPConnection(*address, timeout=SECONDS)
    connection.sock = sock
    connection.request("GET", "/asked")
    return connection, json.loads(connection.getresponse().read())


@pytest.mark.parametrize("versions", [("v1", "v2"), ("v2", "v1")])
def test_the_last_one_knows_the_first_ones_client(tmp_path, versions):
    """By whose address it limits, whom it records, whom its access log names, and whom its target learns of."""
    log = tmp_path / "access.log"
    with origin(told) as target, chain(target.port, log, versions) as (address, last), contextlib.ExitStack() as stack:
        ends = []
        for client in (ONE, ONE, OTHER):
            connection, fields = ask(address, client)
            stack.callback(connection.close)
            assert fields["x-forwarded-for"] == client
            ends.append("{}:{}".format(*connection.sock.getsockname()))
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            ask(address, ONE)
        last.until(lambda stats: stats["totals"]["active"] == 3)
        shown = json.loads(last.fetch("/api/v1/connections"))["connections"]
        assert sorted(each["client"] for each in shown) == sorted(ends)
        stack.close()
        found = last.settled("web", 4)
        assert found["connections"] == 4
        records = json.loads(last.fetch("/api/v1/history"))["connections"]
        assert sorted(each["client"].partition(":")[0] for each in records) == [OTHER, ONE, ONE, ONE]
        refused = [each for each in records if "ip_limit" in each.values()]
        assert [each["client"].partition(":")[0] for each in refused] == [ONE], records
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    asked = [each for each in lines if each.get("path") == "/asked"]
    assert sorted(each["client"].partition(":")[0] for each in asked) == [OTHER, ONE, ONE]
    assert {each["peer"].partition(":")[0] for each in asked} == {"127.0.0.1"}
