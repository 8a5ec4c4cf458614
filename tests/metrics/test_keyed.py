"""Short trackers, with client addresses for keys: a bounded number by name, all others together, every byte in one."""

import numpy as np
import pytest
from msgspec.structs import replace

from penstock.config.plan import MetricsPlan
from penstock.metrics.audit import QUANTITIES
from penstock.metrics.chunks import Chunk
from penstock.metrics.clients import KIND
from penstock.metrics.collection import begin
from penstock.metrics.fold import LedgerReader
from penstock.metrics.growth import COLUMNS
from penstock.metrics.keyed import RECENT, Keyed
from penstock.metrics.keys import OTHER, SECONDS
from penstock.metrics.kinds import CLIENT, Kinds
from penstock.metrics.saved import SavedError, SavedKeys, parse, serialize
from penstock.testing.pen import Pen


class Scene:
    """A ledger, its reader, and trackers with few places."""

    def __init__(self, places: int = 2) -> None:
        self.pen = Pen(rows=4_096)
        self.reader, self.at = LedgerReader(self.pen.fd, 1), 1_700_000_000
        plan = MetricsPlan(clients=places, users=0, destinations=0)
        self.kinds = Kinds(plan, {}, begin(plan))
        self.clients = self.kinds.trackers[CLIENT]

    def open(self, ip: str, *amounts: int) -> int:
        """Open a connection that has moved so much."""
        row = self.pen.open(client=(ip, 4_000))
        self.pen.move(row, *amounts)
        return row

    def tick(self, times: int = 1):
        """Read, and return the picture."""
        for _ in range(times):
            self.pen.ledger.collect()
            self.kinds.add(1, self.reader.fold())
            self.at += 1
            self.clients.push(self.at, 1.0)
        return self.clients.picture()


@pytest.fixture
def scene():
    """Two places."""
    scene = Scene()
    yield scene
    scene.pen.close()


def names(picture):
    """Return who is known."""
    return {picture.name(place) for place in picture.known()}


def test_each_address_has_its_own_numbers(scene):
    """Connections, bytes and rates are those of all connections of one address, IPv4 or IPv6."""
    scene.open("192.0.2.1", 10, 1)
    scene.open("192.0.2.1", 20, 2)
    scene.open("2001:db8::9", 500)
    picture = scene.tick()
    one, nine = picture.find("192.0.2.1"), picture.find("2001:db8::9")
    assert picture.totals[:, one].tolist() == [2, 30, 3, 0]
    assert picture.totals[:, nine].tolist() == [1, 500, 0, 0]
    assert (int(picture.active[one]), int(picture.active[nine])) == (2, 1)
    assert picture.window(1, one).rates().tolist() == [30, 3]
    assert scene.tick().window(1, one).rates().tolist() == [0, 0]
    assert picture.find("192.0.2.77") is None


def test_without_a_place_it_counts_for_other(scene):
    """Of three addresses for two places the one that moved least is in `other`, with connection and bytes."""
    for number in range(1, 4):
        scene.open(f"192.0.2.{number}", number)
    picture = scene.tick()
    assert names(picture) == {"192.0.2.2", "192.0.2.3"}
    assert picture.totals[:, OTHER].tolist() == [1, 1, 0, 0]
    assert picture.active[OTHER] == 1


def test_places_go_to_who_moves_most(scene):
    """When a place is given up the connection that moves most gets it, and `other` keeps what it had counted."""
    gone, _ = scene.open("192.0.2.1", 1), scene.open("192.0.2.2", 1)
    scene.tick()
    small, big = scene.open("192.0.2.3", 7), scene.open("192.0.2.4", 9)
    scene.tick()
    scene.pen.end(gone)
    scene.tick()
    for _ in range(3):
        scene.open("192.0.2.5", 1)
        scene.pen.move(small, 10)
        scene.pen.move(big, 1_000)
        picture = scene.tick()
    assert names(picture) == {"192.0.2.2", "192.0.2.4"}
    assert picture.totals[1].sum() == 18 + 3 + 30 + 3_000
    assert picture.window(1, picture.find("192.0.2.4")).rates()[0] == 1_000
    assert picture.active.sum() == 6
    assert scene.clients.evicted == 1


