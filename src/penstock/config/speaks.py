"""What a listener speaks, and which routes it can serve because of that."""

from collections.abc import Collection
from typing import NamedTuple

from penstock.config.listener import Listener
from penstock.config.mistakes import Assign
from penstock.config.route import Route, is_own
from penstock.config.table import known


class Speaks(NamedTuple):
    """
    What matters of a listener to routes.

    Args:
        what: In words: `a tls listener`.
        tls: Whether its clients speak TLS.
        web: Whether each request finds its own route, as in a reverse proxy.
        asks: Whether clients say where they go, as those of forward proxies do.
        sends: Whether there is something that needs targets, or another route.
        logins: Whether clients prove who they are before a route is found.
        answers: Whether it sees answers of HTTP.
    """

    what: str
    tls: bool = False
    web: bool = False
    asks: bool = False
    sends: bool = False
    logins: bool = False
    answers: bool = False


class Unfit(NamedTuple):
    """
    Why a listener cannot serve a route.

    Args:
        key: What of the route is in the way, below it; empty for all of it.
        what: For the operator.
        write: What to write instead; empty for nothing.
        present: Whether the key is written.
    """

    key: tuple[str, ...]
    what: str
    write: str | Assign = ""
    present: bool = True


def speaks(listener: Listener) -> Speaks | None:
    """Return what a listener speaks; None where it is unknown."""
    protocol, detect = listener.protocol, listener.detect
    if not known(
        protocol, detect, listener.inside, listener.reverse, listener.users, listener.auth, listener.users_file
    ):
        return None
    logins = bool(listener.users or listener.auth or listener.users_file)
    if protocol == "tcp":
        return Speaks("a tcp listener", sends=True)
    if protocol == "http" and listener.reverse:
        return Speaks("a reverse http listener", web=True, sends=True, answers=True)
    if protocol == "http":
        return Speaks("an http listener", asks=True, logins=logins, answers=True)
    if protocol == "socks5":
        return Speaks("a socks5 listener", asks=True, logins=logins)
    if protocol == "tls":
        inside = listener.inside or "tcp"
        return Speaks(
            f"a tls listener with {inside} inside", tls=True, web=inside == "http", sends=True, answers=inside == "http"
        )
    told = detect or ("http", "socks5", "tcp")
    asks = "http" in told or "socks5" in told
    return Speaks("an auto listener", asks=asks, sends="tcp" in told, logins=logins, answers="http" in told)


def unfit(route: Route, listener: Speaks) -> Unfit | None:
    """
    Return why a listener cannot serve a route, or None if it can. What is unknown is no reason.

    Args:
        route: The route; may have holes.
        listener: What the listener speaks.
    """
    return _tls(route, listener) or _web(route, listener) or _match(route, listener) or _targets(route, listener)


def _tls(route: Route, listener: Speaks) -> Unfit | None:
    if not known(route.tls):
        return None
    if route.tls == "none" and listener.tls:
        return Unfit(("tls",), f"{listener.what} terminates TLS or passes it through", '"terminate"')
    if route.tls not in (None, "none") and not listener.tls:
        instead = 'target_tls = {} for TLS with the targets, or "none"'
        return Unfit(("tls",), f"{listener.what} speaks no TLS", instead)
    return None


def _web(route: Route, listener: Speaks) -> Unfit | None:
    if listener.web:
        return None
    what = f"{listener.what} looks at no single requests"
    instead = 'inside = "http" in the listener' if listener.tls else _instead(listener)
    if known(route.action) and route.action in ("redirect", "answer"):
        return Unfit(("action",), what, instead)
    if known(route.match) and route.match.path:
        return Unfit(("match", "path"), what, instead)
    for key in ("rewrite", "users", "users_file"):
        value = getattr(route, key)
        if key in route.model_fields_set and known(value) and value:
            return Unfit((key,), what, instead)
    return None


def unheard(route: Route, listeners: Collection[Speaks]) -> Unfit | None:
    """
    Return why a route waits for answers that nobody would see; None if somebody does.

    A listener that sees none is served all the same: that it is not would lead its clients around the route.

    Args:
        route: The route; may have holes.
        listeners: What those speak that it serves.
    """
    timeouts = route.timeouts
    if not known(timeouts) or not known(timeouts.response) or timeouts.response is None:
        return None
    if not listeners or any(each.answers for each in listeners):
        return None
    listener = next(iter(listeners))
    return Unfit(("timeouts", "response"), f"{listener.what} sees no answers of HTTP", Assign("idle", '"1m"'))


def _match(route: Route, listener: Speaks) -> Unfit | None:
    match = route.match
    if not known(match):
        return None
    if not listener.tls and match.tls_versions:
        return Unfit(("match", "tls_versions"), f"{listener.what} speaks no TLS")
    if not listener.tls and match.sni is not None:
        return Unfit(("match", "sni"), f"{listener.what} speaks no TLS")
    if match.domains and not (listener.tls or listener.web or listener.asks):
        return Unfit(("match", "domains"), f"the clients of {listener.what} name no host")
    if match.destinations and not listener.asks:
        return Unfit(("match", "destinations"), f"the clients of {listener.what} do not say where they go")
    if match.users and not listener.logins:
        return Unfit(("match", "users"), f"{listener.what} asks nobody who they are, without users of its own")
    return None


def _targets(route: Route, listener: Speaks) -> Unfit | None:
    if not known(route.action, route.targets) or route.action != "forward":
        return None
    if not route.targets and not listener.asks:
        what = f"missing: the clients of {listener.what} do not say where they go"
        return Unfit(("targets",), what, Assign("targets", '["example.com:80"]'), present=False)
    if route.targets and is_own(route) and not listener.sends:
        return Unfit(("targets",), f"the clients of {listener.what} say where they go", _instead(listener))
    return None


def _instead(listener: Speaks) -> str:
    return "reverse = true in the listener" if listener.what == "an http listener" else ""
