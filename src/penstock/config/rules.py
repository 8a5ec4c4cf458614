"""What keys mean together: names that occur twice, addresses that collide, targets that are missing or lead back."""

from collections.abc import Iterator, Sequence

from penstock.base import bounds
from penstock.base.addresses import Endpoint, is_loopback
from penstock.base.clock import NS
from penstock.config.access_rules import access_mistakes
from penstock.config.acme import own_endpoint
from penstock.config.acme_rules import acme_mistakes
from penstock.config.limit_rules import limit_mistakes
from penstock.config.listener import Listener
from penstock.config.listener_rules import listener_mistakes, served_mistakes
from penstock.config.mistakes import Assign, Mistake
from penstock.config.model import Config, Metrics
from penstock.config.route import Route, is_own
from penstock.config.route_rules import route_mistakes
from penstock.config.serving import OWN_ROUTE, Service, services, serving
from penstock.config.speaks import Speaks, Unfit, unfit, unheard
from penstock.config.table import known
from penstock.config.translate import near

_WILDCARDS = ("::", "0.0.0.0")

SAMPLE_BYTES = 16
"""One sample of one tracker: four 32-bit floats (`metrics.rings`)."""


def check(config: Config) -> list[Mistake]:
    """
    Return what is wrong between keys that are right by themselves.

    Args:
        config: May have holes where mistakes were found: what depends on them is not judged.
    """
    mistakes, crowded = (
        [*_admin(config), *_limits(config), *limit_mistakes(config), *_metrics(config.metrics)],
        list(_counts(config)),
    )
    if known(config.listener) and not crowded:
        served = services(config)
        mistakes += [*_same_names(served), *_same_addresses(config), *_user_limits(config)]
        for number, service in enumerate(served):
            mistakes += listener_mistakes(number, service)
        if known(config.acme):
            mistakes += acme_mistakes(config.acme, served)
        if known(config.route):
            found = list(_routes(config, served))
            mistakes += [*found, *_served(config, served, _lacking(config, found))]
        if known(config.access):
            mistakes += access_mistakes(config.access, served)
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


USER_LIMITS = ("connections_per_user", "rate_per_user", "bandwidth_per_user", "quota_per_user")
"""Limits of every user."""


def _user_limits(config: Config) -> Iterator[Mistake]:
    """Yield limits of users that nobody is, or that no login tells apart."""
    limits = config.limits
    if not known(config.route):
        return
    holders: list[Listener | Route] = [*config.listener, *config.route]
    if not known(limits.users) or not all(known(each.users) for each in holders):
        return
    given = [name for name in USER_LIMITS if getattr(limits, name) not in ("off", None)]
    names = {name for each in holders for name in each.users}
    logins = (each.auth for each in config.listener if each.auth is not None and known(each.auth))
    names |= {login.get_secret_value().partition(":")[0] for login in logins}
    open_ended = any(each.users_file is not None for each in holders)  # who stands nowhere is told elsewhere: strangers
    for name in given if not names and not open_ended else ():
        yield Mistake(("limits", name), "nobody asks who users are: no listener and no route has users")
    first: set[str] = set()
    for place, each in enumerate(limits.users):
        if not known(each.name):
            continue
        if each.name in first:
            yield Mistake(("limits", "users", place, "name"), "is there twice")
        elif each.name not in names and not open_ended:
            match = near(each.name, names)
            yield Mistake(("limits", "users", place, "name"), "there is no such user", f'"{match}"' if match else "")
        first.add(each.name)


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
            most = bounds.LISTENERS if section == "listener" else bounds.ROUTES
            if len(items) > most:
                yield Mistake((section,), f"{len(items)} of them; a node takes at most {most}", present=False)
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
                yield Mistake(key, f"is the address of {_called(config, sockets[listen.host])} too")
        elif listen.port:
            held = ports.setdefault(listen.port, [])
            other = next(((who, address) for who, address in held if _overlap(address.host, listen.host)), None)
            if other:
                yield Mistake(key, f"{other[0]} takes {other[1]} already")
            held.append((_called(config, number), listen))
    own = own_endpoint(config.acme) if known(config.acme) else None
    for who, address in ports.get(own.port, []) if own is not None and own.port else []:
        if own is not None and _overlap(address.host, own.host):
            what = f"{who} takes {address} already, where challenges would be answered"
            given = config.acme.http_listen is not None
            write = "" if given else 'http_listener = "NAME" with its name, if it is a reverse http listener'
            yield Mistake(("acme", "http_listen"), what, write, present=given)


def _called(config: Config, number: int) -> str:
    """Return a listener as an operator knows it: by its name, or its place in the file."""
    name = config.listener[number].name
    return f"listener {name}" if known(name) and name else f"listener {number + 1}"


def _overlap(one: str, other: str) -> bool:
    """Return whether the kernel refuses to bind both hosts to one port; `::` takes IPv4 as well."""
    if one == other or "::" in (one, other):
        return True
    return "0.0.0.0" in (one, other) and ":" not in one + other


