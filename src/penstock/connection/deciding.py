"""
Decisions of handlers: what they are told, what their answers mean, and how a connection goes where they send it.

A handler that refuses ends the connection as `access`; one that gives no answer that can be used, as `other`.
"""

import re
from collections.abc import Generator, Mapping
from typing import Any

from penstock.base.addresses import parse_target
from penstock.base.bounds import DIAL_TARGETS, HANDLER_FIELDS
from penstock.base.errors import AddressError
from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason
from penstock.config.plan import ListenerPlan, RoutePlan
from penstock.connection.commands import (
    Command,
    Decide,
    Dial,
    DialAny,
    DialFailed,
    Facts,
    Take,
    Undecided,
    Verdict,
    Way,
)
from penstock.connection.routing import BLOCKED
from penstock.policy import actions

UNDECIDED = Outcome(EndedBy.PROXY, Phase.DECIDE, Reason.OTHER)

REDIRECTS = (301, 302, 303, 307, 308)

LOCATION_CHARACTERS = 2_048
"""As long as a configured location may be."""

BODY_BYTES = 65_536
"""As long as a configured body may be."""

_TLS_VERSIONS = {0x0301: "1.0", 0x0302: "1.1", 0x0303: "1.2", 0x0304: "1.3"}
_VISIBLE = re.compile(r"[!-~]+")
_VALUE = re.compile(r"[ -~]+")
_OWN: Verdict = ()


class Refused(Exception):  # noqa: N818 - it is news, not an error of ours
    """
    A handler lets this connection or request not pass.

    Args:
        outcome: `BLOCKED` if it said so, `UNDECIDED` if it said nothing that can be used.
        detail: For the log.
    """

    def __init__(self, outcome: Outcome, detail: str) -> None:
        super().__init__(detail)
        self.outcome, self.detail = outcome, detail


def consult(
    facts: Facts,
    listener: ListenerPlan,
    route: RoutePlan,
    host: str = "",
    port: int = 0,
    *,
    user: str = "",
    asked: bool = False,
    **more: Any,
) -> Generator[Command, Any, tuple[Way, ...]]:
    """
    Ask a route's handler where a connection goes, and return the ways; none for the route's own.

    Args:
        facts, listener, host, port, user, asked: As for `route_of`.
        route: With the action `handler`.
        more: Other fields of `actions.Facts`.

    Raises:
        Refused: If it may not pass.
    """
    told = facts_of(facts, listener, route, host, port, user=user, asked=asked, **more)
    verdict = yield from ask(Decide(route, told))
    assert isinstance(verdict, tuple)  # noqa: S101 - `settle` lets nothing else through unless answers are allowed
    return verdict


def ask(command: Decide) -> Generator[Command, Any, tuple[Way, ...] | actions.Redirect | actions.Answer]:
    """Ask a handler, and return what it wants; raises Refused if it may not pass."""
    verdict: Verdict | Undecided = yield command
    if isinstance(verdict, Undecided):
        raise Refused(UNDECIDED, f"handler of route {command.route}: {verdict.why}")
    if isinstance(verdict, actions.Block):
        raise Refused(BLOCKED, verdict.why or f"the handler of route {command.route} blocks it")
    return verdict


def facts_of(
    facts: Facts,
    listener: ListenerPlan,
    route: RoutePlan,
    host: str = "",
    port: int = 0,
    *,
    asked: bool = False,
    **more: Any,
) -> actions.Facts:
    """Return what a handler is told; arguments as for `consult`."""
    return actions.Facts(
        client=facts.client_host,
        client_port=facts.client_port,
        listener=listener.name,
        route=route.name,
        host=host or facts.server_name,
        port=port or listener.port,
        destination=(f"[{host}]:{port}" if ":" in host else f"{host}:{port}") if asked else "",
        server_name=facts.server_name,
        tls_version=_TLS_VERSIONS.get(facts.tls_version, ""),
        **more,
    )


