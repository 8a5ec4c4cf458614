"""Metrics as others read them."""

import gzip
import re
import subprocess

import pytest
from prometheus_client import exposition
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from penstock.base.outcomes import EndedBy, Outcome, Phase, Reason
from penstock.config.plan import ListenerPlan, MetricsPlan, NodePlan, RoutePlan, TargetPlan, WorkerPlan
from penstock.metrics.catalog import FAMILIES, NODE, OUTCOMES, REFUSED
from penstock.metrics.exporters.families import Reading, chosen, readings
from penstock.metrics.exporters.prometheus import Format, render, render_push
from penstock.metrics.ledger import DIALED
from penstock.metrics.snapshot import Usage
from penstock.metrics.view import Metrics
from penstock.testing.standin import PLAN, StandIn
from penstock.testing.steps import steps

USAGE = Usage(
    cpu_seconds=1.25, resident_bytes=2**40 + 1, virtual_bytes=2**41, open_fds=12, max_fds=1_024, started_at=1.7e9
)


@pytest.fixture
def node():
    """A node that has seen some traffic."""
    node = StandIn()
    row = node.pen.open(listener=1)
    node.pen.aim(row, 1, 2)
    node.pen.move(row, 1_000, 2_000, 2_000, 1_000)
    node.pen.answer(row, 404, 3_000_000)
    node.pen.end(node.pen.open(listener=2), Outcome(EndedBy.PROXY, Phase.DECIDE, Reason.ACCESS))
    node.tick(0.5)
    yield node
    node.close()


def samples(body, parse=parse_text):
    """Return every sample by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse(body.decode())
        for sample in family.samples
    }


def value(found, name, **labels):
    """Return one sample."""
    return found[name, frozenset(labels.items())]


@pytest.mark.parametrize(("form", "parse"), [(Format.TEXT, parse_text), (Format.OPENMETRICS, parse_openmetrics)])
def test_both_forms_say_the_same(node, form, parse):
    """Both parsers read our output, and find the numbers of the snapshot in it."""
    found = samples(render(readings(node.snapshot(), USAGE), form), parse)
    web = {"listener": "web", "route": "default"}
    assert value(found, "penstock_connections_total", **web) == 1
    assert value(found, "penstock_connections_active", **web) == 1
    assert value(found, "penstock_connections_active", listener="egress", route="out") == 0
    assert value(found, "penstock_bytes_total", direction="in", **web) == 1_000
    assert value(found, "penstock_bytes_total", direction="out", **web) == 2_000
    assert value(found, "penstock_requests_total", code="404", **web) == 1
    assert value(found, "penstock_requests_total", code="-", **web) == 0
    assert value(found, "penstock_request_duration_seconds_bucket", le="0.0025", **web) == 0
    assert value(found, "penstock_request_duration_seconds_bucket", le="0.005", **web) == 1
    assert value(found, "penstock_request_duration_seconds_sum", **web) == 0.003
    assert value(found, "penstock_request_duration_seconds_count", listener="egress", route="out") == 0
    assert value(found, "penstock_throughput_bytes_per_second", direction="out", window="1s") == 4_000
    assert value(found, "penstock_refused_total", reason="access") == 1
    assert value(found, "penstock_auth_total", result="failure") == 0
    assert value(found, "penstock_outcomes_total", ended_by="proxy", phase="decide") == 1
    target = {"route": "default", "target": "[2001:db8::2]:80"}
    assert value(found, "penstock_target_connections_total", **target) == 1
    assert value(found, "penstock_target_connections_active", **target) == 1
    assert value(found, "penstock_target_bytes_total", direction="rx", **target) == 2_000
    assert value(found, "penstock_workers", state="alive") == 1
    assert value(found, "process_resident_memory_bytes") == 2**40 + 1
    assert value(found, "process_cpu_seconds_total") == 1.25


def test_throughput_is_served_in_three_windows(node):
    """The last second, ten seconds and a minute, each divided by the time that is covered."""
    node.tick(7.5)
    found = samples(render(readings(node.snapshot(), USAGE), Format.TEXT))
    rates = [
        value(found, "penstock_throughput_bytes_per_second", direction="in", window=window)
        for window in ("1s", "10s", "60s")
    ]
    assert rates == [0, 125, 125]


@pytest.mark.parametrize("form", Format)
def test_every_family_is_served_from_the_first_scrape(form):
    """A node that has done nothing serves every family with HELP, TYPE and zeros, closed lists in full."""
    node = StandIn()
    body = render(readings(node.snapshot(), USAGE), form).decode()
    for family in FAMILIES:
        name = family.name.removesuffix("_total") if form is Format.OPENMETRICS else family.name
        assert f"# HELP {name} {family.help}\n" in body
        assert f"# TYPE {name} {family.kind}\n" in body
        labelled = family.labels or family.kind == "histogram"
        sample = family.name + ("_bucket" if family.kind == "histogram" else "")
        assert f"\n{sample}{'{' if labelled else ' '}" in body
    assert body.count(f"\n{REFUSED.name}{{") == len(Reason)
    assert body.count(f"\n{OUTCOMES.name}{{") == len(EndedBy) * len(Phase)
    node.close()


def test_every_sample_has_the_labels_of_its_family(node):
    """What is served is what the catalogue says: names, and labels by name."""
    labels = {name: set(names) for family in NODE for name, names in samples_of(family)}
    found = samples(render(readings(node.snapshot(), None), Format.TEXT))
    assert {name for name, _ in found} == set(labels)
    assert all({label for label, _ in pairs} == labels[name] for name, pairs in found)


def samples_of(family):
    """Return the names of a family's samples, and their labels."""
    if family.kind != "histogram":
        return [(family.name, family.labels)]
    parts = {"_bucket": ("le", *family.labels), "_sum": family.labels, "_count": family.labels}
    return [(family.name + part, labels) for part, labels in parts.items()]


