"""The admin door over its Unix socket."""

import pytest

from penstock.cli.client import NodeClient
from penstock.cli.exits import CommandError


def test_stats_and_connections(node):
    """Stats come as an object, connections with the query that was asked; what is None is not asked."""
    node.add(5)
    client = NodeClient(str(node.path))
    assert client.stats()["node"]["name"] == "edge-1"
    assert client.connections(limit=10, listener=None)["total"] == 1
    assert node.asked == [("GET", "/api/v1/stats", {}), ("GET", "/api/v1/connections", {"limit": "10"})]


def test_close_tells_whether_there_was_one(node):
    """Closing a connection twice finds it once."""
    node.add(5)
    client = NodeClient(str(node.path))
    assert client.close_connection(5) is True
    assert client.close_connection(5) is False


def test_drain_is_a_post(node):
    """Drain is one order."""
    client = NodeClient(str(node.path))
    client.drain()
    assert node.asked == [("POST", "/-/drain", {})]


def test_nobody_there(tmp_path):
    """Without a node the error says where nobody answers; the code is 69."""
    client = NodeClient(str(tmp_path / "none.sock"))
    with pytest.raises(CommandError, match=r"none\.sock") as caught:
        client.stats()
    assert caught.value.code == 69


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((400, {"title": "Bad Request", "detail": "no listener is called 'x'"}), "no listener is called 'x'"),
        ((503, {"title": "Service Unavailable"}), "Service Unavailable"),
        ((500, "text"), "500 Internal Server Error"),
        ((500, None), "500 Internal Server Error"),
        ((200, []), "no object"),
        ((200, None), "no object"),
    ],
)
def test_refusals_say_why(node, answer, message):
    """A problem document gives its detail; anything else that is no answer gives what is known of it."""
    node.refusal = answer
    client = NodeClient(str(node.path))
    with pytest.raises(CommandError, match=message) as caught:
        client.stats()
    assert caught.value.code == 1


def test_proxies_of_the_environment_are_not_asked(node, monkeypatch):
    """http_proxy is for the network, not for our own socket."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:1")
    client = NodeClient(str(node.path))
    assert client.stats()["node"]["pid"] == 42
