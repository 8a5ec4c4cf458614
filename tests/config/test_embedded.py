"""The plan of a node within another program."""

import pytest

from penstock.base.errors import ConfigurationError
from penstock.config.embedded import embedded
from penstock.config.functions import find
from penstock.config.objects import Listener, Route

TEXT = '[[listener]]\nlisten = ":8080"\nprotocol = "tcp"\ntargets = ["127.0.0.1:1"]\n'
TREE = {"listener": [{"listen": ":8080", "protocol": "tcp", "targets": ["127.0.0.1:1"]}]}


def test_text_tables_file_and_objects_are_the_same(tmp_path):
    """A configuration may be given in four ways, and each makes the same plan."""
    file = tmp_path / "penstock.toml"
    file.write_text(TEXT)
    objects = [Listener(":8080", targets=["127.0.0.1:1"])]
    plans = [embedded(each).plan for each in (TEXT, TREE, file, str(file))] + [embedded(listeners=objects).plan]
    assert plans == [plans[0]] * 5
    assert plans[0].worker.listeners[0].targets[0].port == 1


def test_a_guest_opens_no_door_and_keeps_nothing(tmp_path, monkeypatch):
    """No worker processes, admin door, command socket or store, whatever the environment says; a store where told."""
    monkeypatch.setenv("PENSTOCK__NODE__WORKERS", "7")
    plan = embedded(TREE).plan
    assert (plan.workers, plan.admin, plan.socket_path, plan.store.path) == (0, None, "", "")
    kept = embedded(TREE, sections={"node": {"state_dir": tmp_path, "workers": None}}).plan
    assert kept.store.path.startswith(str(tmp_path))


def test_what_is_said_beside_the_file_wins():
    """Keywords win over the file; listeners of both are served."""
    more = [Listener(":8081", targets=["127.0.0.1:1"])]
    plan = embedded("[node]\nworkers = 3\n" + TEXT, listeners=more, sections={"node": {"workers": 2}}).plan
    assert plan.workers == 2
    assert [each.port for each in plan.worker.listeners] == [8080, 8081]


def test_every_mistake_is_told_at_once():
    """Mistakes of the file and of objects stand in one list, each with its place."""
    wrong = [Listener(":99999", "tpc")]
    with pytest.raises(ConfigurationError) as found:
        embedded(TEXT.replace("tcp", "udp"), listeners=wrong, routes=[Route("r", action="explode")])
    said = "\n".join(found.value.mistakes)
    assert all(each in said for each in ("configuration:3", "udp", "99999", "tpc", "explode")), said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"config": Listener(":1")}, "not a Listener; objects go into listeners"),
        ({"config": [Listener(":1")]}, "not a list; objects go into listeners"),
        ({"config": 5}, "not a int"),
        ({"listeners": Listener(":1")}, "listeners is a list of them: listeners=[...], not a Listener"),
        ({"routes": {"name": "r"}}, "routes is a list of them: routes=[...], not a dict"),
        ({"listeners": ":8080"}, "listeners is a list of them: listeners=[...], not a str"),
    ],
)
def test_what_stands_in_another_arguments_place_is_told(arguments, said):
    """Objects for a configuration, and one object for a list of them, have a message that says where they go."""
    with pytest.raises(TypeError) as found:
        embedded(**arguments)
    assert said in str(found.value)


def test_a_file_that_is_missing_is_a_mistake(tmp_path):
    """A path without a file says so."""
    with pytest.raises(ConfigurationError, match="no such file"):
        embedded(tmp_path / "none.toml")


def test_a_function_needs_this_process():
    """A function cannot be called in worker processes: that is a mistake, and nothing of it stays."""
    routes = [Route("r", handler=len, targets=["127.0.0.1:1"])]
    listeners = [Listener(":8080")]
    told = embedded(listeners=listeners, routes=routes)
    assert find(told.given[0]) is len
    with pytest.raises(ConfigurationError, match="known in this process alone"):
        embedded(listeners=listeners, routes=routes, sections={"node": {"workers": 2}})
