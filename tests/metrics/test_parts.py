"""Parts of a registry as bytes."""

from penstock.metrics import parts
from penstock.metrics.parts import PARTS
from penstock.metrics.registry import Registry
from penstock.testing.standin import PLAN, StandIn


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
    assert parts.restore(registry, before) == []
    assert parts.export(registry) == before
    assert before.keys() == PARTS.keys()
    node.close()


def test_a_damaged_part_takes_no_other_with_it():
    """Each part begins at zero by itself, and is named."""
    node = StandIn()
    node.pen.move(node.pen.open(), 5)
    node.tick()
    exported = parts.export(node.sampler.registry)
    registry = Registry(PLAN, 0)
    (fault,) = parts.restore(registry, exported | {"endings": b"\xff", "more": b"of a later version"})
    assert fault.startswith("endings: SavedEndings: ")
    assert registry.listeners.whole().bytes_in == 5
    assert parts.restore(Registry(PLAN, 0), {}) == []
    node.close()
