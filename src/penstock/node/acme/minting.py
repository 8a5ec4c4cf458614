"""Keys, requests and certificates that are made here: all with P-256, which every client knows and is quick to sign."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

COMMON_NAME = "Penstock: no certificate yet"
"""Of what is served until there is one. The names stand beside it: a common name has 64 characters at most."""

PLACEHOLDER_LIFE = timedelta(days=3_650)

PROOF_LIFE = timedelta(days=1)

BACKDATED = timedelta(hours=1)
"""For clients whose clock is late."""

_ACME_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
"""RFC 8737 section 6.1."""

_OCTETS = b"\x04\x20"
"""DER of an octet string of 32 bytes."""


def new_key() -> EllipticCurvePrivateKey:
    """Return a new key."""
    return generate_private_key(SECP256R1())


def key_pem(key: EllipticCurvePrivateKey) -> bytes:
    """Return a key as PEM, without a password."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def request_pem(key: EllipticCurvePrivateKey, names: Sequence[str]) -> bytes:
    """Return what asks for a certificate of these names, as PEM."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.add_extension(_names(names), critical=False).sign(key, SHA256()).public_bytes(Encoding.PEM)


def placeholder(names: Sequence[str], now_s: int) -> bytes:
    """
    Return a certificate that nobody trusts, with its key, as PEM.

    Args:
        names: Whom it is for.
        now_s: Unit s since the epoch.
    """
    return _self_signed(names, now_s, PLACEHOLDER_LIFE, COMMON_NAME)


def proof(name: str, key_authorization: str, now_s: int) -> bytes:
    """
    Return the certificate that proves a name (RFC 8737 section 3), with its key, as PEM.

    Args:
        name: Whose name is proved.
        key_authorization: What the server expects.
        now_s: Unit s since the epoch.
    """
    digest = _OCTETS + sha256(key_authorization.encode()).digest()
    said = x509.UnrecognizedExtension(_ACME_IDENTIFIER, digest)
    return _self_signed([name], now_s, PROOF_LIFE, "Penstock: ACME challenge", said)


def _self_signed(
    names: Sequence[str], now_s: int, life: timedelta, common: str, said: x509.ExtensionType | None = None
) -> bytes:
    key, now = new_key(), datetime.fromtimestamp(now_s, UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + life)
        .add_extension(_names(names), critical=False)
    )
    if said is not None:
        builder = builder.add_extension(said, critical=True)
    return key_pem(key) + builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


def _names(names: Sequence[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.DNSName(each) for each in names])
