"""Who serves what: names that nobody else has, and the route that a listener takes its targets from."""

import pytest

from penstock.config.model import Config
from penstock.config.serving import listener_names, services
from penstock.config.table import HOLE

TCP = {"protocol": "tcp", "listen": ":1"}
AUTO = {"protocol": "auto", "listen": ":2"}


def served(listeners, routes=()):
    """Return the services of listeners and routes written as tables."""
    return services(Config.model_validate({"listener": listeners, "route": list(routes)}))


def test_names():
    """A listener without a name is called by protocol and port, with a number where that name is taken."""
    tables = [
        TCP,
        {**TCP, "listen": "127.0.0.1:1"},
        {**TCP, "name": "tcp-1-2"},
        {**TCP, "listen": "unix:/run/x"},
        {**AUTO, "listen": ":0"},
    ]
    names = listener_names(Config.model_validate({"listener": tables}).listener)
    assert names == ["tcp-1", "tcp-1-3", "tcp-1-2", "tcp-unix", "auto-0"]


def test_names_with_holes():
    """What is unknown has no name, and takes none from others."""
    tables = [{**TCP, "listen": HOLE}, {**TCP, "name": HOLE}, TCP]
    assert listener_names(Config.model_validate({"listener": tables}).listener) == ["", "", "tcp-1"]


@pytest.mark.parametrize(
    ("listener", "routes", "route", "targets"),
    [
        ({**TCP, "targets": ["a:1"]}, [], "default", ["a"]),
        ({**TCP, "targets": ["a:1"]}, [{"name": "r", "targets": ["b:1"]}], "default", ["a"]),
        (TCP, [{"name": "r", "targets": ["b:1"]}], "r", ["b"]),
        ({**TCP, "name": "x"}, [{"name": "r", "listeners": ["x"], "targets": ["b:1"]}], "r", ["b"]),
        ({**TCP, "name": "x"}, [{"name": "r", "listeners": ["y"], "targets": ["b:1"]}], "default", []),
        (AUTO, [{"name": "r", "targets": ["b:1"]}], "r", ["b"]),
        ({**AUTO, "detect": ["http"]}, [{"name": "r", "targets": ["b:1"]}], "default", []),
        ({**TCP, "protocol": "http"}, [{"name": "r", "targets": ["b:1"]}], "default", []),
    ],
)
def test_routes(listener, routes, route, targets):
    """A listener that sends takes its own targets, or else those of the route that names it or names none."""
    (service,) = served([listener], routes)
    assert (service.route, [target.address.host for target in service.targets]) == (route, targets)


@pytest.mark.parametrize(
    ("listener", "detect"),
    [
        (TCP, ()),
        (AUTO, ("http", "socks5")),
        ({**AUTO, "targets": ["a:1"]}, ("http", "socks5", "tcp")),
        ({**AUTO, "detect": ["socks5"]}, ("socks5",)),
    ],
)
def test_detect(listener, detect):
    """An auto listener tells HTTP and SOCKS apart, and plain TCP where it has somewhere to send it."""
    assert served([listener])[0].detect == detect
