"""Where nodes are found, and whose directory is trusted."""

import os
import socket
from pathlib import Path

import pytest

from penstock.base.errors import StartError
from penstock.config.runtime import prepare, runtime_dir, socket_path, sockets, state_dir


def as_user(monkeypatch, uid):
    """Let this process be another user, as far as it asks."""
    monkeypatch.setattr(os, "geteuid", lambda: uid)


def test_the_runtime_directory(monkeypatch):
    """$PENSTOCK_RUNTIME_DIR, /run/penstock for root, $XDG_RUNTIME_DIR/penstock, or a directory of one's own in /tmp."""
    as_user(monkeypatch, 1000)
    assert runtime_dir({"PENSTOCK_RUNTIME_DIR": "/x", "XDG_RUNTIME_DIR": "/y"}) == Path("/x")
    assert runtime_dir({"XDG_RUNTIME_DIR": "/y"}) == Path("/y/penstock")
    assert runtime_dir({}) == Path("/tmp/penstock-1000")
    as_user(monkeypatch, 0)
    assert runtime_dir({"XDG_RUNTIME_DIR": "/y"}) == Path("/run/penstock")
    assert socket_path("edge-1", {"PENSTOCK_RUNTIME_DIR": "/x"}) == Path("/x/edge-1.sock")


def test_the_state_directory(monkeypatch):
    """$XDG_STATE_HOME/penstock, /var/lib/penstock for root, or below the home directory."""
    as_user(monkeypatch, 1000)
    assert state_dir({"XDG_STATE_HOME": "/s", "HOME": "/h"}) == Path("/s/penstock")
    assert state_dir({"HOME": "/h"}) == Path("/h/.local/state/penstock")
    as_user(monkeypatch, 0)
    assert state_dir({"HOME": "/h"}) == Path("/var/lib/penstock")


def test_a_directory_is_made_for_its_owner_alone(tmp_path):
    """The directory is made with its parents, and nobody else may look into it."""
    directory = tmp_path / "a" / "penstock"
    prepare(directory)
    prepare(directory)
    assert directory.stat().st_mode & 0o777 == 0o700


def test_a_directory_that_others_could_use_is_refused(tmp_path, monkeypatch):
    """A directory that others own or may write to, a link and a file are refused: somebody could pose as the node."""
    shared, link, file = tmp_path / "shared", tmp_path / "link", tmp_path / "file"
    shared.mkdir()
    shared.chmod(0o777)
    link.symlink_to(tmp_path)
    file.touch()
    for path in (shared, link, file):
        with pytest.raises(StartError, match="set PENSTOCK_RUNTIME_DIR"):
            prepare(path)
    mine = tmp_path / "mine"
    prepare(mine)
    if owner := mine.stat().st_uid:
        as_user(monkeypatch, owner + 1)
        with pytest.raises(StartError, match="somebody else"):
            prepare(mine)


def test_sockets_are_found(tmp_path):
    """Only sockets with our suffix are nodes, in the order of names."""
    tmp_path.chmod(0o700)
    environ = {"PENSTOCK_RUNTIME_DIR": str(tmp_path)}
    opened = []
    for name in ("b.sock", "a.sock", "c.other"):
        opened.append(socket.socket(socket.AF_UNIX))
        opened[-1].bind(str(tmp_path / name))
    (tmp_path / "file.sock").touch()
    assert [path.name for path in sockets(environ)] == ["a.sock", "b.sock"]
    tmp_path.chmod(0o777)
    assert sockets(environ) == []
    for each in opened:
        each.close()


def test_without_a_directory_there_are_no_nodes(tmp_path):
    """A runtime directory that is not there yet holds no nodes."""
    assert sockets({"PENSTOCK_RUNTIME_DIR": str(tmp_path / "none")}) == []
