"""The store as a node uses it: opened, written, read, and given back."""

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.base.errors import StartError
from penstock.store import tables
from penstock.store.checkpoint import Checkpoint, write
from penstock.store.store import Store, UnreachableError
from penstock.store.tables import Page
from penstock.testing.clock import ManualClock


@pytest.fixture
def make(tmp_path):
    """Make stores of one path; they are closed at the end."""
    made, notices = [], []

    def one(path=None):
        store = Store(path or tmp_path / "n.db", ManualClock(), notices.append)
        made.append(store)
        return store

    one.notices = notices
    yield one
    for store in made:
        store.close()


def opened(make, path=None):
    """Return an open store."""
    store = make(path)
    store.open()
    return store


def test_what_one_run_wrote_the_next_one_reads(make):
    """Parts, pages and entries are there after a restart."""
    store = opened(make)
    assert store.read(tables.parts) == {}
    store.submit(Checkpoint(at=1, parts={"a": b"x"}, pages=(Page(0, 1, b"y"),), entries={("ban", "k"): "{}"}))
    assert store.close()
    again = opened(make)
    assert again.read(tables.parts) == {"a": b"x"}
    assert again.read(tables.pages) == [Page(0, 1, b"y")]
    assert again.read(lambda connection: tables.entries(connection, "ban"))[0].body == "{}"
    assert make.notices == []


def test_a_file_in_use_is_refused_by_pid(make):
    """Two nodes of one name do not write one file."""
    opened(make)
    with pytest.raises(StartError, match=rf"n\.db: is in use by process {os.getpid()}; give this node another"):
        make().open()


def test_opening_twice_is_opening_once(make):
    """A node that tries again gets what it has."""
    store = opened(make)
    store.open()
    assert store.is_open


def test_nothing_is_read_from_a_store_that_is_closed(make):
    """Before it was opened and after it was closed it says so, and what is submitted is dropped."""
    store = make()
    store.submit(Checkpoint(at=1))
    assert store.settle(0)
    with pytest.raises(UnreachableError, match="not open"):
        store.read(tables.parts)


def test_a_reader_cannot_write(make):
    """Whoever reads cannot change what the one thread writes."""
    store = opened(make)
    with pytest.raises(UnreachableError, match="readonly"):
        store.read(lambda connection: connection.execute("DELETE FROM parts"))


def test_damage_is_told_and_a_fresh_file_begun(make, tmp_path):
    """The log says where the damaged file lies."""
    store = opened(make)
    store.submit(Checkpoint(at=1, parts={"a": b"x"}))
    store.close()
    (tmp_path / "n.db").write_bytes(b"no longer")
    assert opened(make).read(tables.parts) == {}
    (notice,) = make.notices
    assert notice.level == "error"
    assert "n.db.damaged-20231114T221320Z: it is no SQLite file" in notice.detail


def test_damage_while_it_runs_is_told_and_written_around(make, tmp_path, monkeypatch):
    """What SQLite finds while it writes sets the file aside, and the same checkpoint goes into the fresh one."""
    store = opened(make)
    store.submit(Checkpoint(at=1, parts={"a": b"1"}))
    assert store.settle(10)
    errors = [sqlite3.DatabaseError("database disk image is malformed")]
    errors[0].sqlite_errorcode = sqlite3.SQLITE_CORRUPT

    def failing(connection, work):
        if errors:
            raise errors.pop()
        write(connection, work)

    monkeypatch.setattr("penstock.store.writer.write", failing)
    store.submit(Checkpoint(at=2, parts={"b": b"2"}))
    assert store.settle(10)
    assert store.read(tables.parts) == {"b": b"2"}
    assert [notice.level for notice in make.notices] == ["error"]
    aside = make(tmp_path / "n.db.damaged-20231114T221320Z")
    aside.open()
    assert aside.read(tables.parts) == {"a": b"1"}


def test_a_folder_that_cannot_be_made_is_unreachable(make, tmp_path):
    """A node whose store cannot be reached learns why, and may try again."""
    (tmp_path / "file").write_text("x")
    store = make(tmp_path / "file" / "n.db")
    with pytest.raises(UnreachableError, match="File exists"):
        store.open()
    (tmp_path / "file").unlink()
    store.open()
    assert store.read(tables.parts) == {}


IN_NAMESPACE = """
import subprocess, sys, pathlib
from penstock.store import tables
from penstock.store.checkpoint import Checkpoint
from penstock.store.store import Store, UnreachableError
from penstock.testing.clock import ManualClock

folder = pathlib.Path(sys.argv[1])
notices = []


def mount(*words):
    subprocess.run(["mount", *words, str(folder)], check=True)


def start():
    store = Store(folder / "n.db", ManualClock(), notices.append)
    store.open()
    return store


def levels():
    found = [notice.level for notice in notices]
    notices.clear()
    return found
"""

