"""The frozen plan: what a validated configuration means to a worker. Plain structs: workers load no validator."""

from msgspec import Struct

from penstock.base import bounds
from penstock.base.clock import NS
from penstock.config.ban_plan import BanPlan
from penstock.config.limit_plan import LimitPlan, LimitsPlan
from penstock.config.tls_plan import AcmePlan, TargetTlsPlan, TlsPlan


class TargetPlan(Struct, frozen=True, kw_only=True):
    """
    One address that a listener's route sends to.

    Args:
        id: Number in the ledger, 1 to 65535; unique in the node.
        host: Name or IP address.
        port: 1 to 65535.
        weight: Share of the round-robin, 1 or more.
        send_proxy: Header that it gets before anything else: `off`, `v1` or `v2`; empty for what the route says.
    """

    id: int
    host: str
    port: int
    weight: int = 1
    send_proxy: str = ""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class DestinationPlan(Struct, frozen=True, kw_only=True):
    """
    Places that a client may ask for.

    Args:
        host: A name, `*.` and a suffix, a network such as `10.0.0.0/8` or an address; `*` for all.
        ports: Ranges as (first, last); empty for all.
    """

    host: str = "*"
    ports: tuple[tuple[int, int], ...] = ()


class MatchPlan(Struct, frozen=True, kw_only=True):
    """
    What a connection or request must be for a route to take it. Each key must match, and one of its values is enough;
    an empty key matches all.

    Args:
        listeners: Numbers of listeners.
        domains: Host names in lower case, or `*.` and a suffix, which stands for one label or more; `*` for all.
        paths: Paths, or beginnings of paths with a final `*`.
        clients: Networks such as `10.0.0.0/8`, or addresses; an IPv4 client has its IPv4 everywhere.
        users: User names.
        ports: Ranges of the port that was asked for, as (first, last).
        destinations: Where a client of a forward proxy wants to go.
        tls_versions: Highest version that the client offers, such as 0x0304; 0 for a client without TLS.
        sni: True for clients that ask for a name in TLS, False for those that do not, None for both.
    """

    listeners: tuple[int, ...] = ()
    domains: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    ports: tuple[tuple[int, int], ...] = ()
    destinations: tuple[DestinationPlan, ...] = ()
    tls_versions: tuple[int, ...] = ()
    sni: bool | None = None


class AccessRulePlan(Struct, frozen=True, kw_only=True):
    """
    Who may go where, and when. Each key must match, and one of its values is enough; an empty key matches all.

    Args:
        name: For logs and for whoever asks why.
        action: `allow` or `block`.
        priority: Of two rules that match, that with the higher one counts; of two with the same, one that blocks.
        listeners: Numbers of listeners.
        clients: Networks such as `10.0.0.0/8`, or addresses; an IPv4 client has its IPv4 everywhere.
        users: User names.
        ports: Ranges of the port that was asked for, as (first, last); the listener's where none was.
        destinations: Where a client of a forward proxy wants to go.
        times: Minutes of the week by the node's clock, as (first, last); Monday begins with 0.
    """

    name: str
    action: str
    priority: int = 0
    listeners: tuple[int, ...] = ()
    clients: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    ports: tuple[tuple[int, int], ...] = ()
    destinations: tuple[DestinationPlan, ...] = ()
    times: tuple[tuple[int, int], ...] = ()


class HealthPlan(Struct, frozen=True, kw_only=True):
    """
    How a route's targets are looked after.

    Args:
        kind: `tcp` (a connection), `http` (a request) or `off`.
        path, host: Of the request.
        expect: Status codes that are well, as (first, last).
        interval, timeout: Between two checks, and for one; unit ns.
        rise, fall: Checks in a row that make a target up, or down.
        failures: Failed dials in a row after which traffic itself takes a target out; 0 for never.
        ejection: For how long, the first time; it doubles up to thirtyfold; unit ns.
        slow_start: Over how long a target that came up gets its whole share again; unit ns.
    """

    kind: str = "off"
    path: str = "/"
    host: str = ""
    expect: tuple[tuple[int, int], ...] = ((200, 399),)
    interval: int = 5 * NS
    timeout: int = 2 * NS
    rise: int = 2
    fall: int = 3
    failures: int = 3
    ejection: int = 10 * NS
    slow_start: int = 0


