"""Requests by status and duration, through real processes: what curl and wrk counted is what the node says."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
from collections import Counter
from http.client import HTTPConnection

import pytest
from prometheus_client.parser import text_string_to_metric_families

from penstock.testing import http_peers
from penstock.testing.nodes import running, table
from penstock.testing.procfs import children
from penstock.testing.workbench import wait_for

pytestmark = pytest.mark.system

SECONDS = 30

PAUSE_S = 0.01
"""How long a target takes, at least, where that is asked of it."""


def scraped(node):
    """Return every sample of the node's requests by name and labels."""
    door = HTTPConnection(*node.admin, timeout=SECONDS)
    door.request("GET", "/metrics?name[]=penstock_requests_total&name[]=penstock_request_duration_seconds")
    text = door.getresponse().read().decode()
    door.close()
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def codes(node, listener="http"):
    """Return how many requests a listener says are over, by status."""
    return Counter(
        {
            sample.labels["code"]: int(sample.value)
            for sample in scraped(node)
            if sample.name == "penstock_requests_total" and sample.labels["listener"] == listener and sample.value
        }
    )


def duration(node, part):
    """Return the sum or the count of the durations of a node's requests."""
    name = f"penstock_request_duration_seconds_{part}"
    return sum(sample.value for sample in scraped(node) if sample.name == name)


def by_path(message, wire):
    """Answer with the status that the path says."""
    status = message.start.split()[1].strip("/")
    return f"HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\nhi".encode()


def slowly(message, wire):
    """Answer so after a pause."""
    threading.Event().wait(PAUSE_S)
    return by_path(message, wire)


@pytest.mark.needs("curl")
def test_curl_counts_the_same():
    """Statuses that curl was told are those of the metrics, and durations are no shorter than the target's pauses."""
    wanted = [200, 200, 201, 302, 404, 404, 404, 503]
    with http_peers.origin(slowly) as origin, running(table("http", "http")) as node:
        host, port = node.address("http")
        urls = [origin.url(f"/{code}") for code in wanted] + [f"http://{host}:{port}/"] * 2
        told = subprocess.run(
            ["curl", "-s", "-w", "\nsaid %{http_code}\n", "-x", f"{host}:{port}", *urls],
            check=True, capture_output=True, text=True, timeout=SECONDS,
        ).stdout  # fmt: skip
        heard = Counter(re.findall(r"^said (\d+)$", told, re.M))
        assert heard == Counter(map(str, [*wanted, 508, 508]))
        wait_for(lambda: codes(node) == heard)
        assert duration(node, "count") == len(urls)
        assert duration(node, "sum") >= len(wanted) * PAUSE_S
        assert node.stats()["totals"]["requests"] == len(urls)


WRK = """
local number = 0
request = function()
  number = number + 1
  return wrk.format("GET", "%s/" .. (number %% 4 == 0 and 404 or 200))
end
done = function(summary)
  io.write(string.format("counted %%d %%d\\n", summary.requests, summary.errors.status))
end
"""


@pytest.mark.needs("wrk")
def test_wrk_counts_the_same(tmp_path):
    """
    wrk's answers, good and bad, are the metrics' but for those that were on the way when it left.

    wrk leaves in the middle: each of its connections may have been answered once more, or cut off.
    """
    clients = 4
    with http_peers.origin(by_path) as origin, running(table("http", "http"), workers=2) as node:
        (tmp_path / "script.lua").write_text(WRK % origin.url("").rstrip("/"))
        host, port = node.address("http")
        told = subprocess.run(
            ["wrk", "-t1", f"-c{clients}", "-d1s", "-s", "script.lua", f"http://{host}:{port}/"],
            cwd=tmp_path, check=True, capture_output=True, text=True, timeout=SECONDS,
        ).stdout  # fmt: skip
        answered, bad = map(int, re.search(r"counted (\d+) (\d+)", told).groups())
        stats = node.at_rest()
        found = codes(node)
    assert answered > 100
    assert set(found) <= {"200", "404", "-"}
    assert answered <= found["200"] + found["404"] <= answered + clients
    assert bad <= found["404"] <= bad + clients
    assert found["-"] <= clients
    assert found.total() == stats["totals"]["requests"]


def test_a_kill_leaves_requests_counted():
    """Under `kill -9` of a worker no count of requests goes back, and none is lost but the one that it was counting."""
    answers, connections, done = Counter(), Counter(), threading.Event()

    def ask(place, address, url):
        while not done.is_set():
            with contextlib.suppress(OSError), http_peers.Wire(socket.create_connection(address, SECONDS)) as wire:
                connections[place] += 1
                while not done.is_set():
                    wire.send(http_peers.request("GET", url))
                    head = wire.read_message()
                    if head is None:
                        break
                    answers[place] += 1

    with http_peers.origin(by_path) as origin, running(table("http", "http"), workers=2, killed=True) as node:
        clients = [
            threading.Thread(target=ask, args=(place, node.address("http"), origin.url("/200"))) for place in range(6)
        ]
        for client in clients:
            client.start()
        seen = [codes(node)]
        for _ in range(2):
            until = answers.total() + 300
            wait_for(lambda until=until: answers.total() > until)
            seen.append(codes(node))
            os.kill(children(node.process.pid)[0], signal.SIGKILL)
        until = answers.total() + 300
        wait_for(lambda: answers.total() > until)
        seen.append(codes(node))
        done.set()
        for client in clients:
            client.join(SECONDS)
        node.settled("http", connections.total())
        seen.append(codes(node))
    assert [before["200"] for before in seen] == sorted(before["200"] for before in seen)
    assert answers.total() - 2 <= seen[-1]["200"] <= answers.total() + 2 * len(clients)


@pytest.mark.needs("curl")
def test_logins_of_curl():
    """curl's right logins count once a connection, wrong ones each, and asking without one is no attempt."""

    def curl(*words):
        command = ["curl", "-s", "-o", "/dev/null", "-o", "/dev/null", *words, url, url]
        subprocess.run(command, check=False, timeout=SECONDS)

    login = "ann:secret"
    with (
        http_peers.origin(by_path) as origin,
        running(table("http", "http", auth=login), table("socks", "socks5", auth=login)) as node,
    ):
        url, proxy, socks = origin.url("/200"), ":".join(map(str, node.address("http"))), node.address("socks")
        curl("-x", proxy, "-U", "ann:secret")
        curl("-x", proxy, "-U", "ann:guess")
        curl("-x", proxy)
        curl("-x", f"socks5://ann:secret@{socks[0]}:{socks[1]}")
        curl("-x", f"socks5://{socks[0]}:{socks[1]}")
        node.until(lambda stats: stats["totals"]["connections"] >= 5 and not stats["totals"]["active"])
        assert json.loads(node.fetch("/api/v1/metrics"))["auth"] == {
            "success": 2, "failure": 2, "users_file_errors": 0,
        }  # fmt: skip
        assert codes(node) == {"200": 2, "407": 4}
