"""What rounds of a paced load make of what their clients report."""

import pytest
from bench.figures import Sample
from bench.loads import Done
from bench.machine import Cores
from bench.pacing import capacity, sample_of
from bench.proxies import Place
from bench.running import Run
from bench.scenarios import CHAIN, PENSTOCK, PLAIN, Effort
from bench.servers import ServerError

from bench import loads

BLANK = Sample("proxy-header", PENSTOCK, 1, {})


def test_a_report_becomes_a_sample():
    """Latencies and rate are told; a failure, and a silent client, make a sample that is not used."""
    report = {"done": 3, "failed": 0, "p50": 10.0, "p99": 20.0}
    assert sample_of(BLANK, report, 500.0).values == {"p50": 10.0, "p99": 20.0, "rate": 500.0}
    assert sample_of(BLANK, report, 500.0).errors == ""
    assert sample_of(BLANK, {**report, "failed": 2}, 500.0).errors == "failed 2"
    assert sample_of(BLANK, {}, 500.0).errors == "no connections"


def test_the_rate_is_a_part_of_what_penstock_serves(tmp_path, monkeypatch):
    """Everybody is warmed up, and what Penstock with headers serves when it is full is returned."""
    ports = {PENSTOCK: 1, PLAIN: 2}
    there = {name: Place(tmp_path, port, 9, 0, CHAIN, 1) for name, port in ports.items()}
    run = Run(Effort(), Cores(None, None), print, pytest.fail)
    monkeypatch.setattr(loads, "run", lambda load, effort, proxy, origin: Done(1_000 * proxy, 2.0, ""))
    assert capacity(there, run) == 500.0
    monkeypatch.setattr(loads, "run", lambda load, effort, proxy, origin: Done(0, 0.0, "failed 5"))
    with pytest.raises(ServerError, match="serves nobody"):
        capacity(there, run)
