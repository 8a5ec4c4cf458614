"""Bans of a real node: made by hand and by detectors, held by every worker, kept over a kill."""

import contextlib
import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys

import pytest

from penstock.testing.nodes import environment, running, table
from penstock.testing.peers import echo, serving
from penstock.testing.workbench import wait_for

pytestmark = pytest.mark.system

SECONDS = 30
"""Longest wait for a byte."""

WORKERS = 3

OPEN = """
[bans]
protect_loopback = false
detect = "on"
[limits]
exempt = []
connections_per_ip = "off"
rate_per_ip = "off"
"""
"""Clients of loopback may be banned: 127.0.0.0/8 has as many clients as a test wants."""

QUICK = '[store]\nflush = "1h"\n'
"""What is kept before a node ends is kept because somebody asked for it at once."""

GREETED = b"\x05\x02"


def ask(node, method, path, body=None, status=200):
    """Return what the admin door answers."""
    with contextlib.closing(http.client.HTTPConnection(*node.admin, timeout=SECONDS)) as door:
        door.request(method, path, json.dumps(body) if body is not None else None)
        answer = door.getresponse()
        found = answer.read()
    assert answer.status == status, found
    return json.loads(found) if found else None


def knock(address, host):
    """Return what a client from another address of loopback reads after its greeting; nothing if it is closed."""
    with socket.create_connection(address, SECONDS, source_address=(host, 0)) as client:
        try:
            client.sendall(b"\x05\x01\x02")
            return client.recv(2)
        except (ConnectionResetError, BrokenPipeError):
            return b""


def knocks(address, host):
    """Return what so many clients read that every worker has met one."""
    return {knock(address, host) for _ in range(12 * WORKERS)}


def fail(address, host):
    """Log in wrongly."""
    with socket.create_connection(address, SECONDS, source_address=(host, 0)) as client:
        client.sendall(b"\x05\x01\x02")
        if client.recv(2) == GREETED:
            client.sendall(b"\x01\x03ann\x05wrong")
            client.recv(2)


def egress():
    """Return a SOCKS5 listener with a user."""
    return table("egress", "socks5", users={"ann": "secret"}).replace('{"ann": "secret"}', '{ ann = "secret" }')


def test_a_ban_by_hand_counts_at_once_in_every_worker_and_so_does_its_lifting():
    """No worker reads a byte of who is banned, and every worker serves who is not; addresses and networks."""
    with running(OPEN, egress(), workers=WORKERS) as node:
        address = node.address("egress")
        assert knocks(address, "127.0.0.7") == {GREETED}
        for banned in ("127.0.0.7", "127.0.0.0/28"):
            ask(node, "POST", "/api/v1/bans", {"address": banned, "for": "1h"}, 201)
            wait_for(lambda: knock(address, "127.0.0.7") == b"")
            assert knocks(address, "127.0.0.7") == {b""}
            assert knocks(address, "127.0.0.77") == {GREETED}
            ask(node, "DELETE", f"/api/v1/bans/{banned}", status=204)
            wait_for(lambda: knock(address, "127.0.0.7") == GREETED)
            assert knocks(address, "127.0.0.7") == {GREETED}
        node.until(lambda stats: stats["refused"]["ban"] >= 2 * 12 * WORKERS)
        found = json.loads(node.fetch("/api/v1/history?reason=ban&limit=1"))["connections"][0]
        assert (found["bytes_in"], found["bytes_out"], found["ended_by"]) == (0, 0, "proxy")


def test_failed_logins_become_a_ban_that_survives_a_kill_with_its_end(tmp_path):
    """Four wrong logins; after kill -9 and a start the ban is there before the first client is."""
    few = "[bans.failed_logins]\nthreshold = 4\n"
    with running(QUICK, OPEN, few, egress(), workers=WORKERS, folder=tmp_path, killed=True) as node:
        for _ in range(3):
            fail(node.address("egress"), "127.0.0.5")
        ask(node, "POST", "/api/v1/bans", {"address": "127.0.0.6", "for": "1h", "reason": "by hand"}, 201)
        node.until(lambda stats: stats["refused"]["auth"] == 3)
        assert knock(node.address("egress"), "127.0.0.5") == GREETED
        fail(node.address("egress"), "127.0.0.5")
        wait_for(lambda: ask(node, "GET", "/api/v1/bans")["total"] == 2)
        assert knocks(node.address("egress"), "127.0.0.5") == {b""}
        auto, manual = ask(node, "GET", "/api/v1/bans")["bans"]
        assert (auto["reason"], auto["evidence"]["count"]) == ("failed_logins", 4)
        wait_for(lambda: len(kept_bans(tmp_path)) == 2)
        node.process.send_signal(signal.SIGKILL)
        node.process.wait()
    with running(QUICK, OPEN, egress(), workers=WORKERS, folder=tmp_path, killed=True) as node:
        for before in (auto, manual):
            now = ask(node, "GET", f"/api/v1/bans/{before['network']}")
            assert (now["since"], now["until"], now["reason"]) == (before["since"], before["until"], before["reason"])
            assert knocks(node.address("egress"), before["network"]) == {b""}
        why = ask(node, "GET", "/api/v1/why?ip=127.0.0.5")
        assert (why["refused"], why["offences"]) == (True, 1)


