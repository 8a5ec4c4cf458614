"""The frozen plan: what it prints, and that a worker can be told it."""

import subprocess
import sys

import msgspec

from penstock.config.plan import ListenerPlan, NodePlan, TargetPlan, WorkerPlan

LISTENER = ListenerPlan(id=1, name="a", protocol="http", host="::", port=80, users={"bob": "hunter2"})
WORKER = WorkerPlan(listeners=(LISTENER,), own_addresses=(("::", 80),))


def test_addresses_are_written_as_operators_write_them():
    """A plan's addresses have brackets where IPv6 needs them, and a Unix socket has no port."""
    assert str(LISTENER) == "[::]:80"
    assert str(ListenerPlan(id=1, name="a", protocol="tcp", host="unix:/run/x", port=0)) == "unix:/run/x"
    assert [str(TargetPlan(id=1, host=host, port=1)) for host in ("::1", "a")] == ["[::1]:1", "a:1"]


def test_secrets_are_not_printed():
    """No plan prints a password or a token."""
    node = NodePlan(name="n", workers=1, admin=None, admin_token="hunter2", socket_path="/x", worker=WORKER)
    assert "hunter2" not in repr(node) + repr(WORKER) + repr(LISTENER)


def test_a_plan_survives_the_wire():
    """What a supervisor writes, a worker reads as the same plan."""
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(WORKER), type=WorkerPlan) == WORKER


def test_the_plan_loads_no_validator():
    """Importing the plan loads neither pydantic nor the TOML parser: a worker pays for neither."""
    code = "import sys, penstock.config.plan; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30)
    assert not {"pydantic", "tomllib", "penstock.config.model"} & set(loaded.stdout.split())
