"""How each proxy is started: its command line and its configuration, from the ports it was given. Pure."""

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.blocklist import list_of
from bench.scenarios import (
    CHAIN,
    ENTRANCE,
    FLOOD,
    HAPROXY_PLAIN,
    PASSTHROUGH,
    PLAIN,
    RATES,
    REVERSE,
    ROUTES,
    SERVED,
    SERVICES,
    SHAPED,
    TERMINATE,
)

LOOPBACK = "127.0.0.1"

PAIR = "pair.pem"
"""The file of certificate and key."""

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2, for everybody; those of TLS 1.3 are OpenSSL's own."""

LISTED = "banned.txt"
"""The file of a block list."""

NETWORKS = 1_000_000
"""Networks in it. Addresses of loopback are among them, and Penstock leaves those out."""

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
        kind: What it has to speak: the kind of a scenario.
        connections: The most client connections it has to hold.
        pair: Certificate and key as PEM, where the kind needs them.
        aside: A port for a second server in the same place.
    """

    directory: Path
    port: int
    target: int
    admin: int
    kind: str
    connections: int
    pair: str = ""
    aside: int = 0


@dataclass(frozen=True)
class Launch:
    """
    What starts one server in the foreground.

    Args:
        argv: The command; a file named in it lies in the directory of the place.
        files: Files to write before, by name.
        silenced: Whether what it prints is thrown away, for one that prints a line per connection.
        behind: Port of a second server that it begins, which has to accept before the first is asked; 0 for none.
    """

    argv: tuple[str, ...]
    files: dict[str, str] = field(default_factory=dict)
    silenced: bool = False
    behind: int = 0


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
    if place.kind == CHAIN:
        return chain(place, headers=True)
    return configured(place) if place.kind in CONFIGURED else one_shot(place)


def penstock_plain(place: Place) -> Launch:
    """The same as Penstock, without PROXY headers."""
    return chain(place, headers=False)


def haproxy_plain(place: Place) -> Launch:
    """The same as HAProxy, without PROXY headers."""
    return haproxy_chain(place, headers=False)


def one_shot(place: Place) -> Launch:
    """Penstock by a command that needs no file."""
    listen = ["--listen", f"{LOOPBACK}:{place.port}"]
    target = ["--target", f"{LOOPBACK}:{place.target}"] if place.kind == "tcp" else []
    rest = ["--workers", "1", "--admin", f"{LOOPBACK}:{place.admin}"]
    return Launch((penstock_program(), place.kind, *listen, *target, *rest))


CONFIGURED = (TERMINATE, PASSTHROUGH, REVERSE, ROUTES, ENTRANCE, FLOOD, SHAPED)
"""Kinds that Penstock needs a configuration file for."""


def configured(place: Place) -> Launch:
    """Return Penstock with a configuration file; the kind of the place says what is in it."""
    target = f'targets = ["{LOOPBACK}:{place.target}"]'
    more: dict[str, str] = {}
    parts = ['[store]\npath = "off"', f'[[listener]]\nname = "bench"\nlisten = "{LOOPBACK}:{place.port}"']
    match place.kind:
        case "terminate":
            parts += ['protocol = "tls"', f'certificates = ["{PAIR}"]', f'tls = {{ ciphers = "{CIPHERS}" }}', target]
        case "passthrough":
            rules = f'match = {{ domains = ["{SERVED}"] }}\ntls = "passthrough"'
            parts += ['protocol = "tls"', f'[[route]]\nname = "it"\n{rules}\n{target}']
        case "reverse":
            parts += ['protocol = "http"', "reverse = true", target]
        case "entrance":
            parts += ['protocol = "tcp"', target, guarded()]
            more = {LISTED: list_of(NETWORKS, random.Random(7))}
        case "flood":
            parts += ['protocol = "tcp"', target, besieged()]
        case "shaped":
            parts = [parts[0]]
            for at, (name, rate) in enumerate(RATES):
                head = f'[[listener]]\nname = "{name}"\nlisten = "{beside(at)}:{place.port}"'
                limit = f'\nlimits = {{ bandwidth = "{rate >> 20}MiB/s" }}' if rate else ""
                parts.append(f'{head}\nprotocol = "tcp"\n{target}{limit}')
        case "routes":
            parts += ['protocol = "http"', "reverse = true"]
            paths = (f'[[route]]\nname = "r{n}"\nmatch = {{ path = "/service-{n}/*" }}' for n in range(SERVICES))
            parts += [f"{each}\n{target}" for each in paths]
    files = {"penstock.toml": "\n".join(parts) + "\n", **more, **({PAIR: place.pair} if place.pair else {})}
    argv = (penstock_program(), "run", "--config", str(place.directory / "penstock.toml"), "--workers", "1")
    form = ("--log-format", "json") if place.kind == FLOOD else ()
    return Launch((*argv, "--name", f"bench{place.port}", "--admin", f"{LOOPBACK}:{place.admin}", *form), files)


def beside(number: int) -> str:
    """Return an address of loopback, the first one for 0: where one server listens more than once."""
    return f"127.0.0.{1 + number}"


def besieged() -> str:
    """Return limits and bans under which everybody but one client of loopback is small."""
    limits = f'[limits]\nexempt = ["{LOOPBACK}"]\nconnections_per_ip = 10\nrate_per_ip = "1/1m"'
    return f'{limits}\n[bans]\ndetect = "on"\nprotect_loopback = false\nfloods = {{ threshold = 3 }}'


def guarded() -> str:
    """Return limits that nobody reaches, rules that nobody meets and a block list, behind the keys of a listener."""
    far = '[[access]]\naction = "block"\nclients = ["192.0.2.{}"]'
    limits = '[limits]\nexempt = []\nconnections_per_ip = 50000\nrate_per_ip = "4000000/1m"'
    door = 'limits = { connections = 50000, rate = "4000000/1m" }'
    listed = f'[[blocklist]]\nfile = "{LISTED}"'
    return "\n".join([door, limits, listed, *(far.format(number) for number in range(1, 21))])


def chain(place: Place, *, headers: bool) -> Launch:
    """Return two nodes in a row: the second listens aside, and its process is a child of the first's."""
    second = f"{LOOPBACK}:{place.aside}"
    accept = f'accept_proxy = "required"\ntrusted_proxies = ["{LOOPBACK}"]' if headers else ""
    send = 'send_proxy = "v2"' if headers else ""
    kept, head = '[store]\npath = "off"', '[[listener]]\nprotocol = "tcp"\nlisten ='
    target = f"{LOOPBACK}:{place.target}"
    files = {
        "second.toml": f'{kept}\n{head} "{second}"\ntargets = ["{target}"]\n{accept}\n',
        "penstock.toml": f'{kept}\n{head} "{LOOPBACK}:{place.port}"\n'
        f'[[route]]\nname = "on"\ntargets = ["{second}"]\n{send}\n',
    }
    words = [f"{penstock_program()} run --workers 1 --config {place.directory / name}" for name in files]
    admins = [f"--name second{place.port} --admin off", f"--name bench{place.port} --admin {LOOPBACK}:{place.admin}"]
    both = f"{words[0]} {admins[0]} & exec {words[1]} {admins[1]}"
    return Launch(("sh", "-c", both), files, behind=place.aside)