@pytest.mark.parametrize(("form", "parse"), [(Format.TEXT, parse_text), (Format.OPENMETRICS, parse_openmetrics)])
def test_histograms_are_cumulative(node, form, parse):
    """Durations and dials by bound: each bucket holds those below it, the last one all."""
    row = node.pen.open(listener=1, now_ns=0)
    node.pen.aim(row, 1, 1)
    node.pen.ledger.words[row + DIALED] = 20_000_000
    node.pen.end(row, now_ns=7_500_000_000)
    node.tick()
    found = samples(render(readings(node.snapshot(), USAGE), form), parse)
    name = "penstock_connection_duration_seconds"
    counts = [value(found, f"{name}_bucket", le=le) for le in ("0.1", "0.5", "1.0", "5.0", "10.0", "600.0", "+Inf")]
    assert counts == [1, 1, 1, 1, 2, 2, 2]  # the first one of this node was refused at once
    assert (value(found, f"{name}_sum"), value(found, f"{name}_count")) == (7.5, 2)
    dial = {"route": "default", "target": "192.0.2.10:80"}
    name = "penstock_dial_duration_seconds"
    assert value(found, f"{name}_bucket", le="0.01", **dial) == 0
    assert value(found, f"{name}_bucket", le="0.025", **dial) == 1
    assert value(found, f"{name}_sum", **dial) == 0.02
    assert value(found, f"{name}_count", route="out", target="-") == 0


def test_a_series_is_served_once():
    """Two listeners that send to one target by one route make one series, with the sum of both."""
    target = {"host": "192.0.2.10", "port": 80}
    listeners = tuple(
        ListenerPlan(
            id=n,
            name=f"l{n}",
            protocol="tcp",
            host="::",
            port=n,
            route=RoutePlan(id=1, name="default", targets=(TargetPlan(id=n, **target),)),
        )
        for n in (1, 2)
    )
    plan = NodePlan(name="n", workers=1, admin=None, socket_path="", worker=WorkerPlan(listeners=listeners))
    node = StandIn(plan=plan)
    for number in (1, 2):
        row = node.pen.open(listener=number)
        node.pen.aim(row, number, number)
        node.pen.move(row, 0, 0, 10 * number)
    body = render(readings(node.tick(), None), Format.OPENMETRICS)
    found = samples(body, parse_openmetrics)
    series = {"route": "default", "target": "192.0.2.10:80"}
    assert value(found, "penstock_target_bytes_total", direction="rx", **series) == 30
    assert value(found, "penstock_target_connections_active", **series) == 2
    node.close()


