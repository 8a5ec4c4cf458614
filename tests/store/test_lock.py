"""The lock beside a file."""

import os
import signal
import subprocess
import sys

import pytest

from penstock.store.lock import FileLock, TakenError

HOLD = """
import sys, pathlib
from penstock.store.lock import FileLock
lock = FileLock(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_one_holder_at_a_time(tmp_path):
    """Whoever comes second is told who came first, and gets it once that one has let go."""
    path = tmp_path / "a.lock"
    lock = FileLock(path)
    with pytest.raises(TakenError) as caught:
        FileLock(path)
    assert caught.value.pid == os.getpid()
    assert str(caught.value) == f"in use by process {os.getpid()}"
    lock.close()
    lock.close()
    FileLock(path).close()


def test_a_killed_holder_holds_nothing(tmp_path):
    """kill -9 frees the lock at once; who held it before does not matter."""
    path = tmp_path / "a.lock"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    with pytest.raises(TakenError) as caught:
        FileLock(path)
    assert caught.value.pid == process.pid
    process.send_signal(signal.SIGKILL)
    process.communicate()
    FileLock(path).close()


def test_it_knows_whether_a_node_was_here_before(tmp_path):
    """What lies beside a lock file that we wrote is ours."""
    first = FileLock(tmp_path / "a.lock")
    first.close()
    second = FileLock(tmp_path / "a.lock")
    second.close()
    assert (first.found, second.found) == (False, True)


@pytest.mark.parametrize("content", [b"", b"penstock", b"penstock \xff\xff\n", b"penstock " + b"9" * 5_000, b"\0" * 99])
def test_any_bytes_in_the_file_are_borne(tmp_path, content):
    """A lock file that holds anything is locked all the same, and its holder is named or not."""
    path = tmp_path / "a.lock"
    path.write_bytes(content)
    lock = FileLock(path)
    path.write_bytes(content)
    with pytest.raises(TakenError, match="in use by"):
        FileLock(path)
    lock.close()


def test_a_link_is_not_followed(tmp_path):
    """Nobody makes us write into a file of theirs."""
    (tmp_path / "theirs").write_text("x")
    (tmp_path / "a.lock").symlink_to("theirs")
    with pytest.raises(OSError, match="symbolic links"):
        FileLock(tmp_path / "a.lock")
    assert (tmp_path / "theirs").read_text() == "x"


def test_a_lock_that_cannot_be_written_is_locked_as_it_is(tmp_path, monkeypatch):
    """On a read-only file system the lock of an earlier run serves."""
    path = tmp_path / "a.lock"
    FileLock(path).close()
    real = os.open

    def read_only(name, flags, *mode):
        if flags & os.O_RDWR:
            raise OSError(30, "Read-only file system")
        return real(name, flags, *mode)

    monkeypatch.setattr(os, "open", read_only)
    lock = FileLock(path)
    with pytest.raises(TakenError):
        FileLock(path)
    lock.close()
    with pytest.raises(OSError, match="Read-only"):
        FileLock(tmp_path / "b.lock")
