"""Every key that operators may write, with its kind, default and meaning. What keys mean together stands in `rules`."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from penstock.base import bounds
from penstock.base.addresses import Endpoint
from penstock.config.kinds import (
    Duration,
    EachSecond,
    FilePath,
    Listen,
    Login,
    Name,
    Password,
    TargetAddress,
    UrlText,
    UserName,
    Whole,
)
from penstock.config.mistakes import Wrong

WEIGHT = 256
"""Largest weight of a target; HAProxy's is 256."""

CONNECTIONS = 10_000_000
"""Most that one node can be asked to hold; each takes two descriptors, and Linux's fs.nr_open is a million."""


class _Hole:
    """What stands where a mistake was found, so that the rules can judge the rest. True, and equal to itself alone."""

    def __repr__(self) -> str:
        return "HOLE"


HOLE: Any = _Hole()


def known(*values: Any) -> bool:
    """Return whether none of the values is a hole."""
    return not any(value is HOLE for value in values)


class Table(BaseModel):
    """What all tables share: unknown keys are mistakes, types are never guessed, values stay as they were read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    @field_validator("*", mode="wrap")
    @classmethod
    def _keep_holes(cls, value: Any, read: Callable[[Any], Any]) -> Any:
        return value if value is HOLE else read(value)


KEYS = 10_000
"""Most clients, users or destinations that are known by name at once; five minutes of each take 6 KB. Prometheus asks
to keep a label below a few thousand values."""

TRACKERS = 4_096
"""Most full trackers; each takes 83 KB for an hour of seconds and a day of minutes."""

RECORDS = 100_000
"""Most ended connections that are kept: some 100 MB in the store."""


def _written(default: str | int, description: str) -> Any:
    """Return a field whose default is read as if an operator had written it."""
    return Field(default=default, validate_default=True, description=description)


class Node(Table):
    """The node: its name, its processes, its directory."""

    name: Annotated[str, Name()] | None = Field(default=None, description="What the node is called; the host's name.")
    workers: Annotated[int | str, Whole(0, bounds.WORKERS, "auto")] = _written(
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

    listen: Annotated[Endpoint | None, Listen(tcp_only=True)] = _written(
        "127.0.0.1:9190", 'Address of metrics, health and API; "off" leaves only the Unix socket.'
    )
    token_file: Annotated[str, FilePath()] | None = Field(
        default=None, description="File with the bearer token that the door demands; needed beyond loopback."
    )


class Limits(Table):
    """How much the node takes."""

    connections: Annotated[int, Whole(1, CONNECTIONS)] = _written(100_000, "Open connections of the whole node.")


class Timeouts(Table):
    """How long it waits."""

    handshake: Annotated[int, Duration("100ms", "1h")] = _written(
        "10s", "Until a client has said all that it must before it is served, and for each later HTTP head."
    )
    connect: Annotated[int, Duration("10ms", "1h")] = _written(
        "5s", "For one dial, name lookup and all addresses in it."
    )
    idle: Annotated[int, Duration("1s", "400d", off=True)] = _written("4h", "Without a byte in either direction.")
    half_closed: Annotated[int, Duration("1s", "400d", off=True)] = _written(
        "4h", "Without a byte after one end has closed its direction."
    )
    http_keep_alive: Annotated[int, Duration("100ms", "400d", off=True)] = _written(
        "60s", "Between two HTTP requests of one client."
    )
    pool_idle: Annotated[int, Duration("100ms", "1d", off=True)] = _written(
        "15s", "For a kept target connection that nobody uses; off keeps none."
    )
    drain: Annotated[int, Duration("100ms", "30d")] = _written("30s", "From the order to stop until what runs is cut.")


class Dns(Table):
    """How long names are remembered."""

    ttl: Annotated[int, Duration("1s", "1d", off=True)] = _written("30s", "For how long an answer serves.")
    negative_ttl: Annotated[int, Duration("100ms", "1h", off=True)] = _written("2s", "For how long a failure serves.")


class Log(Table):
    """What is logged."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="The least that is logged.")
    format: Literal["console", "json"] = Field(default="console", description="One line of text or of JSON.")


class Store(Table):
    """What outlives a restart."""

    path: Annotated[str, FilePath()] | None = Field(
        default=None, description='The file of totals, series and records; "off" for none.'
    )
    flush: Annotated[int, Duration("100ms", "1h")] = _written("5s", "Between two writes.")