def test_names_of_any_kind_are_quoted():
    """Names with quotes, backslashes and line ends come back from the parser as they were."""
    name = 'a "quoted\\name"\nof ümlauts'
    listener = ListenerPlan(id=1, name=name, protocol="http", host="::", port=1)
    plan = NodePlan(name="n", workers=1, admin=None, socket_path="", worker=WorkerPlan(listeners=(listener,)))
    node = StandIn(plan=plan)
    for form, parse in ((Format.TEXT, parse_text), (Format.OPENMETRICS, parse_openmetrics)):
        found = samples(render(readings(node.snapshot(), None), form), parse)
        assert value(found, "penstock_connections_total", listener=name, route="default") == 0
    node.close()


KINDS = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}


class Collected:
    """Families as prometheus_client takes them."""

    def __init__(self, found):
        self.found = found

    def collect(self):
        """Yield each family with its samples."""
        for reading in self.found:
            metric = KINDS[reading.family.kind](reading.family.name, reading.family.help)
            for sample in reading.samples():
                metric.add_sample(*sample)
            yield metric


@pytest.mark.parametrize(
    ("form", "write", "parse"),
    [
        (Format.TEXT, exposition.generate_latest, parse_text),
        (Format.OPENMETRICS, openmetrics.generate_latest, parse_openmetrics),
    ],
)
def test_prometheus_client_writes_the_same(node, form, write, parse):
    """Its writer and ours say the same of a node, sample by sample, with the same types and helps in the same order."""
    found = readings(node.snapshot(), USAGE)
    ours, theirs = (list(parse(body.decode())) for body in (render(found, form), write(Collected(found))))
    assert [(each.name, each.type, each.documentation) for each in ours] == [
        (each.name, each.type, each.documentation) for each in theirs
    ]
    for one, two in zip(ours, theirs, strict=True):
        assert one == two  # numbers by value: ours are written whole where they are whole
    content_types = {each.value for each in Format}
    assert content_types == {exposition.CONTENT_TYPE_PLAIN_0_0_4, openmetrics.CONTENT_TYPE_LATEST}


@pytest.mark.parametrize(("form", "parse"), [(Format.TEXT, parse_text), (Format.OPENMETRICS, parse_openmetrics)])
def test_some_families_are_an_answer_too(node, form, parse):
    """One family of each kind, and none at all, can be read by themselves, with nothing else in them."""
    found = readings(node.snapshot(), None)
    whole = samples(render(found, form), parse)
    for name in ("penstock_bytes_total", "penstock_dial_duration_seconds", "penstock_workers"):
        some = samples(render(chosen(found, {name, "no"}), form), parse)
        assert some == {key: number for key, number in whole.items() if key[0].startswith(name)}
        assert some
    assert render(chosen(found, {"no"}), form) == (b"# EOF\n" if form is Format.OPENMETRICS else b"")


def test_a_push_has_labels_and_time(node):
    """What is pushed is what would be scraped, with what a scraper adds: its labels, escaped, and the time."""
    found = readings(node.snapshot(), USAGE)
    labels = {"job": "penstock", "instance": 'edge "1"'}
    pushed = gzip.decompress(render_push(found, labels, 1_700_000_000_123)).decode()
    scraped = list(parse_text(render(found, Format.TEXT).decode()))
    for one, two in zip(parse_text(pushed), scraped, strict=True):
        assert [(s.name, s.labels, s.value) for s in one.samples] == [
            (s.name, s.labels | labels, s.value) for s in two.samples
        ]
        assert {s.timestamp for s in one.samples} == {1_700_000_000.123}
    plain = gzip.decompress(render_push(found, {}, 5)).decode()
    assert re.sub(" 5$", "", plain, flags=re.M) == render(found, Format.TEXT).decode()


