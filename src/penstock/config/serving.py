"""Who serves what: the names of listeners, and the route from which each takes its targets."""

from collections.abc import Sequence
from typing import NamedTuple

from penstock.config.model import Config, Listener, Route, Target, known

OWN_ROUTE = "default"
"""Name of the route of a listener that has its own targets, or none."""


class Service(NamedTuple):
    """
    A listener with what it serves.

    Args:
        name: As configured, or protocol and port.
        listener: The listener.
        routes: Those that it could take its targets from: at most one, or the configuration is wrong.
    """

    name: str
    listener: Listener
    routes: tuple[Route, ...]

    @property
    def route(self) -> str:
        """The name of the route that its connections take."""
        return self.routes[0].name if self.routes else OWN_ROUTE

    @property
    def targets(self) -> Sequence[Target]:
        """Where it sends."""
        return self.routes[0].targets if self.routes else self.listener.targets

    @property
    def detect(self) -> tuple[str, ...]:
        """What an auto listener tells apart; nothing for the others."""
        if self.listener.protocol != "auto":
            return ()
        return tuple(self.listener.detect or (("http", "socks5", "tcp") if self.targets else ("http", "socks5")))


def services(config: Config) -> list[Service]:
    """
    Return every listener with its name and its routes.

    Args:
        config: May have holes where mistakes were found.
    """
    names = listener_names(config.listener)
    routes = config.route if known(config.route) else []
    return [Service(name, each, _routes(name, each, routes)) for name, each in zip(names, config.listener, strict=True)]


def sends(listener: Listener) -> bool:
    """Return whether it needs targets, or could use them."""
    if listener.protocol == "auto":
        return not listener.detect or (known(listener.detect) and "tcp" in listener.detect)
    return listener.protocol == "tcp"


def _routes(name: str, listener: Listener, routes: Sequence[Route]) -> tuple[Route, ...]:
    if listener.targets or not sends(listener):
        return ()
    return tuple(
        route for route in routes if not route.listeners or (known(route.listeners) and name in route.listeners)
    )


def listener_names(listeners: Sequence[Listener]) -> list[str]:
    """
    Return what each listener is called: its own name, or else one that no other has, such as `tcp-8001`.

    Args:
        listeners: May have holes; a listener whose name is unknown is called by the empty text.
    """
    taken: set[str] = {each.name for each in listeners if each.name is not None and known(each.name)}
    names = []
    for listener in listeners:
        name = listener.name
        if name is None:
            name = _free(_described(listener), taken)
            taken.add(name)
        names.append(name if known(name) else "")
    return names


def _described(listener: Listener) -> str:
    if not known(listener.listen, listener.protocol):
        return ""
    return f"{listener.protocol}-{'unix' if listener.listen.host.startswith('unix:') else listener.listen.port}"


def _free(name: str, taken: set[str]) -> str:
    free, number = name, 2
    while free in taken and name:  # ends: each turn tries another number, and as many are taken as there are listeners
        free, number = f"{name}-{number}", number + 1
    return free
