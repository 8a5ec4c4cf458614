"""What operators write of a listener: where it accepts, what it speaks, and how it speaks TLS."""

from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, model_validator

from penstock.base.addresses import Endpoint
from penstock.config.kinds import FilePath, Listen, Login, Name, Password, UserName, Whole
from penstock.config.limits import Limit
from penstock.config.match_kinds import Network
from penstock.config.mistakes import Wrong
from penstock.config.table import OneOrMore, Table
from penstock.config.way import Target
from penstock.config.way_kinds import Ciphers, Protocol

TICKETS = 16
"""Most tickets for one session; OpenSSL sends 2, and a browser opens six connections to a host."""


class Certificate(Table):
    """A certificate and its key; text stands for one file with both."""

    cert: Annotated[str, FilePath()] = Field(
        description="PEM file of the certificate and of what it was issued by.", examples=["site.pem"]
    )
    key: Annotated[str, FilePath()] | None = Field(default=None, description="PEM file of the key; the same file.")

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"cert": value}
        if not isinstance(value, dict):
            raise Wrong("a certificate is a file, or a table with cert and key", '{ cert = "a.pem", key = "a.key" }')
        return value


class ListenerTls(Table):
    """How a listener speaks TLS with its clients."""

    min_version: Literal["1.2", "1.3"] = Field(default="1.2", description="The oldest version that is spoken.")
    ciphers: Annotated[str, Ciphers()] | None = Field(
        default=None, description="OpenSSL's list for TLS 1.2; ECDHE with AES-GCM or ChaCha20."
    )
    alpn: Annotated[list[Annotated[str, Protocol()]], OneOrMore()] | None = Field(
        default=None, description="Application protocols, best first; http/1.1 where HTTP is inside."
    )
    client_certificates: Literal["off", "optional", "required"] = Field(
        default="off", description="Whether clients are asked for a certificate."
    )
    client_ca: Annotated[str, FilePath()] | None = Field(
        default=None, description="PEM file of who may issue those.", examples=["clients.pem"]
    )
    tickets: Annotated[int, Whole(0, TICKETS)] | None = Field(
        default=None, description="Tickets for each new session; 0 for no resumption, by itself as many as clients use."
    )


class Listener(Table):
    """An address and a protocol that accepts."""

    name: Annotated[str, Name()] | None = Field(
        default=None, description="What it is called in metrics and logs; protocol and port."
    )
    listen: Annotated[Endpoint, Listen()] = Field(
        description="Port, address and port, or unix:/path.", examples=[":8080"]
    )
    protocol: Literal["tcp", "http", "socks5", "tls", "auto"] = Field(
        description="What it speaks; auto tells by the first bytes.", examples=["tcp"]
    )
    targets: list[Target] = Field(
        default=[], description="Where it sends what no route takes.", examples=[["example.com:80"]]
    )
    users: dict[Annotated[str, UserName()], Annotated[SecretStr, Password()]] = Field(
        default={}, description="Passwords by user; with one or more of them, a login is asked."
    )
    users_file: Annotated[str, FilePath()] | None = Field(
        default=None, description="File of more users and their hashes; with it, a login is asked.", examples=["users"]
    )
    auth: Annotated[SecretStr, Login()] | None = Field(default=None, description="One more user, as user:password.")
    detect: list[Literal["http", "socks5", "tcp"]] | None = Field(
        default=None, description="What an auto listener tells apart; http and socks5, and tcp if it has targets."
    )
    reverse: bool = Field(
        default=False, description="Whether an http listener is a reverse proxy: routes say where requests go."
    )
    certificates: list[Certificate] = Field(
        default=[],
        description="Certificates of a tls listener; the first is for names that none has.",
        examples=[[{"cert": "site.pem", "key": "site.key"}]],
    )
    acme: bool = Field(default=False, description="Whether a tls listener serves the certificates of [acme] too.")
    tls: ListenerTls = Field(default=ListenerTls(), description="How a tls listener speaks TLS with its clients.")
    inside: Literal["tcp", "http"] | None = Field(
        default=None, description="What a tls listener speaks once TLS is terminated; tcp."
    )
    accept_proxy: Literal["off", "optional", "required"] = Field(
        default="off", description="Whether a PROXY header precedes what clients say."
    )
    limits: Limit | None = Field(default=None, description="What all its connections together may have; no limit.")
    trusted_proxies: Annotated[list[Annotated[str, Network()]], OneOrMore()] = Field(
        default=[], description="Networks whose PROXY headers are believed.", examples=[["10.0.0.0/8"]]
    )
    allow_private: bool | None = Field(
        default=None,
        description="Whether clients of a forward proxy may go to private addresses; only where this machine alone "
        "reaches it: on loopback, without PROXY headers.",
    )