class Retention(Table):
    """How long samples are kept."""

    seconds: Annotated[int, Duration("1m", "24h", whole="1s")] = _written("1h", "One for each second, in memory.")
    minutes: Annotated[int, Duration("1h", "31d", whole="1m")] = _written("24h", "One for each minute, in memory.")
    hours: Annotated[int, Duration("1d", "3650d", whole="1h")] = _written("400d", "One for each hour, in the store.")


class Metrics(Table):
    """What is measured, for how long it is kept, and where it is sent."""

    enabled: bool = Field(default=True, description="Whether more than totals is collected.")
    sample_interval: Annotated[int, EachSecond()] = _written("1s", "How often samples are taken: each second.")
    retention: Retention = Field(
        default=Retention(), description="Samples by the second, minute and hour: for how long they are kept."
    )
    trackers: Annotated[int, Whole(0, TRACKERS)] = _written(
        1_024, "Full trackers at most: the node, listeners, routes and targets; 0 for none."
    )
    clients: Annotated[int, Whole(0, KEYS)] = _written(1_000, "Client addresses known at once; 0 for none.")
    users: Annotated[int, Whole(0, KEYS)] = _written(1_000, "Users known at once; 0 for none.")
    destinations: Annotated[int, Whole(0, KEYS)] = _written(1_000, "Destinations known at once; 0 for none.")
    connection_records: Annotated[int, Whole(0, RECORDS)] = _written(
        10_000, "Ended connections that are kept; 0 for none."
    )
    percentiles: bool = Field(default=True, description="Whether ended connections are measured.")
    prometheus: bool = Field(default=True, description="Whether the admin door serves /metrics.")
    compat_names: bool = Field(default=False, description="Whether older families are served under their names too.")
    labels: list[Literal["client", "user", "destination"]] = Field(
        default=[], description="Which of client, user and destination have families of their own."
    )
    statsd: Annotated[Endpoint | None, TargetAddress(off=True)] = _written("off", "Host and port that get deltas.")
    statsd_format: Literal["statsd", "dogstatsd"] = Field(
        default="statsd", description="statsd, or dogstatsd, which has tags."
    )
    statsd_prefix: Annotated[str, Name()] = _written("penstock", "What names begin with there.")
    push: Annotated[SecretStr | None, UrlText()] = _written("off", "URL that gets Prometheus text.")
    otlp: Annotated[SecretStr | None, UrlText()] = _written("off", "URL that gets OTLP over HTTP.")
    export_interval: Annotated[int, Duration("1s", "1h")] = _written("10s", "Between two deliveries to any of them.")


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


class Target(Table):
    """An address that is sent to, with its share; text stands for the address alone."""

    address: Annotated[Endpoint, TargetAddress()] = Field(
        description="Name or IP address, and port.", examples=["example.com:80"]
    )
    weight: Annotated[int, Whole(1, WEIGHT)] = _written(1, "Its share of the connections.")

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"address": value}
        if not isinstance(value, dict):
            raise Wrong("a target is text or a table with address and weight", '"example.com:80"')
        return value


class Listener(Table):
    """An address and a protocol that accepts."""

    name: Annotated[str, Name()] | None = Field(
        default=None, description="What it is called in metrics and logs; protocol and port."
    )
    listen: Annotated[Endpoint, Listen()] = Field(
        description="Port, address and port, or unix:/path.", examples=[":8080"]
    )
    protocol: Literal["tcp", "http", "socks5", "auto"] = Field(
        description="What it speaks; auto tells by the first bytes.", examples=["tcp"]
    )
    targets: list[Target] = Field(
        default=[], description="Where a tcp listener sends, and auto what is neither.", examples=[["example.com:80"]]
    )
    users: dict[Annotated[str, UserName()], Annotated[SecretStr, Password()]] = Field(
        default={}, description="Passwords by user; with one or more of them, a login is asked."
    )
    auth: Annotated[SecretStr, Login()] | None = Field(default=None, description="One more user, as user:password.")
    detect: list[Literal["http", "socks5", "tcp"]] | None = Field(
        default=None, description="What an auto listener tells apart; http and socks5, and tcp if it has targets."
    )


class Route(Table):
    """Targets with a name, for the listeners that it names or for all that have none of their own."""

    name: Annotated[str, Name()] = Field(description="What it is called in metrics and logs.", examples=["app"])
    listeners: list[Annotated[str, Name()]] = Field(
        default=[], description="Names of the listeners that it serves; all that need targets."
    )
    action: Literal["forward"] = Field(default="forward", description="What happens to a connection.")
    targets: list[Target] = Field(default=[], description="Where it sends.", examples=[["example.com:80"]])


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
    listener: list[Listener] = Field(default=[], description="One table for each listener.")
    route: list[Route] = Field(default=[], description="One table for each route.")
