"""The access log of a real node: as many lines as requests, and the bytes of all lines are those of the totals."""

import json
import re
import signal
import socket
import subprocess
from collections import Counter

import pytest

from penstock.testing import http_peers
from penstock.testing.nodes import bytes_of, running, table
from penstock.testing.peers import echo, serving
from penstock.testing.workbench import wait_for

pytestmark = pytest.mark.system

SECONDS = 30

LOG = '[log]\naccess = "json"\naccess_file = "access.log"\n'


def by_path(message, wire):
    """Answer with the status that the path says."""
    status = message.start.split()[1].strip("/").partition("?")[0]
    return f"HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\nhi".encode()


def lines_of(*paths):
    """Return the lines of these files, each of which is one JSON object."""
    return [json.loads(line) for path in paths if path.exists() for line in path.read_bytes().splitlines()]


def sums(lines):
    """Return the bytes from clients and to them."""
    return sum(line["bytes_in"] for line in lines), sum(line["bytes_out"] for line in lines)


@pytest.mark.needs("curl")
def test_each_request_of_curl_is_a_line(tmp_path):
    """Every request is one line with its status, of forward, reverse and tunnel, and bytes add up to the totals."""
    wanted = [200, 201, 302, 404, 404, 503]
    with http_peers.origin(by_path) as origin:
        tables = (
            table("forward", "http"),
            table("web", "http", origin.port, reverse=True),
            table("raw", "tcp", origin.port),
        )
        with running(LOG, *tables, workers=2, folder=tmp_path) as node:
            for name in ("web", "raw"):
                run_curl(*(f"{node.url(name)}/{code}?token=1" for code in wanted))
            run_curl("-x", node.url("forward"), *(origin.url(f"/{code}") for code in wanted))
            run_curl("-p", "-x", node.url("forward"), *(origin.url(f"/{code}") for code in wanted))
            run_curl(node.url("web") + "/a/..%2f", "--path-as-is")
            requests = 2 * len(wanted) + len(("tunnel", "raw", "refused"))
            stats = node.until(lambda stats: stats["totals"]["requests"] >= requests and not stats["totals"]["active"])
            lines = wait_for(lambda: len(found := lines_of(tmp_path / "access.log")) >= requests and found)
    heard = Counter((line["listener"], line.get("status")) for line in lines)
    assert stats["totals"]["requests"] == len(lines) == requests
    assert heard == Counter(
        [(name, code) for name in ("forward", "web") for code in wanted]
        + [("forward", 200), ("raw", None), ("web", 400)]
    )
    for name in ("forward", "web", "raw"):
        found = next(each for each in stats["listeners"] if each["name"] == name)
        assert sums([line for line in lines if line["listener"] == name]) == bytes_of(found)[:2]


def run_curl(*words):
    """Run curl, and let it end."""
    subprocess.run(["curl", "-s", *words], check=True, stdout=subprocess.DEVNULL, timeout=SECONDS)


@pytest.mark.needs("wrk")
def test_no_line_is_lost_when_files_are_rotated_under_load(tmp_path):
    """Files that are moved away and reopened while wrk runs hold a whole line for each request, in one of them."""
    kept = [tmp_path / f"access.log.{number}" for number in range(5)]
    with (
        http_peers.origin(by_path) as origin,
        running(LOG, table("web", "http", origin.port, reverse=True), workers=2, folder=tmp_path) as node,
    ):
        command = ["wrk", "-t1", "-c8", "-d2s", f"{node.url('web')}/200"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as load:
            for path in kept:
                before = node.stats()["totals"]["requests"]
                node.until(lambda stats, before=before: stats["totals"]["requests"] > before or load.poll() is not None)
                (tmp_path / "access.log").rename(path)
                node.process.send_signal(signal.SIGUSR1)
                wait_for((tmp_path / "access.log").exists)
            told = load.communicate(timeout=SECONDS)[0]
        answered = int(re.search(r"(\d+) requests in", told)[1])
        stats = node.until(lambda stats: not stats["totals"]["active"] and stats["totals"]["requests"] >= answered)
        requests = stats["totals"]["requests"]
        lines = wait_for(lambda: len(found := lines_of(*kept, tmp_path / "access.log")) >= requests and found)
    assert len(lines) == requests >= answered > 100
    assert {line["status"] for line in lines} <= {200, 0}
    assert sums(lines) == bytes_of(stats["listeners"][0])[:2]


def test_clients_that_are_sent_away_are_told_and_bounded(tmp_path):
    """Every client beyond a limit is in the access log, by a line of its own or in a sum of its second."""
    with serving(echo) as target:
        limits = "[limits]\nexempt = []\nconnections_per_ip = 3\nrate_per_ip = 'off'\n"
        with running(LOG, limits, table("main", "tcp", target.port), workers=1, folder=tmp_path) as node:
            held = [socket.create_connection(node.address("main"), SECONDS) for _ in range(3)]
            node.until(lambda stats: stats["totals"]["active"] == 3)
            for _ in range(200):
                socket.create_connection(node.address("main"), SECONDS).close()
            node.until(lambda stats: stats["refused"]["ip_limit"] == 200)
            for sock in held:
                sock.close()
            node.at_rest()
        lines = lines_of(tmp_path / "access.log")
    whole = [line for line in lines if line.get("reason") == "ip_limit"]
    beyond = [line for line in lines if "refused" in line]
    assert len(whole) + sum(line["refused"] for line in beyond) == 200
    assert {line["client"] for line in whole} == {"127.0.0.1"}
    assert {reason for line in beyond for reason in line["reasons"]} <= {"ip_limit"}


def test_a_proxy_that_comes_over_ipv6_sockets_is_its_ipv4(tmp_path):
    """On a listener for IPv4 and IPv6, the proxy that sent a PROXY header is told as client addresses are."""
    listener = table(
        "main", "http", 1, listen="[::]:0", reverse=True, accept_proxy="required", trusted_proxies=["127.0.0.1"]
    )
    with running(LOG, listener, folder=tmp_path) as node:
        with socket.create_connection(("127.0.0.1", node.address("main")[1]), SECONDS) as client:
            client.sendall(
                b"PROXY TCP4 192.0.2.7 192.0.2.1 5 6\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            )
            while client.recv(65_536):
                pass
        (line,) = wait_for(lambda: lines_of(tmp_path / "access.log"), "a line")
    assert (line["client"], line["peer"]) == ("192.0.2.7", "127.0.0.1")
