"""A node takes another configuration while it is used: nothing fails, nothing is lost, nothing grows."""

import http.client
import json
import signal
import socket
import ssl
import threading
from contextlib import closing
from pathlib import Path

import pytest

from penstock.testing.certificates import Authority
from penstock.testing.http_peers import ok, origin
from penstock.testing.nodes import running, table
from penstock.testing.peers import echo, say, serving
from penstock.testing.workbench import wait_for

pytestmark = pytest.mark.system

GROWTH_BYTES = 24 << 20
"""By which supervisor and workers together may grow in eighty reloads. Without load a worker grew by 8 KB with each,
and ceased after 1,500 at 11 MB, when its collector came; the supervisor by 2 MB. Load adds records and samples."""


class Configured:
    """
    A node and the file that it reads.

    Args:
        node: Running.
        path: The file.
    """

    def __init__(self, node, path):
        self.node, self.path = node, path

    def reload(self, *tables, query=""):
        """Write the file, order a reload and return status and answer."""
        self.path.write_text("\n".join(tables))
        return self.order(query)

    def order(self, query=""):
        """Order a reload and return status and answer."""
        with closing(http.client.HTTPConnection(*self.node.admin, timeout=60)) as door:
            door.request("POST", f"/api/v1/reload{query}")
            answer = door.getresponse()
            return answer.status, json.loads(answer.read())

    def address(self, listener):
        """Return where a listener listens now."""
        (found,) = (each["address"] for each in self.node.stats()["listeners"] if each["name"] == listener)
        host, _, port = found.rpartition(":")
        return host, int(port)


@pytest.fixture
def configured(tmp_path):
    """Return a function that runs a node with these tables."""

    def run(*tables, **more):
        return running(*tables, folder=tmp_path, **more)

    run.path = tmp_path / "penstock.toml"
    return run


def refused(address):
    """Return whether nobody listens there."""
    try:
        socket.create_connection(address, timeout=10).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        return False
    return False


class Load:
    """Clients that come one after the other, for as long as the block lasts; all that they send comes back."""

    def __init__(self, addresses):
        self.addresses, self.done, self.counts, self.wrong = addresses, threading.Event(), {}, []

    def __enter__(self):
        self.threads = [threading.Thread(target=self.run, args=item) for item in self.addresses.items() for _ in "ab"]
        for thread in self.threads:
            thread.start()
        return self

    def run(self, name, address):
        """Be a client again and again."""
        count = 0
        while not self.done.is_set():
            try:
                if say(address, b"x" * 1_000) != b"x" * 1_000:
                    self.wrong.append((name, "short"))
            except OSError as error:
                self.wrong.append((name, repr(error)))
            count += 1
        self.counts[name] = self.counts.get(name, 0) + count

    def __exit__(self, *_):
        self.done.set()
        for thread in self.threads:
            thread.join(20)


def resources(node):
    """Return open descriptors and resident bytes of the node's processes together."""
    pids = [node.process.pid, *node.worker_pids()]
    fds = sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return fds, pages * 4_096


@pytest.mark.parametrize("workers", [1, 2])
def test_a_hundred_reloads_under_load(configured, workers):
    """Targets change with each reload, clients go on: none fails, every byte is counted once, nothing grows."""
    with serving(echo) as one, serving(echo) as two:
        turns = [
            (table("main", "tcp", one.port), table("other", "tcp", two.port)),
            (table("main", "tcp", two.port, one.port), table("other", "tcp", one.port)),
        ]
        with configured(*turns[0], workers=workers) as node:
            it = Configured(node, configured.path)
            with Load({name: node.address(name) for name in ("main", "other")}) as load:
                for number in range(1, 21):
                    assert it.reload(*turns[number % 2])[0] == 200
                before = resources(node)
                for number in range(21, 101):
                    status, answer = it.reload(*turns[number % 2])
                    assert (status, answer["refused"]) == (200, []), answer
                    assert answer["changes"], number
                after = resources(node)
            assert not load.wrong
            for name, count in load.counts.items():
                found = node.settled(name, count)
                assert (found["bytes_in"], found["bytes_out"]) == (count * 1_000, count * 1_000)
            assert node.stats()["totals"]["connections"] == sum(load.counts.values())
            audit = json.loads(node.fetch("/api/v1/audit"))
            assert not [line for line in audit["lines"] if line["residual"]], audit
            assert after[0] <= before[0] + 20  # clients and targets of the load are open in both
            assert after[1] - before[1] < GROWTH_BYTES
            assert node.at_rest()["totals"]["active"] == 0


