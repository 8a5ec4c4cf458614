"""
One certificate from an ACME server: account, order, proofs, certificate (RFC 8555 section 7).

It waits, so it runs in a thread. It may be told to stop, and whatever goes wrong comes out as one error of one line.
"""

import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

import requests
from acme import challenges, errors, messages
from acme.client import ClientNetwork, ClientV2
from cryptography import x509
from josepy.b64 import b64encode
from josepy.errors import Error as JoseError
from josepy.jwa import ES256
from josepy.jwk import JWKEC
from requests.adapters import HTTPAdapter

import penstock
from penstock.base.errors import PenstockError
from penstock.config.eab import read_key
from penstock.config.mistakes import Wrong, cut, printable
from penstock.config.tls_plan import HTTP_01, AcmePlan, CertificatePlan
from penstock.dataplane.challenges import NOTHING, Pending
from penstock.node.acme.minting import key_pem, new_key, proof, request_pem
from penstock.node.acme.storage import account_key, described

REQUEST_S = 30
"""For one request: Let's Encrypt answers within a second, and certbot waits 45 s."""

ISSUE_S = 180.0
"""For one certificate, from the order to the end: certbot gives each of two waits 90 s."""

POLL_S = 1.0
"""Between two questions whether it is done, where the server names no time; certbot's."""

LONGEST_POLL_S = 15.0

NONCE_TRIES = 4
"""Twice so often a request is sent again whose nonce the server does not take (RFC 8555 section 6.5). Servers forget
nonces at random moments, and pebble refuses one of twenty to teach clients that."""

ANSWER_BYTES = 1_048_576
"""Longest answer; a chain of four certificates has 8 KiB."""

DETAIL_CHARACTERS = 300
"""Of what a server says went wrong, in one line of the log."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,256}", re.ASCII)
"""RFC 8555 section 8.3: base64url, of 128 bits at least."""

_CHAIN = re.compile(rb"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*")


class IssueError(PenstockError):
    """
    No certificate came of it.

    Args:
        what: One line for the operator.
        wish: How long the server wants to be left alone; unit s, 0 if it has said nothing.
    """

    def __init__(self, what: str, wish: float = 0.0) -> None:
        super().__init__(cut(printable(" ".join(what[: 2 * DETAIL_CHARACTERS].split())), DETAIL_CHARACTERS))
        self.wish = wish


class Errand(NamedTuple):
    """
    What is to be got.

    Args:
        plan: From whom, and how names are proved.
        certificate: Its names.
        post: Tells all workers of challenges.
        stop: Set when nobody waits for the result any more.
    """

    plan: AcmePlan
    certificate: CertificatePlan
    post: Callable[[Pending], None]
    stop: Event


def issue(errand: Errand) -> bytes:
    """
    Return a new certificate with its key and what it was issued by, as PEM. Blocks.

    Args:
        errand: What is to be got.

    Raises:
        IssueError: If there is none.
    """
    network: _Network | None = None
    try:
        network = _Network(errand.plan)
        return _Issue(errand, network).run()
    except IssueError as error:
        raise IssueError(str(error), error.wish or (network.wish if network else 0.0)) from error
    except (errors.Error, messages.Error, JoseError, requests.RequestException, OSError) as error:
        raise IssueError(told(error), network.wish if network else 0.0) from error
    except (
        Exception
    ) as error:  # an answer that its parser did not expect: a server's fault must not end the node's care
        raise IssueError(f"the server's answer makes no sense: {error!r}", network.wish if network else 0.0) from error
    finally:
        if network is not None:
            network.session.close()


class _Network(ClientNetwork):
    """Requests with bounds; remembers for how long the server wants to be left alone."""

    def __init__(self, plan: AcmePlan) -> None:
        try:
            key = JWKEC(key=account_key(plan))
        except ValueError as error:
            raise IssueError(str(error)) from error
        super().__init__(
            key,
            alg=ES256,
            verify_ssl=plan.ca or True,  # type: ignore[arg-type]  # requests takes a file as well
            user_agent=f"penstock/{penstock.__version__}",
            timeout=REQUEST_S,
        )
        self.wish = 0.0
        self.session.trust_env = False  # whom is asked what stands in the configuration
        self.session.max_redirects = 3
        for scheme in ("https://", "http://"):
            self.session.mount(scheme, _Bounded())
        self.session.hooks["response"].append(self._look)

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Post, with another nonce if the server does not take the first ones."""
        for _ in range(NONCE_TRIES - 1):
            try:
                return super().post(*args, **kwargs)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
        return super().post(*args, **kwargs)

    def _look(self, response: requests.Response, *_: Any, **__: Any) -> None:
        self.wish = wished(response) if response.status_code >= 400 else 0.0


