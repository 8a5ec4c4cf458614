"""From written listeners and routes to their plans: every key arrives, and numbers are given out once."""

from pathlib import Path

from penstock.config.attached import Attached
from penstock.config.compile_routes import compile_served
from penstock.config.model import Config
from penstock.config.plan import (
    DestinationPlan,
    HealthPlan,
    MatchPlan,
    ParentPlan,
    RewritePlan,
    RouteTimeoutPlan,
    TargetPlan,
)
from penstock.config.tls_plan import CertificatePlan, TargetTlsPlan, TlsPlan

MS = 1_000_000
S = 1_000 * MS


def served(listeners, routes=(), attached=None):
    """Return the plans of listeners and routes written as tables."""
    config = Config.model_validate({"listener": list(listeners), "route": list(routes)})
    return compile_served(config, attached or Attached())


TLS = {"listen": ":443", "protocol": "tls", "name": "web", "certificates": ["a.pem"]}
SOCKS = {"listen": ":1080", "protocol": "socks5", "name": "egress"}
TCP = {"listen": ":1", "protocol": "tcp", "name": "plain", "targets": ["t:1"]}

FULL = {
    "name": "full",
    "listeners": ["web"],
    "priority": -7,
    "match": {
        "domains": "App.Example.com", "path": ["/a", "/b/*"], "clients": "10.0.0.0/8", "users": "ann",
        "ports": [443, "8000-8010"], "destinations": "*.internal:25", "tls_versions": ["1.2", "1.3"], "sni": True,
    },
    "targets": ["x:1", {"address": "y:2", "weight": 3, "send_proxy": "v1"}],
    "balance": "source_hash",
    "health_check": {
        "kind": "http", "path": "/h", "host": "app", "expect": [204, "300-399"], "interval": "7s", "timeout": "1s",
        "rise": 4, "fall": 5,
    },
    "passive": {"failures": 6, "ejection": "8s"},
    "slow_start": "9s",
    "tls": "terminate_and_reencrypt",
    "target_tls": {
        "verify": False, "server_name": "inner", "alpn": "http/1.1", "cert": "c.pem", "key": "c.key",
    },
    "send_proxy": "v2",
    "parent": "socks5://ann:pw@proxy:1080",
    "rewrite": {
        "strip_prefix": "/a", "add_prefix": "/z", "host": "inner", "forwarded": "both", "set_request": {"X-A": "1"},
        "set_response": {"X-B": "2"}, "remove_request": "X-C", "remove_response": ["X-D"],
    },
    "users": {"ann": "secret"},
    "timeouts": {"connect": "1s", "response": "2s", "idle": "off"},
}  # fmt: skip


def test_every_key_of_a_route_arrives():
    """What was written stands in the plan."""
    (plan,) = served([TLS, SOCKS], [FULL]).routes
    assert (plan.name, plan.priority, plan.action, plan.balance) == ("full", -7, "forward", "source_hash")
    assert plan.match == MatchPlan(
        listeners=(1,),
        domains=("app.example.com",),
        paths=("/a", "/b/*"),
        clients=("10.0.0.0/8",),
        users=("ann",),
        ports=((443, 443), (8_000, 8_010)),
        destinations=(DestinationPlan(host="*.internal", ports=((25, 25),)),),
        tls_versions=(0x0303, 0x0304),
        sni=True,
    )
    assert plan.targets == (
        TargetPlan(id=1, host="x", port=1),
        TargetPlan(id=2, host="y", port=2, weight=3, send_proxy="v1"),
    )
    assert [plan.header_for(each) for each in (*plan.targets, None)] == ["v2", "v1", "v2"]
    assert plan.timeouts == RouteTimeoutPlan(connect=S, response=2 * S, idle=0)
    assert plan.health == HealthPlan(
        kind="http", path="/h", host="app", expect=((204, 204), (300, 399)), interval=7 * S, timeout=S, rise=4, fall=5,
        failures=6, ejection=8 * S, slow_start=9 * S,
    )  # fmt: skip
    assert (plan.tls, plan.send_proxy, plan.users) == ("terminate_and_reencrypt", "v2", {"ann": "secret"})
    assert plan.target_tls == TargetTlsPlan(
        verify=False, server_name="inner", alpn=("http/1.1",), cert="c.pem", key="c.key"
    )
    assert plan.parent == ParentPlan(kind="socks5", host="proxy", port=1080, user="ann", password="pw")
    assert plan.rewrite == RewritePlan(
        strip_prefix="/a",
        add_prefix="/z",
        host="inner",
        forwarded="both",
        set_request=(("X-A", "1"),),
        set_response=(("X-B", "2"),),
        remove_request=("X-C",),
        remove_response=("X-D",),
    )