def test_idle_addresses_leave_and_stay_counted(scene):
    """Five minutes after its last byte and connection an address is forgotten; its numbers are in `other`."""
    row = scene.open("192.0.2.1", 100)
    scene.tick(SECONDS + 10)
    assert names(scene.tick()) == {"192.0.2.1"}  # idle, but connected
    scene.pen.end(row)
    scene.tick(SECONDS - 1)
    assert names(scene.clients.picture()) == {"192.0.2.1"}
    picture = scene.tick()
    assert names(picture) == set()
    assert picture.totals[:, OTHER].tolist() == [1, 100, 0, 0]
    assert scene.clients.evicted == 0


def test_samples_of_who_left_are_in_other(scene):
    """Windows of all addresses add up to the node's, those that lost their place included."""
    scene.pen.end(scene.open("192.0.2.1", 100))
    scene.pen.end(scene.open("192.0.2.2", 10))
    scene.tick()
    scene.pen.end(scene.open("192.0.2.3", 1))
    scene.tick(2)
    scene.open("192.0.2.4", 5)
    picture = scene.tick()
    assert picture.rates(10)[:, 0].sum() * 4 == 116
    assert picture.window(10, OTHER).sums[0] == 101
    assert picture.history(OTHER, 10).sums[:, 0].tolist() == [100, 1, 0, 0]
    assert "192.0.2.4" in names(picture)


def test_a_place_that_changed_hands_shows_no_history_of_the_other(scene):
    """An old picture does not show one client's graph under another's name."""
    row = scene.open("192.0.2.1", 100)
    old = scene.tick()
    place = old.find("192.0.2.1")
    assert old.history(place, 10).sums[:, 0].tolist() == [100]
    scene.pen.end(row)
    scene.tick(SECONDS + 3)
    scene.open("192.0.2.2", 7)
    now = scene.tick()
    assert now.find("192.0.2.2") == place
    assert now.history(place, SECONDS).sums[:, 0].sum() == 7
    assert old.name(place) == "192.0.2.1"
    assert old.window(10, place).sums[0] in (0, 100)  # nothing, once the ring has written over it


def test_a_worker_that_is_gone_leaves_nothing_open(scene):
    """After the last reading of a worker its clients have no open connections, and their totals stay."""
    scene.open("192.0.2.1", 100)
    scene.tick()
    scene.kinds.add(1, scene.reader.fold(dead=True))
    scene.clients.forget(1)
    scene.clients.push(scene.at + 1, 1.0)
    picture = scene.clients.picture()
    assert picture.active.sum() == 0
    assert picture.totals[:, picture.find("192.0.2.1")].tolist() == [1, 100, 0, 0]


