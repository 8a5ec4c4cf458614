"""The file: made, checked, refused or set aside."""

import sqlite3
import stat
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.base.errors import StartError
from penstock.store import file, tables
from penstock.store.checkpoint import Checkpoint, write
from penstock.store.file import is_corrupt, is_trouble, open_file, set_aside
from penstock.store.schema import STEPS
from penstock.store.tables import Page

WALL = 1_700_000_000 * 10**9


def make(path):
    """Write a file with something in every table, and close it."""
    connection = open_file(path, ours=True, wall_ns=WALL).connection
    bodies = {f"part{number}": bytes(range(256)) * 40 for number in range(4)}
    pages = tuple(Page(number * 64, 64, bytes(900)) for number in range(30))
    write(connection, Checkpoint(at=1, parts=bodies, pages=pages, entries={("ban", "a"): "{}"}))
    for table in ("minutes", "hours"):
        connection.executemany(
            f"INSERT INTO {table} VALUES (?, ?, 1, 2, 3, 4, 5)",
            [(60 * at, name) for at in range(50) for name in (1, 2)],
        )
    connection.close()


def test_a_fresh_file_is_its_owners_alone(tmp_path):
    """Folders and file are made, and nobody else may read the addresses of clients in them."""
    path = tmp_path / "a" / "b" / "node.db"
    opened = open_file(path, ours=False, wall_ns=WALL)
    write(opened.connection, Checkpoint(at=1, parts={"a": b"x"}))
    assert opened.aside is None
    for each in (path, Path(f"{path}-wal"), path.parent):
        assert stat.S_IMODE(each.stat().st_mode) & 0o077 == 0
    opened.connection.close()


def test_what_was_written_is_there_again(tmp_path):
    """A file that is opened again holds what it held."""
    make(tmp_path / "n.db")
    opened = open_file(tmp_path / "n.db", ours=False, wall_ns=WALL)
    assert opened.aside is None
    assert len(tables.parts(opened.connection)) == 4
    opened.connection.close()