class ParentPlan(Struct, frozen=True, kw_only=True):
    """
    Another proxy on the way to the targets.

    Args:
        kind: `socks5`, `http` or `https`, which is CONNECT through TLS.
        host, port: Where it is.
        user, password: Who we are to it; empty for nobody. Never logged.
        tls: How TLS is spoken with it.
    """

    kind: str
    host: str
    port: int
    user: str = ""
    password: str = ""
    tls: TargetTlsPlan = TargetTlsPlan()

    def __repr__(self) -> str:
        return f"ParentPlan(kind={self.kind!r}, host={self.host!r}, port={self.port})"


class RewritePlan(Struct, frozen=True, kw_only=True):
    """
    What is changed in requests and answers of reverse HTTP.

    Args:
        strip_prefix: Beginning of the path that the target does not see.
        add_prefix: What its paths begin with instead.
        host: What the target sees as Host; empty for what the client asked for.
        forwarded: How targets learn who asked: `x-forwarded`, `forwarded` (RFC 7239), `both` or `off`.
        set_request, set_response: Fields that replace what is there, as (name, value).
        remove_request, remove_response: Names of fields that go.
    """

    strip_prefix: str = ""
    add_prefix: str = ""
    host: str = ""
    forwarded: str = "x-forwarded"
    set_request: tuple[tuple[str, str], ...] = ()
    set_response: tuple[tuple[str, str], ...] = ()
    remove_request: tuple[str, ...] = ()
    remove_response: tuple[str, ...] = ()


class RouteTimeoutPlan(Struct, frozen=True, kw_only=True):
    """
    Deadlines of one route; unit ns, 0 for none, None for those of the node.

    Args:
        connect: For one dial with all its addresses, name lookup included.
        response: Without a byte until the target begins an answer of HTTP; None for `idle`.
        idle: Without a byte in either direction, also after one end has closed its direction.
    """

    connect: int | None = None
    response: int | None = None
    idle: int | None = None


class RoutePlan(Struct, frozen=True, kw_only=True):
    """
    One route.

    Args:
        id: Number in the ledger, 1 to 65535; unique in the node.
        name: As configured.
        priority: Of two routes that match, that with the higher one is taken; policy.routes tells the rest.
        match: What it takes.
        action: `forward`, `redirect`, `answer`, `block` or `handler`.
        targets: Where it sends; empty for where the client of a forward proxy wants to go.
        balance: `round_robin`, `least_connections`, `source_hash` or `random_two`.
        health: How the targets are looked after.
        tls: With the clients of a tls listener: `terminate`, `passthrough` or `terminate_and_reencrypt`.
        target_tls: How TLS is spoken with the targets; None for in the clear.
        send_proxy: Header that targets get before anything else, if they do not say it: `off`, `v1` or `v2`.
        parent: Proxy on the way; None for none.
        location: Where a redirect sends, with {scheme}, {host}, {port}, {path} and {query} filled in.
        status: Of a redirect or an answer.
        body, content_type: Of an answer.
        rewrite: What is changed in requests and answers.
        users: Passwords by user name for basic authentication. Never logged.
        users_file: Path of the file of more users and their hashes; empty for none. Without either no login is asked.
        handler: `module:function` that decides.
        handler_timeout: For one of its decisions; unit ns.
        limits: What all its connections together may have; None for no limit.
        timeouts: Deadlines of its own.
    """

    id: int
    name: str
    priority: int = 0
    match: MatchPlan = MatchPlan()
    action: str = "forward"
    targets: tuple[TargetPlan, ...] = ()
    balance: str = "round_robin"
    health: HealthPlan = HealthPlan()
    tls: str = "terminate"
    target_tls: TargetTlsPlan | None = None
    send_proxy: str = "off"
    parent: ParentPlan | None = None
    location: str = ""
    status: int = 0
    body: str = ""
    content_type: str = "text/plain; charset=utf-8"
    rewrite: RewritePlan = RewritePlan()
    users: dict[str, str] = {}
    users_file: str = ""
    handler: str = ""
    handler_timeout: int = NS
    limits: LimitPlan | None = None
    timeouts: RouteTimeoutPlan = RouteTimeoutPlan()

    def header_for(self, target: TargetPlan | None) -> str:
        """Return which PROXY header a target gets, `off` for none; None is for where the client wants to go."""
        return (target is not None and target.send_proxy) or self.send_proxy

    @property
    def sends_headers(self) -> bool:
        """Whether any of its targets gets a PROXY header."""
        return any(self.header_for(each) != "off" for each in self.targets or (None,))

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"RoutePlan(id={self.id}, name={self.name!r}, action={self.action!r})"


DEFAULT_ROUTE = RoutePlan(id=1, name="default")
"""The route of a listener that nobody gave one, in a plan that has no other."""