class _Bounded(HTTPAdapter):
    """Reads at most ANSWER_BYTES of an answer, and asks nobody in the clear."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        if not (request.url or "").startswith("https://"):
            raise requests.RequestException("the server sends us to an address without TLS")
        response = super().send(request, *args, **kwargs)
        content = response.raw.read(ANSWER_BYTES + 1, decode_content=True)
        if len(content) > ANSWER_BYTES:
            response.close()
            raise requests.RequestException(f"an answer is longer than {ANSWER_BYTES} bytes")
        response._content, response._content_consumed = content, True
        return response


class _Issue:
    """One errand."""

    def __init__(self, errand: Errand, network: _Network) -> None:
        self._errand, self._network = errand, network
        self._deadline = time.monotonic() + ISSUE_S
        self._client: ClientV2

    def run(self) -> bytes:
        plan, names = self._errand.plan, self._errand.certificate.names
        self._client = ClientV2(ClientV2.get_directory(plan.directory, self._network), self._network)
        self._register()
        key = new_key()
        order = self._client.new_order(request_pem(key, names))
        try:
            self._prove(order)
            order = self._client.begin_finalization(order)
            left = max(0.0, self._deadline - time.monotonic())
            order = self._client.poll_finalization(order, datetime.now() + timedelta(seconds=left))
        finally:
            self._errand.post(NOTHING)
        return key_pem(key) + chain_of(order.fullchain_pem.encode(), names, key.public_key())

    def _register(self) -> None:
        """Make ourselves known; a server that knows our key says which account that is."""
        plan = self._errand.plan
        wanted = messages.NewRegistration.from_data(
            email=plan.email or None, terms_of_service_agreed=True, external_account_binding=self._binding()
        )
        try:
            self._client.new_account(wanted)
        except errors.ConflictError as known:
            self._network.account = messages.RegistrationResource(body=messages.Registration(), uri=known.location)

    def _binding(self) -> dict[str, Any] | None:
        """Return what binds our account to one that the server knows already (section 7.3.4); None for nothing."""
        plan, key = self._errand.plan, self._network.key
        assert key is not None  # noqa: S101 - given when it was built
        if not plan.eab_kid:
            if self._client.external_account_required():
                raise IssueError(
                    "the server wants an account that it knows: acme.eab_kid and acme.eab_key_file say which"
                )
            return None
        try:
            secret = read_key(Path(plan.eab_key_file))
        except Wrong as wrong:
            raise IssueError(f"{plan.eab_key_file}: {wrong.what}") from None
        return messages.ExternalAccountBinding.from_data(key.public_key(), plan.eab_kid, secret, self._client.directory)

    # Proofs ----------------------------------------------------------------------------------------------------------

    def _prove(self, order: messages.OrderResource) -> None:
        waiting = [each for each in order.authorizations if each.body.status != messages.STATUS_VALID]
        found = [(each, self._challenge(each)) for each in waiting]
        if not found:
            return
        self._errand.post(self._pending(found))
        for _, challenge in found:
            answer = challenges.HTTP01Response(key_authorization="")  # {} on the wire, for any kind (section 7.5.1)
            self._client.answer_challenge(challenge, answer)
        for authorization, _ in found:
            self._await_valid(authorization)

    def _challenge(self, authorization: messages.AuthorizationResource) -> messages.ChallengeBody:
        wanted = self._errand.plan.challenge
        offered = [(each, each.chall.to_partial_json().get("type")) for each in authorization.body.challenges]
        for each, kind in offered:
            if kind == wanted:
                return each
        kinds = ", ".join(str(kind) for _, kind in offered)
        raise IssueError(f"{_name(authorization)}: the server offers no {wanted}, but {kinds or 'nothing'}")

    def _pending(self, found: list[tuple[messages.AuthorizationResource, messages.ChallengeBody]]) -> Pending:
        proofs = {_name(authorization): (_token(each), self._key_authorization(each)) for authorization, each in found}
        if self._errand.plan.challenge == HTTP_01:
            return Pending(tokens=dict(proofs.values()))
        now = int(time.time())
        return Pending(certificates={name: proof(name, said, now).decode() for name, (_, said) in proofs.items()})

    def _key_authorization(self, challenge: messages.ChallengeBody) -> str:
        """Return token and thumbprint of our key (RFC 8555 section 8.1)."""
        assert self._network.key is not None  # noqa: S101 - given when it was built
        return f"{_token(challenge)}.{b64encode(self._network.key.thumbprint()).decode()}"

    def _await_valid(self, authorization: messages.AuthorizationResource) -> None:
        while True:
            authorization, response = self._client.poll(authorization)
            status = authorization.body.status
            if status == messages.STATUS_VALID:
                return
            if status not in (messages.STATUS_PENDING, messages.STATUS_PROCESSING):
                raise IssueError(f"{_name(authorization)}: {_refusal(authorization, self._errand.plan.challenge)}")
            pause = min(max(POLL_S, wished(response)), LONGEST_POLL_S)
            if time.monotonic() + pause > self._deadline:
                raise IssueError(f"{_name(authorization)}: the server has not looked within {ISSUE_S:g} s")
            if self._errand.stop.wait(pause):
                raise IssueError("stopped")


def _name(authorization: messages.AuthorizationResource) -> str:
    return str(authorization.body.identifier.value).lower()


def _token(challenge: messages.ChallengeBody) -> str:
    token = challenge.chall.to_partial_json().get("token")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise IssueError("the server's token is none")
    return token


def _refusal(authorization: messages.AuthorizationResource, kind: str) -> str:
    """Return why a name was not proved, in the server's words."""
    for each in authorization.body.challenges:
        if each.error is not None:
            return f"{kind} failed: {told(each.error)}"
    return f"{kind} failed: the authorization is {authorization.body.status.name}"


