"""Who may use the admin door."""

import pytest
from starlette.testclient import TestClient

from penstock.node.admin import make_app
from penstock.testing.standin import StandIn

TOKEN = "s3cret-tök"  # as its file holds it: UTF-8


@pytest.fixture
def door():
    """Makes clients of a node's door."""
    nodes = []

    def make(token=None, local=False, base="http://127.0.0.1:9190"):
        nodes.append(StandIn(token))
        return TestClient(make_app(nodes[-1], local=local), base_url=base)

    yield make
    for node in nodes:
        node.close()


def bearer(token, scheme="Bearer"):
    """Return the header of a token."""
    return {"Authorization": f"{scheme} ".encode() + token.encode()}


@pytest.mark.parametrize(
    "path", ["/metrics", "/api/v1/stats", "/api/v1/connections", "/readyz", "/version", "/nothing"]
)
def test_a_token_is_demanded(door, path):
    """Without the token, or with another one, nothing is answered but 401 with its challenge."""
    client = door(TOKEN)
    for headers in (
        {},
        bearer("s3cret"),
        bearer(TOKEN + "x"),
        bearer(""),
        bearer(TOKEN, "Basic"),
        bearer(f" {TOKEN} x"),
    ):
        answer = client.get(path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["content-type"] == "application/problem+json"
        assert TOKEN not in answer.text


def test_the_token_opens(door):
    """With the token the door is open, whatever the case of the scheme's name."""
    client = door(TOKEN)
    for scheme in ("Bearer", "bearer", "BEARER"):
        assert client.get("/api/v1/stats", headers=bearer(TOKEN, scheme)).status_code == 200


def test_two_tokens_are_none(door):
    """A request with two Authorization headers does not get to choose."""
    headers = [(b"Authorization", b"Bearer " + TOKEN.encode())] * 2
    assert door(TOKEN).get("/api/v1/stats", headers=headers).status_code == 401


def test_an_empty_token_opens_nothing(door):
    """A token that was configured as nothing is known by nobody."""
    assert door("").get("/api/v1/stats", headers=bearer("")).status_code == 401


def test_health_is_for_everybody(door):
    """Probes need no token, and no name that we know."""
    client = door(TOKEN, base="http://probe.example")
    assert client.get("/health").text == "OK"
    assert client.get("/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:9190",
        "[::1]:9190",
        "localhost:9190",
        "LOCALHOST",
        "192.0.2.1:1",
        "edge-1:9190",
        "EDGE-1",
    ],
)
def test_our_own_names_are_served(door, host):
    """IP addresses, localhost and the node's name are ours, with any port and in any case."""
    assert door().get("/version", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:9190", "127.0.0.1.evil.example", "localhost.evil.example", "@", "[::1", "a:b:c"],
)
def test_another_name_is_refused(door, host):
    """DNS rebinding: a site's own name that leads to us is refused, for reading as well as for commands."""
    client = door()
    for method, path in (("GET", "/metrics"), ("POST", "/-/drain"), ("DELETE", "/api/v1/connections/1")):
        answer = client.request(method, path, headers={"Host": host})
        assert answer.status_code == 403
        assert "Host" in answer.json()["detail"]


def test_with_a_token_any_name_will_do(door):
    """A scraper that knows the token may call us by any name of the DNS."""
    assert door(TOKEN, base="http://penstock.monitoring.svc").get("/metrics", headers=bearer(TOKEN)).status_code == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "", "http://127.0.0.1", "http://127.0.0.1:9191", "file://127.0.0.1:9190"]
)
@pytest.mark.parametrize("token", [None, TOKEN])
def test_a_page_of_another_site_is_refused(door, origin, token):
    """A browser's request for a foreign page is refused, token or not: nothing is closed, nothing is drained."""
    client = door(token)
    for method, path in (("POST", "/-/drain"), ("DELETE", "/api/v1/connections/1"), ("GET", "/api/v1/stats")):
        headers = {"Origin": origin} | (bearer(token) if token else {})
        assert client.request(method, path, headers=headers).status_code == 403


def test_our_own_page_is_served(door):
    """A page that we served ourselves may ask and command."""
    headers = {"Origin": "http://127.0.0.1:9190"}
    assert door().post("/-/drain", headers=headers).status_code == 202


def test_the_unix_socket_asks_nothing(door):
    """Who may open the socket's file is the operator: no token, any name."""
    client = door(TOKEN, local=True, base="http://penstock")
    assert client.get("/api/v1/stats").status_code == 200
    assert client.post("/-/drain").status_code == 202


@pytest.mark.parametrize("path", ["/health", "/metrics", "/api/v1/stats", "/nothing", "/-/drain"])
def test_nothing_is_kept_by_caches(door, path):
    """Every answer, errors and refusals included, forbids keeping and guessing."""
    for client in (door(), door(TOKEN)):
        answer = client.get(path)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
