"""What is measured: each scenario is one frozen value, and nothing here touches a process or a socket."""

from dataclasses import dataclass

PENSTOCK = "penstock"
OFF = "penstock-off"
"""The same process as Penstock's, while its collection is switched off."""

PLAIN = "penstock-plain"
"""A second Penstock that differs in the one thing that a scenario is about."""

HAPROXY_PLAIN = "haproxy-plain"
"""A second HAProxy that differs in the same."""

DIRECT = "direct"
"""No proxy at all: the load talks to the origin. What a latency is compared with."""


@dataclass(frozen=True)
class Metric:
    """
    One number that a round yields.

    Args:
        key: Its name in samples and results.
        heading: Its name on the page, with the unit.
        digits: Digits behind the point on the page.
    """

    key: str
    heading: str
    digits: int = 1


@dataclass(frozen=True)
class Bound:
    """
    What one of Penstock's metrics has to stay within.

    Args:
        reference: The proxy that it is divided by, round by round; None for the figure itself.
        most: The highest median that holds.
        key: Which metric; empty for the first.
        added: Whether the reference is subtracted instead.
    """

    reference: str | None
    most: float
    key: str = ""
    added: bool = False


@dataclass(frozen=True)
class Wrk:
    """
    wrk with a number of connections for the seconds of the effort.

    Args:
        connections: Open at a time; unit connections.
        close: Whether each request has a connection of its own.
        absolute: Whether the request line carries the whole URL, as to a forward proxy.
        varied: Whether each request has a path and each answer a field of its own, so that no head comes twice.
        secure: Whether it speaks TLS; it resumes its sessions.
        path: What is asked for.
        gigabytes: Bytes of one answer, where work is counted in bytes; unit 1e9 bytes.
    """

    connections: int
    close: bool = False
    absolute: bool = False
    varied: bool = False
    secure: bool = False
    path: str = "/"
    gigabytes: float = 0.0


@dataclass(frozen=True)
class Iperf:
    """
    One iperf3 stream over the gigabytes of the effort.

    Args:
        reverse: Whether the bytes run from the origin to the client.
        timed: Whether it runs for the seconds of the effort instead.
    """

    reverse: bool
    timed: bool = False


@dataclass(frozen=True)
class Handshakes:
    """
    Connections that ask the proxy for the origin, fetch one small page and end.

    Args:
        protocol: How they ask: `socks5`, `connect`, `direct`, where nothing is asked, or `tls`, which is the same and
            resumes no session.
        concurrency: Open at a time; unit connections.
    """

    protocol: str
    concurrency: int


@dataclass(frozen=True)
class Idle:
    """Connections that moved one byte each way and then rest, in the number of the effort."""


@dataclass(frozen=True)
class Light:
    """
    Idle connections that wake up: in turn each sends a byte and has it back.

    Args:
        rate: Of all together; unit bytes/s.
    """

    rate: int


@dataclass(frozen=True)
class Inside:
    """
    No load at all: work of the supervisor on a ledger that is written by hand.

    Args:
        rows: Connections in it; or networks of a block list.
        program: Module that measures it.
    """

    rows: int
    program: str = "bench.inside"


@dataclass(frozen=True)
class Flood:
    """
    Connections from many addresses, as many as one core can make, while a client that may goes on asking.

    Args:
        addresses: That the flood comes from.
        requests: Of the client on lasting connections; unit 1/s.
        connections: Of the client, for one request each; unit 1/s.
        times: How many times the seconds of the effort it lasts, and so does the calm before it.
    """

    addresses: int
    requests: float
    connections: float
    times: float


@dataclass(frozen=True)
class Shaped:
    """
    A stream from target to client for five seconds, through each of some listeners with a bandwidth.

    Args:
        rates: Of each listener, the key of its metric and its bandwidth; unit bytes/s, 0 for none.
    """

    rates: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Paced:
    """
    New connections that begin when they are due, through each proxy in turn, at one rate for all of them.

    Args:
        share: Of the connections that Penstock serves when it is full: the rate.
        times: How many times the seconds of the effort each proxy has turns in a round.
    """

    share: float
    times: float


Load = Wrk | Iperf | Handshakes | Idle | Light | Inside | Flood | Shaped | Paced


