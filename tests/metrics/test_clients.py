"""Client addresses: a bounded number by name, all others together, and every byte in one of them."""

import numpy as np
import pytest

from penstock.metrics.clients import CLIENTS, OTHER, SECONDS, Clients, text_of
from penstock.metrics.fold import LedgerReader
from penstock.testing.pen import Pen


class Scene:
    """A ledger, its reader, and trackers with few places."""

    def __init__(self, places: int = 2) -> None:
        self.pen = Pen(rows=4_096)
        self.reader, self.clients, self.at = LedgerReader(self.pen.fd, 1), Clients(places), 1_700_000_000

    def open(self, ip: str, *amounts: int) -> int:
        """Open a connection that has moved so much."""
        row = self.pen.open(client=(ip, 4_000))
        self.pen.move(row, *amounts)
        return row

    def tick(self, times: int = 1):
        """Read, and return the picture."""
        for _ in range(times):
            self.pen.ledger.collect()
            self.clients.add(1, self.reader.fold())
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
    return {text_of(picture.keys[place]) for place in picture.known()}


def test_each_address_has_its_own_numbers(scene):
    """Connections, bytes and rates are those of all connections of one address, IPv4 or IPv6."""
    scene.open("192.0.2.1", 10, 1)
    scene.open("192.0.2.1", 20, 2)
    scene.open("2001:db8::9", 500)
    picture = scene.tick()
    one, nine = picture.find("192.0.2.1"), picture.find("2001:db8::9")
    assert picture.totals[:, one].tolist() == [2, 30, 3]
    assert picture.totals[:, nine].tolist() == [1, 500, 0]
    assert (int(picture.active[one]), int(picture.active[nine])) == (2, 1)
    assert picture.view.window(1, one).rates().tolist() == [30, 3]
    assert scene.tick().view.window(1, one).rates().tolist() == [0, 0]
    assert picture.find("192.0.2.77") is None


def test_a_client_on_a_unix_socket_has_a_name(scene):
    """It is `-`."""
    scene.open("unix:", 5)
    assert names(scene.tick()) == {"-"}


def test_without_a_place_it_counts_for_other(scene):
    """Of three addresses for two places the one that moved least is in `other`, with connection and bytes."""
    for number in range(1, 4):
        scene.open(f"192.0.2.{number}", number)
    picture = scene.tick()
    assert names(picture) == {"192.0.2.2", "192.0.2.3"}
    assert picture.totals[:, OTHER].tolist() == [1, 1, 0]
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
    assert picture.view.window(1, picture.find("192.0.2.4")).rates()[0] == 1_000
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
    assert picture.totals[:, OTHER].tolist() == [1, 100, 0]
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
    assert picture.view.window(10).sums[:, 0].sum() == 116
    assert "192.0.2.4" in names(picture)


def test_a_place_that_changed_hands_shows_no_history_of_the_other(scene):
    """An old picture does not show one client's graph under another's name."""
    row = scene.open("192.0.2.1", 100)
    old = scene.tick()
    place = old.find("192.0.2.1")
    assert old.history(place, 10).sums[:, 0].tolist() == [100]
    scene.pen.end(row)
    scene.tick(SECONDS + 3)
    assert len(old.history(place, 10).at) == 0
    assert len(old.history(OTHER, 10).at) == 1


def test_a_worker_that_is_gone_leaves_nothing_open(scene):
    """After the last reading of a worker its clients have no open connections, and their totals stay."""
    scene.open("192.0.2.1", 100)
    scene.tick()
    scene.clients.add(1, scene.reader.fold(dead=True))
    scene.clients.forget(1)
    scene.clients.push(scene.at + 1, 1.0)
    picture = scene.clients.picture()
    assert picture.active.sum() == 0
    assert picture.totals[:, picture.find("192.0.2.1")].tolist() == [1, 100, 0]


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
    assert picture.totals[:, picture.find("198.51.100.1")].tolist() == [1, steady_bytes, 0]
    assert picture.totals[1].sum() == moved + steady_bytes
    assert picture.totals[0].sum() == 40_001
    assert picture.active.sum() == 1
    assert scene.clients.nbytes == size
    assert len(scene.clients._places) <= 50
    scene.pen.close()


def test_the_default_is_bounded():
    """A thousand addresses take under 3 MB."""
    assert Clients(CLIENTS).nbytes < 3_000_000
