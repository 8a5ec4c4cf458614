"""Certificates by name."""

import ssl

import pytest

from penstock.base.errors import StartError
from penstock.config.tls_plan import CertificatePlan, TlsPlan
from penstock.dataplane.contexts import Contexts
from penstock.testing.peers import echo, serving
from penstock.testing.workbench import bench, listener


def test_each_client_gets_the_certificate_of_its_name(authority):
    """The exact name wins over the wildcard; what nobody has gets the first certificate."""
    plan = TlsPlan(
        certificates=(authority.issue("first.example"), authority.issue("*.b.example"), authority.issue("x.b.example"))
    )
    context = authority.client_context()
    context.check_hostname = False
    with serving(echo) as target, bench(listener("main", "tcp", target.port, tls=plan)) as plane:
        for asked, shown in (
            ("first.example", "first.example"), ("y.b.example", "*.b.example"), ("X.B.example", "x.b.example"),
            ("a.y.b.example", "first.example"), ("other.example", "first.example"), (None, "first.example"),
        ):  # fmt: skip
            with plane.connect() as raw, context.wrap_socket(raw, server_hostname=asked) as client:
                names = [name for kind, name in client.getpeercert()["subjectAltName"] if kind == "DNS"]
                assert names == [shown]


def test_minimum_version_and_alpn(authority):
    """A client below the minimum is refused; the first protocol that both know is chosen."""
    plan = TlsPlan(certificates=(authority.issue("localhost"),), min_version="1.3", alpn=("http/1.1",))
    with serving(echo) as target, bench(listener("main", "tcp", target.port, tls=plan)) as plane:
        old = authority.client_context()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with plane.connect() as raw, pytest.raises(ssl.SSLError, match="alert protocol version"):
            old.wrap_socket(raw, server_hostname="localhost")
        new = authority.client_context()
        new.set_alpn_protocols(["h2", "http/1.1"])
        with plane.connect() as raw, new.wrap_socket(raw, server_hostname="localhost") as client:
            assert client.selected_alpn_protocol() == "http/1.1"


@pytest.mark.parametrize("broken", ["missing", "mismatched", "ciphers"])
def test_files_that_cannot_be_used_are_told(authority, broken):
    """A missing file, a key of another certificate and unknown ciphers are one line for the operator."""
    good, other = authority.issue("good.example"), authority.issue("other.example")
    certificate = {
        "missing": CertificatePlan(cert=good.cert, key=good.key + "x"),
        "mismatched": CertificatePlan(cert=good.cert, key=other.key),
        "ciphers": good,
    }[broken]
    with pytest.raises(StartError, match=r"good\.example\.pem"):
        Contexts(TlsPlan(certificates=(certificate,), ciphers="NOTHING" if broken == "ciphers" else ""))
