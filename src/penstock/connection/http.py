"""
The HTTP forward-proxy conversation: one request after the other, each a tunnel, an exchange, or an answer of our own.

What goes wrong and what the client hears:
- A head that may not be forwarded: its status, and the end (`protocol`).
- No head in time: 408, or nothing if an earlier request was answered and no further one begun.
- No login or a wrong one: 407, and another try on the same connection while there is no body to read past.
- A target that cannot be reached: 502, 503, 504 or 508. The connection goes on where no body is in the way.
"""

from collections.abc import Generator, Mapping
from typing import Any, NoReturn

from penstock.base.bounds import HTTP_HEAD_BYTES, HTTP_REQUEST_LINE_BYTES
from penstock.base.errors import RemoteError
from penstock.base.outcomes import COMPLETE, EndedBy, Outcome, Phase, Reason
from penstock.config.plan import ListenerPlan, RoutePlan
from penstock.connection.commands import (
    RIGHT_LOGIN,
    WRONG_LOGIN,
    Answer,
    ClientClosed,
    Close,
    Command,
    Conversation,
    DeadlinePassed,
    Describe,
    Dial,
    DialError,
    DialFailed,
    Exchange,
    Facts,
    NewPlan,
    Peek,
    Relay,
    Take,
    TooLong,
    TurnAway,
    Until,
    Way,
)
from penstock.connection.deciding import Refused, consult, fields_of, reach
from penstock.connection.endings import ending
from penstock.connection.logins import BUSY, BUSY_DETAIL, TooManyLogins, prove
from penstock.connection.routing import BLOCKED, route_of
from penstock.protocols.http1 import answers
from penstock.protocols.http1.credentials import parse_basic
from penstock.protocols.http1.errors import BadRequest
from penstock.protocols.http1.origin import OriginRequest
from penstock.protocols.http1.request import Request, parse_request

LOGINS = 8
"""Requests in a row without a right login that one connection may send; a browser needs two."""

HEAD = Until(b"\r\n\r\n", HTTP_HEAD_BYTES)
"""What every request begins with."""

_ESTABLISHED = Answer(answers.ESTABLISHED, 200)
_COMPLETE = Close(COMPLETE)
_RELAY = Relay()
_AUTH = Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.AUTH)
_PROTOCOL = Outcome(EndedBy.PROXY, Phase.NEGOTIATE, Reason.PROTOCOL)
_BODY = Outcome(EndedBy.PROXY, Phase.RELAY, Reason.PROTOCOL)
_SLOW = Outcome(EndedBy.CLIENT_TIMEOUT, Phase.NEGOTIATE)

_STATUS: Mapping[DialError, int] = {
    DialError.TIMEOUT: 504,
    DialError.RESOURCE: 503,
    DialError.LOOP: 508,
    DialError.NO_TARGET: 503,
    DialError.DENIED: 403,
    DialError.FORBIDDEN: 403,
    DialError.ROUTE_FULL: 503,
    DialError.ROUTE_BUSY: 429,
    DialError.USER_FULL: 503,
    DialError.USER_BUSY: 429,
    DialError.SPENT: 429,
}
"""What a failed dial is to the client; all others are 502."""

_REFUSED = frozenset((DialError.DENIED, DialError.FORBIDDEN))
_LIMITED = frozenset(
    (DialError.ROUTE_FULL, DialError.ROUTE_BUSY, DialError.USER_FULL, DialError.USER_BUSY, DialError.SPENT)
)
"""What ends the connection, so that the refusal is counted by its reason."""


