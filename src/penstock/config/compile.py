"""From the validated model to the frozen plan: numbers for the ledger, defaults of the machine, nothing left open."""

import os
import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from msgspec.structs import replace

from penstock.base.addresses import Endpoint
from penstock.base.clock import NS
from penstock.base.errors import ConfigurationError
from penstock.config.acme import acme_plan
from penstock.config.ban_plan import BanPlan, DetectorPlan
from penstock.config.compile_routes import bandwidth_plan, compile_served, limit_plan, plan_of, quota_plan
from penstock.config.limit_plan import LimitsPlan
from penstock.config.limits import Limits
from penstock.config.model import Config, Metrics, Timeouts
from penstock.config.plan import AccessPlan, MetricsPlan, NodePlan, StorePlan, TimeoutPlan, WorkerPlan
from penstock.config.runtime import runtime_dir, socket_path, state_dir
from penstock.config.settle import Settled
from penstock.config.tls_plan import AcmePlan
from penstock.config.units import DURATION_UNITS

SOCKET_PATH_BYTES = 107
"""sun_path of unix(7) holds 107 bytes and a zero."""


DETECTORS = ("failed_logins", "refused_destinations", "floods", "port_walks", "protocol_abuse")
"""Tables of [bans]."""

TREATMENTS = {"standard": 1, "extended": 6, "immortal": 0}
"""By how much quiet connections live longer than `idle` and `half_closed` say; 0 is for ever."""

TLS_HALF_ZOMBIE, TLS_STUCK = 10, 5
"""By how much connections with TLS get more time: 5 minutes of each, where others get 30 s and 60 s."""


class Machine(NamedTuple):
    """
    What the plan takes from the machine.

    Args:
        cores: That this process may run on; 1 or more.
        name: What a node without a name is called.
        runtime: Directory of the nodes' sockets.
        state: Directory of what outlives a restart.
        keeps: Whether a node that is not told where keeps anything there.
        file: What the store of a node without a name is called; the node's name if empty.
    """

    cores: int
    name: str
    runtime: Path
    state: Path
    keeps: bool = True
    file: str = ""


def this_machine(environ: Mapping[str, str] | None = None) -> Machine:
    """
    Return the machine that we run on.

    Args:
        environ: The environment; None for this process's own.
    """
    host = re.sub(r"[^A-Za-z0-9._-]+", "-", socket.gethostname(), flags=re.ASCII).strip("._-")[:63]
    return Machine(len(os.sched_getaffinity(0)), host or "penstock", runtime_dir(environ), state_dir(environ))


def compile_plan(settled: Settled, machine: Machine) -> NodePlan:
    """
    Return the plan of a node.

    Args:
        settled: A configuration without mistakes.
        machine: Where it is to run.

    Raises:
        ConfigurationError: If the path of the node's socket is too long for a Unix socket.
    """
    config = settled.config
    name = config.node.name or machine.name
    acme = acme_plan(config.acme, _acme_storage(settled, machine), settled.acme_ca, settled.acme_eab_key)
    workers = machine.cores if isinstance(config.node.workers, str) else config.node.workers
    return NodePlan(
        name=name,
        workers=workers,
        admin=_pair(config.admin.listen),
        admin_token=settled.token,
        socket_path=_socket(machine.runtime, name),
        state_dir=str((settled.state_dir or machine.state).absolute()),
        log_level=config.log.level,
        log_format=config.log.format,
        worker=_worker(settled, machine, workers, acme),
        acme=acme,
        metrics=_metrics(config.metrics),
        store=StorePlan(path=_store(settled, machine), flush=config.store.flush),
        bans=_bans(settled),
        notices=settled.notices,
    )


def _bans(settled: Settled) -> BanPlan:
    """Return who is banned. The detector of all connections shares its table with that of floods."""
    bans, floods = settled.config.bans, settled.config.bans.floods
    tables = {name: getattr(bans, name) for name in DETECTORS}
    detectors = {name: _detector(each.threshold, each) for name, each in tables.items()}
    paths = settled.attached.paths
    return BanPlan(
        detect=bans.detect,
        protect=tuple(bans.protect),
        protect_loopback=bans.protect_loopback,
        ipv6_networks=bans.ipv6_networks,
        longest=bans.longest,
        remember=bans.remember,
        detectors=(*detectors.items(), ("connections", _detector(floods.connections, floods))),
        lists=tuple(
            (str(paths["blocklist", number, "file"]), each.reason)
            for number, each in enumerate(settled.config.blocklist)
        ),
    )


def _detector(threshold: int | str, table: Any) -> DetectorPlan:
    return DetectorPlan(
        threshold=threshold if isinstance(threshold, int) else 0, window=table.window, duration=table.duration
    )


