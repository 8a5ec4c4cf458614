"""
What another plan changes, in words: for the log, for `penstock reload` and for the API.

Names and keys only: values of a key may be secrets.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from penstock.config.plan import ListenerPlan, NodePlan, RoutePlan, WorkerPlan

NODE_KEYS = ("name", "workers", "admin", "admin_token", "socket_path", "state_dir", "log_level", "log_format")
"""Of a NodePlan: what is given once, when the node starts."""

WORKER_KEYS = ("dns_ttl", "dns_negative_ttl", "splice", "ledger_rows", "access")
"""Of a WorkerPlan: what a worker is built with."""

TIMEOUT_KEYS = ("pool_idle",)
"""Of a TimeoutPlan: the same."""

_NUMBERS = frozenset(("id", "name"))

What = Literal["added", "removed", "changed"]


class Change(Struct, frozen=True):
    """
    One thing that is other than before.

    Args:
        kind: listener, route, access rule, target, timeouts, limits, bans, acme or certificate.
        name: As configured; `ROUTE HOST:PORT` for a target, the path for a certificate's file.
        what: added, removed or changed.
        keys: Which keys changed; empty for what came or went.
    """

    kind: str
    name: str
    what: What
    keys: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = f"{self.kind} {self.name} {self.what}".replace("  ", " ")
        return f"{said}: {', '.join(self.keys)}" if self.keys else said


class Difference(Struct, frozen=True):
    """
    All that a plan changes.

    Args:
        changes: What a reload does.
        needs_restart: Keys that differ and stay as they are until the node is started again.
    """

    changes: tuple[Change, ...] = ()
    needs_restart: tuple[str, ...] = ()


def difference(old: NodePlan, new: NodePlan, old_files: Mapping[str, str], new_files: Mapping[str, str]) -> Difference:
    """
    Return what a plan changes.

    Args:
        old: What is served; ports as configured.
        new: What shall be.
        old_files, new_files: Fingerprint of each certificate and key by its path: the same path may hold another one.
    """
    before, after = old.worker, new.worker
    files = sorted(path for path in old_files.keys() & new_files.keys() if old_files[path] != new_files[path])
    changes = [
        *_named("listener", _listeners(before), _listeners(after)),
        *_named("route", _routes(before), _routes(after)),
        *_named("access rule", {each.name: each for each in before.rules}, {each.name: each for each in after.rules}),
        *_targets(before, after),
        *_keys("timeouts", "", before.timeouts, after.timeouts, TIMEOUT_KEYS),
        *_keys("bans", "", old.bans, new.bans, ()),
        *(Change("certificate", path, "changed") for path in files),
    ]
    changes += _keys("acme", "", old.acme, new.acme, ())
    limits = [*(("connections",) if before.connections != after.connections else ())]
    limits += _differing(before.limits, after.limits)
    if limits:
        changes.append(Change("limits", "", "changed", tuple(limits)))
    return Difference(tuple(changes), tuple(_fixed(old, new)))


def _listeners(worker: WorkerPlan) -> dict[str, ListenerPlan]:
    return {each.name: each for each in worker.listeners}


def _routes(worker: WorkerPlan) -> dict[str, RoutePlan]:
    return {each.name: each for each in (*(listener.route for listener in worker.listeners), *worker.routes)}


def _named(kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    yield from (Change(kind, name, "removed") for name in old if name not in new)
    for name, plan in new.items():
        if name not in old:
            yield Change(kind, name, "added")
        else:
            yield from _keys(kind, name, old[name], plan, ("targets",))


def _keys(kind: str, name: str, old: Struct, new: Struct, aside: Iterable[str]) -> Iterator[Change]:
    """Yield a change if any key differs, but for those aside."""
    skipped = _NUMBERS | set(aside)
    changed = []
    for key in old.__struct_fields__:
        one, two = getattr(old, key), getattr(new, key)
        if isinstance(old, ListenerPlan) and key == "route":
            one, two = one.name, two.name
        if key not in skipped and one != two:
            changed.append("listen" if key in ("host", "port") else key)
    if changed:
        yield Change(kind, name, "changed", tuple(dict.fromkeys(changed)))


def _targets(old: WorkerPlan, new: WorkerPlan) -> Iterator[Change]:
    before, after = _ways(old), _ways(new)
    yield from (Change("target", name, "removed") for name in before if len(before[name]) > len(after.get(name, [])))
    for name, ways in after.items():
        known = before.get(name, [])
        if len(ways) > len(known):  # listeners without a route of their own share its name, and may share targets
            yield Change("target", name, "added")
        elif len(ways) == len(known) and ways != known:
            columns = zip(("weight", "send_proxy"), zip(*known, strict=True), zip(*ways, strict=True), strict=True)
            yield Change("target", name, "changed", tuple(key for key, one, two in columns if one != two))


def _ways(worker: WorkerPlan) -> dict[str, list[tuple[int, str]]]:
    """Return weight and header of each target, by route and address."""
    found: dict[str, dict[int, tuple[int, str]]] = {}
    for route in (*(listener.route for listener in worker.listeners), *worker.routes):
        for target in route.targets:
            found.setdefault(f"{route.name} {target}", {})[target.id] = target.weight, target.send_proxy
    return {name: sorted(ways.values()) for name, ways in found.items()}


def _fixed(old: NodePlan, new: NodePlan) -> Iterator[str]:
    """Yield the keys that cannot change while the node runs, and differ."""
    yield from (f"node.{key}" for key in NODE_KEYS if getattr(old, key) != getattr(new, key))
    yield from (f"node.{key}" for key in WORKER_KEYS if getattr(old.worker, key) != getattr(new.worker, key))
    yield from (f"metrics.{key}" for key in _differing(old.metrics, new.metrics))
    yield from (f"store.{key}" for key in _differing(old.store, new.store))
    timeouts = _differing(old.worker.timeouts, new.worker.timeouts)
    yield from (f"timeouts.{key}" for key in timeouts if key in TIMEOUT_KEYS)


def _differing(old: Struct, new: Struct) -> list[str]:
    return [key for key in old.__struct_fields__ if getattr(old, key) != getattr(new, key)]


def unchanging(old: NodePlan, new: NodePlan) -> NodePlan:
    """Return the new plan with the old one's values where only a restart could change them."""
    kept = {key: getattr(old, key) for key in (*NODE_KEYS, "metrics", "store")}
    timeouts = replace(new.worker.timeouts, **{key: getattr(old.worker.timeouts, key) for key in TIMEOUT_KEYS})
    inside = {key: getattr(old.worker, key) for key in (*WORKER_KEYS, "workers")}
    return replace(new, **kept, worker=replace(new.worker, **inside, timeouts=timeouts))


def tls_files(worker: WorkerPlan) -> set[str]:
    """Return the path of every certificate, key and issuer's certificate that workers read."""
    found: set[str] = set()
    for listener in worker.listeners:
        if listener.tls is not None:
            found.add(listener.tls.client_ca)
            found |= {path for each in listener.tls.certificates for path in (each.cert, each.key)}
    for route in _routes(worker).values():
        for tls in (route.target_tls, route.parent.tls if route.parent else None):
            found |= {tls.ca, tls.cert, tls.key} if tls is not None else set()
    return found - {""}
