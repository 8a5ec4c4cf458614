"""The command line."""

import json
from dataclasses import asdict

import pytest
from bench.__main__ import arguments, chosen, describe, effort_of, main
from bench.figures import Sample
from bench.page import Results
from bench.scenarios import QUICK, SCENARIOS, Effort


def test_effort():
    """A run is five rounds unless it is quick or told otherwise."""
    assert effort_of(arguments([])) == Effort(rounds=5)
    assert effort_of(arguments(["--quick"])) == QUICK
    assert effort_of(arguments(["--rounds", "2"])).rounds == 2


@pytest.mark.parametrize("argv", [["--rounds", "0"], ["--only", "nothing"], ["--proxies", "haproxy,squid"]])
def test_usage(argv):
    """A wrong option ends with usage, exit 2."""
    with pytest.raises(SystemExit) as ended:
        arguments(argv)
    assert ended.value.code == 2


def test_chosen():
    """Only what was asked for is run, by whom was asked for and is installed; who is absent is told of."""
    skipped = []
    (scenario,) = chosen(arguments(["--only", "latency", "--proxies", "direct"]), skipped)
    assert (scenario.name, scenario.proxies, skipped) == ("latency", ("direct",), [])


def test_describe():
    """Progress says the numbers, or what went wrong."""
    sample = Sample("tcp-short", "haproxy", 1, {"cpu": 60.04}, "timeout 1")
    assert describe(sample, SCENARIOS[0]).endswith("haproxy     60.0 CPU us per connection  errors: timeout 1")


def test_render_again(tmp_path):
    """A page is made again from kept results, and nothing is run."""
    machine = dict.fromkeys(("processor", "cores", "memory", "kernel", "system", "python"), "x")
    sample = Sample("tcp-short", "penstock", 1, {"cpu": 60.0, "rate": 1.0})
    results = Results("now", "python -m bench", machine, {"penstock": "1"}, "", "", QUICK, [], [sample])
    kept, page = tmp_path / "kept.json", tmp_path / "page.md"
    kept.write_text(json.dumps(asdict(results)))
    assert main(["--render", str(kept), "--page", str(page)]) == 0
    assert "| penstock | 60.0 (60.0-60.0) |" in page.read_text()
    assert main(["--render", str(kept), "--page", str(page), "--check"]) == 1