def kept_bans(folder):
    """Return the keys of bans in a node's store."""
    (path,) = [each for each in folder.rglob("*.db") if each.is_file()]
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as store:
        return [key for (key,) in store.execute("SELECT key FROM entries WHERE kind = 'ban'")]


def test_bans_reach_workers_that_are_born_later():
    """A killed worker's successor refuses as the others do, addresses and networks."""
    with running(OPEN, egress(), workers=1, killed=True) as node:
        ask(node, "POST", "/api/v1/bans", {"address": "127.0.0.7"}, 201)
        ask(node, "POST", "/api/v1/bans", {"address": "127.5.0.0/16"}, 201)
        (victim,) = node.worker_pids()
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: node.worker_pids() not in ([], [victim]))
        wait_for(lambda: knock(node.address("egress"), "127.0.0.8") == GREETED)
        assert {knock(node.address("egress"), host) for host in ("127.0.0.7", "127.5.6.7")} == {b""}


def test_what_nobody_confirms_is_undone_and_what_is_confirmed_stays():
    """With the command line, as an operator would."""
    with running(OPEN, egress(), workers=WORKERS) as node:
        address = node.address("egress")
        ask(node, "POST", "/api/v1/bans", {"address": "127.0.0.7", "confirm": "1s"}, 201)
        ask(node, "POST", "/api/v1/bans", {"address": "127.0.0.8", "confirm": "1h"}, 201)
        assert [each["network"] for each in ask(node, "POST", "/api/v1/bans/confirm")["confirmed"]][-1] == "127.0.0.8"
        ask(node, "POST", "/api/v1/bans", {"address": "127.0.0.9", "confirm": "500ms"}, 201)
        wait_for(lambda: knock(address, "127.0.0.9") == GREETED)
        wait_for(lambda: node.logged("ban undone: nobody confirmed it"))
        assert knocks(address, "127.0.0.8") == {b""}


def test_the_command_line_bans_lists_explains_and_lifts(tmp_path):
    """Protected addresses are refused with the reason and exit code 1."""
    with running(egress(), '[node]\nname = "n"\n', folder=tmp_path) as node:

        def penstock(*words):
            command = [sys.executable, "-m", "penstock.cli", *words, "--node", "n"]
            return subprocess.run(command, capture_output=True, text=True, check=False, env=environment(tmp_path))

        for protected, why in (("127.0.0.1", "loopback"), ("127.0.0.0/8", "loopback"), ("::1", "loopback")):
            result = penstock("ban", protected)
            assert result.returncode == 1
            assert f"{protected} cannot be banned" in result.stderr
            assert why in result.stderr
        assert penstock("ban", "192.0.2.200", "--for", "1h", "--reason", "test").returncode == 0
        assert "192.0.2.200" in penstock("bans").stdout
        assert "banned as 192.0.2.200, manual: test" in penstock("why", "192.0.2.200").stdout
        assert penstock("unban", "192.0.2.200").returncode == 0
        assert penstock("unban", "192.0.2.200").returncode == 1
        assert "nothing holds against it" in penstock("why", "192.0.2.200").stdout
        assert node.logged("ban lifted")


def test_open_connections_stay_unless_they_are_cut():
    """As with fail2ban a ban closes the door; `cut` also shows out who is inside."""
    with serving(echo) as server, running(OPEN, table("web", "tcp", server.port), workers=WORKERS) as node:
        with socket.create_connection(node.address("web"), SECONDS, source_address=("127.0.0.7", 0)) as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
            node.until(lambda stats: stats["totals"]["active"] == 1)
            ask(node, "POST", "/api/v1/bans", {"address": "127.0.0.7"}, 201)
            client.sendall(b"y")
            assert client.recv(1) == b"y"
            assert ask(node, "POST", "/api/v1/bans", {"address": "127.0.0.0/24", "cut": True}, 201)["cut"] == 1
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(1) == b""
        node.at_rest()


def test_block_lists_hold_and_a_reload_changes_them(tmp_path):
    """A list with a mistake changes nothing, at the start it keeps the node from starting."""
    path = tmp_path / "list.txt"
    path.write_text("# x\n127.7.0.0/16\n")
    lists = '[[blocklist]]\nfile = "list.txt"\nreason = "test"\n'
    with running(OPEN, egress(), lists, workers=WORKERS, folder=tmp_path) as node:
        address = node.address("egress")
        assert knocks(address, "127.7.1.1") == {b""}
        assert ask(node, "GET", "/api/v1/why?ip=127.7.1.1")["lists"][0]["reason"] == "test"
        path.write_text("127.8.0.0/16\nnonsense\n")
        problem = ask(node, "POST", "/api/v1/reload", status=422)
        assert problem["mistakes"] == [
            f"{path}:2: 'nonsense': no address and no network, as in 192.0.2.0/24 or 2001:db8::/32"
        ]
        assert knocks(address, "127.7.1.1") == {b""}
        path.write_text("127.8.0.0/16\n")
        ask(node, "POST", "/api/v1/reload")
        wait_for(lambda: knocks(address, "127.7.1.1") == {GREETED})
        wait_for(lambda: knocks(address, "127.8.1.1") == {b""})


