"""What users ask of a node's metrics, in the words in which they ask."""

import msgspec
import pytest

from penstock.base.outcomes import Phase
from penstock.config.plan import ListenerPlan, NodePlan, RoutePlan, WorkerPlan
from penstock.metrics.keys import OTHER_NAME as OTHER
from penstock.metrics.rings import View
from penstock.metrics.tops import NAMED
from penstock.metrics.view import Metrics, UnknownScopeError, parse_span, parse_window
from penstock.testing.pen import Pen
from penstock.testing.standin import StandIn


@pytest.fixture
def node():
    """A node with three connections of two clients, on two routes, after one second."""
    node = StandIn()
    for listener, ip, amount in ((1, "192.0.2.1", 100), (1, "192.0.2.2", 200), (2, "192.0.2.2", 300)):
        node.pen.move(node.pen.open(listener, (ip, 4_000)), amount, 2 * amount, 0, 0, 1)
    node.tick()
    yield node
    node.close()


@pytest.fixture
def metrics(node):
    """Its metrics."""
    return Metrics(node.snapshot())


def test_connections(metrics):
    """Open and accepted ones: of the node, by route, by address, and who has most."""
    connections = metrics.connections
    assert (connections.active, connections.total) == (3, 3)
    assert {route: count.active for route, count in connections.by_route.items()} == {"default": 2, "out": 1}
    assert {ip: count.total for ip, count in connections.by_ip.items()} == {
        "192.0.2.1": 1, "192.0.2.2": 2, OTHER: 0
    }  # fmt: skip
    assert [(top.ip, top.active, top.bytes_in) for top in connections.top_ips] == [
        ("192.0.2.2", 2, 500),
        ("192.0.2.1", 1, 100),
    ]


def test_throughput(node, metrics):
    """Named windows, any other, by route and by address; each divides by the time that is covered."""
    throughput = metrics.throughput
    assert (throughput.instant.bytes_in, throughput.instant.bytes_out, throughput.instant.covered) == (600, 1_200, 1)
    assert {route: rates.bytes_in for route, rates in throughput.by_route.items()} == {"default": 300, "out": 300}
    assert {ip: rates.bytes_in for ip, rates in throughput.by_ip.items()} == {
        "192.0.2.2": 500, "192.0.2.1": 100, OTHER: 0
    }  # fmt: skip
    for _ in range(19):
        node.tick()
    later = Metrics(node.snapshot())
    assert (later.throughput.instant.bytes_in, later.throughput.recent.bytes_in) == (0, 0)
    assert later.throughput.average.bytes_in == 30
    assert later.window(20, "listener:egress").bytes_in == 15
    assert later.window(19).bytes_in == 0
    assert metrics.window(60).bytes_in == 600  # an older picture stays what it was


def test_requests_and_totals(node, metrics):
    """Requests by second and minute, and the sums since the start."""
    assert (metrics.requests.per_second, metrics.requests.per_minute, metrics.requests.total) == (3, 180, 3)
    assert (metrics.totals.bytes_in, metrics.totals.bytes_out, metrics.totals.connections) == (600, 1_200, 3)
    assert metrics.blocked["auth"] == 0
    assert (metrics.auth.success, metrics.auth.failure) == (0, 0)


def test_percentiles(node):
    """What ended connections measured, and None for what nobody did."""
    node.pen.end(node.pen.open(), now_ns=3_000_000_000)
    node.tick()
    percentiles = Metrics(node.snapshot()).percentiles
    assert (percentiles.connection_duration.count, percentiles.connection_duration.p99) == (1, 3)
    assert percentiles.dial_duration.p50 is None


def test_history_has_gaps(node):
    """A graph is even, and where no sample is there is None instead of a zero that nobody measured."""
    node.tick(3)
    history = Metrics(node.snapshot()).history(60, "listener:web")
    assert history.step == 1
    assert history.covered == [1, 0, 0, 3]
    assert history.series["bytes_in"] == [300, None, None, 0]
    assert history.at == list(range(history.at[0], history.at[0] + 4))
    assert msgspec.json.decode(msgspec.json.encode(history))["series"]["requests"] == [2, None, None, 0]