def test_http_clients_see_no_reload(configured):
    """Routes come and go under requests, and each is answered 200, by the routes of its time."""
    with origin(lambda *_: ok(b"a")) as one, origin(lambda *_: ok(b"b")) as two:
        web = table("web", "http", one.port, reverse=True)
        app = '[[route]]\nname = "{}"\nmatch = {{ path = "/app*" }}\ntargets = ["127.0.0.1:{}"]\n'
        turns = [(web, app.format("app", two.port)), (web, app.format("other", one.port))]
        with configured(*turns[0], workers=2) as node:
            it, done, seen = Configured(node, configured.path), threading.Event(), []
            clients = [threading.Thread(target=ask, args=(node.address("web"), done, seen)) for _ in range(3)]
            for client in clients:
                client.start()
            for number in range(1, 51):
                assert it.reload(*turns[number % 2])[0] == 200
            done.set()
            for client in clients:
                client.join(20)
            assert {answer for answer, _ in seen} == {(200, b"a"), (200, b"b")}
            requests = sum(count for _, count in seen)
            found = node.until(lambda stats: stats["totals"]["requests"] >= requests and not stats["totals"]["active"])
            assert (found["listeners"][0]["requests"], found["totals"]["requests"]) == (requests, requests)
            assert not [line for line in json.loads(node.fetch("/api/v1/audit"))["lines"] if line["residual"]]


def ask(address, done, seen):
    """Be clients of ten requests each, one after the other; add each answer with how often it came."""
    counts = {}
    while not done.is_set():
        with closing(http.client.HTTPConnection(*address, timeout=10)) as client:
            for _ in range(10):
                client.request("GET", "/app")
                answer = client.getresponse()
                found = answer.status, answer.read()
                counts[found] = counts.get(found, 0) + 1
    seen += counts.items()


def test_a_mistake_changes_nothing(configured):
    """No TOML, an unknown key, a missing certificate, a busy port: told with all mistakes, and served as before."""
    with serving(echo) as target, socket.create_server(("127.0.0.1", 0)) as busy:
        good = table("main", "tcp", target.port)
        tls = table("safe", "tls", target.port, certificates=[{"cert": "gone.pem", "key": "gone.pem"}])
        tls = tls.replace('{"cert": "gone.pem", "key": "gone.pem"}', '{ cert = "gone.pem", key = "gone.pem" }')
        taken = table("taken", "tcp", target.port, listen=f"127.0.0.1:{busy.getsockname()[1]}")
        with configured(good) as node:
            it = Configured(node, configured.path)
            for bad in ("[[listener", good + "colour = 1\n", good + tls, good + taken):
                status, answer = it.reload(bad)
                assert (status, bool(answer.get("mistakes"))) == (422, True), answer
                assert say(node.address("main"), b"still") == b"still"
            two = it.reload(good + "colour = 1\nshape = 2\n")[1]["mistakes"]
            assert len(two) == 2
            wait_for(lambda: len(node.logged("not reloaded, all goes on as before")) == 5, "a line for each")
            assert [each["name"] for each in node.stats()["listeners"]] == ["main"]
            assert it.reload(good) == (
                200,
                {"applied": True, "changes": [], "needs_restart": [], "refused": [], "undone": []},
            )


