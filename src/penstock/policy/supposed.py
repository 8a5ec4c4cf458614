"""What is decided of a connection that somebody only asks about: as its listener's conversation would ask."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from penstock.config.plan import ListenerPlan, RoutePlan
from penstock.policy.explain import Explanation, explain
from penstock.policy.facts import RouteFacts
from penstock.policy.routes import Ruleset

TLS_1_3 = 0x0304


class Question(Struct, frozen=True, kw_only=True):
    """
    What is supposed of a client; what is not said is as most clients have it.

    Args:
        client: IP address.
        host: Name in TLS or Host field.
        path: Of a request, without query; `/` where requests are looked at and none is said.
        port: That was asked for; the listener's where none is said.
        user: Who it has proved to be.
        destination, destination_port: Where the client of a forward proxy wants to go.
        tls_version: Highest that it offers, such as 0x0304; 0 for not said, which is TLS 1.3 for a tls listener.
    """

    client: str = "-"
    host: str = ""
    path: str = ""
    port: int = 0
    user: str = ""
    destination: str = ""
    destination_port: int = 0
    tls_version: int = 0


def looks_at_requests(listener: ListenerPlan) -> bool:
    """Return whether each request finds its own route."""
    return listener.reverse or (listener.protocol == "tls" and listener.inside == "http")


def supposed(listener: ListenerPlan, question: Question) -> RouteFacts:
    """
    Return what a listener would know.

    Args:
        listener: That was connected to.
        question: What is supposed.
    """
    forward, secure = listener.forward, listener.protocol == "tls"
    host = question.destination or question.host if forward else question.host
    return RouteFacts(
        listener=listener.id,
        client=question.client,
        host=host,
        port=question.destination_port or question.port or listener.port,
        path=(question.path or "/") if looks_at_requests(listener) else "",
        user=question.user if forward else "",
        destination=host if forward else "",
        destination_port=(question.destination_port or question.port) if forward else 0,
        tls_version=(question.tls_version or TLS_1_3) if secure else 0,
        sni=secure and bool(question.host),
    )


def explain_for(routes: Sequence[RoutePlan], listener: ListenerPlan, question: Question) -> Explanation:
    """
    Return which route is taken, and what each other lacked.

    A tls listener decides twice where HTTP is inside: by the hello, which may be passed through, and by each request.

    Args:
        routes: Those with something to match.
        listener: That was connected to.
        question: What is supposed.
    """
    ruleset, facts = Ruleset(routes, listener.route), supposed(listener, question)
    if listener.protocol == "tls" and facts.path:
        hello = replace(facts, path="")
        if ruleset.decide(hello).route.tls == "passthrough":
            facts = hello
    return explain(routes, ruleset, facts)
