"""`penstock certificates`."""

import json

import pytest

ONE = {
    "name": "a.example.com",
    "names": ["a.example.com", "www.example.com"],
    "source": "acme",
    "file": "/s/a.example.com.pem",
    "issuer": "CN=Some CA",
    "not_after": "2031-05-30T00:00:00.000Z",
    "not_after_s": 1_937_952_000,
    "state": "valid",
    "renews_at": "2031-04-30T00:00:00.000Z",
    "last_error": "",
}
TWO = ONE | {
    "name": "", "names": [], "source": "file", "issuer": "", "state": "pending", "not_after": None, "renews_at": None,
    "last_error": "caa: no",
}  # fmt: skip


@pytest.fixture
def secured(node, monkeypatch):
    """A node with two certificates."""
    answer = node.answer

    def certificates(method, target):
        return (200, {"certificates": [ONE, TWO]}) if target == "/api/v1/certificates" else answer(method, target)

    monkeypatch.setattr(node, "answer", certificates)
    return node


def test_certificates_are_listed(penstock, secured, monkeypatch):
    """Each with its names, its state, its end, and what went wrong."""
    monkeypatch.setenv("COLUMNS", "100")
    result = penstock("certificates")
    assert result.exit_code == 0
    head, one, two = result.stdout.splitlines()
    assert head.split() == ["Names", "State", "Ends", "Error"]
    assert one.split() == ["a.example.com", "www.example.com", "valid", "2031-05-30", "-"]
    assert two.split() == ["/s/a.example.com.pem", "pending", "-", "caa:", "no"]
    assert json.loads(penstock("certificates", "--json").stdout) == [ONE, TWO]
    assert "last_error" in penstock("certificates", "-o", "csv").stdout.splitlines()[0]


def test_a_wide_terminal_gets_all(penstock, secured, monkeypatch):
    """Who issued it, and when it is renewed."""
    monkeypatch.setenv("COLUMNS", "160")
    result = penstock("certificates")
    assert "CN=Some CA" in result.stdout
    assert "2031-04-30 00:00" in result.stdout
