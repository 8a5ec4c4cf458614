"""`penstock tcp`, `http` and `socks5`."""

import pytest

from penstock.node import run as node_run


@pytest.fixture
def served(monkeypatch):
    """The plans that would have been served."""
    plans = []
    monkeypatch.setattr(node_run, "run", lambda plan, base: plans.append(plan) or 0)
    return plans


def _listeners(plan):
    return [(each.protocol, str(each)) for each in plan.worker.listeners]


def test_tcp(penstock, served):
    """Several addresses and targets make one node, without an admin door on TCP."""
    words = ["--listen", ":8001", "-l", "127.0.0.1:8002", "--target", "example.com:80", "-t", "[::1]:81"]
    assert penstock("tcp", *words, "--workers", "0").exit_code == 0
    (plan,) = served
    assert _listeners(plan) == [("tcp", "[::]:8001"), ("tcp", "127.0.0.1:8002")]
    assert [str(each) for each in plan.worker.listeners[0].targets] == ["example.com:80", "[::1]:81"]
    assert (plan.workers, plan.admin) == (0, None)


@pytest.mark.parametrize("protocol", ["http", "socks5"])
def test_forward_proxies(penstock, served, protocol):
    """HTTP and SOCKS5 take a login and an admin address."""
    assert penstock(protocol, "-l", ":8002", "--auth", "ann:se:cret", "--admin", "127.0.0.1:0").exit_code == 0
    (plan,) = served
    assert _listeners(plan) == [(protocol, "[::]:8002")]
    assert plan.worker.listeners[0].users == {"ann": "se:cret"}
    assert plan.admin == ("127.0.0.1", 0)


def test_all_protocols_in_one_process(penstock, served):
    """One command serves all three; the login is asked where the protocol knows one."""
    words = ["-l", ":8001", "-t", "example.com:80", "--http", ":8002", "--socks5", ":8003", "--auth", "ann:secret"]
    assert penstock("tcp", *words).exit_code == 0
    assert _listeners(served[0]) == [("tcp", "[::]:8001"), ("http", "[::]:8002"), ("socks5", "[::]:8003")]
    assert [len(each.users) for each in served[0].worker.listeners] == [0, 1, 1]


def test_the_login_may_stand_in_the_environment(penstock, served):
    """PENSTOCK_AUTH keeps a password out of the list of processes; plain TCP, which asks nobody, does not mind it."""
    environment = {"PENSTOCK_AUTH": "ann:secret"}
    assert penstock("socks5", "-l", ":8003", env=environment).exit_code == 0
    assert penstock("tcp", "-l", ":8001", "-t", "example.com:80", env=environment).exit_code == 0
    assert served[0].worker.listeners[0].users == {"ann": "secret"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tcp", "--listen", ":8001"], "--target"),
        (["tcp", "--target", "example.com:80"], "--listen"),
        (["tcp", "-l", ":8001", "-t", "example.com"], "a port is missing"),
        (["tcp", "-l", "example.com:80", "-t", "example.com:80"], "a listen address needs an IP address"),
        (["tcp", "-l", ":99999", "-t", "example.com:80"], "no port from 0 to 65535"),
        (["tcp", "-l", ":8001", "-t", "example.com:80", "--auth", "ann:secret"], "plain TCP knows none"),
        (["http", "-l", ":8002", "--target", "example.com:80"], "--target"),
        (["socks5"], "--listen"),
    ],
)
def test_wrong_usage(penstock, served, words, said):
    """What is missing, unreadable or without meaning is wrong usage: 2, one line that says what."""
    result = penstock(*words)
    assert (result.exit_code, result.stdout, served, result.stderr.count("\n")) == (2, "", [], 1)
    assert said in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["http", "-l", ":8002", "--auth", "secretwithoutcolon"],
        ["http", "-l", ":8002", "--admin", ":9190"],
        ["http", "-l", ":8002", "--socks5", ":8002"],
        ["http", "-l", ":8002", "--idle", "soon"],
    ],
)
def test_what_cannot_be_served_is_a_bad_configuration(penstock, served, words):
    """Values that read well and make no sense together are told as the file's would be: 78, and no secret in it."""
    result = penstock(*words)
    assert (result.exit_code, result.stdout, served) == (78, "", [])
    assert result.stderr
    assert "secretwithoutcolon" not in result.stderr
