"""From model to plan: numbers, defaults of the machine, and nothing lost on the way."""

import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from penstock.base.errors import ConfigurationError
from penstock.config.compile import Machine, compile_plan, this_machine
from penstock.config.model import Config
from penstock.config.plan import StorePlan
from penstock.config.settle import Settled

MACHINE = Machine(4, "host-1", Path("/run/penstock"), Path("/var/lib/penstock"))
S = 1_000_000_000


def plan(tree, machine=MACHINE, token=None, state_dir=None):
    """Return the plan of a tree."""
    return compile_plan(Settled(Config.model_validate(tree), token, state_dir), machine)


def test_defaults_of_the_machine():
    """What nobody wrote comes from the machine: a worker per core, the host's name, the usual directories."""
    made = plan({"listener": [{"listen": ":80", "protocol": "http"}]})
    assert (made.name, made.workers, made.worker.workers) == ("host-1", 4, 4)
    assert (made.socket_path, made.state_dir) == ("/run/penstock/host-1.sock", "/var/lib/penstock")
    assert (made.admin, made.admin_token) == (("127.0.0.1", 9190), None)
    assert (made.log_level, made.log_format) == ("info", "console")


def test_everything_arrives():
    """Every key of every section reaches the plan."""
    tree = {
        "node": {"name": "edge-1", "workers": 0, "splice": "never"},
        "admin": {"listen": "[0:0::1]:9"},
        "limits": {"connections": 7},
        "timeouts": dict.fromkeys(
            (
                "handshake",
                "connect",
                "idle",
                "half_closed",
                "http_keep_alive",
                "pool_idle",
                "drain",
                "half_zombie",
                "stuck",
            ),
            "7s",
        ),
        "dns": {"ttl": "8s", "negative_ttl": "9s"},
        "log": {"level": "debug", "format": "json"},
        "metrics": {
            "enabled": False,
            "retention": {"seconds": "2m", "minutes": "2h", "hours": "2d"},
            "labels": ["user"],
            "statsd": "h:1",
            "push": "http://a:b@h/",
            "otlp": "https://h/",
            "export_interval": "7s",
        },
        "listener": [{"listen": ":80", "protocol": "socks5", "users": {"a": "b"}, "auth": "c:d:e"}],
    }
    made = plan(tree, token="t", state_dir=Path("/s"))
    assert (made.name, made.workers, made.admin, made.admin_token) == ("edge-1", 0, ("::1", 9), "t")
    assert (made.socket_path, made.state_dir) == ("/run/penstock/edge-1.sock", "/s")
    assert (made.log_level, made.log_format) == ("debug", "json")
    worker = made.worker
    metrics = made.metrics
    assert (metrics.enabled, metrics.seconds, metrics.minutes, metrics.hours) == (False, 120, 120, 48)
    assert (metrics.labels, metrics.statsd, metrics.export_interval) == (("user",), ("h", 1), 7 * S)
    assert (metrics.push, metrics.otlp) == ("http://a:b@h/", "https://h/")
    assert (worker.connections, worker.splice, worker.dns_ttl, worker.dns_negative_ttl) == (7, "never", 8 * S, 9 * S)
    plain = [field for field in worker.timeouts.__struct_fields__ if not field.endswith("_tls")]
    assert {getattr(worker.timeouts, field) for field in plain} == {7 * S}
    assert (worker.timeouts.half_zombie_tls, worker.timeouts.stuck_tls) == (70 * S, 35 * S)
    assert worker.listeners[0].users == {"a": "b", "c": "d:e"}


@pytest.mark.parametrize(
    ("treatment", "idle", "stuck"), [("standard", 2, 60), ("extended", 12, 60), ("immortal", 0, 0)]
)
def test_how_long_quiet_connections_live(treatment, idle, stuck):
    """Six times as long, or for ever, and then nobody looks for stuck ones."""
    timeouts = plan({"timeouts": {"idle": "2s", "half_closed": "2s", "keep_alive": treatment}}).worker.timeouts
    assert (timeouts.idle, timeouts.half_closed, timeouts.stuck) == (idle * S, idle * S, stuck * S)
    assert timeouts.stuck_tls == 5 * stuck * S


def test_off_is_zero_or_none():
    """An admin door that is off is None, a timeout that is off is 0."""
    made = plan({"admin": {"listen": "off"}, "timeouts": {"idle": "off"}})
    assert made.admin is None
    assert made.worker.timeouts.idle == 0


