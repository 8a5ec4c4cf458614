"""Environment and flags as sources of values."""

import pytest

from penstock.config.layers import FLAGS, LISTENER_FLAGS, Defaults, Environment, Flags, typed
from penstock.config.mistakes import Assign
from penstock.config.translate import table_of


def test_environment_sets_keys_of_sections():
    """PENSTOCK__SECTION__KEY is a key, a number where the key takes numbers; other variables are nobody's business."""
    environment = Environment(
        {"PENSTOCK__NODE__WORKERS": "2", "PENSTOCK__NODE__NAME": "7", "PENSTOCK_CONFIG": "x", "HOME": "y"}
    )
    assert environment.tree == {"node": {"workers": 2, "name": "7"}}
    assert environment.place(("node", "workers"), {}) == (0, "PENSTOCK__NODE__WORKERS")
    assert environment.mistakes == []


@pytest.mark.parametrize(
    "variable", ["PENSTOCK__", "PENSTOCK__NODE", "PENSTOCK__NODE__", "PENSTOCK____X", "PENSTOCK__LISTENER__0__LISTEN"]
)
def test_odd_variables_are_mistakes(variable):
    """A variable with our prefix that names no section and key is a mistake, and sets nothing."""
    environment = Environment({variable: "secret-value"})
    assert environment.tree == {}
    assert [line.startswith(f"{variable}: names no section and key") for line in environment.mistakes] == [True]
    assert "secret-value" not in environment.mistakes[0]


def test_flags_set_keys():
    """A flag sets its key, and one that was not given sets nothing."""
    flags = Flags({"--workers": "2", "--admin": None, "--name": "a"})
    assert flags.tree == {"node": {"workers": 2, "name": "a"}}
    assert flags.place(("node", "workers"), {}) == (0, "--workers")


def test_listeners_of_flags():
    """A listener of a one-shot command is a table as in the file; what was left out is not there."""
    flags = Flags({}, [{"protocol": "tcp", "listen": ":1", "targets": None}])
    assert flags.tree == {"listener": [{"protocol": "tcp", "listen": ":1"}]}
    assert flags.place(("listener", 0, "targets", 1), {}) == (0, "--target")
    assert flags.spell(Assign("targets", '["example.com:80"]')) == "--target example.com:80"
    assert flags.spell(Assign("token_file", '"x"')) == "--admin-token-file x"


def test_every_flag_sets_a_key_that_there_is():
    """Each flag belongs to a key of the model, and none to two."""
    for section, key in FLAGS.values():
        assert key in table_of((section,)).model_fields
    assert len(set(FLAGS.values())) == len(FLAGS)
    assert LISTENER_FLAGS.keys() <= table_of(("listener",)).model_fields.keys()


@pytest.mark.parametrize(
    ("section", "key", "text", "value"),
    [
        ("node", "workers", "4", 4), ("node", "workers", "auto", "auto"), ("node", "workers", "-1", "-1"),
        ("node", "name", "4", "4"), ("admin", "listen", "9190", "9190"), ("nothing", "x", "4", "4"),
        ("node", "nothing", "4", "4"), ("listener", "listen", "4", "4"), ("node", "workers", "9" * 5_000, "9" * 5_000),
        ("limits", "connections", 5, 5), ("metrics", "enabled", "true", True), ("metrics", "enabled", "yes", "yes"),
        ("monitoring", "enabled", "false", False), ("metrics", "labels", '["user", "client"]', ["user", "client"]),
        ("metrics", "retention", '{ seconds = "1m" }', {"seconds": "1m"}), ("metrics", "labels", "user", "user"),
        ("metrics", "labels", "[1", "[1"), ("metrics", "labels", "[" * 500, "[" * 500), ("metrics", "push", "[]", "[]"),
        ("admin", "listen", "[::1]:80", "[::1]:80"),
        ("metrics", "retention", "{a=1}\nx=2", "{a=1}\nx=2"),
    ],
)  # fmt: skip
def test_text_becomes_what_its_key_takes(section, key, text, value):
    """Digits are a number for a key that takes numbers, true or false a switch, lists and tables are as in a file."""
    assert typed(section, key, text) == value


def test_defaults_point_at_their_key():
    """What a command assumes is called by its key."""
    defaults = Defaults({"admin": {"listen": "off"}})
    assert defaults.place(("admin", "listen"), {}) == (0, "admin.listen")
    assert defaults.spell(Assign("a", "1")) == "a = 1"
