"""The scenarios fit together."""

import pytest
from bench.proxies import PROXIES
from bench.scenarios import DIRECT, OFF, PENSTOCK, SCENARIOS


def test_names_are_unique():
    """A name means one scenario."""
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario_is_whole(scenario):
    """Penstock comes first, everybody can be started, and every reference and bound is of one who takes part."""
    assert scenario.proxies[0] == PENSTOCK
    assert set(scenario.proxies) <= {*PROXIES, DIRECT, OFF}
    assert set(scenario.references) <= set(scenario.proxies) - {PENSTOCK}
    assert {bound.reference for bound in scenario.bounds} <= {*scenario.references, None}
    assert scenario.metrics
    assert {bound.key for bound in scenario.bounds} <= {metric.key for metric in scenario.metrics} | {""}
    assert all(bound.reference for bound in scenario.bounds if bound.added)
    assert all({*pair} <= {*scenario.proxies} for pair in scenario.pairs)