def test_any_number_of_addresses_takes_the_same_memory():
    """A storm of 40,000 addresses moves every byte into some count, and a steady client keeps its place in it."""
    scene, steady_bytes = Scene(places=50), 0
    random = np.random.default_rng(5)
    steady = scene.open("198.51.100.1")
    scene.tick()
    size, moved = scene.clients.nbytes, 0
    for _ in range(40):
        for number in random.integers(0, 2**24, 1_000).tolist():
            amount = number % 1_000
            scene.pen.end(scene.open(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", amount))
            moved += amount
        scene.pen.move(steady, 1_000_000)
        steady_bytes += 1_000_000
        picture = scene.tick()
        assert len(picture.known()) <= 50
    assert picture.totals[:, picture.find("198.51.100.1")].tolist() == [1, steady_bytes, 0, 0]
    assert picture.totals[1].sum() == moved + steady_bytes
    assert picture.totals[0].sum() == 40_001
    assert picture.active.sum() == 1
    assert scene.clients.nbytes == size
    assert len(scene.clients._places) <= 50
    scene.pen.close()


def test_the_default_is_bounded():
    """A thousand addresses take under 3 MB, and are one kind of three."""
    assert Keyed(KIND, MetricsPlan().clients).nbytes < 3_000_000


def test_who_moves_most_takes_the_place_of_who_moves_little(scene):
    """A key keeps its place while it is connected, but not against one that moves more in a second than it in ten."""
    early = {number: scene.open(f"192.0.2.{number}", 5) for number in (1, 2)}
    late = scene.open("192.0.2.3")
    scene.tick(RECENT - 1)
    scene.pen.move(late, 5)
    scene.tick()
    assert names(scene.tick()) == {"192.0.2.1", "192.0.2.2"}
    scene.pen.move(late, 1_000)
    scene.tick()
    scene.pen.move(late, 1_000)
    picture = scene.tick()
    assert "192.0.2.3" in names(picture)
    assert picture.active.sum() == 3
    assert picture.totals[1].sum() == 10 + 5 + 2_000
    for row in early.values():
        scene.pen.move(row, 1)
    picture = scene.tick()
    assert picture.totals[:, picture.find("192.0.2.3")].tolist() == [0, 1_000, 0, 0]
    assert picture.active.tolist() == [1, 0, 1, 1]
    assert len(names(picture) - {"192.0.2.3"}) == 1


def test_a_storm_does_not_take_every_place(scene):
    """In one tick busier keys take a tenth of the places, and never those with the most open connections."""
    scene.clients.__init__(KIND, 40)
    rows = [scene.open(f"192.0.2.{number}", 1) for number in range(1, 41)]
    many = [scene.open("192.0.2.1") for _ in range(5)]
    scene.tick(RECENT + 1)
    for number in range(100):
        scene.open(f"198.51.100.{number}", 10_000)
    scene.tick()
    assert scene.clients.evicted == 4
    assert "192.0.2.1" in names(scene.clients.picture())
    assert len(rows) + len(many) + 100 == scene.clients.picture().active.sum()


def test_sums_are_the_nodes_between_ticks_too(scene):
    """A picture that is taken after a reading and before the tick's end shows what was read."""
    row = scene.open("192.0.2.1", 100)
    scene.tick()
    scene.pen.move(row, 11)
    scene.kinds.add(1, scene.reader.fold())
    assert scene.clients.picture().totals[1].sum() == 111
    assert scene.clients.sums() == {"bytes_in": 111, "bytes_out": 0, "connections": 1, "requests": 0}


def drained(scene):
    """Return what grew by key."""
    return {grown.key: grown[1:] for grown in scene.clients.drain_minute()}


def test_what_grew_is_told_once_by_key(scene):
    """Each draining tells what grew since the last one: connections, requests, bytes in and out."""
    row = scene.open("192.0.2.1", 10, 20, 0, 0, 3)
    scene.open("192.0.2.2")
    scene.tick()
    assert drained(scene) == {"192.0.2.1": (1, 3, 10, 20), "192.0.2.2": (1, 0, 0, 0)}
    assert drained(scene) == {}
    scene.pen.move(row, 5)
    scene.tick()
    assert drained(scene) == {"192.0.2.1": (0, 0, 5, 0)}


def test_who_left_is_told_by_name(scene):
    """A key that lost its place since the last draining is told with what it had grown by, and once only."""
    scene.pen.end(scene.open("192.0.2.1", 10))
    scene.pen.end(scene.open("192.0.2.2", 20))
    scene.tick(2)
    scene.pen.end(scene.open("192.0.2.3", 30))
    scene.tick(2)
    scene.pen.end(scene.open("192.0.2.4", 40))
    scene.tick(2)
    told = drained(scene)
    assert told["192.0.2.1"] == (1, 0, 10, 0)
    assert sum(grown[2] for grown in told.values()) == 100
    assert sum(grown[0] for grown in told.values()) == 4
    assert drained(scene) == {}


def test_what_is_told_stays_bounded():
    """Of a storm as many keys are told as there are places, and those known and gone; the rest is in `other`."""
    scene = Scene(places=5)
    for number in range(200):
        scene.pen.end(scene.open(f"192.0.2.{number}", 1))
        scene.tick()
    told = drained(scene)
    assert len(told) <= 5 + 5 + 1
    assert sum(grown[2] for grown in told.values()) == 200
    scene.pen.close()


def kept(clients, chunks=()):
    """Return what a file would hold of these trackers."""
    return parse(serialize(clients.export()), SavedKeys), [parse(serialize(chunk), Chunk) for chunk in chunks if chunk]


def resumed(first, saved, chunks, places=2):
    """Return the scene of a next run, where `other` has the node's totals already."""
    scene = Scene(places)
    scene.clients.carry(carried(first))
    scene.clients.restore(saved)
    scene.clients.load(chunks)
    return scene


def carried(scene):
    """Return the node's totals as a column."""
    column, sums = np.zeros(COLUMNS, np.int64), scene.clients.sums()
    for name, number in QUANTITIES.items():
        column[number] = sums[name]
    return column


def test_addresses_keep_places_totals_and_samples_through_a_restart(scene):
    """The next run knows the same addresses, with their totals and five minutes of graph; sums are exact."""
    scene.open("192.0.2.1", 10, 1)
    scene.open("2001:db8::9", 500, 2)
    scene.open("192.0.2.3", 7)
    chunks = []
    for _ in range(4):
        scene.tick()
        chunks.append(scene.clients.take())
    before = scene.clients.picture()
    after = resumed(scene, *kept(scene.clients, chunks))
    picture = after.clients.picture()
    assert names(picture) == names(before) == {"192.0.2.1", "2001:db8::9"}
    for name in ("192.0.2.1", "2001:db8::9", "other"):
        old, new = before.find(name), picture.find(name)
        assert picture.totals[:, new].tolist() == before.totals[:, old].tolist()
        assert picture.history(new, 300).sums.tolist() == before.history(old, 300).sums.tolist()
    assert after.clients.sums() == scene.clients.sums()
    assert after.clients.drain_minute() == []
    assert "192.0.2.1" in names(after.tick(SECONDS - 10))
    after.pen.close()


def test_samples_of_who_left_are_others(scene):
    """A place that changed hands between two checkpoints gives to each what was moved in its time."""
    first = scene.open("192.0.2.1", 10)
    scene.open("192.0.2.2", 1_000)
    scene.tick()
    scene.pen.end(first)
    scene.tick(2)
    scene.open("192.0.2.3", 700)
    scene.tick(3)
    assert "192.0.2.3" in names(scene.clients.picture())
    chunk = scene.clients.take()
    after = resumed(scene, *kept(scene.clients, [chunk]))
    old, new = scene.clients.picture(), after.clients.picture()
    for name in ("192.0.2.2", "192.0.2.3", "other"):
        assert new.history(new.find(name), 300).sums.tolist() == old.history(old.find(name), 300).sums.tolist()
    assert scene.clients.take() is None
    after.pen.close()


def test_fewer_places_keep_the_busiest(scene):
    """A node with less room than before knows those that moved most; the others are other's, to the byte."""
    scene.open("192.0.2.1", 10)
    scene.open("192.0.2.2", 1_000)
    scene.tick()
    after = resumed(scene, *kept(scene.clients, [scene.clients.take()]), places=1)
    assert names(after.clients.picture()) == {"192.0.2.2"}
    assert after.clients.sums() == scene.clients.sums()
    after.pen.close()


@pytest.mark.parametrize(
    "change",
    [
        {"names": ("192.0.2.1",)},
        {"names": ("192.0.2.1", "192.0.2.1")},
        {"totals": np.array([[-1, 0]] + [[0, 0]] * 3).tobytes()},
        {"totals": np.array([[1, 0]] + [[2**62, 2**62]] * 3).tobytes()},
        {"totals": np.array([[9, 0]] + [[0, 0]] * 3).tobytes()},
    ],
)
def test_keys_that_never_were_are_one_error(scene, change):
    """Missing, negative and endless numbers, and more than the node has counted, leave everything with other."""
    scene.open("192.0.2.1", 10)
    scene.open("192.0.2.2", 1_000)
    scene.tick()
    saved, _ = kept(scene.clients)
    saved = replace(saved, names=saved.names[-2:], totals=bytes(64))
    after = Scene()
    after.clients.carry(carried(scene))
    with pytest.raises(SavedError, match="SavedKeys"):
        after.clients.restore(replace(saved, **change))
    assert names(after.clients.picture()) == set()
    assert after.clients.sums() == scene.clients.sums()
    after.pen.close()


def test_a_storm_leaves_those_that_are_known():
    """Keys that come once take a tenth of the places in a tick: the list is never empty, whatever comes."""
    scene = Scene(places=20)
    for second in range(30):
        for number in range(100):
            scene.pen.end(scene.open(f"10.0.{second}.{number}", 1))
        picture = scene.tick()
        assert len(picture.known()) >= 18
    assert picture.totals[0].sum() == 3_000
    scene.pen.close()
