"""Files that listeners and routes name: where they lie, and bodies that are read."""

from pathlib import Path

import pytest

from penstock.config.attached import Attached, attach
from penstock.config.files import File
from penstock.config.http_kinds import BODY_BYTES
from penstock.config.model import Config
from penstock.config.table import HOLE
from penstock.config.written import Written

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


def attached(text, folder, mistakes):
    """Return the files of a configuration in a folder."""
    file = File(folder / "a.toml", text)
    return attach(Config.model_validate(file.tree), Written([file], file), mistakes)


def test_relative_paths_start_beside_their_file():
    """Each path of each table is found by its key, and starts where the file lies that names it."""
    mistakes = []
    found = attached(TEXT, Path("/etc/penstock"), mistakes)
    assert mistakes == []
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
    assert attach(config, Written([], None), []) == Attached()
