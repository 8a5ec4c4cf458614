"""Finding the node that a command talks to."""

import socket

import pytest

from penstock.cli.exits import CommandError
from penstock.cli.nodes import alive, find_node, is_alive


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    """A runtime directory of our own."""
    monkeypatch.setenv("PENSTOCK_RUNTIME_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def start(runtime):
    """Start something that listens like a node of this name."""
    sockets = []

    def begin(name):
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(runtime / f"{name}.sock"))
        sock.listen()
        sockets.append(sock)
        return str(runtime / f"{name}.sock")

    yield begin
    for sock in sockets:
        sock.close()


def test_the_only_node_is_found(start, runtime):
    """Where one node runs, nobody needs to say which; what a dead one left behind does not count."""
    path = start("edge-1")
    dead = start("dead")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(runtime / "never-listened.sock"))
    assert is_alive(dead)
    assert not is_alive(str(runtime / "never-listened.sock"))
    (runtime / "dead.sock").unlink()
    assert find_node(None) == path


def test_of_several_one_must_be_named(start):
    """Where several run, their names are told, and a name or a path chooses; the code is 2."""
    one, two = start("one"), start("two")
    with pytest.raises(CommandError, match="choose one with --node: one, two") as caught:
        find_node(None)
    assert caught.value.code == 2
    assert find_node("two") == two
    assert find_node(one) == one
    assert [path.name for path in alive()] == ["one.sock", "two.sock"]


def test_no_node(runtime):
    """Where none runs, the error says how to start one; the code is 69."""
    with pytest.raises(CommandError, match="no node runs; start one with `penstock run`") as caught:
        find_node(None)
    assert caught.value.code == 69


def test_a_wrong_name_hears_the_right_ones(start, runtime):
    """An unknown name is answered with those that run; an unknown path with itself."""
    start("one")
    with pytest.raises(CommandError, match="no node called 'oen' runs; running: one") as caught:
        find_node("oen")
    assert caught.value.code == 69
    with pytest.raises(CommandError, match=r"no node answers at /nowhere/x\.sock"):
        find_node("/nowhere/x.sock")


def test_a_directory_that_is_missing_holds_no_node(monkeypatch, tmp_path):
    """Before the first node has ever run there is no directory, and that is no error."""
    monkeypatch.setenv("PENSTOCK_RUNTIME_DIR", str(tmp_path / "none"))
    assert alive() == []


@pytest.mark.parametrize("path", ["x" * 300, "/" + "x" * 300, "../x\0y"])
def test_absurd_names_are_no_nodes(runtime, path):
    """A path that no socket can have is answered like any other that nobody listens at."""
    with pytest.raises(CommandError) as caught:
        find_node(path)
    assert caught.value.code == 69
