"""What logins' answers tell by their time is measured on pairs."""

import pytest
from bench.scenarios import SCENARIOS

from bench import logins


def test_a_difference_stands_out_and_chance_does_not():
    """Times that differ by more than chance are apart; those that differ by chance alone are not."""
    even = [(20 + number % 7, 20 + number * 3 % 7) for number in range(70)]
    assert logins.summary(even)["apart"] < 1
    late = logins.summary([(here, there + 5) for here, there in even])
    assert late["apart"] > 2
    assert late["difference"] == pytest.approx(5, abs=1)
    assert late["unknown"] - late["known"] == pytest.approx(5, abs=1)


def test_every_figure_is_there():
    """The scenario's figures are those that are reported."""
    (scenario,) = [scenario for scenario in SCENARIOS if scenario.name == "logins"]
    assert {metric.key for metric in scenario.metrics} == set(logins.summary([(1.0, 2.0), (2.0, 3.0)]))


@pytest.mark.system
def test_a_real_node_refuses_both(monkeypatch):
    """Wrong logins of users and of nobody are answered and timed."""
    monkeypatch.setattr(logins, "USERS", 2)
    assert all(times > (0, 0) for times in logins.pairs(2, logins.random.Random(1)))