def test_beyond_an_hour_minutes_answer(node):
    """Longer graphs and windows come from the minutes."""
    for _ in range(150):
        node.tick()
    metrics = Metrics(node.snapshot())
    history = metrics.history(7_200)
    assert history.step == 60
    assert history.at[-1] % 60 == 0
    assert sum(history.covered) == sum(metrics.history(3_600).covered[: round(sum(history.covered))])
    assert metrics.window(86_400).bytes_in * sum(history.covered) == pytest.approx(600)


def test_clients_have_windows_and_graphs(metrics):
    """One client, and all others, for five minutes."""
    assert metrics.window(10, "client:192.0.2.2").bytes_in == 500
    assert metrics.window(10, "client:other").bytes_in == 0
    assert metrics.history(10, "client:192.0.2.2").series == {"bytes_in": [500], "bytes_out": [1_000]}


def test_users_and_destinations(node):
    """By name and the busiest first, with windows and graphs of their own; names as hostile bytes stay printable."""
    for user, host, amount in (
        ("ann", "A.example:80", 10),
        ("b\x1b[2J", "b.example:443", 20),
        ("", "b.example:443", 3),
    ):
        row = node.pen.open(2, phase=Phase.RELAY)
        node.pen.describe(row, host, user)
        node.pen.move(row, amount, 0, 0, 0, 1)
    node.tick()
    metrics = Metrics(node.snapshot())
    users, destinations = metrics.connections.by_user, metrics.connections.by_destination
    assert {name: count.active for name, count in users.items()} == {"ann": 1, "b\ufffd[2J": 1, "-": 4, OTHER: 0}
    assert {name: count.total for name, count in destinations.items()} == {
        "a.example:80": 1, "b.example:443": 2, "-": 3, OTHER: 0
    }  # fmt: skip
    assert metrics.connections.top_users[0].user == "-"
    top = metrics.connections.top_destinations[1]
    assert (top.destination, top.active, top.total, top.bytes_in, top.requests) == ("b.example:443", 2, 2, 23, 2)
    assert metrics.throughput.by_user["ann"].bytes_in == 5
    assert metrics.throughput.by_destination["b.example:443"].bytes_in == 11.5
    assert metrics.window(1, "user:ann").bytes_in == 10
    assert metrics.window(1, "destination:B.example:443").bytes_in == 23
    assert metrics.window(1, "user:other").bytes_in == 0
    assert metrics.history(10, "destination:a.example:80").series["bytes_in"] == [0, 10]


def test_a_kind_that_is_off_shows_nothing(node):
    """Its maps are empty, and its scopes answer with windows that cover nothing and graphs without a step."""
    node.sampler.registry.switch({"users": False})
    node.tick()
    metrics = Metrics(node.snapshot())
    assert (metrics.connections.by_user, metrics.connections.top_users, metrics.throughput.by_user) == ({}, [], {})
    assert metrics.window(10, "user:other").covered == metrics.window(10, "user:ann").covered == 0
    assert metrics.history(10, "user:other").at == []
    with pytest.raises(ValueError, match="a time from 1 to"):
        metrics.window(100_000, "user:other")


@pytest.mark.parametrize(
    "scope",
    [
        "",
        "nobody",
        "user:",
        "user:nobody",
        "destination:",
        "destination:x",
        "listener:",
        "listener:nobody",
        "route:-",
        "client:192.0.2.99",
        "client:x",
        "client:-",
        "\0:\n",
    ],
)
def test_unknown_scopes(metrics, scope):
    """What is not there is said to be not there."""
    for ask in (metrics.window, metrics.history):
        with pytest.raises(UnknownScopeError):
            ask(10, scope)


