"""Every key that operators may write, with its kind, default and meaning. What keys mean together stands in `rules`."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from penstock.base import bounds
from penstock.base.addresses import Endpoint
from penstock.config.access import Access
from penstock.config.acme import Acme
from penstock.config.bans import Bans, Blocklist
from penstock.config.kinds import Duration, EachSecond, FilePath, Listen, Name, TargetAddress, UrlText, Whole
from penstock.config.limits import Limits
from penstock.config.listener import Listener
from penstock.config.route import Route
from penstock.config.table import Table, written

KEYS = 10_000
"""Most clients, users or destinations that are known by name at once; five minutes of each take 6 KB. Prometheus asks
to keep a label below a few thousand values."""

TRACKERS = 4_096
"""Most full trackers; each takes 83 KB for an hour of seconds and a day of minutes."""

RECORDS = 100_000
"""Most ended connections that are kept: some 100 MB in the store."""


class Node(Table):
    """The node: its name, its processes, its directory."""

    name: Annotated[str, Name()] | None = Field(default=None, description="What the node is called; the host's name.")
    workers: Annotated[int | str, Whole(0, bounds.WORKERS, "auto")] = written(
        "auto", "Worker processes: one per core for auto, 0 for all in one process."
    )
    state_dir: Annotated[str, FilePath()] | None = Field(
        default=None, description="Directory of what outlives a restart; the XDG state directory."
    )
    splice: Literal["auto", "always", "never"] = Field(
        default="auto", description="When bulk bytes stay in the kernel: auto, always or never."
    )


class Admin(Table):
    """The admin door over TCP."""

    listen: Annotated[Endpoint | None, Listen(tcp_only=True)] = written(
        "127.0.0.1:9190", 'Address of metrics, health and API; "off" leaves only the Unix socket.'
    )
    token_file: Annotated[str, FilePath()] | None = Field(
        default=None, description="File with the bearer token that the door demands; needed beyond loopback."
    )


class Timeouts(Table):
    """How long it waits."""

    handshake: Annotated[int, Duration("100ms", "1h")] = written(
        "10s", "Until a client has said all that it must before it is served, and for each later HTTP head."
    )
    connect: Annotated[int, Duration("10ms", "1h")] = written(
        "5s", "For one dial, name lookup and all addresses in it."
    )
    idle: Annotated[int, Duration("1s", "400d", off=True)] = written("4h", "Without a byte in either direction.")
    half_closed: Annotated[int, Duration("1s", "400d", off=True)] = written(
        "4h", "Without a byte after one end has closed its direction."
    )
    http_keep_alive: Annotated[int, Duration("100ms", "400d", off=True)] = written(
        "60s", "Between two HTTP requests of one client."
    )
    pool_idle: Annotated[int, Duration("100ms", "1d", off=True)] = written(
        "15s", "For a kept target connection that nobody uses; off keeps none."
    )
    drain: Annotated[int, Duration("100ms", "30d")] = written("30s", "From the order to stop until what runs is cut.")
    keep_alive: Literal["standard", "extended", "immortal"] = Field(
        default="standard",
        description="How long a quiet connection lives: idle and half_closed as they are, six times that, or for ever.",
    )
    half_zombie: Annotated[int, Duration("1s", "1d", off=True)] = written(
        "30s", "Without a byte on a connection of which the kernel has closed one end; ten times that with TLS."
    )
    stuck: Annotated[int, Duration("1s", "1d", off=True)] = written(
        "60s", "Without a byte on a connection whose client has spoken and whose target never has; five times with TLS."
    )


class Dns(Table):
    """How long names are remembered."""

    ttl: Annotated[int, Duration("1s", "1d", off=True)] = written("30s", "For how long an answer serves.")
    negative_ttl: Annotated[int, Duration("100ms", "1h", off=True)] = written("2s", "For how long a failure serves.")


class Log(Table):
    """What is logged."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="The least that is logged.")
    format: Literal["console", "json"] = Field(default="console", description="One line of text or of JSON.")
    access: Literal["off", "json", "combined"] = Field(
        default="off", description="One line for each request and connection."
    )
    access_file: Annotated[str, FilePath()] | None = Field(
        default=None, description='Where they go; "-" for standard output.'
    )
    access_query: bool = Field(default=True, description="Whether queries are told, which may hold secrets.")


