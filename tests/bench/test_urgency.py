"""Who is measured goes first."""

import os
import subprocess
import sys

from bench.urgency import at_once, urgent

from bench import urgency


def test_who_is_measured_runs_at_once():
    """Clients and origins go before the flooder on their core, or as before where we may not say so."""
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    try:
        at_once(child.pid)
        assert os.sched_getscheduler(child.pid) in {os.SCHED_RR, os.SCHED_OTHER}
        assert os.geteuid() or os.sched_getscheduler(child.pid) == os.SCHED_RR
    finally:
        child.kill()
        child.wait()


def test_urgency_is_given_to_all_and_taken_back(monkeypatch):
    """Every thread of every process gets real-time priority, ours loses it again, and who may not goes on without."""
    asked = []
    monkeypatch.setattr(urgency.os, "sched_setscheduler", lambda thread, policy, _: asked.append((thread, policy)))
    with urgent():
        assert (os.getpid(), os.SCHED_RR) in asked
    assert asked[-1] == (0, os.SCHED_OTHER)

    def forbidden(*_):
        raise PermissionError

    monkeypatch.setattr(urgency.os, "sched_setscheduler", forbidden)
    with urgent():
        pass