def _routes(config: Config, served: list[Service]) -> Iterator[Mistake]:
    by_name = {service.name: service for service in served if service.name}
    taken = {id(route) for service in served for route in service.routes}
    kinds = _kinds(served)
    first: dict[str, int] = {}
    for number, route in enumerate(config.route):
        if known(route.name) and first.setdefault(route.name, number) != number:
            yield Mistake(("route", number, "name"), f"is the name of route {first[route.name] + 1} too")
        elif known(route.name) and route.name == OWN_ROUTE and not is_own(route):
            what = "is what a listener's own route is called, and this one has something to match"
            yield Mistake(("route", number, "name"), what)
        yield from route_mistakes(number, route)
        if known(route.listeners):
            for place in range(len(route.listeners)):
                yield from _named(number, place, route, by_name, len(by_name) == len(served))
            if not route.listeners:
                yield from _for_all(number, route, kinds, taken)
            if "timeouts" in route.model_fields_set and kinds and (why := unheard(route, _served_by(route, served))):
                yield _unfit(number, why)


def _served_by(route: Route, served: list[Service]) -> list[Speaks]:
    """Return what the listeners speak that a route serves, each once."""
    if is_own(route) and not route.listeners:
        found = [service.speaks for service in served if route in service.routes]
    else:
        found = [served[place].speaks for place in serving(route, served)]
    return list(dict.fromkeys(each for each in found if each is not None))


def _kinds(served: list[Service]) -> list[Speaks] | None:
    """Return what the listeners speak, each once; None if that is not known of all of them."""
    kinds = [service.speaks for service in served if service.speaks is not None and known(service.listener.targets)]
    return list(dict.fromkeys(kinds)) if len(kinds) == len(served) else None


def _named(number: int, place: int, route: Route, by_name: dict[str, Service], all_known: bool) -> Iterator[Mistake]:
    """Yield what is wrong with one of the listeners that a route names."""
    name, key = route.listeners[place], ("route", number, "listeners", place)
    if name in route.listeners[:place]:
        yield Mistake(key, "is there twice")
        return
    service = by_name.get(name)
    if service is None:
        if all_known:
            match = near(name, by_name)
            yield Mistake(key, "there is no such listener", f'"{match}"' if match else "")
    elif service.speaks is not None and (why := unfit(route, service.speaks)):
        yield _unfit(number, why)
    elif known(service.listener.targets) and service.listener.targets and is_own(route):
        yield Mistake(key, "that listener has targets of its own, and the route has nothing to match")


def _for_all(number: int, route: Route, kinds: list[Speaks] | None, taken: set[int]) -> Iterator[Mistake]:
    """
    Yield what is wrong with a route that names no listener: that none can have it.

    Args:
        number: Its place in the list.
        route: The route.
        kinds: What the listeners speak; None if that is not known of all of them.
        taken: The own routes of listeners, by identity.
    """
    if kinds is None or id(route) in taken or not known(route.match):
        return
    whys = dict.fromkeys(unfit(route, each) for each in kinds)
    first = next(iter(whys), None)
    if first is not None and None not in whys and (not is_own(route) or len(whys) == 1):
        yield _unfit(number, first)
    elif is_own(route):
        yield Mistake(("route", number), "no listener needs it", present=False)


def _unfit(number: int, why: Unfit) -> Mistake:
    return Mistake(("route", number, *why.key), why.what, why.write, present=why.present)


def _lacking(config: Config, found: list[Mistake]) -> list[Route]:
    """Return the routes that were found to lack targets: their listeners are not blamed for it once more."""
    return [config.route[int(each.key[1])] for each in found if each.key[2:] == ("targets",) and not each.present]


def _served(config: Config, served: list[Service], lacking: list[Route]) -> Iterator[Mistake]:
    """Yield what is wrong between listeners and routes; nothing where routes are not known well enough."""
    if not all(known(route.listeners, route.match, route.action, route.targets) for route in config.route):
        return
    matched: list[list[Route]] = [[] for _ in served]
    for route in config.route:
        if not is_own(route):
            for place in serving(route, served):
                matched[place].append(route)
    for number, service in enumerate(served):
        blamed = any(not route.listeners or service.name in route.listeners for route in lacking)
        yield from served_mistakes(number, service, matched[number], blamed=blamed)


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
            parent = item.parent if isinstance(item, Route) else None
            if parent and known(parent) and known(parent.address) and _is_own(parent.address, own):
                yield Mistake((section, number, "parent", "address"), "is this node itself: a loop")


def _is_own(target: Endpoint, own: dict[int, list[str]]) -> bool:
    """Return whether a target is one of our own endpoints, as far as its text tells; the data plane knows the rest."""
    host = "127.0.0.1" if target.host.lower() == "localhost" else target.host
    return any(_reaches(host, each) for each in own.get(target.port, ()))


def _reaches(host: str, own: str) -> bool:
    if host in _WILDCARDS:  # connecting to the wildcard reaches loopback
        return is_loopback(own) or own in _WILDCARDS
    return host == own or (own in _WILDCARDS and is_loopback(host))
