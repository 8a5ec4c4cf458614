"""
The conversation of a TLS listener: look at the client's hello, find the route by the name in it, and either pass
everything through as it came or terminate TLS and go on inside.
"""

from collections.abc import Callable, Iterable

from penstock.base.outcomes import COMPLETE, EndedBy, Outcome, Phase, Reason
from penstock.config.plan import ListenerPlan, RoutePlan
from penstock.config.tls_plan import TLS_ALPN_01
from penstock.connection.commands import Close, Conversation, Describe, Facts, Peek, RelayAny, Secure, Send, Take
from penstock.connection.reverse import PASSTHROUGH, http_reverse
from penstock.connection.routing import NOWHERE, refusal, route_of
from penstock.connection.tcp import tcp
from penstock.protocols.client_hello import ClientHello, HelloReader
from penstock.protocols.tls_alert import Alert, TlsError, serialize_alert

_PROTOCOL = Outcome(EndedBy.PROXY, Phase.DETECT, Reason.PROTOCOL)
_RELAY_ANY, _SECURE = RelayAny(), Secure()
_NO_SUCH_NAME = Send(serialize_alert(Alert.UNRECOGNIZED_NAME))

NAMELESS = "- (no SNI)"
"""What a client has asked for that asks for no name."""

PROOF = (b"acme-tls/1",)
"""What an ACME server offers, and nothing besides (RFC 8737 section 3)."""

INSIDE: dict[str, Callable[[Facts, ListenerPlan], Conversation]] = {"tcp": tcp, "http": http_reverse}
"""What is spoken inside TLS, by `ListenerPlan.inside`."""


def tls(facts: Facts, listener: ListenerPlan) -> Conversation:
    """
    Serve one TLS client.

    Args:
        facts: Of the connection.
        listener: Its certificates serve the routes that terminate TLS; its own route is taken where no other matches.
    """
    reader, needed = HelloReader(), 1
    try:
        while isinstance(hello := reader.look((yield Peek(needed))), int):
            needed = hello
    except TlsError as error:
        yield Send(serialize_alert(error.alert))
        yield Close(_PROTOCOL, f"no TLS: {error}")
        raise AssertionError from None  # nobody resumes a conversation after its last word
    host, port, rules, _, _, trusted, challenges = facts
    facts = Facts(host, port, rules, hello.server_name or "", hello.version, trusted, challenges)
    yield Describe(_described(hello))
    if hello.alpn == PROOF and listener.challenge == TLS_ALPN_01 and _is_proved(facts):
        yield Secure(facts.server_name)
        yield Close(COMPLETE)  # the handshake was all that the server wanted (RFC 8737 section 3)
    route = route_of(facts, listener)
    if route is not listener.route:
        yield Take(route)
    if route.tls == PASSTHROUGH:
        refused = refusal(route)
        if refused is not None:
            yield _NO_SUCH_NAME
            yield refused
        yield _RELAY_ANY
    if listener.tls is None:
        yield _NO_SUCH_NAME
        yield Close(NOWHERE, "no route passes it through, and there is no certificate to terminate it")
    yield _SECURE
    yield from INSIDE[listener.inside](facts, listener)


def inside(facts: Facts, listener: ListenerPlan) -> Conversation:
    """
    Serve a TLS client whose hello nobody had to read: TLS is terminated already.

    Args:
        facts: Of the connection.
        listener: Its routes terminate TLS.
    """
    yield Describe(facts.server_name or NAMELESS)
    yield from INSIDE[listener.inside](facts, listener)


def hello_decides(listener: ListenerPlan, routes: Iterable[RoutePlan]) -> bool:
    """
    Return whether what becomes of a client depends on its hello: then it is read before TLS begins.

    Args:
        listener: Of TLS.
        routes: Those that its clients may take, beside its own.
    """
    return (
        listener.tls is None
        or listener.challenge == TLS_ALPN_01
        or any(
            route.tls == PASSTHROUGH or route.action == "handler" or route.match.tls_versions
            for route in (listener.route, *routes)
        )
    )


def _is_proved(facts: Facts) -> bool:
    """Return whether the name that is asked for is being proved; whoever else asks is served as usual."""
    return facts.challenges is not None and facts.challenges.has_certificate(facts.server_name)


def _described(hello: ClientHello) -> str:
    """Return what the client asked for, for the log: its name, or why there is none."""
    return hello.server_name or ("- (ECH)" if hello.has_ech else NAMELESS)
