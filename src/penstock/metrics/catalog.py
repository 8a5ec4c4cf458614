"""Every metric family that a node serves: its name, what it counts, and its labels. Exporters derive from this list."""

from typing import Literal

from msgspec import Struct

PREFIX = "penstock_"


UNITS = ("bytes_per_second", "bytes", "seconds")
"""Of families; the longest first."""


class Family(Struct, frozen=True):
    """
    One metric family.

    Args:
        name: As served; counters end in `_total`.
        kind: counter, gauge or histogram.
        help: One sentence, without a full stop.
        labels: In the order in which samples give their values.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the names of its samples: its own, or those of a histogram's three kinds."""
        if self.kind != "histogram":
            return (self.name,)
        return self.name + "_bucket", self.name + "_count", self.name + "_sum"

    @property
    def unit(self) -> str:
        """Return its unit, which ends its name: one of `UNITS`, or nothing for what is only counted."""
        name = self.name.removesuffix("_total")
        return next((unit for unit in UNITS if name.endswith("_" + unit)), "")

    @property
    def names(self) -> frozenset[str]:
        """Return all that it is called: the names of the family in either format, and those of its samples."""
        return frozenset((self.name, self.name.removesuffix("_total"), *self.parts))


DIRECTIONS = ("in", "out")
"""Of the client's side: client to proxy, proxy to client."""

TARGET_DIRECTIONS = ("rx", "tx")
"""Of the target's side: received from the target, sent to it."""

WINDOWS = ("1s", "10s", "60s")
"""How throughput is averaged: instant, recent, average."""

DURATION_BOUNDS = (0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0)
"""Buckets of connections; unit s. From a page to a long download."""

DIAL_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Buckets of dials; unit s. From a neighbour to a connect timeout; the upper ones are Prometheus' usual ones."""

REQUEST_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Buckets of requests; unit s. Prometheus' usual ones, and three below them for answers of a neighbour."""

CONNECTIONS = Family(
    PREFIX + "connections_total", "counter", "Client connections accepted", ("listener", "route")
)  # fmt: skip
ACTIVE = Family(PREFIX + "connections_active", "gauge", "Client connections open", ("listener", "route"))
DURATION = Family(
    PREFIX + "connection_duration_seconds", "histogram", "Connections that ended, by how long they lasted"
)  # fmt: skip
BYTES = Family(
    PREFIX + "bytes_total",
    "counter",
    "Bytes moved on the client side, in from clients and out to them",
    ("direction", "listener", "route"),
)
THROUGHPUT = Family(
    PREFIX + "throughput_bytes_per_second",
    "gauge",
    "Bytes per second on the client side over the window",
    ("direction", "window"),
)
REQUESTS = Family(
    PREFIX + "requests_total",
    "counter",
    "HTTP exchanges, SOCKS commands and TCP connections that were served or failed, by the status that the client got",
    ("listener", "route", "code"),
)
REQUEST_DURATION = Family(
    PREFIX + "request_duration_seconds",
    "histogram",
    "Requests that were answered, from the end of the request's head to the end of the answer",
    ("listener", "route"),
)
REFUSED = Family(PREFIX + "refused_total", "counter", "Refusals by reason", ("reason",))
BANS = Family(
    PREFIX + "bans_active",
    "gauge",
    "Bans that hold: by hand, by detectors, in shadow mode; and networks of block lists",
    ("origin",),
)
BANS_MADE = Family(
    PREFIX + "bans_total", "counter", "Bans that were made, by hand or by which detector, in shadow too", ("reason",)
)
SHADOWED = Family(PREFIX + "bans_shadowed_total", "counter", "Connections that bans in shadow mode would have refused")
AUTH = Family(PREFIX + "auth_total", "counter", "Logins by result", ("result",))
PROXY_HEADERS = Family(PREFIX + "proxy_headers_total", "counter", "PROXY headers that were taken")
USERS_FILE_ERRORS = Family(PREFIX + "users_file_errors_total", "counter", "Times that a users file could not be read")
OUTCOMES = Family(
    PREFIX + "outcomes_total",
    "counter",
    "Connections ended, by who ended them and in which phase",
    ("ended_by", "phase"),
)
TARGET_CONNECTIONS = Family(
    PREFIX + "target_connections_total",
    "counter",
    "Client connections that were sent to the target, dialed or not",
    ("route", "target"),
)
TARGET_ACTIVE = Family(
    PREFIX + "target_connections_active", "gauge", "Client connections that the target serves", ("route", "target")
)
TARGET_BYTES = Family(
    PREFIX + "target_bytes_total",
    "counter",
    "Bytes moved on the target side, rx from the target and tx to it",
    ("direction", "route", "target"),
)
TARGET_UP = Family(
    PREFIX + "target_up",
    "gauge",
    "1 while the target is up; 0 while checks, failed dials or an operator keep new connections from it",
    ("route", "target"),
)
TARGET_CHECKS = Family(
    PREFIX + "target_checks_total", "counter", "Health checks by their result", ("route", "target", "result")
)
TARGET_EJECTIONS = Family(
    PREFIX + "target_ejections_total", "counter", "Times that failed dials took the target out", ("route", "target")
)
DIAL = Family(
    PREFIX + "dial_duration_seconds",
    "histogram",
    "Last successful dial of each connection that ended, to a target or to what the client asked for",
    ("route", "target"),
)
CERTIFICATES = Family(
    PREFIX + "certificate_expiry_timestamp_seconds",
    "gauge",
    "When the certificate ends, since the epoch; 0 while a self-signed one stands in for one from ACME",
    ("certificate", "source"),
)
AUDIT = Family(
    PREFIX + "audit_residual_bytes",
    "gauge",
    "How far the sum over the dimension is from the total of the node; anything but 0 is a fault",
    ("dimension",),
)
EVICTIONS = Family(
    PREFIX + "evictions_total",
    "counter",
    "Clients, users and destinations that are no longer known by name because others needed their place",
    ("kind",),
)
ROUTE_QUOTA = Family(PREFIX + "route_quota_bytes", "gauge", "Bytes that the route may have in a month", ("route",))
ROUTE_QUOTA_USED = Family(
    PREFIX + "route_quota_used_bytes", "gauge", "Bytes that the route has had of the present month", ("route",)
)  # fmt: skip
QUOTAS_SPENT = Family(
    PREFIX + "quotas_spent", "gauge", "Routes and users whose quota of the present month is used up", ("scope",)
)  # fmt: skip
WORKERS = Family(PREFIX + "workers", "gauge", "Worker processes that shall be and that are", ("state",))
RESPAWNS = Family(PREFIX + "worker_respawns_total", "counter", "Dead workers that were replaced")
PAUSES = Family(PREFIX + "accept_pauses_total", "counter", "Times that a worker paused accepting, at a limit")
BUILD = Family(PREFIX + "build_info", "gauge", "Version of Penstock and of its Python; always 1", ("version", "python"))

