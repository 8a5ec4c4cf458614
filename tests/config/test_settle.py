"""Every mistake at once, each in its place, or a configuration without any."""

from pathlib import Path

import pytest

from penstock.base.errors import ConfigurationError
from penstock.config.files import File
from penstock.config.layers import Environment, Flags
from penstock.config.mistakes import MISTAKES
from penstock.config.settle import settle
from penstock.config.written import Written

MANY = """\
[node]
name = "edge 1"
workerz = 3
[limits]
connections = "1000"
quota = 5
[timeouts]
idle = 30
connect = "5 sec"
[manager]
address = "127.0.0.1:13337"
[[listener]]
name = "web"
listen = ":99999"
protocol = "tcpp"
[[listener]]
name = "web"
listen = "127.0.0.1:9190"
protocol = "tls"
[[listener]]
name = "egress"
listen = "192.0.2.1:80"
protocol = "http"
targets = "a:1"
users = { bob = 5, al = "hunter2" }
[[listener]]
listen = ":8080"
protocol = "tcp"
targets = ["localhost:8080", "[::1]:80", { address = "x:1", weight = 300 }, "a", "http://me:hunter2@host:80"]
pasword = "hunter2"
[[route]]
listeners = ["webb"]
"""

TOLD = """\
a.toml:2: node.name: 'edge 1': a name is 1 to 63 letters, digits, dots, dashes or underscores, and begins with a \
letter or digit; write "edge-1" instead
a.toml:3: node.workerz: 3: unknown key; write workers instead
a.toml:5: limits.connections: '1000': must be a whole number from 1 to 10000000; write 1000, without quotes, instead
a.toml:6: limits.quota: 5: not supported by this release
a.toml:8: timeouts.idle: 30: a duration is text with a unit; write "30s" instead
a.toml:9: timeouts.connect: '5 sec': 'sec' is no unit of ms, s, m, h or d; write "5s" instead
a.toml:10: manager: a table: not supported by this release
a.toml:14: listener[web].listen: ':99999': '99999' is no port from 0 to 65535
a.toml:15: listener[web].protocol: 'tcpp': must be tcp, http, socks5, tls or auto; write "tcp" instead
a.toml:16: listener[web].targets: missing: a tls listener with tcp inside sends somewhere; write \
targets = ["example.com:80"]
a.toml:17: listener[web].name: 'web': is the name of listener 1 too
a.toml:18: listener[web].listen: '127.0.0.1:9190': the admin door takes 0.0.0.0:9190 already
a.toml:24: listener[egress].targets: 'a:1': must be a list; write ["a:1"] instead
a.toml:25: listener[egress].users.bob: ***: a password is text of 1 to 255 bytes without control characters
a.toml:29: listener[4].targets[3].weight: 300: must be a whole number from 1 to 256
a.toml:29: listener[4].targets[4]: 'a': a port is missing, as in a:8080
a.toml:29: listener[4].targets[5]: 'http://***@host:80': an IPv6 address needs brackets, as in [http://***@host]:80
a.toml:29: listener[4].targets[1]: 'localhost:8080': is this node itself: a loop
a.toml:30: listener[4].pasword: ***: unknown key; known are name, listen, protocol, targets, users, users_file, auth, \
detect, reverse, certificates, acme, tls, inside, accept_proxy, limits, trusted_proxies, allow_private
a.toml:31: route[1].name: missing; write name = "app"
PENSTOCK__LOG__LEVEL: 'warn': must be debug, info, warning or error; write "warning" instead
--admin: '0.0.0.0:9190': others than this machine reach it, so it needs a token; write --admin-token-file \
/etc/penstock/admin.token
--workers: 300: must be "auto" or a whole number from 0 to 256
PENSTOCK__X: names no section and key; write PENSTOCK__LOG__LEVEL, say, instead
"""


def written(text, environ=None, flags=None, path="a.toml"):
    """Return a file, the environment and flags as layers."""
    file = File(Path(path), text)
    return Written([file, Environment(environ or {}), Flags(flags or {})], file)


def told(*args, **kwargs):
    """Return the mistakes that are told."""
    with pytest.raises(ConfigurationError) as caught:
        settle(written(*args, **kwargs))
    return caught.value.mistakes


def test_all_mistakes_at_once():
    """A file full of mistakes of all kinds gives every one of them, in its place, and no secret."""
    environ = {"PENSTOCK__LOG__LEVEL": "warn", "PENSTOCK__X": "1"}
    lines = told(MANY, environ, {"--workers": "300", "--admin": "0.0.0.0:9190"})
    assert sorted(lines) == sorted(TOLD.splitlines())
    in_the_file = [line for line in lines if line.startswith("a.toml")]
    assert in_the_file == TOLD.splitlines()[: len(in_the_file)]
    assert "hunter2" not in "\n".join(lines)


def test_mistakes_are_bounded():
    """A file of nothing but mistakes tells a hundred of them, and that there are more."""
    lines = told("\n".join(f"key{number} = 1" for number in range(5_000)))
    assert len(lines) == MISTAKES + 1
    assert lines[-1] == "and more of them"


@pytest.mark.parametrize(
    "text", ["listener = 5", "listener = [5]", "listener = [[]]", "route = [5]\nlistener = 1", "node = []", "[[node]]"]
)
def test_tables_of_the_wrong_shape(text):
    """A section of another shape is told, and nothing that follows from it."""
    lines = told(f"{text}\n" if "listener" in text else f"{text}\n[[listener]]\nlisten = ':1'\nprotocol = 'http'\n")
    assert len(lines) == 1 + ("route" in text)
    assert all("must be a" in line for line in lines)


def test_the_token_is_read_beside_the_file(tmp_path):
    """A relative token_file starts where the file lies that names it."""
    (tmp_path / "token").write_text("abc\n")
    text = "[admin]\nlisten = ':9190'\ntoken_file = 'token'\n[node]\nstate_dir = 's'\n[store]\npath = 'n.db'\n"
    text += "[[listener]]\nlisten = ':1'\nprotocol = 'http'\n"
    settled = settle(written(text, path=tmp_path / "a.toml"))
    assert settled.token == "abc"
    assert settled.state_dir == tmp_path / "s"
    assert settled.store == tmp_path / "n.db"


def test_an_unreadable_token_is_one_mistake_of_many(tmp_path):
    """A token file that is not there is told beside the other mistakes."""
    lines = told("[admin]\ntoken_file = 'none'\n[node]\nworkers = 'x'\n", path=tmp_path / "a.toml")
    assert [line.removeprefix(f"{tmp_path}/a.toml:") for line in lines] == [
        " listener: no listener: nothing would be served; write [[listener]] with listen and protocol",
        "2: admin.token_file: 'none': no such file",
        "4: node.workers: 'x': must be \"auto\" or a whole number from 0 to 256",
    ]


def test_mistakes_of_the_environment_alone():
    """A variable that names nothing is a mistake even where the rest is right."""
    text = "[[listener]]\nlisten = ':1'\nprotocol = 'http'\n"
    assert len(told(text, {"PENSTOCK__X": "1"})) == 1
