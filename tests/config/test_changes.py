"""Changes of tables, and the layer that they are."""

from pathlib import Path

import pytest

from penstock.base.errors import ConfigurationError
from penstock.config.changes import CHANGES, Changes, Runtime
from penstock.config.mistakes import Assign


def test_a_later_change_of_a_table_wins():
    """Each table has one change at most, under the name of its path, and it can be taken back."""
    changes = Changes().with_table("route", "app", {"priority": 1}).with_table("route", "app", {"priority": 2})
    assert changes.tables == {("route", "app"): {"priority": 2, "name": "app"}}
    assert changes.with_table("route", "app", None).tables == {("route", "app"): None}
    assert changes.without("route", "app").tables == changes.without("route", "app").without("route", "b").tables == {}


def test_changes_are_bounded():
    """One more than the bound is a mistake, and another change of a table that was changed is none."""
    changes = Changes({("route", f"r{number}"): None for number in range(CHANGES)})
    with pytest.raises(ConfigurationError, match="into the file"):
        changes.with_table("route", "more", None)
    assert len(changes.with_table("route", "r1", {}).tables) == CHANGES


def test_the_layer_points_at_tables():
    """Its tables stand by section, and mistakes name table and key."""
    changes = Changes({("route", "a"): {"name": "a"}, ("route", "b"): None, ("listener", "c"): {"name": "c"}})
    layer = Runtime(changes, Path("/etc"))
    assert layer.tree == {"listener": [{"name": "c"}], "route": [{"name": "a"}]}
    assert layer.gone == {("route", "b")}
    assert layer.mistakes == []
    assert layer.place(("route", 0, "priority"), {("route", 0): "a"}) == (0, "route[a].priority")
    assert layer.spell(Assign("priority", "1")) == "priority = 1"


@pytest.mark.parametrize(
    ("table", "mistake"),
    [
        ({"targets": [None]}, "route[a].targets: null: leave the key out"),
        ({"users": {"alice": "***"}}, "route[a].users.alice: ***: stands for a secret that is not shown; write the"),
        ({"parent": "socks5://***@proxy:1"}, "route[a].parent: ***: stands for"),
        ({"x\n": None}, "route[a].x\\n: null"),
    ],
)
def test_what_no_file_could_hold_is_a_mistake(table, mistake):
    """Nulls, and what covers a secret, name their key."""
    (found,) = Runtime(Changes({("route", "a"): table}), Path()).mistakes
    assert found.startswith(mistake)
