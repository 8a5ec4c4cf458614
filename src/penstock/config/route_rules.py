"""What the keys of one route mean together: what an action needs, and what it has no use for."""

from collections.abc import Iterator

from penstock.base.addresses import Endpoint
from penstock.config.mistakes import Assign, Key, Mistake
from penstock.config.route import Route
from penstock.config.table import known
from penstock.config.units import serialize_duration
from penstock.config.way import HealthCheck, Parent, Target, TargetTls

ONLY_FOR = {
    "location": ("redirect",),
    "status": ("redirect", "answer"),
    "body": ("answer",),
    "body_file": ("answer",),
    "content_type": ("answer",),
    "handler": ("handler",),
    "handler_timeout": ("handler",),
    "targets": ("forward", "handler"),
    "balance": ("forward", "handler"),
    "health_check": ("forward", "handler"),
    "passive": ("forward", "handler"),
    "slow_start": ("forward", "handler"),
    "target_tls": ("forward", "handler"),
    "send_proxy": ("forward", "handler"),
    "parent": ("forward", "handler"),
    "rewrite": ("forward", "handler"),
    "timeouts": ("forward", "handler"),
    "limits": ("forward", "handler"),
}
"""Actions that have a use for a key; keys that are not here are for all."""

NEED_TARGETS = ("balance", "health_check", "passive", "slow_start", "target_tls", "send_proxy")

ACTIONS = {
    "location": "redirect", "status": "redirect", "body": "answer", "body_file": "answer", "content_type": "answer",
    "handler": "handler", "handler_timeout": "handler",
}  # fmt: skip
"""What was probably meant where a key stands without its action."""

REDIRECTS = (301, 302, 303, 307, 308)
"""RFC 9110 section 15.4; the others have no Location, or mean something else."""


def route_mistakes(number: int, route: Route) -> Iterator[Mistake]:
    """
    Yield what is wrong between the keys of one route.

    Args:
        number: Its place in the list.
        route: May have holes.
    """
    key: Key = ("route", number)
    yield from _action(key, route)
    yield from _passthrough(key, route)
    yield from _without_targets(key, route)
    yield from twice((*key, "targets"), route.targets)
    if known(route.health_check) and route.health_check is not None:
        yield from _health_check((*key, "health_check"), route.health_check)
    if known(route.parent) and route.parent is not None:
        yield from _parent(key, route, route.parent)
    if known(route.target_tls) and route.target_tls is not None:
        yield from _certificate((*key, "target_tls"), route.target_tls)


def twice(key: Key, targets: list[Target]) -> Iterator[Mistake]:
    """Yield a mistake for each target that its list has already."""
    first: set[Endpoint] = set()
    for number, target in enumerate(targets if known(targets) else ()):
        if known(target.address) and target.address in first:
            yield Mistake((*key, number, "address"), "is there twice; give it a weight instead")
        first.add(target.address)


def _written(route: Route, name: str) -> bool:
    """Return whether an operator wrote a key, and it is known what."""
    return name in route.model_fields_set and known(getattr(route, name))


def _action(key: Key, route: Route) -> Iterator[Mistake]:
    action = route.action
    if not known(action):
        return
    for name, actions in ONLY_FOR.items():
        if _written(route, name) and action not in actions and getattr(route, name) not in ([], "off"):
            meant = ACTIONS.get(name)
            yield Mistake((*key, name), f"is for {' and '.join(actions)}, and the action is {action}", _meant(meant))
    if action == "redirect" and known(route.location, route.status):
        if route.location is None:
            yield _missing(key, "location", "a redirect sends somewhere", '"https://{host}{path}{query}"')
        if route.status is not None and route.status not in REDIRECTS:
            yield Mistake((*key, "status"), "a redirect is 301, 302, 303, 307 or 308", "302")
    if action == "answer" and known(route.body, route.body_file) and None not in (route.body, route.body_file):
        yield Mistake((*key, "body_file"), "body says already what the answer holds; keep one")
    if action == "handler" and known(route.handler) and route.handler is None:
        yield _missing(key, "handler", "the action is handler", '"rules:decide"')


def _meant(action: str | None) -> Assign | str:
    return Assign("action", f'"{action}"') if action else ""