def haproxy_chain(place: Place, *, headers: bool) -> Launch:
    """Return two of HAProxy in a row, as `chain` returns two nodes."""
    accept, send = ("accept-proxy", "send-proxy-v2") if headers else ("", "")
    part = "listen bench\n    bind {0}:{1} {2}\n    server origin {0}:{3} {4}\n"
    second = haproxy_file(place, part.format(LOOPBACK, place.aside, accept, place.target, ""))
    first = haproxy_file(place, part.format(LOOPBACK, place.port, "", place.aside, send))
    words = [f"haproxy -db -f {place.directory / name}" for name in ("second.cfg", "haproxy.cfg")]
    files = {"second.cfg": second, "haproxy.cfg": first}
    return Launch(("sh", "-c", f"{words[0]} & exec {words[1]}"), files, behind=place.aside)


def haproxy(place: Place) -> Launch:
    """One thread; splicing where HAProxy itself finds it worth while; no logs, no statistics."""
    if place.kind == CHAIN:
        return haproxy_chain(place, headers=True)
    mode = "http" if place.kind in ("http", REVERSE, ROUTES) else "tcp"
    options = "http-reuse always" if mode == "http" else "option splice-auto"
    bind, files, rules = "", {}, ""
    if place.kind in (REVERSE, ROUTES):
        options += "\n    option forwardfor"
    if place.kind == TERMINATE:
        bind = f"ssl crt {place.directory / PAIR} ssl-min-ver TLSv1.2 ciphers {CIPHERS}"
        files = {PAIR: place.pair}
    if place.kind == PASSTHROUGH:
        rules = f"""\
    tcp-request inspect-delay 5s
    tcp-request content accept if {{ req.ssl_hello_type 1 }}
    use_backend origin if {{ req.ssl_sni -i {SERVED} }}
backend origin
"""
    if place.kind == FLOOD:
        rules = f"""\
    stick-table type ip size 100k expire 1m store conn_rate(1m)
    tcp-request connection accept if {{ src {LOOPBACK} }}
    tcp-request connection track-sc0 src
    tcp-request connection reject if {{ sc0_conn_rate gt 1 }}
    default_backend origin
backend origin
"""
    if place.kind == ROUTES:
        files = {"services.map": "".join(f"/service-{n}/ origin{n}\n" for n in range(SERVICES))}
        rules = f"""\
    use_backend %[path,map_beg({place.directory}/services.map)]
"""
        rules += "".join(
            f"backend origin{n}\n    server origin {LOOPBACK}:{place.target}\n" for n in range(1, SERVICES)
        )
        rules += "backend origin0\n"
    body = f"""\
{"frontend" if rules else "listen"} bench
    bind {LOOPBACK}:{place.port} {bind}
{rules}    server origin {LOOPBACK}:{place.target}
"""
    argv = ("haproxy", "-db", "-f", str(place.directory / "haproxy.cfg"))
    return Launch(argv, {"haproxy.cfg": haproxy_file(place, body, mode, options), **files})


