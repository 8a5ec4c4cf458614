"""What can be written of ACME, and what becomes of it."""

from pathlib import Path

import pytest

from penstock.base.addresses import Endpoint
from penstock.base.errors import AddressError
from penstock.config.acme import (
    LETS_ENCRYPT,
    NAMES,
    Acme,
    DirectoryUrl,
    Domains,
    Email,
    acme_plan,
    directory_folder,
    own_endpoint,
)
from penstock.config.load import load
from penstock.config.mistakes import Wrong
from penstock.config.table import HOLE
from penstock.config.tls_plan import HTTP_01, TLS_ALPN_01, AcmePlan

TEXT = """
[acme]
domains = ["App.Example.com", ["www.example.com", "api.example.com"]]
agree_to_terms = true
{more}

[[listener]]
name = "web"
listen = ":443"
protocol = "tls"
acme = true
targets = ["a:1"]

[[listener]]
name = "plain"
listen = ":{port}"
protocol = "http"
reverse = true
targets = ["a:1"]

[[route]]
name = "all"
match = {{ domains = "x.example.com" }}
action = "block"
"""


def plan_of(tmp_path, more="", port=8080):
    """Return the plan of a configuration."""
    file = tmp_path / "penstock.toml"
    file.write_text(TEXT.format(more=more, port=port))
    return load(str(file), environ={"HOME": str(tmp_path), "PENSTOCK_RUNTIME_DIR": "/run"})


def test_an_item_is_a_certificate():
    """Text is a certificate of one name, a list one of several; names are read in lower case."""
    assert Domains().parse("WWW.example.com.") == ("www.example.com",)
    assert Domains().parse(["a.example.com", "B.example.com"]) == ("a.example.com", "b.example.com")


@pytest.mark.parametrize(
    "value",
    ["*.example.com", "localhost", "192.0.2.1", "::1", "", "a b.example.com", 5, None, [], ["a.b", "A.b"],
     [["a.b"]], [f"n{each}.example.com" for each in range(NAMES + 1)]],
)  # fmt: skip
def test_what_nobody_issues_is_refused(value):
    """Wildcards, addresses, names without a dot, nothing, too many, and what is no name."""
    with pytest.raises(Wrong):
        Domains().parse(value)


def test_a_directory_is_asked_by_https():
    """Another scheme, a login or no URL is refused."""
    assert DirectoryUrl().parse(LETS_ENCRYPT) == LETS_ENCRYPT
    for value in ("http://acme.example/dir", "https://ann:pw@acme.example/dir", 5):
        with pytest.raises(Wrong):
            DirectoryUrl().parse(value)
    with pytest.raises(AddressError):
        DirectoryUrl().parse("acme.example")


def test_mail_has_an_at():
    """Whatever could not be an address is refused."""
    assert Email().parse("ops@example.com") == "ops@example.com"
    for value in ("ops", "a@b@c", "a b@c", 5):
        with pytest.raises(Wrong):
            Email().parse(value)


def test_each_kind_has_its_schema():
    """Editors are told what may be written."""
    assert Domains().json_schema()["anyOf"][0]["type"] == "string"
    assert DirectoryUrl().json_schema()["pattern"].startswith("^https")
    assert "@" in Email().json_schema()["pattern"]


def test_the_listener_serves_what_is_to_come(tmp_path):
    """A listener with `acme = true` has the certificates of the plan, in files of the directory's own folder."""
    plan = plan_of(tmp_path, 'storage = "kept"\nemail = "ops@example.com"')
    folder = tmp_path / "kept" / "acme-v02.api.letsencrypt.org-directory"
    assert plan.acme.storage == str(folder)
    assert [each.names for each in plan.acme.certificates] == [
        ("app.example.com",), ("www.example.com", "api.example.com"),
    ]  # fmt: skip
    assert plan.acme.certificates[0].cert == plan.acme.certificates[0].key == str(folder / "app.example.com.pem")
    web = plan.worker.listeners[0]
    assert web.tls is not None
    assert web.tls.certificates == plan.acme.certificates
    assert (plan.acme.email, plan.acme.directory, web.challenge) == ("ops@example.com", LETS_ENCRYPT, "")


def test_storage_lies_in_the_state_directory(tmp_path):
    """Unless it is told otherwise."""
    assert Path(plan_of(tmp_path).acme.storage).parent.name == "acme"


def test_http_01_has_a_listener_of_its_own(tmp_path):
    """It accepts on port 80, serves nothing else, and no route that serves all listeners serves it."""
    plan = plan_of(tmp_path)
    own = plan.worker.listeners[-1]
    assert (own.name, own.protocol, own.host, own.port) == ("acme-http", "http", "::", 80)
    assert (own.reverse, own.challenge, own.targets) == (True, HTTP_01, ())
    assert plan.worker.routes[0].match.listeners == (1, 2)
    assert len({each.id for each in plan.worker.listeners}) == 3
    other = plan_of(tmp_path, 'http_listen = "127.0.0.1:8081"').worker.listeners[-1]
    assert (other.host, other.port) == ("127.0.0.1", 8081)


def test_http_01_may_be_answered_by_another_listener(tmp_path):
    """The one that is named answers, and there is no other for it."""
    plan = plan_of(tmp_path, 'http_listener = "plain"', port=80)
    assert [(each.name, each.challenge) for each in plan.worker.listeners] == [("web", ""), ("plain", HTTP_01)]
    assert plan.worker.routes[0].match.listeners == ()


def test_tls_alpn_01_is_answered_by_the_tls_listener(tmp_path):
    """Port 80 is nobody's business then."""
    plan = plan_of(tmp_path, 'challenge = "tls-alpn-01"')
    assert [(each.name, each.challenge) for each in plan.worker.listeners] == [("web", TLS_ALPN_01), ("plain", "")]


def test_nothing_is_got_without_domains():
    """The plan of a node without ACME is empty, and it needs no listener."""
    assert acme_plan(Acme(), Path("/s"), None) == AcmePlan()
    assert own_endpoint(Acme()) is None
    assert own_endpoint(Acme.model_validate({"domains": HOLE})) is None
    assert own_endpoint(Acme.model_validate({"domains": ["a.b"]})) == Endpoint("::", 80)


def test_each_directory_has_its_folder():
    """What one authority issued is not taken for another one's, and no URL leads out of the storage."""
    assert directory_folder("https://127.0.0.1:14000/dir") == "127.0.0.1-14000-dir"
    assert directory_folder("https://x/../../etc") == "x-..-..-etc"
    assert len(directory_folder("https://x/" + "a" * 2_000)) <= 100
