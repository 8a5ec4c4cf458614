"""Certificates from a real ACME server: got, kept, renewed, refused, and waited for while it is down."""

import json
import socket
import ssl

import pytest

from penstock.testing.nodes import running, table
from penstock.testing.workbench import wait_for

from .pebble import Pebble

pytestmark = [pytest.mark.system, pytest.mark.needs("pebble", "pebble-challtestsrv")]

NAME, OTHER = "app.example.com", "www.example.com"

ACME_SECONDS = 60
"""Longest wait for a certificate."""


@pytest.fixture
def pebble(tmp_path):
    """An ACME server that does not run yet."""
    (tmp_path / "pebble").mkdir()
    return Pebble(tmp_path / "pebble")


def acme(pebble, challenge, *more, domains=(NAME,)):
    """Return [acme] as TOML."""
    lines = [
        "[acme]", "agree_to_terms = true", f"domains = {json.dumps(domains)}", f'challenge = "{challenge}"',
        f'directory = "{pebble.directory}"', f'ca = "{pebble.ca}"', 'email = "ops@example.com"', 'storage = "acme"',
        *more, "",
    ]  # fmt: skip
    return "\n".join(lines)


def tls(pebble, port=1, **more):
    """Return the tls listener as TOML; pebble looks for it at this port."""
    return table("tls", "tls", port, listen=f"127.0.0.1:{pebble.tls_port}", acme=True, **more)


def own(pebble):
    """Return where the node's own listener for challenges accepts."""
    return f'http_listen = "127.0.0.1:{pebble.http_port}"'


def shown(pebble, context, name):
    """Return the certificate that a listener shows to a client, as DER."""
    with (
        socket.create_connection(("127.0.0.1", pebble.tls_port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        return secure.getpeercert(binary_form=True)


def served(pebble, name=NAME):
    """Return the certificate that a listener shows to those who trust anybody, as DER."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return shown(pebble, context, name)


def verified(pebble, name=NAME):
    """Return the same to those who trust the ACME server; raises if it was not issued there for this name."""
    return shown(pebble, ssl.create_default_context(cafile=pebble.roots), name)


def issued(node, count=1):
    """Wait until so many certificates were issued."""
    wait_for(lambda: len(node.logged("certificate issued")) >= count, f"{count} certificates", ACME_SECONDS)


@pytest.mark.parametrize("challenge", ["http-01", "tls-alpn-01"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_certificate_is_got(pebble, tmp_path, challenge, workers):
    """Until it is there a self-signed one is served, and that is said; then all workers serve it, and it is kept."""
    more = [own(pebble)] if challenge == "http-01" else []
    tables = acme(pebble, challenge, *more, domains=[NAME, [OTHER, "api.example.com"]]), tls(pebble)
    with pebble.running(), running(*tables, folder=tmp_path, workers=workers, killed=True) as node:
        issued(node, 2)
        wait_for(lambda: verified(pebble) and verified(pebble, "api.example.com"), "certificates that verify")
        assert [
            each["names"]
            for each in node.logged("no certificate yet: a self-signed one is served until the first is issued")
        ] == [[NAME], [OTHER, "api.example.com"]]
