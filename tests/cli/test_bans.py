"""`penstock ban`, `unban`, `confirm`, `bans` and `why`."""

import json

import pytest

from penstock.cli.bans import asker, reasons

BAN = {
    "network": "192.0.2.7",
    "origin": "auto",
    "reason": "failed_logins",
    "since": "2024-01-01T00:00:00.000Z",
    "until": "2024-01-01T01:00:00.000Z",
    "seconds_left": 60.0,
    "shadow": False,
    "confirm_by": None,
    "refused": 1_234,
    "evidence": {"counted": "failed logins", "count": 12, "threshold": 10, "window": 600.0, "offence": 2},
    "cut": None,
}
NETWORK = BAN | {
    "network": "198.51.100.0/24", "origin": "manual", "reason": "spam", "until": None, "refused": None, "evidence": None
}  # fmt: skip
WHY = {
    "address": "192.0.2.7", "refused": True, "bans": [BAN], "lists": [{"file": "/x", "reason": "bad", "networks": 5}],
    "counts": [{"detector": "floods", "counted": "connections", "count": 3, "threshold": 9, "window": 60.0}],
    "limits": [
        {"limit": "rate_per_ip", "used": 7, "most": 300, "window": 60.0, "exempt": False},
        {"limit": "connections_per_ip", "used": 1, "most": 100, "window": None, "exempt": True},
    ],
    "offences": 2, "protected": "",
    "refusals": [{"ended_at": "2024", "listener": "web", "reason": "auth", "detail": "wrong"}],
}  # fmt: skip


@pytest.fixture
def banning(node, monkeypatch):
    """A node with bans, which keeps what it was asked for."""
    node.orders = []

    def bans(method, target):
        node.orders.append((method, target))
        if target.startswith("/api/v1/why"):
            return 200, WHY
        if target.startswith("/api/v1/bans/confirm"):
            return 200, {"confirmed": node.waiting}
        if method == "POST":
            return 201, BAN | {"confirm_by": "2024-01-01T00:01:00.000Z", "cut": 3}
        if method == "DELETE":
            return (204, None) if target.endswith("192.0.2.7") else (404, {"title": "x", "detail": "is not banned"})
        lists = [{"file": "/etc/list", "reason": "bad", "networks": 1_000_000}]
        if "cursor" in target:
            return 200, {"bans": [NETWORK], "next": None, "total": 2, "lists": lists}
        return 200, {"bans": [BAN], "next": "192.0.2.7", "total": 2, "lists": lists}

    node.waiting = [BAN]
    monkeypatch.setattr(node, "answer", bans)
    return node


def test_a_ban_is_made_and_told(penstock, banning):
    """With its end, what was cut, and by when somebody must confirm."""
    result = penstock("ban", "192.0.2.7", "--for", "1h", "--confirm", "60s", "--cut")
    assert result.exit_code == 0
    assert "192.0.2.7 is banned until 2024-01-01T01:00:00.000Z" in result.stdout
    assert "3 connections were open, and end" in result.stdout
    assert "undone at 2024-01-01T00:01:00.000Z unless `penstock confirm` comes before" in result.stderr


def test_the_address_of_an_ssh_login_is_told():
    """Who would ban the address that they came from is stopped by the node."""
    assert asker({"SSH_CONNECTION": "192.0.2.9 51000 203.0.113.1 22"}) == "192.0.2.9"
    assert asker({"SSH_CONNECTION": "fe80::1%eth0 51000 fe80::2 22"}) == "fe80::1"
    assert asker({}) == ""


def test_bans_are_listed_over_pages(penstock, banning):
    """All of them, and block lists below."""
    result = penstock("bans")
    assert result.exit_code == 0
    _, one, two = (line.split() for line in result.stdout.splitlines())
    assert (one[:3], two[:3]) == (["192.0.2.7", "auto", "failed_logins"], ["198.51.100.0/24", "manual", "spam"])
    assert "/etc/list: 1,000,000 networks, bad" in result.stderr
    assert json.loads(penstock("bans", "--json").stdout)[1]["network"] == "198.51.100.0/24"


def test_a_limit_says_what_is_left(penstock, banning):
    """And filters are the door's."""
    result = penstock("bans", "--limit", "1", "--origin", "auto")
    assert "1 more" in result.stderr
    assert "origin=auto" in banning.orders[-1][1]


def test_a_ban_is_lifted(penstock, banning):
    """Its slash stays one; what is not banned ends with 1."""
    assert penstock("unban", "192.0.2.7").exit_code == 0
    result = penstock("unban", "198.51.100.0/24")
    assert (result.exit_code, banning.orders[-1]) == (1, ("DELETE", "/api/v1/bans/198.51.100.0/24"))
    assert "is not banned" in result.stderr


def test_confirming_nothing_fails(penstock, banning):
    """Who comes too late must know it."""
    assert penstock("confirm").exit_code == 0
    banning.waiting = []
    result = penstock("confirm")
    assert result.exit_code == 1
    assert "no ban waits" in result.stderr


def test_why_names_rule_counter_threshold_since_and_until(penstock, banning):
    """A line for each thing."""
    result = penstock("why", "192.0.2.7")
    assert result.exit_code == 0
    first, listed, rate, connections, count, offences, refusal = result.stdout.splitlines()
    for part in (
        "banned as 192.0.2.7", "failed_logins", "since 2024-01-01T00:00:00.000Z", "until 2024-01-01T01:00:00.000Z",
        "12 failed logins within 600 s", "10 are too many", "offence 2",
    ):  # fmt: skip
        assert part in first
    assert "block list /x: bad" in listed
    assert "rate_per_ip: 7 of 300 within 60 s" in rate
    assert "connections_per_ip: 1 of 100, but it is exempt" in connections
    assert "floods: 3 connections of 9 within 60 s" in count
    assert "2 times" in offences
    assert refusal.endswith("refused 2024 at web: auth, wrong")


def test_where_nothing_holds_it_says_so():
    """One line."""
    nothing = WHY | {"bans": [], "lists": [], "limits": [], "counts": [], "offences": 0, "refusals": []}
    assert reasons(nothing) == ["192.0.2.7: nothing holds against it"]


@pytest.mark.parametrize(
    "words",
    [
        ("ban", "300.1.1.1"), ("ban", "192.0.2.7/24"), ("ban", "192.0.2.7", "--for", "5x"),
        ("ban", "192.0.2.7", "--for", "0s"), ("ban", "192.0.2.7", "--confirm", "1"), ("unban", "x"), ("confirm", "x"),
        ("why", "example.com"), ("why", "192.0.2.0/24"), ("bans", "--address", "192.0.2.0/24"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_wrong_usage(penstock, banning, words):
    """It ends with 2, says what to write, and no node is asked."""
    result = penstock(*words)
    assert result.exit_code == 2
    assert (
        "needed" in result.stderr or "write" in result.stderr or "longer" in result.stderr or "number" in result.stderr
    )
    assert not banning.orders
