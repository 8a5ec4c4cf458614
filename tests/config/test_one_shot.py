"""One-shot commands: the same model without a file."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.errors import ConfigurationError
from penstock.config.one_shot import one_shot

TCP = {"protocol": "tcp", "listen": ":8001", "targets": ["example.com:80"], "auth": None}


def told(*args, **kwargs):
    """Return the mistakes that are told."""
    with pytest.raises(ConfigurationError) as caught:
        one_shot(*args, environ={}, **kwargs)
    return caught.value.mistakes


def test_a_tcp_proxy():
    """A listener and a target are enough: no admin door, a worker per core, a name that no other process has."""
    plan = one_shot([TCP], environ={})
    assert (plan.name, plan.admin) == (f"tcp-8001-{os.getpid()}", None)
    assert plan.workers == len(os.sched_getaffinity(0))
    (listener,) = plan.worker.listeners
    assert (listener.name, listener.protocol, str(listener), str(listener.targets[0])) == (
        "tcp-8001",
        "tcp",
        "[::]:8001",
        "example.com:80",
    )


def test_several_listeners():
    """Several listeners serve in one node, with a login where it is given."""
    plan = one_shot([TCP, {"protocol": "socks5", "listen": "unix:/run/x", "auth": "a:b"}], workers=0, environ={})
    assert [each.users for each in plan.worker.listeners] == [{}, {"a": "b"}]
    assert plan.workers == 0


def test_flags_and_environment_count():
    """Flags win over the environment, and the environment over what the command assumes."""
    environ = {"PENSTOCK__ADMIN__LISTEN": "127.0.0.1:1", "PENSTOCK__NODE__NAME": "n"}
    plan = one_shot([TCP], flags={"--log-format": "json"}, environ=environ)
    assert (plan.admin, plan.name, plan.log_format) == (("127.0.0.1", 1), "n", "json")
    assert one_shot([TCP], admin="127.0.0.1:2", environ=environ).admin == ("127.0.0.1", 2)


@pytest.mark.parametrize(
    ("listeners", "options", "lines"),
    [
        ([{**TCP, "listen": ":99999"}], {}, ["--listen: ':99999': '99999' is no port from 0 to 65535"]),
        (
            [{**TCP, "targets": None}],
            {},
            ["--target: missing: a tcp listener sends somewhere; write --target example.com:80"],
        ),
        ([{**TCP, "targets": ["x"]}], {}, ["--target: 'x': a port is missing, as in x:8080"]),
        ([{**TCP, "targets": ["localhost:8001"]}], {}, ["--target: 'localhost:8001': is this node itself: a loop"]),
        (
            [{**TCP, "protocol": "http", "targets": None, "auth": "hunter2"}],
            {},
            ["--auth: ***: a login is user:password"],
        ),
        ([TCP], {"workers": "many"}, ["--workers: 'many': must be \"auto\" or a whole number from 0 to 256"]),
        ([TCP], {"workers": 257}, ['--workers: 257: must be "auto" or a whole number from 0 to 256']),
        (
            [TCP],
            {"admin": ":8001"},
            [
                "--admin: ':8001': others than this machine reach it, so it needs a token; write --admin-token-file "
                "/etc/penstock/admin.token",
                "--listen: ':8001': the admin door takes [::]:8001 already",
            ],
        ),
        ([TCP, {"protocol": "http", "listen": ":x"}], {}, ["--http: ':x': 'x' is no port from 0 to 65535"]),
        ([TCP, {**TCP, "listen": "8001"}], {}, ["--listen: '8001': listener 1 takes [::]:8001 already"]),
        ([], {}, ["listener: no listener: nothing would be served; write [[listener]] with listen and protocol"]),
    ],
)
def test_mistakes_name_their_flag(listeners, options, lines):
    """A mistake names the flag that it was made in, and what to write instead."""
    assert sorted(told(listeners, **options)) == sorted(lines)


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_any_flags_are_a_plan_or_mistakes(listen, target, auth):
    """Any text in flags is a plan or mistakes of one printable line each; no other exception escapes."""
    try:
        tables = [{"protocol": "tcp", "listen": listen, "targets": [target]}]
        plan = one_shot([*tables, {"protocol": "http", "listen": ":1", "auth": auth}], admin=target, environ={})
        mistakes = [plan.name]
    except ConfigurationError as error:
        mistakes = error.mistakes
    assert mistakes
    assert all(line.isprintable() for line in mistakes)
