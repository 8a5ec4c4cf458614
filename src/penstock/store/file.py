"""
The file: opened, checked, brought to this version, and set aside where it is damaged.

Source: docs/decisions/0008-store.md.
"""

import os
import sqlite3
import stat
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Timer
from typing import NamedTuple

from penstock.base.clock import NS
from penstock.base.errors import StartError
from penstock.store.schema import ForeignError, NewerError, identify, lacks, migrate

MAGIC = b"SQLite format 3\0"
"""How every SQLite file begins (https://www.sqlite.org/fileformat.html section 1.3)."""

CHECK_S = 1.0
"""How long the check at start may take; unit s. It reads 100 MB and more in it; what it does not get to is told by
SQLite when it is read."""

INDEXED = ("parts", "names", "chunks")
"""Tables with an index beside the rows, the shortest first. A test holds it to the schema."""

_EXISTS = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"

BUSY_S = 1.0
"""How long SQLite waits for another program that has the file open, as the sqlite3 shell; unit s."""

JOURNAL_BYTES = 8_388_608
"""The write-ahead log is cut to this after it was copied into the file; SQLite copies at 4 MB."""

_TROUBLE = frozenset(
    (
        sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOLFS, sqlite3.SQLITE_INTERRUPT,
    )
)  # fmt: skip
"""What a disk, a permission or another program may do; it may pass."""

_CORRUPT = frozenset((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT))

_PARTS = ("", "-wal", "-shm")


class DamagedError(Exception):
    """The file holds what cannot be."""


class Opened(NamedTuple):
    """
    A file that is ready to be written.

    Args:
        connection: In autocommit mode, for one thread at a time.
        aside: Where a damaged file lies now; None if there was none.
        why: What was wrong with it.
    """

    connection: sqlite3.Connection
    aside: Path | None = None
    why: str = ""


def is_trouble(error: Exception) -> bool:
    """Return whether an error means that the file cannot be reached or written for now."""
    return isinstance(error, OSError) or (_code(error) & 0xFF in _TROUBLE and not is_corrupt(error))


def is_corrupt(error: Exception) -> bool:
    """Return whether SQLite has found damage: bytes that cannot be, or a file that ends too early."""
    code = _code(error)
    return code & 0xFF in _CORRUPT or code == sqlite3.SQLITE_IOERR_SHORT_READ


def what(error: Exception) -> str:
    """Return what an error says, without numbers."""
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _code(error: Exception) -> int:
    """Return SQLite's extended code; 0 if the error is not from SQLite."""
    return getattr(error, "sqlite_errorcode", 0) if isinstance(error, sqlite3.Error) else 0


def open_file(path: Path, *, ours: bool, wall_ns: int) -> Opened:
    """
    Open a file for writing; make it if there is none.

    Args:
        path: The file.
        ours: Whether it is known to be a node's: then whatever is wrong with it is damage.
        wall_ns: Time since the epoch, for the name of a damaged file; unit ns.

    Raises:
        StartError: If it is of a newer version, or not ours.
        OSError, sqlite3.Error: If it cannot be reached or written for now.
    """
    refuse_odd(path)
    try:
        return Opened(_open(path))
    except NewerError as error:
        line = f"{path}: was written by a newer Penstock ({error}); start that one, or set store.path to another file"
        raise StartError(line) from error
    except (ForeignError, DamagedError, sqlite3.Error, UnicodeDecodeError) as error:  # messages may quote the file
        if is_trouble(error):  # of all else that SQLite says here our statements have no part
            raise
        if not ours:
            raise StartError(f"{path}: is no store of Penstock; set store.path to a file of its own") from error
        why = str(error) or "it says to be another program's"
    aside = set_aside(path, wall_ns)
    return Opened(_open(path), aside, why)


def refuse_odd(path: Path) -> None:
    """Raise StartError if something is there that is no file."""
    with suppress(OSError):
        if not stat.S_ISREG(path.stat().st_mode):
            raise StartError(f"{path}: is no file; set store.path to one")


