"""The frozen plan travels to workers as JSON, and never shows a secret."""

import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config.plan import (
    DestinationPlan,
    ListenerPlan,
    MatchPlan,
    MetricsPlan,
    NodePlan,
    ParentPlan,
    RoutePlan,
    TargetPlan,
    TimeoutPlan,
    WorkerPlan,
)

names = st.text(max_size=20)
ids = st.integers(1, 65535)
targets = st.builds(TargetPlan, id=ids, host=names, port=ids, weight=ids)
spans = st.lists(st.tuples(ids, ids), max_size=2).map(tuple)
texts = st.lists(names, max_size=2).map(tuple)
matches = st.builds(
    MatchPlan,
    domains=texts,
    clients=texts,
    ports=spans,
    destinations=st.lists(st.builds(DestinationPlan, host=names, ports=spans), max_size=2).map(tuple),
    sni=st.none() | st.booleans(),
)
listeners = st.builds(
    ListenerPlan,
    id=ids,
    name=names,
    protocol=st.sampled_from(["tcp", "http", "socks5", "auto"]),
    host=names,
    port=ids,
    route=st.builds(
        RoutePlan,
        id=ids,
        name=names,
        priority=st.integers(-9, 9),
        match=matches,
        targets=st.lists(targets, max_size=3).map(tuple),
    ),
    users=st.dictionaries(names, names, max_size=3),
    detect=st.lists(names, max_size=3).map(tuple),
)
plans = st.builds(
    WorkerPlan,
    listeners=st.lists(listeners, max_size=3).map(tuple),
    timeouts=st.builds(TimeoutPlan, idle=st.integers(0, 1 << 62)),
    own_addresses=st.lists(st.tuples(names, ids), max_size=3).map(tuple),
)


@given(plans)
def test_a_worker_reads_what_the_supervisor_wrote(plan):
    """Any plan comes out of its JSON as the same plan."""
    assert msgspec.json.decode(msgspec.json.encode(plan), type=WorkerPlan) == plan


SECRET = "correct-horse-battery-staple"
METRICS = MetricsPlan(push=f"http://ann:{SECRET}@host/write?key={SECRET}", otlp=SECRET)
LISTENER = ListenerPlan(id=1, name="egress", protocol="socks5", host="::1", port=1080, users={"ann": SECRET})
PARENT = ParentPlan(kind="http", host="parent.example", port=3128, user="ann", password=SECRET)
ROUTE = RoutePlan(id=2, name="app", users={"ann": SECRET}, parent=PARENT)
WORKER = WorkerPlan(listeners=(LISTENER,), routes=(ROUTE,))
NODE = NodePlan(
    name="edge-1",
    workers=1,
    admin=("127.0.0.1", 0),
    admin_token=SECRET,
    socket_path="x.sock",
    worker=WORKER,
    metrics=METRICS,
)


@pytest.mark.parametrize("plan", [LISTENER, PARENT, ROUTE, WORKER, NODE, METRICS], ids=lambda plan: type(plan).__name__)
def test_secrets_are_not_printed(plan):
    """No way of printing a plan shows a password or a token."""
    assert SECRET not in repr(plan) + str(plan) + f"{plan}"


def test_a_plan_cannot_be_changed():
    """The rules that a connection began with stay with it: plans are frozen."""
    with pytest.raises(AttributeError):
        LISTENER.port = 1


@pytest.mark.parametrize(
    ("host", "text"), [("::1", "[::1]:80"), ("127.0.0.1", "127.0.0.1:80"), ("unix:/run/a.sock", "unix:/run/a.sock")]
)
def test_a_listener_prints_its_address(host, text):
    """A listener prints as the address that an operator would write."""
    assert str(ListenerPlan(id=1, name="a", protocol="http", host=host, port=80)) == text


@pytest.mark.parametrize(("host", "text"), [("::1", "[::1]:80"), ("example.com", "example.com:80")])
def test_a_target_prints_its_address(host, text):
    """A target prints as the address that an operator would write."""
    assert str(TargetPlan(id=1, host=host, port=80)) == text


@pytest.mark.parametrize(
    ("keys", "forward"),
    [
        ({"protocol": "tcp"}, False),
        ({"protocol": "socks5"}, True),
        ({"protocol": "http"}, True),
        ({"protocol": "http", "reverse": True}, False),
        ({"protocol": "tls"}, False),
        ({"protocol": "tls", "inside": "http"}, False),
        ({"protocol": "auto", "detect": ("http", "socks5")}, True),
        ({"protocol": "auto", "detect": ("socks5", "tcp")}, True),
        ({"protocol": "auto", "detect": ("tcp",)}, False),
    ],
)
def test_clients_of_a_forward_proxy_say_where_to_go(keys, forward):
    """What is told apart from TCP counts only where it is told apart."""
    assert ListenerPlan(id=1, name="a", host="::", port=80, **keys).forward is forward


def test_the_plan_loads_no_validator():
    """Importing the plan loads neither pydantic nor the TOML parser: a worker pays for neither."""
    code = "import sys, penstock.config.plan; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30)
    assert not {"pydantic", "tomllib", "penstock.config.model"} & set(loaded.stdout.split())
