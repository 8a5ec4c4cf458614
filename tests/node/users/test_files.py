"""Files of users as they are now: read when they differ, and nobody is let in by one that is wrong."""

import os

import pytest

from penstock.config.plan import ListenerPlan, RoutePlan, WorkerPlan
from penstock.config.users_file import check_hash
from penstock.node.users.files import NOBODY, UserFiles, users_files

HASH = "$argon2id$v=19$m=19456,t=2,p=1$MDAwMDAwMDAwMDAwMDAwMA$TZCCCJQw6qE40QoszdZDx3LhW/RG6J0UYvSQtFYYSrQ"
OTHER = HASH.replace("t=2", "t=3")


@pytest.fixture
def files(kept):
    """Files of users that log into `kept`."""
    return UserFiles(kept.log)


@pytest.fixture
def path(tmp_path):
    """A file with one user."""
    found = tmp_path / "users"
    found.write_text(f"ann:{HASH}\n")
    return found


def test_a_file_is_read_once_and_when_it_differs(files, path, kept):
    """What is replaced, written in place or touched is read; what is as it was is not."""
    paths = [str(path)]
    assert files.look(paths)
    assert not files.look(paths)
    assert files.hash_of(str(path), b"ann") == (HASH, True)
    other = path.with_name("other")
    other.write_text(f"bob:{OTHER}\n")
    other.replace(path)
    assert files.look(paths)
    assert files.hash_of(str(path), b"bob") == (OTHER, True)
    assert files.hash_of(str(path), b"ann")[1] is False
    with path.open("a") as file:
        file.write(f"ann:{HASH}\n")
    assert files.look(paths)
    assert files.hash_of(str(path), b"ann") == (HASH, True)
    os.utime(path, (1, 1))
    assert files.look(paths)
    assert [each["users"] for each in kept.events("users file read")] == [1, 2, 2]


def test_an_unknown_user_costs_what_a_known_one_does(files, path):
    """It gets a hash of the file, always the same, and over many names each of them; its own it is not."""
    path.write_text(f"ann:{HASH}\nbob:{OTHER}\n")
    files.look([str(path)])
    drawn = {name: files.hash_of(str(path), b"%d" % name) for name in range(100)}
    assert set(drawn.values()) == {(HASH, False), (OTHER, False)}
    assert drawn == {name: files.hash_of(str(path), b"%d" % name) for name in range(100)}
    assert files.hash_of(str(path), b"\xff\xfe")[1] is False


def test_an_empty_file_has_nobody(files, path):
    """Whoever is asked for costs what a user of `penstock user add` does, and is nobody."""
    path.write_text("# nobody\n")
    files.look([str(path)])
    assert files.hash_of(str(path), b"ann") == (NOBODY, False)
    check_hash(NOBODY)


def test_a_file_that_is_gone_lets_nobody_in(files, path, kept):
    """Its users are refused until it is back; it is told once, and counted."""
    paths = [str(path)]
    files.look(paths)
    path.rename(path.with_name("away"))
    assert files.look(paths)
    assert not files.look(paths)
    assert files.hash_of(str(path), b"ann") == ("", False)
    (event,) = kept.events("users file not read, its users are refused")
    assert (event["file"], event["detail"], files.failures) == (str(path), "no such file", 1)
    path.with_name("away").rename(path)
    assert files.look(paths)
    assert files.hash_of(str(path), b"ann") == (HASH, True)


@pytest.mark.parametrize("kind", ["folder", "pipe", "too long"])
def test_what_is_no_file(files, path, kind, monkeypatch):
    """A folder, a pipe and a file that is too long let nobody in, and nobody waits for them."""
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        monkeypatch.setattr("penstock.node.users.files.FILE_BYTES", 10)
        path.write_text(f"ann:{HASH}\n")
    files.look([str(path)])
    assert files.hash_of(str(path), b"ann") == ("", False)
    assert files.failures == 1


def test_a_wrong_line_costs_its_user_alone(files, path, kept):
    """It is told once, with its number and never quoted, and the others are let in."""
    path.write_text(f"ann:{HASH}\nbob:secret-word\n")
    files.look([str(path)])
    files.look([str(path)])
    assert files.hash_of(str(path), b"ann") == (HASH, True)
    assert files.hash_of(str(path), b"bob") == (HASH, False)
    (event,) = kept.events("users file has wrong lines, their users are refused")
    assert event["lines"] == ["line 2: no hash of argon2id, version 19: write it with `penstock user add`"]
    assert "secret-word" not in kept.stream.getvalue()


def test_a_file_that_anybody_may_write_to_is_told(files, path, kept):
    """Its users are let in all the same, and the warning ends with its cause."""
    path.chmod(0o644)
    files.look([str(path)])
    assert not kept.events("users file can be changed by anybody")
    path.chmod(0o666)
    for _ in range(2):
        files.look([str(path)])
    (told,) = kept.events("users file can be changed by anybody")
    assert told["file"] == str(path)
    assert files.hash_of(str(path), b"ann") == (HASH, True)


def test_a_file_that_nobody_names_is_forgotten(files, path):
    """A plan without it takes it out of memory."""
    files.look([str(path)])
    assert files.look([]) is False
    assert files.hash_of(str(path), b"ann") == ("", False)


def test_files_of_a_plan():
    """Listeners, their own routes and all others name files."""
    own = RoutePlan(id=2, name="own", users_file="/own")
    listeners = (
        ListenerPlan(id=1, name="a", protocol="socks5", host="::", port=0, users_file="/socks"),
        ListenerPlan(id=2, name="b", protocol="http", host="::", port=0, route=own),
    )
    plan = WorkerPlan(listeners=listeners, routes=(RoutePlan(id=3, name="r", users_file="/socks"),))
    assert users_files(plan) == {"/socks", "/own"}
