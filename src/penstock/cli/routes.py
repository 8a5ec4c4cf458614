"""Routes and certificates in words: as the configuration spells them, and short enough for a table."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.config.plan import HealthPlan, ListenerPlan, MatchPlan, NodePlan, ParentPlan, RoutePlan, TargetPlan
    from penstock.config.tls_plan import CertificatePlan, TargetTlsPlan, TlsPlan

HIDDEN = "***"

VERSIONS = {"1.0": 0x0301, "1.1": 0x0302, "1.2": 0x0303, "1.3": 0x0304}
"""Versions of TLS, by what operators call them."""

SHOWN = 3
"""Values of one key of a match in a table; a list may hold thousands."""


def all_routes(plan: "NodePlan") -> list[tuple["RoutePlan", list[str]]]:
    """Return every route that somebody has written, with its listeners' names: those that match, then own ones."""
    names = {each.id: each.name for each in plan.worker.listeners}
    found = [(each, [names[number] for number in each.match.listeners or names]) for each in plan.worker.routes]
    own: dict[int, tuple[RoutePlan, list[str]]] = {}
    for listener in plan.worker.listeners:
        if is_written(listener.route):
            own.setdefault(listener.route.id, (listener.route, []))[1].append(listener.name)
    return found + list(own.values())


def is_written(route: "RoutePlan") -> bool:
    """Return whether a route is more than the name of what a listener has by itself."""
    from penstock.config.serving import OWN_ROUTE  # noqa: PLC0415 - with the validator

    return route.name != OWN_ROUTE


def match_values(match: "MatchPlan") -> dict[str, Any]:
    """Return a match in the words of the configuration, without what matches all."""
    from penstock.config.match_kinds import serialize_destination, serialize_ports  # noqa: PLC0415

    versions = {number: name for name, number in VERSIONS.items()}
    values: dict[str, Any] = {
        "domains": list(match.domains),
        "path": list(match.paths),
        "clients": list(match.clients),
        "users": list(match.users),
        "ports": [serialize_ports(each) for each in match.ports],
        "destinations": [serialize_destination(each) for each in match.destinations],
        "tls_versions": [versions[each] for each in match.tls_versions],
    }
    said = {key: value for key, value in values.items() if value}
    return said if match.sni is None else said | {"sni": match.sni}


def match_words(match: "MatchPlan") -> str:
    """Return a match in one line: `domains a.example, *.b.example; path /api/*`."""
    return "; ".join(f"{key} {_words(value)}" for key, value in match_values(match).items()) or "-"


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(value[:SHOWN]) + (f" and {len(value) - SHOWN} more" if len(value) > SHOWN else "")


def outcome_words(route: "RoutePlan", *, forward: bool = True) -> str:
    """
    Return what becomes of what a route takes, in one line; empty for what is blocked.

    Args:
        route: The route.
        forward: Whether its listener's clients say where they go.
    """
    if route.action == "redirect":
        return f"{route.status} to {route.location}"
    if route.action == "answer":
        return str(route.status)
    if route.action == "handler":
        return route.handler
    if route.action == "block":
        return ""
    words = " ".join(target_words(route)) or ("where the client wants to go" if forward else "nowhere: it is refused")
    if route.parent is not None:
        words += f" through {route.parent.kind}://{_address(route.parent)}"
    extras = [route.tls] if route.tls != "terminate" else []
    extras += ["TLS to targets"] if route.target_tls is not None and route.tls == "terminate" else []
    extras += [f"PROXY {route.send_proxy}"] if route.send_proxy != "off" else []
    return f"{words} ({', '.join(extras)})" if extras else words


def target_values(target: "TargetPlan") -> dict[str, Any]:
    """Return a target as a configuration has it."""
    values: dict[str, Any] = {"address": str(target), "weight": target.weight}
    return values | ({"send_proxy": target.send_proxy} if target.send_proxy else {})


def target_words(route: "RoutePlan") -> list[str]:
    """Return where a route sends: address, and weight and PROXY header where it has its own."""
    return [_words_of(each) for each in route.targets]


def _words_of(target: "TargetPlan") -> str:
    weight = f" x{target.weight}" if target.weight > 1 else ""
    return f"{target}{weight}" + (f" PROXY {target.send_proxy}" if target.send_proxy else "")


def _address(parent: "ParentPlan") -> str:
    return f"[{parent.host}]:{parent.port}" if ":" in parent.host else f"{parent.host}:{parent.port}"


def certificate_values(certificate: "CertificatePlan") -> dict[str, Any]:
    """Return a certificate's files, names and day of its end; `-` for one that ACME brings."""
    return {
        "cert": certificate.cert,
        "key": certificate.key,
        "names": list(certificate.names),
        "expires": _day(certificate.not_after) if certificate.not_after else "-",
    }