def http_forward(facts: Facts, listener: ListenerPlan) -> Conversation:  # noqa: PLR0912 - a call a request would cost
    """
    Serve one client of the forward proxy.

    Args:
        facts: Of the connection; with each destination they decide the route.
        listener: Where it has users, every request needs a login.
    """
    served = failures = 0
    ways: tuple[Way, ...] = ()
    choosing = _chooses(facts, listener)
    user, described, shown, taken = "", None, b"", listener.route
    while True:
        try:
            request = parse_request((yield HEAD))
        except NewPlan as news:
            facts, listener, taken, ways = facts._replace(rules=news.rules), news.listener, news.listener.route, ()
            choosing = _chooses(facts, listener)
            continue
        except (BadRequest, TooLong, DeadlinePassed, ClientClosed) as news:
            yield from without_request(news, served, failures)
            raise AssertionError from None  # nobody resumes a conversation after its last word
        if listener.users or listener.users_file:
            found = yield from _user(request, listener, shown)
            if request.credentials is not None and (found is None or request.credentials != shown):
                shown = request.credentials
                yield WRONG_LOGIN if found is None else RIGHT_LOGIN
            failures = failures + 1 if found is None else 0
            if found is None:
                if not (yield from _challenge(request, failures)):
                    yield _COMPLETE
                served += 1
                continue
            user = found
        if choosing and request.host:
            taken, ways = yield from _choose(facts, listener, request, user, taken)
        if request.method == b"CONNECT" or request.final:
            again = yield from _unusual(request, user, ways, taken)
        else:
            described, before = (request.host, request.port, user), described
            if described != before:
                yield Describe(request.destination, user)
            try:
                if ways:
                    again = yield from _sent(request, ways, taken)
                else:
                    again = yield Exchange(
                        request.host, request.port, request.head, request.framing, request.method, request.keep_alive,
                        request.http_1_0, request.retriable, request.upgrade,
                    )  # fmt: skip
            except (DialFailed, RemoteError) as failed:
                again = yield from unanswered(request, failed)
        if not again:
            yield _COMPLETE
        served += 1


def _chooses(facts: Facts, listener: ListenerPlan) -> bool:
    """Return whether it depends on the destination what becomes of a request."""
    return facts.rules is not None or listener.route.action in ("block", "handler")


def _choose(
    facts: Facts, listener: ListenerPlan, request: Request, user: str, taken: RoutePlan
) -> Generator[Command, Any, tuple[RoutePlan, tuple[Way, ...]]]:
    """Take the route of a destination, and return it and what stands for the destination; no ways for itself."""
    route = route_of(facts, listener, request.host, request.port, user=user, asked=True)
    if route is not taken or route.action == "handler":  # which may have sent the request before to another one
        yield Take(route)
    if route.action == "block":
        yield from _refuse(403, f"route {route} blocks it", BLOCKED)
    ways: tuple[Way, ...] = ()
    if route.action == "handler":
        ways = yield from _consult(facts, listener, request, user, route)
    if not ways and route is not listener.route and route.targets:
        ways = (Way(route),)
    return route, ways


def _consult(
    facts: Facts, listener: ListenerPlan, request: Request, user: str, route: RoutePlan
) -> Generator[Command, Any, tuple[Way, ...]]:
    try:
        return (
            yield from consult(
                facts, listener, route, request.host, request.port, user=user, asked=True,
                method=request.method.decode("latin-1"), fields=fields_of(request.head),
            )
        )  # fmt: skip
    except Refused as news:
        yield from _refuse(403 if news.outcome == BLOCKED else 503, "this is not allowed", news.outcome, news.detail)
        raise AssertionError from None


def _sent(request: Request, ways: tuple[Way, ...], taken: RoutePlan) -> Generator[Command, Any, bool]:
    """Forward a request to the first way that can be reached; raises DialFailed of the last one."""
    for left, way in zip(range(len(ways) - 1, -1, -1), ways, strict=True):
        if way.route is not taken:
            taken = way.route
            yield Take(taken)
        try:
            again: bool = yield Exchange(
                way.host, way.port, request.head, request.framing, request.method, request.keep_alive,
                request.http_1_0, request.retriable, request.upgrade,
            )  # fmt: skip
            return again
        except DialFailed:
            if not left:
                raise
    raise AssertionError  # nobody asks without a way


def without_request(news: Exception, served: int, failures: int) -> Conversation:
    """End a connection on which no further request came, or one that may not be forwarded."""
    if isinstance(news, BadRequest):
        yield from _refuse(news.status, news.detail, _PROTOCOL)
    if isinstance(news, TooLong):
        begun = yield Peek(HTTP_REQUEST_LINE_BYTES)
        if b"\r\n" in begun[: HTTP_REQUEST_LINE_BYTES + 2]:
            yield from _refuse(431, "the head is too long", _PROTOCOL, timed=False)
        yield from _refuse(414, "the request line is too long", _PROTOCOL, timed=False)
    pending = getattr(news, "pending", 0)
    if pending or not served:
        if isinstance(news, DeadlinePassed):
            yield from _refuse(408, "no complete request came in time", _SLOW, timed=False)
        raise news
    yield Close(_AUTH, "no right login came") if failures else _COMPLETE


