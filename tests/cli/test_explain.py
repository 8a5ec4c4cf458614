"""`penstock explain`."""

import json

import pytest

FILE = """
[[listener]]
name = "web"
listen = "127.0.0.1:8080"
protocol = "http"
reverse = true
[[listener]]
name = "egress"
listen = "127.0.0.1:1080"
protocol = "socks5"
auth = "ann:secret"
[[listener]]
name = "through"
listen = "127.0.0.1:443"
protocol = "tls"
[[route]]
name = "api"
listeners = ["web"]
match = { domains = "app.example", path = "/api/*" }
targets = ["a:1"]
[[route]]
name = "app"
listeners = ["web"]
match = { domains = "app.example" }
targets = ["b:1", { address = "c:1", weight = 2 }]
[[route]]
name = "first"
listeners = ["web"]
priority = 5
match = { clients = "10.0.0.0/8" }
action = "redirect"
location = "https://{host}/"
[[route]]
name = "mail"
match = { destinations = "*:25", users = "ann" }
action = "block"
[[route]]
name = "old"
match = { tls_versions = "1.2" }
tls = "passthrough"
targets = ["d:1"]
"""


@pytest.fixture
def explain(penstock, tmp_path):
    """Ask about this file."""
    (tmp_path / "penstock.toml").write_text(FILE)
    return lambda *words: penstock("explain", *words)


@pytest.mark.parametrize(
    ("words", "route"),
    [
        ("-l web --host app.example --path /api/x?y=1", "api"),
        ("-l web --host APP.example. --path /other", "app"),
        ("-l web --host app.example --path /api/x --client ::ffff:10.1.2.3", "first"),
        ("-l web --host app.example --path /x/../%61pi//y", "api"),
        ("-l web --host app.example:8080 --path /api%2fx", "api"),
        ("-l web --host [::1]:80 --path /api/x", "default"),
        ("-l web --host other.example", "default"),
        ("-l egress --destination mx.example:25 --user ann", "mail"),
        ("-l egress --destination mx.example:25", "default"),
        ("-l egress --host mx.example --port 25 --user ann", "mail"),
        ("-l through --tls-version 1.2", "old"),
        ("-l through --host x", "default"),
    ],
)
def test_which_route(explain, words, route):
    """The route that is told is the one that a node would take."""
    result = explain(*words.split(), "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout)["route"] == route


def test_why_and_why_not(explain):
    """A table tells where it goes and why, and the first key of each other route that does not match."""
    lines = explain("-l", "web", "--host", "app.example", "--path", "/x").stdout.splitlines()
    assert lines[:2] == ["web: route app: forward b:1 c:1 x2", "because domain app.example; listeners"]
    verdicts = {line.split()[0]: line for line in lines[3:]}
    assert verdicts["app"].rstrip().endswith("taken")
    assert "path does not match" in verdicts["api"]
    assert "clients does not match" in verdicts["first"]
    assert "listeners does not match" in verdicts["mail"]


def test_routes_that_match_too(explain):
    """A route that matches and is not taken is told why."""
    words = ["-l", "web", "--host", "app.example", "--path", "/api/x", "--client"]
    assert "matches too; api is more specific, or stands before it" in explain(*words, "192.0.2.1").stdout
    assert "matches too, with a lower priority than first" in explain(*words, "10.0.0.1").stdout


def test_what_goes_nowhere(explain):
    """A listener without a route of its own refuses what nothing matches, and a blocked one says so."""
    assert explain("-l", "through").stdout.startswith(
        "through: route default, the listener's own: forward nowhere: it is refused\nbecause no route matches\n"
    )
    blocked = explain(*["-l", "egress", "-d", "x:25", "--user", "ann"]).stdout
    assert blocked.startswith("egress: route mail: block\n")


def test_the_nearest_come_first(explain):
    """With a limit, the route that is taken is among those that are shown, and the rest is counted."""
    result = explain(*["-l", "web", "--host", "app.example", "--limit", "1"])
    assert result.stdout.splitlines()[-1].startswith("app ")
    assert result.stderr == "and 4 more; --limit 0 shows all\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("-l nobody", "there is no listener 'nobody'; there are web, egress, through"),
        ("-l web --client 10.0.0", "'10.0.0' is no IP address"),
        ("-l web --destination x:1", "--destination is for forward proxies, and web is none"),
        ("-l web --user ann", "--user is for forward proxies, and web is none"),
        ("-l egress --path /", "--path is for reverse proxies, and egress is none"),
        ("-l web --path /x/..%2Fapi", "is answered with 400: the path can be read in two ways"),
        ("-l web --path api", "is answered with 400: a path begins with a slash"),
        ("-l web --path /é", "is answered with 400: a path begins with a slash"),
        ("-l web --host a_b:x", "is answered with 400: host and port are malformed"),
        ("-l egress --destination x", "a port is missing"),
        ("-l egress --port 0", "--port"),
        ("--client ::1", "--listener"),
    ],
)
def test_wrong_questions(explain, words, said):
    """A question that makes no sense is wrong usage, in one line."""
    result = explain(*words.split())
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert said in result.stderr


def test_a_file_with_mistakes(penstock, tmp_path):
    """A file with mistakes shows them and nothing else."""
    (tmp_path / "penstock.toml").write_text("[node]\nx = 1\n")
    result = penstock("explain", "-l", "web")
    assert (result.exit_code, result.stdout) == (78, "")


def test_access_rules_come_first(explain, tmp_path):
    """What access rules refuse is said, with reason and rule, before the route that would be taken otherwise."""
    path = tmp_path / "penstock.toml"
    path.write_text(path.read_text() + '[[access]]\nname = "lan"\naction = "block"\ndestinations = "10.0.0.0/8"\n')
    data = json.loads(explain("-l", "egress", "-d", "10.0.0.1:80", "--json").stdout)
    assert data["refused"] == {"reason": "destination", "why": "access rule lan blocks it"}
    text = explain("-l", "egress", "-d", "10.0.0.1:80").stdout
    assert text.startswith("egress: refused (destination): access rule lan blocks it; otherwise\negress: route")
    assert json.loads(explain("-l", "egress", "-d", "example.org:80", "--json").stdout)["refused"] is None