def _missing(key: Key, name: str, why: str, example: str) -> Mistake:
    return Mistake((*key, name), f"missing: {why}", Assign(name, example), present=False)


def _passthrough(key: Key, route: Route) -> Iterator[Mistake]:
    if not known(route.tls) or route.tls != "passthrough":
        return
    what = "nobody reads what a route passes through"
    if known(route.match) and route.match.path:
        yield Mistake((*key, "match", "path"), what, Assign("tls", '"terminate"'))
    if known(route.action) and route.action in ("redirect", "answer", "handler"):
        yield Mistake((*key, "action"), what, Assign("tls", '"terminate"'))
    for name in ("rewrite", "users", "users_file", "target_tls"):
        if _written(route, name) and (getattr(route, name) or name == "target_tls"):
            yield Mistake((*key, name), what, Assign("tls", '"terminate"'))
    if known(route.action, route.targets) and route.action == "forward" and not route.targets:
        yield _missing(key, "targets", "what is passed through goes somewhere", '["example.com:443"]')


def _without_targets(key: Key, route: Route) -> Iterator[Mistake]:
    if not known(route.targets, route.action) or route.targets or route.action != "forward":
        return
    for name in NEED_TARGETS:
        if _written(route, name) and getattr(route, name) not in (None, "off", 0):
            yield Mistake((*key, name), "is about targets, and the route has none")
    if known(route.tls) and route.tls == "terminate_and_reencrypt":
        yield Mistake((*key, "tls"), "is about targets, and the route has none", '"terminate"')


def _health_check(key: Key, check: HealthCheck) -> Iterator[Mistake]:
    if known(check.interval, check.timeout) and check.timeout > check.interval:
        longest = serialize_duration(check.interval)
        name = "timeout" if "timeout" in check.model_fields_set else "interval"
        write = f'"{longest}"' if name == "timeout" else f'"{serialize_duration(check.timeout)}"'
        what = f"a check may take {serialize_duration(check.timeout)}, and the next begins after {longest}"
        yield Mistake((*key, name), what, write)
    if known(check.kind) and check.kind == "tcp":
        for name in ("path", "host", "expect"):
            if name in check.model_fields_set and known(getattr(check, name)):
                yield Mistake((*key, name), "is for checks by HTTP", Assign("kind", '"http"'))
    if known(check.expect) and not check.expect:
        yield Mistake((*key, "expect"), "no status would be well", '["200-399"]')


def _parent(key: Key, route: Route, parent: Parent) -> Iterator[Mistake]:
    there = (*key, "parent")
    if known(parent.kind) and parent.kind == "https":
        yield from _tls_in_tls(key, route)
    elif known(parent.kind) and "tls" in parent.model_fields_set:
        yield Mistake((*there, "tls"), "is for a parent of kind https", Assign("kind", '"https"'))
    if known(parent.user, parent.password):
        if parent.password is not None and parent.user is None:
            yield Mistake((*there, "user"), "missing: a password has a user", present=False)
        if parent.user is not None and parent.password is None:
            yield Mistake((*there, "password"), "missing: a user has a password", present=False)
    if known(parent.tls):
        yield from _certificate((*there, "tls"), parent.tls)
    if _written(route, "passive") and known(route.passive.failures) and route.passive.failures:
        what = "takes no target out, as the parent may be what has failed"
        yield Mistake((*key, "passive"), what, "no parent, or failures = 0")


def _tls_in_tls(key: Key, route: Route) -> Iterator[Mistake]:
    what, write = "TLS with targets does not fit into the TLS of an https parent", "a parent of kind http or socks5"
    if known(route.target_tls) and route.target_tls is not None:
        yield Mistake((*key, "target_tls"), what, write)
    elif known(route.tls) and route.tls == "terminate_and_reencrypt":
        yield Mistake((*key, "tls"), what, write)


def _certificate(key: Key, tls: TargetTls) -> Iterator[Mistake]:
    if known(tls.key, tls.cert) and tls.key is not None and tls.cert is None:
        yield Mistake((*key, "cert"), "missing: a key has a certificate", Assign("cert", '"client.pem"'), present=False)
    if known(tls.verify, tls.ca) and not tls.verify and tls.ca is not None:
        yield Mistake((*key, "ca"), "is not asked, for verify is false", Assign("verify", "true"))
