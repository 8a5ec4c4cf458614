"""`penstock demo`: two counts of every byte, ours and that of whoever comes along."""

import re
import signal
import socket
import subprocess
import sys

import pytest

pytestmark = pytest.mark.system

SECONDS = 60
"""Longest that any of these may take; they take about five."""


def _demo(tmp_path, *words):
    environment = {"PENSTOCK_RUNTIME_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
    return subprocess.Popen(
        [sys.executable, "-m", "penstock.cli", "demo", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


def _rows(out):
    """Return the cells of the closing table, three rows a listener."""
    return [line.split() for line in out[out.rindex("Listener") :].splitlines()[1:10]]


def test_the_proxy_counted_what_the_clients_moved(tmp_path):
    """All three proxies carry traffic, and at the end both counts of each are equal to the byte."""
    with _demo(tmp_path, "--seconds", "3") as demo:
        out, err = demo.communicate(timeout=SECONDS)
    assert (demo.returncode, err) == (0, "")
    rows = _rows(out)
    assert [row[0] for row in rows[::3]] == ["tcp", "http", "socks5"]
    for *_, clients, proxy, verdict in rows:
        assert (clients, verdict) == (proxy, "equal")
    assert all(int(row[-2].replace(",", "")) > 10_000 for row in rows if row[0] == "bytes")
    assert all(int(row[-2]) >= 3 for row in rows if row[1] == "connections")
    assert out.splitlines()[-1].startswith("Exact: ")


def test_one_process_will_do(tmp_path):
    """With --workers 0 the proxies run in the demo's own process, and count alike."""
    with _demo(tmp_path, "--seconds", "2", "--workers", "0") as demo:
        out, err = demo.communicate(timeout=SECONDS)
    assert (demo.returncode, err) == (0, "")
    assert "Exact: " in out


def test_visitors_are_counted_apart(tmp_path):
    """What a visitor moves stands in a column of its own, to the byte; Ctrl-C ends the demo with its summary and 0."""
    with _demo(tmp_path, "--seconds", str(SECONDS)) as demo:
        proxy = page = None
        for line in demo.stdout:
            if found := re.match(r"  curl -x http://127\.0\.0\.1:(\d+) http://(\S+)/", line):
                proxy, page = int(found[1]), found[2]
            if re.match(r" *[1-9]\S*s  open ", line):  # a second has passed, or on a busy machine a little more
                break
        request = f"GET http://{page}/bytes/12345 HTTP/1.1\r\nHost: {page}\r\nConnection: close\r\n\r\n".encode()
        received = 0
        with socket.create_connection(("127.0.0.1", proxy), timeout=SECONDS) as visitor:
            visitor.sendall(request)
            while data := visitor.recv(65_536):
                received += len(data)
        demo.send_signal(signal.SIGINT)
        out, err = demo.communicate(timeout=SECONDS)
    assert (demo.returncode, err) == (0, "")
    http = _rows(out)[3:6]
    assert http[0][0] == "http"
    assert [row[-1] for row in http] == ["1", f"{len(request):,}", f"{received:,}"]
    assert received > 12_345
    assert "Nothing is missing. 1 connections were not the demo's own" in out
