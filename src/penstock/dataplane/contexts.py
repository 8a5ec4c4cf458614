"""What a listener's TLS is made of: one SSL context a certificate, chosen by the name that the client asks for."""

import ssl
from collections.abc import Iterable

from penstock.base.errors import StartError
from penstock.config.tls_plan import CertificatePlan, TargetTlsPlan, TlsPlan
from penstock.dataplane.tickets import Tickets
from penstock.dataplane.tls import TlsSocket

OPTIONS = (
    ssl.OP_NO_RENEGOTIATION
    | ssl.OP_NO_COMPRESSION
    | ssl.OP_CIPHER_SERVER_PREFERENCE
    | ssl.OP_SINGLE_ECDH_USE
    | ssl.OP_IGNORE_UNEXPECTED_EOF
)
"""A client that closes without close_notify has closed: browsers do it, and HTTP frames its own messages."""

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: forward secrecy and authenticated encryption only, as Mozilla's intermediate list without its DHE."""

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

CLIENT_CERTIFICATES = {"off": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


class Contexts:
    """
    The contexts of one listener.

    Args:
        plan: Its certificates and rules.

    Attributes:
        default: For clients that ask for no name, or one that no certificate has: the first one. Every handshake begins
            with it.
        tickets: Sees to how many session tickets clients get.

    Raises:
        StartError: If a file cannot be used; the supervisor has looked at them before, so it has changed since.
    """

    def __init__(self, plan: TlsPlan) -> None:
        self._exact: dict[str, ssl.SSLContext] = {}
        self._suffixes: dict[str, ssl.SSLContext] = {}
        contexts = [(each, make_context(plan, each)) for each in plan.certificates]
        for certificate, context in contexts:
            self._name(certificate.names, context)
        self.default = contexts[0][1]
        self.default.sni_callback = self._chosen  # type: ignore[assignment]
        self.tickets = Tickets(self.default, plan.tickets)

    def _name(self, names: Iterable[str], context: ssl.SSLContext) -> None:
        for name in names:
            if name.startswith("*."):
                self._suffixes.setdefault(name[2:], context)
            else:
                self._exact.setdefault(name, context)

    def of(self, name: str) -> ssl.SSLContext:
        """Return the context for a lower-case name: its own, that of its wildcard (one label), or the default."""
        found = self._exact.get(name)
        if found is None:
            found = self._suffixes.get(name.partition(".")[2])
        return found or self.default

    def _chosen(self, sock: TlsSocket, name: str | None, context: ssl.SSLContext) -> None:
        if name:
            sock.asked = name.lower()
            chosen = self.of(sock.asked)
            if chosen is not context:
                sock.choose(chosen)


def make_context(plan: TlsPlan, certificate: CertificatePlan) -> ssl.SSLContext:
    """
    Return the context of one certificate.

    Args:
        plan: The listener's rules.
        certificate: Its files.

    Raises:
        StartError: If a file or the ciphers cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = VERSIONS[plan.min_version]
    context.options |= OPTIONS
    try:
        context.set_ciphers(plan.ciphers or CIPHERS)
        context.load_cert_chain(certificate.cert, certificate.key)
        if plan.client_ca:
            context.load_verify_locations(plan.client_ca)
    except (OSError, ValueError) as error:
        raise StartError(f"certificate {certificate.cert}: {error}") from error
    context.verify_mode = CLIENT_CERTIFICATES[plan.client_certificates]
    if plan.alpn:
        context.set_alpn_protocols(list(plan.alpn))
    return context


def make_target_context(plan: TargetTlsPlan) -> ssl.SSLContext:
    """
    Return what TLS with a target, or with a parent, begins with.

    Args:
        plan: Whom to trust and what to show.

    Raises:
        StartError: If a file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= OPTIONS
    if not plan.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        if plan.ca:
            context.load_verify_locations(plan.ca)
        elif plan.verify:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        if plan.cert:
            context.load_cert_chain(plan.cert, plan.key or plan.cert)
    except (OSError, ValueError) as error:
        raise StartError(f"TLS with targets: {plan.ca or plan.cert}: {error}") from error
    if plan.alpn:
        context.set_alpn_protocols(list(plan.alpn))
    return context
