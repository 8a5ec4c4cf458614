"""Limits of users that stand nowhere."""

import pytest

from penstock.base.errors import ConfigurationError
from penstock.config.load import load
from penstock.config.strangers import TOLD

HASHED = "$argon2id$v=19$m=19456,t=2,p=1$MDAwMDAwMDAwMDAwMDAwMA$TZCCCJQw6qE40QoszdZDx3LhW/RG6J0UYvSQtFYYSrQ"

LISTENER = """
[[listener]]
listen = ":1080"
protocol = "socks5"
"""


def notices(folder, users, file="users_file = 'users'"):
    """Return what is told of a configuration whose limits name these users."""
    (folder / "users").write_text(f"ada:{HASHED}\n")
    limits = "".join(f"[[limits.users]]\nname = '{user}'\nconnections = 1\n" for user in users)
    (folder / "a.toml").write_text(LISTENER + file + "\n" + limits)
    return list(load(str(folder / "a.toml")).notices)


def test_who_stands_nowhere_is_told_with_key_and_file(tmp_path):
    """A limit of a user who may come later is a warning that says where, who, and in which file nobody has the name."""
    assert notices(tmp_path, ["ada"]) == []
    (line,) = notices(tmp_path, ["ada", "adda"])
    where, said = f"{tmp_path}/a.toml:6: limits.users[2].name", f"neither here nor in {tmp_path}/users"
    assert line == f"{where}: no user is called 'adda' yet, {said}; perhaps 'ada' is meant"


def test_users_of_the_configuration_are_known(tmp_path):
    """Who stands in the configuration beside a users file is no stranger."""
    assert notices(tmp_path, ["bob"], "users_file = 'users'\nusers = { bob = 'a-secret' }") == []


def test_what_is_told_is_bounded(tmp_path):
    """Of many users some are named, and the others are counted."""
    lines = notices(tmp_path, [f"nobody{number}" for number in range(TOLD + 7)])
    assert len(lines) == TOLD + 1
    assert lines[-1].endswith("7 more users stand nowhere yet")


def test_without_a_file_it_is_a_mistake(tmp_path):
    """Where no users file can name the user later, a limit of nobody is refused; one that is there twice always is."""
    with pytest.raises(ConfigurationError, match="there is no such user"):
        notices(tmp_path, ["eve"], "users = { ada = 'a-secret' }")
    with pytest.raises(ConfigurationError, match="is there twice"):
        notices(tmp_path, ["ada", "ada"])