def _refuse(
    status: int, detail: str, outcome: Outcome, logged: str = "", *, timed: bool = True
) -> Generator[Command, Any, NoReturn]:
    yield Answer(answers.refusal(status, detail, close=True), status, timed, outcome.reason)
    yield Close(outcome, logged or detail)
    raise AssertionError  # nobody resumes a conversation after its last word


def _user(request: Request, listener: ListenerPlan, shown: bytes) -> Generator[Command, Any, str | None]:
    """Return who asks; None for a login that is missing or wrong."""
    login = None if request.credentials is None else parse_basic(request.credentials)
    if login is None:
        return None
    try:
        again = request.credentials == shown
        return (yield from prove(listener.users, listener.users_file, *login, again=again))
    except TooManyLogins:
        yield from _refuse(503, BUSY_DETAIL, BUSY)
        raise AssertionError from None  # nobody resumes a conversation after its last word


def _challenge(request: Request, failures: int) -> Generator[Command, Any, bool]:
    """Ask for a login, and return whether the client may answer on this connection."""
    again = request.keep_alive and request.framing.done and failures < LOGINS
    detail = "a login is needed" if request.credentials is None else "the login is wrong"
    data = answers.refusal(407, detail, close=not again, head_only=request.method == b"HEAD")
    yield Answer(data, 407, reason=Reason.AUTH)
    if not again:
        yield Close(_AUTH, detail)
    return again


def _unusual(request: Request, user: str, ways: tuple[Way, ...], taken: RoutePlan) -> Generator[Command, Any, bool]:
    """Serve a tunnel, or a request that asks the proxy itself."""
    if request.final:
        return (yield from _answer(request))
    yield Describe(request.destination, user)
    yield from _tunnel(request, ways, taken)
    return False


def unanswered(request: Request | OriginRequest, failed: DialFailed | RemoteError) -> Generator[Command, Any, bool]:
    """Answer in the target's place, and return whether the client may send another request."""
    if isinstance(failed, RemoteError):  # the request's body is malformed
        yield from _refuse(400, str(failed), _BODY)
        raise AssertionError
    again = request.keep_alive and request.framing.done and failed.error not in _REFUSED
    yield _failure(failed, close=not again, head_only=request.method == b"HEAD")
    if not again:
        yield Close(ending(failed, Phase.DIAL), str(failed))
    elif failed.error in _LIMITED:
        yield TurnAway(ending(failed, Phase.DIAL))
    return again


def _answer(request: Request) -> Generator[Command, Any, bool]:
    """Answer a request that asks the proxy itself."""
    again = request.keep_alive and request.framing.done
    data = answers.trace(request.head, close=not again) if request.head else answers.options(close=not again)
    yield Answer(data, 200)
    return again


def _tunnel(request: Request, ways: tuple[Way, ...], taken: RoutePlan) -> Conversation:
    try:
        if ways:
            yield from reach(ways, taken)
        else:
            yield Dial(request.host, request.port)
    except DialFailed as failed:
        yield _failure(failed, close=True)
        yield Close(ending(failed, Phase.DIAL), str(failed))
    yield _ESTABLISHED
    yield _RELAY


def _failure(failed: DialFailed, *, close: bool, head_only: bool = False) -> Answer:
    """Return the answer to a request whose target could not be reached; the system's own words stay in the log."""
    status = _STATUS.get(failed.error, 502)
    refused = failed.error in _REFUSED or failed.error in _LIMITED
    detail = f"{failed.error}" if refused else f"no answer from the target: {failed.error}"
    data = answers.refusal(status, detail, close=close, head_only=head_only, wait=failed.wait)
    return Answer(data, status, reason=ending(failed, Phase.DIAL).reason)
