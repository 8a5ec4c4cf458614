"""Command lines and configurations of the contestants."""

import subprocess
from pathlib import Path

import pytest
from bench.certificates import pair
from bench.origins import ANSWER, origin_for
from bench.proxies import PROXIES, Place, penstock_program
from bench.scenarios import (
    CHAIN,
    HAPROXY_PLAIN,
    PASSTHROUGH,
    PLAIN,
    REVERSE,
    ROUTES,
    SERVICES,
    TERMINATE,
    Handshakes,
    Idle,
    Iperf,
    Wrk,
)

KINDS = {
    "penstock": "tcp", "haproxy": "http", "nginx": "tcp", "microsocks": "socks5", "danted": "socks5",
    PLAIN: CHAIN, HAPROXY_PLAIN: CHAIN,
}  # fmt: skip


def place(kind, connections=1024):
    """A place with telling ports."""
    return Place(Path("/nowhere"), 1111, 2222, 3333, kind, connections, aside=4444)


@pytest.mark.parametrize("name", PROXIES)
def test_listens_where_it_is_told(name):
    """Every contestant is given its port, and names only files that it writes or that lie in its directory."""
    launch = PROXIES[name].launch(place(KINDS.get(name, "http")))
    said = " ".join(launch.argv) + "".join(launch.files.values())
    assert "1111" in said
    assert all(
        Path(part).name in launch.files for part in launch.argv if part.startswith("/nowhere/") and "pid" not in part
    )


@pytest.mark.parametrize("kind", ["http", "socks5"])
def test_penstock_forward_kinds_have_no_target(kind):
    """A forward proxy is told its target by the client, and Penstock runs one worker with an admin door."""
    argv = PROXIES["penstock"].launch(place(kind)).argv
    assert argv[1:] == (kind, "--listen", "127.0.0.1:1111", "--workers", "1", "--admin", "127.0.0.1:3333")


def test_penstock_tcp_has_its_target():
    """A TCP proxy is told its target."""
    argv = PROXIES["penstock"].launch(place("tcp")).argv
    assert argv[argv.index("--target") + 1] == "127.0.0.1:2222"


@pytest.mark.parametrize(
    ("name", "kind"),
    [(PLAIN, CHAIN), *(("penstock", kind) for kind in (TERMINATE, PASSTHROUGH, REVERSE, ROUTES, CHAIN))],
)
def test_penstock_files_are_right(tmp_path, kind, name):
    """Every file that Penstock is given passes its own check."""
    own = Place(tmp_path, 1111, 2222, 3333, kind, 1024, pair() if kind == TERMINATE else "", aside=4444)
    for file, text in PROXIES[name].launch(own).files.items():
        (tmp_path / file).write_text(text)
    for file in tmp_path.glob("*.toml"):
        asked = [penstock_program(), "check", "--config", str(file)]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["penstock", PLAIN, "haproxy", HAPROXY_PLAIN])
def test_a_chain_is_two_in_a_row(name):
    """The first leads to the second, which leads to the origin; headers are sent and required, or neither."""
    launch = PROXIES[name].launch(place(CHAIN))
    second, first = (
        launch.files[file] for file in sorted(launch.files, key=lambda file: not file.startswith("second"))
    )
    assert launch.behind == 4444
    assert ("127.0.0.1:1111" in first, "127.0.0.1:4444" in first, "127.0.0.1:2222" in first) == (True, True, False)
    assert ("127.0.0.1:4444" in second, "127.0.0.1:2222" in second, "127.0.0.1:1111" in second) == (True, True, False)
    headers = not name.endswith("-plain")
    assert ("send" in first, "accept" in second) == (headers, headers)
    assert all(f"/nowhere/{file}" in launch.argv[-1] for file in launch.files)


def test_rivals_know_the_kinds():
    """HAProxy terminates, looks at names, forwards HTTP, and has as many backends as we have routes."""
    files = {kind: PROXIES["haproxy"].launch(place(kind)).files for kind in (TERMINATE, PASSTHROUGH, REVERSE, ROUTES)}
    texts = {kind: each["haproxy.cfg"] for kind, each in files.items()}
    assert "ssl crt /nowhere/pair.pem" in texts[TERMINATE]
    assert "req.ssl_sni" in texts[PASSTHROUGH]
    assert "mode http" in texts[REVERSE]
    assert texts[ROUTES].count("\nbackend ") == files[ROUTES]["services.map"].count("\n") == SERVICES


def test_rivals_are_set_up_for_the_connections():
    """HAProxy counts connections, nginx both ends of each."""
    assert "maxconn 9000" in PROXIES["haproxy"].launch(place("tcp", 9000)).files["haproxy.cfg"]
    assert "worker_connections 18064" in PROXIES["nginx"].launch(place("tcp", 9000)).files["nginx.conf"]


@pytest.mark.parametrize(
    ("load", "program"),
    [(Wrk(1), "nginx"), (Handshakes("socks5", 1), "nginx"), (Iperf(reverse=False), "iperf3"), (Idle(), "bench.idle")],
)
def test_origin_fits_the_load(load, program):
    """Each load has its origin, listening on the place's port."""
    launch = origin_for(load, place("tcp"))
    assert program in launch.argv
    assert "1111" in " ".join(launch.argv) + "".join(launch.files.values())


def test_http_origin_answers():
    """The HTTP origin answers with its small body and logs nothing."""
    config = origin_for(Wrk(1), place("http")).files["nginx.conf"]
    assert f'return 200 "{ANSWER.decode()}"' in config
    assert "access_log off" in config