@pytest.mark.parametrize(
    ("seconds", "scope"), [(0, "node"), (86_401, "node"), (301, "client:other"), (301, "user:other"), (-1, "node")]
)
def test_times_that_nothing_remembers(metrics, seconds, scope):
    """Windows are from a second to as long as samples are kept."""
    for ask in (metrics.window, metrics.history):
        with pytest.raises(ValueError, match="a time from 1 to"):
            ask(seconds, scope)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1", 1),
        ("10s", 10),
        ("5m", 300),
        ("24h", 86_400),
        ("31d", 2_678_400),
        ("instant", 1),
        ("recent", 10),
        ("average", 60),
    ],
)
def test_windows_in_words(text, seconds):
    """A window is a name or a time."""
    assert parse_window(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "0", "0s", "745h", "2678401", "32d", "-1", "1.5s", "10 s", "٣", "999999999999", "s"]
)
def test_windows_that_are_none(text):
    """Anything else is refused with an example."""
    with pytest.raises(ValueError, match="as in 10s"):
        parse_window(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("3650d", 315_360_000), ("400d", 34_560_000), ("90d", 7_776_000), ("7", 7)]
)
def test_graphs_look_back_for_years(text, seconds):
    """What is kept by the hour can be asked for; what cannot be kept is refused with an example."""
    assert parse_span(text) == seconds
    for wrong in ("3651d", "0", "", "x", "99999999"):
        with pytest.raises(ValueError, match="as in 10s"):
            parse_span(wrong)


def test_many_clients_are_named_up_to_a_bound(node):
    """With 3,000 addresses a hundred are named, the rest is `other`, and together they are the node's."""
    pen = Pen(rows=3_000)
    node.sampler.attach(2, pen.fd)
    for i in range(3_000):
        pen.move(pen.open(1, (f"10.0.{i >> 8}.{i & 255}", 1)), i)
    node.tick()
    metrics = Metrics(node.snapshot())
    for by_ip in (metrics.connections.by_ip, metrics.throughput.by_ip):
        assert len(by_ip) == NAMED + 1
    assert sum(count.active for count in metrics.connections.by_ip.values()) == metrics.connections.active == 3_003
    together = sum(rates.bytes_in for rates in metrics.throughput.by_ip.values())
    assert together == pytest.approx(metrics.throughput.recent.bytes_in)
    assert metrics.window(1, "client:10.0.11.183").bytes_in == 2_999
    pen.close()


def test_what_a_read_looks_at_does_not_grow_with_routes_and_clients(monkeypatch):
    """Each ring is looked at once for a window of all its keys, and no further back than the window reaches."""
    routes = tuple(RoutePlan(id=i, name=f"r{i}") for i in range(1, 61))
    listeners = tuple(
        ListenerPlan(id=each.id, name=each.name, protocol="socks5", host="::1", port=each.id, route=each)
        for each in routes
    )
    plan = NodePlan(name="n", workers=1, admin=None, socket_path="/x", worker=WorkerPlan(listeners=listeners))
    busy = StandIn(plan=plan)
    for i in range(60):
        busy.pen.move(busy.pen.open(i + 1, (f"10.0.0.{i}", 1)), i)
    for _ in range(90):
        busy.tick()
    looked: dict[int, list[int]] = {}
    newest = View.newest

    def watched(view, seconds):
        found = newest(view, seconds)
        looked.setdefault(len(view.ring.samples[0]), []).append(len(found[0]))
        return found

    monkeypatch.setattr(View, "newest", watched)
    throughput = Metrics(busy.snapshot()).throughput
    assert (len(throughput.by_route), len(throughput.by_ip)) == (60, 61)
    keys = 2 + busy.sampler.registry.plan.metrics.clients
    assert looked.pop(keys) == [10, 10, 10]  # clients, users, destinations
    (others,) = looked.values()
    assert sorted(others) == [1, 10, 10, 60]  # the node's three windows, and that of all routes
    busy.close()


def test_windows_of_many_are_those_of_each(node):
    """What is asked for all routes at once is what each of them answers alone."""
    metrics = Metrics(node.snapshot())
    assert metrics.throughput.by_route == {name: metrics.window(10, f"route:{name}") for name in ("default", "out")}
