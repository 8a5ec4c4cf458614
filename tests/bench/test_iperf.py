"""iperf3's command line and report."""

import json

import pytest
from bench.scenarios import Effort, Iperf

from bench import iperf


def test_report():
    """What arrived counts, not what was sent."""
    end = {"sum_sent": {"bytes": 2e9, "seconds": 1.0}, "sum_received": {"bytes": 1.5e9, "seconds": 1.2}}
    assert iperf.parse(json.dumps({"end": end})) == iperf.Report(1.5, 1.2, "")


def test_refusal():
    """A report without an end gives iperf3's own words."""
    text = json.dumps({"start": {}, "end": {}, "error": "unable to connect to server"})
    assert iperf.parse(text) == iperf.Report(0.0, 0.0, "unable to connect to server")


@pytest.mark.parametrize("text", ["", "[]", "iperf3: not found"])
def test_no_report(text):
    """What is no report moved nothing and says so."""
    report = iperf.parse(text)
    assert report.gigabytes == 0.0
    assert report.errors.startswith("no report from iperf3")


def test_command():
    """The bytes are exact, or the time is, and the direction is the load's."""
    effort = Effort(seconds=2.5, gigabytes=4)
    assert iperf.command(Iperf(reverse=True), effort, "127.0.0.1", 7)[-3:] == ["-n", "4000000000", "-R"]
    assert "-R" not in iperf.command(Iperf(reverse=False), effort, "127.0.0.1", 7)
    assert iperf.command(Iperf(reverse=False, timed=True), effort, "127.0.0.1", 7)[-2:] == ["-t", "2"]
