"""
Where the account's key and certificates lie: one file each, for our eyes alone, replaced at once or not at all.

A certificate's file holds its key, itself and what it was issued by. Until there is one it holds a self-signed one.
"""

import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from penstock.base.errors import StartError
from penstock.config.certificates import CERTIFICATE_BYTES
from penstock.config.files import read_bounded
from penstock.config.replacing import replace_file
from penstock.config.tls_plan import AcmePlan, CertificatePlan
from penstock.node.acme.minting import key_pem, new_key, placeholder

ACCOUNT = "account.key"


class Stored(NamedTuple):
    """
    What a file holds.

    Args:
        names: Lower-case names of the certificate.
        issuer: Who issued it; empty for a self-signed one, which stands for none.
        not_before, not_after: When it begins and ends; unit s since the epoch.
    """

    names: frozenset[str]
    issuer: str
    not_before: int
    not_after: int


def prepare(plan: AcmePlan, now_s: int) -> None:
    """
    See that every certificate has a file that workers can load: where there is none, a self-signed one.

    Args:
        plan: What shall be got; nothing happens if that is nothing.
        now_s: Unit s since the epoch.

    Raises:
        StartError: If the storage cannot be used.
    """
    if not plan.certificates:
        return
    try:
        Path(plan.storage).mkdir(mode=0o700, parents=True, exist_ok=True)
        for each in plan.certificates:
            if not _usable(each):
                replace_file(Path(each.cert), placeholder(each.names, now_s))
    except OSError as error:
        where = error.filename or plan.storage
        raise StartError(f"acme.storage: {where}: {error.strerror or error}") from error


def _usable(certificate: CertificatePlan) -> bool:
    """Return whether a file holds a certificate of at least one of the names, with its key."""
    stored = read(Path(certificate.cert))
    if stored is None or stored.names.isdisjoint(certificate.names):
        return False
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate.cert, password="")
    except (OSError, ValueError):
        return False
    return True


def account_key(plan: AcmePlan) -> EllipticCurvePrivateKey:
    """
    Return the account's key; a new one, which is kept, if there is none.

    Raises:
        OSError: If it cannot be kept.
        ValueError: If its file holds something else.
    """
    path = Path(plan.storage) / ACCOUNT
    try:
        content = read_bounded(path, CERTIFICATE_BYTES)
    except FileNotFoundError:
        key = new_key()
        replace_file(path, key_pem(key))
        return key
    try:
        found = load_pem_private_key(content, None)
    except (TypeError, ValueError):
        found = None
    if not isinstance(found, EllipticCurvePrivateKey):
        raise ValueError(f"{path} holds no key of an account")
    return found


def read(path: Path) -> Stored | None:
    """Return what a file holds; None if it holds no certificate that can be read."""
    try:
        leaf = x509.load_pem_x509_certificates(read_bounded(path, CERTIFICATE_BYTES))[0]
        return described(leaf)
    except Exception:  # whatever the parser finds: the file may be anybody's
        return None


def described(leaf: x509.Certificate) -> Stored:
    """
    Return what a certificate says.

    Raises:
        Exception: Of many kinds, if it is broken.
    """
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found: Iterable[str] = names.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        found = ()
    begins, ends = (int(each.timestamp()) for each in (leaf.not_valid_before_utc, leaf.not_valid_after_utc))
    issuer = "" if leaf.issuer == leaf.subject else leaf.issuer.rfc4514_string()
    return Stored(frozenset(each.lower() for each in found), issuer, begins, ends)
