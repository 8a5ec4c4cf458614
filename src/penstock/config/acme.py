"""What operators write of ACME: which certificates a node gets by itself, from whom, and how it proves its names."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from penstock.base.addresses import Endpoint, is_ip
from penstock.base.urls import parse_url
from penstock.config.eab import KeyId
from penstock.config.kinds import FilePath, Kind, Listen, Name, is_text
from penstock.config.match_kinds import Domain
from penstock.config.mistakes import Wrong
from penstock.config.table import Table, known, written
from penstock.config.tls_plan import HTTP_01, AcmePlan, CertificatePlan

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"

NAMES = 100
"""Most of one certificate; Let's Encrypt's own bound."""

FOLDER_CHARACTERS = 100
"""Longest name of a directory's folder; file systems take 255 bytes."""

OWN_LISTENER = "acme-http"
"""Name of the listener that answers challenges where no other does."""


class Domains(Kind):
    """The names of one certificate: text for one name, a list for several. None may be a wildcard or an address."""

    def parse(self, value: Any) -> tuple[str, ...]:
        """Return the names, in lower case."""
        names = value if isinstance(value, list) else [value]
        if not 0 < len(names) <= NAMES:
            raise Wrong(f"a certificate has 1 to {NAMES} names", '"example.com"')
        found = tuple(self._name(each) for each in names)
        if len(set(found)) < len(found):
            raise Wrong("names something twice")
        return found

    def _name(self, value: Any) -> str:
        name = Domain().parse(value) if is_text(value) else ""
        if name.startswith("*"):
            raise Wrong("a wildcard is proved by DNS, which is not supported", '"www.example.com"')
        if not name or is_ip(name) or "." not in name.strip("."):
            raise Wrong("a certificate is issued for host names with a dot in them", '"example.com"')
        return name

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        name = {"type": "string", "minLength": 3}
        return {"anyOf": [name, {"type": "array", "items": name, "minItems": 1, "maxItems": NAMES}]}


class DirectoryUrl(Kind):
    """The URL of an ACME directory, by HTTPS alone (RFC 8555 section 6.1)."""

    def parse(self, value: Any) -> str:
        """Return the URL."""
        if not is_text(value):
            raise Wrong("a directory is a URL", f'"{LETS_ENCRYPT}"')
        url = parse_url(value)
        if url.scheme != "https" or url.user or url.password:
            raise Wrong("a directory is asked by https, and without a login", f'"{LETS_ENCRYPT}"')
        return str(value)

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "pattern": "^https://.+"}


class Email(Kind):
    """An address of mail."""

    def parse(self, value: Any) -> str:
        """Return the address."""
        if not is_text(value) or not re.fullmatch(r"[^\s@]{1,64}@[^\s@]{1,255}", value):
            raise Wrong("must be an address of mail")
        return str(value)

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what may be written."""
        return {"type": "string", "pattern": "^[^@]+@[^@]+$"}


class Acme(Table):
    """Certificates that the node gets by itself."""

    domains: list[Annotated[tuple[str, ...], Domains()]] = Field(
        default=[], description="One certificate for each item: a name, or a list of names."
    )
    agree_to_terms: bool = Field(default=False, description="Whether the authority's terms of service are agreed to.")
    email: Annotated[str, Email()] | None = Field(default=None, description="Where the authority may write to.")
    directory: Annotated[str, DirectoryUrl()] = written(LETS_ENCRYPT, "The ACME server's directory.")
    challenge: Literal["http-01", "tls-alpn-01"] = Field(
        default="http-01", description="How names are proved: over plain HTTP on port 80, or in TLS on port 443."
    )
    http_listener: Annotated[str, Name()] | None = Field(
        default=None, description="The reverse http listener that answers http-01; one of the node's own."
    )
    http_listen: Annotated[Endpoint | None, Listen(tcp_only=True)] = Field(
        default=None, description="Where the node's own listener for http-01 accepts; :80."
    )
    storage: Annotated[str, FilePath()] | None = Field(
        default=None, description="Folder of the account's key and of certificates; acme in the state directory."
    )
    ca: Annotated[str, FilePath()] | None = Field(
        default=None, description="PEM file of who may have issued the directory's own certificate."
    )
    eab_kid: Annotated[str, KeyId()] | None = Field(
        default=None, description="Id of the key that binds us to an account that the authority knows already."
    )
    eab_key_file: Annotated[str, FilePath()] | None = Field(
        default=None, description="File with that key, in base64url."
    )


def own_endpoint(acme: Acme) -> Endpoint | None:
    """Return where the node's own listener for challenges accepts; None if it needs none. Holes need none."""
    if not known(acme.domains, acme.challenge, acme.http_listener, acme.http_listen):
        return None
    if not acme.domains or acme.challenge != HTTP_01 or acme.http_listener is not None:
        return None
    return acme.http_listen or Endpoint("::", 80)


def acme_plan(acme: Acme, storage: Path, ca: Path | None, eab_key: Path | None = None) -> AcmePlan:
    """
    Return what the supervisor is told of ACME.

    Args:
        acme: Without mistakes.
        storage: Folder for all directories.
        ca: Where the directory's own authorities lie; None for those that everybody trusts.
        eab_key: Where the key lies that binds us to an account; None for none.
    """
    if not acme.domains:
        return AcmePlan()
    folder = storage / directory_folder(acme.directory)
    files = ((names, str(folder / f"{names[0]}.pem")) for names in acme.domains)
    return AcmePlan(
        directory=acme.directory,
        email=acme.email or "",
        ca=str(ca or ""),
        challenge=acme.challenge,
        eab_kid=acme.eab_kid or "",
        eab_key_file=str(eab_key or ""),
        storage=str(folder),
        certificates=tuple(CertificatePlan(cert=file, key=file, names=names) for names, file in files),
    )


def directory_folder(url: str) -> str:
    """Return what a directory's folder is called: what one authority issued is not taken for another one's."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", url.removeprefix("https://"), flags=re.ASCII)[:FOLDER_CHARACTERS].strip("-.")