def _store(settled: Settled, machine: Machine) -> str:
    """Return the path of the store; empty for none."""
    if settled.config.store.path == "off":
        return ""
    if settled.store is not None:
        return str(settled.store.absolute())
    if settled.state_dir is None and not machine.keeps:
        return ""
    name = settled.config.node.name or machine.file or machine.name
    return str((settled.state_dir or machine.state).absolute() / f"{name}.db")


def _pair(endpoint: Endpoint | None) -> tuple[str, int] | None:
    return (endpoint.host, endpoint.port) if endpoint else None


def _access(settled: Settled, machine: Machine) -> AccessPlan:
    """Return what is told of requests, and where."""
    log = settled.config.log
    if log.access == "off":
        return AccessPlan()
    file = log.access_file or ""
    if settled.access_file is not None:
        file = str(settled.access_file.absolute())
    elif not file:
        name = settled.config.node.name or machine.file or machine.name
        file = str((settled.state_dir or machine.state).absolute() / f"{name}.access.log")
    return AccessPlan(format=log.access, file=file, query=log.access_query)


def _acme_storage(settled: Settled, machine: Machine) -> Path:
    return (settled.acme_storage or (settled.state_dir or machine.state) / "acme").absolute()


def _worker(settled: Settled, machine: Machine, workers: int, acme: AcmePlan) -> WorkerPlan:
    config = settled.config
    served = compile_served(config, settled.attached, acme)
    return WorkerPlan(
        listeners=served.listeners,
        routes=served.routes,
        rules=served.rules,
        timeouts=_timeouts(config.timeouts),
        connections=config.limits.connections,
        limits=_limits(config.limits),
        workers=workers,
        dns_ttl=config.dns.ttl,
        dns_negative_ttl=config.dns.negative_ttl,
        splice=config.node.splice,
        own_addresses=tuple(_own_addresses(config)),
        access=_access(settled, machine),
    )


def _limits(limits: Limits) -> LimitsPlan:
    """Return what one client may have."""
    per_ip = limit_plan(limits.connections_per_ip, limits.rate_per_ip)
    return LimitsPlan(
        connections_per_ip=per_ip.connections,
        rate_per_ip=per_ip.rate,
        exempt=tuple(limits.exempt),
        bandwidth_per_ip=bandwidth_plan(limits.bandwidth_per_ip),
        bandwidth_per_connection=bandwidth_plan(limits.bandwidth_per_connection),
        per_user=replace(
            limit_plan(limits.connections_per_user, limits.rate_per_user, limits.bandwidth_per_user),
            quota=quota_plan(limits.quota_per_user, limits),
        ),
        users={each.name: plan_of(each) for each in limits.users},
    )


def _timeouts(timeouts: Timeouts) -> TimeoutPlan:
    """Return the deadlines; quiet connections live as long as their treatment says."""
    said = timeouts.model_dump(exclude={"keep_alive"})
    for name in ("idle", "half_closed"):
        said[name] *= TREATMENTS[timeouts.keep_alive]
    if timeouts.keep_alive == "immortal":
        said["stuck"] = 0
    return TimeoutPlan(
        **said, half_zombie_tls=TLS_HALF_ZOMBIE * said["half_zombie"], stuck_tls=TLS_STUCK * said["stuck"]
    )


def _metrics(metrics: Metrics) -> MetricsPlan:
    kept = metrics.retention
    said = metrics.model_dump(exclude={"sample_interval", "retention", "labels", "statsd", "push", "otlp"})
    return MetricsPlan(
        **said,
        seconds=kept.seconds // NS,
        minutes=kept.minutes // DURATION_UNITS["m"],
        hours=kept.hours // DURATION_UNITS["h"],
        labels=tuple(metrics.labels),
        statsd=_pair(metrics.statsd),
        push=metrics.push.get_secret_value() if metrics.push else None,
        otlp=metrics.otlp.get_secret_value() if metrics.otlp else None,
    )


def _own_addresses(config: Config) -> Iterator[tuple[str, int]]:
    """Yield what must not be dialed. A port that the kernel chooses is known to whoever binds it, and only then."""
    for endpoint in (config.admin.listen, *(each.listen for each in config.listener)):
        if endpoint and endpoint.port:
            yield endpoint.host, endpoint.port


def _socket(runtime: Path, name: str) -> str:
    path = str(socket_path(name, {"PENSTOCK_RUNTIME_DIR": str(runtime)}))
    if (size := len(os.fsencode(path))) > SOCKET_PATH_BYTES:
        what = f"a Unix socket's path has at most {SOCKET_PATH_BYTES} bytes and this one {size}"
        raise ConfigurationError([f"{path}: {what}; set a shorter PENSTOCK_RUNTIME_DIR or node.name"])
    return path