def test_other_actions_arrive():
    """Redirects, answers and handlers have their keys, with the usual status where none was written."""
    http = {"listen": ":80", "protocol": "http", "reverse": True}
    match = {"domains": "a.example"}
    routes = [
        {"name": "r", "match": match, "action": "redirect", "location": "https://{host}/"},
        {"name": "s", "match": match, "action": "redirect", "location": "/", "status": 308},
        {"name": "a", "match": match, "action": "answer", "body": "hello", "content_type": "text/html"},
        {"name": "f", "match": match, "action": "answer", "body_file": "b.html", "status": 503},
        {"name": "h", "match": match, "action": "handler", "handler": "m:f", "handler_timeout": "50ms"},
        {"name": "b", "match": match, "action": "block"},
    ]
    plans = served([http], routes, Attached(bodies={("route", 3, "body_file"): "sorry"})).routes
    assert [(each.action, each.status) for each in plans] == [
        ("redirect", 302), ("redirect", 308), ("answer", 200), ("answer", 503), ("handler", 0), ("block", 0),
    ]  # fmt: skip
    assert served([http], routes).listeners[0].reverse
    assert [each.location for each in plans[:2]] == ["https://{host}/", "/"]
    assert [(each.body, each.content_type) for each in plans[2:4]] == [
        ("hello", "text/html"), ("sorry", "text/plain; charset=utf-8"),
    ]  # fmt: skip
    assert (plans[4].handler, plans[4].handler_timeout) == ("m:f", 50 * MS)


def test_every_key_of_a_listener_arrives():
    """Certificates, TLS, what is inside, and PROXY headers stand in the plan; one file may hold the key too."""
    listener = TLS | {
        "certificates": ["one.pem", {"cert": "two.pem", "key": "two.key"}],
        "tls": {
            "min_version": "1.3", "ciphers": "ECDHE", "alpn": ["x", "y"], "client_certificates": "required",
            "client_ca": "ca.pem", "tickets": 0,
        },
        "accept_proxy": "required",
        "trusted_proxies": ["10.0.0.0/8", "::1"],
    }  # fmt: skip
    attached = Attached(paths={("listener", 0, "tls", "client_ca"): Path("/etc/ca.pem")})
    ((plan,), *_) = served([listener], attached=attached)
    assert plan.tls == TlsPlan(
        certificates=(
            CertificatePlan(cert="one.pem", key="one.pem"), CertificatePlan(cert="two.pem", key="two.key"),
        ),
        min_version="1.3", ciphers="ECDHE", alpn=("x", "y"), client_certificates="required", client_ca="/etc/ca.pem",
        tickets=0,
    )  # fmt: skip
    assert (plan.inside, plan.accept_proxy, plan.trusted_proxies) == ("tcp", "required", ("10.0.0.0/8", "::1"))
    ((http, bare), *_) = served([TLS | {"inside": "http"}, TLS | {"name": "b", "certificates": []}])
    assert (http.inside, http.tls.alpn, bare.tls) == ("http", ("http/1.1",), None)


def test_numbers():
    """Own routes come before those that match; targets are numbered once over all of them, and shared ones shared."""
    routes = [
        {"name": "m", "match": {"clients": "::1"}, "targets": ["m:1", "m:2"]},
        {"name": "own", "listeners": ["web", "other"], "targets": ["o:1"]},
        {"name": "n", "match": {"clients": "::2"}, "action": "block"},
    ]
    listeners, plans, _ = served([TLS, TCP, SOCKS, {"listen": ":2", "protocol": "tcp", "name": "other"}], routes)
    assert [(each.route.id, each.route.name) for each in listeners] == [
        (1, "own"), (2, "default"), (2, "default"), (1, "own"),
    ]  # fmt: skip
    assert listeners[0].route is listeners[3].route
    assert [(each.id, each.name) for each in plans] == [(3, "m"), (4, "n")]
    targets = [each.id for plan in (listeners[0].route, listeners[1].route, *plans) for each in plan.targets]
    assert sorted(targets) == [1, 2, 3, 4]


def test_routes_for_all_are_for_those_that_can_serve_them():
    """A route that names no listener is given to those that can serve it: to all, or to some of them by number."""
    routes = [
        {"name": "all", "match": {"clients": "::1"}, "action": "block"},
        {"name": "sni", "match": {"sni": False}, "action": "block"},
        {"name": "inner", "match": {"destinations": "*.internal"}, "action": "block"},
        {"name": "named", "match": {"clients": "::1"}, "listeners": ["egress", "web", "plain"], "action": "block"},
    ]
    plans = served([TLS, SOCKS, TCP], routes).routes
    assert [each.match.listeners for each in plans] == [(), (1,), (2,), ()]


def test_own_routes_of_forward_proxies():
    """A route without match and targets is the way of every forward proxy, and of nobody else."""
    listeners, plans, _ = served([SOCKS, TCP], [{"name": "up", "parent": "http://h:1"}])
    assert [each.route.name for each in listeners] == ["up", "default"]
    assert (listeners[0].route.parent.kind, plans) == ("http", ())