@dataclass(frozen=True)
class Effort:
    """
    How long and how much.

    Args:
        rounds: Rounds over all proxies of a scenario.
        seconds: Length of one wrk or handshake load; unit s.
        gigabytes: Bytes of one iperf3 load; unit 1e9 bytes.
        handshakes: Most connections of one handshake load.
        idle: Resting connections, as far as the descriptor limit allows.
        idle_rounds: Rounds of the memory scenario: memory hardly varies, and 10,000 connections take their time.
    """

    rounds: int = 5
    seconds: float = 3.0
    gigabytes: int = 8
    handshakes: int = 15_000
    idle: int = 10_000
    idle_rounds: int = 3


QUICK = Effort(rounds=3, seconds=1.0, gigabytes=1, handshakes=4_000, idle=2_000, idle_rounds=1)


@dataclass(frozen=True)
class Scenario:
    """
    One table of the page.

    Args:
        name: The word for `--only` and for the results.
        title: The heading on the page.
        about: One paragraph: what a unit is and how the proxies are set up.
        kind: What the proxies speak: `tcp`, `http` or `socks5`, or one of the kinds below.
        load: What is sent through them.
        proxies: Who takes part, Penstock first; one round visits them in this order.
        metrics: What is reported; the first is the one that ratios and bounds are about.
        references: Whom everybody is divided by, round by round.
        bounds: What Penstock has to stay within.
        pairs: Who is told apart from whom, metric by metric, below the table.
    """

    name: str
    title: str
    about: str
    kind: str
    load: Load
    proxies: tuple[str, ...]
    metrics: tuple[Metric, ...]
    references: tuple[str, ...]
    bounds: tuple[Bound, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()


RATE = Metric("rate", "units/s", 0)
PER_HANDSHAKE = Metric("cpu", "CPU us per handshake")
PER_CONNECTION = Metric("cpu", "CPU us per connection")
PER_REQUEST = Metric("cpu", "CPU us per request")
PER_GIGABYTE = Metric("cpu", "CPU ms per GB", 0)
PER_BYTE = Metric("cpu", "CPU us per byte")
_SHARES = (
    Metric("share", "supervisor, % of the proxy's CPU", 2),
    Metric("supervisor", "supervisor, ms/s"),
    Metric("core", "proxy, % of a core"),
    RATE,
)
_SWITCHED = (
    "One process, whose collection (windows, graphs, keys, percentiles, records) is switched on and off in turn while "
    "it runs. What is switched is done by the supervisor alone, whose share of the proxy's CPU time says more than the "
    "whole, which varies from round to round. What cannot be switched, totals and open connections, is in both."
)
TERMINATE = "terminate"
"""TLS with clients, plain TCP behind."""

PASSTHROUGH = "passthrough"
"""TLS that goes on to the target as it came, found by the name in the client's hello."""

REVERSE = "reverse"
"""A reverse HTTP proxy with one target."""

ROUTES = "routes"
"""The same with a thousand routes."""

CHAIN = "chain"
"""Two TCP proxies in a row, with a PROXY header or without."""

ENTRANCE = "entrance"
"""A TCP proxy with a block list, access rules and limits that nobody reaches, or without."""

FLOOD = "flood"
"""A TCP proxy as it stands under attack: limits of the address, and detectors that ban."""

SHAPED = "shaped"
"""TCP proxies that differ in their bandwidth, one for each of `RATES`."""

RATES = (("low", 1 << 20), ("middle", 100 << 20), ("high", 1 << 30), ("free", 0))
"""Bandwidths that are measured: 1 MiB/s, 100 MiB/s, 1 GiB/s, and none."""

SERVED = "localhost"
"""Whom TLS clients ask for."""

SERVICES = 1_000
"""Routes of the kind `routes`, each with a path of its own."""

BIG = 0.016
"""Bytes of the large answer; unit 1e9 bytes."""

_SAME_TLS = "Both have the same P-256 certificate and ciphers, and carry what is inside as TCP. "

_CHAINED = (
    "Two proxies in a row, the second of which requires the PROXY header (version 2) that the first sends; "
    f"`{PLAIN}` and `{HAPROXY_PLAIN}` are the same without headers. "
)

TCP = (PENSTOCK, "haproxy", "nginx")
HTTP = (PENSTOCK, "haproxy", "tinyproxy")

SCENARIOS = (
    Scenario(
        "tcp-short",
        "TCP, short connections",
        "wrk with `Connection: close`, 32 at a time: dial the origin, carry one request and one answer, close.",
        "tcp",
        Wrk(32, close=True),
        TCP,
        (PER_CONNECTION, RATE),
        ("haproxy",),
        (Bound("haproxy", 1.25),),
    ),
    Scenario(
        "tcp-request",
        "TCP, kept-alive requests",
        "wrk over 32 lasting connections; the proxy carries bytes and sees no HTTP.",
        "tcp",
        Wrk(32),
        TCP,
        (PER_REQUEST, RATE),
        ("haproxy",),
        (Bound("haproxy", 1.15),),
    ),
    Scenario(
        "tcp-upload",
        "TCP, bulk from client to target",
        "One iperf3 stream through the proxy.",
        "tcp",
        Iperf(reverse=False),
        TCP,
        (PER_GIGABYTE, Metric("rate", "GB/s", 2)),
        ("haproxy",),
        (Bound("haproxy", 0.75),),
    ),
    Scenario(
        "tcp-download",
        "TCP, bulk from target to client",
        "One iperf3 stream through the proxy, reversed.",
        "tcp",
        Iperf(reverse=True),
        TCP,
        (PER_GIGABYTE, Metric("rate", "GB/s", 2)),
        ("haproxy",),
        (Bound("haproxy", 0.75),),
    ),
    Scenario(
        "http-request",
        "HTTP forward, kept-alive requests",
        "wrk over 32 lasting connections, absolute-form requests. HAProxy runs `mode http` with the origin as its only "
        "server, since it has no forward mode; tinyproxy ends the connection after each answer.",
        "http",
        Wrk(32, absolute=True),
        HTTP,
        (PER_REQUEST, RATE),
        ("haproxy", "tinyproxy"),
        (Bound("haproxy", 1.6), Bound("tinyproxy", 1.0)),
    ),
    Scenario(
        "http-varied",
        "HTTP forward, kept-alive requests that never repeat",
        "As above, but each request has a path and each answer a field of its own: nothing that was learnt of one head "
        "helps with the next answer.",
        "http",
        Wrk(32, absolute=True, varied=True),
        HTTP,
        (PER_REQUEST, RATE),
        ("haproxy", "tinyproxy"),
    ),
    Scenario(
        "http-short",
        "HTTP forward, short connections",
        "wrk with `Connection: close`, 32 at a time, absolute-form requests; the target side may be kept alive.",
        "http",
        Wrk(32, close=True, absolute=True),
        HTTP,
        (PER_REQUEST, RATE),
        ("haproxy", "tinyproxy"),
    ),
    Scenario(
        "http-connect",
        "HTTP CONNECT, short connections",
        "A tunnel for each connection, one request and one answer through it, then close; 32 at a time.",
        "http",
        Handshakes("connect", 32),
        (PENSTOCK, "tinyproxy"),
        (PER_CONNECTION, RATE),
        ("tinyproxy",),
    ),
    Scenario(
        "socks5-connect",
        "SOCKS5 CONNECT, short connections",
        "No authentication, CONNECT to an IPv4 address, one request and one answer, then close; 32 at a time.",
        "socks5",
        Handshakes("socks5", 32),
        (PENSTOCK, "microsocks", "danted"),
        (PER_CONNECTION, RATE),
        ("danted", "microsocks"),
        (Bound("danted", 1.0), Bound("microsocks", 1.3)),
    ),
    Scenario(
        "tls-handshake",
        "TLS terminated, new connections",
        "A whole handshake of TLS 1.3 without resumption, one request and one answer, then close; 16 at a time. "
        "Since nobody resumes, Penstock comes to send one session ticket each; HAProxy sends two. " + _SAME_TLS,
        TERMINATE,
        Handshakes("tls", 16),
        (PENSTOCK, "haproxy"),
        (PER_HANDSHAKE, RATE),
        ("haproxy",),
        (Bound("haproxy", 1.05),),
    ),
    Scenario(
        "tls-request",
        "TLS terminated, kept-alive requests",
        "wrk over 32 lasting connections. " + _SAME_TLS,
        TERMINATE,
        Wrk(32, secure=True),
        (PENSTOCK, "haproxy"),
        (PER_REQUEST, RATE),
        ("haproxy",),
        (Bound("haproxy", 1.35),),
    ),
    Scenario(
        "tls-download",
        "TLS terminated, bulk from target to client",
        "wrk with 4 lasting connections that fetch 16 MB again and again. " + _SAME_TLS,
        TERMINATE,
        Wrk(4, secure=True, path="/big", gigabytes=BIG),
        (PENSTOCK, "haproxy"),
        (PER_GIGABYTE, Metric("rate", "GB/s", 2)),
        ("haproxy",),
        (Bound("haproxy", 0.85),),
    ),
    Scenario(
        "tls-passthrough",
        "TLS passed through by name, short connections",
        "wrk with `Connection: close`, 32 at a time; the origin speaks TLS, the proxy reads the name in the hello. "
        "HAProxy has `req.ssl_hello_type` and `req.ssl_sni`.",
        PASSTHROUGH,
        Wrk(32, close=True, secure=True),
        (PENSTOCK, "haproxy"),
        (PER_CONNECTION, RATE),
        ("haproxy",),
        (Bound("haproxy", 1.3),),
    ),
    Scenario(
        "reverse-request",
        "HTTP reverse, kept-alive requests",
        "wrk over 32 lasting connections; HAProxy runs `mode http`. Penstock adds the fields of `X-Forwarded-For` and "
        "its like, HAProxy adds `X-Forwarded-For` (`option forwardfor`).",
        REVERSE,
        Wrk(32),
        (PENSTOCK, "haproxy"),
        (PER_REQUEST, RATE),
        ("haproxy",),
        (Bound("haproxy", 1.5),),
    ),
    Scenario(
        "reverse-routes",
        "HTTP reverse, kept-alive requests, a thousand routes",
        "As above, but with a thousand routes by path; the requests match one in the middle. HAProxy finds it by "
        "`map_beg`.",
        ROUTES,
        Wrk(32, path=f"/service-{SERVICES // 2}/item"),
        (PENSTOCK, "haproxy"),
        (PER_REQUEST, RATE),
        ("haproxy",),
        (Bound("haproxy", 1.5),),
    ),
    Scenario(
        "proxy-header",
        "PROXY header, latency of a new connection",
        _CHAINED + "From when a connection is due to the end of its answer, under a load that waits for nobody: "
        "connections are due at random times, at a third of the rate that Penstock with headers can serve when it is "
        "full, the same for all. "
        "Each has turns of 0.3 s, one after the other and back, between the ticks of the supervisors, so that what "
        "disturbs the machine disturbs all alike; a percentile is the median of those of its turns, because a machine "
        "that stands still for a moment hits a few of them. As root everybody has real-time priority: other work of "
        "the machine is no matter of a header's.",
        CHAIN,
        Paced(share=1 / 3, times=2.0),
        (PENSTOCK, PLAIN, "haproxy", HAPROXY_PLAIN),
        (Metric("p50", "p50 us", 0), Metric("p99", "p99 us", 0), RATE),
        (PLAIN,),
        (Bound(PLAIN, 1_000, added=True), Bound(PLAIN, 1_000, key="p99", added=True)),
        ((PENSTOCK, PLAIN), ("haproxy", HAPROXY_PLAIN)),
    ),
    Scenario(
        "proxy-header-cpu",
        "PROXY header, CPU of a new connection",
        _CHAINED + "wrk with `Connection: close`, 4 at a time, each of which begins the next connection at once: both "
        "proxies of a chain are busy all the time, and what a connection waits is what others cost.",
        CHAIN,
        Wrk(4, close=True),
        (PENSTOCK, PLAIN, "haproxy", HAPROXY_PLAIN),
        (PER_CONNECTION, RATE),
        (PLAIN, "haproxy"),
        (),
        ((PENSTOCK, PLAIN), ("haproxy", HAPROXY_PLAIN)),
    ),
    Scenario(
        "latency",
        "TCP, latency of a kept-alive request",
        "wrk over 4 lasting connections, each with one request under way; `direct` is the same load without a proxy.",
        "tcp",
        Wrk(4),
        (*TCP, DIRECT),
        (Metric("p50", "p50 us", 0), Metric("p99", "p99 us", 0), RATE),
        ("haproxy", DIRECT),
    ),
    Scenario(
        "memory",
        "TCP, memory of idle connections",
        "Connections that moved one byte each way and rest. Growth of the proportional set size (PSS) of all processes "
        "of the proxy, shared memory included; socket buffers belong to the kernel and are not in it.",
        "tcp",
        Idle(),
        TCP,
        (
            Metric("bytes", "bytes per connection", 0),
            Metric("before", "MB before", 1),
            Metric("held", "connections", 0),
        ),
        ("haproxy",),
        (Bound(None, 4096),),
    ),
    Scenario(
        "collection-light",
        "Collection, 9,800 open connections with light traffic",
        "One byte each way through every connection in ten seconds. " + _SWITCHED,
        "tcp",
        Light(1_000),
        (PENSTOCK, OFF),
        (PER_BYTE, *_SHARES),
        (OFF,),
        (Bound(OFF, 1.0, key="share", added=True),),
    ),
    Scenario(
        "collection-short",
        "Collection, short connections",
        "The load of `tcp-short`. " + _SWITCHED,
        "tcp",
        Wrk(32, close=True),
        (PENSTOCK, OFF),
        (PER_CONNECTION, *_SHARES),
        (OFF,),
        (Bound(OFF, 1.0, key="share", added=True),),
    ),
    Scenario(
        "collection-request",
        "Collection, kept-alive requests",
        "The load of `tcp-request`. " + _SWITCHED,
        "tcp",
        Wrk(32),
        (PENSTOCK, OFF),
        (PER_REQUEST, *_SHARES),
        (OFF,),
        (Bound(OFF, 1.0, key="share", added=True),),
    ),
    Scenario(
        "collection-bulk",
        "Collection, bulk",
        "One iperf3 stream from client to target for as long as wrk elsewhere. " + _SWITCHED,
        "tcp",
        Iperf(reverse=False, timed=True),
        (PENSTOCK, OFF),
        (PER_GIGABYTE, *_SHARES),
        (OFF,),
        (Bound(OFF, 1.0, key="share", added=True),),
    ),
    Scenario(
        "entrance",
        "TCP, bans, access and limits",
        "wrk with `Connection: close`, 4 at a time, from an address that is not exempt, through a block list of a "
        "million networks, one client that is banned beside them, twenty access rules, and the limits of node, "
        f"listener and address, none of which is reached; `{OFF}` is the same process reloaded without them, but for "
        "the node's own limit.",
        ENTRANCE,
        Wrk(4, close=True),
        (PENSTOCK, OFF),
        (PER_CONNECTION, RATE),
        (OFF,),
        (Bound(OFF, 1.08),),
    ),
    Scenario(
        "flood",
        "TCP, a flood of connections",
        "10,000 addresses connect as fast as one core lets them, and hold 1,024 connections; each may connect once "
        "a minute and is banned for its third refusal, so a flood is served, then refused, then banned. Two seconds "
        "later a client that is exempt asks, on lasting connections that have had an answer before they are "
        "measured, and on new ones, which the kernel hears even while it leaves others outside. Client and origin "
        "are real-time processes, so that the flooder on their core does not keep them waiting. Each round has "
        "10,000 addresses of its own, which the node remembers as banned. HAProxy has a stick table, and rejects "
        "whoever connects twice in a minute.",
        FLOOD,
        Flood(10_000, requests=200, connections=50, times=3),
        (PENSTOCK, "haproxy"),
        (
            Metric("worse", "p99 of requests, times that of calm", 2),
            Metric("p50", "p50 us", 0),
            Metric("p99", "p99 us", 0),
            Metric("calm", "in calm", 0),
            Metric("fresh", "p99 us of new connections", 0),
            Metric("fresh_calm", "in calm", 0),
            Metric("rate", "flood, connections/s", 0),
            Metric("lines", "log lines in the worst second", 0),
            Metric("before", "MB before", 1),
            Metric("growth", "MB more at most", 2),
        ),
        (),
        (
            Bound(None, 3.0),
            Bound(None, 50.0, key="lines"),
            Bound(None, 20.0, key="growth"),
        ),
    ),
    Scenario(
        "shaping",
        "TCP, shaped bandwidth",
        "One stream from target to client through a listener of 1 MiB/s, then one of 100 MiB/s, then one of 1 GiB/s. "
        "How far what the client gets in five seconds is from the bandwidth, behind a first second in which it may "
        "catch up. The same without a bandwidth tells what the machine moves: above that nothing is shaped, so "
        "1 GiB/s has no bound.",
        SHAPED,
        Shaped(RATES),
        (PENSTOCK,),
        (
            Metric("low", "off 1 MiB/s, %", 2),
            Metric("middle", "off 100 MiB/s, %", 2),
            Metric("high", "off 1 GiB/s, %", 2),
            Metric("free", "moved without a bandwidth, MB/s", 0),
        ),
        (),
        (Bound(None, 2.0, key="low"), Bound(None, 2.0, key="middle")),
    ),
    Scenario(
        "inside",
        "The supervisor's own work",
        "A tick with 50,000 rows of 50,000 addresses and 300 targets, every row moving; the slowest read of the "
        "metrics API, an hour behind it; a scrape in OpenMetrics of more than 5,000 series. CPU time, in one process.",
        "tcp",
        Inside(50_000),
        (PENSTOCK,),
        (
            Metric("tick", "tick, ms"),
            Metric("worst", "slowest tick, ms"),
            Metric("read", "slowest read, ms", 2),
            Metric("scrape", "scrape, ms"),
            Metric("series", "series", 0),
        ),
        (),
        (Bound(None, 20.0), Bound(None, 1.0, key="read"), Bound(None, 50.0, key="scrape")),
    ),
    Scenario(
        "bans",
        "Bans",
        "A block list of 1,000,000 IPv4 networks is read and laid out; random addresses are looked up in it, and in it "
        "with 20,000 banned clients beside; a worker swaps the table while it uses it; 20,000 bans are restored. Then "
        "lists of 1,000,000 IPv4 networks that hardly overlap, as those before do, of IPv6 ones, and of both in turn, "
        "with a comment in every fourth line; every other address is in one of them. CPU time, in one process.",
        "tcp",
        Inside(1_000_000, "bench.bans"),
        (PENSTOCK,),
        (
            Metric("networks", "look-up, networks, us", 2),
            Metric("lookup", "look-up, all, us", 2),
            Metric("lookupapart", "look-up, all, IPv4 apart, us", 2),
            Metric("lookup6", "look-up, all, IPv6, us", 2),
            Metric("lookupboth", "look-up, all, both, us", 2),
            Metric("load", "load, s", 2),
            Metric("pause", "pause, ms", 2),
            Metric("restore", "restore, s", 2),
            Metric("load6", "load, IPv6, s", 2),
            Metric("loadboth", "load, both, s", 2),
            Metric("bytesapart", "bytes per IPv4 network apart", 1),
            Metric("bytes6", "bytes per IPv6 network", 1),
        ),
        (),
        (
            Bound(None, 2.0, key="networks"),
            Bound(None, 2.0, key="lookup"),
            Bound(None, 2.0, key="lookupapart"),
            Bound(None, 2.0, key="lookup6"),
            Bound(None, 2.0, key="lookupboth"),
            Bound(None, 2.0, key="load"),
            Bound(None, 2.0, key="load6"),
            Bound(None, 2.0, key="loadboth"),
            Bound(None, 5.0, key="pause"),
            Bound(None, 1.0, key="restore"),
        ),
    ),
    Scenario(
        "logins",
        "Logins: who exists",
        "SOCKS5 logins at a users file of 20 users, in pairs: a user with a wrong password and one who does not exist, "
        "in any order, one after the other, each from an address of its own. The difference is the median of the "
        "pairs', its spread their quartile distance, and `apart` how many times the half of its 95 % interval it is "
        "away from none: below 1 the answers' time tells nothing, above 2 hardly by chance.",
        "socks5",
        Inside(250, "bench.logins"),
        (PENSTOCK,),
        (
            Metric("apart", "apart", 2),
            Metric("difference", "difference, ms", 3),
            Metric("spread", "spread, ms", 2),
            Metric("known", "wrong password, ms", 2),
            Metric("unknown", "unknown user, ms", 2),
        ),
        (),
        (Bound(None, 2.0, key="apart"),),
    ),
)
