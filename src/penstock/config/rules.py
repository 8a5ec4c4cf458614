"""What keys mean together: names that occur twice, addresses that collide, targets that are missing or lead back."""

from collections.abc import Iterator, Sequence

from penstock.base import bounds
from penstock.base.addresses import Endpoint, is_loopback
from penstock.base.clock import NS
from penstock.config.mistakes import Assign, Key, Mistake, quoted
from penstock.config.model import Config, Listener, Metrics, Route, Target, known
from penstock.config.serving import Service, sends, services
from penstock.config.translate import near

_EXAMPLE = Assign("targets", '["example.com:80"]')
_WILDCARDS = ("::", "0.0.0.0")

SAMPLE_BYTES = 16
"""One sample of one tracker: four 32-bit floats (`metrics.rings`)."""


def check(config: Config) -> list[Mistake]:
    """
    Return what is wrong between keys that are right by themselves.

    Args:
        config: May have holes where mistakes were found: what depends on them is not judged.
    """
    mistakes, crowded = [*_admin(config), *_limits(config), *_metrics(config.metrics)], list(_counts(config))
    if known(config.listener) and not crowded:
        served = services(config)
        mistakes += [*_same_names(served), *_same_addresses(config), *_routes(config, served)]
        for number, service in enumerate(served):
            mistakes += [*_login(number, service.listener), *_detect(number, service), *_targets(number, service)]
        if known(config.route) and known(*(route.listeners for route in config.route)):
            mistakes += [each for number, service in enumerate(served) for each in _taken(number, service)]
        mistakes += _loops(config)
    return mistakes + crowded


def _admin(config: Config) -> Iterator[Mistake]:
    listen, token_file = config.admin.listen, config.admin.token_file
    if listen and not token_file and known(listen) and not is_loopback(listen.host):
        what = "others than this machine reach it, so it needs a token"
        yield Mistake(("admin", "listen"), what, Assign("token_file", '"/etc/penstock/admin.token"'))


def _limits(config: Config) -> Iterator[Mistake]:
    workers, connections = config.node.workers, config.limits.connections
    if known(workers, connections) and isinstance(workers, int):
        most = max(workers, 1) * bounds.LEDGER_ROWS
        if connections > most:
            yield Mistake(("limits", "connections"), f"{max(workers, 1)} workers hold at most {most}", str(most))


def _metrics(metrics: Metrics) -> Iterator[Mistake]:
    if known(metrics.trackers, metrics.retention):
        samples = metrics.retention.seconds // NS + metrics.retention.minutes // (60 * NS)
        if (size := metrics.trackers * samples * SAMPLE_BYTES) > bounds.TRACKER_BYTES:
            most = bounds.TRACKER_BYTES // (samples * SAMPLE_BYTES)
            what = (
                f"with this retention they take {size >> 20} MiB; at most {bounds.TRACKER_BYTES >> 20} MiB are theirs"
            )
            given = "trackers" in metrics.model_fields_set
            yield Mistake(("metrics", "trackers"), what, Assign("trackers", str(most)), present=given)
    for place, label in enumerate(metrics.labels if known(metrics.labels) else ()):
        if label in metrics.labels[:place]:
            yield Mistake(("metrics", "labels", place), "is there twice")
        elif getattr(metrics, f"{label}s") == 0:
            yield Mistake(("metrics", "labels", place), f"metrics.{label}s is 0, so there is nothing to label")


def _counts(config: Config) -> Iterator[Mistake]:
    if not config.listener:
        what = "no listener: nothing would be served"
        yield Mistake(("listener",), what, "[[listener]] with listen and protocol", present=False)
    lists: dict[str, Sequence[Listener | Route]] = {"listener": config.listener, "route": config.route}
    targets = 0
    for section, items in lists.items():
        if known(items):
            targets += sum(len(each.targets) for each in items if known(each.targets))
            if len(items) > bounds.LISTENERS:
                yield Mistake(
                    (section,), f"{len(items)} of them; a node takes at most {bounds.LISTENERS}", present=False
                )
    if targets > bounds.TARGETS:
        yield Mistake(("listener",), f"{targets} targets; a node has at most {bounds.TARGETS}", present=False)


def _same_names(served: list[Service]) -> Iterator[Mistake]:
    first: dict[str, int] = {}
    for number, service in enumerate(served):
        if service.name and first.setdefault(service.name, number) != number:
            yield Mistake(("listener", number, "name"), f"is the name of listener {first[service.name] + 1} too")


def _same_addresses(config: Config) -> Iterator[Mistake]:
    ports: dict[int, list[tuple[str, Endpoint]]] = {}
    sockets: dict[str, int] = {}
    if known(config.admin.listen) and config.admin.listen:
        ports[config.admin.listen.port] = [("the admin door", config.admin.listen)]
    for number, listener in enumerate(config.listener):
        listen, key = listener.listen, ("listener", number, "listen")
        if not known(listen):
            continue
        if listen.host.startswith("unix:"):
            if sockets.setdefault(listen.host, number) != number:
                yield Mistake(key, f"is the address of listener {sockets[listen.host] + 1} too")
        elif listen.port:
            held = ports.setdefault(listen.port, [])
            other = next(((who, address) for who, address in held if _overlap(address.host, listen.host)), None)
            if other:
                yield Mistake(key, f"{other[0]} takes {other[1]} already")
            held.append((f"listener {number + 1}", listen))


def _overlap(one: str, other: str) -> bool:
    """Return whether the kernel refuses to bind both hosts to one port; `::` takes IPv4 as well."""
    if one == other or "::" in (one, other):
        return True
    return "0.0.0.0" in (one, other) and ":" not in one + other


