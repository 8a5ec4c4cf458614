"""Files that listeners and routes name: where they lie, and bodies that are read."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from penstock.config.attached import Attached, attach
from penstock.config.files import File
from penstock.config.http_kinds import BODY_BYTES
from penstock.config.model import Config
from penstock.config.table import HOLE
from penstock.config.written import Written
from penstock.testing.certificates import Authority

NOW = int(datetime.now(UTC).timestamp())
"""What the authority of the tests issues is valid now, whenever that is."""

TEXT = """
[[listener]]
listen = ":443"
protocol = "tls"
certificates = ["one.pem", { cert = "two.pem", key = "/keys/two.key" }]
tls = { client_ca = "clients.pem" }
[[route]]
name = "r"
target_tls = { ca = "ca.pem", cert = "c.pem", key = "c.key" }
parent = { kind = "https", address = "h:1", tls = { ca = "parent.pem" } }
"""


def attached(text, folder, mistakes, now=NOW):
    """Return the files of a configuration in a folder."""
    file = File(folder / "a.toml", text)
    return attach(Config.model_validate(file.tree), Written([file], file), now, mistakes)


def test_relative_paths_start_beside_their_file():
    """Each path of each table is found by its key, and starts where the file lies that names it."""
    found = attached(TEXT, Path("/etc/penstock"), [])
    assert {key: str(path) for key, path in found.paths.items()} == {
        ("listener", 0, "certificates", 0, "cert"): "/etc/penstock/one.pem",
        ("listener", 0, "certificates", 1, "cert"): "/etc/penstock/two.pem",
        ("listener", 0, "certificates", 1, "key"): "/keys/two.key",
        ("listener", 0, "tls", "client_ca"): "/etc/penstock/clients.pem",
        ("route", 0, "target_tls", "ca"): "/etc/penstock/ca.pem",
        ("route", 0, "target_tls", "cert"): "/etc/penstock/c.pem",
        ("route", 0, "target_tls", "key"): "/etc/penstock/c.key",
        ("route", 0, "parent", "tls", "ca"): "/etc/penstock/parent.pem",
    }


def test_what_nobody_attached():
    """A path that nobody looked for is the one that was written; none is empty."""
    assert Attached().path(("route", 0, "body_file"), "x") == "x"
    assert Attached().path(("route", 0, "body_file"), None) == ""


ANSWER = "[[route]]\nname = 'r'\naction = 'answer'\nbody_file = 'body'\n"


def test_bodies_are_read(tmp_path):
    """The body of an answer stands in its file."""
    (tmp_path / "body").write_text("sorry, ünavailable")
    assert attached(ANSWER, tmp_path, []).bodies == {("route", 0, "body_file"): "sorry, ünavailable"}


@pytest.mark.parametrize(
    ("content", "what"),
    [(None, "no such file"), (b"\xff", "is not UTF-8"), (b"x" * (BODY_BYTES + 1), "is longer than 64 KiB")],
)
def test_bodies_that_cannot_be_read(tmp_path, content, what):
    """A body that is missing, too long or no text is one mistake at its key."""
    if content is not None:
        (tmp_path / "body").write_bytes(content)
    mistakes = []
    assert attached(ANSWER, tmp_path, mistakes).bodies == {}
    ((key, found, *_),) = mistakes
    assert key == ("route", 0, "body_file")
    assert found.startswith(what)


def test_holes_hold_no_files():
    """Where a mistake was found, no file is looked for."""
    config = Config.model_validate({"listener": HOLE, "route": [{"name": "r", "target_tls": HOLE, "body_file": HOLE}]})
    assert attach(config, Written([], None), NOW, []) == Attached()


SERVER = """
[[listener]]
name = "web"
listen = ":443"
protocol = "tls"
certificates = [
  { cert = "a.example.pem", key = "a.example.key" },
  { cert = "b.example.pem", key = "%s" },
]
tls = { client_ca = "%s", ciphers = "%s" }
[[route]]
name = "r"
target_tls = { cert = "a.example.pem", key = "a.example.key" }
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with two certificates and their authority's own."""
    authority = Authority(tmp_path)
    authority.issue("a.example", "*.a.example")
    authority.issue("b.example")
    return Path(authority.file).parent


def test_certificates_say_their_names(folder):
    """What each certificate says stands beside its table."""
    mistakes = []
    found = attached(SERVER % ("b.example.key", "ca.pem", "ECDHE"), folder, mistakes)
    assert mistakes == []
    names = {key: looked.names for key, looked in found.certificates.items()}
    assert names == {
        ("listener", 0, "certificates", 0): ("a.example", "*.a.example"),
        ("listener", 0, "certificates", 1): ("b.example",),
        ("route", 0, "target_tls"): ("a.example", "*.a.example"),
    }
    assert found.notices == ()


def test_files_that_cannot_be_used(folder):
    """Each file that cannot be used is one mistake, at the key that names it."""
    mistakes = []
    attached(SERVER % ("a.example.key", "a.example.key", "NONSENSE"), folder, mistakes)
    assert [(mistake.key[2:], mistake.what[:25]) for mistake in mistakes] == [
        (("certificates", 1, "key"), "is not the key of the cer"),
        (("tls", "client_ca"), "holds no certificates tha"),
        (("tls", "ciphers"), "OpenSSL knows none of the"),
    ]


@pytest.mark.parametrize(("left", "said"), [(31, None), (29, "in 29 days"), (1, "in a day"), (0, "in less than a day")])
def test_certificates_that_end_soon(folder, left, said):
    """From 30 days before its end, each certificate is warned of with its place and its day."""
    text = SERVER % ("b.example.key", "ca.pem", "ECDHE")
    ends = min(each.not_after for each in attached(text, folder, []).certificates.values())
    mistakes = []
    notices = attached(text, folder, mistakes, ends - left * 86_400 - 600).notices
    assert mistakes == []
    if said is None:
        assert notices == ()
    else:
        assert notices[0].endswith(said)
        assert "a.toml:6: listener[web].certificates[1].cert: the certificate expires on" in notices[0]


USERS = """
[[listener]]
listen = ":1080"
protocol = "socks5"
users_file = "users"
[[listener]]
listen = ":8080"
protocol = "http"
users_file = "users"
"""


def test_users_are_looked_at(tmp_path):
    """A file of users is found beside who names it; each wrong line is a mistake, and so is a file that is missing."""
    hashed = "$argon2id$v=19$m=19456,t=2,p=1$MDAwMDAwMDAwMDAwMDAwMA$TZCCCJQw6qE40QoszdZDx3LhW/RG6J0UYvSQtFYYSrQ"
    mistakes = []
    attached(USERS, tmp_path, mistakes)
    made = f"no such file; make it with `penstock user add NAME --file {tmp_path / 'users'}`"
    assert {each.what for each in mistakes} == {made}
    (tmp_path / "users").write_text(f"ann:{hashed}\n")
    mistakes = []
    found = attached(USERS, tmp_path, mistakes)
    assert mistakes == []
    assert found.path(("listener", 1, "users_file"), "users") == str(tmp_path / "users")
    (tmp_path / "users").write_text(f"ann:{hashed}\nann:{hashed}\nbob:secret-word\n")
    attached(USERS, tmp_path, mistakes)
    assert [(each.key[:2], each.what.partition(":")[0]) for each in mistakes] == [
        (("listener", number), f"line {line}") for number in (0, 1) for line in (2, 3)
    ]
    assert "secret-word" not in str(mistakes)
