"""Listeners and routes as objects, for programs that embed the proxy: keywords are the keys of the file."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from penstock.config.functions import give

Table = Mapping[str, Any]
Text = str | UnsetType
OneOrMore = str | Sequence[str] | UnsetType


class Target(Struct, frozen=True):
    """
    A target.

    Args:
        address: `host:port`.
        weight: Its share, 1 or more.
        send_proxy: PROXY header that it gets: `off`, `v1` or `v2`.
    """

    address: str
    weight: int | UnsetType = UNSET
    send_proxy: str | UnsetType = UNSET


class Match(Struct, frozen=True, kw_only=True):
    """What a connection or request must be for a route to take it; keywords are the keys of `[route.match]`."""

    domains: OneOrMore = UNSET
    path: OneOrMore = UNSET
    clients: OneOrMore = UNSET
    users: OneOrMore = UNSET
    ports: Sequence[int | str] | int | str | UnsetType = UNSET
    destinations: OneOrMore = UNSET
    tls_versions: OneOrMore = UNSET
    sni: bool | UnsetType = UNSET


class Listener(Struct, frozen=True):
    """
    A listener; keywords are the keys of `[[listener]]`, and what is left out has the same default.

    Args:
        listen: Port, address and port, or `unix:/path`. Port 0 lets the kernel choose; see `Penstock.addresses`.
        protocol: tcp, http, socks5, tls or auto.
    """

    listen: str
    protocol: str = "tcp"
    name: Text = UNSET
    targets: Sequence[str | Target | Table] | UnsetType = UNSET
    users: Mapping[str, str] | UnsetType = UNSET
    users_file: str | Path | UnsetType = UNSET
    auth: Text = UNSET
    detect: Sequence[str] | UnsetType = UNSET
    reverse: bool | UnsetType = UNSET
    certificates: Sequence[str | Table] | UnsetType = UNSET
    acme: bool | UnsetType = UNSET
    tls: Table | UnsetType = UNSET
    inside: Text = UNSET
    accept_proxy: Text = UNSET
    limits: Table | UnsetType = UNSET
    trusted_proxies: OneOrMore = UNSET
    allow_private: bool | UnsetType = UNSET


class Route(Struct, frozen=True):
    """
    A route; keywords are the keys of `[[route]]`, and what is left out has the same default.

    Args:
        name: What it is called in metrics and logs.
        handler: `module:function`, or a function of this program, which only a node without worker processes can call.
            With it, the action is `handler`.
    """

    name: str
    listeners: Sequence[str] | UnsetType = UNSET
    priority: int | UnsetType = UNSET
    match: Match | Table | UnsetType = UNSET
    action: Text = UNSET
    targets: Sequence[str | Target | Table] | UnsetType = UNSET
    balance: Text = UNSET
    health_check: Table | UnsetType = UNSET
    passive: Table | UnsetType = UNSET
    slow_start: Text = UNSET
    tls: Text = UNSET
    target_tls: Table | UnsetType = UNSET
    send_proxy: Text = UNSET
    parent: str | Table | UnsetType = UNSET
    location: Text = UNSET
    status: int | UnsetType = UNSET
    body: Text = UNSET
    body_file: str | Path | UnsetType = UNSET
    content_type: Text = UNSET
    rewrite: Table | UnsetType = UNSET
    users: Mapping[str, str] | UnsetType = UNSET
    users_file: str | Path | UnsetType = UNSET
    handler: str | Callable[..., Any] | UnsetType = UNSET
    handler_timeout: Text = UNSET
    limits: Table | UnsetType = UNSET
    timeouts: Table | UnsetType = UNSET


def table_of(value: Any, given: list[str]) -> Any:
    """
    Return an object as TOML would give it: tables, lists and plain values.

    Args:
        value: An object of this module, or anything that may stand within one.
        given: Gets the names of functions that stood where a name may (`functions.give`).
    """
    if isinstance(value, Struct):
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        if isinstance(value, Route) and value.handler is not UNSET and value.action is UNSET:
            fields["action"] = "handler"
        return {name: table_of(each, given) for name, each in fields.items() if each is not UNSET}
    if isinstance(value, Mapping):
        return {str(key): table_of(each, given) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [table_of(each, given) for each in value]
    if isinstance(value, Path):
        return str(value)
    if callable(value):
        given.append(give(value))
        return given[-1]
    return value