class ListenerPlan(Struct, frozen=True, kw_only=True):
    """
    One listener.

    Args:
        id: Number in the ledger, 1 to 65535; unique in the node.
        name: As configured, or protocol and port.
        protocol: tcp, http, socks5, tls or auto.
        host: Address to bind; `::` takes IPv4 too; `unix:/path` for a Unix socket.
        port: 0 lets the kernel choose.
        route: The route that its connections take.
        users: Passwords by user name. Never logged.
        users_file: Path of the file of more users and their hashes; empty for none. Without either no login is asked.
        detect: Protocols that an auto listener tells apart, of http, socks5 and tcp.
        tls: How its clients' TLS is terminated; None where they speak in the clear.
        reverse: Whether an http listener is a reverse proxy: its routes say where requests go, not its clients.
        inside: What a tls listener speaks once TLS is terminated: tcp or http.
        accept_proxy: Whether a PROXY header precedes what clients say: `off`, `optional` or `required`.
        trusted_proxies: Networks whose PROXY headers are believed.
        challenge: Which ACME challenge it answers, `http-01` or `tls-alpn-01`; empty for none.
        allow_private: Whether clients of a forward proxy may go to private addresses.
        limits: What all its connections together may have; None for no limit.
    """

    id: int
    name: str
    protocol: str
    host: str
    port: int
    route: RoutePlan = DEFAULT_ROUTE
    users: dict[str, str] = {}
    users_file: str = ""
    detect: tuple[str, ...] = ()
    tls: TlsPlan | None = None
    reverse: bool = False
    inside: str = "tcp"
    accept_proxy: str = "off"
    trusted_proxies: tuple[str, ...] = ()
    challenge: str = ""
    allow_private: bool = True
    limits: LimitPlan | None = None

    @property
    def targets(self) -> tuple[TargetPlan, ...]:
        """Return where the listener's own route sends."""
        return self.route.targets

    @property
    def forward(self) -> bool:
        """Return whether it is a forward proxy: its clients may say where they want to go."""
        if self.protocol == "auto":
            return "http" in self.detect or "socks5" in self.detect
        return self.protocol == "socks5" or (self.protocol == "http" and not self.reverse)

    def __repr__(self) -> str:
        return f"ListenerPlan(id={self.id}, name={self.name!r}, protocol={self.protocol!r})"

    def __str__(self) -> str:
        if self.host.startswith("unix:"):
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class TimeoutPlan(Struct, frozen=True, kw_only=True):
    """
    Deadlines; unit ns, 0 for none.

    Args:
        handshake: From accept until the client has said all that it must, and for each later HTTP head.
        connect: For one dial with all its addresses, name lookup included.
        idle: Without a byte in either direction.
        half_closed: Without a byte after one end has closed its direction.
        http_keep_alive: Between two HTTP requests of one client.
        pool_idle: For a target connection that waits in the pool.
        drain: From the order to stop until what still runs is cut.
        half_zombie, half_zombie_tls: Since a byte moved on a connection of which the kernel has closed one end.
        stuck, stuck_tls: Since a byte moved on one whose target never said a word and owes one, or takes nothing.
    """

    handshake: int = 10 * NS
    connect: int = 5 * NS
    idle: int = 14_400 * NS
    half_closed: int = 14_400 * NS
    http_keep_alive: int = 60 * NS
    pool_idle: int = 15 * NS
    drain: int = 30 * NS
    half_zombie: int = 30 * NS
    half_zombie_tls: int = 300 * NS
    stuck: int = 60 * NS
    stuck_tls: int = 300 * NS


class AccessPlan(Struct, frozen=True, kw_only=True):
    """
    What is told of each request and connection.

    Args:
        format: `off`, `json` or `combined`.
        file: Path that lines are appended to; `-` for standard output.
        query: Whether queries are told, which may hold secrets.
    """

    format: str = "off"
    file: str = "-"
    query: bool = True


