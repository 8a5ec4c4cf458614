"""What collection costs: one process, switched between measurements."""

import pytest
from bench.collection import collection_rounds, standing, switch
from bench.machine import Cores
from bench.running import Run
from bench.scenarios import OFF, PENSTOCK, SCENARIOS, Effort, Light, Scenario
from bench.servers import ServerError, free_ports


@pytest.mark.system
def test_rounds_switch_one_process():
    """Each round measures both states of one Penstock under one load, the other way round every other time."""
    (light,) = [scenario for scenario in SCENARIOS if scenario.name == "collection-light"]
    effort = Effort(rounds=2, seconds=0.5, idle=50)
    small = Scenario("x", "", "", "tcp", Light(100), (PENSTOCK, OFF), light.metrics, (OFF,))
    samples = list(collection_rounds(small, Run(effort, Cores(None, None), lambda _: None, pytest.fail)))
    assert [(sample.proxy, sample.round) for sample in samples] == [(PENSTOCK, 1), (OFF, 1), (OFF, 2), (PENSTOCK, 2)]
    assert [sample.errors for sample in samples] == [""] * 4
    for sample in samples:
        assert {metric.key for metric in light.metrics} <= set(sample.values)
        assert 0 < sample.values["share"] < 100
        assert 0 < sample.values["rate"] < 150  # a busy machine gives less, and nothing may give more


def test_connections_that_do_not_stand_are_told():
    """Without a proxy there is no crowd, and that is an error."""
    (port,) = free_ports(1)
    with pytest.raises(ServerError, match="0 of 5"), standing(port, 5):
        pass


def test_a_door_that_does_not_obey_is_told():
    """Without an admin door nothing is measured."""
    (port,) = free_ports(1)
    with pytest.raises(OSError, match="refused"):
        switch(port, on=True)
