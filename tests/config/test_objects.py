"""Listeners and routes as objects."""

from pathlib import Path

import pytest

from penstock.config import listener, objects, route, way
from penstock.config.functions import find, forget
from penstock.config.objects import Listener, Match, Route, Target, table_of


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Listener, listener.Listener),
        (Route, route.Route),
        (Match, route.Match),
        (Target, way.Target),
    ],
)
def test_keywords_are_the_keys_of_the_file(ours, theirs):
    """An object takes exactly what its table takes."""
    assert sorted(ours.__struct_fields__) == sorted(theirs.model_fields)


def test_what_is_left_out_is_not_written():
    """Defaults are the file's; tuples and paths become what TOML would give."""
    made = table_of(Listener(":80", targets=("a:1", Target("b:2", 3)), certificates=[{"cert": Path("x.pem")}]), [])
    assert made == {
        "listen": ":80",
        "protocol": "tcp",
        "targets": ["a:1", {"address": "b:2", "weight": 3}],
        "certificates": [{"cert": "x.pem"}],
    }


def test_a_handler_is_an_action():
    """Who gives a handler means the action; a function gets a name by which it is found."""
    given = []
    made = table_of(Route("r", handler=len, match=Match(users="ann")), given)
    assert made["action"] == "handler"
    assert made["match"] == {"users": "ann"}
    assert given == [made["handler"]]
    assert find(made["handler"]) is len
    forget(given)
    assert objects.table_of(Route("r", handler="a:b", action="block"), [])["action"] == "block"
