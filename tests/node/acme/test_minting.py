"""Keys, requests and certificates that are made here, as cryptography and OpenSSL read them."""

import ssl
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from penstock.node.acme.minting import key_pem, new_key, placeholder, proof, request_pem

NOW = 1_700_000_000
NAMES = ("a.example.com", "b.example.com")


def loaded(pem, tmp_path):
    """Return the certificate of a file that OpenSSL takes with its key."""
    path = tmp_path / "both.pem"
    path.write_bytes(pem)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path)
    return x509.load_pem_x509_certificate(pem)


def names_of(found):
    """Return the names of a request or a certificate."""
    return found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)


def test_a_key_is_read_back():
    """Its PEM is the key, without a password."""
    key = new_key()
    assert load_pem_private_key(key_pem(key), None).public_key() == key.public_key()


def test_a_request_names_all():
    """It is signed by its key and names everything in the extension, nothing in the subject."""
    key = new_key()
    request = x509.load_pem_x509_csr(request_pem(key, NAMES))
    assert request.is_signature_valid
    assert request.public_key() == key.public_key()
    assert (names_of(request), request.subject.rdns) == (list(NAMES), [])


def test_a_placeholder_is_self_signed(tmp_path):
    """It is for the names, valid now, and nobody has issued it."""
    cert = loaded(placeholder(NAMES, NOW), tmp_path)
    assert names_of(cert) == list(NAMES)
    assert cert.issuer == cert.subject
    assert cert.not_valid_before_utc.timestamp() < NOW < cert.not_valid_after_utc.timestamp()


def test_a_proof_holds_the_hash(tmp_path):
    """The extension is critical, and its value is the DER octet string of the hash (RFC 8737 section 3)."""
    cert = loaded(proof("a.example.com", "token.thumb", NOW), tmp_path)
    said = cert.extensions.get_extension_for_oid(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31"))
    assert said.critical
    assert said.value.value == b"\x04\x20" + sha256(b"token.thumb").digest()
    assert names_of(cert) == ["a.example.com"]
