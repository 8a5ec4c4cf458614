"""Who serves what: the names of listeners, and the routes that their connections can take."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from penstock.config.listener import Listener
from penstock.config.model import Config
from penstock.config.route import Route, is_own
from penstock.config.speaks import Speaks, speaks, unfit
from penstock.config.table import known
from penstock.config.way import Target

OWN_ROUTE = "default"
"""Name of the route of a listener that has its own targets, or none."""


class Service(NamedTuple):
    """
    A listener with what it serves.

    Args:
        name: As configured, or protocol and port.
        listener: The listener.
        routes: Those without a match that could be its own: at most one, or the configuration is wrong.
        speaks: What it speaks; None where that is unknown.
    """

    name: str
    listener: Listener
    routes: tuple[Route, ...]
    speaks: Speaks | None

    @property
    def own(self) -> Route | None:
        """The route that its connections take where no other matches; None where nobody gave it one."""
        return self.routes[0] if self.routes else None

    @property
    def route(self) -> str:
        """The name of that route."""
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
    Return every listener with its name and its own routes.

    Args:
        config: May have holes where mistakes were found.
    """
    names = listener_names(config.listener)
    own = [route for route in config.route if is_own(route)] if known(config.route) else []
    for_all = [route for route in own if not route.listeners]
    for_some: dict[str, list[Route]] = {}
    for route in own:
        for name in dict.fromkeys(route.listeners if known(route.listeners) else ()):
            for_some.setdefault(name, []).append(route)
    served = []
    for name, listener in zip(names, config.listener, strict=True):
        what = speaks(listener)
        routes = tuple(_own(listener, what, for_all, for_some.get(name, ())))
        served.append(Service(name, listener, routes, what))
    return served


def _own(listener: Listener, what: Speaks | None, for_all: Iterable[Route], named: Iterable[Route]) -> Iterable[Route]:
    """Return the routes that could be a listener's own; one with targets of its own takes none."""
    if listener.targets or what is None:
        return []
    fitting = [route for route in named if unfit(route, what) is None]
    return fitting + [route for route in for_all if takes(route, what)]


def takes(route: Route, what: Speaks) -> bool:
    """Return whether a route that names no listener serves one that speaks like this."""
    sends = is_own(route) and known(route.action, route.targets) and route.action == "forward" and bool(route.targets)
    return unfit(route, what) is None and (what.sends or not sends)


def serving(route: Route, served: Sequence[Service]) -> list[int]:
    """
    Return which listeners' connections can take a route that matches, by their places.

    Args:
        route: The route; without holes in its listeners.
        served: All listeners.
    """
    if route.listeners:
        names = set(route.listeners)
        return [place for place, service in enumerate(served) if service.name in names]
    fits: dict[Speaks | None, bool] = {None: True}
    for service in served:
        if service.speaks is not None and service.speaks not in fits:
            fits[service.speaks] = takes(route, service.speaks)
    return [place for place, service in enumerate(served) if fits[service.speaks]]


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
            name = free_name(_described(listener), taken)
            taken.add(name)
        names.append(name if known(name) else "")
    return names


def _described(listener: Listener) -> str:
    if not known(listener.listen, listener.protocol):
        return ""
    return f"{listener.protocol}-{'unix' if listener.listen.host.startswith('unix:') else listener.listen.port}"


def free_name(name: str, taken: set[str]) -> str:
    """Return the first of `name`, `name-2`, `name-3` ... that is not taken; the empty text as it is."""
    free, number = name, 2
    while free in taken and name:  # ends: each turn tries another number, and as many are taken as there are listeners
        free, number = f"{name}-{number}", number + 1
    return free