class WorkerPlan(Struct, frozen=True, kw_only=True):
    """
    All that a worker is told.

    Args:
        listeners: Every listener of the node.
        routes: Every route that has something to match, in the order of the configuration. A listener's own route is
            taken where none of them matches.
        timeouts: Deadlines of the node.
        connections: Open connections that the whole node takes; each worker takes its share.
        limits: What one client may have of it.
        workers: Worker processes of the node; 0 for all in one process.
        ledger_rows: Rows in this worker's ledger.
        dns_ttl: How long an answer serves; unit ns.
        dns_negative_ttl: How long a failure serves; unit ns.
        splice: `auto` (bulk flows between real interfaces), `always` (every bulk flow) or `never`.
        own_addresses: Listen and admin endpoints of the node as (host, port); none of them may be dialed.
        access: What is told of each request and connection.
        rules: Who may go where, in the order of the configuration.
    """

    listeners: tuple[ListenerPlan, ...]
    routes: tuple[RoutePlan, ...] = ()
    timeouts: TimeoutPlan = TimeoutPlan()
    connections: int = 100_000
    limits: LimitsPlan = LimitsPlan()
    workers: int = 1
    ledger_rows: int = bounds.LEDGER_ROWS
    dns_ttl: int = 30 * NS
    dns_negative_ttl: int = 2 * NS
    splice: str = "auto"
    own_addresses: tuple[tuple[str, int], ...] = ()
    access: AccessPlan = AccessPlan()
    rules: tuple[AccessRulePlan, ...] = ()


class MetricsPlan(Struct, frozen=True, kw_only=True):
    """
    What is measured, for how long it is kept, and where it is sent besides.

    Args:
        enabled: Whether anything beyond totals is collected: windows, series, percentiles, records.
        seconds, minutes, hours: Samples of full trackers that are kept; hours in the store.
        trackers: Full trackers at most.
        clients, users, destinations: Keys that are known by name at once; the rest is `other`.
        percentiles: Whether ended connections are measured.
        prometheus: Whether the admin door serves /metrics.
        connection_records: Ended connections that are kept; 0 for none.
        compat_names: Whether older families are served under their own names too.
        labels: Which of client, user and destination have families of their own.
        statsd: Host and port that get deltas over UDP; None for none.
        statsd_format: `statsd` or `dogstatsd`, which has tags.
        statsd_prefix: What names begin with there.
        push: URL that gets Prometheus text; None for none. A login may stand in it: never logged.
        otlp: URL that gets OTLP over HTTP; None for none. As `push`.
        export_interval: Between two deliveries to any of them; unit ns.
    """

    enabled: bool = True
    seconds: int = 3_600
    minutes: int = 1_440
    hours: int = 9_600
    trackers: int = 1_024
    clients: int = 1_000
    users: int = 1_000
    destinations: int = 1_000
    percentiles: bool = True
    prometheus: bool = True
    connection_records: int = 10_000
    compat_names: bool = False
    labels: tuple[str, ...] = ()
    statsd: tuple[str, int] | None = None
    statsd_format: str = "statsd"
    statsd_prefix: str = "penstock"
    push: str | None = None
    otlp: str | None = None
    export_interval: int = 10 * NS

    def __repr__(self) -> str:
        from penstock.base.urls import shown_url  # noqa: PLC0415 - workers load this module, and never print this

        said = {name: getattr(self, name) for name in self.__struct_fields__}
        said |= {name: shown_url(said[name]) for name in ("push", "otlp") if said[name]}
        return f"MetricsPlan({', '.join(f'{name}={value!r}' for name, value in said.items())})"


class StorePlan(Struct, frozen=True, kw_only=True):
    """
    What outlives a restart, and how.

    Args:
        path: The SQLite file; empty for a node that keeps nothing.
        flush: Between two writes; a kill loses at most what was counted since the last one; unit ns.
    """

    path: str = ""
    flush: int = 5 * NS


class NodePlan(Struct, frozen=True, kw_only=True):
    """
    All that a node is told.

    Args:
        name: What it is called; one to 63 letters, digits, dots and dashes.
        workers: Worker processes; 0 for all in one process.
        admin: Host and port of the admin door; None for none.
        admin_token: Bearer token that the admin door demands; None for none. Never logged.
        socket_path: Unix socket of the command line; empty for none.
        state_dir: Directory of what outlives a restart.
        log_level: debug, info, warning or error.
        log_format: `console` or `json`.
        worker: What each worker is told.
        metrics: What is measured.
        store: What outlives a restart.
        acme: Certificates that the node gets by itself.
        bans: Who is banned.
        notices: What the operator is told once at the start: keys with a newer name, certificates that end soon.
    """

    name: str
    workers: int
    admin: tuple[str, int] | None
    admin_token: str | None = None
    socket_path: str
    state_dir: str = ""
    log_level: str = "info"
    log_format: str = "console"
    worker: WorkerPlan
    metrics: MetricsPlan = MetricsPlan()
    store: StorePlan = StorePlan()
    acme: AcmePlan = AcmePlan()
    bans: BanPlan = BanPlan()
    notices: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"NodePlan(name={self.name!r}, workers={self.workers}, admin={self.admin})"