def test_listeners_come_and_go_while_connections_are_open(configured):
    """A listener that went takes nobody more, and who is on it goes on and is shown until the end."""
    with serving(echo) as target:
        main, extra = table("main", "tcp", target.port), table("extra", "tcp", target.port)
        with configured(main, extra) as node:
            it, address = Configured(node, configured.path), node.address("extra")
            with socket.create_connection(address, timeout=10) as client:
                client.sendall(b"a")
                assert client.recv(1) == b"a"
                assert it.reload(main, query="?dry_run=1")[1]["changes"]
                assert say(address, b"dry") == b"dry"
                status, answer = it.reload(main)
                assert (status, answer["changes"][0]["name"]) == (200, "extra")
                wait_for(lambda: refused(address), "a port that is closed")
                client.sendall(b"b")
                assert client.recv(1) == b"b"
                node.until(lambda stats: stats["listeners"][-1]["active"] == 1)
                assert node.stats()["listeners"][-1]["name"] == "extra"
            node.until(lambda stats: [each["name"] for each in stats["listeners"]] == ["main"])
            assert node.stats()["totals"]["bytes_in"] == 5
            renamed = table("new", "tcp", target.port, listen="{}:{}".format(*node.address("main")))
            assert it.reload(renamed)[0] == 200
            node.until(lambda stats: stats["listeners"][0]["name"] == "new")
            assert say(it.address("new"), b"again") == b"again"


def test_the_signal_reloads_and_orders_wait(configured):
    """SIGHUP does what the API does; of five orders at once each waits for its turn, and one finds something to do."""
    with serving(echo) as target:
        main, extra = table("main", "tcp", target.port), table("extra", "tcp", target.port)
        with configured(main) as node:
            configured.path.write_text("\n".join((main, extra)))
            node.process.send_signal(signal.SIGHUP)
            wait_for(lambda: node.logged("reloaded"), "a reload")
            assert say(node.address("extra"), b"x") == b"x"
            it = Configured(node, configured.path)
            configured.path.write_text(main)
            answers = []
            threads = [threading.Thread(target=lambda: answers.append(it.order())) for _ in range(5)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
            assert [status for status, _ in answers] == [200] * 5
            assert sorted(bool(answer["changes"]) for _, answer in answers) == [False] * 4 + [True]


def test_a_certificate_that_was_replaced_is_shown(configured, tmp_path):
    """New handshakes see the new certificate under the same path; the connection that is open goes on."""
    folders = {name: tmp_path / name for name in ("old", "new")}
    for folder in folders.values():
        folder.mkdir()
    authorities = {name: Authority(folder) for name, folder in folders.items()}
    live, new = authorities["old"].issue("localhost"), authorities["new"].issue("localhost")
    with serving(echo) as target:
        safe = table("safe", "tls", target.port) + f"certificates = [{{ cert = {live.cert!r}, key = {live.key!r} }}]\n"
        with configured(safe) as node, secured(node.address("safe"), authorities["old"]) as before:
            for kind in ("cert", "key"):
                Path(getattr(live, kind)).write_bytes(Path(getattr(new, kind)).read_bytes())
            node.process.send_signal(signal.SIGHUP)
            wait_for(lambda: node.logged("reloaded"), "a reload")
            assert len(node.logged("reloaded")[0]["changes"]) == 2
            with secured(node.address("safe"), authorities["new"]) as after:
                for client in (before, after):
                    client.sendall(b"x")
                    assert client.recv(1) == b"x"
            with pytest.raises(ssl.SSLCertVerificationError):
                secured(node.address("safe"), authorities["old"])
            node.until(lambda stats: stats["totals"]["connections"] == 3)


def secured(address, authority):
    """Return a TLS client that trusts this authority."""
    sock = socket.create_connection(address, timeout=10)
    try:
        return authority.client_context().wrap_socket(sock, server_hostname="localhost")
    except BaseException:
        sock.close()
        raise