def test_names_that_are_no_unicode_are_written_too():
    """A lone surrogate, which a name read from bytes may hold, is written as `?`."""
    reading = Reading(OUTCOMES, {("\udcff", "\ud800x"): 1}, {})
    assert b'{ended_by="?",phase="?x"} 1\n' in render([reading], Format.TEXT)
    assert b'{ended_by="?",phase="?x"} 1 7\n' in gzip.decompress(render_push([reading], {}, 7))


@pytest.mark.parametrize("form", Format)
def test_a_large_node_is_quickly_told(form):
    """More than 5,000 series take fewer than twenty steps of Python each."""
    listeners = tuple(
        ListenerPlan(
            id=n, name=f"listener-{n}", protocol="tcp", host="::", port=n,
            route=RoutePlan(id=n, name=f"route-{n}", targets=(TargetPlan(id=n, host=f"192.0.2.{n}", port=80),)),
        )
        for n in range(1, 130)
    )  # fmt: skip
    node = StandIn(
        plan=NodePlan(name="n", workers=1, admin=None, socket_path="", worker=WorkerPlan(listeners=listeners))
    )
    snapshot, bodies = node.snapshot(), []
    taken = steps(lambda: bodies.append(render(readings(snapshot, USAGE), form)))
    series = sum(not line.startswith(b"#") for line in bodies[0].splitlines())
    assert series > 5_000
    assert taken < 20 * series
    node.close()


@pytest.mark.parametrize(("form", "parse"), [(Format.TEXT, parse_text), (Format.OPENMETRICS, parse_openmetrics)])
def test_users_of_any_bytes_are_labels(form, parse):
    """Users and destinations with quotes, backslashes, line ends and broken UTF-8 are read back as they are shown."""
    plan = NodePlan(
        name="n", workers=1, admin=None, socket_path="", worker=PLAN.worker,
        metrics=MetricsPlan(labels=("client", "user", "destination")),
    )  # fmt: skip
    node = StandIn(plan=plan)
    names = ['a "quoted\\name"', "line\nend", "\x1b[2J", "ünï", "\u202e", "{}=,", "\\n", "u" * 63 + "\u20ac"]
    for number, name in enumerate(names):
        row = node.pen.open(2, (f"192.0.2.{number}", 1), phase=Phase.RELAY)
        node.pen.describe(row, name + ":80", name)
        node.pen.move(row, number + 1)
    node.tick()
    found = samples(render(readings(node.snapshot(), None), form), parse)
    shown = {user: count.active for user, count in Metrics(node.snapshot()).connections.by_user.items()}
    for kind in ("user", "destination", "client"):
        served = {dict(labels)[kind] for name, labels in found if name == f"penstock_{kind}_bytes_total"}
        assert len(served) == len(names) + 1
        if kind == "user":
            assert served == set(shown)
            assert value(found, "penstock_user_bytes_total", direction="in", user='a "quoted\\name"') == 1
            assert value(found, "penstock_user_bytes_total", direction="in", user="line\ufffdend") == 2
    node.close()


def test_gzip_shrinks_and_comes_back(node):
    """A compressed body is the same body, and smaller."""
    plain = render(readings(node.snapshot(), USAGE), Format.TEXT)
    packed = render(readings(node.snapshot(), USAGE), Format.TEXT, compressed=True)
    assert gzip.decompress(packed) == plain
    assert len(packed) < len(plain) / 4


@pytest.mark.needs("promtool")
def test_promtool_has_no_complaint(node):
    """`promtool check metrics` is silent."""
    body = render(readings(node.snapshot(), USAGE), Format.TEXT)
    check = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, timeout=30, check=False)
    assert (check.returncode, check.stdout, check.stderr) == (0, b"", b"")
