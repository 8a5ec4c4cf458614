"""Certificates that tests make."""

import ssl

from penstock.testing.certificates import Authority


def test_issued_certificates_load_and_are_trusted(tmp_path):
    """What is issued loads with its key, and names what it was asked for."""
    authority = Authority(tmp_path)
    issued = authority.issue("a.example", "*.b.example")
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(issued.cert, issued.key)
    assert issued.names == ("a.example", "*.b.example")
    assert authority.client_context(issued).verify_mode is ssl.CERT_REQUIRED
