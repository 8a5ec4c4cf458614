"""
The reverse-proxy conversation: each request finds its route by host and path, and is forwarded to one of the route's
targets, redirected, or answered here.

What goes wrong is answered as by the forward proxy (connection/http.py); a request that no route takes is a 404.
"""

import re
from collections.abc import Generator
from typing import Any

from msgspec.structs import replace

from penstock.base.errors import RemoteError
from penstock.base.outcomes import COMPLETE, EndedBy, Outcome, Phase, Reason
from penstock.config.plan import ListenerPlan, RoutePlan
from penstock.config.tls_plan import HTTP_01
from penstock.connection.commands import (
    RIGHT_LOGIN,
    WRONG_LOGIN,
    Answer,
    ClientClosed,
    Close,
    Command,
    Conversation,
    DeadlinePassed,
    Decide,
    Describe,
    DialError,
    DialFailed,
    Exchange,
    Facts,
    NewPlan,
    Take,
    TooLong,
    TurnAway,
    Way,
)
from penstock.connection.deciding import Refused, ask, facts_of, fields_of
from penstock.connection.http import HEAD, LOGINS, unanswered, without_request
from penstock.connection.logins import BUSY, BUSY_DETAIL, TooManyLogins, prove
from penstock.connection.rewriting import Rewriter, answer_changes
from penstock.connection.routing import BLOCKED
from penstock.policy import actions
from penstock.policy.facts import RouteFacts
from penstock.policy.routes import Ruleset
from penstock.protocols.http1 import answers
from penstock.protocols.http1.credentials import parse_basic
from penstock.protocols.http1.errors import BadRequest
from penstock.protocols.http1.origin import OriginRequest, parse_origin

_COMPLETE = Close(COMPLETE)
_AUTH = Outcome(EndedBy.PROXY, Phase.DECIDE, Reason.AUTH)
_ACCESS = Outcome(EndedBy.PROXY, Phase.DECIDE, Reason.ACCESS)
_DESTINATION = Outcome(EndedBy.PROXY, Phase.DECIDE, Reason.DESTINATION)

PASSTHROUGH = "passthrough"
"""What a route says of TLS that nobody here may read."""

DECISIONS_REMEMBERED = 32
"""Routes that one client's requests took, as many as a page asks for; with the next bound at most 16 KiB."""

DECISION_CHARS = 256
"""Longest path of them."""

TOKENS = "/.well-known/acme-challenge/"
"""Where an ACME server asks (RFC 8555 section 8.3)."""

_AUTHORIZATION = re.compile(rb"\r\nauthorization:[ \t]*([^\r]*)", re.IGNORECASE)

_PLACES = re.compile(r"\{[a-z]+\}")
"""What is filled in where a redirect leads; what a client said is not looked through for more of them."""

_SCHEMES = {False: "http", True: "https"}


class _Logins:
    """
    What one client has shown.

    Attributes:
        failures: Requests in a row without a right login, whatever else was asked between them.
        shown: The last right credentials by route.
    """

    __slots__ = ("failures", "shown")

    def __init__(self) -> None:
        self.failures = 0
        self.shown: dict[int, bytes] = {}


def http_reverse(facts: Facts, listener: ListenerPlan) -> Conversation:  # noqa: PLR0912 - a call a request would cost
    """
    Serve one client of the reverse proxy.

    Args:
        facts: Of the connection; with each request they decide the route.
        listener: Its own route is taken where no other matches.
    """
    served = 0
    described = ""
    rewriters: dict[int, Rewriter] = {}
    decided: dict[tuple[str, int, str], RoutePlan] = {}
    logins = _Logins()
    secure = facts.tls_version > 0
    taken: RoutePlan | None = None if secure else listener.route  # the name in TLS may have taken another one
    while True:
        try:
            request = parse_origin((yield HEAD))
        except NewPlan as news:
            facts, listener, taken = facts._replace(rules=news.rules), news.listener, news.listener.route
            rewriters.clear()
            decided.clear()
            continue
        except (BadRequest, TooLong, DeadlinePassed, ClientClosed) as news:
            yield from without_request(news, served, 0)
            raise AssertionError from None  # nobody resumes a conversation after its last word
        route = listener.route
        if facts.rules is not None:
            asked = request.host, request.port, request.path
            known = decided.get(asked)
            if known is None:
                known = _route(facts.rules, facts, listener, request)
                if len(decided) >= DECISIONS_REMEMBERED:
                    decided.clear()
                if len(request.path) <= DECISION_CHARS:
                    decided[asked] = known
            route = known
        if route is not taken:
            taken = route
            yield Take(route)
        if request.host != described:
            described = request.host
            yield Describe(request.host or "-")
        proof = (yield from _proof(facts, request)) if listener.challenge == HTTP_01 else ""
        if (
            not proof
            and route.action == "forward"
            and route.targets
            and not route.users
            and not route.users_file
            and not (secure and route.tls == PASSTHROUGH)
        ):
            rewriter = rewriters.get(route.id)
            if rewriter is None:
                rewriter = rewriters[route.id] = _rewriter(route, facts, listener, secure)
            again = yield from _forward(request, rewriter)
        else:
            words = (
                _proved(request, proof)
                if proof
                else _unusual(request, route, facts, listener, secure, logins, rewriters)
            )
            again = yield from _changed(route, words)
        if not again:
            yield _COMPLETE
        served += 1


