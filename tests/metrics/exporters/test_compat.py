"""Older names for our numbers."""

import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason
from penstock.metrics import catalog
from penstock.metrics.exporters.compat import ALIASES, COMPAT, served
from penstock.metrics.exporters.prometheus import Format, render
from penstock.metrics.ledger import H_FAILED_LOGINS, H_LOGINS
from penstock.testing.standin import StandIn

REFUSALS = ((EndedBy.PROXY, Phase.DECIDE, Reason.ACCESS), (EndedBy.PROXY, Phase.NEGOTIATE, Reason.AUTH))


@pytest.fixture
def node():
    """A node whose two listeners have moved, refused, ended and still carry."""
    node = StandIn()
    for listener, moved in ((1, 10), (2, 300), (2, 7)):
        node.pen.move(node.pen.open(listener), moved, 2 * moved)
    for listener, refusal in zip((1, 2), REFUSALS, strict=True):
        node.pen.end(node.pen.open(listener), Outcome(*refusal))
    node.pen.end(node.pen.open(listener=1, now_ns=0), now_ns=7_500_000_000)
    node.pen.ledger.words[H_LOGINS] += 4
    node.pen.ledger.words[H_FAILED_LOGINS] += 3
    node.tick(0.5)
    yield node
    node.close()


def scraped(node):
    """Return samples by family, each as (name, labels, value), as Prometheus reads them."""
    body = render(served(node.snapshot(), None, compat_names=True), Format.TEXT).decode()
    return {
        family.name + "_total" * (family.type == "counter"): [(s.name, s.labels, s.value) for s in family.samples]
        for family in text_string_to_metric_families(body)
    }


@pytest.mark.parametrize(
    ("name", "samples"),
    [
        ("socks5_connections_total", [({}, 6)]),
        ("socks5_active_connections", [({}, 3)]),
        ("smartproxy_active_connections", [({}, 3)]),
        ("smartproxy_bytes_total", [({"direction": "in"}, 317), ({"direction": "out"}, 634)]),
        ("socks5_bytes_transferred_total", [({}, 951)]),
        ("smartproxy_throughput_bytes_per_second", [({}, 1_902)]),
        ("socks5_blocked_requests_total", [({}, 2)]),
        ("socks5_auth_attempts_total", [({}, 7)]),
        ("socks5_auth_success_total", [({}, 4)]),
    ],
)
def test_numbers_are_those_of_the_node(node, name, samples):
    """Each older number is that of all listeners, routes and reasons together, by hand."""
    assert [(labels, value) for _, labels, value in scraped(node)[name]] == samples


@pytest.mark.parametrize("alias", ALIASES, ids=lambda alias: alias.family.name)
def test_each_equals_its_source(node, alias):
    """What is read under the older name adds up to what is read under ours, bucket by bucket."""
    found = scraped(node)
    sums = [{}, {}]
    for sums_of, family in zip(sums, (alias.family, alias.source), strict=True):
        for sample, labels, value in found[family.name]:
            if family is alias.source and not alias.wanted(labels):
                continue
            kept = sample.removeprefix(family.name), labels.get("le"), *(labels[name] for name in alias.family.labels)
            sums_of[kept] = sums_of.get(kept, 0) + value
    assert sums[0] == sums[1]
    assert any(sums[0].values())
    assert alias.family.kind == alias.source.kind


def test_they_are_served_only_when_asked_for(node):
    """Without `compat_names` a node serves our families alone; with it ours come first, then each older one once."""
    plain = [reading.family for reading in served(node.snapshot(), None, compat_names=False)]
    assert tuple(plain) == catalog.NODE
    both = [reading.family for reading in served(node.snapshot(), None, compat_names=True)]
    assert tuple(both) == catalog.NODE + COMPAT
    names = [family.name for family in both]
    assert len(set(names)) == len(names)


def test_they_are_there_from_the_first_scrape():
    """A node that has done nothing serves each of them with zeros."""
    node = StandIn()
    assert {value for family in COMPAT for *_, value in scraped(node)[family.name]} == {0}
    node.close()


@pytest.mark.needs("promtool")
def test_promtool_has_no_complaint(node):
    """`promtool check metrics` is silent about the older names too."""
    body = render(served(node.snapshot(), None, compat_names=True), Format.TEXT)
    check = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, timeout=30, check=False)
    assert (check.returncode, check.stdout, check.stderr) == (0, b"", b"")
