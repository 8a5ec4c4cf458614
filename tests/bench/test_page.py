"""From results to the page."""

import json
from dataclasses import asdict, replace

import pytest
from bench.figures import Figure, Sample
from bench.page import Results, from_json, render, spread, verdicts
from bench.scenarios import QUICK

MACHINE = {"processor": "P", "cores": "2", "memory": "8 GB", "kernel": "Linux 6", "system": "D", "python": "CPython 3"}
VERSIONS = {"penstock": "0.1.0", "haproxy": "2.6", "wrk": "4.1"}


def short(proxy, number, cpu, errors="", others=0.0):
    """One sample of short TCP connections."""
    return Sample("tcp-short", proxy, number, {"cpu": cpu, "rate": 1e6 / cpu}, errors, others)


@pytest.fixture
def results():
    """Three rounds of one scenario, one of them with an error."""
    samples = [short("penstock", 1, 60.0), short("haproxy", 1, 50.0), short("penstock", 2, 70.0, "", 0.25)]
    samples += [short("haproxy", 2, 50.0), short("penstock", 3, 10.0, "connect 2"), short("haproxy", 3, 40.0)]
    skipped = ["nginx: not installed"]
    return Results(
        "2026-01-01 00:00 UTC", "python -m bench", MACHINE, VERSIONS, "One core", "as found", QUICK, skipped, samples
    )


def test_page(results):
    """The page has the machine, who was left out, medians with their spread, ratios, and the rounds not used."""
    page = render(results)
    assert "- **Machine**: P, 2 cores, 8 GB memory" in page
    assert "- Left out: nginx: not installed." in page
    assert "| penstock | 65.0 (60.0-70.0) | 15,476 (14,286-16,667) | 1.30 (1.20-1.40) |" in page
    assert "| haproxy | 50.0 (40.0-50.0) | 20,000 (20,000-25,000) | 1 |" in page
    assert "- Not used: penstock, round 3: connect 2." in page
    assert "25% in the worst" in page
    assert page.endswith("\n")
    assert "\n\n\n" not in page


def test_verdict(results):
    """A bound is judged by the median of the ratios of usable rounds."""
    (verdict,) = verdicts(results)
    assert verdict.figure == Figure(pytest.approx(1.3), pytest.approx(1.2), pytest.approx(1.4), 2)
    assert not verdict.held
    assert "**not held**" in render(results)


def test_bound_without_a_figure_is_not_held(results):
    """A bound that could not be measured does not count as held; one that Penstock did not run for is no bound."""
    alone = replace(results, samples=[short("penstock", 1, 60.0)])
    assert [verdict.held for verdict in verdicts(alone)] == [False]
    assert verdicts(replace(results, samples=[short("haproxy", 1, 60.0)])) == []


def test_absolute_bound(results):
    """Memory is bounded by itself, not by another proxy."""
    samples = [Sample("memory", "penstock", 1, {"bytes": 4000.0, "before": 30.0, "held": 100.0})]
    (verdict,) = verdicts(replace(results, samples=samples))
    assert verdict.held
    assert "4,000 (4,000-4,000) | 4,096 | held" in render(replace(results, samples=samples))


def test_latency_is_compared_with_direct(results):
    """The page says what each proxy adds to the load without one."""
    latency = [
        Sample("latency", name, 1, {"p50": p50, "p99": 90.0}) for name, p50 in [("penstock", 80.0), ("direct", 45.0)]
    ]
    assert "Added to the direct p50 us: penstock 35 (35-35)." in render(replace(results, samples=latency))


def test_pairs_are_told_apart(results):
    """Below the table stands what a scenario is about: how far one proxy is from another, metric by metric."""
    found = {"penstock": (900.0, 2_000.0), "penstock-plain": (800.0, 1_500.0), "haproxy": (500.0, 900.0)}
    samples = [
        Sample("proxy-header", name, 1, {"p50": p50, "p99": p99, "rate": 700.0}) for name, (p50, p99) in found.items()
    ]
    page = render(replace(results, samples=samples))
    assert "\n- penstock beyond penstock-plain: p50 us 100 (100-100), p99 us 500 (500-500).\n" in page
    assert "- haproxy beyond" not in page


def test_json_and_back(results):
    """Results survive their JSON."""
    assert from_json(json.loads(json.dumps(asdict(results)))) == results


def test_spread():
    """A figure shows its spread; none is a dash."""
    assert spread(Figure(1234.5, 1.0, 2000.0, 3), 0) == "1,234 (1-2,000)"
    assert spread(None, 1) == "-"


def test_a_bound_may_be_about_another_metric_and_a_difference(results):
    """What one metric may be beyond that of another proxy is judged round by round."""
    shares = {("penstock", 1): 2.5, ("penstock-off", 1): 2.0, ("penstock", 2): 9.0, ("penstock-off", 2): 7.5}
    samples = [
        Sample("collection-light", name, number, {"share": share, "cpu": 1.0})
        for (name, number), share in shares.items()
    ]
    (verdict,) = verdicts(replace(results, samples=samples))
    assert verdict.figure == Figure(1.0, 0.5, 1.5, 2)
    assert verdict.held
    assert "beyond penstock-off | 1.00 (0.50-1.50) | 1.00 | held |" in render(replace(results, samples=samples))


def test_a_scenario_may_have_several_bounds(results):
    """Each bound of the supervisor's own work is judged by its own metric."""
    values = {"tick": 12.0, "worst": 30.0, "read": 1.5, "scrape": 8.0, "series": 6_000.0}
    found = verdicts(replace(results, samples=[Sample("inside", "penstock", 1, values)]))
    assert [(verdict.measured, verdict.held) for verdict in found] == [
        ("tick, ms", True), ("slowest read, ms", False), ("scrape, ms", True)
    ]  # fmt: skip
