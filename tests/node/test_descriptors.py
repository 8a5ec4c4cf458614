"""File descriptors at start."""

import resource
import subprocess
import sys

from penstock.config.plan import WorkerPlan
from penstock.node.descriptors import raise_limit, shortage


def test_enough_is_no_shortage():
    """Two descriptors a connection, one a listener and the reserve are enough, and one less is not."""
    plan = WorkerPlan(listeners=(), connections=1_000, workers=2)
    assert shortage(plan, 1_064) is None
    assert shortage(plan, 1_063) == "1063 descriptors hold 998 of 1000 connections; LimitNOFILE=1064 holds all"


def test_a_tiny_limit_holds_nothing():
    """A limit below the reserve holds no connection, and says so without a negative number."""
    assert "hold 0 of 10 connections" in shortage(WorkerPlan(listeners=(), connections=10), 20)


def test_soft_limit_is_raised_to_the_hard_one():
    """A process that starts with a low soft limit ends up with its hard one."""
    code = (
        "import resource as r; hard = r.getrlimit(r.RLIMIT_NOFILE)[1]; r.setrlimit(r.RLIMIT_NOFILE, (100, hard));"
        "from penstock.node.descriptors import raise_limit; print(raise_limit(), *r.getrlimit(r.RLIMIT_NOFILE))"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30)
    hard = str(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    assert said.stdout.split() == [hard, hard, hard]


def test_a_limit_that_cannot_be_raised_is_kept(monkeypatch):
    """Where the kernel refuses the hard limit, the soft one stands and nothing fails."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 10**9))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: (_ for _ in ()).throw(ValueError("exceeds fs.nr_open")))
    assert raise_limit() == 100