def fields_of(lines: bytes) -> tuple[tuple[str, str], ...]:
    """Return the fields of a request head, or of what of it goes on, as (name in lower case, value)."""
    pairs = (line.partition(b":") for line in lines.split(b"\r\n")[1:])
    found = [(name, value) for name, _, value in pairs if name][:HANDLER_FIELDS]
    return tuple((name.decode("latin-1").lower(), value.strip(b" \t").decode("latin-1")) for name, value in found)


def reach(ways: tuple[Way, ...], taken: RoutePlan | None = None) -> Generator[Command, Any, Any]:
    """
    Connect to the first way that leads anywhere, and return `Dialed`.

    Args:
        ways: At least one.
        taken: The route that the connection takes already.

    Raises:
        DialFailed: That of the last one.
    """
    for left, way in zip(range(len(ways) - 1, -1, -1), ways, strict=True):
        if way.route is not taken:
            taken = way.route
            yield Take(taken)
        try:
            return (yield (Dial(way.host, way.port) if way.host else DialAny()))
        except DialFailed:
            if not left:
                raise
    raise AssertionError  # nobody asks without a way


def settle(said: object, command: Decide, routes: Mapping[str, RoutePlan]) -> Verdict:
    """
    Return what a handler's answer means.

    Args:
        said: Whatever it returned.
        command: What it was asked.
        routes: Every route by name.

    Raises:
        ValueError: If it cannot be used; the message says why.
    """
    if said is None or said is True:
        return _OWN
    if said is False:
        return actions.Block()
    if isinstance(said, actions.Forward):
        return _ways(said, command.route, routes)
    if isinstance(said, actions.Block):
        return actions.Block(str(said.why)[:1_000])
    if isinstance(said, actions.Redirect | actions.Answer):
        if not command.answers:
            raise ValueError(f"{type(said).__name__} is for requests of a reverse proxy")
        return _redirect(said) if isinstance(said, actions.Redirect) else _answer(said)
    if isinstance(said, str):
        raise ValueError("it returned text, which is no action; Forward(text) sends there")
    raise ValueError(f"it returned a value of the type {type(said).__name__}, which is no action")


def _ways(said: actions.Forward, own: RoutePlan, routes: Mapping[str, RoutePlan]) -> tuple[Way, ...]:
    if not 1 <= len(said.to) <= DIAL_TARGETS:
        raise ValueError(f"Forward names {len(said.to)} places; from 1 to {DIAL_TARGETS} are tried")
    return tuple(_way(place, own, routes) for place in said.to)


def _way(place: object, own: RoutePlan, routes: Mapping[str, RoutePlan]) -> Way:
    if not isinstance(place, str):
        raise ValueError(f"Forward to a value of the type {type(place).__name__}; a place is text")
    route = routes.get(place)
    if route is None:
        try:
            host, port = parse_target(place)
        except AddressError as error:
            raise ValueError(f"Forward to {place[:100]!r}, which is no route and no address") from error
        return Way(own, host, port)
    if route.action not in ("forward", "handler") or not route.targets:
        raise ValueError(f"Forward to the route {place}, which has no targets")
    return Way(route)


def _redirect(said: actions.Redirect) -> actions.Redirect:
    if said.status not in REDIRECTS:
        raise ValueError("Redirect with a status that is none of 301, 302, 303, 307 and 308")
    location = said.location
    if not isinstance(location, str) or len(location) > LOCATION_CHARACTERS or not _VISIBLE.fullmatch(location):
        raise ValueError("Redirect to a location that is not printable ASCII without spaces")
    return actions.Redirect(location, int(said.status))


def _answer(said: actions.Answer) -> actions.Answer:
    if type(said.status) is bool or not isinstance(said.status, int) or not 200 <= said.status <= 599:
        raise ValueError("Answer with a status that is not from 200 to 599")
    if not isinstance(said.body, str) or len(said.body.encode(errors="replace")) > BODY_BYTES:
        raise ValueError(f"Answer with a body that is not text of at most {BODY_BYTES} bytes")
    if not isinstance(said.content_type, str) or not _VALUE.fullmatch(said.content_type):
        raise ValueError("Answer with a content type that is not printable ASCII")
    return actions.Answer(int(said.status), said.body.encode(errors="replace").decode(), said.content_type)
