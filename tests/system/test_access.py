"""Who may go where, on a real node: at the door, by name, by every address, by user, and after a reload."""

import base64
import contextlib
import json
import signal
import socket

import pytest

from penstock.testing.nodes import running, table
from penstock.testing.peers import echo, read_all, serving
from penstock.testing.workbench import wait_for

pytestmark = pytest.mark.system

SECONDS = 20
NOT_ALLOWED = 2


def rule(action, **keys):
    """Return an access rule as TOML."""
    return "\n".join(["[[access]]", *(f"{k} = {json.dumps(v)}" for k, v in ({"action": action} | keys).items()), ""])


def socks(node, host, port, source="127.0.0.1"):
    """Ask a SOCKS5 listener for a destination, and return its reply code; None if it closes without a word."""
    with socket.create_connection(node.address("egress"), SECONDS, (source, 0)) as client:
        name = host.encode()
        with contextlib.suppress(ConnectionError):
            client.sendall(b"\x05\x01\x00\x05\x01\x00\x03" + bytes([len(name)]) + name + port.to_bytes(2, "big"))
        heard = b""
        with contextlib.suppress(ConnectionError):
            while len(heard) < 4 and (data := client.recv(100)):
                heard += data
        return heard[3] if len(heard) > 3 else None


def get(client, port, host="localhost", login=None):
    """Ask an HTTP forward proxy for a page, and return the status."""
    shown = f"Proxy-Authorization: Basic {base64.b64encode(login.encode()).decode()}\r\n" if login else ""
    client.sendall(f"GET http://{host}:{port}/ HTTP/1.1\r\nHost: {host}\r\n{shown}\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head and (data := client.recv(65_536)):
        head += data
    return int(head.split()[1])


def answering(sock):
    """Serve HTTP on one connection: an empty answer to each request."""
    while data := sock.recv(65_536):
        for _ in range(data.count(b"\r\n\r\n")):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def test_clients_are_kept_out_at_the_door():
    """Whom a rule blocks is closed without a word, and counted as `access` with the rule's name; others are served."""
    with serving(echo) as server:
        rules = rule("block", name="lan", clients=["127.0.0.9"])
        with running(table("egress", "socks5"), rules) as node:
            assert socks(node, "127.0.0.1", server.port, "127.0.0.9") is None
            assert socks(node, "127.0.0.1", server.port, "127.0.0.10") == 0
            node.settled("egress", 2)
            assert node.stats()["refused"]["access"] == 1
            (line,) = wait_for(lambda: node.logged("connection refused"), "a line")
            assert (line["why"], line["detail"]) == ("access", "access rule lan blocks it")


def test_a_name_is_no_way_around_a_network():
    """A blocked network is blocked as an address, mapped, and behind a name; HTTP hears 403, SOCKS 2."""
    with serving(echo) as server:
        rules = rule("block", destinations=["127.0.0.0/8", "::1"])
        with running(table("egress", "socks5"), table("web", "http"), rules) as node:
            for host in ("127.0.0.1", "localhost", "::ffff:127.0.0.1"):
                assert socks(node, host, server.port) == NOT_ALLOWED, host
            for method in ("GET", "CONNECT"):
                target = f"http://localhost:{server.port}/" if method == "GET" else f"localhost:{server.port}"
                with socket.create_connection(node.address("web"), SECONDS) as client:
                    client.sendall(f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                    assert read_all(client).startswith(b"HTTP/1.1 403 ")
            node.settled("egress", 3)
            node.settled("web", 2)
            assert node.stats()["refused"]["destination"] == 5
            assert server.clients == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_private_destinations_need_a_word(host):
    """Where private addresses are not permitted, a rule that names the destination permits them, and no other does."""
    private = table("egress", "socks5", allow_private=False)
    with serving(echo) as server:
        with running(private) as node:
            assert socks(node, host, server.port) == NOT_ALLOWED
        with running(private, rule("allow", clients=["127.0.0.0/8"])) as node:
            assert socks(node, host, server.port) == NOT_ALLOWED
        with running(private, rule("allow", destinations=[host])) as node:
            assert socks(node, host, server.port) == 0


def test_a_pooled_connection_is_no_way_around_a_rule():
    """What one user's request has opened is not lent to a user who may not go there."""
    rules = rule("block", users=["bob"], destinations=["127.0.0.0/8", "::1"])
    web = table("web", "http") + 'users = { ann = "a", bob = "b" }\n'
    with serving(answering) as server, running(web, rules) as node:
        for _ in range(2):
            with socket.create_connection(node.address("web"), SECONDS) as client:
                assert [get(client, server.port, login="ann:a") for _ in range(3)] == [200] * 3
            with socket.create_connection(node.address("web"), SECONDS) as client:
                assert get(client, server.port, login="bob:b") == 403


def test_datagrams_go_where_rules_let_them():
    """A UDP association sends nothing to a blocked address, by number or name, and all to others."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mine,
    ):
        target.bind(("127.0.0.2", 0))
        target.settimeout(SECONDS)
        port = target.getsockname()[1].to_bytes(2, "big")
        rules = rule("block", destinations=["127.0.0.1", "::1"])
        with (
            running(table("egress", "socks5"), rules) as node,
            socket.create_connection(node.address("egress"), SECONDS) as client,
        ):
            client.sendall(b"\x05\x01\x00\x05\x03\x00\x01\0\0\0\0\0\0")
            heard = b""
            while len(heard) < 12:
                heard += client.recv(100)
            relay = socket.inet_ntoa(heard[6:10]), int.from_bytes(heard[10:12], "big")
            for address in (b"\x01\x7f\0\0\x01", b"\x03\x09localhost"):
                mine.sendto(b"\0\0\0" + address + port + b"blocked", relay)
            mine.sendto(b"\0\0\0\x01\x7f\0\0\x02" + port + b"let through", relay)
            assert target.recvfrom(100)[0] == b"let through"
            client.shutdown(socket.SHUT_WR)
            node.settled("egress", 1)
            assert node.listener("egress")["target_tx"] == len(b"let through")


def test_rules_are_reloaded(tmp_path):
    """A rule that is added holds for the next connection, and is told as a change."""
    with serving(echo) as server, running(table("egress", "socks5"), folder=tmp_path) as node:
        assert socks(node, "127.0.0.1", server.port) == 0
        path = tmp_path / "penstock.toml"
        path.write_text(path.read_text() + rule("block", name="none", destinations=["*"]))
        node.process.send_signal(signal.SIGHUP)
        wait_for(lambda: socks(node, "127.0.0.1", server.port) == NOT_ALLOWED, "a rule that holds")