FULL = """
mount("-t", "tmpfs", "-o", "size=1m", "none")
store = start()
store.submit(Checkpoint(at=1, parts={"a": b"1"}))
assert store.settle(10)
try:
    with (folder / "ballast").open("wb") as ballast:
        while True:
            ballast.write(bytes(4096))
            ballast.flush()
except OSError:
    pass
store.submit(Checkpoint(at=2, parts={"a": bytes(100_000)}))
assert not store.settle(10)
assert store.read(tables.parts) == {"a": b"1"}
store.submit(Checkpoint(at=3, parts={"b": b"3"}))
assert not store.settle(10)
assert levels() == ["warning"]
(folder / "ballast").unlink()
store.submit(Checkpoint(at=4, parts={"c": b"4"}))
assert store.settle(10), notices
assert levels() == ["info"]
assert store.read(tables.parts) == {"a": bytes(100_000), "b": b"3", "c": b"4"}
assert store.close()
"""

FULL_AT_START = """
mount("-t", "tmpfs", "-o", "size=64k", "none")
with (folder / "ballast").open("wb") as ballast:
    ballast.write(bytes(56 * 1024))
try:
    store = start()
except UnreachableError:
    store = Store(folder / "n.db", ManualClock(), notices.append)
else:
    assert levels() == ["warning"]
    assert store.read(tables.parts) == {}
    store.submit(Checkpoint(at=1, parts={"a": b"1"}))
    assert not store.settle(10)
(folder / "ballast").unlink()
mount("-o", "remount,size=4m")
store.open()
store.submit(Checkpoint(at=2, parts={"b": b"2"}))
assert store.settle(10)
assert store.read(tables.parts)["b"] == b"2"
assert store.close()
"""

READ_ONLY = """
mount("-t", "tmpfs", "none")
store = start()
store.submit(Checkpoint(at=1, parts={"a": b"1"}))
assert store.close()
mount("-o", "remount,ro")
store = start()
assert levels() == ["warning"]
assert store.read(tables.parts) == {"a": b"1"}
store.submit(Checkpoint(at=2, parts={"a": b"2"}))
assert not store.settle(10)
assert store.read(tables.parts) == {"a": b"1"}
mount("-o", "remount,rw")
store.submit(Checkpoint(at=3, parts={"b": b"3"}))
assert store.settle(10), notices
assert store.read(tables.parts) == {"a": b"2", "b": b"3"}
assert levels()[-1] == "info"
assert store.close()

mount("-o", "remount,ro")
empty = Store(folder / "other.db", ManualClock(), notices.append)
try:
    empty.open()
except UnreachableError as error:
    assert "read-only" in str(error).lower(), error
else:
    raise AssertionError
"""


@pytest.mark.parametrize("play", [FULL, FULL_AT_START, READ_ONLY], ids=["full", "full at start", "read-only"])
def test_a_disk_that_takes_nothing_is_served_on_and_caught_up_with(tmp_path, play):
    """A file system of its own, in a namespace of its own, full or read-only, at start or later: nothing is lost."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("no mount namespaces here")
    code = IN_NAMESPACE + play
    command = ["unshare", "-rm", sys.executable, "-c", code, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stderr


BUSY_WRITER = """
import itertools, pathlib, sys
from penstock.base.clock import SystemClock
from penstock.store.checkpoint import Checkpoint
from penstock.store.store import Store
from penstock.store.tables import Page

store = Store(pathlib.Path(sys.argv[1]), SystemClock(), print)
store.open()
for number in itertools.count():
    body = str(number).encode() * 3_000
    store.submit(Checkpoint(at=1, parts={"a": body, "b": body}, pages=(Page(number, 1, body),), oldest=number - 50))
    store.settle(10)
    print(number, flush=True)
"""


def test_kills_in_the_middle_of_writes_leave_a_valid_file(make, tmp_path):
    """After each of 20 kills the file is sound, its checkpoints whole, and what was written before is there."""
    path = tmp_path / "n.db"
    for round_ in range(20):
        with subprocess.Popen(
            [sys.executable, "-c", BUSY_WRITER, str(path)], stdout=subprocess.PIPE, text=True
        ) as writer:
            seen = [int(writer.stdout.readline()) for _ in range(1 + 3 * round_)]
            writer.send_signal(signal.SIGKILL)
            writer.wait()
        store = opened(make, path)
        assert make.notices == []
        parts = store.read(tables.parts)
        assert parts["a"] == parts["b"]
        number = int(parts["a"][: len(parts["a"]) // 3_000])
        assert number >= seen[-1]
        assert store.read(tables.pages)[0].first == number
        assert store.read(lambda connection: connection.execute("PRAGMA integrity_check").fetchone()) == ("ok",)
        store.close()
        for each in tmp_path.glob("n.db*"):
            each.unlink()


def test_a_write_that_the_system_cuts_short_is_tried_again(make, tmp_path):
    """A file that may not grow (RLIMIT_FSIZE) is a disk that is full."""
    store = opened(make)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (Path(f"{tmp_path}/n.db").stat().st_size + 40_000, most))
    try:
        store.submit(Checkpoint(at=1, parts={"a": bytes(500_000)}))
        assert not store.settle(10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        signal.signal(signal.SIGXFSZ, before)
    store.submit(Checkpoint(at=2))
    assert store.settle(10)
    assert len(store.read(tables.parts)["a"]) == 500_000
    assert [notice.level for notice in make.notices] == ["warning", "info"]
