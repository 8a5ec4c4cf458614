"""Routes in words: every key of a plan is told in the words of the configuration, and reads back as the same plan."""

from penstock.cli.routes import (
    all_routes,
    listener_values,
    match_values,
    match_words,
    outcome_words,
    route_values,
)
from penstock.config.attached import Attached
from penstock.config.compile_routes import route_plan
from penstock.config.plan import (
    DestinationPlan,
    HealthPlan,
    ListenerPlan,
    MatchPlan,
    NodePlan,
    ParentPlan,
    RewritePlan,
    RoutePlan,
    RouteTimeoutPlan,
    TargetPlan,
    WorkerPlan,
)
from penstock.config.route import Route
from penstock.config.tls_plan import TargetTlsPlan

S = 1_000_000_000
MATCH = MatchPlan(
    domains=("a.example",), paths=("/x/*",), clients=("10.0.0.0/8",), users=("ann",), ports=((80, 80), (8000, 8010)),
    destinations=(DestinationPlan(host="::1", ports=((25, 25),)),), tls_versions=(0x0304,), sni=False,
)  # fmt: skip
FULL = RoutePlan(
    id=1,
    name="r",
    priority=3,
    match=MATCH,
    targets=(TargetPlan(id=1, host="::1", port=80, weight=2, send_proxy="off"),),
    balance="random_two",
    health=HealthPlan(kind="http", path="/h", host="x", expect=((204, 204),), interval=3 * S, timeout=S, slow_start=S),
    tls="terminate_and_reencrypt",
    target_tls=TargetTlsPlan(verify=False, server_name="inner", alpn=("http/1.1",), cert="c.pem", key="k.pem"),
    send_proxy="v1",
    parent=ParentPlan(kind="socks5", host="::1", port=1080, user="ann", password="secret"),
    rewrite=RewritePlan(strip_prefix="/x", set_request=(("A", "b"),), remove_response=("C",), forwarded="off"),
    users={"bob": "secret"},
    timeouts=RouteTimeoutPlan(connect=2 * S, response=0, idle=3_600 * S),
)


def read(values):
    """Return the plan that these words make."""
    return route_plan(1, Route.model_validate(values | {"listeners": []}), ("route", 0), Attached(), FULL.targets)


def test_a_route_reads_back():
    """What is shown of a route is the route, but for its passwords, which are not shown."""
    values = route_values(FULL, ["web"])
    assert values["parent"]["password"] == values["users"]["bob"] == "***"
    values["parent"] |= {"password": "secret"}
    values["users"] = {"bob": "secret"}
    assert read(values) == FULL


def test_other_actions_read_back():
    """Redirects, answers, handlers and blocks are shown with what they have a use for, and nothing else."""
    routes = [
        RoutePlan(id=1, name="r", action="redirect", location="/x", status=307),
        RoutePlan(id=1, name="r", action="answer", status=404, body="no", content_type="text/html"),
        RoutePlan(id=1, name="r", action="handler", handler="m:f", handler_timeout=2 * S),
        RoutePlan(id=1, name="r", action="block"),
    ]
    for route in routes:
        values = route_values(route, [])
        assert ("targets" in values, "balance" in values) == (False, False)
        shown = route_plan(1, Route.model_validate(values), ("route", 0), Attached(), ())
        assert shown == route


def test_a_match_in_one_line():
    """A match is told in one line, long lists cut; what matches all is not told."""
    assert match_words(MatchPlan()) == "-"
    assert match_words(MatchPlan(clients=tuple(f"10.0.0.{n}" for n in range(9)), sni=True)) == (
        "clients 10.0.0.0, 10.0.0.1, 10.0.0.2 and 6 more; sni true"
    )
    assert match_values(MATCH)["destinations"] == ["[::1]:25"]


def test_where_it_goes():
    """What becomes of a connection is told in a line, without secrets."""
    assert outcome_words(FULL) == (
        "[::1]:80 x2 PROXY off through socks5://[::1]:1080 (terminate_and_reencrypt, PROXY v1)"
    )
    assert outcome_words(RoutePlan(id=1, name="r")) == "where the client wants to go"
    assert outcome_words(RoutePlan(id=1, name="r"), forward=False) == "nowhere: it is refused"


def test_all_routes():
    """Routes that match come first, then own ones with all their listeners; what nobody wrote is left out."""
    own = RoutePlan(id=2, name="own")
    listeners = [
        ListenerPlan(id=number, name=name, protocol="tcp", host="::", port=number, route=route)
        for number, (name, route) in enumerate([("a", own), ("b", RoutePlan(id=1, name="default")), ("c", own)], 1)
    ]
    some = RoutePlan(id=3, name="some", match=MatchPlan(listeners=(2,)))
    worker = WorkerPlan(listeners=tuple(listeners), routes=(some, FULL))
    plan = NodePlan(name="n", workers=1, admin=None, socket_path="x", worker=worker)
    assert [(route.name, names) for route, names in all_routes(plan)] == [
        ("some", ["b"]), ("r", ["a", "b", "c"]), ("own", ["a", "c"]),
    ]  # fmt: skip


def test_a_listener_that_believes_proxies():
    """What a listener says of PROXY headers is shown, and nothing where it says nothing."""
    plain = ListenerPlan(id=1, name="a", protocol="tcp", host="::", port=1)
    assert listener_values(plain) == {}
    proxied = ListenerPlan(
        id=1, name="a", protocol="http", host="::", port=1, reverse=True, accept_proxy="optional",
        trusted_proxies=("::1",),
    )  # fmt: skip
    assert listener_values(proxied) == {"reverse": True, "accept_proxy": "optional", "trusted_proxies": ["::1"]}
