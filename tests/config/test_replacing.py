"""A file is replaced at once or not at all."""

import os
from pathlib import Path

import pytest

from penstock.config.replacing import replace_file


def test_a_file_is_for_our_eyes_alone(tmp_path):
    """Whatever mode an earlier one had."""
    path = tmp_path / "file"
    replace_file(path, b"one")
    path.chmod(0o644)
    replace_file(path, b"two")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"two", 0o600)


def test_owner_and_mode_are_taken_over(tmp_path):
    """Those who could read it can read the new one; as root, of another owner too."""
    path = tmp_path / "file"
    path.write_bytes(b"one")
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 1, 2)
    before = path.stat()
    replace_file(path, b"two", before)
    after = path.stat()
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
    assert (path.read_bytes(), after.st_ino == before.st_ino) == (b"two", False)


@pytest.mark.parametrize("call", ["fsync", "fchmod"])
def test_what_fails_leaves_the_file(tmp_path, monkeypatch, call):
    """A full disk leaves the old file and no half of a new one beside it."""
    path = tmp_path / "file"
    path.write_bytes(b"one")

    def full(*_):
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="no space"):
        replace_file(path, b"two", path.stat())
    assert path.read_bytes() == b"one"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_it_lasts_only_when_its_folder_was_synced(tmp_path, monkeypatch):
    """The file goes to the disk before it gets its name, the name after that."""
    path, synced = tmp_path / "file", []
    fsync = os.fsync

    def note(fd):
        synced.append((Path(f"/proc/self/fd/{fd}").readlink() == tmp_path, path.exists()))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", note)
    replace_file(path, b"one")
    assert synced == [(False, False), (True, True)]
