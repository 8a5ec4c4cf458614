"""Parts of a registry as bytes."""

from msgspec.structs import replace

from penstock.config.plan import MetricsPlan
from penstock.metrics import parts
from penstock.metrics.parts import PARTS, Kept
from penstock.metrics.registry import Registry
from penstock.testing.pen import Pen
from penstock.testing.standin import PLAN, StandIn
from penstock.testing.steps import steps


def test_every_part_comes_back():
    """What is exported and restored exports the same."""
    node = StandIn()
    node.pen.move(node.pen.open(), 5)
    node.tick()
    node.pen.end(node.pen.open(), now_ns=9)
    node.tick()
    node.sampler.detach(1)
    before = parts.export(node.sampler.registry)
    registry = Registry(PLAN, 0)
    assert parts.restore(registry, Kept(before)) == []
    after = parts.export(registry)
    assert {name for name in before if after[name] != before[name]} == {"trackers"}  # its minute is sealed
    assert before.keys() == PARTS.keys()
    node.close()


def test_series_are_taken_and_loaded():
    """Seconds and minutes of one run are the first samples of the next; what is no chunk is said."""
    node = StandIn()
    parts.keep(node.sampler.registry)
    row = node.pen.open()
    taken = []
    for _ in range(70):
        node.pen.move(row, 5)
        node.tick()
        taken.append(parts.take(node.sampler.registry))
    minutes = [minute for each in taken for minute in each.minutes]
    samples = {kind: [each.samples[kind] for each in taken] for kind in parts.retention(MetricsPlan())}
    exported = parts.export(node.sampler.registry)
    registry = Registry(PLAN, 0)
    assert parts.restore(registry, Kept(exported, samples, minutes)) == []
    client = registry.kinds.pictures()["client"]
    assert client.window(60, client.find("192.0.2.7")).rates()[0] == 5
    assert registry.trackers.series().rates("node", 60).bytes_in == 5
    assert len(registry.trackers.series().history("node", 86_400)[1].at) == 2
    damaged = {"seconds": [b"x"], "client": [b"y"]}
    faults = parts.restore(Registry(PLAN, 0), Kept(exported, damaged, minutes))
    assert [fault.partition(": ")[0] for fault in faults] == ["seconds", "client samples"]
    node.close()


def test_a_damaged_part_takes_no_other_with_it():
    """Each part begins at zero by itself, and is named."""
    node = StandIn()
    node.pen.move(node.pen.open(), 5)
    node.tick()
    exported = parts.export(node.sampler.registry)
    registry = Registry(PLAN, 0)
    (fault,) = parts.restore(registry, Kept(exported | {"endings": b"\xff", "more": b"of a later version"}))
    assert fault.startswith("endings: SavedEndings: ")
    assert registry.listeners.whole().bytes_in == 5
    assert parts.restore(Registry(PLAN, 0), Kept({})) == []
    node.close()


def test_a_checkpoint_costs_little():
    """With 1,000 clients that all moved something it takes the event loop fewer than fifty steps for each."""
    node = StandIn(plan=replace(PLAN, metrics=MetricsPlan(users=0, destinations=0)))
    registry, pen = node.sampler.registry, Pen(rows=2_048)
    parts.keep(registry)
    node.sampler.attach(2, pen.fd)
    rows = [pen.open(client=(f"10.0.{number // 250}.{number % 250}", 1)) for number in range(1_000)]
    for _ in range(5):
        for row in rows:
            pen.move(row, 1_000, 2_000)
        node.tick()
    found = []
    taken = steps(lambda: found.extend((parts.take(registry), parts.export(registry))))
    assert taken < 50 * 1_000
    assert sum(map(len, (*found[0].samples.values(), *found[1].values()))) < 200_000
    pen.close()
    node.close()