def test_detectors_only_tell_by_default():
    """Whoever would be banned is served, logged and counted."""
    shadow = OPEN.replace('detect = "on"\n', "")
    few = "[bans.failed_logins]\nthreshold = 2\n"  # each is answered later than the one before
    with running(shadow, few, egress(), workers=1) as node:
        for _ in range(2):
            fail(node.address("egress"), "127.0.0.5")
        wait_for(lambda: node.logged("would be banned"))
        assert knock(node.address("egress"), "127.0.0.5") == GREETED
        wait_for(lambda: b"penstock_bans_shadowed_total 1" in node.fetch("/metrics"))


def test_a_damaged_entry_in_the_store_is_told_and_not_fatal(tmp_path):
    """The other bans hold, and the damaged one is gone."""
    with running(OPEN, egress(), folder=tmp_path) as node:
        for host in ("127.0.0.7", "127.0.0.8"):
            ask(node, "POST", "/api/v1/bans", {"address": host}, 201)
        wait_for(lambda: len(kept_bans(tmp_path)) == 2)
    (path,) = tmp_path.rglob("*.db")
    with contextlib.closing(sqlite3.connect(path)) as store:
        store.execute("UPDATE entries SET body = 'nonsense' WHERE kind = 'ban' AND key = '127.0.0.7'")
        store.commit()
    with running(OPEN, egress(), folder=tmp_path, killed=True) as node:
        assert "127.0.0.7" in node.logged("store: an entry is left out")[0]["detail"]
        assert knock(node.address("egress"), "127.0.0.7") == GREETED
        assert knock(node.address("egress"), "127.0.0.8") == b""
        wait_for(lambda: kept_bans(tmp_path) == ["127.0.0.8"])


def come(address, host, words=b""):
    """Come and go, with a few words."""
    client = socket.create_connection(address, SECONDS, source_address=(host, 0))
    with client, contextlib.suppress(OSError):  # it may be reset at any moment
        client.sendall(words)
        client.shutdown(socket.SHUT_WR)
        while client.recv(100):
            pass


def test_every_detector_finds_what_it_looks_for():
    """Broken protocols, floods beyond a limit, refused destinations, and walks over listeners."""
    rules = "".join(
        f"[bans.{name}]\nthreshold = 3\n" for name in ("protocol_abuse", "floods", "refused_destinations", "port_walks")
    )
    limits = '[bans]\nprotect_loopback = false\ndetect = "on"\n[limits]\nexempt = []\nrate_per_ip = "4/1m"\n'
    block = '[[access]]\nname = "no"\naction = "block"\ndestinations = ["192.0.2.0/24"]\n'
    asked = b"\x05\x01\x00\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50"  # for 192.0.2.1:80
    tables = [table(name, "socks5") for name in ("a", "b", "c")]
    with running(limits, rules, block, *tables) as node:
        address = node.address("a")
        for _ in range(3):
            come(address, "127.0.0.2", b"nonsense")
            come(address, "127.0.0.3", asked)
        for _ in range(8):
            come(address, "127.0.0.4", b"\x05")
        for name in ("a", "b", "c"):
            come(node.address(name), "127.0.0.5", b"\x05")
        come(address, "127.0.0.6", b"nonsense")
        expected = {
            "127.0.0.2": "protocol_abuse",
            "127.0.0.3": "refused_destinations",
            "127.0.0.4": "floods",
            "127.0.0.5": "port_walks",
        }

        def found():
            return {each["network"]: each["reason"] for each in ask(node, "GET", "/api/v1/bans")["bans"]}

        wait_for(lambda: found() == expected)
        why = ask(node, "GET", "/api/v1/why?ip=127.0.0.6")
        assert (why["refused"], {each["detector"]: each["count"] for each in why["counts"]}) == (
            False,
            {"protocol_abuse": 1, "port_walks": 1},
        )
        assert why["limits"][-1]["used"] == 1


def test_behind_a_trusted_proxy_the_client_is_banned_and_the_proxy_never():
    """The address in the PROXY header counts; the proxy itself is protected."""
    trusting = {"accept_proxy": "required", "trusted_proxies": ["127.0.0.1"]}
    with serving(echo) as server, running(OPEN, table("web", "tcp", server.port, **trusting)) as node:

        def says(client):
            sock = socket.create_connection(node.address("web"), SECONDS)
            with sock, contextlib.suppress(ConnectionResetError, BrokenPipeError):
                sock.sendall(f"PROXY TCP4 {client} 203.0.113.1 5 80\r\nx".encode())
                return sock.recv(1)
            return b""

        assert "a proxy that is trusted" in ask(node, "POST", "/api/v1/bans", {"address": "127.0.0.1"}, 422)["detail"]
        ask(node, "POST", "/api/v1/bans", {"address": "192.0.2.7"}, 201)
        assert (says("192.0.2.7"), says("192.0.2.8")) == (b"", b"x")
