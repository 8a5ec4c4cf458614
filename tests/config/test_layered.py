"""A configuration as it was read, and what changes of tables make of it."""

import pytest

from penstock.base.errors import ConfigurationError
from penstock.config.changes import Changes
from penstock.config.load import layered

FILE = """
[[listener]]
listen = ":8001"
protocol = "tcp"
targets = ["one:1"]

[[listener]]
name = "web"
listen = ":8002"
protocol = "http"
users = { alice = "s3cret" }

[[route]]
name = "app"
listeners = ["web"]
match = { destinations = ["example.com"] }
action = "block"
"""


@pytest.fixture
def base(tmp_path):
    """The file as it was read."""
    path = tmp_path / "p.toml"
    path.write_text(FILE)
    return layered(str(path), environ={})


def names(plan):
    """Return names of listeners and routes."""
    return [each.name for each in plan.worker.listeners], [each.name for each in plan.worker.routes]


def test_without_changes_it_is_the_file(base):
    """The plan, the tables and their names are those of the file; no secret is shown, and all is known."""
    assert names(base.plan()) == (["tcp-8001", "web"], ["app"])
    assert [(each.name, each.runtime) for each in base.views("listener", Changes())] == [
        ("tcp-8001", False), ("web", False),
    ]  # fmt: skip
    assert base.views("listener", Changes())[1].table["users"] == {"alice": "***"}
    assert base.table("listener", "tcp-8001")["targets"] == ["one:1"]
    assert base.table("listener", "web")["users"] == {"alice": "s3cret"}
    assert base.table("route", "web") is None


def test_a_changed_table_takes_the_place_of_its_namesake(base):
    """Whole, where it stood; new ones come last, and those that are gone are nowhere."""
    changes = Changes().with_table("listener", "tcp-8001", {"listen": ":8001", "protocol": "tcp", "targets": ["two:2"]})
    changes = changes.with_table("listener", "more", {"listen": ":8003", "protocol": "socks5"})
    changes = changes.with_table("route", "app", None)
    plan = base.plan(changes)
    assert names(plan) == (["tcp-8001", "web", "more"], [])
    assert str(plan.worker.listeners[0].targets[0]) == "two:2"
    assert [each.runtime for each in base.views("listener", changes)] == [True, False, True]
    assert base.views("route", changes) == []
    assert names(base.plan()) == (["tcp-8001", "web"], ["app"])  # it has not changed


def test_mistakes_name_who_wrote_them(base):
    """All at once: those of a table that was changed by its name, those that it makes in the file by file and line."""
    changes = Changes().with_table("listener", "web", None).with_table("listener", "bad", {"protocol": "htpp"})
    with pytest.raises(ConfigurationError) as caught:
        base.plan(changes)
    told = "\n".join(caught.value.mistakes)
    assert "listener[bad].protocol: 'htpp': must be tcp, http, socks5, tls or auto; write \"http\" instead" in told
    assert "listener[bad].listen" in told
    assert "p.toml:15: route[app].listeners" in told


def test_relative_paths_start_where_the_file_lies(base, tmp_path):
    """A file beside it is found by its name alone."""
    (tmp_path / "sorry.txt").write_text("back soon")
    changes = Changes().with_table("listener", "rev", {"listen": ":1", "protocol": "http", "reverse": True})
    table = {"listeners": ["rev"], "action": "answer", "body_file": "sorry.txt"}
    plan = base.plan(changes.with_table("route", "sorry", table))
    assert plan.worker.listeners[-1].route.body == "back soon"
