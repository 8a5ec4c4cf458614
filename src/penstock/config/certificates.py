"""
Certificates, keys and authorities in their files: looked at while a mistake can still be told, long before a worker
hands them to OpenSSL. Only who loads a configuration with certificates in it loads this module.
"""

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from penstock.config.files import read_bounded, why
from penstock.config.mistakes import Wrong

CERTIFICATE_BYTES = 262_144
"""Longest file of a certificate with its chain and maybe its key; a chain of four has 8 KiB, a name more some 20."""

AUTHORITY_BYTES = 4_194_304
"""Longest file of authorities; Debian's holds all that Mozilla trusts in 220 KiB."""

DAY = 86_400

SOON = 30 * DAY
"""A certificate that ends within this time is warned of; ACME clients renew at 30 days."""


class Looked(NamedTuple):
    """
    What a certificate says.

    Args:
        names: Lower-case names and addresses that it is valid for.
        not_after: When it ends; unit s since the epoch.
    """

    names: tuple[str, ...]
    not_after: int


class WrongKey(Wrong):
    """The key's file is to blame, not the certificate's."""


def look_at(cert: Path, key: Path, now_s: int, *, named: bool = True) -> Looked:
    """
    Return what a certificate says, if it can be used with its key.

    Args:
        cert: PEM file of the certificate and of what it was issued by.
        key: PEM file of its key; may be the same.
        now_s: Unit s since the epoch.
        named: Whether it must be valid for some name, as a server's must.

    Raises:
        Wrong: If it is none, is not valid now, or OpenSSL refuses it.
        WrongKey: If its key is none, or another's.
    """
    leaf, *chain = _certificates(_content(cert, Wrong))
    private = _key(_content(key, WrongKey))
    _belongs(private, leaf, chain, cert)
    looked = _read(leaf)
    if named and not looked.names:
        raise Wrong("the certificate is valid for no name: it has neither DNS names nor addresses, nor a common name")
    _valid(leaf, now_s)
    _usable(cert, key)
    return looked


def check_authorities(path: Path) -> None:
    """
    See that a file holds authorities.

    Args:
        path: PEM file.

    Raises:
        Wrong: If it holds none, or OpenSSL cannot read it.
    """
    try:
        read_bounded(path, AUTHORITY_BYTES)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise Wrong(f"holds no certificates that OpenSSL can read ({_reason(error)})") from None
    except (OSError, ValueError) as error:
        raise Wrong(why(error)) from None


def check_ciphers(text: str) -> None:
    """
    See that OpenSSL knows some of these ciphers.

    Args:
        text: OpenSSL's list.

    Raises:
        Wrong: If it knows none of them.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ciphers(text)
    except (ssl.SSLError, ValueError):
        raise Wrong("OpenSSL knows none of these ciphers", '"ECDHE+AESGCM:ECDHE+CHACHA20"') from None


def on_day(seconds: int) -> str:
    """Return a moment as the day that it is in: `2031-05-30`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def _content(path: Path, blame: type[Wrong]) -> bytes:
    try:
        return read_bounded(path, CERTIFICATE_BYTES)
    except (OSError, ValueError) as error:
        raise blame(why(error)) from None


def _certificates(content: bytes) -> list[x509.Certificate]:
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise Wrong("holds no certificate in PEM")
    try:
        return x509.load_pem_x509_certificates(content)
    except Exception:  # whatever its parser finds: the file is a stranger's
        raise Wrong("holds a certificate that cannot be read") from None


def _key(content: bytes) -> PrivateKeyTypes:
    if b"PRIVATE KEY-----" not in content:
        raise WrongKey("holds no private key in PEM")
    try:
        return load_pem_private_key(content, None)
    except TypeError:
        raise WrongKey("holds a key with a password, and nobody is there to type it") from None
    except Exception:  # as above
        raise WrongKey("holds a private key that cannot be read") from None


def _belongs(private: PrivateKeyTypes, leaf: x509.Certificate, chain: list[x509.Certificate], cert: Path) -> None:
    public = _public(private)
    if public == _public(leaf):
        return
    if any(public == _public(each) for each in chain):
        raise Wrong("the first certificate must be our own, and what it was issued by follows")
    raise WrongKey(f"is not the key of the certificate in {cert}")


def _public(holder: Any) -> bytes:
    try:
        encoded: bytes = holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except Exception:
        raise Wrong("holds a certificate or a key of a kind that cannot be used") from None
    return encoded


def _read(leaf: x509.Certificate) -> Looked:
    try:
        names = _alternative_names(leaf)
        if names is None:
            common = leaf.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
            names = [str(each.value) for each in common]
        return Looked(tuple(dict.fromkeys(map(str.lower, names))), int(leaf.not_valid_after_utc.timestamp()))
    except Exception:
        raise Wrong("holds a certificate whose names or dates cannot be read") from None


def _alternative_names(leaf: x509.Certificate) -> list[str] | None:
    """Return names and addresses; None where the certificate is too old for such a list (RFC 6125 section 6.4.4)."""
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    return found.get_values_for_type(x509.DNSName) + [str(each) for each in found.get_values_for_type(x509.IPAddress)]


def _valid(leaf: x509.Certificate, now_s: int) -> None:
    begins, ends = (int(each.timestamp()) for each in (leaf.not_valid_before_utc, leaf.not_valid_after_utc))
    if now_s >= ends:
        raise Wrong(f"the certificate expired on {on_day(ends)}")
    if now_s < begins:
        raise Wrong(f"the certificate is not valid before {on_day(begins)}")


def _usable(cert: Path, key: Path) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password="")
    except (OSError, ValueError) as error:
        raise Wrong(f"OpenSSL refuses it ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or "no reason given").lower().replace("_", " ")