def haproxy_file(place: Place, body: str, mode: str = "tcp", options: str = "option splice-auto") -> str:
    """Return a configuration of HAProxy: what all have in front, and a body."""
    return f"""\
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
{body}"""


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


PLAIN_NOTE = "as `penstock`, without PROXY headers"
HAPROXY_NOTE = "`nbthread 1`; `option splice-auto` in `mode tcp`, `http-reuse always` in `mode http`"

PROXIES = {
    proxy.name: proxy
    for proxy in (
        Proxy(
            "penstock", penstock_program(), "", penstock, "one worker and the supervisor; all counting and limits on"
        ),
        Proxy(PLAIN, penstock_program(), "", penstock_plain, PLAIN_NOTE),
        Proxy("haproxy", "haproxy", "haproxy", haproxy, HAPROXY_NOTE),
        Proxy(HAPROXY_PLAIN, "haproxy", "haproxy", haproxy_plain, "as `haproxy`, without PROXY headers"),
        Proxy("nginx", "nginx", "nginx", nginx, "stream module, `worker_processes 1`"),
        Proxy("microsocks", "microsocks", "microsocks", microsocks, "as packaged, output to /dev/null"),
        Proxy("danted", "danted", "dante-server", danted, "as packaged, no authentication, log to /dev/null"),
        Proxy("tinyproxy", "tinyproxy", "tinyproxy", tinyproxy, "as packaged, `LogLevel Critical`", cuts=True),
    )
}
