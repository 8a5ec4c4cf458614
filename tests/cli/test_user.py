"""`penstock user`."""

import json

import argon2
import pytest

from penstock.config.users_file import parse


def _add(penstock, name, password="correct horse", *words):
    return penstock("user", "add", name, "--file", "users", "--password-stdin", *words, input=f"{password}\n")


def test_a_user_is_added(penstock, tmp_path):
    """The file holds a hash of argon2id that fits the password, and no one else may read it."""
    result = _add(penstock, "ann")
    assert (result.exit_code, result.output) == (0, "")
    path = tmp_path / "users"
    hashed = parse(path.read_bytes()).hashes["ann"]
    assert argon2.PasswordHasher().verify(hashed, "correct horse")
    assert path.stat().st_mode & 0o777 == 0o600
    assert "correct" not in path.read_text()


def test_a_user_who_is_there(penstock, tmp_path):
    """Nobody's password is changed by mistake; with --replace it is, and the comment beside it stays."""
    (tmp_path / "users").write_text("# staff\n")
    _add(penstock, "ann")
    before = (tmp_path / "users").read_text()
    result = _add(penstock, "ann", "another")
    assert result.exit_code == 1
    assert "ann is there already; give --replace" in result.stderr
    assert (tmp_path / "users").read_text() == before
    assert _add(penstock, "ann", "another", "--replace").exit_code == 0
    assert (tmp_path / "users").read_text().startswith("# staff\n")
    assert argon2.PasswordHasher().verify(parse((tmp_path / "users").read_bytes()).hashes["ann"], "another")


def test_a_user_is_removed(penstock, tmp_path):
    """Who is removed is gone; who was never there is told of, and so is a file that is not."""
    assert "no such file" in penstock("user", "remove", "ann", "-f", "users").stderr
    _add(penstock, "ann")
    assert penstock("user", "remove", "ann", "-f", "users").exit_code == 0
    assert (tmp_path / "users").read_bytes() == b""
    result = penstock("user", "remove", "ann", "-f", "users")
    assert (result.exit_code, result.stderr) == (1, "penstock: users has no user ann\n")


def test_users_are_listed(penstock, tmp_path):
    """Names and costs are shown, for people and programs; no hash is."""
    _add(penstock, "ann")
    told = [{"user": "ann", "memory_kib": 19_456, "passes": 2, "lanes": 1}]
    assert json.loads(penstock("user", "list", "-f", "users", "--json").stdout) == told
    for form in ("table", "csv", "yaml"):
        result = penstock("user", "list", "-f", "users", "-o", form)
        assert "ann" in result.stdout
        assert "argon2" not in result.output
    with (tmp_path / "users").open("a") as file:
        file.write("bob:secret-word\n")
    result = penstock("user", "list", "-f", "users", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (78, told)
    assert result.stderr.startswith("users:2: no hash of argon2id")
    assert "secret-word" not in result.output


@pytest.mark.parametrize(
    ("name", "password", "what"),
    [("a:b", "x", "a user's name"), ("#a", "x", "comment"), ("ann", "", "1 to 255 bytes"), ("ann", "x" * 256, "255"),
     ("ann", "a\tb", "control characters")],
)  # fmt: skip
def test_what_is_no_login(penstock, tmp_path, name, password, what):
    """A name or password that no client could send is wrong usage, and writes nothing."""
    result = _add(penstock, name, password)
    assert result.exit_code == 2
    assert what in result.stderr
    assert not (tmp_path / "users").exists()


def test_no_terminal(penstock, tmp_path):
    """Without a terminal nobody is asked: a script hears what to give."""
    result = penstock("user", "add", "ann", "-f", "users", input="secret\n")
    assert result.exit_code == 2
    assert "--password-stdin" in result.stderr


def test_a_folder_is_no_file(penstock, tmp_path):
    """A path that holds no file fails in one line."""
    (tmp_path / "users").mkdir()
    assert penstock("user", "list", "-f", "users").exit_code != 0


CONFIG = """
[[listener]]
listen = ":1080"
protocol = "socks5"
users_file = "here/users"
"""


def test_the_configurations_only_file(penstock, tmp_path):
    """Without --file it is the one that the configuration names, beside it, though it is not there yet."""
    (tmp_path / "etc/here").mkdir(parents=True)
    (tmp_path / "etc/penstock.toml").write_text(CONFIG)
    result = penstock("user", "add", "ann", "--password-stdin", "-c", "etc/penstock.toml", input="pw\n")
    assert (result.exit_code, result.output) == (0, "")
    assert list(parse((tmp_path / "etc/here/users").read_bytes()).hashes) == ["ann"]
    assert "ann" in penstock("user", "list", "-c", "etc/penstock.toml").stdout
    assert penstock("check", "-c", "etc/penstock.toml").exit_code == 0


@pytest.mark.parametrize(("users_file", "what"), [("", "names no users_file"), ("other", "names 2 of them")])
def test_no_file_or_several(penstock, tmp_path, users_file, what):
    """Where it is not clear which file is meant, it is asked for."""
    more = CONFIG.replace("here/users", users_file).replace("1080", "1081") if users_file else ""
    (tmp_path / "penstock.toml").write_text(CONFIG + more if more else "[node]\n")
    result = penstock("user", "list")
    assert result.exit_code == 78
    assert f"{what}; give one with --file FILE" in result.stderr
