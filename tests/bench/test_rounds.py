"""What makes a round usable, and a real round through real processes."""

import shutil

import pytest
from bench.loads import Done
from bench.machine import Cores
from bench.rounds import run_scenario
from bench.running import Run, complaints
from bench.scenarios import SCENARIOS, Effort, Scenario, Wrk


@pytest.mark.parametrize(
    ("name", "done", "words"),
    [
        ("haproxy", Done(10, 1.0, ""), ""),
        ("haproxy", Done(10, 1.0, "timeout 1", cuts=2), "timeout 1, 2 connections cut"),
        ("tinyproxy", Done(10, 1.0, "", cuts=10), ""),
        ("tinyproxy", Done(10, 1.0, "", cuts=11), "11 connections cut"),
        ("direct", Done(10, 1.0, "", cuts=1), "1 connections cut"),
    ],
)
def test_complaints(name, done, words):
    """Errors make a round unusable, and so do cuts, but for a proxy that is known to end after each answer."""
    assert complaints(done, name) == words


@pytest.mark.system
@pytest.mark.skipif(not (shutil.which("nginx") and shutil.which("wrk")), reason="nginx and wrk are not installed")
def test_direct_round():
    """One round without a proxy yields one clean sample with rate and latency, and no CPU time."""
    (latency,) = [scenario for scenario in SCENARIOS if scenario.name == "latency"]
    alone = Scenario("latency", "", "", "tcp", Wrk(1), ("direct",), latency.metrics, ())
    told = []
    run = Run(Effort(rounds=1, seconds=1.0), Cores(None, None), told.append, pytest.fail)
    (sample,) = run_scenario(alone, run)
    assert told == [sample]
    assert sample.errors == ""
    assert {"rate", "p50", "p99"} <= set(sample.values)
    assert "cpu" not in sample.values
