"""Questions are put as conversations put them."""

import pytest

from penstock.config.plan import DestinationPlan, ListenerPlan, MatchPlan, RoutePlan
from penstock.policy.facts import RouteFacts
from penstock.policy.supposed import Question, explain_for, looks_at_requests, supposed

OWN = RoutePlan(id=9, name="own")


def listener(protocol, **keys):
    """Return a listener."""
    return ListenerPlan(id=3, name="x", protocol=protocol, host="::", port=443, route=OWN, **keys)


TCP, SOCKS, HTTP = (listener(each) for each in ("tcp", "socks5", "http"))
AUTO = listener("auto", detect=("http", "socks5", "tcp"))
PLAIN = listener("auto", detect=("tcp",))
REVERSE, TLS, HTTPS = listener("http", reverse=True), listener("tls"), listener("tls", inside="http")
ASKED = Question(client="10.0.0.1", host="a.example", path="/x", user="ann")


@pytest.mark.parametrize(
    ("at", "question", "known"),
    [
        (TCP, ASKED, {"host": "a.example", "port": 443}),
        (TLS, ASKED, {"host": "a.example", "port": 443, "tls_version": 0x0304, "sni": True}),
        (TLS, Question(client="10.0.0.1", tls_version=0x0303), {"port": 443, "tls_version": 0x0303}),
        (HTTPS, ASKED, {"host": "a.example", "port": 443, "path": "/x", "tls_version": 0x0304, "sni": True}),
        (REVERSE, ASKED, {"host": "a.example", "port": 443, "path": "/x"}),
        (REVERSE, Question(client="10.0.0.1", host="b", port=8443), {"host": "b", "port": 8443, "path": "/"}),
        (
            SOCKS,
            Question(client="10.0.0.1", destination="b", destination_port=25, user="ann"),
            {"host": "b", "port": 25, "destination": "b", "destination_port": 25, "user": "ann"},
        ),
        (
            HTTP,
            Question(client="10.0.0.1", host="b", port=80),
            {"host": "b", "port": 80, "destination": "b", "destination_port": 80},
        ),
        (
            AUTO,
            Question(client="10.0.0.1", host="b", port=80),
            {"host": "b", "port": 80, "destination": "b", "destination_port": 80},
        ),
        (PLAIN, ASKED, {"host": "a.example", "port": 443}),
    ],
)
def test_what_a_listener_would_know(at, question, known):
    """Each kind of listener knows what its conversation finds out, and nothing else."""
    assert supposed(at, question) == RouteFacts(listener=3, client="10.0.0.1", **known)


def test_kinds_of_listeners():
    """Where requests are looked at, each finds its own route."""
    assert [looks_at_requests(each) for each in (TCP, HTTP, REVERSE, TLS, HTTPS)] == [False, False, True, False, True]


def test_a_tls_listener_decides_twice():
    """What the hello alone sends through is never looked at for its path; the rest is decided with it."""
    through = RoutePlan(id=1, name="through", tls="passthrough", match=MatchPlan(domains=("a.example",)))
    api = RoutePlan(id=2, name="api", match=MatchPlan(domains=("a.example",), paths=("/x",)))
    other = RoutePlan(id=3, name="other", match=MatchPlan(domains=("b.example",), paths=("/x",)))
    routes = (through, api, other)
    assert explain_for(routes, HTTPS, ASKED).decision.route is through
    assert explain_for(routes, HTTPS, Question(host="b.example", path="/x")).decision.route is other
    assert explain_for(routes, HTTPS, Question(host="b.example", path="/y")).decision.route is OWN


def test_what_others_lacked():
    """Routes of other listeners and those that do not match are told with the first key that was in the way."""
    inner = MatchPlan(destinations=(DestinationPlan(host="*.internal"),))
    routes = (RoutePlan(id=1, name="a", match=MatchPlan(listeners=(7,))), RoutePlan(id=2, name="b", match=inner))
    told = explain_for(routes, SOCKS, Question(destination="x.example", destination_port=80))
    assert [each.missed for each in told.considered] == ["listeners", "destinations"]
    assert told.decision.route is OWN