def _open(path: Path) -> sqlite3.Connection:
    _make(path)
    connection = connect(path, "rw")
    try:
        connection.execute("PRAGMA cell_size_check = ON")
        identify(connection)  # before anything is written
        _check(connection)
        if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise DamagedError("it takes no write-ahead log")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES}")
        migrate(connection)
        if missing := lacks(connection):
            raise DamagedError(f"{missing} is missing")
        connection.execute("BEGIN IMMEDIATE")  # what cannot be written is told now
        connection.execute("ROLLBACK")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.close()
        raise
    return connection


def connect(path: Path, mode: str, more: str = "") -> sqlite3.Connection:
    """
    Return a connection to a file.

    Args:
        path: The file.
        mode: `rw` or `ro`, as SQLite's URIs have it.
        more: Further parameters of the URI, each after an `&`.

    Raises:
        sqlite3.Error: If it cannot be opened.
    """
    uri = f"{path.absolute().as_uri()}?mode={mode}{more}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_S)
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _make(path: Path) -> None:
    """Make an empty file that its owner alone may read: it will hold addresses of clients."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    with path.open("rb") as file:
        head = file.read(20)
    if head and not head.startswith(MAGIC):
        raise DamagedError("it is no SQLite file")
    if head[18:] not in (b"", b"\1\1", b"\2\2"):  # another write version would read as a disk that takes no writes
        raise DamagedError("its format is unknown")


def _check(connection: sqlite3.Connection) -> None:
    """Look through the file for damage, for as long as a start may take."""
    timer = Timer(CHECK_S, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        for table in INDEXED:
            if found == "ok" and connection.execute(_EXISTS, (table,)).fetchone():
                found = _check_index(connection, table)
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_INTERRUPT:
            raise
        return
    finally:
        timer.cancel()
        timer.join()  # so that it interrupts nothing that comes after
    if found != "ok":
        raise DamagedError(str(found).splitlines()[-1])


def _check_index(connection: sqlite3.Connection, table: str) -> str:
    """
    Return whether the index of a table is right: `ok`, or what is wrong. One that is not is made anew from the rows.

    The quick check does not look at it, and with a wrong one a write replaces the wrong rows.
    """
    ask = f"PRAGMA integrity_check({table})"
    found: str = connection.execute(ask).fetchone()[0]
    if found == "ok":
        return found
    try:
        connection.execute(f"REINDEX {table}")
    except sqlite3.IntegrityError:  # rows contradict each other
        return found
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_READONLY:
            return "ok"  # nothing will be replaced
        raise
    again: str = connection.execute(ask).fetchone()[0]
    return again


def set_aside(path: Path, wall_ns: int) -> Path:
    """
    Rename a damaged file and what belongs to it, and return its new path.

    Args:
        path: The file; nothing of this process has it open.
        wall_ns: Time since the epoch; unit ns.

    Raises:
        OSError: If it cannot be renamed.
    """
    stamp = datetime.fromtimestamp(wall_ns / NS, UTC).strftime("%Y%m%dT%H%M%SZ")
    base = aside = f"{path}.damaged-{stamp}"
    number = 2
    while Path(aside).exists():  # ends: as many are there as were set aside in this second
        aside, number = f"{base}-{number}", number + 1
    for part in reversed(_PARTS):  # the file last: a log without its file is nothing, a file without its log is older
        with suppress(FileNotFoundError):
            Path(f"{path}{part}").rename(f"{aside}{part}")
    return Path(aside)


def glimpse(path: Path) -> sqlite3.Connection:
    """
    Open a file that cannot be written, to read what it holds.

    Args:
        path: The file.

    Raises:
        sqlite3.Error, OSError, NewerError, ForeignError: If it cannot be read, or should not.
    """
    log = Path(f"{path}-wal")
    whole = not log.exists() or log.stat().st_size == 0
    connection = connect(path, "ro", "&immutable=1" if whole else "")
    try:
        identify(connection)
    except BaseException:
        connection.close()
        raise
    return connection