def chain_of(content: bytes, names: tuple[str, ...], public: Any) -> bytes:
    """
    Return the certificates of an answer, if the first one is what was asked for.

    Args:
        content: PEM; the server's own words.
        names: Whom it must be for.
        public: Its key.

    Raises:
        IssueError: If it is something else.
    """
    found = _CHAIN.findall(content)
    try:
        leaf = x509.load_pem_x509_certificate(found[0])
        stored = described(leaf)
        ours = leaf.public_key() == public
    except Exception:  # whatever its parser finds
        raise IssueError("the server's certificate cannot be read") from None
    if not ours or not stored.names.issuperset(names):
        raise IssueError("the server's certificate is for another key or other names")
    if not stored.issuer:
        raise IssueError("the server's certificate is issued by nobody")
    return b"".join(each.strip() + b"\n" for each in found)


def told(error: Exception) -> str:
    """Return what went wrong, for the operator. URLs of ACME servers hold no secrets; keys stand in none of it."""
    if isinstance(error, messages.Error):
        return f"{error.code or error.typ}: {error.detail or error.title or 'no reason given'}"
    if isinstance(error, errors.IssuanceError):
        return told(error.error)
    if isinstance(error, errors.TimeoutError):
        return f"the server has not issued it within {ISSUE_S:g} s"
    if isinstance(error, requests.exceptions.SSLError):
        return f"TLS with the server failed: {_root(error)}"
    if isinstance(error, requests.RequestException):
        return f"the server cannot be reached: {_root(error)}"
    return f"{error}" or type(error).__name__


def _root(error: BaseException) -> str:
    """Return the innermost reason: the HTTP client wraps it three times."""
    for _ in range(8):
        inner = getattr(error, "reason", None) or next((e for e in error.args if isinstance(e, BaseException)), None)
        if not isinstance(inner, BaseException):
            break
        error = inner
    text = str(error) or type(error).__name__
    return text.partition("): ")[2] or text  # behind the connection's own name


def wished(response: requests.Response) -> float:
    """Return for how long a server wants to be left alone (RFC 9110 section 10.2.3); unit s, 0 if it has not said."""
    text = response.headers.get("Retry-After", "")[:64].strip()
    if re.fullmatch(r"[0-9]{1,9}", text, re.ASCII):
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError, TypeError, IndexError):
        return 0.0