def _route(rules: Ruleset, facts: Facts, listener: ListenerPlan, request: OriginRequest) -> RoutePlan:
    return rules.decide(
        RouteFacts(
            listener=listener.id,
            client=facts.client_host,
            host=request.host,
            port=request.port or listener.port,
            path=request.path,
            tls_version=facts.tls_version,
            sni=bool(facts.server_name),
        )
    ).route


def _proof(facts: Facts, request: OriginRequest) -> Generator[Command, Any, str]:
    """
    Return what an ACME server asks for; empty for all other requests, unknown tokens among them.

    A token that is unknown now may be known when the same is asked again. So who asks for one is described once more:
    the engine takes an exchange for granted only where it was the first word (dataplane/repeats.py).
    """
    if facts.challenges is None or not request.path.startswith(TOKENS) or request.method not in (b"GET", b"HEAD"):
        return ""
    yield Describe(request.host or "-")
    return facts.challenges.key_authorization(request.path[len(TOKENS) :])


def _proved(request: OriginRequest, proof: str) -> Generator[Command, Any, bool]:
    return _answered(request, 200, proof, "application/octet-stream")


def _rewriter(route: RoutePlan, facts: Facts, listener: ListenerPlan, secure: bool) -> Rewriter:
    return Rewriter(route, facts.client_host, _SCHEMES[secure], listener.port, trusted=facts.trusted)


def _forward(request: OriginRequest, rewriter: Rewriter) -> Generator[Command, Any, bool]:
    try:
        again: bool = yield Exchange(
            "", 0, rewriter.head(request), request.framing, request.method, request.keep_alive, request.http_1_0,
            request.retriable, request.upgrade,
        )  # fmt: skip
    except (DialFailed, RemoteError) as failed:
        again = yield from _changed(rewriter.route, unanswered(request, failed))
    return again


def _changed(route: RoutePlan, words: Generator[Command, Any, bool]) -> Generator[Command, Any, bool]:
    """Say these words, and in answers of ours among them what the route sets and removes."""
    changes = answer_changes(route) if route.rewrite.set_response or route.rewrite.remove_response else None
    if changes is None:
        return (yield from words)
    try:
        command = next(words)
        while True:
            if isinstance(command, Answer) and command.data:
                command = replace(command, data=changes.of_ours(command.data))
            try:
                told = yield command
            except Exception as news:  # whatever the engine throws in is theirs to judge
                command = words.throw(news)
            else:
                command = words.send(told)
    except StopIteration as end:
        return bool(end.value)


def _unusual(
    request: OriginRequest,
    route: RoutePlan,
    facts: Facts,
    listener: ListenerPlan,
    secure: bool,
    logins: _Logins,
    rewriters: dict[int, Rewriter],
) -> Generator[Command, Any, bool]:
    """Ask for a login, answer here, redirect, or refuse."""
    if route.tls == PASSTHROUGH and route.action != "block":  # another name's (RFC 9110 section 15.5.20)
        return (yield from _refused(request, 421, "another connection leads to this host", _DESTINATION))
    user: str | None = None
    if route.users or route.users_file:
        user = yield from _login(request, route, logins)
        if user is None:
            last = logins.failures >= LOGINS
            return (yield from _refused(request, 401, "a login is needed", _AUTH, last=last))
        yield Describe(request.host or "-", user)
        if route.action == "forward" and route.targets:
            rewriter = rewriters.get(route.id)
            if rewriter is None:
                rewriter = rewriters[route.id] = _rewriter(route, facts, listener, secure)
            return (yield from _forward(request, rewriter))
    if route.action == "handler":
        return (yield from _handled(request, route, facts, listener, secure, user or ""))
    if route.action == "redirect":
        if not request.host and "{host}" in route.location:
            return (yield from _refused(request, 400, "where this leads depends on the host", _DESTINATION))
        location = _location(route, request, _SCHEMES[secure], listener.port)
        return (yield from _redirected(request, route.status or 302, location))
    if route.action == "answer":
        return (yield from _answered(request, route.status or 200, route.body, route.content_type))
    if route.action == "block":
        return (yield from _refused(request, 403, "this is not allowed", _ACCESS))
    return (yield from _refused(request, 404, "nothing is served here", _DESTINATION))


