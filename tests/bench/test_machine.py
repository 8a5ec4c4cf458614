"""The machine's facts, and settings that are put back."""

import os
import re
from dataclasses import replace

import pytest
from bench.proxies import PROXIES

from bench import machine


@pytest.fixture
def settings(tmp_path):
    """A copy of the settings, as a machine may have them that does not schedule sessions."""
    root = tmp_path / "net" / "ipv4"
    root.mkdir(parents=True)
    (root / "ip_local_port_range").write_text("32768\t60999\n")
    (root / "tcp_tw_reuse").write_text("2\n")
    return tmp_path


def test_settings_are_put_back(settings):
    """Settings hold during the run and are as before after it, whatever happened."""
    reuse = settings / "net/ipv4/tcp_tw_reuse"

    def run():
        with machine.widened(settings) as words:
            assert reuse.read_text() == "1"
            assert "net.ipv4.tcp_tw_reuse = 1" in words
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert reuse.read_text() == "2\n"
    assert (settings / "net/ipv4/ip_local_port_range").read_text() == "32768\t60999\n"


def test_nice_values_count_between_sessions(settings):
    """During a run the kernel schedules processes, not sessions; where it never does, nothing is said of it."""
    with machine.widened(settings) as words:
        assert "autogroup" not in words
    sessions = settings / "kernel/sched_autogroup_enabled"
    sessions.parent.mkdir()
    sessions.write_text("1\n")
    with machine.widened(settings) as words:
        assert sessions.read_text() == "0"
        assert "kernel.sched_autogroup_enabled = 0" in words
    assert sessions.read_text() == "1\n"


def test_settings_that_are_not_ours(tmp_path, monkeypatch):
    """Without the right to change settings a run goes on and says so."""
    monkeypatch.setattr(machine.Path, "read_text", lambda _: (_ for _ in ()).throw(PermissionError))
    with machine.widened(tmp_path) as words:
        assert "as found" in words


def test_facts():
    """Every fact is known on Linux."""
    assert all(machine.facts().values())
    assert machine.facts()["cores"] == str(os.cpu_count())


def test_who_built_the_interpreter(monkeypatch):
    """An interpreter of a package is told by its package and version, another one by not being of any."""
    with monkeypatch.context() as patched:
        patched.setattr(machine.sys, "executable", "/nowhere/python")
        assert machine.facts()["python"].endswith("(not a package of Debian)")
    if machine.Path("/usr/bin/python3").exists():
        monkeypatch.setattr(machine.sys, "executable", "/usr/bin/python3")
        assert re.search(r"\(python3\S* \S+\)$", machine.facts()["python"])


def test_idle_connections_fit():
    """No more connections are planned than asked for, and some are."""
    assert 0 < machine.idle_connections(100) <= 100


def test_cores():
    """Load and proxy never share a core knowingly."""
    cores = machine.cores()
    assert cores.load != cores.proxy or (cores.load, cores.proxy) == (None, None)


def test_versions():
    """Penstock's version is the package's; a package that is not there is unknown, not an error."""
    assert machine.versions(["penstock"])["penstock"] not in {"", "unknown"}
    assert machine.versions([])["wrk"]


def test_missing():
    """What is not on the machine is named."""
    assert machine.missing(("sh", "no-such-program")) == ["no-such-program"]
    assert machine.installed(replace(PROXIES["nginx"], program="sh"))
    assert not machine.installed(replace(PROXIES["nginx"], program="no-such-program"))
