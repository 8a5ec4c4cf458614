"""Certificates for tests: an authority of our own, made anew in each run, and what it issues."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from penstock.config.tls_plan import CertificatePlan


@dataclass
class Authority:
    """
    Issues certificates into a folder.

    Args:
        folder: Where the files go.

    Attributes:
        file: The authority's own certificate, PEM.
    """

    folder: Path
    _ca: trustme.CA = field(default_factory=lambda: trustme.CA(key_type=trustme.KeyType.ECDSA))

    @property
    def file(self) -> str:
        """Return the path of the authority's certificate."""
        path = self.folder / "ca.pem"
        if not path.exists():
            self._ca.cert_pem.write_to_path(path)
        return str(path)

    def issue(self, *names: str) -> CertificatePlan:
        """Return a new certificate for these names; its files are named after the first one."""
        issued = self._ca.issue_cert(*names, key_type=trustme.KeyType.ECDSA)
        cert, key = (self.folder / f"{names[0].replace('*', '_')}.{kind}" for kind in ("pem", "key"))
        cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return CertificatePlan(cert=str(cert), key=str(key), names=tuple(names))

    def client_context(self, own: CertificatePlan | None = None) -> ssl.SSLContext:
        """Return what a client needs to trust this authority, and to show its own certificate."""
        context = ssl.create_default_context(cafile=self.file)
        if own is not None:
            context.load_cert_chain(own.cert, own.key)
        return context
