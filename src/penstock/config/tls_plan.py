"""How a node speaks TLS, with clients and with targets, and where its certificates come from."""

from msgspec import Struct


class CertificatePlan(Struct, frozen=True, kw_only=True):
    """
    A certificate and its key.

    Args:
        cert: PEM file of the certificate and what it was issued by.
        key: PEM file of the key; may be the same.
        names: Lower-case names that it is valid for, `*.example.com` among them.
        not_after: When it ends; unit s since the epoch, 0 for nobody knows.
    """

    cert: str
    key: str
    names: tuple[str, ...] = ()
    not_after: int = 0


HTTP_01, TLS_ALPN_01 = "http-01", "tls-alpn-01"
"""How a name is proved to an ACME server (RFC 8555 section 8.3, RFC 8737)."""


class AcmePlan(Struct, frozen=True, kw_only=True):
    """
    Certificates that the node gets by itself.

    Args:
        directory: URL of the ACME server's directory.
        email: Where the authority may write to; empty for nowhere.
        ca: PEM file of who may have issued the directory's own certificate; empty for those that everybody trusts.
        challenge: `http-01` or `tls-alpn-01`.
        eab_kid: Id of the key that binds us to an account that the authority knows already; empty for none.
        eab_key_file: Where that key lies.
        storage: Folder of the account's key and of the certificates.
        certificates: What shall be got, each into a file of its own; none for a node that gets nothing.
    """

    directory: str = ""
    email: str = ""
    ca: str = ""
    challenge: str = HTTP_01
    eab_kid: str = ""
    eab_key_file: str = ""
    storage: str = ""
    certificates: tuple[CertificatePlan, ...] = ()


class TlsPlan(Struct, frozen=True, kw_only=True):
    """
    How a listener speaks TLS with its clients.

    Args:
        certificates: Chosen by the name that the client asks for; the first one is for all others.
        min_version: `1.2` or `1.3`.
        ciphers: OpenSSL's list for TLS 1.2; empty for the usual ones.
        alpn: Application protocols that are offered, best first.
        client_certificates: `off`, `optional` or `required`.
        client_ca: PEM file of who may issue them; empty for none.
        tickets: Session tickets for each new TLS 1.3 session; 0 for no resumption, None for as many as clients use.
    """

    certificates: tuple[CertificatePlan, ...]
    min_version: str = "1.2"
    ciphers: str = ""
    alpn: tuple[str, ...] = ()
    client_certificates: str = "off"
    client_ca: str = ""
    tickets: int | None = None


class TargetTlsPlan(Struct, frozen=True, kw_only=True):
    """
    How TLS is spoken with targets.

    Args:
        verify: Whether their certificate must be right.
        ca: PEM file of who may issue it; empty for those that the system trusts.
        server_name: Whom we ask for; empty for the target's own name.
        alpn: Application protocols that are offered.
        cert, key: PEM files that we show where they ask for one; empty for none.
    """

    verify: bool = True
    ca: str = ""
    server_name: str = ""
    alpn: tuple[str, ...] = ()
    cert: str = ""
    key: str = ""
