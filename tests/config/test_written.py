"""Layers merged: the later one wins, and every value remembers who wrote it."""

from pathlib import Path

from penstock.config.files import File
from penstock.config.layers import Environment, Flags
from penstock.config.written import Written


def layers():
    """Two files, the environment and flags, each saying something about the same keys."""
    first = File(Path("a.toml"), '[node]\nname = "a"\nworkers = 1\n[log]\nlevel = "info"\n[[listener]]\nname = "one"\n')
    second = File(Path("b/b.toml"), '[node]\nname = "b"\n[[listener]]\nlisten = ":2"\ntargets = ["x:1"]\n')
    return [first, second, Environment({"PENSTOCK__NODE__WORKERS": "2"}), Flags({"--name": "f"})]


def test_the_later_layer_wins_key_by_key():
    """A key has the value of the last layer that sets it, whatever the others of its section have."""
    tree = Written(layers(), layers()[0]).tree
    assert tree["node"] == {"name": "f", "workers": 2}
    assert tree["log"] == {"level": "info"}


def test_listeners_of_all_layers_are_joined():
    """Lists of tables follow each other in the order of the layers."""
    tree = Written(layers(), layers()[0]).tree
    assert tree["listener"] == [{"name": "one"}, {"listen": ":2", "targets": ["x:1"]}]


def test_values_know_where_they_come_from():
    """A value is placed in the source that set it, an item of a list under its number there."""
    parts = layers()
    written = Written(parts, parts[0])
    assert written.place(("node", "name")) == (3, 0, "--name")
    assert written.place(("node", "workers"))[2] == "PENSTOCK__NODE__WORKERS"
    assert written.place(("log", "level")) == (0, 5, "a.toml:5: log.level")
    assert written.place(("listener", 0, "name"))[2] == "a.toml:7: listener[one].name"
    assert written.place(("listener", 1, "listen"))[2] == "b/b.toml:4: listener[1].listen"
    assert written.origin(("listener", 1, "listen")) == (parts[1], ("listener", 0, "listen"))


def test_what_nobody_wrote_belongs_to_the_main_layer():
    """A key of a section that no layer has is placed in the main one."""
    parts = layers()
    assert Written(parts, parts[1]).origin(("dns", "ttl"))[0] is parts[1]


def test_walking_stops_at_text():
    """A key ends at text, since a target written as text has no address within; what is missing is None."""
    written = Written(layers(), layers()[0])
    assert written.walk(("listener", 1, "targets", 0, "address")) == (("listener", 1, "targets", 0), "x:1")
    assert written.walk(("listener", 1, "users", "bob"))[1] is None
    assert written.walk(("listener", 9, "name"))[1] is None


def test_a_section_that_changes_its_type():
    """A layer whose section is another type than the layer's before replaces it."""
    first, second = File(Path("a"), "[node]\nname = 'a'"), File(Path("b"), "node = 5\nlistener = 1")
    third = File(Path("c"), "[[listener]]\n[node]\nworkers = 1")
    assert Written([first, second], first).tree == {"node": 5, "listener": 1}
    assert Written([first, second, third], first).tree == {"node": {"workers": 1}, "listener": [{}]}
