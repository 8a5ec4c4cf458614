"""Alerts as a TLS client reads them."""

import ssl

import pytest

from penstock.protocols.tls_alert import Alert, TlsError, serialize_alert


@pytest.mark.parametrize("alert", Alert)
def test_a_client_understands(alert):
    """OpenSSL takes the record for the fatal alert of that name, before it has heard anything else."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="example.org")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    incoming.write(serialize_alert(alert))
    with pytest.raises(ssl.SSLError, match=alert.name.lower().replace("_", ".")):
        client.do_handshake()


def test_bytes_are_those_of_the_rfc():
    """Type 21, version 3.3, two bytes: fatal, and which."""
    assert serialize_alert(Alert.DECODE_ERROR) == bytes.fromhex("15 0303 0002 02 32")


def test_an_error_carries_its_alert():
    """The line is for the log, the alert for the client."""
    error = TlsError(Alert.DECODE_ERROR, "the hello's lengths do not fit")
    assert (error.alert, str(error)) == (50, "the hello's lengths do not fit")
