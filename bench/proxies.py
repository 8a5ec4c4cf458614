"""How each proxy is started: its command line and its configuration, from the ports it was given. Pure."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

LOOPBACK = "127.0.0.1"

PIPES = 64
"""Pipes for HAProxy's splicing, more than any load has flows. Left alone it reserves two descriptors for every fourth
connection, and does not start when that passes the descriptor limit."""


@dataclass(frozen=True)
class Place:
    """
    Where one server of a run lives.

    Args:
        directory: Its own empty directory.
        port: Where it listens, on 127.0.0.1.
        target: The port of the origin behind it.
        admin: A port for its admin door, if it has one.
        kind: What it has to speak: `tcp`, `http` or `socks5`.
        connections: The most client connections it has to hold.
    """

    directory: Path
    port: int
    target: int
    admin: int
    kind: str
    connections: int


@dataclass(frozen=True)
class Launch:
    """
    What starts one server in the foreground.

    Args:
        argv: The command; a file named in it lies in the directory of the place.
        files: Files to write before, by name.
        silenced: Whether what it prints is thrown away, for one that prints a line per connection.
    """

    argv: tuple[str, ...]
    files: dict[str, str] = field(default_factory=dict)
    silenced: bool = False


@dataclass(frozen=True)
class Proxy:
    """
    One contestant.

    Args:
        name: Its name in scenarios and on the page.
        program: The program that has to be installed.
        package: Debian's package, for the version; empty for Penstock itself.
        launch: From a place to a launch.
        note: How it is set up, for the page.
        cuts: Whether it ends connections without announcing it, which wrk counts as read errors.
    """

    name: str
    program: str
    package: str
    launch: Callable[[Place], Launch]
    note: str
    cuts: bool = False


def penstock_program() -> str:
    """Return the `penstock` beside the interpreter that runs the benchmark, or the bare name for PATH to find."""
    beside = Path(sys.executable).with_name("penstock")
    return str(beside) if beside.exists() else "penstock"


def penstock(place: Place) -> Launch:
    """One worker and its supervisor, all counting on, as installed."""
    listen = ["--listen", f"{LOOPBACK}:{place.port}"]
    target = ["--target", f"{LOOPBACK}:{place.target}"] if place.kind == "tcp" else []
    rest = ["--workers", "1", "--admin", f"{LOOPBACK}:{place.admin}"]
    return Launch((penstock_program(), place.kind, *listen, *target, *rest))


def haproxy(place: Place) -> Launch:
    """One thread; splicing where HAProxy itself finds it worth while; no logs, no statistics."""
    mode = "http" if place.kind == "http" else "tcp"
    options = "http-reuse always" if mode == "http" else "option splice-auto"
    config = f"""\
global
    nbthread 1
    maxconn {place.connections}
    maxpipes {PIPES}
defaults
    mode {mode}
    {options}
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen bench
    bind {LOOPBACK}:{place.port}
    server origin {LOOPBACK}:{place.target}
"""
    return Launch(("haproxy", "-db", "-f", str(place.directory / "haproxy.cfg")), {"haproxy.cfg": config})


def nginx(place: Place) -> Launch:
    """One worker of the stream module, no logs."""
    config = f"""\
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
worker_processes 1;
pid {place.directory}/nginx.pid;
error_log stderr crit;
events {{ worker_connections {2 * place.connections + 64}; }}
stream {{
    access_log off;
    server {{
        listen {LOOPBACK}:{place.port} backlog=4096;
        proxy_pass {LOOPBACK}:{place.target};
        proxy_timeout 1h;
    }}
}}
"""
    return Launch(nginx_command(place.directory), {"nginx.conf": config})


def nginx_command(directory: Path) -> tuple[str, ...]:
    """Return the command that runs nginx on the `nginx.conf` of a directory, complaining to stderr alone."""
    return ("nginx", "-p", str(directory), "-e", "stderr", "-c", str(directory / "nginx.conf"))


def microsocks(place: Place) -> Launch:
    """A thread for each connection; it prints a line for each, which Debian's version cannot be told to leave."""
    return Launch(("microsocks", "-i", LOOPBACK, "-p", str(place.port)), silenced=True)


def danted(place: Place) -> Launch:
    """One mother process with the children she wants; no authentication, nothing logged."""
    config = f"""\
logoutput: /dev/null
internal: {LOOPBACK} port = {place.port}
external: {LOOPBACK}
clientmethod: none
socksmethod: none
client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
socks pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
"""
    pid = str(place.directory / "danted.pid")
    return Launch(("danted", "-f", str(place.directory / "danted.conf"), "-p", pid), {"danted.conf": config})


def tinyproxy(place: Place) -> Launch:
    """A thread for each connection; errors alone are logged."""
    config = f"""\
Port {place.port}
Listen {LOOPBACK}
Timeout 600
MaxClients 1000
LogFile "{place.directory}/tinyproxy.log"
LogLevel Critical
Allow 127.0.0.0/8
ConnectPort {place.target}
"""
    return Launch(("tinyproxy", "-d", "-c", str(place.directory / "tinyproxy.conf")), {"tinyproxy.conf": config})


HAPROXY_NOTE = "`nbthread 1`; `option splice-auto` in `mode tcp`, `http-reuse always` in `mode http`"

PROXIES = {
    proxy.name: proxy
    for proxy in (
        Proxy(
            "penstock", penstock_program(), "", penstock, "one worker and the supervisor; all counting and limits on"
        ),
        Proxy("haproxy", "haproxy", "haproxy", haproxy, HAPROXY_NOTE),
        Proxy("nginx", "nginx", "nginx", nginx, "stream module, `worker_processes 1`"),
        Proxy("microsocks", "microsocks", "microsocks", microsocks, "as packaged, output to /dev/null"),
        Proxy("danted", "danted", "dante-server", danted, "as packaged, no authentication, log to /dev/null"),
        Proxy("tinyproxy", "tinyproxy", "tinyproxy", tinyproxy, "as packaged, `LogLevel Critical`", cuts=True),
    )
}
