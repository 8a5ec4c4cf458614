"""The writing thread: what cannot be written waits, and is written later."""

import sqlite3

import pytest

from penstock.base.clock import NS
from penstock.base.errors import StartError
from penstock.store import checkpoint, tables
from penstock.store.checkpoint import Checkpoint
from penstock.store.file import Opened
from penstock.store.schema import migrate
from penstock.store.writer import Writer
from penstock.testing.clock import ManualClock


class Disk:
    """A file in memory that fails when told."""

    def __init__(self, monkeypatch):
        self.error = None
        self.opened = []
        self.notices = []
        self.clock = ManualClock()
        self.connection = self.fresh()
        self._real = checkpoint.write
        monkeypatch.setattr("penstock.store.writer.write", self.write)

    @staticmethod
    def fresh():
        """Return an empty file."""
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        migrate(connection)
        return connection

    def write(self, connection, work):
        """Stand in for `checkpoint.write`."""
        if self.error is not None:
            raise self.error
        self._real(self.connection, work)

    def reopen(self, damaged):
        """Open it again."""
        self.opened.append(damaged)
        if damaged:
            self.error = None
        return Opened(self.fresh())

    def writer(self, connection=True):
        """Return a writer."""
        return Writer(self.fresh() if connection else None, self.reopen, self.notices.append, self.clock)

    def told(self):
        """Return how grave the notices were."""
        return [notice.level for notice in self.notices]


def failing(code):
    """Return an error as SQLite raises it."""
    error = sqlite3.OperationalError("x")
    error.sqlite_errorcode = code
    return error


@pytest.fixture
def disk(monkeypatch):
    """A disk that works."""
    return Disk(monkeypatch)


def part(number):
    """Return a checkpoint."""
    return Checkpoint(at=number, parts={"a": str(number).encode(), str(number): b""})


def test_what_is_submitted_is_written(disk):
    """Each checkpoint reaches the file, and the end waits for the last."""
    writer = disk.writer()
    writer.submit(part(1))
    assert writer.settle(10)
    assert tables.parts(disk.connection)["a"] == b"1"
    writer.submit(part(2))
    assert writer.close(10)
    assert tables.parts(disk.connection) == {"a": b"2", "1": b"", "2": b""}
    assert disk.notices == []


@pytest.mark.parametrize("error", [failing(sqlite3.SQLITE_FULL), failing(sqlite3.SQLITE_READONLY), OSError(5, "x")])
def test_a_disk_that_fails_is_caught_up_with(disk, error):
    """All that was submitted while the disk was full is written once it is not; said once a minute, and at the end."""
    writer = disk.writer()
    disk.error = error
    for number in range(5):
        writer.submit(part(number))
        assert not writer.settle(10)
    assert disk.told() == ["warning"]
    disk.clock.advance(60)
    writer.submit(part(5))
    assert not writer.settle(10)
    assert disk.told() == ["warning", "warning"]
    disk.error = None
    writer.submit(part(6))
    assert writer.settle(10)
    assert disk.told() == ["warning", "warning", "info"]
    assert set(tables.parts(disk.connection)) == {"a", *"0123456"}
    assert writer.close(10)


def test_an_end_on_a_full_disk_says_that_something_is_left(disk):
    """Closing does not wait for a disk for ever, and tells the truth."""
    writer = disk.writer()
    disk.error = failing(sqlite3.SQLITE_FULL)
    writer.submit(part(1))
    assert not writer.close(10)


def test_damage_found_while_writing_sets_the_file_aside(disk):
    """The checkpoint goes into the fresh file."""
    writer = disk.writer()
    disk.error = failing(sqlite3.SQLITE_CORRUPT)
    writer.submit(part(1))
    assert writer.settle(10)
    assert disk.opened == [True]
    assert tables.parts(disk.connection)["a"] == b"1"
    assert writer.close(10)


def test_a_file_that_was_not_open_is_opened(disk):
    """A node that started on a disk without room begins to write when there is some."""
    writer = disk.writer(connection=False)
    writer.submit(part(1))
    assert writer.settle(10)
    assert (disk.opened, disk.told()) == ([False], ["info"])
    assert writer.close(10)


def test_a_fault_of_ours_is_told_and_not_repeated(disk):
    """What could never be written is given up, and the next checkpoint is written."""
    writer = disk.writer()
    disk.error = ValueError("a fault")
    writer.submit(part(1))
    assert writer.settle(10)
    assert disk.told() == ["error"]
    disk.error = None
    writer.submit(part(2))
    assert writer.close(10)
    assert set(tables.parts(disk.connection)) == {"a", "2"}


def test_another_file_in_its_place_is_told_like_a_full_disk(disk):
    """Whoever swaps the file under a running node gets warnings, and the node runs on."""
    writer = disk.writer()
    disk.error = StartError("n.db: is no store of Penstock")
    writer.submit(part(1))
    assert not writer.settle(10)
    assert disk.notices[0].detail == "n.db: is no store of Penstock"
    disk.clock.advance(NS)
    disk.error = None
    writer.submit(part(2))
    assert writer.close(10)