def test_numbers_of_the_ledger():
    """Listeners, routes and targets are numbered from 1; who takes the same route has its targets' numbers too."""
    tcp = {"protocol": "tcp"}
    tree = {
        "listener": [
            {**tcp, "listen": ":1", "name": "a"},
            {**tcp, "listen": ":2", "targets": ["x:1", {"address": "y:1", "weight": 3}]},
            {"listen": ":3", "protocol": "http"},
            {**tcp, "listen": ":4", "name": "b"},
            {"listen": ":5", "protocol": "auto", "targets": ["[0:0::1]:7"]},
        ],
        "route": [{"name": "r", "listeners": ["a", "b"], "targets": ["p:1", "q:1"]}],
    }
    listeners = plan(tree).worker.listeners
    assert [each.id for each in listeners] == [1, 2, 3, 4, 5]
    assert [[target.id for target in each.targets] for each in listeners] == [[1, 2], [3, 4], [], [1, 2], [5]]
    assert [each.route.name for each in listeners] == ["r", "default", "default", "r", "default"]
    assert [each.route.id for each in listeners] == [1, 2, 2, 1, 2]
    assert [(t.host, t.port, t.weight) for t in listeners[1].targets] == [("x", 1, 1), ("y", 1, 3)]
    assert str(listeners[4].targets[0]) == "[::1]:7"
    assert [each.detect for each in listeners] == [(), (), (), (), ("http", "socks5", "tcp")]


def test_own_addresses():
    """Every endpoint of the node is its own but Unix sockets and ports that the kernel is yet to choose."""
    listens = [":80", "127.0.0.1:0", "unix:/run/x", "[0:0::1]:81"]
    made = plan({"listener": [{"listen": each, "protocol": "http"} for each in listens]})
    assert made.worker.own_addresses == (("127.0.0.1", 9190), ("::", 80), ("::1", 81))
    assert [str(each) for each in made.worker.listeners] == ["[::]:80", "127.0.0.1:0", "unix:/run/x", "[::1]:81"]


def test_a_socket_path_that_is_too_long():
    """A runtime directory in which no Unix socket fits is a mistake that says what to set."""
    with pytest.raises(ConfigurationError, match="at most 107 bytes and this one 213; set a shorter"):
        plan({}, MACHINE._replace(runtime=Path("/" + "x" * 200)))


def test_plans_show_no_secrets():
    """Neither the plan of a node nor that of its worker prints a password or the token."""
    made = plan({"listener": [{"listen": ":1", "protocol": "http", "auth": "bob:hunter2"}]}, token="hunter2")
    assert made.worker.listeners[0].users == {"bob": "hunter2"}
    assert "hunter2" not in repr(made) + repr(made.worker) + str(made.worker.listeners[0]) + repr(SecretStr("hunter2"))


def test_this_machine(monkeypatch):
    """The machine has the cores that we may run on, and a name that is a node's whatever the host is called."""
    monkeypatch.setattr("socket.gethostname", lambda: "-my host.ü-")
    machine = this_machine({"PENSTOCK_RUNTIME_DIR": "/r", "XDG_STATE_HOME": "/s"})
    assert machine == Machine(len(os.sched_getaffinity(0)), "my-host", Path("/r"), Path("/s/penstock"))
    monkeypatch.setattr("socket.gethostname", lambda: "ü")
    assert this_machine({}).name == "penstock"


def test_where_the_store_is():
    """By name in the state directory, or where it is told, or nowhere; a relative path begins where it was written."""
    tree = {"node": {"name": "edge"}, "listener": [{"listen": ":1", "protocol": "http"}]}
    assert plan(tree).store == StorePlan(path="/var/lib/penstock/edge.db")
    assert plan(tree, state_dir=Path("/s")).store.path == "/s/edge.db"
    off = tree | {"store": {"path": "off", "flush": "1s"}}
    assert plan(off).store == StorePlan(path="", flush=S)
    config = Config.model_validate(off | {"store": {"path": "x.db"}})
    assert compile_plan(Settled(config, None, None, Path("/f/x.db")), MACHINE).store.path == "/f/x.db"
    quiet = MACHINE._replace(keeps=False, file="http-1")
    assert plan(tree, machine=quiet).store.path == ""
    del tree["node"]
    assert plan(tree, machine=quiet, state_dir=Path("/s")).store.path == "/s/http-1.db"