def test_a_newer_file_is_refused_and_left_alone(tmp_path):
    """One clear line, and not a byte changed, even of a file that is ours."""
    path = tmp_path / "n.db"
    make(path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 9")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StartError, match=r"n\.db: was written by a newer Penstock \(version 9\)"):
        open_file(path, ours=True, wall_ns=WALL)
    assert path.read_bytes() == before


def test_a_file_of_others_is_refused_and_left_alone(tmp_path):
    """A path that names another program's database, or its text, is a mistake of the operator's and no damage."""
    path = tmp_path / "theirs.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    text = tmp_path / "theirs.txt"
    text.write_text("hello")
    for each in (path, text):
        before = each.read_bytes()
        with pytest.raises(StartError, match="is no store of Penstock"):
            open_file(each, ours=False, wall_ns=WALL)
        assert each.read_bytes() == before


def test_what_is_no_file_is_refused(tmp_path):
    """A folder where the file should be."""
    with pytest.raises(StartError, match="is no file"):
        open_file(tmp_path, ours=False, wall_ns=WALL)


@pytest.mark.parametrize("damage", [b"", b"garbage!", b"\0" * 4096])
def test_a_damaged_file_is_set_aside(tmp_path, damage):
    """It keeps its bytes under a name with the time in UTC, its log goes with it, and a fresh file takes its place."""
    path = tmp_path / "n.db"
    make(path)
    good = path.read_bytes()
    bad = damage or good[:4096] + b"\xff" * 4096 + good[8192:]
    path.write_bytes(bad)
    Path(f"{path}-wal").write_bytes(b"log")
    opened = open_file(path, ours=True, wall_ns=WALL)
    assert opened.aside == Path(f"{path}.damaged-20231114T221320Z")
    assert opened.aside.read_bytes() == bad
    assert opened.why
    assert tables.parts(opened.connection) == {}
    opened.connection.close()


def test_files_set_aside_do_not_overwrite_each_other(tmp_path):
    """Two damaged files of one second keep both."""
    for content in (b"one", b"two"):
        (tmp_path / "n.db").write_bytes(content)
        aside = set_aside(tmp_path / "n.db", WALL)
        assert aside.read_bytes() == content
    assert len(list(tmp_path.iterdir())) == 2


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A sound file."""
    path = tmp_path_factory.mktemp("sound") / "n.db"
    make(path)
    return path


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_flipped_bytes_never_crash_a_start(sound, tmp_path, data):
    """Bytes changed anywhere, an end cut off, any log beside it: it opens, is set aside, or is refused as newer."""
    raw = bytearray(sound.read_bytes())
    spots = st.one_of(st.integers(0, 99), st.integers(0, len(raw) - 1))
    for place in data.draw(st.lists(spots, min_size=1, max_size=12)):
        raw[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.just(len(raw)), st.integers(0, len(raw))))
    for each in tmp_path.iterdir():
        each.unlink()
    path = tmp_path / "n.db"
    path.write_bytes(raw[:cut])
    if log := data.draw(st.binary(max_size=64)):
        Path(f"{path}-wal").write_bytes(log)
    opened = None
    with suppress(StartError):
        opened = open_file(path, ours=True, wall_ns=WALL)
    if opened is None:
        assert int.from_bytes(raw[60:64], signed=True) > len(STEPS)  # the version in the header says that it is newer
        return
    write(opened.connection, Checkpoint(at=1, parts={"new": b"x"}))
    assert tables.parts(opened.connection)["new"] == b"x"
    opened.connection.close()


def test_a_check_of_a_big_file_does_not_delay_a_start(tmp_path, monkeypatch):
    """The check ends when its time is over, and the file is used."""
    path = tmp_path / "n.db"
    connection = open_file(path, ours=True, wall_ns=WALL).connection
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT INTO chunks VALUES (?, 'k', 1, ?)", ((number, bytes(100)) for number in range(200_000))
    )
    connection.execute("COMMIT")
    connection.close()
    asked = []
    monkeypatch.setattr(file, "CHECK_S", 0.0)
    real = sqlite3.connect

    class Spy(sqlite3.Connection):
        def interrupt(self):
            asked.append(self)
            super().interrupt()

    monkeypatch.setattr(sqlite3, "connect", lambda *args, **more: real(*args, **more, factory=Spy))
    open_file(path, ours=True, wall_ns=WALL).connection.close()
    assert asked


def test_errors_are_told_apart():
    """What a disk does passes; what SQLite finds damaged does not; a statement that is wrong is neither."""

    def failing(code):
        error = sqlite3.OperationalError("x")
        error.sqlite_errorcode = code
        return error

    for code in (
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_READONLY_DIRECTORY,
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_BUSY,
    ):
        assert (is_trouble(failing(code)), is_corrupt(failing(code))) == (True, False)
    for code in (sqlite3.SQLITE_CORRUPT_INDEX, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR_SHORT_READ):
        assert (is_trouble(failing(code)), is_corrupt(failing(code))) == (False, True)
    assert (is_trouble(failing(1)), is_corrupt(failing(1))) == (False, False)
    assert is_trouble(PermissionError())
    assert not is_trouble(ValueError())


def test_all_tables_with_an_index_are_looked_at(tmp_path):
    """A table that gets one later is not forgotten."""
    make(tmp_path / "n.db")
    with closing(sqlite3.connect(tmp_path / "n.db")) as connection:
        found = connection.execute("SELECT DISTINCT tbl_name FROM sqlite_master WHERE type = 'index'").fetchall()
    assert {each[0] for each in found} == set(file.INDEXED)


def test_a_wrong_index_is_made_anew(tmp_path):
    """The quick check of SQLite does not see it, and a write would replace the wrong rows; the rows are all there."""
    path = tmp_path / "n.db"
    make(path)
    with closing(sqlite3.connect(path)) as connection:
        kept = connection.execute("SELECT * FROM parts ORDER BY 1").fetchall()
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name LIKE '%autoindex_parts%'").fetchone()[
            0
        ]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    raw = bytearray(path.read_bytes())
    place = raw.index(b"part2", (root - 1) * size, root * size)
    raw[place : place + 5] = b"part7"
    path.write_bytes(raw)
    opened = open_file(path, ours=True, wall_ns=WALL)
    write(opened.connection, Checkpoint(at=2, parts={"part2": kept[2][1]}))
    assert opened.aside is None
    assert [row[:2] for row in opened.connection.execute("SELECT * FROM parts ORDER BY 1")] == [row[:2] for row in kept]
    assert opened.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    opened.connection.close()


def test_an_index_whose_rows_contradict_each_other_is_damage(tmp_path):
    """Two rows of one name cannot both be right: the file is set aside."""
    path = tmp_path / "n.db"
    make(path)
    path.write_bytes(path.read_bytes().replace(b"part3", b"part2"))
    opened = open_file(path, ours=True, wall_ns=WALL)
    assert opened.aside is not None
    opened.connection.close()
