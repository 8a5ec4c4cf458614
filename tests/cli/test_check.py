"""`penstock check`."""

import csv
import io
import json
from pathlib import Path

import pytest

from penstock.testing.certificates import Authority

FILE = """
[node]
name = "edge-1"
workers = 2
[[listener]]
listen = "127.0.0.1:8080"
protocol = "http"
auth = "ann:secret"
[[listener]]
name = "web"
listen = ":8081"
protocol = "tcp"
targets = ["example.com:80", { address = "[::1]:81", weight = 2 }]
"""


@pytest.fixture
def file(tmp_path):
    """A configuration without mistakes."""
    (tmp_path / "penstock.toml").write_text(FILE)


def test_a_table_of_what_would_run(penstock, file):
    """A good file is shown as the node that it describes; passwords are counted, not shown."""
    result = penstock("check")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("edge-1: 2 workers, admin 127.0.0.1:9190, command socket ")
    assert "example.com:80 [::1]:81 x2" in result.stdout
    assert "secret" not in result.stdout


def test_for_programs(penstock, file):
    """JSON holds the same, CSV a line per listener."""
    data = json.loads(penstock("check", "--json").stdout)
    assert (data["node"], data["workers"], data["admin"]) == ("edge-1", 2, "127.0.0.1:9190")
    assert [each["users"] for each in data["listeners"]] == [1, 0]
    rows = list(csv.DictReader(io.StringIO(penstock("check", "-o", "csv").stdout)))
    assert rows[1]["targets"] == "example.com:80 [::1]:81 x2"


def test_block_lists_with_who_is_never_banned(penstock, file, tmp_path):
    """A list that holds loopback or a target is told with whom it holds; its mistakes are told as any others."""
    (tmp_path / "penstock.toml").write_text(FILE + '[[blocklist]]\nfile = "list"\n')
    (tmp_path / "list").write_text("127.0.0.0/8\n::1\n198.51.100.0/24\n")
    result = penstock("check")
    assert result.exit_code == 0
    assert f"{tmp_path / 'list'}: nobody bans these, and they stay out: 127.0.0.0/8 is loopback" in result.stderr
    assert "::1 is " in result.stderr
    (tmp_path / "list").write_text("nonsense\n")
    assert penstock("check").exit_code == 78


ROUTES = """
[[listener]]
name = "web"
listen = ":443"
protocol = "tls"
certificates = ["app.example.pem"]
[[route]]
name = "all"
priority = 1
match = { clients = "0.0.0.0/0" }
targets = ["a:1"]
target_tls = { ca = "ca.pem" }
[[route]]
name = "some"
match = { clients = "10.0.0.0/8" }
action = "block"
[[route]]
name = "rest"
tls = "passthrough"
targets = ["b:1"]
parent = "socks5://ann:secret@proxy:1080"
"""


@pytest.fixture
def routes(tmp_path):
    """A configuration with routes and a certificate."""
    authority = Authority(tmp_path)
    issued = authority.issue("app.example", "*.app.example")
    (tmp_path / "app.example.pem").write_bytes(Path(issued.cert).read_bytes() + Path(issued.key).read_bytes())
    assert authority.file
    (tmp_path / "penstock.toml").write_text(ROUTES)


def test_routes_and_certificates(penstock, routes):
    """Every route is shown with what it takes and where that goes, every certificate with its names and its end."""
    result = penstock("check")
    assert result.exit_code == 0
    assert "all           1  all        clients 0.0.0.0/0   forward  a:1 (TLS to targets)" in result.stdout
    assert "b:1 through socks5://proxy:1080 (passthrough)" in result.stdout
    assert "app.example *.app.example  3000-01-01" in result.stdout
    assert "secret" not in result.stdout


def test_routes_that_are_never_taken(penstock, routes):
    """A route that another takes everything from is a warning, on standard error; the code stays 0."""
    result = penstock("check")
    assert result.stderr == ("route[some]: is never taken: route all, of higher priority, takes all that it matches\n")


def test_routes_for_programs(penstock, routes):
    """JSON holds routes in the words of the configuration, and certificates."""
    data = json.loads(penstock("check", "--json").stdout)
    assert [(each["name"], each["listeners"]) for each in data["routes"]] == [
        ("all", ["web"]), ("some", ["web"]), ("rest", ["web"]),
    ]  # fmt: skip
    assert data["routes"][0]["match"] == {"clients": ["0.0.0.0/0"]}
    (certificate,) = data["certificates"]
    assert (certificate["listener"], certificate["names"]) == ("web", ["app.example", "*.app.example"])


def test_every_mistake_at_once(penstock, tmp_path):
    """Every mistake is a line with file and line, on standard error; the code is 78."""
    (tmp_path / "x.toml").write_text('[node]\nworkres = 2\n[timeouts]\nidle = "soon"\n[[listener]]\nprotocol = "tcp"\n')
    result = penstock("check", "-c", "x.toml")
    assert (result.exit_code, result.stdout) == (78, "")
    assert result.stderr.count("\n") >= 3
    assert "x.toml:2" in result.stderr
    assert "workers" in result.stderr


@pytest.mark.parametrize("text", [None, "", "\x00", "[[[["])
def test_no_file_or_nonsense(penstock, tmp_path, text):
    """A missing, empty or unreadable file is a bad configuration, in words."""
    if text is not None:
        (tmp_path / "x.toml").write_text(text)
    result = penstock("check", "-c", "x.toml")
    assert (result.exit_code, result.stdout) == (78, "")
    assert "Traceback" not in result.stderr
    assert "x.toml" in result.stderr


def test_mistakes_in_block_lists_are_mistakes(penstock, file, tmp_path):
    """Each with its file and line; a list without any is no more than read."""
    configuration = tmp_path / "penstock.toml"
    configuration.write_text(FILE + '[[blocklist]]\nfile = "list.txt"\n')
    (tmp_path / "list.txt").write_text("192.0.2.0/24\nnonsense\n")
    result = penstock("check")
    assert result.exit_code == 78
    assert f"{tmp_path}/list.txt:2: 'nonsense': no address and no network" in result.stderr
    (tmp_path / "list.txt").write_text("192.0.2.0/24\n")
    assert penstock("check").exit_code == 0


def test_a_users_file_is_shown(penstock, tmp_path):
    """A listener that asks for logins of a file says so."""
    (tmp_path / "users").touch()
    listener = '[[listener]]\nlisten = ":1080"\nprotocol = "socks5"\nusers_file = "users"\n'
    (tmp_path / "penstock.toml").write_text(listener + 'auth = "ann:pw"\n')
    assert "1 + file" in penstock("check").stdout
    (tmp_path / "penstock.toml").write_text(listener)
    (row,) = json.loads(penstock("check", "--json").stdout)["listeners"]
    assert (row["users"], row["users_file"]) == (0, str(tmp_path / "users"))
    assert "users_file" in penstock("config", "show").stdout