def _handled(
    request: OriginRequest, route: RoutePlan, facts: Facts, listener: ListenerPlan, secure: bool, user: str
) -> Generator[Command, Any, bool]:
    """Ask the route's handler, and do what it says."""
    told = facts_of(
        facts, listener, route, request.host, request.port, user=user, path=request.path,
        method=request.method.decode("latin-1"), fields=fields_of(request.lines),
    )  # fmt: skip
    yield Take(route)  # the request before may have been sent to another one
    try:
        verdict = yield from ask(Decide(route, told, answers=True))
    except Refused as news:
        if news.outcome == BLOCKED:
            return (yield from _refused(request, 403, "this is not allowed", BLOCKED))
        data = answers.refusal(503, "nobody could decide", close=True, head_only=request.method == b"HEAD")
        yield Answer(data, 503, reason=news.outcome.reason)
        yield Close(news.outcome, news.detail)
        raise AssertionError from None  # nobody resumes a conversation after its last word
    if isinstance(verdict, actions.Redirect):
        return (yield from _redirected(request, verdict.status, verdict.location))
    if isinstance(verdict, actions.Answer):
        return (yield from _answered(request, verdict.status, verdict.body, verdict.content_type))
    if not verdict and not route.targets:
        return (yield from _refused(request, 404, "nothing is served here", _DESTINATION))
    return (yield from _sent(request, verdict or (Way(route),), facts, listener, secure))


def _sent(
    request: OriginRequest, ways: tuple[Way, ...], facts: Facts, listener: ListenerPlan, secure: bool
) -> Generator[Command, Any, bool]:
    """Forward a request to the first way that can be reached."""
    failed: DialFailed | RemoteError = DialFailed(DialError.FAILED)
    for way in ways:
        yield Take(way.route)
        head = _rewriter(way.route, facts, listener, secure).head(request)
        try:
            again: bool = yield Exchange(
                way.host, way.port, head, request.framing, request.method, request.keep_alive, request.http_1_0,
                request.retriable, request.upgrade,
            )  # fmt: skip
        except DialFailed as news:
            failed = news
        except RemoteError as news:
            failed = news
            break
        else:
            return again
    return (yield from unanswered(request, failed))


def _redirected(request: OriginRequest, status: int, location: str) -> Generator[Command, Any, bool]:
    again = request.keep_alive and request.framing.done
    yield Answer(answers.redirect(status, location, close=not again), status)
    return again


def _answered(request: OriginRequest, status: int, body: str, content_type: str) -> Generator[Command, Any, bool]:
    again = request.keep_alive and request.framing.done
    data = answers.fixed(status, body, content_type, close=not again, head_only=request.method == b"HEAD")
    yield Answer(data, status)
    return again


def _login(request: OriginRequest, route: RoutePlan, logins: _Logins) -> Generator[Command, Any, str | None]:
    """Return the user, None without a right login; what was shown for this route before is no new attempt."""
    found = _AUTHORIZATION.findall(request.lines)
    logins.failures += 1
    if not found:
        return None
    login = parse_basic(found[0].rstrip(b" \t")) if len(found) == 1 else None
    user: str | None = None
    if login is not None:
        try:
            again = logins.shown.get(route.id) == found[0]
            user = yield from prove(route.users, route.users_file, *login, again=again)
        except TooManyLogins:
            yield from _refused(request, 503, BUSY_DETAIL, BUSY, last=True)
            raise AssertionError from None  # nobody resumes a conversation after its last word
    if user is None:
        yield WRONG_LOGIN
        return None
    logins.failures = 0
    if logins.shown.get(route.id) != found[0]:
        logins.shown[route.id] = found[0]
        yield RIGHT_LOGIN
    return user


def _refused(
    request: OriginRequest, status: int, detail: str, outcome: Outcome, *, last: bool = False
) -> Generator[Command, Any, bool]:
    """Say no, and return whether the client may ask for something else on this connection."""
    again = request.keep_alive and request.framing.done and not last
    data = answers.refusal(status, detail, close=not again, head_only=request.method == b"HEAD")
    yield Answer(data, status, reason=outcome.reason)
    if not again:
        yield Close(outcome, detail)
    elif outcome.reason is not Reason.AUTH:  # who must still say who it is has not been refused
        yield TurnAway(outcome)
    return again


def _location(route: RoutePlan, request: OriginRequest, scheme: str, port: int) -> str:
    """Return where a redirect sends, with what the request said filled in; nothing of it can end the line."""
    path, mark, query = request.target.decode("ascii", "replace").partition("?")
    host = f"[{request.host}]" if ":" in request.host else request.host
    filled = {
        "{scheme}": scheme, "{host}": host, "{port}": str(request.port or port), "{path}": path,
        "{query}": mark + query,
    }  # fmt: skip
    location = _PLACES.sub(lambda place: filled.get(place[0], place[0]), route.location)
    location = "".join(c for c in location if "!" <= c <= "~")
    if route.location[:1] == "/" != route.location[1:2]:  # a path: what begins with two slashes names another host
        location = "/" + location.lstrip("/\\")
    return location
