"""Changes of a users file: whole or not at all, one after the other."""

import os
import threading

import pytest

from penstock.config.users_edit import change


def test_a_new_file_is_private(tmp_path):
    """A file that was not there is made for our eyes alone."""
    path = tmp_path / "users"
    assert change(path, lambda content: content + b"one\n")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"one\n", 0o600)


def test_mode_and_link_stay(tmp_path):
    """A file keeps its mode, a link goes on pointing at it, and nothing else is left in the folder."""
    path, link = tmp_path / "users", tmp_path / "link"
    path.write_bytes(b"one\n")
    path.chmod(0o640)
    link.symlink_to("users")
    assert change(link, lambda content: content + b"two\n")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"one\ntwo\n", 0o640)
    assert link.is_symlink()
    assert {each.name for each in tmp_path.iterdir()} == {"link", "users"}


def test_what_changes_nothing_writes_nothing(tmp_path):
    """The same content, and a change that fails, leave the very file in its place."""
    path = tmp_path / "users"
    path.write_bytes(b"one\n")
    inode = path.stat().st_ino
    assert not change(path, lambda content: content)

    def fail(content):
        raise KeyError

    with pytest.raises(KeyError):
        change(path, fail)
    assert path.stat().st_ino == inode
    assert [each.name for each in tmp_path.iterdir()] == ["users"]


def test_a_write_that_fails_leaves_the_file(tmp_path, monkeypatch):
    """A full disk leaves the old file and no half of a new one."""
    path = tmp_path / "users"
    path.write_bytes(b"one\n")

    def full(fd):
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        change(path, lambda content: content + b"two\n")
    assert path.read_bytes() == b"one\n"
    assert [each.name for each in tmp_path.iterdir()] == ["users"]


def test_many_at_once_lose_nobody(tmp_path):
    """Eight who add lines at once all find theirs in the end."""
    path = tmp_path / "users"

    def add(number):
        for turn in range(5):
            change(path, lambda content, turn=turn: content + f"{number}.{turn}\n".encode())

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(path.read_text().split()) == sorted(f"{number}.{turn}" for number in range(8) for turn in range(5))


def test_what_is_no_file(tmp_path):
    """A folder, a pipe and a file in a folder that is missing are refused."""
    os.mkfifo(tmp_path / "pipe")
    for path, error in ((tmp_path, OSError), (tmp_path / "pipe", ValueError), (tmp_path / "no/users", OSError)):
        with pytest.raises(error):
            change(path, lambda content: content + b"x")
