"""The supervisor's own work is measured on a node that has work."""

import json

from bench.scenarios import SCENARIOS

from bench import inside


def test_report(capsys):
    """Every figure of the scenario is there and above zero, and the node has more than 5,000 series."""
    inside.main(["--rows", "500"])
    report = json.loads(capsys.readouterr().out)
    (scenario,) = [scenario for scenario in SCENARIOS if scenario.name == "inside"]
    assert all(report[metric.key] > 0 for metric in scenario.metrics)
    assert report["series"] > 5_000
    assert report["read"] == max(report["reads"].values())