def _login(number: int, listener: Listener) -> Iterator[Mistake]:
    if not known(listener.protocol, listener.users, listener.auth):
        return
    user = listener.auth.get_secret_value().partition(":")[0] if listener.auth else ""
    if listener.protocol == "tcp" and (listener.users or listener.auth):
        key = "users" if listener.users else "auth"
        yield Mistake(("listener", number, key), "a tcp listener asks nobody for a login")
    elif user in listener.users:
        yield Mistake(("listener", number, "auth"), f"{quoted(user)} stands among the users as well")


def _detect(number: int, service: Service) -> Iterator[Mistake]:
    listener, key = service.listener, ("listener", number, "detect")
    if listener.detect is None or not known(listener.detect, listener.protocol, listener.targets):
        return
    if listener.protocol != "auto":
        yield Mistake(key, f"only an auto listener detects, and this one is {listener.protocol}")
    elif not listener.detect:
        yield Mistake(key, "names nothing to detect", '["http", "socks5"]')
    elif len(set(listener.detect)) < len(listener.detect):
        yield Mistake(key, "names a protocol twice")
    elif "tcp" not in listener.detect and listener.targets:
        yield Mistake(("listener", number, "targets"), "detect does not name tcp, so nothing would go there")


def _targets(number: int, service: Service) -> Iterator[Mistake]:
    listener, key = service.listener, ("listener", number, "targets")
    if known(listener.protocol, listener.targets):
        if listener.protocol in ("http", "socks5") and listener.targets:
            yield Mistake(key, f"the clients of {listener.protocol} say where they go; targets are for tcp and auto")
        yield from _twice(key, listener.targets)


def _taken(number: int, service: Service) -> Iterator[Mistake]:
    """Yield what is wrong with where a listener takes its targets from; all routes' listeners must be known."""
    listener, key = service.listener, ("listener", number, "targets")
    if len(service.routes) > 1:
        names = " and ".join(route.name for route in service.routes[:2] if known(route.name))
        yield Mistake(key, f"routes {names} both serve it; this release takes one route for a listener", present=False)
    if listener.targets or service.routes or not known(listener.name, listener.detect):
        return
    if listener.protocol == "tcp":
        yield Mistake(key, "missing: a tcp listener sends somewhere", _EXAMPLE, present=False)
    elif listener.protocol == "auto" and listener.detect and "tcp" in listener.detect:
        yield Mistake(key, "missing: detect names tcp", _EXAMPLE, present=False)


def _twice(key: Key, targets: list[Target]) -> Iterator[Mistake]:
    first: set[Endpoint] = set()
    for number, target in enumerate(targets):
        if known(target.address) and target.address in first:
            yield Mistake((*key, number, "address"), "is there twice; give it a weight instead")
        first.add(target.address)


def _routes(config: Config, served: list[Service]) -> Iterator[Mistake]:
    if not known(config.route):
        return
    by_name = {service.name: service for service in served if service.name}
    first: dict[str, int] = {}
    for number, route in enumerate(config.route):
        if known(route.name) and first.setdefault(route.name, number) != number:
            yield Mistake(("route", number, "name"), f"is the name of route {first[route.name] + 1} too")
        if not route.targets:
            yield Mistake(("route", number, "targets"), "missing", _EXAMPLE, present=False)
        elif known(route.targets):
            yield from _twice(("route", number, "targets"), route.targets)
        if known(route.listeners):
            for place, name in enumerate(route.listeners):
                yield from _served(("route", number, "listeners", place), name, by_name, len(by_name) == len(served))
            if not route.listeners and all(_idle(route, service) for service in served):
                yield Mistake(("route", number), "no listener needs it", present=False)


def _idle(route: Route, service: Service) -> bool:
    """Return whether a route surely serves nothing here."""
    listener = service.listener
    return known(listener.protocol, listener.targets, listener.detect) and route not in service.routes


def _served(key: Key, name: str, by_name: dict[str, Service], all_known: bool) -> Iterator[Mistake]:
    service = by_name.get(name)
    if service is None:
        if all_known:
            match = near(name, by_name)
            yield Mistake(key, "there is no such listener", f'"{match}"' if match else "")
    elif not known(service.listener.protocol, service.listener.targets, service.listener.detect):
        return
    elif service.listener.targets:
        yield Mistake(key, "that listener has targets of its own")
    elif not sends(service.listener):
        yield Mistake(key, f"that listener speaks {service.listener.protocol} and sends to no target")


def _loops(config: Config) -> Iterator[Mistake]:
    own: dict[int, list[str]] = {}
    for endpoint in (config.admin.listen, *(each.listen for each in config.listener)):
        if known(endpoint) and endpoint:
            own.setdefault(endpoint.port, []).append(endpoint.host)
    lists: dict[str, Sequence[Listener | Route]] = {"listener": config.listener, "route": config.route}
    for section, items in lists.items():
        for number, item in enumerate(items if known(items) else ()):
            for place, target in enumerate(item.targets if known(item.targets) else ()):
                if known(target.address) and _is_own(target.address, own):
                    yield Mistake((section, number, "targets", place, "address"), "is this node itself: a loop")


def _is_own(target: Endpoint, own: dict[int, list[str]]) -> bool:
    """Return whether a target is one of our own endpoints, as far as its text tells; the data plane knows the rest."""
    host = "127.0.0.1" if target.host.lower() == "localhost" else target.host
    return any(_reaches(host, each) for each in own.get(target.port, ()))


def _reaches(host: str, own: str) -> bool:
    if host in _WILDCARDS:  # connecting to the wildcard reaches loopback
        return is_loopback(own) or own in _WILDCARDS
    return host == own or (own in _WILDCARDS and is_loopback(host))
