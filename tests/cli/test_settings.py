"""`penstock config`."""

import json
import tomllib

from hypothesis import given
from hypothesis import strategies as st

from penstock.cli.settings import to_toml
from penstock.testing.certificates import Authority

FILE = """
[node]
name = "edge-1"
workers = 2
[admin]
token_file = "token"
[timeouts]
idle = "off"
[[listener]]
listen = "127.0.0.1:8080"
protocol = "http"
users = { "ann" = "secret" }
[[listener]]
listen = ":8081"
protocol = "auto"
targets = [{ address = "example.com:80", weight = 2 }]
"""


def test_schema_is_json(penstock):
    """The schema is JSON Schema and knows the keys of a listener."""
    result = penstock("config", "schema")
    schema = json.loads(result.stdout)
    assert result.exit_code == 0
    assert "2020-12" in schema["$schema"]
    assert {"listen", "protocol", "targets"} <= set(schema["$defs"]["Listener"]["properties"])


def _file(tmp_path):
    (tmp_path / "penstock.toml").write_text(FILE)
    (tmp_path / "token").write_text("token-of-the-admin-door\n")
    (tmp_path / "token").chmod(0o600)


def test_values_in_effect(penstock, tmp_path):
    """File, environment and defaults are shown together, as TOML that can be read again; secrets are hidden."""
    _file(tmp_path)
    result = penstock("config", "show", env={"PENSTOCK__LOG__LEVEL": "debug"})
    assert (result.exit_code, result.stderr) == (0, "")
    values = tomllib.loads(result.stdout)
    assert (values["node"]["name"], values["log"]["level"]) == ("edge-1", "debug")
    assert (values["timeouts"]["idle"], values["timeouts"]["connect"]) == ("off", "5s")
    assert values["listener"][0]["users"] == {"ann": "***"}
    assert values["listener"][1]["targets"] == [{"address": "example.com:80", "weight": 2}]
    assert values["admin"]["token"] == "***"
    assert "secret" not in result.stdout
    assert "token-of" not in result.stdout


def test_routes_in_effect(penstock, tmp_path):
    """Routes are shown in the words of the file, what listeners say of TLS too; no password of any kind."""
    Authority(tmp_path).issue("app.example")
    (tmp_path / "penstock.toml").write_text("""
[[listener]]
name = "web"
listen = ":443"
protocol = "tls"
inside = "http"
certificates = [{ cert = "app.example.pem", key = "app.example.key" }]
[[route]]
name = "app"
match = { path = "/*", clients = "10.0.0.0/8" }
targets = ["a:1"]
parent = { kind = "http", address = "proxy:3128", user = "ann", password = "secret" }
users = { bob = "secret" }
health_check = { kind = "http", expect = [204, "300-399"] }
""")
    result = penstock("config", "show")
    assert "secret" not in result.stdout
    values = tomllib.loads(result.stdout)
    (route,), (listener,) = values["route"], values["listener"]
    assert route["match"] == {"path": ["/*"], "clients": ["10.0.0.0/8"]}
    assert route["parent"] == {"kind": "http", "address": "proxy:3128", "user": "ann", "password": "***"}
    assert (route["users"], route["health_check"]["expect"]) == ({"bob": "***"}, ["204", "300-399"])
    (certificate,) = listener["certificates"]
    assert (certificate["names"], certificate["expires"]) == (["app.example"], "3000-01-01")
    assert listener["tls"]["alpn"] == ["http/1.1"]


def test_other_forms_hold_the_same(penstock, tmp_path):
    """JSON and TOML hold the same values."""
    _file(tmp_path)
    shown = tomllib.loads(penstock("config", "show").stdout)
    assert json.loads(penstock("config", "show", "--json").stdout) == shown
    assert penstock("config", "show", "-o", "yaml").stdout.startswith('node:\n  name: "edge-1"\n')


def test_mistakes(penstock, tmp_path):
    """A file with mistakes shows them and nothing else."""
    (tmp_path / "penstock.toml").write_text("[node]\nx = 1\n")
    result = penstock("config", "show")
    assert (result.exit_code, result.stdout) == (78, "")


@given(
    st.dictionaries(
        st.sampled_from("abc"),
        st.text(st.characters(exclude_categories=["Cs"]))
        | st.integers(-(2**63), 2**63 - 1)
        | st.lists(st.text('ab"\\\n\x7f')),
    )
)
def test_toml_reads_back(table):
    """Whatever a table holds, TOML reads it back."""
    assert tomllib.loads(to_toml({"section": table})) == {"section": table}


def test_acme_in_effect(penstock, tmp_path):
    """What is got, from whom, where it lies, and who answers; without it there is no such section."""
    file = tmp_path / "penstock.toml"
    text = """
        [acme]
        domains = ["a.example.com", ["b.example.com", "c.example.com"]]
        agree_to_terms = true
        storage = "kept"

        [[listener]]
        listen = ":443"
        protocol = "tls"
        acme = true
        targets = ["a:1"]
    """
    file.write_text(text)
    shown = tomllib.loads(penstock("config", "show", "-c", str(file)).stdout)
    folder = "acme-v02.api.letsencrypt.org-directory"
    assert shown["acme"] == {
        "domains": [["a.example.com"], ["b.example.com", "c.example.com"]],
        "directory": "https://acme-v02.api.letsencrypt.org/directory",
        "challenge": "http-01",
        "storage": str(tmp_path / "kept" / folder),
    }
    assert [each.get("challenge") for each in shown["listener"]] == [None, "http-01"]
    assert [each["expires"] for each in shown["listener"][0]["certificates"]] == ["-", "-"]