def _day(seconds: int) -> str:
    from datetime import UTC, datetime  # noqa: PLC0415 - only where there are certificates

    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def listener_values(listener: "ListenerPlan") -> dict[str, Any]:
    """Return what a listener says of TLS, PROXY headers and the kind of proxy, in the words of the configuration."""
    values: dict[str, Any] = {}
    if listener.reverse:
        values["reverse"] = True
    if listener.protocol == "tls":
        values["inside"] = listener.inside
    if listener.tls is not None:
        values["certificates"] = [certificate_values(each) for each in listener.tls.certificates]
        values["tls"] = _tls(listener.tls)
    if listener.challenge:
        values["challenge"] = listener.challenge
    if listener.accept_proxy != "off":
        values |= {"accept_proxy": listener.accept_proxy, "trusted_proxies": list(listener.trusted_proxies)}
    return values


def _tls(tls: "TlsPlan | TargetTlsPlan") -> dict[str, Any]:
    values = {name: _plain(getattr(tls, name)) for name in tls.__struct_fields__ if name != "certificates"}
    return {name: value for name, value in values.items() if value not in ("", [], None)}


def route_values(route: "RoutePlan", listeners: Iterable[str]) -> dict[str, Any]:
    """
    Return a route in the words of the configuration, without what it has no use for; secrets are hidden.

    Args:
        route: The route.
        listeners: Names of those that it serves.
    """
    values: dict[str, Any] = {"name": route.name, "listeners": list(listeners), "priority": route.priority}
    if match := match_values(route.match):
        values["match"] = match
    values["action"] = route.action
    if route.action in ("redirect", "answer"):
        values["status"] = route.status
    if route.action == "redirect":
        values["location"] = route.location
    if route.action == "answer":
        values |= {"body": route.body, "content_type": route.content_type}
    if route.action == "handler":
        values |= {"handler": route.handler, "handler_timeout": _duration(route.handler_timeout)}
    if route.action in ("forward", "handler"):
        values |= _way(route)
    if route.users:
        values["users"] = dict.fromkeys(route.users, HIDDEN)
    if route.users_file:
        values["users_file"] = route.users_file
    return values


def _way(route: "RoutePlan") -> dict[str, Any]:
    values: dict[str, Any] = {"tls": route.tls} if route.tls != "terminate" else {}
    values["send_proxy"] = route.send_proxy
    timeouts = {name: getattr(route.timeouts, name) for name in route.timeouts.__struct_fields__}
    if said := {name: _duration(value) for name, value in timeouts.items() if value is not None}:
        values["timeouts"] = said
    if route.targets:
        values["targets"] = [target_values(each) for each in route.targets]
        values |= {"balance": route.balance} | _health(route.health)
    if route.target_tls is not None:
        values["target_tls"] = _tls(route.target_tls)
    if route.parent is not None:
        values["parent"] = _parent(route.parent)
    rewrite = {name: _plain(getattr(route.rewrite, name)) for name in route.rewrite.__struct_fields__}
    for name in ("set_request", "set_response"):
        rewrite[name] = dict(rewrite[name])
    changes = {name: value for name, value in rewrite.items() if value not in ("", [], {}, "x-forwarded")}
    return values | ({"rewrite": changes} if changes else {})


def _health(health: "HealthPlan") -> dict[str, Any]:
    values: dict[str, Any] = {
        "passive": {"failures": health.failures, "ejection": _duration(health.ejection)},
        "slow_start": _duration(health.slow_start),
    }
    if health.kind == "off":
        return values
    check: dict[str, Any] = {"kind": health.kind}
    if health.kind == "http":
        from penstock.config.match_kinds import serialize_ports  # noqa: PLC0415 - ranges of statuses read alike

        check |= {"path": health.path, "expect": [serialize_ports(each) for each in health.expect]}
        check |= {"host": health.host} if health.host else {}
    check |= {"interval": _duration(health.interval), "timeout": _duration(health.timeout)}
    return values | {"health_check": check | {"rise": health.rise, "fall": health.fall}}


def _parent(parent: "ParentPlan") -> dict[str, Any]:
    values: dict[str, Any] = {"kind": parent.kind, "address": _address(parent)}
    if parent.user:
        values |= {"user": parent.user, "password": HIDDEN}
    return values | ({"tls": _tls(parent.tls)} if parent.kind == "https" else {})


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _duration(ns: int) -> str:
    from penstock.config.units import serialize_duration  # noqa: PLC0415

    return serialize_duration(ns) if ns else "off"