class Store(Table):
    """What outlives a restart."""

    path: Annotated[str, FilePath()] | None = Field(
        default=None, description='The file of totals, series and records; "off" for none.'
    )
    flush: Annotated[int, Duration("100ms", "1h")] = written("5s", "Between two writes.")


class Retention(Table):
    """How long samples are kept."""

    seconds: Annotated[int, Duration("1m", "24h", whole="1s")] = written("1h", "One for each second, in memory.")
    minutes: Annotated[int, Duration("1h", "31d", whole="1m")] = written("24h", "One for each minute, in memory.")
    hours: Annotated[int, Duration("1d", "3650d", whole="1h")] = written("400d", "One for each hour, in the store.")


class Metrics(Table):
    """What is measured, for how long it is kept, and where it is sent."""

    enabled: bool = Field(default=True, description="Whether more than totals is collected.")
    sample_interval: Annotated[int, EachSecond()] = written("1s", "How often samples are taken: each second.")
    retention: Retention = Field(
        default=Retention(), description="Samples by the second, minute and hour: for how long they are kept."
    )
    trackers: Annotated[int, Whole(0, TRACKERS)] = written(
        1_024, "Full trackers at most: the node, listeners, routes and targets; 0 for none."
    )
    clients: Annotated[int, Whole(0, KEYS)] = written(1_000, "Client addresses known at once; 0 for none.")
    users: Annotated[int, Whole(0, KEYS)] = written(1_000, "Users known at once; 0 for none.")
    destinations: Annotated[int, Whole(0, KEYS)] = written(1_000, "Destinations known at once; 0 for none.")
    connection_records: Annotated[int, Whole(0, RECORDS)] = written(
        10_000, "Ended connections that are kept; 0 for none."
    )
    percentiles: bool = Field(default=True, description="Whether ended connections are measured.")
    prometheus: bool = Field(default=True, description="Whether the admin door serves /metrics.")
    compat_names: bool = Field(default=False, description="Whether older families are served under their names too.")
    labels: list[Literal["client", "user", "destination"]] = Field(
        default=[], description="Which of client, user and destination have families of their own."
    )
    statsd: Annotated[Endpoint | None, TargetAddress(off=True)] = written("off", "Host and port that get deltas.")
    statsd_format: Literal["statsd", "dogstatsd"] = Field(
        default="statsd", description="statsd, or dogstatsd, which has tags."
    )
    statsd_prefix: Annotated[str, Name()] = written("penstock", "What names begin with there.")
    push: Annotated[SecretStr | None, UrlText()] = written("off", "URL that gets Prometheus text.")
    otlp: Annotated[SecretStr | None, UrlText()] = written("off", "URL that gets OTLP over HTTP.")
    export_interval: Annotated[int, Duration("1s", "1h")] = written("10s", "Between two deliveries to any of them.")


class Monitoring(Table):
    """Older names of keys of other sections."""

    enabled: bool | None = Field(default=None, description="Older name of metrics.enabled.")
    metrics_addr: Annotated[Endpoint | None, Listen(tcp_only=True)] = Field(
        default=None, description="Older name of admin.listen."
    )
    log_level: Literal["debug", "info", "warning", "error"] | None = Field(
        default=None, description="Older name of log.level."
    )
    prometheus_enabled: bool | None = Field(default=None, description="Older name of metrics.prometheus.")
    collect_connection_stats: bool | None = Field(
        default=None, description="When false, clients, users, destinations and connection_records of metrics are 0."
    )
    max_historical_connections: Annotated[int | None, Whole(0, RECORDS)] = Field(
        default=None, description="Older name of metrics.connection_records."
    )


class Config(Table):
    """All that an operator may write."""

    node: Node = Node()
    admin: Admin = Admin()
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    dns: Dns = Dns()
    log: Log = Log()
    metrics: Metrics = Metrics()
    store: Store = Store()
    monitoring: Monitoring = Monitoring()
    acme: Acme = Acme()
    bans: Bans = Bans()
    listener: list[Listener] = Field(default=[], description="One table for each listener.")
    route: list[Route] = Field(default=[], description="One table for each route.")
    access: list[Access] = Field(default=[], description="One table for each rule of who may go where.")
    blocklist: list[Blocklist] = Field(default=[], description="One table for each file of banned networks.")


LISTS = ("listener", "route", "access", "blocklist")
"""Sections that are lists of tables."""
