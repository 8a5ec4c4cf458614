"""What bans cost is measured on bans that hold."""

import json

from bench.scenarios import SCENARIOS

from bench import bans


def test_report(capsys, monkeypatch):
    """Every figure of the scenario is there and above zero."""
    monkeypatch.setattr(bans, "CLIENTS", 50)
    monkeypatch.setattr(bans, "LOOKUPS", 50)
    bans.main(["--rows", "500"])
    report = json.loads(capsys.readouterr().out)
    (scenario,) = [scenario for scenario in SCENARIOS if scenario.name == "bans"]
    assert all(report[metric.key] > 0 for metric in scenario.metrics)