NODE = (
    CONNECTIONS, ACTIVE, DURATION, BYTES, THROUGHPUT, REQUESTS, REQUEST_DURATION, REFUSED, BANS, BANS_MADE,
    SHADOWED, AUTH, PROXY_HEADERS, USERS_FILE_ERRORS, OUTCOMES,
    TARGET_CONNECTIONS, TARGET_ACTIVE, TARGET_BYTES, TARGET_UP, TARGET_CHECKS, TARGET_EJECTIONS, DIAL, CERTIFICATES,
    ROUTE_QUOTA, ROUTE_QUOTA_USED, QUOTAS_SPENT, AUDIT, EVICTIONS, WORKERS, RESPAWNS, PAUSES, BUILD,
)  # fmt: skip
"""Families that are made of a snapshot."""

CLIENT_CONNECTIONS = Family(
    PREFIX + "client_connections_total", "counter", "Client connections accepted, by address", ("client",)
)  # fmt: skip
CLIENT_ACTIVE = Family(
    PREFIX + "client_connections_active", "gauge", "Client connections open, by address", ("client",)
)
CLIENT_BYTES = Family(
    PREFIX + "client_bytes_total", "counter", "Bytes moved on the client side, by address", ("direction", "client")
)  # fmt: skip
USER_CONNECTIONS = Family(
    PREFIX + "user_connections_total", "counter", "Client connections accepted, by user", ("user",)
)  # fmt: skip
USER_ACTIVE = Family(PREFIX + "user_connections_active", "gauge", "Client connections open, by user", ("user",))
USER_BYTES = Family(
    PREFIX + "user_bytes_total", "counter", "Bytes moved on the client side, by user", ("direction", "user")
)  # fmt: skip
USER_QUOTA = Family(PREFIX + "user_quota_bytes", "gauge", "Bytes that the user may have in a month", ("user",))
USER_QUOTA_USED = Family(
    PREFIX + "user_quota_used_bytes", "gauge", "Bytes that the user has had of the present month", ("user",)
)  # fmt: skip
DESTINATION_CONNECTIONS = Family(
    PREFIX + "destination_connections_total", "counter", "Client connections accepted, by destination", ("destination",)
)  # fmt: skip
DESTINATION_ACTIVE = Family(
    PREFIX + "destination_connections_active", "gauge", "Client connections open, by destination", ("destination",)
)  # fmt: skip
DESTINATION_BYTES = Family(
    PREFIX + "destination_bytes_total",
    "counter",
    "Bytes moved on the client side, by destination",
    ("direction", "destination"),
)

LABELLED = {
    "client": (CLIENT_CONNECTIONS, CLIENT_ACTIVE, CLIENT_BYTES),
    "user": (USER_CONNECTIONS, USER_ACTIVE, USER_BYTES, USER_QUOTA, USER_QUOTA_USED),
    "destination": (DESTINATION_CONNECTIONS, DESTINATION_ACTIVE, DESTINATION_BYTES),
}
"""Families that are served where `metrics.labels` names the kind: connections, active and bytes; of users quotas."""

CPU = Family("process_cpu_seconds_total", "counter", "User and system time of the supervisor and all its workers")
RESIDENT = Family("process_resident_memory_bytes", "gauge", "Resident memory of all processes, shared pages in each")
VIRTUAL = Family("process_virtual_memory_bytes", "gauge", "Virtual memory of all processes")
OPEN_FDS = Family("process_open_fds", "gauge", "Open file descriptors of all processes")
MAX_FDS = Family("process_max_fds", "gauge", "File descriptors that all processes may open")
START = Family("process_start_time_seconds", "gauge", "Start of the supervisor since the epoch")

PROCESS = (CPU, RESIDENT, VIRTUAL, OPEN_FDS, MAX_FDS, START)
"""Families that are read from the system when somebody asks."""

FAMILIES = NODE + PROCESS
